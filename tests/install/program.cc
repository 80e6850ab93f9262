// tests/install/program.cc: the same promise for C++11: `program [URI]` prints "as it should be" and ends with 0.
#include <roan/resp.h>

#include <iostream>
#include <memory>
#include <string>

#if __has_include(<roan/client.h>)
#include <roan/client.h>
#define HAS_CLIENT 1
#endif

namespace {

struct value_deleter {
    void operator()(roan_value *value) const { roan_value_free(value); }
};
struct reader_deleter {
    void operator()(roan_reply_reader *reader) const { roan_reply_reader_free(reader); }
};
using owned_value = std::unique_ptr<roan_value, value_deleter>;
using owned_reader = std::unique_ptr<roan_reply_reader, reader_deleter>;

bool try_codec()
{
    const std::string stream = "*2\r\n:1\r\n+two\r\n";
    owned_reader reader(roan_reply_reader_create());
    roan_value *value = nullptr;
    if (!reader || roan_reply_reader_feed(reader.get(), stream.data(), stream.size()) != ROAN_OK ||
        roan_reply_reader_next(reader.get(), &value, nullptr) != ROAN_OK)
        return false;
    owned_value owned(value);
    return value != nullptr && value->count == 2 && value->elements[0].integer == 1 &&
           std::string(value->elements[1].text.data, value->elements[1].text.bytes) == "two";
}

#ifdef HAS_CLIENT
bool try_server(const char *uri)
{
    roan_options options = {};
    options.size = sizeof options;
    options.client_name = "installed";
    roan *client = nullptr;
    roan_error error = {};
    if (roan_open(&client, uri, &options, &error) != ROAN_OK) {
        std::cout << error.text << '\n';
        return false;
    }
    const roan_slice words[] = {ROAN_LITERAL("CLIENT"), ROAN_LITERAL("GETNAME")};
    roan_value *reply = nullptr;
    const bool is_answered = roan_do(client, 2, words, &reply, nullptr) == ROAN_OK;
    owned_value owned(reply);
    if (!is_answered)
        std::cout << roan_last_failure()->text << '\n';
    const bool is_good = is_answered && std::string(reply->text.data, reply->text.bytes) == "installed";
    return roan_close(client, 1000) == ROAN_OK && is_good;
}
#endif

} // namespace

int main(int argc, char **argv)
{
    bool is_good = try_codec() && std::string(roan_status_text(ROAN_E_NOMEM)) == "out of memory";
#ifdef HAS_CLIENT
    is_good = is_good && (argc < 2 || try_server(argv[1]));
#else
    (void)argc, (void)argv;
#endif
    std::cout << (is_good ? "as it should be" : "something is not as it should be") << '\n';
    return is_good ? 0 : 1;
}
