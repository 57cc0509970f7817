/* SPDX-License-Identifier: MIT */
/*
 * heap.c - the earliest of many instants, in logarithmic time.
 */
#include "base/heap.h"

typedef struct tcpx__heap_node node_type;

/* Makes one heap of two: the later root becomes a child of the earlier. */
static node_type *meld(node_type *a, node_type *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->at < a->at) {
        node_type *earlier = b;

        b = a;
        a = earlier;
    }
    b->back = a;
    b->next = a->child;
    if (b->next)
        b->next->back = b;
    a->child = b;
    a->next = NULL;
    a->back = NULL;
    return a;
}

/* Makes one heap of a list of siblings: melds pairs from the left, then the
   pairs from the right, which is what makes removal logarithmic. */
static node_type *meld_siblings(node_type *first)
{
    node_type *pairs = NULL;
    node_type *heap = NULL;

    while (first) {
        node_type *a = first;
        node_type *b = a->next;
        node_type *pair;

        first = b ? b->next : NULL;
        a->next = a->back = NULL;
        if (b)
            b->next = b->back = NULL;
        pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        node_type *pair = pairs;

        pairs = pair->next;
        pair->next = NULL;
        heap = meld(heap, pair);
    }
    return heap;
}

void tcpx__heap_remove(struct tcpx__heap *heap, struct tcpx__heap_node *node)
{
    node_type *below;

    if (!node->queued)
        return;
    below = meld_siblings(node->child);
    if (heap->root == node) {
        heap->root = below;
    } else {
        if (node->back->child == node)
            node->back->child = node->next;
        else
            node->back->next = node->next;
        if (node->next)
            node->next->back = node->back;
        heap->root = meld(heap->root, below);
    }
    node->child = node->next = node->back = NULL;
    node->queued = 0;
}

void tcpx__heap_set(struct tcpx__heap *heap, struct tcpx__heap_node *node,
                    tcpx_time at)
{
    tcpx__heap_remove(heap, node);
    node->at = at;
    node->queued = 1;
    heap->root = meld(heap->root, node);
}
