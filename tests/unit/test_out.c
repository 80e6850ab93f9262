/* test_out.c: replies in both protocol versions, aggregates of unknown size, rolling back, all across chunk borders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resp/out.h"

typedef struct fixture {
    roan_out_pool pool;
    roan_out out;
} fixture;

static void begin(fixture *f, int protocol)
{
    *f = (fixture){.pool = {.count_max = 4}};
    roan_out_init(&f->out, &f->pool, protocol);
}

static void end(fixture *f)
{
    roan_out_done(&f->out);
    roan_out_pool_done(&f->pool);
}

static void assert_written(const fixture *f, const char *expected, size_t bytes)
{
    assert_int_equal(roan_out_bytes(&f->out), bytes);
    char *copy = malloc(bytes + 1);
    roan_out_copy(&f->out, copy);
    assert_memory_equal(copy, expected, bytes);
    free(copy);
}

static void write_one_of_each(roan_out *out)
{
    roan_out_ok(out);
    roan_out_integer(out, -5);
    roan_out_error(out, ROAN_LITERAL("ERR a\r\nb"));
    roan_out_bulk(out, ROAN_LITERAL("ab"));
    roan_out_null(out);
    roan_out_null_array(out);
    roan_out_map(out, 1);
    roan_out_set(out, 2);
    roan_out_push(out, 3);
    roan_out_double(out, 1.5);
    roan_out_bool(out, true);
    roan_out_big_number(out, ROAN_LITERAL("12"));
    roan_out_verbatim(out, "txt", ROAN_LITERAL("hi"));
}

static void every_type_has_its_form_in_both_versions(void **state)
{
    (void)state;
    static const char second[] = "+OK\r\n:-5\r\n-ERR a  b\r\n$2\r\nab\r\n$-1\r\n*-1\r\n*2\r\n*2\r\n*3\r\n$3\r\n1.5\r\n"
                                 ":1\r\n$2\r\n12\r\n$2\r\nhi\r\n";
    static const char third[] = "+OK\r\n:-5\r\n-ERR a  b\r\n$2\r\nab\r\n_\r\n_\r\n%1\r\n~2\r\n>3\r\n,1.5\r\n"
                                "#t\r\n(12\r\n=6\r\ntxt:hi\r\n";
    fixture f;
    begin(&f, 2);
    write_one_of_each(&f.out);
    assert_written(&f, second, sizeof second - 1);
    end(&f);
    begin(&f, 3);
    write_one_of_each(&f.out);
    assert_written(&f, third, sizeof third - 1);
    end(&f);
}

/* An opened array that stands `before` bytes behind the beginning, with a bulk of `inside` bytes in it. */
static void try_open(size_t before, size_t inside)
{
    fixture f;
    char *text = malloc(before + inside + 64), *expected = malloc(before + inside + 64);
    memset(text, 'x', before + inside);
    begin(&f, 3);
    roan_out_raw(&f.out, text, before);
    roan_out_mark outer = roan_out_open(&f.out);
    roan_out_mark inner = roan_out_open(&f.out);
    roan_out_bulk(&f.out, roan_slice_make(text, inside));
    roan_out_close_bulk(&f.out, inner, ROAN_LITERAL("17"));
    roan_out_close_array(&f.out, outer, 2);
    memcpy(expected, text, before);
    size_t bytes = before + (size_t)snprintf(expected + before, 64, "*2\r\n$2\r\n17\r\n$%zu\r\n", inside);
    memcpy(expected + bytes, text, inside);
    memcpy(expected + bytes + inside, "\r\n", 2);
    assert_written(&f, expected, bytes + inside + 2);
    end(&f);
    free(text);
    free(expected);
}

static void opened_aggregates_get_their_size_later(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 100, 16000, 50000};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 5; j++)
            try_open(sizes[i], sizes[j]);
    for (size_t before = ROAN_OUT_CHUNK_BYTES - 120; before < ROAN_OUT_CHUNK_BYTES + 20; before++)
        try_open(before, 30);
}

static void rolling_back_leaves_what_was_there(void **state)
{
    (void)state;
    static char text[100000];
    memset(text, 'y', sizeof text);
    for (size_t before = 0; before < 40000; before += 1777) {
        fixture f;
        begin(&f, 2);
        roan_out_raw(&f.out, text, before);
        size_t bytes = roan_out_bytes(&f.out);
        roan_out_bulk(&f.out, roan_slice_make(text, before % 3 == 0 ? 10 : sizeof text));
        roan_out_rollback(&f.out, bytes);
        assert_written(&f, text, before);
        roan_out_raw(&f.out, text, 50);
        assert_written(&f, text, before + 50);
        end(&f);
    }
}

static void a_taken_chain_holds_all_bytes_in_order(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 2);
    assert_null(roan_out_take(&f.out));
    for (int64_t i = 0; i < 20000; i++)
        roan_out_integer(&f.out, i);
    size_t bytes = roan_out_bytes(&f.out), seen = 0;
    for (roan_out_chunk *chunk = roan_out_take(&f.out), *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        assert_true(chunk->bytes > 0 && chunk->bytes <= chunk->capacity);
        seen += chunk->bytes;
        roan_out_chunk_free(&f.pool, chunk);
    }
    assert_int_equal(seen, bytes);
    assert_int_equal(roan_out_bytes(&f.out), 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_its_form_in_both_versions),
        cmocka_unit_test(opened_aggregates_get_their_size_later),
        cmocka_unit_test(rolling_back_leaves_what_was_there),
        cmocka_unit_test(a_taken_chain_holds_all_bytes_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
