/* SPDX-License-Identifier: MIT */
/*
 * options.h - the socket options that connecting and listening share.
 */
#ifndef TCPX_NET_OPTIONS_H
#define TCPX_NET_OPTIONS_H

#include <stdint.h>
#include <tcpx/base.h>

/* The members of tcpx_connect_opts and tcpx_listen_opts, as they were given:
   zero is the default. */
struct tcpx__tuning {
    tcpx_time keepalive_idle;
    tcpx_time keepalive_interval;
    tcpx_time user_timeout;
    tcpx_time spin;
    int32_t keepalive_count;
    int32_t send_buffer;
    int32_t receive_buffer;
    int32_t nagle;
};

/* The tuning in an option struct; opts points to either. */
#define TCPX__TUNING_OF(opts)                                                  \
    ((struct tcpx__tuning){.keepalive_idle = (opts)->keepalive_idle,           \
                           .keepalive_interval = (opts)->keepalive_interval,   \
                           .user_timeout = (opts)->user_timeout,               \
                           .spin = (opts)->spin,                               \
                           .keepalive_count = (opts)->keepalive_count,         \
                           .send_buffer = (opts)->send_buffer,                 \
                           .receive_buffer = (opts)->receive_buffer,           \
                           .nagle = (opts)->nagle})

/*
 * Returns 0 if every member is one that the kernel takes, else -EINVAL,
 * recorded as a failure of operation with a sentence that names the member.
 */
int tcpx__tuning_check(const struct tcpx__tuning *tuning, const char *operation,
                       const char *subject);

/*
 * Sets the options on a socket of that family, before it is bound and
 * connected, for the size of a buffer decides what the SYN says.  On a Unix
 * socket those of TCP are left out.  With `fresh` the socket is new and has
 * every option off; without, what is to be off is switched off.
 *
 * Returns 0 or -errno, which is not recorded; -EOPNOTSUPP if a Multipath TCP
 * socket of this kernel lacks an option that was given.
 */
int tcpx__tuning_apply(int fd, int family, const struct tcpx__tuning *tuning,
                       int fresh);

/*
 * Makes a non-blocking stream socket of the family with its options set: TCP,
 * Multipath TCP if that is asked for and this host has it together with every
 * option that was given; or Unix.  Returns the descriptor or -errno.
 */
int tcpx__tuning_socket(int family, int mptcp,
                        const struct tcpx__tuning *tuning);

/* struct tcpx__handle.spin of a tuning that was checked. */
static inline uint32_t tcpx__tuning_spin(const struct tcpx__tuning *tuning)
{
    return tuning->spin > 0 ? (uint32_t)tuning->spin : 0;
}

/*
 * Returns 0 if a duration is none or a millisecond and more, else -EINVAL,
 * recorded.  A smaller one is a number of seconds whose unit was forgotten.
 */
int tcpx__duration_check(tcpx_time value, const char *member,
                         const char *operation, const char *subject);

/* Returns 0 if a member that is a switch is 0 or 1, else -EINVAL, recorded. */
int tcpx__switch_check(int32_t value, const char *member, const char *operation,
                       const char *subject);

#endif
