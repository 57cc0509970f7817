/* SPDX-License-Identifier: MIT */
/*
 * runner.c - runs the table of a test program under libcheck.
 *
 * Three mistakes of a test run must not pass as success: a filter that matches
 * no test, a skip that nobody sees, and something that a test leaves behind.
 * libcheck runs each test in a child, so skips are counted in a shared page.
 *
 * Exit status: 0 passed, 1 failed, 2 nothing ran, 77 something was skipped.
 */
#include "runner.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tcpx.h>
#include <time.h>
#include <unistd.h>
#include "sanitizers.h"

#define MAX_FDS 1024
#define MAX_CASES 256
#define EXIT_NOTHING_RAN 2
#define EXIT_SKIPPED 77

/*
 * A descriptor, with what tells a number that was closed and used again; not
 * by its path, which changes with the mount namespace.
 */
struct open_file {
    int fd;
    dev_t device;
    ino_t inode;
    char what[120]; /* for the reader: "socket:[12345]" */
};

/* What a test must leave as it was. */
struct snapshot {
    int fds;
    struct open_file fd[MAX_FDS];
    int threads;
    int children;
};

static atomic_int *skips;
static struct snapshot before;
static int more_threads;

void note_skip(const char *test, const char *why, ...)
{
    char reason[256];
    va_list ap;
    /* START_TEST() appends this to the name. */
    size_t len = strlen(test);

    if (len > 5 && strcmp(test + len - 5, "_body") == 0)
        len -= 5;
    va_start(ap, why);
    vsnprintf(reason, sizeof(reason), why, ap);
    va_end(ap);
    printf("SKIPPED %.*s: %s\n", (int)len, test, reason);
    fflush(stdout);
    atomic_fetch_add(skips, 1);
}

const char *test_world(void)
{
    const char *world = getenv("TCPX_TEST_WORLD");

    return world ? world : "thread";
}

struct body {
    void (*run)(int);
    int i;
    int has_begun;
};

static int run_in_fiber(void *arg)
{
    struct body *body = arg;

    body->has_begun = 1;
    body->run(body->i);
    return 0;
}

/* Tests keep more on the stack than a handler would. */
#define TEST_STACK (UINT64_C(8) << 20)

void run_body(void (*run)(int), int i)
{
    struct body body = {.run = run, .i = i};
    int engine = strcmp(test_world(), "epoll") == 0   ? TCPX_ENGINE_EPOLL
                 : strcmp(test_world(), "uring") == 0 ? TCPX_ENGINE_URING
                                                      : TCPX_ENGINE_AUTO;
    int err;

    if (engine == TCPX_ENGINE_AUTO) {
        run(i);
        return;
    }
    err = tcpx_run(run_in_fiber, &body, NULL,
                   TCPX_RUN(.engine = engine, .stack_size = TEST_STACK));
    if (err == -ENOTSUP && !body.has_begun) {
        note_skip("every test over io_uring", "this system refuses it");
        return;
    }
    ck_assert_msg(err == 0, "tcpx_run: %s", tcpx_strerror(err));
}

int let_fibers_run(void)
{
    if (!tcpx_task_engine(tcpx_task_self()))
        return 0;
    ck_assert_int_eq(tcpx_sleep(tcpx_after(TCPX_MSEC)), 0);
    return 1;
}

void threads_may_stay(int n)
{
    more_threads = n;
}

static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;

    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void list_fds(struct snapshot *s)
{
    DIR *dir = opendir("/proc/self/fd");

    ck_assert_ptr_nonnull(dir);
    s->fds = 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        struct open_file *f = &s->fd[s->fds];
        struct stat status;

        f->fd = (int)strtol(e->d_name, NULL, 10);
        if (e->d_name[0] == '.' || f->fd == dirfd(dir))
            continue;
        ck_assert_int_eq(fstat(f->fd, &status), 0);
        f->device = status.st_dev;
        f->inode = status.st_ino;
        ssize_t n =
            readlinkat(dirfd(dir), e->d_name, f->what, sizeof(f->what) - 1);

        f->what[n < 0 ? 0 : n] = 0;
        s->fds++;
        ck_assert_int_lt(s->fds, MAX_FDS);
    }
    closedir(dir);
}

static int has_children(void)
{
    siginfo_t info;
    int rc = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL);

    return !(rc < 0 && errno == ECHILD);
}

/* What s has under the number of f, if that is not the same: else NULL. */
static const char *differs(const struct snapshot *s, const struct open_file *f)
{
    for (int i = 0; i < s->fds; i++) {
        const struct open_file *g = &s->fd[i];

        if (g->fd == f->fd)
            return g->device == f->device && g->inode == f->inode ? NULL
                                                                  : g->what;
    }
    return "nothing";
}

