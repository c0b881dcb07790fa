/*
 * One unit-test program: a table of tests, run by CUnit, each reported on its own line
 * ("ok area: name" or "not ok area: name"), with the failed assertions below it.
 *
 *     static void looped_chain_sets_needs_reset(void) { ... CU_ASSERT_EQUAL(...); }
 *     int main(void)
 *     {
 *             static const struct unit_test tests[] = {
 *                     UNIT(looped_chain_sets_needs_reset),
 *                     {0},
 *             };
 *             return unit_run("virtqueue", tests);
 *     }
 */
#pragma once

#include <CUnit/CUnit.h>
#include <stdbool.h>

struct unit_test {
	const char *name;
	void (*run)(void);
};

#define UNIT(function)              \
	{                           \
#function, function \
	}

/* 0 if all passed, else 1: the exit status of main(). */
int unit_run(const char *area, const struct unit_test *tests);

/* What goes to stderr between these two: one line, or nothing if `part` is NULL. */
struct said {
	int fd, stderr_fd;
	char text[1024];
};

void said_begin(struct said *said);
bool said_exactly(struct said *said, const char *part);
