#include "vmm/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "devices/devices.h"
#include "vmm/bench.h"
#include "vmm/config.h"
#include "vmm/host.h"
#include "vmm/inspect.h"
#include "vmm/log.h"
#include "vmm/options.h"
#include "vmm/run.h"
#include "vmm/state.h"
#include "vmm/text.h"

/* The manual, EXIT STATUS; all others come from run_vm(). */
enum { STATUS_OK, STATUS_HOST, STATUS_USAGE };

enum { HELP_COLUMN = 26 };

static int status_of(int error)
{
	return error == -EINVAL ? STATUS_USAGE : STATUS_HOST;
}

/* Words: an option and what belongs to it, or an operand. */

struct word {
	const struct option *option; /* NULL: an operand */
	const char *value;           /* the option's, or NULL; or the operand */
};

static int option_unknown(
        const struct option *table, const char *text, const char *name, size_t size)
{
	const char *nearest = option_nearest(table, name, size);
	int shown = (int)(name - text + (ptrdiff_t)(size < 80 ? size : 80));

	return log_error(-EINVAL, "unknown option '%.*s'%s%s%s", shown, text,
	        nearest ? ", did you mean '--" : "; 'mayfly help' lists them",
	        nearest ? nearest : "", nearest ? "'?" : "");
}

/* The next word: 1, or 0 at the end and at "--" (the words are then those behind it). */
static int word_next(char ***words, const struct option *table, struct word *word)
{
	const char *text = **words;
	const char *name, *value;
	size_t size;

	if (!text)
		return 0;
	++*words;
	if (strcmp(text, "--") == 0)
		return 0;
	*word = (struct word){.value = text};
	if (text[0] != '-' || !text[1])
		return 1;
	if (strcmp(text, "-h") == 0)
		text = "--help";
	name = text + strspn(text, "-");
	size = strcspn(name, "=");
	value = name[size] ? name + size + 1 : NULL;
	word->option = name - text == 2 ? option_find(table, name, size) : NULL;
	if (!word->option)
		return option_unknown(table, text, name, size);
	if (value && !option_may_have_value(word->option))
		return log_error(-EINVAL, "--%s: takes no value", word->option->name);
	if (!value && option_needs_value(word->option)) {
		value = **words;
		/* A forgotten value must not swallow the option behind it. */
		if (!value || strncmp(value, "--", 2) == 0)
			return log_error(-EINVAL, "--%s: needs a value: --%s %s%s",
			        word->option->name, word->option->name,
			        word->option->value,
			        value ? " (write '=' before one that starts with --)"
			              : "");
		++*words;
	}
	word->value = value;
	return 1;
}

static bool is(const struct word *word, const char *name)
{
	return word->option && strcmp(word->option->name, name) == 0;
}

/* What a first reading finds: all errors of form, and what must be known beforehand. */
struct survey {
	const char *operand;
	const char *config;
	bool kernel, help;
	char **rest; /* behind "--" */
};

static int survey_words(char **words, const char *command, const struct option *table,
        struct survey *survey)
{
	struct word word;
	int more;

	*survey = (struct survey){0};
	while ((more = word_next(&words, table, &word)) > 0) {
		if (!word.option && survey->operand)
			return log_error(-EINVAL,
			        "%s: IMAGE is given twice, '%s' and '%s' (kernel "
			        "arguments follow --)",
			        command, survey->operand, word.value);
		if (is(&word, "config") && survey->config)
			return log_error(-EINVAL,
			        "--config: given twice, '%s' and '%s'", survey->config,
			        word.value);
		if (!word.option)
			survey->operand = word.value;
		else if (is(&word, "config"))
			survey->config = word.value;
		survey->kernel |= is(&word, "kernel");
		survey->help |= is(&word, "help");
	}
	survey->rest = words;
	return more;
}

/* Kernel arguments, joined by spaces; a single one is used where it stands. */
static int keep_arguments(struct config *config, char **words)
{
	size_t size = 0;
	char *to;

	if (!words[1]) {
		config->arguments = words[0];
		return 0;
	}
	for (char **word = words; *word; word++)
		size += strlen(*word) + 1;
	to = config_keep(config, NULL, size);
	if (!to)
		return -ENOMEM;
	config->arguments = to;
	for (char **word = words; *word; word++)
		to += sprintf(to, "%s%s", word == words ? "" : " ", *word);
	return 0;
}

