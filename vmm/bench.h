/*
 * `mayfly bench`: how long one and the same task takes from process start, as a process,
 * in containers, under Mayfly and under other monitors.
 *
 * bench.c        rounds, statistics, the report
 * bench_peers.c  the candidates and their command lines
 * bench_work.c   the folder with what they run
 * bench_trial.c  one start of one candidate, watched from outside
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "vmm/options.h"

/* What every candidate of the task hello prints, and the page of the task http. */
#define BENCH_LINE "Hello from Mayfly!"
#define BENCH_PAGE "Hello from Mayfly over HTTP"

enum { BENCH_NAMED = 16 };

enum bench_task { TASK_HELLO, TASK_HTTP };

struct bench_config {
	enum bench_task task;
	unsigned runs;     /* of each candidate */
	unsigned warmup;   /* runs before these, not counted */
	unsigned count;    /* not 0: starts under load, one candidate after the other */
	unsigned parallel; /* of these at a time */
	const char *only;  /* "NAME,NAME"; NULL: all */
	const char *base;  /* whose ratio is 1 */
	const char *hello; /* images; NULL: guests/NAME beside this program */
	const char *http;
	const char *kernel; /* NULL: no Linux */
	const char *hvt;    /* a Solo5 image; NULL: none */
	const char *stamp;  /* what precedes the time that a candidate writes itself */
	const char *with[BENCH_NAMED]; /* "NAME=PATH" */
	unsigned with_count;
	const char *candidates[BENCH_NAMED]; /* "NAME=COMMAND" */
	unsigned candidate_count;
	const char *silent[BENCH_NAMED]; /* the same, of those that say no hello */
	unsigned silent_count;
	const char *json, *svg; /* "": none */
	bool list;
};

extern const struct option bench_options[];

/* The defaults of a bench without any option. */
void bench_init(struct bench_config *config);

/* The exit status: 1 (logged) if nothing ran, or not what was asked for by name. */
int bench_run(const struct bench_config *config);

/* For tests: the report's parts. */

struct bench_spread {
	double median, low, high; /* low, high: the 10th and the 90th percentile */
	unsigned count;           /* 0: nothing was measured */
};

/* Sorts `values`. */
struct bench_spread bench_spread(double *values, unsigned count);

struct bench_result {
	const char *name;
	const char *why;           /* it did not run; NULL: it did */
	struct bench_spread first; /* ms to its line, or to its answer */
	struct bench_spread exit;  /* ms to its end */
	struct bench_spread pss;   /* MiB, of all its processes */
	struct bench_spread private;
	double rate; /* starts a second, under load */
};

/* Lines of at most 80 columns. `base` may be NULL. */
void bench_table(FILE *file, const struct bench_config *config,
        const struct bench_result *results, unsigned count,
        const struct bench_result *base);

/* x86/hello.c: the code of a process that writes BENCH_LINE and a newline, and ends with
 * status 0; it runs wherever it is loaded. `machine` is its ELF e_machine. */
size_t arch_hello_process(const void **code, unsigned *machine);
