/* engine/acl_selector.h: the part of a user that is about commands, keys, channels and databases. See acl_user.h. */
#pragma once

#include "engine/acl_user.h"

/* Without rights. */
void roan_acl_selector_init(roan_acl_selector *selector, bool all_channels);
void roan_acl_selector_done(roan_acl_selector *selector);
/* `target` holds nothing yet. */
void roan_acl_selector_copy(roan_acl_selector *target, const roan_acl_selector *source);

/* Back to no rights. */
void roan_acl_selector_reset(roan_acl_selector *selector, bool all_channels);

roan_acl_fault roan_acl_selector_apply(roan_acl_selector *selector, roan_slice rule) ROAN_MUST_CHECK;

/* "~* resetchannels -@all": what stands in the parentheses. */
void roan_acl_selector_describe(const roan_acl_selector *selector, roan_buffer *ret_text);

bool roan_acl_selector_allows_all(const roan_acl_selector *selector);

static inline bool roan_acl_selector_allows(const roan_acl_selector *selector, uint16_t command)
{
    return selector->allowed[command / 64] >> (command % 64) & 1;
}

/* isspace() of the C locale. */
static inline bool roan_acl_is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
