/* The command line: `mayfly run | inspect | bench | help`. */
#pragma once

struct config;

/* All of main(): the process's exit status. */
int cli_main(int argc, char **argv);

/*
 * The words behind `mayfly run`, up to a NULL, and the --config file that they name, into
 * `config` (which config_init() filled). 0; 1 if help was asked for; else, logged, -EINVAL
 * for wrong usage and another error for what the host refused.
 */
int cli_parse(char **words, struct config *config);
