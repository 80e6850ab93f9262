/* command_text.h: commands as tests write them. */
#pragma once

#include "roan/base.h"

/* Words separated by single spaces, into words[]; returns how many. They point into the text. */
static inline size_t split(const char *text, roan_slice *words)
{
    size_t count = 0;

    while (*text != '\0') {
        size_t bytes = strcspn(text, " ");
        words[count++] = roan_slice_make(text, bytes);
        text += bytes + (text[bytes] == ' ');
    }
    return count;
}
