#include "vmm/timeline.h"

#include <time.h>

#include "vmm/chart.h"
#include "vmm/loop.h"

void timeline_start(struct timeline *timeline)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	*timeline = (struct timeline){.on = true};
	timeline->start_ns =
	        loop_now_ns() - (used.tv_sec * 1000000000ULL + used.tv_nsec);
}

static void add(struct timeline *timeline, const char *name, bool guest)
{
	unsigned at;

	if (!timeline->on)
		return;
	at = __atomic_fetch_add(&timeline->count, 1, __ATOMIC_RELAXED);
	if (at < TIMELINE_MARKS)
		timeline->marks[at] =
		        (struct timeline_mark){name, loop_now_ns(), guest};
	else
		__atomic_store_n(&timeline->count, TIMELINE_MARKS, __ATOMIC_RELAXED);
}

void timeline_mark(struct timeline *timeline, const char *name)
{
	add(timeline, name, false);
}

void timeline_guest(struct timeline *timeline, unsigned mark)
{
	static const char *const names[] = {"guest entered", "guest init", "guest up"};

	add(timeline, mark < 3 ? names[mark] : "guest mark", true);
}

static unsigned count(const struct timeline *timeline)
{
	return timeline->count < TIMELINE_MARKS ? timeline->count : TIMELINE_MARKS;
}

static uint64_t at(const struct timeline *timeline, unsigned i)
{
	return timeline->marks[i].at_ns - timeline->start_ns;
}

/* When the phase that ends with mark `i` began. Marks of two CPUs may have changed places
 * on their way into the table. */
static uint64_t from(const struct timeline *timeline, unsigned i)
{
	uint64_t before = i ? at(timeline, i - 1) : 0;

	return before < at(timeline, i) ? before : at(timeline, i);
}

static uint64_t total(const struct timeline *timeline)
{
	uint64_t last = 1;

	for (unsigned i = 0; i < count(timeline); i++)
		if (at(timeline, i) > last)
			last = at(timeline, i);
	return last;
}

void timeline_draw(const struct timeline *timeline, FILE *file)
{
	enum { COLUMNS = 32 }; /* 80 in all, for a guest that ran for a month, too */

	fprintf(file, "%-16s %8s %8s\n", "phase", "took ms", "at ms");
	for (unsigned i = 0; i < count(timeline); i++) {
		uint64_t start = from(timeline, i), end = at(timeline, i);
		unsigned left = start * COLUMNS / total(timeline);
		unsigned right = end * COLUMNS / total(timeline);
		const char *block = timeline->marks[i].guest ? "▒" : "█";

		fprintf(file, "%-16s %8.3f %8.3f  %*s", timeline->marks[i].name,
		        (end - start) / 1e6, end / 1e6, (int)left, "");
		fputs(right > left ? block : "▏", file);
		for (unsigned column = left + 1; column < right; column++)
			fputs(block, file);
		fputc('\n', file);
	}
}

int timeline_svg(const struct timeline *timeline, const char *path)
{
	struct chart_bar bars[TIMELINE_MARKS];
	char title[64];

	for (unsigned i = 0; i < count(timeline); i++) {
		double start = from(timeline, i) / 1e6, end = at(timeline, i) / 1e6;

		bars[i] = (struct chart_bar){.label = timeline->marks[i].name,
		        .from = start,
		        .to = end,
		        .figure = end - start,
		        .accent = timeline->marks[i].guest};
	}
	snprintf(title, sizeof(title), "From process start: %.3f ms",
	        total(timeline) / 1e6);
	return chart_write(
	        &(struct chart){.title = title, .bars = bars, .count = count(timeline)},
	        path, "--timeline");
}

void timeline_json(const struct timeline *timeline, FILE *file)
{
	fputc('[', file);
	for (unsigned i = 0; i < count(timeline); i++)
		fprintf(file,
		        "%s{\"name\":\"%s\",\"at_ns\":%llu,\"ns\":%llu,\"guest\":%s}",
		        i ? "," : "", timeline->marks[i].name,
		        (unsigned long long)timeline->marks[i].at_ns,
		        (unsigned long long)at(timeline, i),
		        timeline->marks[i].guest ? "true" : "false");
	fputc(']', file);
}
