#include "vmm/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/bench.h"
#include "vmm/config.h"

enum { WORDS = 48 };

/* Cuts "run --cpus 2 x" into argv at `argv`; the number of words. */
static int words_cut(char *text, char *argv[WORDS])
{
	int count = 0;

	argv[count++] = "mayfly";
	for (char *word = strtok(text, " "); word && count < WORDS - 1;
	        word = strtok(NULL, " "))
		argv[count++] = word;
	argv[count] = NULL;
	return count;
}

static char line[4096]; /* what `config` points into */

/* The words behind `mayfly run`. */
static int parse(struct config *config, const char *text)
{
	char *argv[WORDS];

	snprintf(line, sizeof(line), "%s", text);
	words_cut(line, argv);
	config_init(config);
	return cli_parse(argv + 1, config);
}

/* Runs the whole command line; its stdout and stderr are in `output` afterwards. */
static int run(const char *text, char *output, size_t size)
{
	int file = memfd_create("output", MFD_CLOEXEC), out = dup(1), err = dup(2);
	char *argv[WORDS];
	ssize_t count;
	int status;

	fflush(stdout);
	dup2(file, 1);
	dup2(file, 2);
	snprintf(line, sizeof(line), "%s", text);
	status = cli_main(words_cut(line, argv), argv);
	fflush(stdout);
	dup2(out, 1);
	dup2(err, 2);
	count = pread(file, output, size - 1, 0);
	output[count < 0 ? 0 : count] = '\0';
	close(file);
	close(out);
	close(err);
	return status;
}

static void plain_run_has_the_defaults(void)
{
	struct config config;

	CU_ASSERT_EQUAL(parse(&config, "hello"), 0);
	CU_ASSERT_STRING_EQUAL(config.image, "hello");
	CU_ASSERT_EQUAL(config.cpus, 1);
	CU_ASSERT_EQUAL(config.memory, 0);
	CU_ASSERT_EQUAL(config.console, CONSOLE_SERIAL);
	CU_ASSERT_EQUAL(config.grace_ns, 5000000000);
	CU_ASSERT_FALSE(config.restart);
	CU_ASSERT_PTR_NULL(config.arguments);
	CU_ASSERT_PTR_NULL(config.strings);
	config_destroy(&config);
}

static void options_stand_before_and_behind_the_image(void)
{
	struct config config;

	CU_ASSERT_EQUAL(
	        parse(&config, "--cpus 2 image --mem=64M --disk=d,ro --rng"), 0);
	CU_ASSERT_STRING_EQUAL(config.image, "image");
	CU_ASSERT_EQUAL(config.cpus, 2);
	CU_ASSERT_EQUAL(config.memory, 64 << 20);
	CU_ASSERT_EQUAL(config.disk_count, 1);
	CU_ASSERT_TRUE(config.disks[0].readonly);
	CU_ASSERT_TRUE(config.rng);
	config_destroy(&config);
}

static void words_behind_two_dashes_are_the_kernels(void)
{
	struct config config;

	CU_ASSERT_EQUAL(parse(&config, "x -- --cpus 5 -- quiet"), 0);
	CU_ASSERT_EQUAL(config.cpus, 1);
	CU_ASSERT_STRING_EQUAL(config.arguments, "--cpus 5 -- quiet");
	config_destroy(&config);
	CU_ASSERT_EQUAL(parse(&config, "x -- quiet"), 0);
	CU_ASSERT_STRING_EQUAL(config.arguments, "quiet");
	config_destroy(&config);
	CU_ASSERT_EQUAL(parse(&config, "x --"), 0);
	CU_ASSERT_PTR_NULL(config.arguments);
	config_destroy(&config);
}

static void last_of_a_single_option_wins_and_lists_grow(void)
{
	struct config config;

	CU_ASSERT_EQUAL(parse(&config, "x --cpus 2 --initrd a --cpus 3 --initrd b"), 0);
	CU_ASSERT_EQUAL(config.cpus, 3);
	CU_ASSERT_EQUAL(config.initrd_count, 2);
	config_destroy(&config);
}

static void switches_can_be_turned_off(void)
{
	struct config config;

	CU_ASSERT_EQUAL(
	        parse(&config, "x --rng --rng=off --timeline --timeline=off"), 0);
	CU_ASSERT_FALSE(config.rng);
	CU_ASSERT_FALSE(config.timeline);
	config_destroy(&config);
	CU_ASSERT_EQUAL(parse(&config, "--timeline x"), 0);
	CU_ASSERT_TRUE(config.timeline);
	CU_ASSERT_STRING_EQUAL(config.image, "x");
	config_destroy(&config);
}