/* The first wait of a thread makes an eventfd, which it keeps to its end. */
static int is_of_this_task(const struct snapshot *a, const struct snapshot *b,
                           int i)
{
    const char *eventfd = "anon_inode:[eventfd]";

    for (int k = 0; k < i; k++) {
        if (strcmp(b->fd[k].what, eventfd) == 0)
            return 0;
    }
    for (int k = 0; k < a->fds; k++) {
        if (strcmp(a->fd[k].what, eventfd) == 0)
            return 0;
    }
    return strcmp(b->fd[i].what, eventfd) == 0;
}

static void compare_fds(const struct snapshot *a, const struct snapshot *b)
{
    for (int i = 0; i < b->fds; i++) {
        const char *was = differs(a, &b->fd[i]);

        ck_assert_msg(!was || is_of_this_task(a, b, i),
                      "descriptor %d is %s; before the test it was %s",
                      b->fd[i].fd, b->fd[i].what, was);
    }
    for (int i = 0; i < a->fds; i++) {
        const char *is = differs(b, &a->fd[i]);

        ck_assert_msg(!is, "descriptor %d was %s before the test and is %s",
                      a->fd[i].fd, a->fd[i].what, is);
    }
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* ThreadSanitizer adds a thread of its own to the first of a process. */
static void start_sanitizer(void)
{
    pthread_t first;

    if (!TEST_TSAN)
        return;
    ck_assert_int_eq(pthread_create(&first, NULL, do_nothing, NULL), 0);
    pthread_join(first, NULL);
}

static void before_each(void)
{
    more_threads = 0;
    start_sanitizer();
    list_fds(&before);
    before.threads = count_threads();
    before.children = has_children();
}

/*
 * A thread that was joined, or that has said its last word, is listed in /proc
 * until the kernel has taken it down; nothing can be waited on for that.
 */
static int threads_settled(int most)
{
    const struct timespec pause = {0, 1000000};

    for (int i = 0; i < 2000; i++) {
        if (count_threads() <= most)
            return 1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static void after_each(void)
{
    static struct snapshot after;

    ck_assert_msg(threads_settled(before.threads + more_threads),
                  "%d threads, %d before the test", count_threads(),
                  before.threads);
    ck_assert_msg(has_children() == before.children,
                  "the test left a child behind");
    list_fds(&after);
    compare_fds(&before, &after);
}

static int list_cases(void)
{
    for (const struct test_case *t = test_cases; t->name; t++)
        printf("%s\t%s\n", t->suite, t->name);
    return 0;
}

/* The suite of row i: that of an earlier row with the same name, or new. */
static Suite *suite_of(int i, Suite **suites, SRunner *sr)
{
    for (int k = 0; k < i; k++) {
        if (strcmp(test_cases[k].suite, test_cases[i].suite) == 0)
            return suites[k];
    }
    Suite *s = suite_create(test_cases[i].suite);

    srunner_add_suite(sr, s);
    return s;
}

static SRunner *build(void)
{
    static Suite *suites[MAX_CASES];
    SRunner *sr = srunner_create(NULL);

    for (int i = 0; i < MAX_CASES && test_cases[i].name; i++) {
        TCase *tc = tcase_create(test_cases[i].name);

        suites[i] = suite_of(i, suites, sr);
        /* First in, so that it goes round the fixtures of the case. */
        tcase_add_checked_fixture(tc, before_each, after_each);
        test_cases[i].fill(tc);
        suite_add_tcase(suites[i], tc);
    }
    return sr;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list_cases();
    if (argc != 1) {
        fprintf(stderr,
                "usage: %s [--list]\nCK_RUN_SUITE and CK_RUN_CASE in the "
                "environment choose what runs.\n",
                argv[0]);
        return EXIT_NOTHING_RAN;
    }
    skips = mmap(NULL, sizeof(*skips), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (skips == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    setenv("CK_DEFAULT_TIMEOUT", "30", 0);

    SRunner *sr = build();

    srunner_run_all(sr, CK_ENV);
    int ran = srunner_ntests_run(sr);
    int failed = srunner_ntests_failed(sr);

    srunner_free(sr);
    if (ran == 0) {
        fprintf(stderr, "no test ran: nothing has that suite and case\n");
        return EXIT_NOTHING_RAN;
    }
    if (failed)
        return 1;
    return atomic_load(skips) ? EXIT_SKIPPED : 0;
}
