/* SPDX-License-Identifier: MIT */
/*
 * heap.h - the earliest of many instants, in logarithmic time.
 *
 * An intrusive pairing heap: a node lies in the object that waits, so that
 * setting a timer allocates nothing and cannot fail.
 */
#ifndef TCPX_BASE_HEAP_H
#define TCPX_BASE_HEAP_H

#include <stddef.h>
#include <tcpx/base.h>

struct tcpx__heap_node {
    tcpx_time at;
    struct tcpx__heap_node *child; /* the first of its children */
    struct tcpx__heap_node *next;  /* its sibling */
    struct tcpx__heap_node *back;  /* the sibling before it, or its parent */
    int queued;
};

struct tcpx__heap {
    struct tcpx__heap_node *root; /* the earliest; NULL if empty */
};

/* Sets node to `at`, whether it is queued already or not. */
void tcpx__heap_set(struct tcpx__heap *heap, struct tcpx__heap_node *node,
                    tcpx_time at);

/* Takes node out; nothing if it is not queued. */
void tcpx__heap_remove(struct tcpx__heap *heap, struct tcpx__heap_node *node);

static inline tcpx_time tcpx__heap_earliest(const struct tcpx__heap *heap)
{
    return heap->root ? heap->root->at : TCPX_FOREVER;
}

#endif
