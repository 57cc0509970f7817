/* SPDX-License-Identifier: MIT */
/*
 * t_frame.c - messages that announce their length.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "pairs.h"
#include "runner.h"
#include "support.h"

/* One frame of "abc" on the wire, in every encoding. */
static const struct {
    int32_t length;
    int32_t counts_itself;
    size_t field; /* bytes of the length */
    const char *wire;
} forms[] = {
    {TCPX_FRAME_BE32, 0, 4, "\0\0\0\3abc"},
    {TCPX_FRAME_U8, 0, 1, "\3abc"},
    {TCPX_FRAME_BE16, 0, 2, "\0\3abc"},
    {TCPX_FRAME_BE64, 0, 8, "\0\0\0\0\0\0\0\3abc"},
    {TCPX_FRAME_LE16, 0, 2, "\3\0abc"},
    {TCPX_FRAME_LE32, 0, 4, "\3\0\0\0abc"},
    {TCPX_FRAME_LE64, 0, 8, "\3\0\0\0\0\0\0\0abc"},
    {TCPX_FRAME_VARINT, 0, 1, "\3abc"},
    {TCPX_FRAME_BE32, 1, 4, "\0\0\0\7abc"},
    {TCPX_FRAME_U8, 1, 1, "\4abc"},
    {TCPX_FRAME_BE16, 1, 2, "\0\5abc"},
    {TCPX_FRAME_BE64, 1, 8, "\0\0\0\0\0\0\0\13abc"},
    {TCPX_FRAME_LE16, 1, 2, "\5\0abc"},
    {TCPX_FRAME_LE32, 1, 4, "\7\0\0\0abc"},
    {TCPX_FRAME_LE64, 1, 8, "\13\0\0\0\0\0\0\0abc"},
    {TCPX_FRAME_VARINT, 1, 1, "\4abc"},
};

#define FORMS (int)(sizeof(forms) / sizeof(forms[0]))

START_TEST(every_kind_of_length_is_written_as_it_should_be)
{
    struct fed f = fed_open(PAIR_UNIX);
    size_t wire = forms[_i].field + 3;
    char sent[16];
    size_t done;

    ck_ok(tcpx_write_frame(f.c,
                           TCPX_FRAME(.length = forms[_i].length,
                                      .counts_itself = forms[_i].counts_itself),
                           "abc", 3, &done, soon()));
    ck_assert_uint_eq(done, wire);
    ck_assert_uint_eq(raw_recv(f.peer, sent, wire), wire);
    ck_assert_mem_eq(sent, forms[_i].wire, wire);
    ck_assert_uint_eq(tcpx_conn_bytes_written(f.c), wire);
    fed_end(&f);
}
END_TEST

START_TEST(every_kind_of_length_is_read_however_it_is_split)
{
    size_t wire = forms[_i].field + 3;

    for (int kind = 0; kind < PAIRS; kind++) {
        for (size_t cut = 0; cut < wire; cut++) {
            tcpx_frame *format =
                TCPX_FRAME(.length = forms[_i].length,
                           .counts_itself = forms[_i].counts_itself);
            struct fed f = fed_open(kind);
            char buf[4] = "????";

            raw_send(f.peer, forms[_i].wire, cut);
            ck_fails(tcpx_read_frame(f.c, format, buf, 3, TCPX_NOW),
                     TCPX_EDEADLINE);
            ck_assert_uint_eq(tcpx_conn_bytes_read(f.c), 0);
            raw_send(f.peer, forms[_i].wire + cut, wire - cut);
            ck_assert_int_eq(tcpx_read_frame(f.c, format, buf, 3, soon()), 3);
            ck_assert_mem_eq(buf, "abc?", 4);
            ck_assert_uint_eq(tcpx_conn_bytes_read(f.c), wire);
            fed_end(&f);
        }
    }
}
END_TEST

