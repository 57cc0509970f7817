/* SPDX-License-Identifier: MIT */
/*
 * transfer.c - sends a file to a connection and takes what comes back.
 *
 * One thread, which waits for whatever can go on: input to take, room to send,
 * something that came back.  Only tcpx_wait() waits; what it calls ready is
 * then done with TCPX_NOW.
 */
#include "echo/transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/cli.h"

/* Room for what was taken and is still needed; with --check it grows as far as
   a server keeps back what it was sent. */
#define FIRST_RING ((size_t)1 << 20)
#define LAST_RING ((size_t)1 << 30)

#define ARRIVED_SIZE ((size_t)256 * 1024)

#define FIRST_PROGRESS TCPX_SEC
#define PROGRESS_PERIOD (200 * TCPX_MSEC)
#define MIB (1024.0 * 1024.0)

/* What is still needed of the input: all that is not sent, and for --check all
   that has not come back. */
static uint64_t needed_from(const struct transfer *t)
{
    return t->check ? t->returned : t->sent;
}

/* Where byte i of the input is, or goes. */
static unsigned char *place(const struct transfer *t, uint64_t i)
{
    return t->ring + i % t->ring_size;
}

/* How many bytes of the ring lie in one piece from byte `from`, before `to`. */
static size_t piece(const struct transfer *t, uint64_t from, uint64_t to)
{
    size_t before_the_wrap = t->ring_size - (size_t)(from % t->ring_size);

    return to - from < before_the_wrap ? (size_t)(to - from) : before_the_wrap;
}

/* Doubles the ring; if there is no memory for it, it stays as it is. */
static void grow(struct transfer *t)
{
    struct transfer larger = *t;

    larger.ring_size = 2 * t->ring_size;
    larger.ring = malloc(larger.ring_size);
    if (!larger.ring)
        return;
    for (uint64_t i = needed_from(t); i < t->taken;) {
        size_t len = piece(t, i, t->taken);

        memcpy(place(&larger, i), place(t, i), len);
        i += len;
    }
    free(t->ring);
    *t = larger;
}

/* Whether the ring is full of bytes that were sent and have not come back. */
static int is_kept_back(const struct transfer *t)
{
    return !t->input_ended && t->sent == t->taken &&
           t->sent - t->returned == t->ring_size;
}

static size_t room_for_input(const struct transfer *t)
{
    if (t->input_ended || t->send_error)
        return 0;
    return piece(t, t->taken, needed_from(t) + t->ring_size);
}

static enum transfer_end take_input(struct transfer *t, int *err)
{
    ssize_t n = read(t->input, place(t, t->taken), room_for_input(t));

    if (n < 0 && errno != EINTR && errno != EAGAIN) {
        *err = -errno;
        return TRANSFER_INPUT;
    }
    if (n == 0)
        t->input_ended = 1;
    if (n > 0)
        t->taken += (uint64_t)n;
    t->moved = tcpx_now();
    return TRANSFER_DONE;
}

/* Sends what there is room for.  A failure is kept for the end: what the peer
   sent before it went can still be read. */
static void send_some(struct transfer *t)
{
    while (!t->send_error && t->sent < t->taken) {
        ssize_t n = tcpx_write(t->conn, place(t, t->sent),
                               piece(t, t->sent, t->taken), TCPX_NOW);

        if (n == TCPX_EDEADLINE)
            return;
        if (n < 0) {
            t->send_error = (int)n;
            return;
        }
        t->sent += (uint64_t)n;
        t->moved = tcpx_now();
    }
    if (t->input_ended && !t->half_closed && !t->send_error) {
        t->send_error = tcpx_half_close(t->conn);
        t->half_closed = 1;
    }
}

/* Compares n bytes that came back with those that were sent. */
static enum transfer_end compare(struct transfer *t, size_t n)
{
    const unsigned char *came = t->arrived;

    while (n > 0) {
        const unsigned char *sent = place(t, t->returned);
        size_t len = piece(t, t->returned, t->sent);

        if (len > n)
            len = n;
        if (len == 0 || memcmp(came, sent, len) != 0) {
            for (; len > 0 && *came == *sent; came++, sent++)
                t->returned++;
            t->came = *came;
            t->expected = *sent;
            return TRANSFER_DIFFERENT;
        }
        t->returned += len;
        came += len;
        n -= len;
    }
    return TRANSFER_DONE;
}

