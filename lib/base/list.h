/* SPDX-License-Identifier: MIT */
/*
 * list.h - a doubly linked list through its members.
 *
 * The head is a node of the ring, so that no operation has a special case.  A
 * node that is in no list points at itself.
 */
#ifndef TCPX_BASE_LIST_H
#define TCPX_BASE_LIST_H

#include "base/util.h"

struct tcpx__list {
    struct tcpx__list *next;
    struct tcpx__list *prev;
};

static inline void tcpx__list_init(struct tcpx__list *node)
{
    node->next = node->prev = node;
}

static inline int tcpx__list_is_empty(const struct tcpx__list *head)
{
    return head->next == head;
}

/* Puts node at the end of the list; it must be in none. */
static inline void tcpx__list_append(struct tcpx__list *head,
                                     struct tcpx__list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Puts node before all others; it must be in no list. */
static inline void tcpx__list_insert(struct tcpx__list *head,
                                     struct tcpx__list *node)
{
    tcpx__list_append(head->next, node);
}

/* Takes node out of whatever list it is in, or none. */
static inline void tcpx__list_remove(struct tcpx__list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    tcpx__list_init(node);
}

/* The first node, taken out; NULL if there is none. */
static inline struct tcpx__list *tcpx__list_pop(struct tcpx__list *head)
{
    struct tcpx__list *node = head->next;

    if (node == head)
        return NULL;
    tcpx__list_remove(node);
    return node;
}

#define TCPX__LIST_ENTRY(node, type, member) TCPX__CONTAINER(node, type, member)

#endif
