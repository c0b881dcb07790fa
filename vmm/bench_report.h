/* What `mayfly bench` found out: statistics, the table, JSON and the chart. */
#pragma once

#include <stdio.h>

struct bench_config;

struct bench_spread {
	double median, low, high; /* low, high: the 10th and the 90th percentile */
	double p99, max;
	unsigned count; /* 0: nothing was measured */
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

/* To stdout and to the files of `config`; sorts `results`, the fastest first. 0, or -Exxx
 * (logged). */
int bench_report(const struct bench_config *config, struct bench_result *results,
        unsigned count);

/* Its table, of lines of at most 80 columns. `base` may be NULL. */
void bench_table(FILE *file, const struct bench_config *config,
        const struct bench_result *results, unsigned count,
        const struct bench_result *base);
