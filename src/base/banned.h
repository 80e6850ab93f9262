/* base/banned.h: functions that do not compile in this project, each with what to use instead.
 *
 * The build puts this header in front of every file (-include), and -Werror=deprecated-declarations makes a use an
 * error at the line of the call. It declares the system's functions once more with a message, so nothing is redefined
 * and a field called `time` or `index` is nobody's business. To ban one more: include its header and add a row.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef __THROW
#define __THROW /* not glibc */
#endif
#define ROAN_BANNED(instead) __attribute__((deprecated("banned here: " instead)))

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wignored-attributes" /* fortified headers define some of them first */
#endif

/* No bound on what is written. */
char *strcpy(char *, const char *) __THROW ROAN_BANNED("use memcpy with a length you know");
char *strcat(char *, const char *) __THROW ROAN_BANNED("use roan_buffer or snprintf");
char *stpcpy(char *, const char *) __THROW ROAN_BANNED("use memcpy with a length you know");
int (sprintf)(char *, const char *, ...) __THROW ROAN_BANNED("use snprintf");
int (vsprintf)(char *, const char *, va_list) __THROW ROAN_BANNED("use vsnprintf");

/* A bound, but not the one you think. */
char *strncpy(char *, const char *, size_t) __THROW ROAN_BANNED("it may not terminate: use memcpy or snprintf");
char *strncat(char *, const char *, size_t) __THROW ROAN_BANNED("its bound is the source's: use snprintf");

/* Hidden state shared by all threads. */
char *strtok(char *, const char *) __THROW ROAN_BANNED("use strtok_r or a slice");
struct tm *gmtime(const time_t *) __THROW ROAN_BANNED("use gmtime_r");
struct tm *localtime(const time_t *) __THROW ROAN_BANNED("use localtime_r");
char *ctime(const time_t *) __THROW ROAN_BANNED("use strftime");
char *asctime(const struct tm *) __THROW ROAN_BANNED("use strftime");
int rand(void) __THROW ROAN_BANNED("use the random source you were given");
void srand(unsigned) __THROW ROAN_BANNED("use the random source you were given");
long random(void) __THROW ROAN_BANNED("use the random source you were given");
void srandom(unsigned) __THROW ROAN_BANNED("use the random source you were given");

/* No way to see a failure. */
int atoi(const char *) __THROW ROAN_BANNED("use roan_parse_i64 or strtol with its end pointer");
long atol(const char *) __THROW ROAN_BANNED("use roan_parse_i64 or strtol with its end pointer");
long long atoll(const char *) __THROW ROAN_BANNED("use roan_parse_i64 or strtoll with its end pointer");
double atof(const char *) __THROW ROAN_BANNED("use roan_parse_double or strtod with its end pointer");

/* A race between the name and the file. */
char *tmpnam(char[L_tmpnam]) __THROW ROAN_BANNED("use mkstemp");
char *mktemp(char *) __THROW ROAN_BANNED("use mkstemp");

#if defined(__clang__)
#pragma clang diagnostic pop
#endif
