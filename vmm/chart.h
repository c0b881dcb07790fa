/* Horizontal bars as SVG: a timeline's phases, a comparison's candidates. */
#pragma once

#include <stdbool.h>

struct chart_bar {
	const char *label;
	double from, to;  /* in the chart's unit */
	double rest;      /* the bar goes on to here, pale; at most `to`: it does not */
	double low, high; /* a whisker; equal: none */
	double figure;    /* the number behind it */
	bool accent;      /* the other colour */
};

struct chart {
	const char *title;
	const char *note; /* a second line, or NULL */
	const struct chart_bar *bars;
	unsigned count;
};

/* -Exxx (logged; `option` is who asked for it). */
int chart_write(const struct chart *chart, const char *path, const char *option);
