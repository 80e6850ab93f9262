/* client/print_options.c: a program of the build that prints docs/client-options.md from the rows of the options, so
 * that the page cannot be out of date. tools/check_docs.py compares, or writes it.
 */
#include "client/options.h"

#include <inttypes.h>
#include <stdio.h>

static const char head[] =
    "# Options of the client\n"
    "\n"
    "Generated from `src/client/options_rows.c`; `tools/check_docs.py` writes it.\n"
    "\n"
    "Every option is a field of `roan_options` and, under the same name, a key of the URI's query:\n"
    "\n"
    "```c\n"
    "roan_open(&client, \"redis://localhost/2?request_timeout_ms=250&client_name=shop\", NULL, &error);\n"
    "roan_open(&client, \"redis://localhost/2\",\n"
    "          ROAN_OPTIONS(.request_timeout_ms = 250, .client_name = \"shop\"), &error);\n"
    "```\n"
    "\n"
    "What the URI says wins over the struct. In the struct 0 or `NULL` means the default. In the URI a number is\n"
    "always a value: an option that shall have its default is left out. Names and values of the query are\n"
    "percent-encoded; an empty text is none. An option that is unknown, given twice or out of its bounds makes `roan_open()` fail with\n"
    "`ROAN_E_CONFIG`. Times are milliseconds, sizes bytes.\n";

static void print_default(const roan_setting *row)
{
    if (row->initial_text != NULL)
        printf("%s", row->initial_text);
    else if (row->kind == ROAN_SETTING_CHOICE)
        printf("`%s`", row->choices[0]);
    else if (row->kind == ROAN_SETTING_TEXT || row->kind == ROAN_SETTING_SLICE)
        printf("none");
    else if (row->initial == ROAN_SETTING_NONE)
        printf("%s", row->none_text);
    else
        printf("%" PRId64, row->initial);
}

int main(void)
{
    fputs(head, stdout);
    for (unsigned i = 0; i < roan_setting_count; i++) {
        const roan_setting *row = &roan_setting_rows[i];
        char values[ROAN_SETTING_VALUES_MAX];
        roan_setting_values(row, values);
        if (row->group != NULL)
            printf("\n## %s\n\n| option | default | values | meaning |\n|---|---|---|---|\n", row->group);
        printf("| `%s`", row->name);
        if (row->alias != NULL)
            printf(" (`%s`)", row->alias);
        printf(" | ");
        print_default(row);
        printf(" | %s | %s |\n", values, row->text);
    }
    return ferror(stdout) || fflush(stdout) != 0;
}