/* Lengths at which the encodings change. */
static const size_t edges[] = {
    0,     1,     125,   126,   127,   128,     129,     253,     254,
    255,   256,   16381, 16382, 16383, 16384,   16385,   65532,   65533,
    65534, 65535, 65536, 65537, 99999, 2097148, 2097150, 2097151, 2097152};

static int fits(int form, size_t len)
{
    size_t value = len + (forms[form].counts_itself ? forms[form].field : 0);

    return forms[form].length == TCPX_FRAME_VARINT || forms[form].field >= 4 ||
           value < (size_t)1 << (8 * forms[form].field);
}

struct sending {
    tcpx_conn *c;
    int form;
    unsigned char *data;
};

static void *send_edges(void *arg)
{
    struct sending *s = arg;

    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        size_t done = 77;
        int err = tcpx_write_frame(
            s->c,
            TCPX_FRAME(.length = forms[s->form].length,
                       .counts_itself = forms[s->form].counts_itself),
            s->data, edges[i], &done, soon());

        ck_assert_int_eq(err, fits(s->form, edges[i]) ? 0 : TCPX_ETOOLONG);
        if (err)
            ck_assert_uint_eq(done, 0);
    }
    return NULL;
}

START_TEST(frames_of_every_length_come_back_as_they_were)
{
    size_t size = 2097152;
    unsigned char *data = malloc(size);
    unsigned char *buf = malloc(size);

    ck_assert_ptr_nonnull(data);
    ck_assert_ptr_nonnull(buf);
    fill_pattern(data, size, 0);
    for (int kind = 0; kind < PAIRS; kind++) {
        struct pair p = pair_open(kind);
        struct sending s = {p.a, _i, data};
        pthread_t thread = start_thread(send_edges, &s);

        for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
            if (!fits(_i, edges[i]))
                continue;
            ck_assert_int_eq(
                tcpx_read_frame(
                    p.b,
                    TCPX_FRAME(.length = forms[_i].length,
                               .counts_itself = forms[_i].counts_itself),
                    buf, size, soon()),
                (ssize_t)edges[i]);
            ck_assert_int_eq(memcmp(buf, data, edges[i]), 0);
        }
        end_thread(thread);
        ck_assert_uint_eq(tcpx_conn_bytes_read(p.b),
                          tcpx_conn_bytes_written(p.a));
        pair_end(&p);
    }
    free(data);
    free(buf);
}
END_TEST

static void fill_encodings(TCase *tc)
{
    tcase_add_loop_test(tc, every_kind_of_length_is_written_as_it_should_be, 0,
                        FORMS);
    tcase_add_loop_test(tc, every_kind_of_length_is_read_however_it_is_split, 0,
                        FORMS);
    tcase_add_loop_test(tc, frames_of_every_length_come_back_as_they_were, 0,
                        FORMS);
}

START_TEST(an_empty_frame_is_a_frame)
{
    struct pair p = pair_open(_i);
    char buf[1] = "?";
    size_t done;

    ck_ok(tcpx_write_frame(p.a, NULL, NULL, 0, &done, soon()));
    ck_assert_uint_eq(done, 4);
    ck_assert_int_eq(tcpx_read_frame(p.b, NULL, buf, 1, soon()), 0);
    ck_assert_int_eq(buf[0], '?');
    pair_end(&p);
}
END_TEST

