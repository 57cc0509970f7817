/* SPDX-License-Identifier: MIT */
/*
 * transfer.h - sends a file to a connection and takes what comes back.
 */
#ifndef ECHO_TRANSFER_H
#define ECHO_TRANSFER_H

#include <tcpx.h>

struct transfer {
    /* Set by the caller; the rest begins as zero. */
    tcpx_conn *conn;
    int input;      /* what to send, to its end; never closed */
    int check;      /* compare what comes back instead of writing it */
    int progress;   /* show a line on standard error if it takes long */
    tcpx_time idle; /* how long nothing may move */

    /* Bytes so far. */
    uint64_t taken;               /* from the input */
    uint64_t sent;                /* to the connection */
    uint64_t returned;            /* from the connection */
    unsigned char expected, came; /* at `returned`, for TRANSFER_DIFFERENT */

    /* Byte i of the input, while it is needed, is at ring[i % ring_size]. */
    unsigned char *ring;
    size_t ring_size;
    unsigned char *arrived;
    int input_ended;
    int half_closed;
    int peer_finished;
    int send_error;
    tcpx_time started;
    tcpx_time moved; /* when the last byte did */
    tcpx_time next_progress;
};

enum transfer_end {
    TRANSFER_DONE,      /* both directions came to their end */
    TRANSFER_EARLY,     /* the peer finished before the input did */
    TRANSFER_IDLE,      /* nothing moved for the idle time */
    TRANSFER_DIFFERENT, /* the byte after `returned` is not what was sent;
                           nothing was sent there if `returned` is `sent` */
    TRANSFER_NETWORK,   /* the connection failed, why is in *err, as in both */
    TRANSFER_INPUT,     /* the input cannot be read */
    TRANSFER_OUTPUT     /* standard output cannot be written */
};

/*
 * Sends all of the input, half-closes, and reads to the end; both at the same
 * time, so that neither side ever waits for the other to be read.
 */
enum transfer_end transfer_run(struct transfer *t, int *err);

#endif