static enum transfer_end receive_some(struct transfer *t, int *err)
{
    ssize_t n = tcpx_read(t->conn, t->arrived, ARRIVED_SIZE, TCPX_NOW);

    if (n == TCPX_EDEADLINE)
        return TRANSFER_DONE;
    if (n < 0) {
        *err = t->send_error ? t->send_error : (int)n;
        return TRANSFER_NETWORK;
    }
    if (n == 0) {
        t->peer_finished = 1;
        return TRANSFER_DONE;
    }
    t->moved = tcpx_now();
    if (t->check)
        return compare(t, (size_t)n);
    t->returned += (uint64_t)n;
    *err = cli_write(t->arrived, (size_t)n);
    return *err ? TRANSFER_OUTPUT : TRANSFER_DONE;
}

static void show_progress(const struct transfer *t, tcpx_time now)
{
    double seconds = (double)(now - t->started) / (double)TCPX_SEC;

    fprintf(stderr, "\r%.1f MiB sent, %.1f MiB back, %.1f MiB/s\033[K",
            (double)t->sent / MIB, (double)t->returned / MIB,
            (double)t->returned / MIB / seconds);
    fflush(stderr);
}

/* When to stop waiting for the network; while all that was sent has come back
   and more input may come, there is nothing to wait for. */
static tcpx_time idle_limit(const struct transfer *t)
{
    int all_is_back = t->sent == t->taken && t->returned >= t->sent;

    if ((all_is_back && !t->input_ended) || t->idle > TCPX_FOREVER - t->moved)
        return TCPX_FOREVER;
    return t->moved + t->idle;
}

/* Waits until something can go on; returns TRANSFER_DONE when it can. */
static enum transfer_end await(struct transfer *t, tcpx_waitfor items[2],
                               int *err)
{
    for (;;) {
        tcpx_time limit = idle_limit(t);
        tcpx_time until = limit;
        tcpx_time now;
        int n;

        if (t->progress && t->next_progress < limit)
            until = t->next_progress;
        n = tcpx_wait(items, 2, until);
        now = tcpx_now();
        if (t->progress && now >= t->next_progress) {
            show_progress(t, now);
            t->next_progress = now + PROGRESS_PERIOD;
        }
        if (n > 0)
            return TRANSFER_DONE;
        if (n != TCPX_EDEADLINE) {
            *err = n;
            return TRANSFER_NETWORK;
        }
        if (now >= limit)
            return TRANSFER_IDLE;
    }
}

static enum transfer_end run(struct transfer *t, int *err)
{
    while (!t->peer_finished) {
        tcpx_waitfor items[2] = {TCPX_ON_CONN(t->conn, TCPX_READABLE),
                                 TCPX_ON_FD(t->input, TCPX_READABLE)};
        enum transfer_end end;

        if (t->sent < t->taken && !t->send_error)
            items[0].want |= TCPX_WRITABLE;
        if (t->check && is_kept_back(t) && t->ring_size < LAST_RING)
            grow(t);
        if (room_for_input(t) == 0)
            items[1].want = 0;
        end = await(t, items, err);
        if (end == TRANSFER_DONE && items[1].got)
            end = take_input(t, err);
        send_some(t);
        if (end == TRANSFER_DONE && (items[0].got & TCPX_READABLE))
            end = receive_some(t, err);
        if (end != TRANSFER_DONE)
            return end;
    }
    if (t->send_error) {
        *err = t->send_error;
        return TRANSFER_NETWORK;
    }
    return t->half_closed ? TRANSFER_DONE : TRANSFER_EARLY;
}

enum transfer_end transfer_run(struct transfer *t, int *err)
{
    enum transfer_end end;

    t->ring_size = FIRST_RING;
    t->ring = malloc(t->ring_size);
    t->arrived = malloc(ARRIVED_SIZE);
    t->started = t->moved = tcpx_now();
    t->next_progress = t->started + FIRST_PROGRESS;
    *err = -ENOMEM;
    end = t->ring && t->arrived ? run(t, err) : TRANSFER_NETWORK;
    if (t->next_progress > t->started + FIRST_PROGRESS) {
        /* The line was shown: leave the last state of it standing. */
        show_progress(t, tcpx_now());
        fputc('\n', stderr);
    }
    free(t->ring);
    free(t->arrived);
    return end;
}
