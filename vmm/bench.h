/*
 * `mayfly bench`: how long one and the same task takes from process start, as a process,
 * in containers, under Mayfly and under other monitors.
 *
 * bench.c        options, candidates, rounds
 * bench_report.c statistics, the table, JSON and the chart
 * bench_peers.c  the candidates and their command lines
 * bench_work.c   the folder with what they run
 * bench_trial.c  one start of one candidate, watched from outside
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

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

/* Names of enum bench_task; ends with NULL. */
extern const char *const bench_tasks[];
extern const struct option bench_options[];

/* The defaults of a bench without any option. */
void bench_init(struct bench_config *config);

/* The exit status: 1 (logged) if nothing ran, or not what was asked for by name. */
int bench_run(const struct bench_config *config);
