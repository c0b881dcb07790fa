#include "tests/unit/unit.h"

#include <CUnit/Basic.h>
#include <CUnit/TestRun.h>
#include <stdio.h>

static void report(
        const CU_pTest test, const CU_pSuite suite, CU_pFailureRecord failure)
{
	printf("%s %s: %s\n", failure ? "not ok" : "ok", suite->pName, test->pName);
	for (; failure; failure = failure->pNext)
		printf("    %s:%u: %s\n", failure->strFileName, failure->uiLineNumber,
		        failure->strCondition);
	fflush(stdout);
}

int unit_run(const char *area, const struct unit_test *tests)
{
	unsigned failed;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	CU_pSuite suite = CU_add_suite(area, NULL, NULL);
	if (!suite)
		return 1;
	for (; tests->name; tests++)
		if (!CU_add_test(suite, tests->name, tests->run))
			return 1;
	CU_set_test_complete_handler(report);
	CU_run_all_tests();
	failed = CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
