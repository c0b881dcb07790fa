#include "vmm/timeline.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define MS UINT64_C(1000000)

/* Marks at these times after process start, every second one the guest's. */
static struct timeline make(const uint64_t *at_ns, unsigned count)
{
	struct timeline timeline = {.on = true, .start_ns = 1000 * MS, .count = count};

	for (unsigned i = 0; i < count; i++)
		timeline.marks[i] = (struct timeline_mark){
		        i % 2 ? "guest entered" : "start, options",
		        timeline.start_ns + at_ns[i], i % 2};
	return timeline;
}

static char *draw(const struct timeline *timeline,
        void (*print)(const struct timeline *timeline, FILE *file))
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	print(timeline, file);
	fclose(file);
	return text;
}

/* Of the widest line of `text`, which is UTF-8. */
static unsigned columns(const char *text)
{
	unsigned widest = 0, line = 0;

	for (; *text; text++) {
		line = *text == '\n' ? 0 : line + ((*text & 0xc0) != 0x80);
		widest = line > widest ? line : widest;
	}
	return widest;
}

static const uint64_t usual[] = {MS / 2, MS, 5 * MS / 2, 40 * MS};
/* Nothing took any time; a month; marks that changed places. */
static const uint64_t none[] = {0, 0, 0};
static const uint64_t month[] = {0, 1, UINT64_C(2700000000) * MS};
static const uint64_t mixed[] = {10 * MS, 40 * MS, 20 * MS, 15 * MS};

static const struct {
	const uint64_t *at_ns;
	unsigned count;
} cases[] = {{usual, 4}, {none, 3}, {month, 3}, {mixed, 4}, {NULL, 0}};

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static void off_costs_and_keeps_nothing(void)
{
	struct timeline timeline = {0};

	timeline_mark(&timeline, "kvm");
	timeline_guest(&timeline, 0);
	CU_ASSERT_EQUAL(timeline.count, 0);
}

static void marks_are_kept_in_order(void)
{
	struct timeline timeline;

	timeline_start(&timeline);
	timeline_mark(&timeline, "kvm");
	timeline_guest(&timeline, 2);
	timeline_guest(&timeline, 200);
	CU_ASSERT_EQUAL(timeline.count, 3);
	CU_ASSERT_STRING_EQUAL(timeline.marks[0].name, "kvm");
	CU_ASSERT_STRING_EQUAL(timeline.marks[1].name, "guest up");
	CU_ASSERT_STRING_EQUAL(timeline.marks[2].name, "guest mark");
	CU_ASSERT(timeline.marks[1].guest && !timeline.marks[0].guest);
	CU_ASSERT(timeline.start_ns <= timeline.marks[0].at_ns);
	CU_ASSERT(timeline.marks[0].at_ns <= timeline.marks[2].at_ns);
}

static void *mark_often(void *timeline)
{
	for (unsigned i = 0; i < 10000; i++)
		timeline_guest(timeline, i & 0xff);
	return NULL;
}

static void guest_cannot_fill_more_than_the_table(void)
{
	struct timeline timeline;
	pthread_t threads[2];
	char *text;

	timeline_start(&timeline);
	for (unsigned i = 0; i < 2; i++)
		CU_ASSERT_FATAL(
		        !pthread_create(&threads[i], NULL, mark_often, &timeline));
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	text = draw(&timeline, timeline_json);
	json_t *json = json_loads(text, 0, NULL);
	CU_ASSERT_EQUAL(json_array_size(json), TIMELINE_MARKS);
	json_decref(json);
	free(text);
}

static void picture_has_80_columns(void)
{
	for (unsigned i = 0; i < CASES; i++) {
		struct timeline timeline = make(cases[i].at_ns, cases[i].count);
		char *text = draw(&timeline, timeline_draw);

		CU_ASSERT(columns(text) <= 80);
		CU_ASSERT_PTR_NULL(strstr(text, "18446744")); /* 2^64 less something */
		free(text);
	}
}

static void json_says_it_all(void)
{
	struct timeline timeline = make(usual, 4);
	char *text = draw(&timeline, timeline_json);
	json_t *json = json_loads(text, 0, NULL);
	const json_t *mark = json_array_get(json, 1);

	CU_ASSERT_EQUAL(json_array_size(json), 4);
	CU_ASSERT_STRING_EQUAL(
	        json_string_value(json_object_get(mark, "name")), "guest entered");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(mark, "ns")), MS);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(mark, "at_ns")), 1001 * MS);
	CU_ASSERT(json_is_true(json_object_get(mark, "guest")));
	CU_ASSERT(json_is_false(json_object_get(json_array_get(json, 0), "guest")));
	json_decref(json);
	free(text);
}

/* Every element is closed, and nothing is outside the picture or below nothing. */
static bool well_formed(const char *text)
{
	unsigned depth = 0;

	while ((text = strchr(text, '<'))) {
		const char *end = strchr(text, '>');

		if (!end || strcspn(text + 1, "<") < (size_t)(end - text - 1))
			return false;
		if (text[1] == '/' && !depth--)
			return false;
		if (text[1] != '/' && end[-1] != '/')
			depth++;
		text = end;
	}
	return !depth;
}

static void svg_is_well_formed(void)
{
	char path[] = "/tmp/mayfly-timeline-XXXXXX", text[32768];
	int fd = mkstemp(path);
	ssize_t size;

	CU_ASSERT_FATAL(fd >= 0);
	for (unsigned i = 0; i < CASES; i++) {
		struct timeline timeline = make(cases[i].at_ns, cases[i].count);

		CU_ASSERT_EQUAL(timeline_svg(&timeline, path), 0);
		size = pread(fd, text, sizeof(text) - 1, 0);
		CU_ASSERT_FATAL(size > 0);
		text[size] = '\0';
		CU_ASSERT(!strncmp(text, "<svg ", 5));
		CU_ASSERT(well_formed(text));
		CU_ASSERT_PTR_NULL(strstr(text, "='-"));
		CU_ASSERT_PTR_NULL(strstr(text, "nan"));
		CU_ASSERT_PTR_NULL(strstr(text, "inf"));
	}
	close(fd);
	unlink(path);
}

static void svg_that_cannot_be_written_is_said(void)
{
	struct timeline timeline = make(usual, 4);
	int saved = dup(STDERR_FILENO);

	close(STDERR_FILENO);
	CU_ASSERT(timeline_svg(&timeline, "/nowhere/at/all.svg") < 0);
	CU_ASSERT(timeline_svg(&timeline, "/dev/full") < 0);
	dup2(saved, STDERR_FILENO);
	close(saved);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(off_costs_and_keeps_nothing),
	        UNIT(marks_are_kept_in_order),
	        UNIT(guest_cannot_fill_more_than_the_table),
	        UNIT(picture_has_80_columns),
	        UNIT(json_says_it_all),
	        UNIT(svg_is_well_formed),
	        UNIT(svg_that_cannot_be_written_is_said),
	        {0},
	};
	return unit_run("timeline", tests);
}
