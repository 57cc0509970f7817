/* SPDX-License-Identifier: MIT */
/*
 * options.c - the socket options that connecting and listening share.
 *
 * What a careful program sets: TCP_NODELAY, for a library that writes whole
 * messages, and keepalive with numbers of its own, for the system's find a lost
 * peer after two hours.  TCP_USER_TIMEOUT stays off: it also kills a live peer
 * that only does not read.
 */
#include "net/options.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/sys.h"
#include "base/task.h"
#include "base/util.h"

#define IDLE_DEFAULT (60 * TCPX_SEC)
#define INTERVAL_DEFAULT (15 * TCPX_SEC)
#define COUNT_DEFAULT 4

/* The kernel's limits: MAX_TCP_KEEPIDLE, _KEEPINTVL and _KEEPCNT. */
#define SECONDS_MAX 32767
#define COUNT_MAX 127

/* A handle keeps 32 bits of nanoseconds. */
#define SPIN_MAX (4 * TCPX_SEC)

/* A member that is a duration, and what it may be. */
struct duration {
    const char *member;
    tcpx_time value;
    tcpx_time max;
    int none;    /* TCPX_NONE too */
    int is_fine; /* nanoseconds are meant */
};

int tcpx__duration_check(tcpx_time value, const char *member,
                         const char *operation, const char *subject)
{
    if (value < 0)
        return tcpx__fail_because(-EINVAL, operation, subject,
                                  "%s is negative: %lld ns", member,
                                  (long long)value);
    if (value > 0 && value < TCPX_MSEC)
        return tcpx__fail_because(-EINVAL, operation, subject,
                                  "%s is %lld nanoseconds; seconds are written "
                                  "%lld * TCPX_SEC",
                                  member, (long long)value, (long long)value);
    return 0;
}

static int check_duration(const struct duration *d, const char *operation,
                          const char *subject)
{
    if (d->none && d->value == TCPX_NONE)
        return 0;
    if (d->value > d->max)
        return tcpx__fail_because(-EINVAL, operation, subject,
                                  "%s is over %lld s", d->member,
                                  (long long)(d->max / TCPX_SEC));
    if (d->is_fine && d->value > 0)
        return 0;
    return tcpx__duration_check(d->value, d->member, operation, subject);
}

static int check_number(int32_t value, int32_t max, const char *member,
                        const char *operation, const char *subject)
{
    if (value >= 0 && value <= max)
        return 0;
    return tcpx__fail_because(-EINVAL, operation, subject,
                              "%s is %d, not in 0 to %d", member, (int)value,
                              (int)max);
}

int tcpx__switch_check(int32_t value, const char *member, const char *operation,
                       const char *subject)
{
    return check_number(value, 1, member, operation, subject);
}

int tcpx__tuning_check(const struct tcpx__tuning *tuning, const char *operation,
                       const char *subject)
{
    const struct duration durations[] = {
        {"keepalive_idle", tuning->keepalive_idle, SECONDS_MAX * TCPX_SEC, 1,
         0},
        {"keepalive_interval", tuning->keepalive_interval,
         SECONDS_MAX * TCPX_SEC, 0, 0},
        {"user_timeout", tuning->user_timeout, INT_MAX * TCPX_MSEC, 1, 0},
        {"spin", tuning->spin, SPIN_MAX, 1, 1},
    };
    const struct {
        const char *member;
        int32_t value;
        int32_t max;
    } numbers[] = {
        {"keepalive_count", tuning->keepalive_count, COUNT_MAX},
        {"send_buffer", tuning->send_buffer, INT32_MAX},
        {"receive_buffer", tuning->receive_buffer, INT32_MAX},
        {"nagle", tuning->nagle, 1},
    };
    int err = 0;

    for (size_t i = 0; i < TCPX__COUNT(durations) && !err; i++)
        err = check_duration(&durations[i], operation, subject);
    for (size_t i = 0; i < TCPX__COUNT(numbers) && !err; i++)
        err = check_number(numbers[i].value, numbers[i].max, numbers[i].member,
                           operation, subject);
    return err;
}

