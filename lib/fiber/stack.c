/* SPDX-License-Identifier: MIT */
/*
 * stack.c - the stacks of one core's fibers.
 */
#include "fiber/stack.h"

#include <limits.h>
#include "base/sys.h"

#define PER_CHUNK 64

/* As large as what most compilers make frames of without probing. */
#define GUARD (64 * 1024)

/*
 * All stacks end at the same place in a page, and a cache has few places for
 * memory that lies at equal distances: so their tops are moved apart by this
 * many lines of 64 bytes, in a row of so many.
 */
#define COLOURS 32
#define COLOUR_STEP 5

/* A mapping of PER_CHUNK stacks; a bit for each that nobody uses. */
struct tcpx__chunk {
    struct tcpx__list in_chunks;
    char *memory;
    uint64_t unused; /* cold: neither in use nor warm */
    uint64_t guarded;
};

/* To whole pages. */
static size_t rounded(const struct tcpx__stacks *s, size_t size)
{
    return (size + s->page - 1) & ~(s->page - 1);
}

void tcpx__stacks_init(struct tcpx__stacks *s, size_t size)
{
    s->page = tcpx__sys_page_size();
    s->guard = rounded(s, GUARD);
    s->size = rounded(s, size) + s->guard;
    tcpx__list_init(&s->warm);
    tcpx__list_init(&s->chunks);
    s->warm_count = 0;
}

static void free_chunk(struct tcpx__stacks *s, struct tcpx__chunk *chunk)
{
    tcpx__list_remove(&chunk->in_chunks);
    tcpx__sys_unmap(chunk->memory, s->size * PER_CHUNK);
    tcpx__free(chunk);
}

static struct tcpx__chunk *new_chunk(struct tcpx__stacks *s)
{
    struct tcpx__chunk *chunk = tcpx__calloc(sizeof(*chunk));

    if (!chunk)
        return NULL;
    chunk->memory = tcpx__sys_map_stacks(s->size * PER_CHUNK);
    if (!chunk->memory) {
        tcpx__free(chunk);
        return NULL;
    }
    chunk->unused = UINT64_MAX;
    tcpx__list_insert(&s->chunks, &chunk->in_chunks);
    return chunk;
}

/* Writes the record at the top of a mapping. */
static struct tcpx__stack *record(char *bottom, size_t size,
                                  struct tcpx__chunk *chunk, size_t colour)
{
    size_t down = sizeof(struct tcpx__stack) + colour * 64;
    struct tcpx__stack *stack =
        (struct tcpx__stack *)(void *)(bottom + size - down);

    tcpx__list_init(&stack->in_warm);
    stack->bottom = bottom;
    stack->size = size;
    stack->chunk = chunk;
    return stack;
}

/* One with a stack that nobody uses; those stand first. */
static struct tcpx__chunk *chunk_with_room(struct tcpx__stacks *s)
{
    struct tcpx__list *first = s->chunks.next;

    if (first != &s->chunks) {
        struct tcpx__chunk *chunk =
            TCPX__LIST_ENTRY(first, struct tcpx__chunk, in_chunks);

        if (chunk->unused)
            return chunk;
    }
    return new_chunk(s);
}

static struct tcpx__stack *get_cold(struct tcpx__stacks *s)
{
    struct tcpx__chunk *chunk = chunk_with_room(s);
    char *bottom;
    unsigned i;

    if (!chunk)
        return NULL;
    i = (unsigned)__builtin_ctzll(chunk->unused);
    bottom = chunk->memory + i * s->size;
    if (!(chunk->guarded >> i & 1)) {
        if (tcpx__sys_guard(bottom, s->guard)) {
            if (chunk->unused == UINT64_MAX)
                free_chunk(s, chunk);
            return NULL;
        }
        chunk->guarded |= UINT64_C(1) << i;
    }
    chunk->unused &= ~(UINT64_C(1) << i);
    if (!chunk->unused) {
        tcpx__list_remove(&chunk->in_chunks);
        tcpx__list_append(&s->chunks, &chunk->in_chunks);
    }
    return record(bottom, s->size, chunk, i * COLOUR_STEP % COLOURS);
}

static struct tcpx__stack *get_single(struct tcpx__stacks *s, size_t size)
{
    char *bottom;

    if (size > SSIZE_MAX - s->guard - s->page)
        return NULL;
    size = rounded(s, size) + s->guard;
    bottom = tcpx__sys_map_stacks(size);
    if (!bottom)
        return NULL;
    if (tcpx__sys_guard(bottom, s->guard)) {
        tcpx__sys_unmap(bottom, size);
        return NULL;
    }
    return record(bottom, size, NULL, 0);
}

struct tcpx__stack *tcpx__stack_get(struct tcpx__stacks *s, size_t size)
{
    struct tcpx__list *node;

    if (size > s->size - s->guard)
        return get_single(s, size);
    node = tcpx__list_pop(&s->warm);
    if (!node)
        return get_cold(s);
    s->warm_count--;
    return TCPX__LIST_ENTRY(node, struct tcpx__stack, in_warm);
}

/* Gives the memory of a stack back, but not its place. */
static void cool(struct tcpx__stacks *s, struct tcpx__stack *stack)
{
    struct tcpx__chunk *chunk = stack->chunk;
    size_t i = (size_t)(stack->bottom - chunk->memory) / s->size;

    tcpx__sys_drop_pages(stack->bottom + s->guard, s->size - s->guard);
    tcpx__list_remove(&chunk->in_chunks);
    tcpx__list_insert(&s->chunks, &chunk->in_chunks);
    chunk->unused |= UINT64_C(1) << i;
    if (chunk->unused == UINT64_MAX)
        free_chunk(s, chunk);
}

void tcpx__stack_put(struct tcpx__stacks *s, struct tcpx__stack *stack)
{
    if (!stack->chunk) {
        tcpx__sys_unmap(stack->bottom, stack->size);
    } else if (s->warm_count < TCPX__WARM_STACKS) {
        tcpx__list_insert(&s->warm, &stack->in_warm);
        s->warm_count++;
    } else {
        cool(s, stack);
    }
}

void tcpx__stacks_free(struct tcpx__stacks *s)
{
    struct tcpx__list *node;

    tcpx__list_init(&s->warm);
    s->warm_count = 0;
    while ((node = tcpx__list_pop(&s->chunks)))
        free_chunk(s, TCPX__LIST_ENTRY(node, struct tcpx__chunk, in_chunks));
}
