/*
 * What took how long, from process start to the guest's word that it is up.
 *
 * Off unless asked for: then a mark costs one comparison. Times are CLOCK_MONOTONIC in
 * nanoseconds. Process start is taken to be the moment of timeline_start() less the CPU
 * time that the process had used by then: what the kernel's exec and the dynamic loader
 * took, as there is no other clock of an exec finer than 10 ms.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { TIMELINE_MARKS = 64 };

struct timeline_mark {
	const char *name; /* static text: the phase that ended at `at_ns` */
	uint64_t at_ns;
	bool guest; /* written by the guest */
};

struct timeline {
	bool on;
	uint64_t start_ns;
	struct timeline_mark marks[TIMELINE_MARKS];
	unsigned count; /* atomic: the guest's marks come from any vCPU */
};

void timeline_start(struct timeline *timeline);
/* The phase called `name` is over now. */
void timeline_mark(struct timeline *timeline, const char *name);
/* Mark `mark` of the guest's timer port. */
void timeline_guest(struct timeline *timeline, unsigned mark);

/* A picture of at most 80 columns. */
void timeline_draw(const struct timeline *timeline, FILE *file);
/* The same as SVG; -Exxx (logged). */
int timeline_svg(const struct timeline *timeline, const char *path);
/* A JSON array of {"name", "at_ns" absolute, "ns" since process start, "guest"}. */
void timeline_json(const struct timeline *timeline, FILE *file);