static void argv_stays_as_it_was(void)
{
	char *argv[] = {"--disk", "a,ro,id=b", "x", "--", "one", "two", NULL};
	char list[] = "a,ro,id=b";
	struct config config;

	argv[1] = list;
	config_init(&config);
	CU_ASSERT_EQUAL(cli_parse(argv, &config), 0);
	CU_ASSERT_STRING_EQUAL(list, "a,ro,id=b");
	config_destroy(&config);
}

static void flags_win_over_the_file(void)
{
	static const char text[] =
	        "{\"image\":\"file\",\"cpus\":4,\"mem\":\"1G\",\"rng\":true,"
	        "\"disk\":[\"a\",\"b\"],\"initrd\":\"i\",\"arguments\":\"quiet\"}";
	char path[] = "/tmp/mayfly-test-XXXXXX";
	int fd = mkstemp(path);
	struct config config;
	char words[256];

	CU_ASSERT_EQUAL(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	snprintf(words, sizeof(words), "--cpus 2 --disk c --rng=off --config %s", path);
	CU_ASSERT_EQUAL(parse(&config, words), 0);
	CU_ASSERT_STRING_EQUAL(config.image, "file");
	CU_ASSERT_EQUAL(config.cpus, 2);
	CU_ASSERT_EQUAL(config.memory, 1 << 30);
	CU_ASSERT_FALSE(config.rng);
	CU_ASSERT_EQUAL(config.disk_count, 1);
	CU_ASSERT_STRING_EQUAL(config.disks[0].path, "c");
	CU_ASSERT_EQUAL(config.initrd_count, 1);
	CU_ASSERT_STRING_EQUAL(config.arguments, "quiet");
	config_destroy(&config);

	snprintf(words, sizeof(words), "--kernel k --config %s -- debug", path);
	CU_ASSERT_EQUAL(parse(&config, words), 0);
	CU_ASSERT_PTR_NULL(config.image);
	CU_ASSERT_STRING_EQUAL(config.kernel, "k");
	CU_ASSERT_STRING_EQUAL(config.arguments, "debug");
	config_destroy(&config);
	unlink(path);
}

/* One line on stderr, which names what was wrong, and the status. */
static void wrong_usage_is_one_line_and_status_2(void)
{
	static const struct {
		const char *words, *says;
		int status;
	} cases[] = {
	        {"", "mayfly help", 2},
	        {"rnu x", "did you mean 'run'?", 2},
	        {"image", "'image'", 2},
	        {"help me", "'me'", 2},
	        {"run", "IMAGE is missing", 2},
	        {"run -- x", "IMAGE is missing", 2},
	        {"run x y", "given twice, 'x' and 'y'", 2},
	        {"run --kernel k x", "--kernel 'k'", 2},
	        {"run --cups 2 x", "did you mean '--cpus'?", 2},
	        {"run --cups=2 x", "'--cups', did you mean '--cpus'?", 2},
	        {"run -cpus 2 x", "did you mean '--cpus'?", 2},
	        {"run --frobnicate x", "unknown option '--frobnicate'", 2},
	        {"run -x x", "unknown option '-x'", 2},
	        {"run --= x", "unknown option '--'", 2},
	        {"run x --mem", "--mem: needs a value", 2},
	        {"run --mem --rng x", "--mem: needs a value", 2},
	        {"run --mem= x", "--mem: ''", 2},
	        {"run --mem 5X x", "--mem: '5X'", 2},
	        {"run --mem 0 x", "--mem: '0'", 2},
	        {"run --mem -1 x", "--mem: '-1'", 2},
	        {"run --mem 18014398509481985K x", "from 1M to 64T", 2},
	        {"run --cpus 0 x", "--cpus: '0'", 2},
	        {"run --cpus 10000 x", "from 1 to 4096", 2},
	        {"run --cpus 4294967297 x", "--cpus: '4294967297'", 2},
	        {"run --boot efi x", "auto, pvh, linux, multiboot or multiboot2", 2},
	        {"run --console vga x", "serial, virtio or none", 2},
	        {"run --on-reboot maybe x", "exit or restart", 2},
	        {"run --grace soon x", "--grace: 'soon'", 2},
	        {"run --log-level loud x", "error, warn, info or debug", 2},
	        {"run --rng=5 x", "--rng: '5'", 2},
	        {"run --help=5 x", "--help: takes no value", 2},
	        {"run --timeline=x.png x", ".svg", 2},
	        {"run --disk a,r x", "--disk: unknown 'r', did you mean 'ro'?", 2},
	        {"run --disk a,id=n --disk b,id=n x", "id 'n' is taken by 'a'", 2},
	        {"run --net x", "--net: unknown 'x'", 2},
	        {"run --net bridge x", "--net: unknown 'bridge'", 2},
	        {"run --net user,publish=80 x", "--net: publish: '80'", 2},
	        {"run --config a --config b x", "--config: given twice", 2},
	        {"run --config /nonexistent x", "cannot open '/nonexistent'", 1},
	        {"run --config / x", "cannot read '/'", 1},
	        {"inspect", "IMAGE is missing", 2},
	        {"inspect --jso x", "did you mean '--json'?", 2},
	        {"inspect --json=x x", "--json: 'x'", 2},
	        {"inspect a b", "given twice", 2},
	        {"inspect a -- b", "nothing may follow --", 2},
	        {"inspect /nonexistent", "/nonexistent", 1},
	        {"bench x", "not 'x'", 2},
	        {"bench --run 5", "did you mean '--runs'?", 2},
	        {"bench --runs 0", "--runs: '0'", 2},
	        {"bench --task x", "hello or http", 2},
	        {"bench --only x", "no candidate 'x'", 2},
	        {"bench --candidate x", "'x' is not NAME=COMMAND", 2},
	        {"bench --candidate crun=x", "'crun' is there already", 2},
	        {"bench --parallel 2", "needs --count", 2},
	        {"bench --count 9 --parallel 33", "from 1 to 32", 2},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char output[1024];
		int status = run(cases[i].words, output, sizeof(output));
		char *end = strchr(output, '\n');

		if (status != cases[i].status || !strstr(output, cases[i].says))
			printf("    %s: %d: %s", cases[i].words, status, output);
		CU_ASSERT_EQUAL(status, cases[i].status);
		CU_ASSERT_PTR_NOT_NULL(strstr(output, cases[i].says));
		CU_ASSERT_TRUE(end && !end[1]);
		CU_ASSERT_EQUAL(strncmp(output, "mayfly: ", 8), 0);
	}
}

static void check_width(const char *text)
{
	while (*text) {
		size_t size = strcspn(text, "\n");

		if (size > 80)
			printf("    too wide: %.*s\n", (int)size, text);
		CU_ASSERT_TRUE(size <= 80);
		text += size + (text[size] == '\n');
	}
}

static void help_fits_a_terminal_and_knows_every_option(void)
{
	static const char *const asks[] = {
	        "run --help", "run -h", "run --cpus 2 --help x", "help run"};
	static char output[16384];

	for (unsigned i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		CU_ASSERT_EQUAL(run(asks[i], output, sizeof(output)), 0);
		check_width(output);
		for (const struct option *option = config_options; option->name;
		        option++) {
			char name[64];

			snprintf(name, sizeof(name), "\n  --%s", option->name);
			CU_ASSERT_PTR_NOT_NULL(strstr(output, name));
		}
	}
	CU_ASSERT_EQUAL(run("help", output, sizeof(output)), 0);
	check_width(output);
	CU_ASSERT_EQUAL(run("inspect --help", output, sizeof(output)), 0);
	check_width(output);
	CU_ASSERT_EQUAL(run("help bench", output, sizeof(output)), 0);
	check_width(output);
	CU_ASSERT_EQUAL(run("--version", output, sizeof(output)), 0);
	CU_ASSERT_EQUAL(strncmp(output, "mayfly ", 7), 0);
}

/* roff writes a dash that is to be one as "\-". */
static void check_manual(const char *manual, const struct option *table)
{
	for (const struct option *option = table; option->name; option++) {
		char name[96], *to = name + sprintf(name, "\\-\\-");

		for (const char *from = option->name; *from; from++)
			to += sprintf(to, *from == '-' ? "\\-" : "%c", *from);
		if (!strstr(manual, name))
			printf("    not in the manual: %s\n", option->name);
		CU_ASSERT_PTR_NOT_NULL(strstr(manual, name));
	}
}

static void manual_knows_every_option(void)
{
	static char manual[65536];
	FILE *file = fopen("vmm/mayfly.1", "r");
	size_t size = file ? fread(manual, 1, sizeof(manual) - 1, file) : 0;

	CU_ASSERT_TRUE(size > 0);
	if (file)
		fclose(file);
	check_manual(manual, config_options);
	check_manual(manual, bench_options);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(plain_run_has_the_defaults),
	        UNIT(options_stand_before_and_behind_the_image),
	        UNIT(words_behind_two_dashes_are_the_kernels),
	        UNIT(last_of_a_single_option_wins_and_lists_grow),
	        UNIT(switches_can_be_turned_off),
	        UNIT(argv_stays_as_it_was),
	        UNIT(flags_win_over_the_file),
	        UNIT(wrong_usage_is_one_line_and_status_2),
	        UNIT(help_fits_a_terminal_and_knows_every_option),
	        UNIT(manual_knows_every_option),
	        {0},
	};

	return unit_run("cli", tests);
}
