/* SPDX-License-Identifier: MIT */
/*
 * admission.c - how many clients from one place, and how fast.
 *
 * A place is an IPv4 address or an IPv6 /64, which is what one subscriber
 * has.  The table is open addressing over a hash with a random key, so that
 * nobody can choose addresses that collide.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include "server/server.h"

#define FIRST_SIZE 64

struct entry {
    unsigned char key[8]; /* IPv4 in the first four bytes */
    uint8_t len;          /* 4 or 8; 0: free */
    uint32_t count;
};

struct tcpx__admission {
    struct entry *entries;
    size_t size; /* a power of two */
    size_t used;
    uint64_t seed;
    int64_t per_client; /* TCPX_UNLIMITED: no table */
    int64_t rate;       /* TCPX_UNLIMITED: no bucket */
    int64_t burst;
    tcpx_time tokens; /* in nanoseconds: rate of them pass one client */
    tcpx_time filled_at;
};

int tcpx__admission_new(struct tcpx__admission **out,
                        const tcpx_server_opts *opts)
{
    struct tcpx__admission *a = tcpx__calloc(sizeof(*a));

    if (!a)
        return -ENOMEM;
    a->per_client = opts->max_per_client;
    a->rate = opts->accept_rate;
    a->burst = opts->accept_burst;
    a->filled_at = tcpx__sys_now();
    a->tokens = a->rate > 0 ? a->burst * (TCPX_SEC / a->rate) : 0;
    a->seed = tcpx__sys_random();
    if (a->per_client != TCPX_UNLIMITED) {
        a->entries = tcpx__calloc(FIRST_SIZE * sizeof(*a->entries));
        if (!a->entries) {
            tcpx__free(a);
            return -ENOMEM;
        }
        a->size = FIRST_SIZE;
    }
    *out = a;
    return 0;
}

void tcpx__admission_free(struct tcpx__admission *a)
{
    if (!a)
        return;
    tcpx__free(a->entries);
    tcpx__free(a);
}

static size_t place_of(const struct tcpx__admission *a,
                       const unsigned char *key, uint8_t len)
{
    uint64_t word = 0;
    uint64_t h;

    memcpy(&word, key, len);
    h = (word ^ a->seed) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 29;
    h = (h + a->seed) * UINT64_C(0xbf58476d1ce4e5b9);
    h ^= h >> 32;
    return (size_t)h & (a->size - 1);
}

/* The client's entry, or the free one where it would be. */
static struct entry *find(const struct tcpx__admission *a,
                          const unsigned char *key, uint8_t len)
{
    size_t i = place_of(a, key, len);

    while (a->entries[i].len &&
           !(a->entries[i].len == len && !memcmp(a->entries[i].key, key, len)))
        i = (i + 1) & (a->size - 1);
    return &a->entries[i];
}

static int grow(struct tcpx__admission *a)
{
    struct tcpx__admission bigger = *a;

    bigger.size = a->size * 2;
    bigger.entries = tcpx__calloc(bigger.size * sizeof(*bigger.entries));
    if (!bigger.entries)
        return -ENOMEM;
    for (size_t i = 0; i < a->size; i++) {
        const struct entry *e = &a->entries[i];

        if (e->len)
            *find(&bigger, e->key, e->len) = *e;
    }
    tcpx__free(a->entries);
    *a = bigger;
    return 0;
}

/* Takes an entry out and moves those behind it up, so that no search stops at
   the hole before them. */
static void vacate(struct tcpx__admission *a, struct entry *e)
{
    size_t hole = (size_t)(e - a->entries);
    size_t i = hole;

    a->used--;
    for (;;) {
        size_t home;

        a->entries[hole].len = 0;
        do {
            i = (i + 1) & (a->size - 1);
            if (!a->entries[i].len)
                return;
            home = place_of(a, a->entries[i].key, a->entries[i].len);
        } while (hole <= i ? (hole < home && home <= i)
                           : (hole < home || home <= i));
        a->entries[hole] = a->entries[i];
        hole = i;
    }
}

/* The part of an address that is one client; 0 for a Unix socket. */
static uint8_t key_of(const tcpx_conn *c, unsigned char *key)
{
    if (c->peer_len && c->peer.sa.sa_family == AF_INET) {
        memcpy(key, &c->peer.in.sin_addr, 4);
        return 4;
    }
    if (c->peer_len && c->peer.sa.sa_family == AF_INET6) {
        memcpy(key, &c->peer.in6.sin6_addr, 8);
        return 8;
    }
    return 0;
}

/* A bucket that holds at most `burst` clients and fills at `rate` a second. */
static int take_token(struct tcpx__admission *a, tcpx_time now)
{
    tcpx_time price = TCPX_SEC / a->rate;
    tcpx_time full = a->burst * price;
    tcpx_time gained = now - a->filled_at;

    a->filled_at = now;
    a->tokens = gained > full - a->tokens ? full : a->tokens + gained;
    if (a->tokens < price)
        return 0;
    a->tokens -= price;
    return 1;
}

int tcpx__admission_enter(struct tcpx__admission *a, struct tcpx__slot *slot,
                          tcpx_time now)
{
    unsigned char key[8];
    uint8_t len = key_of(slot->conn, key);
    struct entry *e = NULL;

    if (a->per_client != TCPX_UNLIMITED && len) {
        if (a->used >= a->size / 2 && grow(a))
            return TCPX_REFUSED_SHORTAGE;
        e = find(a, key, len);
        if (e->len && e->count >= (uint64_t)a->per_client)
            return TCPX_REFUSED_CLIENT;
    }
    if (a->rate != TCPX_UNLIMITED && !take_token(a, now))
        return TCPX_REFUSED_RATE;
    if (!e)
        return 0;
    if (!e->len) {
        memcpy(e->key, key, len);
        e->len = len;
        e->count = 0;
        a->used++;
    }
    e->count++;
    memcpy(slot->client, key, len);
    slot->client_len = len;
    return 0;
}

void tcpx__admission_leave(struct tcpx__admission *a, struct tcpx__slot *slot)
{
    struct entry *e;

    if (!slot->client_len)
        return;
    e = find(a, slot->client, slot->client_len);
    slot->client_len = 0;
    if (--e->count == 0)
        vacate(a, e);
}