/* A duration in a larger unit: rounded up, so that nothing becomes zero. */
static int in_units(tcpx_time value, tcpx_time unit)
{
    return (int)(value / unit + (value % unit != 0));
}

/*
 * A Multipath TCP socket lacks options of TCP, which ones depends on the
 * kernel.  What is only a default is left out there, what was given is an
 * error.
 */
static int set(int fd, int level, int name, int value, int given)
{
    int err = tcpx__sys_setsockopt_int(fd, level, name, value);

    if (err != -EOPNOTSUPP && err != -ENOPROTOOPT)
        return err;
    return given ? -EOPNOTSUPP : 0;
}

static int set_buffers(int fd, const struct tcpx__tuning *tuning)
{
    int err = 0;

    if (tuning->send_buffer)
        err = set(fd, SOL_SOCKET, SO_SNDBUF, tuning->send_buffer, 1);
    if (!err && tuning->receive_buffer)
        err = set(fd, SOL_SOCKET, SO_RCVBUF, tuning->receive_buffer, 1);
    return err;
}

static int set_keepalive(int fd, const struct tcpx__tuning *tuning, int fresh)
{
    tcpx_time idle = tuning->keepalive_idle;
    tcpx_time interval = tuning->keepalive_interval;
    int count = tuning->keepalive_count;
    int err;

    if (idle == TCPX_NONE)
        return fresh ? 0 : set(fd, SOL_SOCKET, SO_KEEPALIVE, 0, 0);
    err = set(fd, IPPROTO_TCP, TCP_KEEPIDLE,
              in_units(idle ? idle : IDLE_DEFAULT, TCPX_SEC), idle != 0);
    if (!err)
        err = set(fd, IPPROTO_TCP, TCP_KEEPINTVL,
                  in_units(interval ? interval : INTERVAL_DEFAULT, TCPX_SEC),
                  interval != 0);
    if (!err)
        err = set(fd, IPPROTO_TCP, TCP_KEEPCNT, count ? count : COUNT_DEFAULT,
                  count != 0);
    if (!err)
        err = set(fd, SOL_SOCKET, SO_KEEPALIVE, 1, 0);
    return err;
}

int tcpx__tuning_apply(int fd, int family, const struct tcpx__tuning *tuning,
                       int fresh)
{
    int timeout = tuning->user_timeout > 0
                      ? in_units(tuning->user_timeout, TCPX_MSEC)
                      : 0;
    int err = set_buffers(fd, tuning);

    if (err || family == AF_UNIX)
        return err;
    if (!fresh || !tuning->nagle)
        err = set(fd, IPPROTO_TCP, TCP_NODELAY, !tuning->nagle, 0);
    if (!err)
        err = set_keepalive(fd, tuning, fresh);
    if (!err && (!fresh || timeout))
        err = set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout, timeout != 0);
    return err;
}

static int make_socket(int family, int protocol,
                       const struct tcpx__tuning *tuning)
{
    int fd = tcpx__sys_socket(family, SOCK_STREAM | SOCK_NONBLOCK, protocol);
    int err;

    if (fd < 0)
        return fd;
    err = tcpx__tuning_apply(fd, family, tuning, 1);
    if (err) {
        tcpx__sys_close(fd);
        return err;
    }
    return fd;
}

int tcpx__tuning_socket(int family, int mptcp,
                        const struct tcpx__tuning *tuning)
{
    if (family == AF_UNIX)
        return make_socket(family, 0, tuning);
    if (mptcp) {
        int fd = make_socket(family, IPPROTO_MPTCP, tuning);

        if (fd >= 0)
            return fd;
    }
    return make_socket(family, IPPROTO_TCP, tuning);
}
