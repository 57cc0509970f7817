/* SPDX-License-Identifier: MIT */
/*
 * resolve.c - from an address to endpoints, without ever waiting.
 */
#include "net/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <tcpx/error.h>

#include "base/sys.h"
#include "base/task.h"
#include "base/util.h"
#include "io/world.h"
#include "net/address.h"

struct tcpx__resolution {
    tcpx_lookup *lookups[2]; /* in the order of families[] */
};

static const int families[2] = {AF_INET6, AF_INET};

pthread_mutex_t tcpx__lookups = PTHREAD_MUTEX_INITIALIZER;

/* The program's resolver; under tcpx__lookups. */
static struct {
    tcpx_resolver_fn *fn;
    void *arg;
} resolver;

void tcpx_resolver_set(tcpx_resolver_fn *fn, void *arg)
{
    tcpx__lookups_prepare();
    pthread_mutex_lock(&tcpx__lookups);
    resolver.fn = fn;
    resolver.arg = arg;
    pthread_mutex_unlock(&tcpx__lookups);
}

static tcpx_lookup *lookup_new(const tcpx_address *a, int family)
{
    tcpx_task *task = tcpx__task();
    tcpx_lookup *lookup = task ? tcpx__calloc(sizeof(*lookup)) : NULL;

    if (!lookup)
        return NULL;

    tcpx__task_retain(task);
    atomic_init(&lookup->refs, 1);
    lookup->task = task;
    lookup->family = family;
    lookup->address = *a;
    return lookup;
}

static void lookup_retain(tcpx_lookup *lookup)
{
    atomic_fetch_add_explicit(&lookup->refs, 1, memory_order_relaxed);
}

void tcpx__lookup_drop(tcpx_lookup *lookup)
{
    /* Who frees must see all that the other one wrote before it let go. */
    if (atomic_fetch_sub_explicit(&lookup->refs, 1, memory_order_acq_rel) != 1)
        return;

    tcpx__task_drop(lookup->task);
    tcpx__free(lookup->endpoints);
    tcpx__free(lookup);
}

/* ---- Answers ----------------------------------------------------------- */

/*
 * Publishes what .names says and wakes the asker, unless it has left.  The
 * lock is held over the wake, so that none comes after the asker left.
 */
static void publish_locked(tcpx_lookup *lookup)
{
    atomic_store_explicit(&lookup->answered, 1, memory_order_release);
    if (lookup->waiter)
        tcpx__unpark(lookup->waiter);
}

static void publish(tcpx_lookup *lookup)
{
    pthread_mutex_lock(&tcpx__lookups);
    publish_locked(lookup);
    pthread_mutex_unlock(&tcpx__lookups);
}

/* The same with the result that the addresses, if any, come with. */
static void publish_result(tcpx_lookup *lookup, int err, const char *detail)
{
    lookup->names.err = err;
    (void)snprintf(lookup->names.detail, sizeof(lookup->names.detail), "%s",
                   detail);
    publish(lookup);
}

void tcpx__lookup_orphan(tcpx_lookup *lookup)
{
    /* The helper may have been writing all this when the process forked. */
    lookup->names = (struct tcpx__names){
        .err = TCPX_ERESOLVE, .detail = "the process forked in the lookup"};
    publish_locked(lookup);
    tcpx__lookup_drop(lookup);
}

/* Room for n addresses in the answer. */
static int reserve(tcpx_lookup *lookup, size_t n)
{
    if (n == 0)
        return 0;

    lookup->endpoints = tcpx__malloc(n * sizeof(*lookup->endpoints));
    lookup->names.at = lookup->endpoints;
    return lookup->endpoints ? 0 : -ENOMEM;
}

/* Adds an address to the answer, but one of another family or a repeated one.
 */
static void add(tcpx_lookup *lookup, const void *sa)
{
    struct tcpx__endpoint *e = &lookup->endpoints[lookup->names.n];

    if (((const struct sockaddr *)sa)->sa_family != lookup->family)
        return;

    tcpx__endpoint_set(
        e, sa, lookup->family == AF_INET ? sizeof(e->in) : sizeof(e->in6));
    tcpx__endpoint_set_port(e, (uint16_t)lookup->address.port);
    for (size_t i = 0; i < lookup->names.n; i++)
        if (tcpx__endpoint_equal(&lookup->endpoints[i], e))
            return;
    lookup->names.n++;
}

