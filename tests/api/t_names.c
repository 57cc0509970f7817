/* SPDX-License-Identifier: MIT */
/*
 * t_names.c - who the two ends of a connection are.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <tcpx.h>
#include <unistd.h>
#include "pairs.h"
#include "runner.h"
#include "support.h"

static tcpx_conn *adopt(int fd)
{
    tcpx_conn *c = NULL;

    ck_ok(tcpx_conn_adopt(&c, fd, NULL));
    return c;
}

static unsigned port_of(int fd)
{
    struct sockaddr_in6 sin = {0};
    socklen_t len = sizeof(sin);

    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    return ntohs(sin.sin6_port); /* at the same place as in sockaddr_in */
}

/* Listens at sa, connects to it, and gives both ends. */
static void pair_at(const void *sa, socklen_t len, int family, int fd[2])
{
    int listener = socket(family, SOCK_STREAM, 0);
    int off = 0;
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);

    ck_assert_int_ge(listener, 0);
    if (family == AF_INET6)
        ck_assert_int_eq(
            setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)),
            0);
    ck_assert_int_eq(bind(listener, sa, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&bound, &size),
                     0);
    fd[0] = socket(family, SOCK_STREAM, 0);
    ck_assert_int_ge(fd[0], 0);
    ck_assert_int_eq(connect(fd[0], (struct sockaddr *)&bound, size), 0);
    fd[1] = raw_accept(listener);
    close(listener);
}

static void check_names(int fd[2], const char *host)
{
    struct pair p = {adopt(fd[0]), adopt(fd[1])};
    char a[64];
    char b[64];

    snprintf(a, sizeof(a), "%s:%u", host, port_of(fd[0]));
    snprintf(b, sizeof(b), "%s:%u", host, port_of(fd[1]));
    ck_assert_str_eq(tcpx_conn_local(p.a), a);
    ck_assert_str_eq(tcpx_conn_peer(p.a), b);
    ck_assert_str_eq(tcpx_conn_local(p.b), b);
    ck_assert_str_eq(tcpx_conn_peer(p.b), a);
    /* The text belongs to the connection. */
    ck_assert_ptr_eq(tcpx_conn_peer(p.a), tcpx_conn_peer(p.a));
    ck_assert_ptr_eq(tcpx_conn_local(p.a), tcpx_conn_local(p.a));
    pair_end(&p);
}

START_TEST(both_ends_of_an_ipv4_connection_have_names)
{
    int fd[2];

    raw_pair(fd);
    check_names(fd, "127.0.0.1");
}
END_TEST

START_TEST(both_ends_of_an_ipv6_connection_have_names)
{
    struct sockaddr_in6 sin = {.sin6_family = AF_INET6,
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd[2];
    int probe = socket(AF_INET6, SOCK_STREAM, 0);

    if (probe < 0 || bind(probe, (struct sockaddr *)&sin, sizeof(sin)) != 0) {
        close(probe);
        skip_test("no IPv6 here");
    }
    close(probe);
    pair_at(&sin, sizeof(sin), AF_INET6, fd);
    check_names(fd, "[::1]");
}
END_TEST

START_TEST(an_ipv4_peer_of_a_socket_of_both_families_reads_as_ipv4)
{
    struct sockaddr_in6 sin = {.sin6_family = AF_INET6};
    struct sockaddr_storage peer;
    struct sockaddr_in *in = (struct sockaddr_in *)&peer;
    tcpx_conn *c;
    int fd[2];

    ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:127.0.0.1", &sin.sin6_addr),
                     1);
    pair_at(&sin, sizeof(sin), AF_INET6, fd);
    c = adopt(fd[0]);
    memset(&peer, 0xff, sizeof(peer));
    ck_assert_int_eq(tcpx_conn_peer_sockaddr(c, &peer),
                     (int)sizeof(struct sockaddr_in));
    ck_assert_int_eq(in->sin_family, AF_INET);
    ck_assert_int_eq(in->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    ck_assert_int_eq(ntohs(in->sin_port), (int)port_of(fd[1]));
    tcpx_abort(c);
    close(fd[1]);

    pair_at(&sin, sizeof(sin), AF_INET6, fd);
    check_names(fd, "127.0.0.1");
}
END_TEST

START_TEST(a_binary_ipv6_address_has_all_of_it)
{
    struct sockaddr_in6 sin = {.sin6_family = AF_INET6,
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_storage peer;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&peer;
    tcpx_conn *c;
    int fd[2];

    pair_at(&sin, sizeof(sin), AF_INET6, fd);
    c = adopt(fd[0]);
    ck_assert_int_eq(tcpx_conn_peer_sockaddr(c, &peer),
                     (int)sizeof(struct sockaddr_in6));
    ck_assert_int_eq(in6->sin6_family, AF_INET6);
    ck_assert_mem_eq(&in6->sin6_addr, &sin.sin6_addr, 16);
    ck_assert_int_eq(ntohs(in6->sin6_port), (int)port_of(fd[1]));
    tcpx_abort(c);
    close(fd[1]);
}
END_TEST

START_TEST(a_unix_socket_reads_as_its_path_or_name)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct sockaddr_storage peer;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1);
    char name[64];
    char expected[80];
    struct pair p;
    int fd[2];

    if (_i == 0) {
        snprintf(name, sizeof(name), "/tmp/t_names.%d", (int)getpid());
        snprintf(expected, sizeof(expected), "unix:%s", name);
        memcpy(sun.sun_path, name, strlen(name));
    } else {
        snprintf(name, sizeof(name), "t_names.%d", (int)getpid());
        snprintf(expected, sizeof(expected), "unix:@%s", name);
        memcpy(sun.sun_path + 1, name, strlen(name));
    }
    len += (socklen_t)strlen(name);
    pair_at(&sun, len, AF_UNIX, fd);
    p.a = adopt(fd[0]);
    p.b = adopt(fd[1]);
    ck_assert_str_eq(tcpx_conn_peer(p.a), expected);
    ck_assert_str_eq(tcpx_conn_local(p.a), "unix:");
    ck_assert_str_eq(tcpx_conn_peer(p.b), "unix:");
    ck_assert_str_eq(tcpx_conn_local(p.b), expected);
    ck_assert_int_eq(tcpx_conn_peer_sockaddr(p.a, &peer), (int)len);
    ck_assert_mem_eq(&peer, &sun, len);
    ck_assert_int_eq(tcpx_conn_peer_sockaddr(p.b, &peer),
                     (int)sizeof(sa_family_t));
    ck_assert_int_eq(peer.ss_family, AF_UNIX);
    pair_end(&p);
    if (_i == 0)
        unlink(name);
}
END_TEST

