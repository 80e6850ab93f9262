/* tests/install/program.c: a program that knows libroan only as it was installed. C99, nothing but public headers.
 *
 *     program [URI]    parses a reply by itself; with a URI it asks the server there
 *
 * Prints "as it should be" and ends with 0, or says what is wrong.
 */
#include <roan/resp.h>

#include <stdio.h>
#include <string.h>

#if __has_include(<roan/client.h>)
#include <roan/client.h>
#define HAS_CLIENT 1
#endif

static int complain(const char *what)
{
    printf("%s is not as it should be\n", what);
    return 1;
}

static int try_codec(void)
{
    roan_slice words[2];
    roan_request_buffer request = {NULL, 0, 0};
    roan_reply_reader *reader = roan_reply_reader_create();
    roan_value *value = NULL;
    int is_good;
    words[0] = ROAN_LITERAL("ECHO");
    words[1] = roan_slice_from_text("hello");
    is_good = roan_request_append(&request, 2, words) == ROAN_OK && request.bytes == 25;
    is_good = is_good && reader != NULL && roan_reply_reader_feed(reader, "$5\r\nhello\r\n", 11) == ROAN_OK;
    is_good = is_good && roan_reply_reader_next(reader, &value, NULL) == ROAN_OK && value != NULL;
    is_good = is_good && value->text.bytes == 5 && memcmp(value->text.data, "hello", 5) == 0;
    roan_value_free(value);
    roan_reply_reader_free(reader);
    roan_request_buffer_done(&request);
    return is_good ? 0 : complain("the codec");
}

#ifdef HAS_CLIENT
static int try_server(const char *uri)
{
    roan *client = NULL;
    roan_value *reply = NULL;
    roan_error error;
    roan_slice words[2];
    int is_good;
    words[0] = ROAN_LITERAL("ECHO");
    words[1] = ROAN_LITERAL("over there");
    if (roan_open(&client, uri, NULL, &error) != ROAN_OK)
        return complain(error.text);
    is_good = roan_do(client, 2, words, &reply, NULL) == ROAN_OK && reply != NULL;
    if (!is_good)
        printf("%s\n", roan_last_failure()->text);
    is_good = is_good && reply->text.bytes == 10 && memcmp(reply->text.data, "over there", 10) == 0;
    roan_value_free(reply);
    is_good = roan_close(client, 1000) == ROAN_OK && is_good;
    return is_good ? 0 : complain("the answer of the server");
}

static int try_refusal(void)
{
    roan *client = NULL;
    roan_error error;
    if (roan_open(&client, "rediss://localhost", NULL, &error) != ROAN_E_UNSUPPORTED || client != NULL)
        return complain("the refusal of TLS");
    return 0;
}
#endif

int main(int argc, char **argv)
{
    if (try_codec() != 0 || strcmp(roan_status_name(ROAN_E_QUEUE_FULL), "QUEUE_FULL") != 0)
        return 1;
#ifdef HAS_CLIENT
    if (try_refusal() != 0 || (argc > 1 && try_server(argv[1]) != 0))
        return 1;
#else
    (void)argc, (void)argv;
#endif
    printf("as it should be\n");
    return 0;
}