int tcpx__resolve_port(const tcpx_address *a, uint16_t *port, char detail[80])
{
    int n;

    if (a->port >= 0) {
        *port = (uint16_t)a->port;
        return 0;
    }

    n = tcpx__sys_getservbyname(a->service);
    if (n == -ENOENT) {
        (void)snprintf(detail, 80, "no such service \"%s\" for tcp",
                       a->service);
        return TCPX_ERESOLVE;
    }
    if (n < 0) {
        detail[0] = 0;
        return n;
    }

    *port = (uint16_t)n;
    return 0;
}

/* Puts the port's number in place of its service; or answers that it failed. */
static int find_port(tcpx_lookup *lookup)
{
    char detail[80];
    uint16_t port;
    int err = tcpx__resolve_port(&lookup->address, &port, detail);

    if (err < 0)
        publish_result(lookup, err, detail);
    else
        lookup->address.port = port;

    return err;
}

/* ---- Without asking anyone --------------------------------------------- */

static bool is_localhost(const char *host)
{
    static const char local[] = "localhost";
    size_t len = strlen(host), n = sizeof(local) - 1;

    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len < n || strncasecmp(host + len - n, local, n) != 0)
        return false;

    return len == n || host[len - n - 1] == '.';
}

/* A name that the answer is known for becomes the address it stands for. */
static void set_loopback(tcpx_address *a, int family)
{
    a->kind = family == AF_INET6 ? TCPX_ADDRESS_IPV6 : TCPX_ADDRESS_IPV4;
    (void)snprintf(a->host, sizeof(a->host), "%s",
                   family == AF_INET6 ? "::1" : "127.0.0.1");
}

static void answer_numeric(tcpx_lookup *lookup)
{
    const tcpx_address *a = &lookup->address;
    struct tcpx__endpoint e;
    int err;

    if ((a->kind == TCPX_ADDRESS_IPV6) != (lookup->family == AF_INET6)) {
        publish(lookup); /* has no address in this family */
        return;
    }
    if (find_port(lookup) < 0)
        return;

    err = tcpx__endpoint_of(&e, a, (uint16_t)a->port);
    if (err == -ENODEV) {
        char detail[80];

        (void)snprintf(detail, sizeof(detail), "no such zone \"%s\"", a->zone);
        publish_result(lookup, err, detail);
        return;
    }
    if (err == 0)
        err = reserve(lookup, 1);
    if (err < 0) {
        publish_result(lookup, err, "");
        return;
    }

    add(lookup, &e.ss);
    publish(lookup);
}

/* ---- Asking the program's resolver ------------------------------------- */

static int copy_addresses(tcpx_lookup *lookup,
                          const struct sockaddr_storage *addresses, size_t n)
{
    int err;

    if (n > 0 && !addresses)
        return -EINVAL;
    if (n > TCPX__NAMES_MAX)
        n = TCPX__NAMES_MAX;

    err = reserve(lookup, n);
    if (err < 0)
        return err;
    for (size_t i = 0; i < n; i++)
        add(lookup, &addresses[i]);

    return 0;
}

void tcpx_lookup_finish(tcpx_lookup *lookup, int err,
                        const struct sockaddr_storage *addresses, size_t n)
{
    const char *detail = "";

    if (!lookup)
        return;

    if (err > 0)
        err = -EINVAL;
    if (err == 0 && !tcpx_lookup_is_abandoned(lookup))
        err = copy_addresses(lookup, addresses, n);
    if (err == -EAGAIN) {
        err = TCPX_ERESOLVE;
        detail = "the name server did not answer";
    } else if (err == TCPX_ERESOLVE) {
        lookup->names.absent = 1;
        detail = "no such name";
    }

    publish_result(lookup, err, detail);
    tcpx__lookup_drop(lookup);
}

int tcpx_lookup_is_abandoned(const tcpx_lookup *lookup)
{
    return lookup ? atomic_load(&lookup->abandoned) : 0;
}

/* ---- Asking getaddrinfo(3), in a helper thread ------------------------- */

static int is_shortage(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS ||
           err == -ENOMEM || err == -EAGAIN;
}

/* What getaddrinfo's code means; *detail is never NULL. */
static int translate(int code, const char **detail)
{
    int err = -errno;

    *detail = "";
    switch (code) {
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return 0; /* the name exists, in the other family perhaps */
    case EAI_NONAME:
        *detail = "no such name";
        return TCPX_ERESOLVE;
    case EAI_AGAIN:
        *detail = "the name server did not answer";
        return TCPX_ERESOLVE;
    case EAI_FAIL:
        *detail = "the name server failed";
        return TCPX_ERESOLVE;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        *detail = tcpx_strerror(err);
        return is_shortage(err) ? err : TCPX_ERESOLVE;
    default:
        *detail = "getaddrinfo failed for a reason of its own";
        return TCPX_ERESOLVE;
    }
}

