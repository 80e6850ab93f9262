/* Fuzz target: the parser of configuration files, and the rewriter behind it.
 *
 * The input is a file. When it is read without an error, what CONFIG REWRITE makes of it must be read, too, give the
 * same value for every option, and be rewritten to itself. When it is refused, rewriting it must still give a text that
 * can be rewritten to itself.
 */
#include "base/number.h"
#include "engine/config_file.h"

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "failed: %s (line %d)\n", #condition, __LINE__);   \
            abort();                                                           \
        }                                                                      \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Includes are as good as empty. */
static roan_status include_nothing(roan_config_loader *loader, roan_slice pattern, roan_error *reterr)
{
    (void)loader, (void)pattern, (void)reterr;
    return ROAN_OK;
}

static roan_status load(roan_config *config, roan_slice text, roan_error *reterr)
{
    roan_config_loader loader = {.config = config, .include = include_nothing};
    roan_config_init(config);
    return roan_config_load(&loader, "fuzz", text, reterr);
}

static void require_same_values(const roan_config *a, const roan_config *b)
{
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        roan_buffer texts[2] = {{0}, {0}};
        roan_option_format(a, option, &texts[0]);
        roan_option_format(b, option, &texts[1]);
        REQUIRE(roan_slice_equal(roan_buffer_slice(&texts[0]), roan_buffer_slice(&texts[1])));
        roan_buffer_done(&texts[0]);
        roan_buffer_done(&texts[1]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    roan_slice input = roan_slice_make((const char *)data, bytes);
    roan_buffer once = {0}, twice = {0};
    roan_config first, second;
    roan_error error = {.text = ""};
    roan_status status = load(&first, input, &error);
    REQUIRE(status == ROAN_OK || error.text[0] != '\0');

    roan_config_rewrite(&first, input, false, &once);
    roan_config_rewrite(&first, roan_buffer_slice(&once), false, &twice);
    REQUIRE(roan_slice_equal(roan_buffer_slice(&once), roan_buffer_slice(&twice)));
    if (status == ROAN_OK) {
        REQUIRE(load(&second, roan_buffer_slice(&once), NULL) == ROAN_OK);
        require_same_values(&first, &second);
        roan_config_done(&second);
    }
    roan_config_done(&first);
    roan_buffer_done(&once);
    roan_buffer_done(&twice);
    return 0;
}