int cli_parse(char **words, struct config *config)
{
	struct survey survey;
	struct word word;
	uint64_t seen = 0;
	int error = survey_words(words, "run", config_options, &survey);

	if (error)
		return error;
	if (survey.help)
		return 1;
	if (survey.config) {
		error = config_read(config, survey.config);
		if (error)
			return error;
	}
	/* Flags win: what they name takes the place of the file's, whole lists too. */
	if (survey.operand || survey.kernel)
		config->image = config->kernel = NULL;
	if (survey.operand)
		config->image = survey.operand;
	while (word_next(&words, config_options, &word) > 0) {
		uint64_t bit;
		char where[64];

		if (!word.option || word.option->command_line)
			continue;
		bit = UINT64_C(1) << (word.option - config_options);
		if (!(seen & bit))
			option_clear(word.option, config);
		seen |= bit;
		snprintf(where, sizeof(where), "--%s", word.option->name);
		error = config_set(config, word.option, where, word.value);
		if (error)
			return error;
	}
	if (*survey.rest) {
		error = keep_arguments(config, survey.rest);
		if (error)
			return error;
	}
	error = config_finish(config);
	if (!error)
		error = config_check(config);
	return error || !config->state ? error : state_open(config);
}

/* Help. */

/* "  left          what it is", on two lines if `left` is long. */
static void print_entry(int size, const char *help)
{
	if (size >= HELP_COLUMN - 1) {
		putchar('\n');
		size = 0;
	}
	text_print_wrapped(help, HELP_COLUMN, size);
}

static void print_options(const struct option *table)
{
	for (; table->name; table++) {
		const char *value = table->value ? table->value : "";

		if (table->group)
			printf("\n%s:\n", table->group);
		print_entry(printf("  --%s%s%s", table->name,
		                    option_needs_value(table) ? " " : "", value),
		        table->help);
	}
}

static void help_run(void)
{
	puts("Usage: mayfly run [options] IMAGE [-- kernel arguments]\n");
	text_print_wrapped(
	        "Launches IMAGE in a virtual machine of its own, with its console on "
	        "this terminal (Ctrl-A x ends it). IMAGE is a LinuxKit name (x, with "
	        "x-kernel, x-initrd.img and x-cmdline beside it), a disk image or ISO "
	        "that boots a Linux kernel, a kernel, or a unikernel; what it is shows "
	        "by its content. Options stand before or "
	        "behind it, as --name VALUE or --name=VALUE.",
	        0, 0);
	print_options(config_options);
	puts("\nWhat a guest can see:");
	for (const struct device_help *device = device_table; device->name; device++)
		print_entry(printf("  %s", device->name), device->help);
	puts("\nExamples:\n"
	     "  mayfly run --timeline hello\n"
	     "  mayfly run --cpus 2 --mem 512M --disk data.img linuxkit -- quiet\n"
	     "  mayfly run --net user,publish=8080:80 httpd\n"
	     "  mayfly run --kernel vmlinuz --initrd initrd.img --dry-run -- quiet\n");
	text_print_wrapped(
	        "Exit status: 0 the guest powered off, or a unikernel's own; 1 this "
	        "host refused; 2 wrong usage; 3 the guest crashed; 128+N ended by "
	        "signal N. The manual is mayfly(1).",
	        0, 0);
}

static const struct option inspect_options[] = {
        {.name = "json",
                .help = "as one JSON object",
                .parse = option_switch,
                .size = 1},
        {.name = "backing",
                .help = "the backing file of IMAGE, if that is a qcow2, may be read",
                .parse = option_switch,
                .size = 1},
        {.name = "host",
                .help = "what this host's KVM offers, instead of an IMAGE",
                .parse = option_switch,
                .size = 1},
        {.name = "help", .help = "show this help", .command_line = true},
        {0},
};

static void help_inspect(void)
{
	puts("Usage: mayfly inspect [options] IMAGE\n\n"
	     "Says what IMAGE is, how it boots, where its segments and its entry lie, "
	     "what it\n"
	     "needs, which of a PC's old devices it gets, and how much memory by "
	     "default.\nNeeds no KVM.\n\n"
	     "Options:");
	print_options(inspect_options);
	puts("\nExamples:\n"
	     "  mayfly inspect hello\n"
	     "  mayfly inspect --json linuxkit");
}

static void help_bench(void)
{
	puts("Usage: mayfly bench [options]\n");
	text_print_wrapped(
	        "Compares how long one and the same task takes from process start: as "
	        "a process, in containers, under Mayfly, and under other monitors that "
	        "are on the PATH. Candidates take turns, every run is checked, and of "
	        "each that could not run it says why. Prints a table, writes "
	        "bench.json "
	        "and bench.svg.",
	        0, 0);
	print_options(bench_options);
	puts("\nExamples:\n"
	     "  mayfly bench\n"
	     "  mayfly bench --task http --only process,mayfly,crun --runs 50\n"
	     "  mayfly bench --with firecracker=./firecracker-v1.13\n"
	     "  mayfly bench --only mayfly,crun --count 500 --parallel 4");
}

static void help_main(void)
{
	puts("Usage: mayfly run [options] IMAGE [-- kernel arguments]\n"
	     "       mayfly inspect [--json] IMAGE|--host\n"
	     "       mayfly bench [options]\n"
	     "       mayfly help [run|inspect|bench]\n"
	     "       mayfly --version\n"
	     "\n"
	     "Mayfly launches Linux images and unikernels as microVMs on KVM.\n"
	     "\n"
	     "  run       launch IMAGE: a LinuxKit name, a disk image, a kernel, a "
	     "unikernel\n"
	     "  inspect   say what IMAGE is and how it boots\n"
	     "  bench     compare start-up with processes, containers, other monitors\n"
	     "  help      all options of a command\n"
	     "\n"
	     "Examples:\n"
	     "  mayfly run hello\n"
	     "  mayfly run --mem 2G --net user,publish=8080:80 linuxkit\n"
	     "  mayfly inspect linuxkit\n"
	     "  mayfly help run");
}