static int copy_list(tcpx_lookup *lookup, const struct addrinfo *list)
{
    size_t n = 0;
    int err;

    for (const struct addrinfo *i = list; i && n < TCPX__NAMES_MAX;
         i = i->ai_next)
        n++;
    err = reserve(lookup, n);
    if (err < 0)
        return err;

    for (; n > 0; n--, list = list->ai_next)
        add(lookup, list->ai_addr);
    return 0;
}

void tcpx__lookup_run(tcpx_lookup *lookup)
{
    /* Without AI_ADDRCONFIG, which would hide the IPv6 addresses of a name on
       a host that has none but ::1.  An attempt that has no route fails at
       once and costs the race nothing. */
    struct addrinfo hints = {.ai_family = lookup->family,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    const char *detail = "";
    int err;

    if (find_port(lookup) < 0)
        return;

    errno = 0;
    err = tcpx__sys_getaddrinfo(lookup->address.host, NULL, &hints, &list);
    lookup->names.absent = err == EAI_NONAME;
    if (err)
        err = translate(err, &detail);
    else if (!tcpx_lookup_is_abandoned(lookup))
        err = copy_list(lookup, list);
    if (list)
        tcpx__sys_freeaddrinfo(list);

    publish_result(lookup, err, detail);
}

/* ---- Resolutions ------------------------------------------------------- */

static void begin(tcpx_lookup *lookup)
{
    tcpx_resolver_fn *fn;
    void *arg;

    if (lookup->address.kind == TCPX_ADDRESS_NAME &&
        is_localhost(lookup->address.host))
        set_loopback(&lookup->address, lookup->family);
    if (lookup->address.kind != TCPX_ADDRESS_NAME) {
        answer_numeric(lookup);
        return;
    }

    pthread_mutex_lock(&tcpx__lookups);
    lookup->waiter = lookup->task;
    fn = resolver.fn;
    arg = resolver.arg;
    pthread_mutex_unlock(&tcpx__lookups);

    lookup_retain(lookup);
    if (!fn) {
        int err = tcpx__pool_submit(lookup);

        if (err == 0)
            return;
        publish_result(lookup, err, "no thread to look the name up");
    } else if (find_port(lookup) == 0) {
        fn(lookup, lookup->address.host, lookup->family, arg);
        return;
    }
    tcpx__lookup_drop(lookup);
}

int tcpx__resolve_start(struct tcpx__resolution **out, const tcpx_address *a,
                        int family)
{
    struct tcpx__resolution *r = NULL;

    if (tcpx__lookups_prepare() == 0)
        r = tcpx__calloc(sizeof(*r));
    if (!r)
        return -ENOMEM;

    for (size_t i = 0; i < TCPX__COUNT(families); i++) {
        if (family && family != families[i])
            continue;
        r->lookups[i] = lookup_new(a, families[i]);
        if (!r->lookups[i]) {
            tcpx__resolve_abandon(r);
            return -ENOMEM;
        }
    }
    for (size_t i = 0; i < TCPX__COUNT(families); i++)
        if (r->lookups[i])
            begin(r->lookups[i]);

    *out = r;
    return 0;
}

const struct tcpx__names *tcpx__resolution_names(
    const struct tcpx__resolution *r, int family)
{
    static const struct tcpx__names none;
    const tcpx_lookup *lookup = r->lookups[family == AF_INET];

    if (!lookup)
        return &none;

    /* Acquires what publish() released. */
    return atomic_load_explicit(&lookup->answered, memory_order_acquire)
               ? &lookup->names
               : NULL;
}

static void abandon(tcpx_lookup *lookup)
{
    int withdrawn;

    pthread_mutex_lock(&tcpx__lookups);
    lookup->waiter = NULL;
    atomic_store(&lookup->abandoned, 1);
    withdrawn = tcpx__pool_withdraw(lookup);
    pthread_mutex_unlock(&tcpx__lookups);

    if (withdrawn)
        tcpx__lookup_drop(lookup);
    tcpx__lookup_drop(lookup);
}

void tcpx__resolve_abandon(struct tcpx__resolution *r)
{
    if (!r)
        return;

    for (size_t i = 0; i < TCPX__COUNT(families); i++)
        if (r->lookups[i])
            abandon(r->lookups[i]);
    tcpx__free(r);
}