START_TEST(a_frame_at_the_limit_passes_and_one_over_it_takes_nothing)
{
    struct fed f = fed_open(_i);
    char buf[8] = "untouch";

    raw_send(f.peer, "\0\0\0\4four\0\0\0\5", 12);
    ck_assert_int_eq(tcpx_read_frame(f.c, NULL, buf, 4, soon()), 4);
    ck_assert_mem_eq(buf, "fouruch", 8);
    /* It is told at once, before the rest comes. */
    ck_fails(tcpx_read_frame(f.c, NULL, buf, 4, soon()), TCPX_ETOOLONG);
    ck_fails(tcpx_read_frame(f.c, TCPX_FRAME(.max = 4), buf, 8, soon()),
             TCPX_ETOOLONG);
    ck_assert_uint_eq(tcpx_conn_bytes_read(f.c), 8);
    /* .max above the buffer is no promise of room. */
    ck_fails(tcpx_read_frame(f.c, TCPX_FRAME(.max = 100), buf, 4, soon()),
             TCPX_ETOOLONG);
    feed(&f, "fiver");
    ck_assert_int_eq(tcpx_read_frame(f.c, TCPX_FRAME(.max = 5), buf, 8, soon()),
                     5);
    ck_assert_mem_eq(buf, "fiver", 5);
    fed_end(&f);
}
END_TEST

START_TEST(an_announcement_of_2_to_the_63_is_only_a_number)
{
    static const char huge[] = "\200\0\0\0\0\0\0\0rest";
    static const char all_ones[] = "\377\377\377\377\377\377\377\377";
    static const char varint[] = "\377\377\377\377\377\377\377\377\377\1";
    struct fed f = fed_open(_i);
    char buf[16];

    raw_send(f.peer, huge, 12);
    ck_fails(tcpx_read_frame(f.c, TCPX_FRAME(.length = TCPX_FRAME_BE64), buf,
                             sizeof(buf), soon()),
             TCPX_ETOOLONG);
    ck_ok(tcpx_readn(f.c, buf, 12, NULL, soon()));
    ck_assert_mem_eq(buf, huge, 12);
    raw_send(f.peer, all_ones, 8);
    ck_fails(tcpx_read_frame(
                 f.c, TCPX_FRAME(.length = TCPX_FRAME_LE64, .max = INT64_MAX),
                 buf, sizeof(buf), soon()),
             TCPX_ETOOLONG);
    ck_ok(tcpx_readn(f.c, buf, 8, NULL, soon()));
    raw_send(f.peer, varint, 10);
    ck_fails(tcpx_read_frame(f.c, TCPX_FRAME(.length = TCPX_FRAME_VARINT), buf,
                             sizeof(buf), soon()),
             TCPX_ETOOLONG);
    fed_end(&f);
}
END_TEST

