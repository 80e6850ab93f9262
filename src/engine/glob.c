/* engine/glob.c: the pattern language of KEYS, SCAN MATCH, CONFIG GET and ACL channels.
 *
 * Linear in practice and never exponential: a star remembers where it stood; a later star makes an earlier one
 * irrelevant, so one position to come back to is enough.
 */
#include "engine/call.h"

#define STARS_MAX 1000 /* a pattern with more matches nothing, as in the reference */

static unsigned char fold(unsigned char c, bool ignore_case)
{
    return ignore_case && c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

/* Matches one character against the class that begins behind '['. *ret_bytes receives the length of the class with its
 * closing bracket (a missing one ends with the pattern). */
static bool match_class(const char *class, size_t bytes, unsigned char c, bool ignore_case, size_t *ret_bytes)
{
    size_t at = 0;
    bool negated = at < bytes && class[at] == '^', found = false;
    at += negated;
    while (at < bytes && class[at] != ']') {
        if (class[at] == '\\' && at + 1 < bytes) {
            at++;
            found |= (unsigned char)class[at] == c;
            at++;
        } else if (at + 2 < bytes && class[at + 1] == '-') {
            unsigned char low = fold((unsigned char)class[at], ignore_case);
            unsigned char high = fold((unsigned char)class[at + 2], ignore_case);
            unsigned char folded = fold(c, ignore_case);
            found |= low <= high ? folded >= low && folded <= high : folded >= high && folded <= low;
            at += 3;
        } else {
            found |= fold((unsigned char)class[at], ignore_case) == fold(c, ignore_case);
            at++;
        }
    }
    *ret_bytes = at < bytes ? at + 1 : at;
    return found != negated;
}

/* Matches the pattern element at `at` against one character; *ret_next is where the next element begins. */
static bool match_one(roan_slice pattern, size_t at, unsigned char c, bool ignore_case, size_t *ret_next)
{
    switch (pattern.data[at]) {
    case '?':
        *ret_next = at + 1;
        return true;
    case '[': {
        size_t bytes;
        bool matched = match_class(pattern.data + at + 1, pattern.bytes - at - 1, c, ignore_case, &bytes);
        *ret_next = at + 1 + bytes;
        return matched;
    }
    case '\\':
        if (at + 1 < pattern.bytes)
            at++;
        break;
    default:
        break;
    }
    *ret_next = at + 1;
    return fold((unsigned char)pattern.data[at], ignore_case) == fold(c, ignore_case);
}

bool roan_glob_match(roan_slice pattern, roan_slice text, bool ignore_case)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0, stars = 0;
    while (t < text.bytes) {
        size_t next;
        if (p < pattern.bytes && pattern.data[p] == '*') {
            while (p < pattern.bytes && pattern.data[p] == '*')
                p++;
            if (p == pattern.bytes)
                return true;
            if (++stars > STARS_MAX)
                return false;
            star = p;
            star_text = t;
        } else if (p < pattern.bytes && match_one(pattern, p, (unsigned char)text.data[t], ignore_case, &next)) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (text.bytes > 0 && p < pattern.bytes && pattern.data[p] == '*') /* an empty text has only the empty pattern */
        p++;
    return p == pattern.bytes;
}
