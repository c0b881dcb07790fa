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
