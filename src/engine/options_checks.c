/* engine/options_checks.c: what a row refuses although its type allows it: file names that are paths, templates with
 * unknown variables, names that could not travel on the cluster bus. Texts are the reference's. Nothing is stored here.
 */
#include "base/number.h"
#include "engine/options_rows.h"

#include <arpa/inet.h>
#include <string.h>

#define HOST_NAME_BYTES_MAX 255

static roan_status check_base_name(const roan_option *option, roan_slice text, const char *kind, roan_error *reterr)
{
    if (text.bytes == 0)
        return roan_error_set(reterr, ROAN_E_INVALID, "%s can't be empty", option->name);
    if (memchr(text.data, '/', text.bytes) != NULL)
        return roan_error_set(reterr, ROAN_E_INVALID, "%s can't be a path, just a %s", option->name, kind);
    return ROAN_OK;
}

ROAN_ROW_REFUSE(roan_option_check_file_name)
{
    (void)number;
    return check_base_name(option, text, "filename", reterr);
}

ROAN_ROW_REFUSE(roan_option_check_dir_name)
{
    (void)number;
    return check_base_name(option, text, "dirname", reterr);
}

ROAN_ROW_REFUSE(roan_option_check_not_empty)
{
    (void)number;
    if (text.bytes == 0)
        return roan_error_set(reterr, ROAN_E_INVALID, "%s can't be empty", option->name);
    return ROAN_OK;
}

/* --- proc-title-template ------------------------------------------------------------------------------------------ */

bool roan_config_expand_title(roan_slice template, roan_title_variable_fn variable, void *context,
                              roan_buffer *ret_text)
{
    for (size_t i = 0; i < template.bytes; i++) {
        const char *at = template.data + i;
        if (*at != '{') {
            roan_buffer_append_char(ret_text, *at);
            continue;
        }
        if (i + 1 < template.bytes && at[1] == '{') {
            roan_buffer_append_char(ret_text, '{');
            i++;
            continue;
        }
        const char *end = memchr(at, '}', template.bytes - i);
        if (end == NULL || !variable(context, roan_slice_make(at + 1, (size_t)(end - at - 1)), ret_text))
            return false;
        i += (size_t)(end - at);
    }
    return true;
}

static bool is_title_variable(void *context, roan_slice name, roan_buffer *ret_text)
{
    static const char *const names[] = {"title",    "listen-addr", "server-mode", "port",
                                        "tls-port", "unixsocket",  "config-file"};
    (void)context, (void)ret_text;
    for (size_t i = 0; i < ROAN_COUNT_OF(names); i++)
        if (roan_slice_equal(name, roan_slice_from_text(names[i])))
            return true;
    return false;
}

ROAN_ROW_REFUSE(roan_option_check_title)
{
    (void)option, (void)number;
    roan_buffer expanded = {0};
    bool is_good = text.bytes > 0 && roan_config_expand_title(text, is_title_variable, NULL, &expanded);
    roan_buffer_done(&expanded);
    if (!is_good)
        return roan_error_set(reterr, ROAN_E_INVALID, "template format is invalid or contains unknown variables");
    return ROAN_OK;
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

ROAN_ROW_REFUSE(roan_option_check_shutdown)
{
    (void)option, (void)text;
    int64_t both = ROAN_SHUTDOWN_SAVE | ROAN_SHUTDOWN_NOSAVE;
    if ((number & both) == both)
        return roan_error_set(reterr, ROAN_E_INVALID,
                              "shutdown options SAVE and NOSAVE can't be used simultaneously");
    return ROAN_OK;
}

static bool is_address(int family, roan_slice text)
{
    char copy[INET6_ADDRSTRLEN], address[sizeof(struct in6_addr)];
    if (text.bytes >= sizeof copy)
        return false;
    if (text.bytes > 0)
        memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    return text.bytes == 0 || inet_pton(family, copy, address) == 1;
}

ROAN_ROW_REFUSE(roan_option_check_ipv4)
{
    (void)option, (void)number;
    return is_address(AF_INET, text) ? ROAN_OK : roan_error_set(reterr, ROAN_E_INVALID, "Invalid IPv4 address");
}

ROAN_ROW_REFUSE(roan_option_check_ipv6)
{
    (void)option, (void)number;
    return is_address(AF_INET6, text) ? ROAN_OK : roan_error_set(reterr, ROAN_E_INVALID, "Invalid IPv6 address");
}

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

ROAN_ROW_REFUSE(roan_option_check_hostname)
{
    (void)option, (void)number;
    if (text.bytes > HOST_NAME_BYTES_MAX)
        return roan_error_set(reterr, ROAN_E_INVALID, "Hostnames must be less than %d characters",
                              HOST_NAME_BYTES_MAX + 1);
    for (size_t i = 0; i < text.bytes; i++)
        if (!is_alphanumeric(text.data[i]) && text.data[i] != '-' && text.data[i] != '.')
            return roan_error_set(reterr, ROAN_E_INVALID,
                                  "Hostnames may only contain alphanumeric characters, hyphens or dots");
    return ROAN_OK;
}

ROAN_ROW_REFUSE(roan_option_check_printable)
{
    (void)number;
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c > ' ' && c != 0x7f && strchr("!\"#$%&'()*+,;<=>?@[\\]^{|}~", c) == NULL)
            continue;
        if (strcmp(option->name, "cluster-announce-human-nodename") == 0)
            return roan_error_set(reterr, ROAN_E_INVALID, "Announced human node name contained invalid character");
        return roan_error_set(reterr, ROAN_E_INVALID, "%s contains invalid character", option->name);
    }
    return ROAN_OK;
}