/* What was printed must have arrived: a full disk behind `>` is a failure. */
static int finish_output(int status)
{
	if (fflush(stdout) || ferror(stdout))
		return log_error(
		        STATUS_HOST, "cannot write to stdout: %s", strerror(errno));
	return status;
}

/* Commands. Each gets the words behind its name. */

static int run(char **words)
{
	struct config config;
	int status, error;

	config_init(&config);
	error = cli_parse(words, &config);
	if (error > 0) {
		help_run();
		status = finish_output(STATUS_OK);
	} else if (error) {
		status = status_of(error);
	} else {
		log_set_level(config.log_level);
		status = config.dry_run ? finish_output(run_dry(&config))
		                        : run_vm(&config);
	}
	config_destroy(&config);
	return status;
}

static int inspect(char **words)
{
	struct survey survey;
	struct word word;
	bool json = false, host = false, backing = false;

	if (survey_words(words, "inspect", inspect_options, &survey))
		return STATUS_USAGE;
	if (survey.help) {
		help_inspect();
		return finish_output(STATUS_OK);
	}
	while (word_next(&words, inspect_options, &word) > 0) {
		if (is(&word, "host") &&
		        option_set(word.option, &host, "--host", (char *)word.value))
			return STATUS_USAGE;
		if (is(&word, "json") &&
		        option_set(word.option, &json, "--json", (char *)word.value))
			return STATUS_USAGE;
		if (is(&word, "backing") && option_set(word.option, &backing,
		                                    "--backing", (char *)word.value))
			return STATUS_USAGE;
	}
	if (host && (survey.operand || *survey.rest))
		return log_error(STATUS_USAGE, "inspect: --host takes no IMAGE: mayfly "
		                               "inspect --host [--json]");
	if (host)
		return finish_output(inspect_host(json));
	if (!survey.operand || *survey.rest)
		return log_error(STATUS_USAGE,
		        "inspect: %s: mayfly inspect [--json] IMAGE",
		        survey.operand ? "nothing may follow --" : "IMAGE is missing");
	return finish_output(inspect_image(survey.operand, backing, json));
}

static int bench(char **words)
{
	struct bench_config config;
	struct survey survey;
	struct word word;

	if (survey_words(words, "bench", bench_options, &survey))
		return STATUS_USAGE;
	if (survey.help) {
		help_bench();
		return finish_output(STATUS_OK);
	}
	if (survey.operand || *survey.rest)
		return log_error(STATUS_USAGE, "bench: takes options only, not '%.80s'",
		        survey.operand ? survey.operand : *survey.rest);
	bench_init(&config);
	while (word_next(&words, bench_options, &word) > 0) {
		char where[64];

		snprintf(where, sizeof(where), "--%s", word.option->name);
		if (option_set(word.option, &config, where, (char *)word.value))
			return STATUS_USAGE;
	}
	return finish_output(bench_run(&config));
}

static int version(char **words)
{
	(void)words;
	puts("mayfly " MAYFLY_VERSION);
	return finish_output(STATUS_OK);
}

static int help(char **words);

static const struct command {
	const char *name;
	int (*main)(char **words);
	void (*help)(void);
} commands[] = {
        {"run", run, help_run},
        {"inspect", inspect, help_inspect},
        {"bench", bench, help_bench},
        {"help", help, help_main},
        {"--help", help, help_main},
        {"-h", help, help_main},
        {"--version", version, help_main},
        {0},
};

static const struct command *command_find(const char *name)
{
	const struct command *command = commands, *nearest = NULL;

	for (; command->name; command++) {
		if (strcmp(command->name, name) == 0)
			return command;
		if (!nearest && option_distance(name, strlen(name), command->name) <= 1)
			nearest = command;
	}
	if (nearest)
		log_error(0, "unknown command '%.80s', did you mean '%s'?", name,
		        nearest->name);
	else
		log_error(0,
		        "unknown command '%.80s'; an image is launched by 'mayfly run "
		        "IMAGE'",
		        name);
	return NULL;
}

static int help(char **words)
{
	const struct command *command = words[0] ? command_find(words[0]) : NULL;

	if (words[0] && !command)
		return STATUS_USAGE;
	if (command)
		command->help();
	else
		help_main();
	return finish_output(STATUS_OK);
}

int cli_main(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2)
		return log_error(STATUS_USAGE,
		        "nothing to do: mayfly run IMAGE ('mayfly help' tells more)");
	command = command_find(argv[1]);
	return command ? command->main(argv + 2) : STATUS_USAGE;
}
