/* SPDX-License-Identifier: MIT */
/*
 * cli.c - what the example programs share: options, messages, exit codes.
 */
#include "common/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program = "";

void cli_start(const char *name)
{
    program = name;
    /* Opened the wrong way round, so that using one is still an error. */
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
    /* Who reads our output may go; write(2) then says so, and the connection
       can be ended in a way that tells the peer. */
    signal(SIGPIPE, SIG_IGN);
}

static void error_line(const char *format, va_list args)
{
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void cli_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    error_line(format, args);
    va_end(args);
}

/* What to do about a failure, where that is known. */
static const char *advice(int err, enum cli_side side)
{
    switch (err) {
    case TCPX_EADDRESS:
        return side == CLI_LISTENS
                   ? "Addresses look like 192.0.2.1:7007, [::1]:7007, "
                     "localhost:7007, :7007 or unix:/path."
                   : "Addresses look like 192.0.2.1:7007, [::1]:7007, "
                     "example.org:7007 or unix:/path.";
    case TCPX_ERESOLVE:
        return "Is the name spelled right?  'getent hosts NAME' asks the same "
               "question.";
    case TCPX_EDEADLINE:
    case -ETIMEDOUT:
        return "Nothing answered: the host may be down, or a firewall drops "
               "what is sent to it.";
    case -ECONNREFUSED:
        return "Nothing listens there: is the server running, and is this its "
               "port?";
    case -EHOSTUNREACH:
    case -ENETUNREACH:
        return "'ip route get ADDRESS' shows which way this host would take.";
    case -EADDRINUSE:
        return "Another process listens there: 'ss -ltnp' shows which; port 0 "
               "takes any free one.";
    case -EADDRNOTAVAIL:
        return "'ip address' shows the addresses of this host; ':PORT' takes "
               "them all.";
    case -EACCES:
        return "Ports below 1024 need CAP_NET_BIND_SERVICE, a Unix socket the "
               "right to its file.";
    case -EMFILE:
        return "'ulimit -n' shows and raises the limit.";
    default:
        return NULL;
    }
}

/* Whether text has more to say than the reason that was printed. */
static int says_more(const char *text, const char *reason)
{
    size_t len = strlen(text);
    size_t end = strlen(reason);

    return len > 0 && (len < end || strcmp(text + len - end, reason) != 0);
}

void cli_cannot(enum cli_side side, const char *what, const char *address,
                int err)
{
    const char *reason = tcpx_strerror(err);
    const char *sentence = tcpx_errmsg();
    const char *todo = advice(err, side);

    cli_error("cannot %s %s: %s (%s)", what, address, reason,
              tcpx_errname(err));
    if (says_more(sentence, reason))
        fprintf(stderr, "  %s\n", sentence);
    if (todo)
        fprintf(stderr, "  %s\n", todo);
}

int cli_bad_usage(const char *format, ...)
{
    va_list args;

    if (format) {
        va_start(args, format);
        error_line(format, args);
        va_end(args);
    }
    fprintf(stderr, "Try '%s --help' for more.\n", program);
    return CLI_USAGE;
}

int cli_seconds(const char *text, tcpx_time *out)
{
    char *end;
    double seconds;

    /* strtod(3) would also take blanks, signs, "inf" and "nan". */
    if (strspn(text, "0123456789.") != strlen(text))
        return -1;
    seconds = strtod(text, &end);
    if (end == text || *end)
        return -1;
    if (seconds == 0 || seconds >= (double)(TCPX_FOREVER / TCPX_SEC))
        *out = TCPX_FOREVER;
    else
        *out = (tcpx_time)(seconds * (double)TCPX_SEC);
    return 0;
}

int cli_count(const char *text, int32_t *out)
{
    unsigned long n;
    size_t len = strlen(text);

    if (len == 0 || len > 9 || strspn(text, "0123456789") != len)
        return -1;
    n = strtoul(text, NULL, 10);
    if (n == 0)
        return -1;
    *out = (int32_t)n;
    return 0;
}

int cli_write(const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int cli_print(const char *text)
{
    int err = cli_write(text, strlen(text));

    if (err && err != -EPIPE)
        cli_error("cannot write to standard output: %s", strerror(-err));
    return err ? CLI_FAILED : CLI_DONE;
}

int cli_version(void)
{
    char text[128];

    snprintf(text, sizeof(text), "%s (libtcpx) %s\n", program, tcpx_version());
    return cli_print(text);
}
