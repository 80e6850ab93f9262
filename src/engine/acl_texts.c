/* engine/acl_texts.c: lists of texts, for passwords, rules and channels of users. */
#include "engine/acl_texts.h"

#include "base/number.h"

/* One byte more than needed, so that an empty text is an allocation, too. */
roan_slice roan_acl_text_dup(roan_slice text)
{
    char *copy = roan_alloc(text.bytes + 1);
    if (text.bytes > 0)
        memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    return roan_slice_make(copy, text.bytes);
}

void roan_acl_text_free(roan_slice text)
{
    roan_free((char *)(uintptr_t)text.data, text.bytes + 1);
}

void roan_acl_texts_add(roan_acl_texts *texts, roan_slice text)
{
    if (texts->count == texts->capacity) {
        size_t capacity = texts->capacity == 0 ? 4 : texts->capacity * 2;
        texts->items =
            roan_realloc(texts->items, texts->capacity * sizeof *texts->items, capacity * sizeof *texts->items);
        texts->capacity = capacity;
    }
    texts->items[texts->count++] = roan_acl_text_dup(text);
}

size_t roan_acl_texts_find(const roan_acl_texts *texts, roan_slice text)
{
    for (size_t i = 0; i < texts->count; i++)
        if (roan_slice_equal(texts->items[i], text))
            return i;
    return ROAN_ACL_TEXT_NONE;
}

void roan_acl_texts_remove(roan_acl_texts *texts, size_t index)
{
    roan_acl_text_free(texts->items[index]);
    texts->count--;
    memmove(texts->items + index, texts->items + index + 1, (texts->count - index) * sizeof *texts->items);
}

void roan_acl_texts_clear(roan_acl_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        roan_acl_text_free(texts->items[i]);
    roan_free(texts->items, texts->capacity * sizeof *texts->items);
    *texts = (roan_acl_texts){0};
}

void roan_acl_texts_add_all(roan_acl_texts *texts, const roan_acl_texts *more)
{
    for (size_t i = 0; i < more->count; i++)
        roan_acl_texts_add(texts, more->items[i]);
}
