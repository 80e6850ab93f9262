/* base/status.c: names and texts of statuses, and the one-line way to report a failure. */
#include "roan/base.h"

#include "base/macros.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

const char *roan_status_name(roan_status status)
{
    switch (status) {
    case ROAN_OK:
        return "OK";
    case ROAN_NIL:
        return "NIL";
#define STATUS_NAME(name, value, os_errno, text) \
    case ROAN_E_##name:                          \
        return #name;
        ROAN_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    case ROAN_STATUS_LAST_:
        break;
    }
    return "UNKNOWN";
}

const char *roan_status_text(roan_status status)
{
    switch (status) {
    case ROAN_OK:
        return "success";
    case ROAN_NIL:
        return "the server answered null";
#define STATUS_TEXT(name, value, os_errno, text) \
    case ROAN_E_##name:                          \
        return text;
        ROAN_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    case ROAN_STATUS_LAST_:
        break;
    }
    return "unknown status";
}

roan_status roan_error_set(roan_error *reterr, roan_status code, const char *format, ...)
{
    if (reterr == NULL)
        return code;
    va_list arguments;
    va_start(arguments, format);
    ROAN_IGNORE(vsnprintf(reterr->text, sizeof reterr->text, format, arguments)); /* cut texts are fine */
    va_end(arguments);
    reterr->code = code;
    reterr->os_errno = 0;
    return code;
}

roan_status roan_error_set_errno(roan_error *reterr, int os_errno, const char *format, ...)
{
    if (reterr == NULL)
        return ROAN_E_SYSTEM;
    char text[ROAN_ERROR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    ROAN_IGNORE(vsnprintf(text, sizeof text, format, arguments)); /* cut texts are fine */
    va_end(arguments);
    char reason[96];
    const char *why = strerror_r(os_errno, reason, sizeof reason);
    ROAN_IGNORE(snprintf(reterr->text, sizeof reterr->text, "%.150s: %.96s", text, why));
    reterr->code = ROAN_E_SYSTEM;
    reterr->os_errno = os_errno;
    return ROAN_E_SYSTEM;
}
