#include "tests/unit/unit.h"

#include <CUnit/Basic.h>
#include <CUnit/TestRun.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

void said_begin(struct said *said)
{
	said->fd = memfd_create("stderr", MFD_CLOEXEC);
	said->stderr_fd = dup(STDERR_FILENO);
	dup2(said->fd, STDERR_FILENO);
}

bool said_exactly(struct said *said, const char *part)
{
	ssize_t size = pread(said->fd, said->text, sizeof(said->text) - 1, 0);
	bool right;

	dup2(said->stderr_fd, STDERR_FILENO);
	close(said->stderr_fd);
	close(said->fd);
	said->text[size > 0 ? size : 0] = '\0';
	right = part ? size > 0 && strchr(said->text, '\n') == said->text + size - 1 &&
	                        strstr(said->text, part)
	             : !size;
	if (!right)
		fprintf(stderr, "    expected '%s' in: %s\n", part ? part : "",
		        said->text);
	return right;
}
