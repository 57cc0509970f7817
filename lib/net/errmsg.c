/* SPDX-License-Identifier: MIT */
/*
 * errmsg.c - the calling task's last failure as a sentence.
 *
 * Failing calls only copy codes and addresses; the text is made here, when
 * somebody wants to read it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcpx/error.h>
#include "base/sys.h"
#include "base/task.h"
#include "net/endpoint.h"

/* What the call was about: the address as it was given, or as it is. */
static const char *subject_of(const struct tcpx__failure *f, char *buf,
                              size_t cap)
{
    struct sockaddr_storage peer;

    if (f->text[0] || !f->peer_len)
        return f->text;
    memcpy(&peer, f->peer, f->peer_len);
    if (tcpx__endpoint_format((struct sockaddr *)&peer, f->peer_len, buf, cap) <
        0)
        return "";
    return buf;
}

static const char *reason_of(const struct tcpx__failure *f)
{
    if (f->report)
        return f->report;
    return f->detail[0] ? f->detail : tcpx_strerror(f->err);
}

const char *tcpx_errmsg(void)
{
    tcpx_task *t = tcpx__task();
    char buf[TCPX__ENDPOINT_TEXT];
    struct tcpx__failure *f;
    const char *subject;
    const char *reason;
    size_t size;
    size_t len;

    if (!t)
        return tcpx_strerror(-ENOMEM);
    f = &t->failure;
    if (!f->err)
        return "";
    subject = subject_of(f, buf, sizeof(buf));
    reason = reason_of(f);
    len = strlen(subject);
    if (len > 0 && subject[len - 1] == ':')
        len--; /* a socket without a name brings the colon with it */
    size = strlen(f->operation) + len + strlen(reason) + 4;
    tcpx__free(f->message);
    f->message = tcpx__malloc(size);
    if (!f->message)
        return reason;
    snprintf(f->message, size, "%s%s%.*s: %s", f->operation, len ? " " : "",
             (int)len, subject, reason);
    return f->message;
}
