/* engine/cmd/debug_reply.c: DEBUG PROTOCOL: one sample of every type a reply can have, for tests of clients. */
#include "engine/cmd/debug.h"

static void reply_string(roan_out *out)
{
    roan_out_bulk_text(out, "Hello World");
}

static void reply_integer(roan_out *out)
{
    roan_out_integer(out, 12345);
}

static void reply_double(roan_out *out)
{
    roan_out_double(out, 3.141);
}

static void reply_big_number(roan_out *out)
{
    roan_out_big_number(out, ROAN_LITERAL("1234567999999999999999999999999999999"));
}

static void reply_three(roan_out *out)
{
    for (int64_t i = 0; i < 3; i++)
        roan_out_integer(out, i);
}

static void reply_array(roan_out *out)
{
    roan_out_array(out, 3);
    reply_three(out);
}

static void reply_set(roan_out *out)
{
    roan_out_set(out, 3);
    reply_three(out);
}

static void reply_map(roan_out *out)
{
    roan_out_map(out, 3);
    for (int64_t i = 0; i < 3; i++) {
        roan_out_integer(out, i);
        roan_out_bool(out, i == 1);
    }
}

/* RESP2 has no attributes: the reply they belong to comes alone. */
static void reply_attribute(roan_out *out)
{
    if (out->protocol >= 3) {
        roan_out_header(out, '|', 1);
        roan_out_bulk_text(out, "key-popularity");
        roan_out_array(out, 2);
        roan_out_bulk_text(out, "key:123");
        roan_out_integer(out, 90);
    }
    roan_out_bulk_text(out, "Some real reply following the attribute");
}

static void reply_push(roan_out *out)
{
    roan_out_bulk_text(out, "Some real reply following the push reply");
    roan_out_push(out, 2);
    roan_out_bulk_text(out, "server-cpu-usage");
    roan_out_integer(out, 42);
}

static void reply_verbatim(roan_out *out)
{
    roan_out_verbatim(out, "txt", ROAN_LITERAL("This is a verbatim\nstring"));
}

static void reply_true(roan_out *out)
{
    roan_out_bool(out, true);
}

static void reply_false(roan_out *out)
{
    roan_out_bool(out, false);
}

static const struct reply_sample {
    const char *name;
    void (*send)(roan_out *out);
} reply_samples[] = {
    {"string", reply_string}, {"integer", reply_integer}, {"double", reply_double},   {"bignum", reply_big_number},
    {"null", roan_out_null},  {"array", reply_array},     {"set", reply_set},         {"map", reply_map},
    {"attrib", reply_attribute}, {"push", reply_push},    {"verbatim", reply_verbatim}, {"true", reply_true},
    {"false", reply_false},
};

void roan_debug_protocol(roan_call *call)
{
    for (size_t i = 0; i < ROAN_COUNT_OF(reply_samples); i++) {
        if (!roan_call_is(call, 2, reply_samples[i].name))
            continue;
        if (reply_samples[i].send == reply_push && call->out->protocol < 3)
            roan_call_error(call, "ERR RESP2 is not supported by this command");
        else
            reply_samples[i].send(call->out);
        return;
    }
    roan_call_error(call, "ERR Wrong protocol type name. Please use one of the following: "
                          "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
}