START_TEST(a_malformed_announcement_is_refused)
{
    static const struct {
        int32_t length;
        int32_t counts_itself;
        size_t len;
        const char *wire;
    } rows[] = {
        /* Longer than need be: 0, 1 and 127 in two bytes, 1 in ten. */
        {TCPX_FRAME_VARINT, 0, 2, "\200\0"},
        {TCPX_FRAME_VARINT, 0, 2, "\201\0"},
        {TCPX_FRAME_VARINT, 0, 2, "\377\0"},
        {TCPX_FRAME_VARINT, 0, 10, "\201\200\200\200\200\200\200\200\200\0"},
        /* More than 64 bits, and more than ten bytes. */
        {TCPX_FRAME_VARINT, 0, 10, "\377\377\377\377\377\377\377\377\377\2"},
        {TCPX_FRAME_VARINT, 0, 10, "\200\200\200\200\200\200\200\200\200\201"},
        /* A length that counts itself and is less than itself. */
        {TCPX_FRAME_U8, 1, 1, "\0"},
        {TCPX_FRAME_BE16, 1, 2, "\0\1"},
        {TCPX_FRAME_BE32, 1, 4, "\0\0\0\3"},
        {TCPX_FRAME_LE64, 1, 8, "\7\0\0\0\0\0\0\0"},
        {TCPX_FRAME_VARINT, 1, 1, "\0"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fed f = fed_open(_i);
        tcpx_frame *format = TCPX_FRAME(.length = rows[i].length,
                                        .counts_itself = rows[i].counts_itself);
        char buf[16];

        raw_send(f.peer, rows[i].wire, rows[i].len - 1);
        ck_fails(tcpx_read_frame(f.c, format, buf, sizeof(buf), TCPX_NOW),
                 TCPX_EDEADLINE);
        raw_send(f.peer, rows[i].wire + rows[i].len - 1, 1);
        ck_fails(tcpx_read_frame(f.c, format, buf, sizeof(buf), soon()),
                 TCPX_EPROTO);
        ck_ok(tcpx_readn(f.c, buf, rows[i].len, NULL, soon()));
        ck_assert_mem_eq(buf, rows[i].wire, rows[i].len);
        fed_end(&f);
    }
}
END_TEST

START_TEST(the_stream_may_end_between_frames_only)
{
    static const char wire[] = "\0\0\0\3abc\0\0\0\3ab";
    char buf[16];

    for (size_t cut = 7; cut < sizeof(wire) - 1; cut++) {
        struct fed f = fed_open(_i);

        raw_send(f.peer, wire, cut);
        feed_end(&f);
        ck_assert_int_eq(tcpx_read_frame(f.c, NULL, buf, 16, soon()), 3);
        ck_fails(tcpx_read_frame(f.c, NULL, buf, 16, soon()),
                 cut == 7 ? TCPX_EOF : TCPX_ETRUNC);
        /* What there is of it can still be had. */
        ck_assert_int_eq(tcpx_read(f.c, buf, 16, soon()), (ssize_t)(cut - 7));
        ck_fails(tcpx_read_frame(f.c, NULL, buf, 16, soon()), TCPX_EOF);
        fed_end(&f);
    }
}
END_TEST

START_TEST(bytes_after_a_frame_come_first_whichever_read_comes)
{
    struct fed f = fed_open(_i);
    char buf[16];

    raw_send(f.peer, "\0\0\0\1xline\n\0\0\0\1yz", 16);
    ck_assert_int_eq(tcpx_read_frame(f.c, NULL, buf, 16, soon()), 1);
    ck_assert_int_eq(tcpx_readline(f.c, buf, 16, TCPX_NOW), 4);
    ck_assert_int_eq(tcpx_read_frame(f.c, NULL, buf, 16, TCPX_NOW), 1);
    ck_assert_int_eq(buf[0], 'y');
    ck_assert_int_eq(tcpx_read(f.c, buf, 16, TCPX_NOW), 1);
    ck_assert_int_eq(buf[0], 'z');
    fed_end(&f);
}
END_TEST

static void fill_reading(TCase *tc)
{
    tcase_add_loop_test(tc, an_empty_frame_is_a_frame, 0, PAIRS);
    tcase_add_loop_test(
        tc, a_frame_at_the_limit_passes_and_one_over_it_takes_nothing, 0,
        PAIRS);
    tcase_add_loop_test(tc, an_announcement_of_2_to_the_63_is_only_a_number, 0,
                        PAIRS);
    tcase_add_loop_test(tc, a_malformed_announcement_is_refused, 0, PAIRS);
    tcase_add_loop_test(tc, the_stream_may_end_between_frames_only, 0, PAIRS);
    tcase_add_loop_test(tc, bytes_after_a_frame_come_first_whichever_read_comes,
                        0, PAIRS);
}

static void refuse_format(tcpx_conn *c, const tcpx_frame *format, int code)
{
    size_t done = 7;
    char buf[8];

    ck_fails(tcpx_read_frame(c, format, buf, 8, TCPX_NOW), code);
    ck_fails(tcpx_write_frame(c, format, buf, 8, &done, TCPX_NOW), code);
    ck_assert_uint_eq(done, 0);
}

START_TEST(a_format_that_makes_no_sense_is_refused)
{
    struct pair p = pair_open(PAIR_UNIX);
    struct {
        tcpx_frame known;
        int64_t beyond;
    } newer = {{.size = sizeof(newer)}, 1};
    tcpx_frame f = tcpx_frame_defaults();

    f.size = 0;
    refuse_format(p.a, &f, -EINVAL);
    f.size = sizeof(f) - 1;
    refuse_format(p.a, &f, -EINVAL);
    refuse_format(p.a, &newer.known, -E2BIG);
    refuse_format(p.a, TCPX_FRAME(.length = -1), -EINVAL);
    refuse_format(p.a, TCPX_FRAME(.length = TCPX_FRAME_VARINT + 1), -EINVAL);
    refuse_format(p.a, TCPX_FRAME(.max = -1), -EINVAL);
    refuse_format(p.a, TCPX_FRAME(.max = INT64_MIN), -EINVAL);
    refuse_format(p.a, TCPX_FRAME(.counts_itself = 2), -EINVAL);
    refuse_format(p.a, TCPX_FRAME(.counts_itself = -1), -EINVAL);
    refuse_format(p.a, TCPX_FRAME(.reserved_0 = 1), -EINVAL);
    newer.beyond = 0;
    ck_ok(tcpx_write_frame(p.a, &newer.known, "x", 1, NULL, soon()));
    pair_end(&p);
}
END_TEST

START_TEST(a_frame_needs_a_connection_and_memory)
{
    struct pair p = pair_open(PAIR_UNIX);
    char buf[8];

    ck_fails(tcpx_read_frame(NULL, NULL, buf, 8, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_read_frame(p.a, NULL, NULL, 8, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_read_frame(p.a, NULL, buf, 0, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_read_frame(p.a, NULL, buf, SIZE_MAX, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_read_frame(p.a, NULL, buf, 8, TCPX_MSEC), -EINVAL);
    ck_fails(tcpx_write_frame(NULL, NULL, buf, 8, NULL, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_write_frame(p.a, NULL, NULL, 8, NULL, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_write_frame(p.a, NULL, buf, SIZE_MAX, NULL, TCPX_NOW),
             -EINVAL);
    ck_fails(tcpx_write_frame(p.a, NULL, buf, 8, NULL, TCPX_MSEC), -EINVAL);
    ck_assert_int_eq(tcpx_conn_state(p.a), 0);
    pair_end(&p);
}
END_TEST

START_TEST(a_payload_over_the_limit_is_not_sent)
{
    struct pair p = pair_open(_i);
    unsigned char *data = calloc(1, (16 << 20) + 1);
    char buf[8];
    size_t done = 7;

    ck_assert_ptr_nonnull(data);
    ck_fails(tcpx_write_frame(p.a, NULL, data, (16 << 20) + 1, &done, soon()),
             TCPX_ETOOLONG);
    ck_assert_uint_eq(done, 0);
    ck_fails(
        tcpx_write_frame(p.a, TCPX_FRAME(.max = 3), "four", 4, &done, soon()),
        TCPX_ETOOLONG);
    ck_fails(tcpx_write_frame(p.a, TCPX_FRAME(.length = TCPX_FRAME_U8), data,
                              256, &done, soon()),
             TCPX_ETOOLONG);
    ck_assert_uint_eq(tcpx_conn_bytes_written(p.a), 0);
    ck_assert_int_eq(tcpx_conn_state(p.a), 0);
    ck_ok(tcpx_write_frame(p.a, TCPX_FRAME(.max = 4), "four", 4, NULL, soon()));
    ck_assert_int_eq(tcpx_read_frame(p.b, NULL, buf, 8, soon()), 4);
    free(data);
    pair_end(&p);
}
END_TEST

static void fill_refused(TCase *tc)
{
    tcase_add_test(tc, a_format_that_makes_no_sense_is_refused);
    tcase_add_test(tc, a_frame_needs_a_connection_and_memory);
    tcase_add_loop_test(tc, a_payload_over_the_limit_is_not_sent, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"frame", "encodings", fill_encodings},
    {"frame", "reading", fill_reading},
    {"frame", "refused", fill_refused},
    {NULL, NULL, NULL},
};
