#include "vmm/bench.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/bench_peers.h"
#include "vmm/bench_report.h"
#include "vmm/bench_trial.h"
#include "vmm/bench_work.h"
#include "vmm/chart.h"

static void spread_of_an_odd_number_is_its_middle(void)
{
	double values[] = {9, 1, 5};
	struct bench_spread spread = bench_spread(values, 3);

	CU_ASSERT_DOUBLE_EQUAL(spread.median, 5, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(spread.low, 1.8, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(spread.high, 8.2, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(spread.p99, 8.92, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(spread.max, 9, 1e-9);
	CU_ASSERT_EQUAL(spread.count, 3);
}

static void spread_lies_between_values(void)
{
	double values[] = {4, 2}, eleven[11];
	struct bench_spread spread;

	CU_ASSERT_DOUBLE_EQUAL(bench_spread(values, 2).median, 3, 1e-9);
	for (unsigned i = 0; i < 11; i++)
		eleven[i] = 10 - (double)i;
	spread = bench_spread(eleven, 11);
	CU_ASSERT_DOUBLE_EQUAL(spread.median, 5, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(spread.low, 1, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(spread.high, 9, 1e-9);
}

static void spread_of_one_and_of_none(void)
{
	double one = 7;
	struct bench_spread spread = bench_spread(&one, 1);

	CU_ASSERT_DOUBLE_EQUAL(spread.median, 7, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(spread.low, 7, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(spread.high, 7, 1e-9);
	CU_ASSERT_EQUAL(bench_spread(NULL, 0).count, 0);
}

static const struct place places[] = {
        {"port", "8080", NULL},
        {"path", "/a folder/x", NULL},
        {"kernel", NULL, "needs a kernel"},
        {0},
};

static void words_are_cut_before_they_are_filled_in(void)
{
	struct words words;
	const char *why = NULL;

	CU_ASSERT_EQUAL(words_make(&words, "  run {path}  --p=1:{port}:80 {} {a b",
	                        places, &why),
	        -EINVAL);
	CU_ASSERT_EQUAL(words_make(&words, "  run {path}  --p=1:{port}:{port} {a b ",
	                        places, &why),
	        0);
	CU_ASSERT_STRING_EQUAL(words.argv[0], "run");
	CU_ASSERT_STRING_EQUAL(words.argv[1], "/a folder/x");
	CU_ASSERT_STRING_EQUAL(words.argv[2], "--p=1:8080:8080");
	CU_ASSERT_STRING_EQUAL(words.argv[3], "{a");
	CU_ASSERT_STRING_EQUAL(words.argv[4], "b");
	CU_ASSERT_PTR_NULL(words.argv[5]);
}

static void what_a_command_lacks_is_the_reason(void)
{
	struct words words;
	const char *why = NULL;
	char text[WORDS_SIZE + 2];

	CU_ASSERT_EQUAL(words_make(&words, "run {kernel}", places, &why), -ENOENT);
	CU_ASSERT_STRING_EQUAL(why, "needs a kernel");
	CU_ASSERT_EQUAL(words_make(&words, "run {other}", places, &why), -EINVAL);
	CU_ASSERT_EQUAL(words_make(&words, "  ", places, &why), -EINVAL);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	CU_ASSERT_EQUAL(words_make(&words, text, places, &why), -EINVAL);
	text[WORDS_SIZE - 1] = '\0';
	CU_ASSERT_EQUAL(words_make(&words, text, places, &why), 0);
	for (unsigned i = 0; i < 2 * WORDS_MAX; i++)
		text[i] = i % 2 ? ' ' : 'x';
	text[2 * WORDS_MAX] = '\0';
	CU_ASSERT_EQUAL(words_make(&words, text, places, &why), 0);
	strcpy(text + 2 * WORDS_MAX, "x");
	CU_ASSERT_EQUAL(words_make(&words, text, places, &why), -EINVAL);
}

static void programs_are_found_along_the_path(void)
{
	char path[256], *old = strdup(getenv("PATH"));

	setenv("PATH", "/nonexistent:/bin:/usr/bin", 1);
	CU_ASSERT_EQUAL(program_find("sh", path, sizeof(path)), 0);
	CU_ASSERT_STRING_EQUAL(path, "/bin/sh");
	CU_ASSERT_EQUAL(program_find("/bin/sh", path, sizeof(path)), 0);
	CU_ASSERT_EQUAL(program_find("/etc/passwd", path, sizeof(path)), -ENOENT);
	CU_ASSERT_EQUAL(program_find("/etc", path, sizeof(path)), -ENOENT);
	CU_ASSERT_EQUAL(program_find("no-such", path, sizeof(path)), -ENOENT);
	CU_ASSERT_EQUAL(program_find("sh", path, 4), -ENOENT);
	setenv("PATH", old, 1);
	free(old);
}

/* With all that can be had, every command of the table can be made. */
static void every_peer_has_its_words(void)
{
	struct bench_config config;
	struct bench_work work;

	for (unsigned task = 0; task < 2; task++) {
		bench_init(&config);
		config.task = task ? TASK_HTTP : TASK_HELLO;
		config.kernel = config.hvt = "/x";
		CU_ASSERT_EQUAL_FATAL(work_create(&work, &config), 0);
		for (unsigned i = 0; work.places[i].name; i++)
			if (!work.places[i].value)
				work.places[i].value = "/x";
		for (const struct peer *peer = peer_table; peer->name; peer++) {
			const char *commands[] = {
			        task ? peer->http : peer->hello, peer->cleanup};
			struct words words;
			const char *why;

			for (unsigned i = 0; i < 2; i++)
				CU_ASSERT_TRUE(!commands[i] ||
				               words_make(&words, commands[i],
				                       work.places, &why) == 0);
		}
		work_destroy(&work);
	}
}

static void work_leaves_nothing_behind(void)
{
	struct bench_config config;
	struct bench_work work;
	char folder[PATH_MAX];

	bench_init(&config);
	CU_ASSERT_EQUAL_FATAL(work_create(&work, &config), 0);
	strcpy(folder, work.folder);
	CU_ASSERT_EQUAL(access(folder, F_OK), 0);
	work_destroy(&work);
	CU_ASSERT_NOT_EQUAL(access(folder, F_OK), 0);
	work_destroy(&work);
}

static void trial_run(struct trial *trial, const struct trial_wanted *wanted)
{
	struct pollfd fds[TRIAL_FDS];

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	trial_start(trial, wanted);
	while (!trial_step(trial)) {
		trial_watch(trial, fds);
		poll(fds, TRIAL_FDS, 10);
	}
	trial_finish(trial);
	trial_kill_rest();
}

static void smallest_process_says_hello(void)
{
	struct bench_config config;
	struct bench_work work;
	char path[PATH_MAX + 64];
	struct trial trial;

	bench_init(&config);
	CU_ASSERT_EQUAL_FATAL(work_create(&work, &config), 0);
	snprintf(path, sizeof(path), "%s/rootfs/hello", work.folder);
	trial_run(&trial, &(struct trial_wanted){.argv = (char *[]){path, NULL},
	                          .line = BENCH_LINE,
	                          .within_ns = 10000000000});
	CU_ASSERT_STRING_EQUAL(trial.why, "");
	CU_ASSERT_TRUE(trial.first_ns > trial.start_ns);
	CU_ASSERT_TRUE(trial.exit_ns >= trial.first_ns);
	CU_ASSERT_EQUAL(trial.output_size, strlen(BENCH_LINE "\n"));
	work_destroy(&work);
}

/* What each must be blamed for, in one line. */
static void wrong_runs_are_blamed(void)
{
	static const struct {
		const char *script, *line, *stamp, *why;
		int status;
	} cases[] = {
	        {"echo hello", "hello", NULL, "", 0},
	        {"echo hello; exit 3", "hello", NULL, "", 3},
	        {"echo good", "hello", NULL, "ended without 'hello'", 0},
	        {"echo hello; exit 3", "hello", NULL, "ended with status 3", 0},
	        {"echo a >&2; echo no luck >&2; exit 1", "hello", NULL, "no luck", 0},
	        /* QEMU fails with the status that its exit device means success by. */
	        {"echo no luck >&2; exit 1", "hello", NULL, "no luck", 1},
	        {"kill -9 $$", "hello", NULL, "ended by signal 9", 0},
	        {"echo x", NULL, NULL, "", 0},
	        {"true", NULL, NULL, "", 0},
	        {"echo at 99999999999999999 >&2", NULL, "at", "", 0},
	        {"echo at 5", NULL, "at", "wrote no time behind 'at'", 0},
	        {"exec sleep 9", NULL, NULL, "nothing came within 1 s", 0},
	        /* More than a pipe and our buffer hold must not block it. */
	        {"dd if=/dev/zero bs=1024 count=256 2>/dev/null", NULL, NULL, "", 0},
	        /* A child that outlives it, with its output. */
	        {"sleep 9 & echo hello", "hello", NULL, "", 0},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *argv[] = {"/bin/sh", "-c", (char *)cases[i].script, NULL};
		struct trial trial;

		trial_run(&trial, &(struct trial_wanted){.argv = argv,
		                          .line = cases[i].line,
		                          .stamp = cases[i].stamp,
		                          .status = cases[i].status,
		                          .within_ns = 1000000000});
		if (strcmp(trial.why, cases[i].why) != 0)
			printf("    %s: '%s'\n", cases[i].script, trial.why);
		CU_ASSERT_STRING_EQUAL(trial.why, cases[i].why);
	}
}

static void missing_program_is_blamed(void)
{
	char *argv[] = {"/nonexistent", NULL};
	struct trial trial;

	trial_run(
	        &trial, &(struct trial_wanted){.argv = argv, .within_ns = 1000000000});
	CU_ASSERT_PTR_NOT_NULL(strstr(trial.why, "cannot start '/nonexistent'"));
}

static const struct bench_spread large = {
        99999.99, 99999.99, 99999.99, 99999.99, 99999.99, 1};

static const struct bench_result results[] = {
        {.name = "mayfly",
                .first = {1, 1, 1, 1, 1, 1},
                .exit = {2, 2, 2, 2, 2, 1},
                .pss = {3, 3, 3, 3, 3, 1}},
        {.name = "a-name-that-is-longer-than-its-column",
                .first = large,
                .exit = large,
                .pss = large,
                .private = large,
                .rate = 99999.9},
        {.name = "no-figures"},
        {.name = "missing",
                .why = "a reason that is much longer than the place which a line of "
                       "eighty columns has for it"},
        {.name = "wordy",
                .why = "/a/path/without/any/blank/that/is/longer/than/what/a/line/has/"
                       "room/for and more"},
};

static char *table_of(enum bench_task task, unsigned starts,
        const struct bench_result *from, unsigned count)
{
	struct bench_config config;
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	bench_init(&config);
	config.task = task;
	config.count = starts;
	bench_table(file, &config, from, count, from);
	fclose(file);
	return text;
}

static void table_fits_80_columns(void)
{
	for (unsigned variant = 0; variant < 3; variant++) {
		char *text = table_of(variant == 1 ? TASK_HTTP : TASK_HELLO,
		        variant == 2 ? 5 : 0, results, 5);

		CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n\nNot run:\nmissing "));
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
			if (strlen(line) > 80)
				printf("    too wide: %s\n", line);
			CU_ASSERT_TRUE(strlen(line) <= 80);
			CU_ASSERT_TRUE(line[strlen(line) - 1] != ' ');
		}
		free(text);
	}
}

/* The reason of a candidate that did not run is told to its end. */
static void long_reasons_are_wrapped(void)
{
	char *text = table_of(TASK_HELLO, 0, results + 3, 2);

	CU_ASSERT_STRING_EQUAL(text,
	        "Not run:\n"
	        "missing          a reason that is much longer than the place which a "
	        "line of\n"
	        "                 eighty columns has for it\n"
	        "wordy            "
	        "/a/path/without/any/blank/that/is/longer/than/what/a/line/has/\n"
	        "                 room/for and more\n");
	free(text);
}

static void table_under_load_shows_the_tail(void)
{
	static const struct bench_result loaded = {.name = "mayfly",
	        .first = {1, 2, 3, 4, 5, 9},
	        .exit = {10, 20, 30, 99999.99, 1234.56, 9},
	        .rate = 123456.7};
	char *text = table_of(TASK_HELLO, 9, &loaded, 1);

	CU_ASSERT_PTR_NOT_NULL(strstr(text, "    1.00   10.00   20.00   30.00  100000"
	                                    "  1234.6    1.00  123457\n"));
	free(text);
}

static void chart_escapes_what_xml_means(void)
{
	const struct chart_bar bars[] = {
	        {.label = "a<b&c\n",
	                .to = 1,
	                .rest = 2,
	                .low = 1,
	                .high = 3,
	                .figure = 2},
	        {.label = "zero"},
	};
	char path[] = "/tmp/mayfly-test-XXXXXX", text[4096];
	int fd = mkstemp(path);
	ssize_t size;

	CU_ASSERT_EQUAL(
	        chart_write(&(struct chart){"title", NULL, bars, 2}, path, "--svg"), 0);
	size = read(fd, text, sizeof(text) - 1);
	text[size > 0 ? size : 0] = '\0';
	CU_ASSERT_PTR_NOT_NULL(strstr(text, ">a&lt;b&amp;c?<"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "</svg>"));
	CU_ASSERT_PTR_NULL(strstr(text, "nan"));
	close(fd);
	unlink(path);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(spread_of_an_odd_number_is_its_middle),
	        UNIT(spread_lies_between_values),
	        UNIT(spread_of_one_and_of_none),
	        UNIT(words_are_cut_before_they_are_filled_in),
	        UNIT(what_a_command_lacks_is_the_reason),
	        UNIT(programs_are_found_along_the_path),
	        UNIT(every_peer_has_its_words),
	        UNIT(work_leaves_nothing_behind),
	        UNIT(smallest_process_says_hello),
	        UNIT(wrong_runs_are_blamed),
	        UNIT(missing_program_is_blamed),
	        UNIT(table_fits_80_columns),
	        UNIT(long_reasons_are_wrapped),
	        UNIT(table_under_load_shows_the_tail),
	        UNIT(chart_escapes_what_xml_means),
	        {0},
	};

	return unit_run("bench", tests);
}
