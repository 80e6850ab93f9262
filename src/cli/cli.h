/* cli/cli.h: `roan cli`, the command line client. */
#pragma once

/* Runs the client as a program would run: argv[0] is its name for messages, the result is the exit
 * status. Uses the process's standard streams, ignores SIGPIPE and may take SIGINT. */
int roan_cli_main(int argc, char **argv);
