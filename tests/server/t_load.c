/* SPDX-License-Identifier: MIT */
/*
 * t_load.c - stops of a server under load: whoever was connected and asked
 * gets the whole answer.
 *
 * Each client is a process that connects, asks, reads, and begins anew, until
 * the server has stopped.  The number of stops for each model is 3, or
 * what TCPX_TEST_STOPS says: the test in CTest's group `slow` makes 200.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "runner.h"
#include "server/serving.h"

#define CLIENTS 4
/* Over loopback a handshake takes no time; what takes longer is a SYN that was
   dropped, which the kernel repeats only after a second. */
#define HANDSHAKE (50 * TCPX_MSEC)
#define QUESTION "what is the answer, and is it whole?"

static int stops(void)
{
    const char *n = getenv("TCPX_TEST_STOPS");

    return n ? atoi(n) : 3;
}

/* What the clients of one stop have seen. */
struct tally {
    _Atomic int answered;
    _Atomic int lost;
    _Atomic int stopped; /* the run has ended */
};
static struct tally *tally;

static int ask_until_stopped(const char *address, int arg)
{
    (void)arg;
    while (!atomic_load(&tally->stopped)) {
        switch (ask_over(dial_for(address, HANDSHAKE), QUESTION)) {
        case ANSWERED:
            atomic_fetch_add(&tally->answered, 1);
            break;
        case LOST:
            atomic_fetch_add(&tally->lost, 1);
            break;
        default: /* turned away: it is to be stopped, or was */
            break;
        }
    }
    return 0;
}

static void await_answers(int n)
{
    tcpx_time until = soon();

    while (atomic_load(&tally->answered) < n) {
        ck_assert_int_lt(tcpx_now(), until);
        poll(NULL, 0, 1);
    }
}

/* Starts, lets so many be answered, and stops; asserts that nobody was lost. */
static void stop_under_load(int model, int answers)
{
    tcpx_server_opts o = serving_opts(model);
    struct serving s;
    tcpx_server_counts n;
    pid_t clients[CLIENTS];

    atomic_store(&tally->answered, 0);
    atomic_store(&tally->lost, 0);
    atomic_store(&tally->stopped, 0);
    o.workers = model == POOL ? 3 : 0;
    prepare(&s, echo_handler, NULL, &o);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = start_clients(ask_until_stopped, &s, 0);
    start_serving(&s);
    await_answers(answers);
    ck_ok(stop_serving(&s));
    atomic_store(&tally->stopped, 1);
    n = end_serving(&s);
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(end_clients(clients[i]), 0);
    ck_assert_int_eq(atomic_load(&tally->lost), 0);
    ck_assert_uint_eq(n.accepted, (uint64_t)atomic_load(&tally->answered));
    ck_assert_uint_eq(n.closed, n.accepted);
    ck_assert_uint_eq(n.bytes_written, n.accepted * strlen(QUESTION));
}

START_TEST(no_client_that_asked_goes_without_its_answer)
{
    /* Anonymous and shared, so that the clients' processes count into it. */
    tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(tally, MAP_FAILED);
    for (int i = 0; i < stops(); i++)
        stop_under_load(_i, 1 + i * 7 % 40);
    munmap(tally, sizeof(*tally));
}
END_TEST

static void fill_stops(TCase *tc)
{
    tcase_set_timeout(tc, 30 + 2 * stops());
    tcase_add_loop_test(tc, no_client_that_asked_goes_without_its_answer, 0,
                        MODELS);
}

const struct test_case test_cases[] = {
    {"load", "stops", fill_stops},
    {NULL, NULL, NULL},
};
