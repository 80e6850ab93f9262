/* base/sha1.h: SHA-1 (FIPS 180-4), for names of scripts and digests of data sets. Not for secrets. */
#pragma once

#include <stddef.h>

#define ROAN_SHA1_BYTES 20

void roan_sha1(const char *data, size_t bytes, unsigned char ret_digest[ROAN_SHA1_BYTES]);
