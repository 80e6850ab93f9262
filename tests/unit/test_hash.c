/* test_hash.c: CRC16 and slots against the cluster specification, SHA-1 against its standard, the keyed table hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/sha1.h"

static unsigned slot_of(const char *key)
{
    return roan_key_slot(roan_slice_from_text(key));
}

/* One bit after the other, by the definition. */
static uint16_t crc16_slowly(const char *data, size_t bytes)
{
    unsigned crc = 0;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= (unsigned)(unsigned char)data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff;
    }
    return (uint16_t)crc;
}

static void crc16_has_the_check_value_of_the_specification(void **state)
{
    (void)state;
    assert_int_equal(roan_crc16("123456789", 9), 0x31c3);
    assert_int_equal(roan_crc16("", 0), 0);
    char data[64];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 37 + 11);
    for (size_t bytes = 0; bytes <= sizeof data; bytes++)
        assert_int_equal(roan_crc16(data, bytes), crc16_slowly(data, bytes));
}

static void slots_honour_hash_tags(void **state)
{
    (void)state;
    assert_int_equal(slot_of("foo"), 12182);
    assert_int_equal(slot_of("bar"), 5061);
    assert_int_equal(slot_of("{user1000}.following"), slot_of("{user1000}.followers"));
    assert_int_equal(slot_of("foo{bar}zap"), slot_of("bar"));
    assert_int_equal(slot_of("foo{{bar}}zap"), slot_of("{bar"));
    assert_int_equal(slot_of("foo{bar}{zap}"), slot_of("bar"));
    assert_int_equal(slot_of("foo{}{bar}"), crc16_slowly("foo{}{bar}", 10) % ROAN_SLOT_COUNT);
    assert_int_equal(slot_of("foo{bar"), crc16_slowly("foo{bar", 7) % ROAN_SLOT_COUNT);
    assert_int_equal(slot_of(""), 0);
}

static void the_table_hash_depends_on_its_secret_alone(void **state)
{
    (void)state;
    roan_hash_secret a, b, again;
    roan_hash_secret_init(&a, 1);
    roan_hash_secret_init(&b, 2);
    roan_hash_secret_init(&again, 1);
    char key[300];
    memset(key, 'k', sizeof key);
    for (size_t bytes = 0; bytes < sizeof key; bytes++) {
        assert_true(roan_hash(&a, key, bytes) == roan_hash(&again, key, bytes));
        assert_true(roan_hash(&a, key, bytes) != roan_hash(&b, key, bytes));
    }
}

static void assert_sha1(const char *data, size_t bytes, const char *expected)
{
    unsigned char digest[ROAN_SHA1_BYTES];
    char text[2 * ROAN_SHA1_BYTES + 1];
    roan_sha1(data, bytes, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, expected);
}

static void sha1_has_the_values_of_its_standard(void **state)
{
    (void)state;
    assert_sha1("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_sha1("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    assert_sha1(million, 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    free(million);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc16_has_the_check_value_of_the_specification),
        cmocka_unit_test(slots_honour_hash_tags),
        cmocka_unit_test(the_table_hash_depends_on_its_secret_alone),
        cmocka_unit_test(sha1_has_the_values_of_its_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
