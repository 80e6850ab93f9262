/* cli/usage.c: what --help prints. */
#include "cli/options.h"

#include <stdio.h>

static const char where_text[] =
    "Where:\n"
    "  -h HOST               server (127.0.0.1)\n"
    "  -p PORT               its port (6379)\n"
    "  -s PATH               Unix socket instead of host and port\n"
    "  -u URI                redis://[[user:]password@]host[:port][/db], or\n"
    "                        unix://[[user:]password@]path[?db=n]\n"
    "  -4, -6                try addresses of this family first\n"
    "  -t SECONDS            how long connecting and logging in may take (no limit)\n"
    "  -c                    follow MOVED and ASK to other servers of a cluster\n"
    "\n"
    "Who:\n"
    "  -a, --pass PASSWORD   password; REDISCLI_AUTH in the environment is the safer place\n"
    "  --user NAME           user of that password\n"
    "  --askpass             ask for the password\n"
    "  --no-auth-warning     no remark about passwords on the command line\n"
    "  -n DB                 database\n"
    "  -2, -3                protocol: RESP2 (the default), RESP3\n"
    "\n";

static const char what_text[] =
    "What:\n"
    "  COMMAND ARGUMENT...   run a command; without one, read commands from standard input\n"
    "  -r N                  run it N times, without end when N is negative\n"
    "  -i SECONDS            pause between repetitions, lines of --stat, scan steps (and every\n"
    "                        hundredth step of --bigkeys and its relatives)\n"
    "  -x                    standard input is the last argument\n"
    "  -X TAG                standard input replaces the argument TAG\n"
    "  --quoted-input        arguments are written in quotes, with escapes like \\x00\n"
    "  --eval FILE KEY... , ARGUMENT...\n"
    "                        run a script\n"
    "  -e                    exit with status 1 when the server answers with an error\n"
    "\n"
    "How replies look:\n"
    "  --raw, --no-raw       as they are (default away from a terminal), or with types and quotes\n"
    "  -d TEXT, -D TEXT      what --raw puts between elements, and after a reply (a line end)\n"
    "  --csv                 a line of comma-separated values\n"
    "  --json, --quoted-json JSON, and the same in ASCII; both ask for RESP3 unless -2 is given\n"
    "  --show-pushes yes|no  show RESP3 push messages (default at a terminal)\n"
    "\n";

static const char modes_text[] =
    "Instead of commands:\n"
    "  --stat                a line of figures every second\n"
    "  --latency             time of a PING, over and over; for one second away from a terminal\n"
    "  --latency-history     the same with a new line every 15 seconds (-i)\n"
    "  --latency-dist        the same as a row of colours every second (-i)\n"
    "  --intrinsic-latency SECONDS\n"
    "                        how long this machine keeps a busy program waiting; no server needed\n"
    "  --scan                print the names of keys\n"
    "  --bigkeys             largest keys by elements\n"
    "  --memkeys             largest keys by memory\n"
    "  --memkeys-samples N   ... looking at N elements of each (0: all)\n"
    "  --keystats            both, with distributions; --keystats-samples N, --cursor N, --top N\n"
    "  --hotkeys             keys used most; needs an LFU maxmemory-policy\n"
    "  --pattern PATTERN, --quoted-pattern PATTERN, --count N\n"
    "                        of the scans above\n"
    "  --pipe                send standard input to the server as it is, and count the replies\n"
    "  --pipe-timeout SECONDS\n"
    "                        ... and wait this long for the last ones (30; 0: without end)\n"
    "  --rdb FILE            fetch a snapshot, - for standard output\n"
    "  --functions-rdb FILE  fetch one with functions only\n"
    "  --replica             show the commands a replica receives\n"
    "\n"
    "  --help, --version\n"
    "\n";

static const char example_text[] =
    "Examples:\n"
    "  %1$s set greeting hello\n"
    "  %1$s -x set image < image.png\n"
    "  %1$s -r 60 -i 1 info memory | grep used_memory_human\n"
    "  %1$s --json hgetall user:1\n"
    "  %1$s --scan --pattern 'session:*' | head\n"
    "  %1$s --eval move.lua from to , 10\n"
    "  %1$s --pipe < commands.txt\n";

void roan_cli_print_usage(const char *program)
{
    printf("%s %s\n\nUsage: %s [OPTION]... [COMMAND [ARGUMENT]...]\n\n", program,
           ROAN_VERSION, program);
    fputs(where_text, stdout);
    fputs(what_text, stdout);
    fputs(modes_text, stdout);
    printf(example_text, program);
}