START_TEST(a_pair_has_no_names)
{
    struct pair p = pair_open(PAIR_UNIX);

    ck_assert_str_eq(tcpx_conn_peer(p.a), "unix:");
    ck_assert_str_eq(tcpx_conn_local(p.a), "unix:");
    pair_end(&p);
}
END_TEST

START_TEST(nobody_has_no_name)
{
    struct pair p = pair_open(PAIR_UNIX);
    struct sockaddr_storage peer;

    ck_assert_str_eq(tcpx_conn_peer(NULL), "");
    ck_assert_str_eq(tcpx_conn_local(NULL), "");
    ck_fails(tcpx_conn_peer_sockaddr(NULL, &peer), -EINVAL);
    ck_fails(tcpx_conn_peer_sockaddr(p.a, NULL), -EINVAL);
    pair_end(&p);
}
END_TEST

START_TEST(a_peer_that_is_gone_still_has_its_name)
{
    tcpx_conn *c;
    char expected[64];
    char buf[1];
    int fd[2];

    raw_pair(fd);
    c = adopt(fd[0]);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", port_of(fd[1]));
    raw_reset(fd[1]);
    ck_fails(tcpx_read(c, buf, 1, soon()), -ECONNRESET);
    ck_assert_str_eq(tcpx_conn_peer(c), expected);
    tcpx_abort(c);
}
END_TEST

START_TEST(a_closed_connection_never_asks_about_another_descriptor)
{
    struct sockaddr_storage peer;
    tcpx_conn *c;
    int fd[2];
    int other[2];
    int ends[2];

    /* One whose texts were never asked for, kept by a reference. */
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    c = tcpx_conn_ref(adopt(ends[0]));
    tcpx_abort(c);
    /* This takes the number that became free. */
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    ck_assert_int_eq(other[0], ends[0]);
    ck_assert_str_eq(tcpx_conn_peer(c), "");
    ck_assert_str_eq(tcpx_conn_local(c), "");
    ck_fails(tcpx_conn_peer_sockaddr(c, &peer), -EBADF);
    tcpx_conn_unref(c);
    close(other[0]);
    close(other[1]);
    close(ends[1]);

    /* A TCP peer is remembered. */
    raw_pair(fd);
    c = tcpx_conn_ref(adopt(fd[0]));
    tcpx_abort(c);
    ck_assert_int_eq(strncmp(tcpx_conn_peer(c), "127.0.0.1:", 10), 0);
    ck_assert_str_eq(tcpx_conn_local(c), "");
    tcpx_conn_unref(c);
    close(fd[1]);
}
END_TEST

static void *ask_for_names(void *arg)
{
    tcpx_conn *c = arg;
    const char *peer = tcpx_conn_peer(c);

    ck_assert_ptr_eq(tcpx_conn_local(c), tcpx_conn_local(c));
    return (void *)(uintptr_t)peer;
}

START_TEST(tasks_that_ask_at_once_get_one_text)
{
    for (int round = 0; round < 50; round++) {
        struct pair p = pair_open(PAIR_SHARED);
        pthread_t thread[4];
        const char *text;

        for (int i = 0; i < 4; i++)
            thread[i] = start_thread(ask_for_names, p.a);
        text = tcpx_conn_peer(p.a);
        for (int i = 0; i < 4; i++)
            ck_assert_ptr_eq(end_thread(thread[i]), text);
        pair_end(&p);
    }
}
END_TEST

static void fill_names(TCase *tc)
{
    tcase_add_test(tc, both_ends_of_an_ipv4_connection_have_names);
    tcase_add_test(tc, both_ends_of_an_ipv6_connection_have_names);
    tcase_add_test(tc, an_ipv4_peer_of_a_socket_of_both_families_reads_as_ipv4);
    tcase_add_test(tc, a_binary_ipv6_address_has_all_of_it);
    tcase_add_loop_test(tc, a_unix_socket_reads_as_its_path_or_name, 0, 2);
    tcase_add_test(tc, a_pair_has_no_names);
    tcase_add_test(tc, nobody_has_no_name);
    tcase_add_test(tc, a_peer_that_is_gone_still_has_its_name);
    tcase_add_test(tc, a_closed_connection_never_asks_about_another_descriptor);
}

static void fill_threads(TCase *tc)
{
    tcase_add_test(tc, tasks_that_ask_at_once_get_one_text);
}

const struct test_case test_cases[] = {
    {"names", "names", fill_names},
    {"names", "threads", fill_threads},
    {NULL, NULL, NULL},
};
