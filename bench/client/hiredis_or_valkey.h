/* bench/client/hiredis_or_valkey.h: hiredis, or with -DWITH_LIBVALKEY libvalkey, under hiredis' names. */
#pragma once

#ifdef WITH_LIBVALKEY
#include <valkey/valkey.h>
#define redisContext           valkeyContext
#define redisReply             valkeyReply
#define redisReader            valkeyReader
#define redisConnect           valkeyConnect
#define redisConnectUnix       valkeyConnectUnix
#define redisFree              valkeyFree
#define redisCommand           valkeyCommand
#define redisAppendCommand     valkeyAppendCommand
#define redisAppendCommandArgv valkeyAppendCommandArgv
#define redisGetReply          valkeyGetReply
#define redisFormatCommand     valkeyFormatCommand
#define redisFormatCommandArgv valkeyFormatCommandArgv
#define redisFreeCommand       valkeyFreeCommand
#define redisReaderCreate      valkeyReaderCreate
#define redisReaderFree        valkeyReaderFree
#define redisReaderFeed        valkeyReaderFeed
#define redisReaderGetReply    valkeyReaderGetReply
#define REDIS_OK               VALKEY_OK
#define REDIS_REPLY_STRING     VALKEY_REPLY_STRING
#define REDIS_REPLY_STATUS     VALKEY_REPLY_STATUS
#define LIBRARY                "libvalkey"
#else
#include <hiredis/hiredis.h>
#define LIBRARY "hiredis"
#endif
