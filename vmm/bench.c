/*
 * All candidates take turns: each round starts every one of them once, and the next
 * round begins with another, so that what disturbs the machine disturbs all alike. The
 * first run shows whether a candidate works at all. Every run is checked, and one that
 * fails takes its candidate out, with the reason: a figure stands for right answers only.
 */
#include "vmm/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/bench_report.h"
#include "vmm/bench_trial.h"
#include "vmm/bench_work.h"
#include "vmm/log.h"
#include "vmm/loop.h"

enum { STATUS_HOST = 1, STATUS_USAGE = 2, STATUS_SIGNAL = 128 };
enum { RUNS_MAX = 100000, WITHIN_S = 30 };

const char *const bench_tasks[] = {"hello", "http", NULL};

const struct option bench_options[] = {
        {.name = "task",
                .value = "hello|http",
                .group = "What is compared",
                .help = "say hello and end, or answer an HTTP request (default: hello)",
                .parse = option_choice,
                .choices = bench_tasks,
                .expects = "hello or http",
                OPTION_MEMBER(struct bench_config, task)},
        {.name = "only",
                .value = "NAME,...",
                .help = "these candidates only; --list shows all",
                .parse = option_text,
                .min = 1,
                .expects = "a list of names",
                OPTION_MEMBER(struct bench_config, only)},
        {.name = "with",
                .value = "NAME=PATH",
                .help = "where the candidate's program is, or busybox, if not on the "
                        "PATH; may be given several times",
                .parse = option_text,
                .min = 1,
                .expects = "NAME=PATH",
                OPTION_ARRAY(struct bench_config, with, with_count, BENCH_NAMED)},
        {.name = "candidate",
                .value = "NAME=COMMAND",
                .help = "one more; COMMAND is cut at blanks, may name {mayfly}, "
                        "{hello}, {http}, {port}, {kernel}, {initrd}, {hvt}, "
                        "{busybox}, {bundle}, {rootfs}, {id} and {work}, and must do "
                        "the task",
                .parse = option_text,
                .min = 1,
                .expects = "NAME=COMMAND",
                OPTION_ARRAY(
                        struct bench_config, candidates, candidate_count, BENCH_NAMED)},
        {.name = "silent",
                .value = "NAME=COMMAND",
                .help = "the same, but it need not say hello, only end with status 0",
                .parse = option_text,
                .min = 1,
                .expects = "NAME=COMMAND",
                OPTION_ARRAY(struct bench_config, silent, silent_count, BENCH_NAMED)},
        {.name = "hello",
                .value = "FILE",
                .help = "the unikernel that says hello (default: guests/hello beside "
                        "mayfly)",
                .parse = option_text,
                .min = 1,
                .expects = "a path",
                OPTION_MEMBER(struct bench_config, hello)},
        {.name = "http",
                .value = "FILE",
                .help = "the unikernel that serves HTTP (default: guests/http beside "
                        "mayfly)",
                .parse = option_text,
                .min = 1,
                .expects = "a path",
                OPTION_MEMBER(struct bench_config, http)},
        {.name = "kernel",
                .value = "FILE",
                .help = "a Linux kernel, for candidates that boot one; busybox does "
                        "the task there",
                .parse = option_text,
                .min = 1,
                .expects = "a path",
                OPTION_MEMBER(struct bench_config, kernel)},
        {.name = "hvt",
                .value = "FILE",
                .help = "a Solo5 image, for solo5-hvt and Mayfly",
                .parse = option_text,
                .min = 1,
                .expects = "a path",
                OPTION_MEMBER(struct bench_config, hvt)},

        {.name = "runs",
                .value = "N",
                .group = "How",
                .help = "runs of each candidate, in turn (default: 20)",
                .parse = option_number,
                .min = 1,
                .max = RUNS_MAX,
                .expects = "a number from 1 to 100000",
                OPTION_MEMBER(struct bench_config, runs)},
        {.name = "warmup",
                .value = "N",
                .help = "runs before these that do not count (default: 2)",
                .parse = option_number,
                .min = 0,
                .max = RUNS_MAX,
                .expects = "a number from 0 to 100000",
                OPTION_MEMBER(struct bench_config, warmup)},
        {.name = "count",
                .value = "N",
                .help = "instead of --runs: N starts of one candidate after the other, "
                        "as fast as they go; adds starts a second",
                .parse = option_number,
                .min = 1,
                .max = RUNS_MAX,
                .expects = "a number from 1 to 100000",
                OPTION_MEMBER(struct bench_config, count)},
        {.name = "parallel",
                .value = "M",
                .help = "of these at a time (default: 1)",
                .parse = option_number,
                .min = 1,
                .max = WORK_SLOTS,
                .expects = "a number from 1 to 32",
                OPTION_MEMBER(struct bench_config, parallel)},
        {.name = "base",
                .value = "NAME",
                .help = "whose time is 1 in the column of ratios (default: mayfly)",
                .parse = option_text,
                .min = 1,
                .expects = "a name",
                OPTION_MEMBER(struct bench_config, base)},
        {.name = "stamp",
                .value = "TEXT",
                .help = "the number behind TEXT in what a candidate writes, ns of "
                        "CLOCK_MONOTONIC, is the time of its line",
                .parse = option_text,
                .min = 1,
                .expects = "a text",
                OPTION_MEMBER(struct bench_config, stamp)},

        {.name = "json",
                .value = "FILE",
                .group = "Results",
                .help = "(default: bench.json; empty: none)",
                .parse = option_text,
                OPTION_MEMBER(struct bench_config, json)},
        {.name = "svg",
                .value = "FILE",
                .help = "a chart (default: bench.svg; empty: none)",
                .parse = option_text,
                OPTION_MEMBER(struct bench_config, svg)},
        {.name = "list",
                .help = "list the candidates and what each lacks here",
                .parse = option_switch,
                OPTION_MEMBER(struct bench_config, list)},
        {.name = "help", .help = "show this help", .command_line = true},
        {0},
};

void bench_init(struct bench_config *config)
{
	*config = (struct bench_config){.runs = 20,
	        .warmup = 2,
	        .parallel = 1,
	        .base = "mayfly",
	        .json = "bench.json",
	        .svg = "bench.svg"};
}

/* Candidates. */

struct candidate {
	struct peer peer;
	char name[40]; /* of one from the command line */
	bool silent, asked;
	char program[PATH_MAX];
	char why[TRIAL_WHY]; /* "": it runs */
	/* Samples of its runs: ms, and bytes. */
	double *first, *exit, *pss, *private;
	unsigned count;
	double rate;
};

struct bench {
	const struct bench_config *config;
	struct bench_work work;
	struct candidate *candidates;
	unsigned count;
	int signals; /* signalfd */
	int caught;  /* the signal that ended it, or 0 */
};

static const char *command(const struct bench *bench, const struct candidate *candidate)
{
	return bench->config->task == TASK_HTTP ? candidate->peer.http
	                                        : candidate->peer.hello;
}

static bool listed(const char *list, const char *name)
{
	size_t size = strlen(name);

	for (; *list; list += list[strcspn(list, ",")] ? 1 : 0) {
		size_t item = strcspn(list, ",");

		if (item == size && memcmp(list, name, size) == 0)
			return true;
		list += item;
	}
	return false;
}

/* The candidate's command, ready to be started; -Exxx with the reason in `why`. */
static int prepare(const struct bench *bench, struct candidate *candidate,
        const char *text, struct words *words)
{
	const char *why = NULL;
	int error;

	if (!text) {
		snprintf(candidate->why, sizeof(candidate->why), "not for the task %s",
		        bench_tasks[bench->config->task]);
		return -ENOENT;
	}
	error = words_make(words, text, bench->work.places, &why);
	if (!error && !candidate->program[0]) {
		const char *with = work_with(bench->config, candidate->peer.name);

		error = program_find(with ? with : words->argv[0], candidate->program,
		        sizeof(candidate->program));
		if (error)
			snprintf(candidate->why, sizeof(candidate->why),
			        with || strchr(words->argv[0], '/')
			                ? "there is no program '%.100s'"
			                : "no %.100s on the PATH",
			        with ? with : words->argv[0]);
	} else if (error) {
		snprintf(candidate->why, sizeof(candidate->why), "%s", why);
	}
	words->argv[0] = candidate->program;
	return error;
}

static int add_named(struct bench *bench, const char *text, bool silent)
{
	struct candidate *candidate = &bench->candidates[bench->count];
	size_t size = strcspn(text, "=");

	if (!size || size >= sizeof(candidate->name) || !text[size])
		return log_error(-EINVAL,
		        "--%s: '%.80s' is not NAME=COMMAND, with a NAME of at most 39 "
		        "bytes",
		        silent ? "silent" : "candidate", text);
	snprintf(candidate->name, sizeof(candidate->name), "%.*s", (int)size, text);
	for (unsigned i = 0; i < bench->count; i++)
		if (strcmp(bench->candidates[i].peer.name, candidate->name) == 0)
			return log_error(-EINVAL, "--%s: '%s' is there already",
			        silent ? "silent" : "candidate", candidate->name);
	candidate->peer = (struct peer){.name = candidate->name,
	        .hello = text + size + 1,
	        .http = text + size + 1};
	candidate->silent = silent;
	candidate->asked = true;
	bench->count++;
	return 0;
}

/* `option` names a candidate in the first `size` bytes of `name`. */
static int check_name(
        const struct bench *bench, const char *option, const char *name, size_t size)
{
	for (unsigned i = 0; i < bench->count; i++)
		if (strlen(bench->candidates[i].peer.name) == size &&
		        memcmp(bench->candidates[i].peer.name, name, size) == 0)
			return 0;
	return log_error(-EINVAL, "--%s: no candidate '%.*s'; --list shows all", option,
	        size < 80 ? (int)size : 80, name);
}

static int check_with(const struct bench *bench, const char *with)
{
	size_t size = strcspn(with, "=");

	if (!with[size] || !with[size + 1])
		return log_error(-EINVAL, "--with: '%.80s' is not NAME=PATH", with);
	if (size == strlen("busybox") && memcmp(with, "busybox", size) == 0)
		return 0;
	return check_name(bench, "with", with, size);
}

static int check_names(const struct bench *bench)
{
	const struct bench_config *config = bench->config;
	const char *only = config->only ? config->only : "";
	int error = check_name(bench, "base", config->base, strlen(config->base));

	for (unsigned i = 0; !error && i < config->with_count; i++)
		error = check_with(bench, config->with[i]);
	while (!error && *only) {
		size_t size = strcspn(only, ",");

		error = check_name(bench, "only", only, size);
		only += size + (only[size] == ',');
	}
	return error;
}

/* A file that was asked for is not one that this host happens to lack. */
static int check_files(const struct bench_config *config)
{
	const struct {
		const char *option, *path;
	} given[] = {
	        {"hello", config->hello},
	        {"http", config->http},
	        {"kernel", config->kernel},
	        {"hvt", config->hvt},
	};

	for (unsigned i = 0; i < sizeof(given) / sizeof(given[0]); i++)
		if (given[i].path && access(given[i].path, R_OK) < 0)
			return log_error(-errno, "--%s: cannot read '%s': %s",
			        given[i].option, given[i].path, strerror(errno));
	return 0;
}

static unsigned samples(const struct bench_config *config)
{
	return config->count ? config->count : config->runs;
}

/* Room for what is measured, in one piece that `first` points to. */
static int make_room(struct candidate *candidate, unsigned count)
{
	double *room = calloc(count, 4 * sizeof(*room));

	if (!room)
		return log_error(-ENOMEM, "bench: out of memory");
	candidate->first = room;
	candidate->exit = room + count;
	candidate->pss = room + 2 * (size_t)count;
	candidate->private = room + 3 * (size_t)count;
	return 0;
}

static int make_candidates(struct bench *bench)
{
	const struct bench_config *config = bench->config;
	unsigned known = 0, left = 0;
	int error = 0;

	while (peer_table[known].name)
		known++;
	bench->candidates = calloc(known + 2 * BENCH_NAMED, sizeof(*bench->candidates));
	if (!bench->candidates)
		return log_error(-ENOMEM, "bench: out of memory");
	for (; bench->count < known; bench->count++)
		bench->candidates[bench->count].peer = peer_table[bench->count];
	for (unsigned i = 0; !error && i < config->candidate_count; i++)
		error = add_named(bench, config->candidates[i], false);
	for (unsigned i = 0; !error && i < config->silent_count; i++)
		error = add_named(bench, config->silent[i], true);
	if (!error)
		error = check_names(bench);
	for (unsigned i = 0; !error && i < bench->count; i++) {
		struct candidate *candidate = &bench->candidates[i];

		if (config->only && !listed(config->only, candidate->peer.name))
			continue;
		candidate->asked |= config->only != NULL;
		bench->candidates[left] = *candidate;
		candidate = &bench->candidates[left++];
		/* One from the command line carries its name within itself. */
		if (candidate->name[0])
			candidate->peer.name = candidate->name;
		error = make_room(candidate, samples(config));
	}
	if (!error)
		bench->count = left;
	return error;
}

/* Runs. */

/* A place for one start at a time: after a run that was ended, what clears up after it. */
struct slot {
	struct words words, cleanup;
	struct trial_wanted run, clean;
	struct trial trial;
};

/* Until something happened to one of them, or its time has come; the signal, or 0. */
static int wait_for_any(const struct bench *bench, struct slot *slots, unsigned count)
{
	struct pollfd fds[1 + WORK_SLOTS * TRIAL_FDS];
	uint64_t until = UINT64_MAX, now;
	struct signalfd_siginfo signal;
	unsigned used = 1;

	fds[0] = (struct pollfd){.fd = bench->signals, .events = POLLIN};
	for (unsigned i = 0; i < count; i++)
		if (slots[i].trial.wanted) {
			uint64_t then = trial_watch(&slots[i].trial, fds + used);

			used += TRIAL_FDS;
			until = then < until ? then : until;
		}
	now = loop_now_ns();
	until = until > now ? until - now : 0;
	ppoll(fds, used,
	        &(struct timespec){.tv_sec = (time_t)(until / 1000000000),
	                .tv_nsec = (long)(until % 1000000000)},
	        NULL);
	if (fds[0].revents && read(bench->signals, &signal, sizeof(signal)) > 0)
		return (int)signal.ssi_signo;
	return 0;
}

static double milliseconds(const struct trial *trial, uint64_t at_ns)
{
	return at_ns > trial->start_ns ? (double)(at_ns - trial->start_ns) / 1e6 : 0;
}

static void keep(struct candidate *candidate, const struct trial *trial)
{
	unsigned at = candidate->count++;

	candidate->first[at] = milliseconds(trial, trial->first_ns);
	candidate->exit[at] = milliseconds(trial, trial->exit_ns);
	candidate->pss[at] = (double)trial->pss / (1 << 20);
	candidate->private[at] = (double)trial->private / (1 << 20);
}

static void make_slot(struct bench *bench, struct candidate *candidate, unsigned number,
        struct slot *slot)
{
	const struct bench_config *config = bench->config;
	bool web = config->task == TASK_HTTP;
	const char *why;

	work_set_slot(&bench->work, number);
	prepare(bench, candidate, command(bench, candidate), &slot->words);
	slot->run = (struct trial_wanted){.argv = slot->words.argv,
	        .line = candidate->silent ? NULL
	                : web             ? BENCH_PAGE
	                                  : BENCH_LINE,
	        .stamp = config->stamp,
	        .status = candidate->peer.status,
	        .port = bench->work.ports[number],
	        /* Of several at a time, each would have all of it. */
	        .memory = web && config->parallel == 1,
	        .within_ns = WITHIN_S * UINT64_C(1000000000)};
	if (!candidate->peer.cleanup ||
	        words_make(&slot->cleanup, candidate->peer.cleanup, bench->work.places,
	                &why))
		return;
	slot->cleanup.argv[0] = candidate->program;
	slot->clean = (struct trial_wanted){.argv = slot->cleanup.argv,
	        .within_ns = WITHIN_S * UINT64_C(1000000000)};
}

/* After a run that is over. What ended by itself has cleared up after itself. */
static void end_run(struct slot *slot, struct candidate *candidate, bool kept)
{
	struct trial *trial = &slot->trial;
	bool ended = slot->run.port || !trial->exit_ns;

	trial_finish(trial);
	if (!trial->why[0] && kept)
		keep(candidate, trial);
	if (trial->why[0] && !candidate->why[0])
		memcpy(candidate->why, trial->why, sizeof(candidate->why));
	if (slot->clean.argv && (ended || trial->why[0]))
		trial_start(trial, &slot->clean);
	else
		trial->wanted = NULL;
}

/* Looks after a slot that is in use; false: it is free now. */
static bool slot_step(const struct bench *bench, struct slot *slot,
        struct candidate *candidate, bool kept)
{
	struct trial *trial = &slot->trial;
	bool over = bench->caught || candidate->why[0];

	if (trial->wanted == &slot->clean) {
		if (!trial_step(trial))
			return true;
		trial_finish(trial);
		trial->wanted = NULL;
	} else if (trial_step(trial) || over) {
		end_run(slot, candidate, kept && !over);
	}
	return trial->wanted;
}

/* Several starts of one candidate, `parallel` at a time; they are kept if `kept`. */
static void measure(struct bench *bench, struct candidate *candidate, unsigned count,
        unsigned parallel, bool kept)
{
	struct slot *slots = calloc(parallel, sizeof(*slots));
	unsigned started = 0, under_way = 0;
	uint64_t start_ns;

	if (!slots) {
		snprintf(candidate->why, sizeof(candidate->why), "out of memory");
		return;
	}
	for (unsigned i = 0; i < parallel; i++)
		make_slot(bench, candidate, i, &slots[i]);
	start_ns = loop_now_ns();
	do {
		int caught;

		for (unsigned i = 0; i < parallel; i++) {
			if (started == count || candidate->why[0] || bench->caught)
				break;
			if (slots[i].trial.wanted)
				continue;
			trial_start(&slots[i].trial, &slots[i].run);
			started++;
			under_way++;
		}
		caught = wait_for_any(bench, slots, parallel);
		bench->caught = bench->caught ? bench->caught : caught;
		for (unsigned i = 0; i < parallel; i++)
			if (slots[i].trial.wanted &&
			        !slot_step(bench, &slots[i], candidate, kept))
				under_way--;
	} while (
	        under_way || (started < count && !candidate->why[0] && !bench->caught));
	if (kept)
		candidate->rate = count / ((double)(loop_now_ns() - start_ns) / 1e9);
	trial_kill_rest();
	free(slots);
}

static void measure_all(struct bench *bench)
{
	const struct bench_config *config = bench->config;
	unsigned rounds = config->warmup + (config->count ? 0 : config->runs);

	for (unsigned round = 0; round < rounds; round++)
		for (unsigned turn = 0; turn < bench->count && !bench->caught; turn++) {
			struct candidate *candidate =
			        &bench->candidates[(round + turn) % bench->count];

			if (!candidate->why[0])
				measure(bench, candidate, 1, 1,
				        round >= config->warmup);
		}
	for (unsigned i = 0; config->count && i < bench->count && !bench->caught; i++)
		if (!bench->candidates[i].why[0])
			measure(bench, &bench->candidates[i], config->count,
			        config->parallel, true);
}

/* All of a kind are 0 where a candidate has no such figure. */
static struct bench_spread spread_of(double *values, unsigned count)
{
	struct bench_spread spread = bench_spread(values, count);

	return spread.max > 0 ? spread : (struct bench_spread){0};
}

static int report(struct bench *bench)
{
	struct bench_result *results = calloc(bench->count + 1, sizeof(*results));
	bool ran = false, missed = false;
	int error;

	if (!results)
		return log_error(STATUS_HOST, "bench: out of memory");
	for (unsigned i = 0; i < bench->count; i++) {
		struct candidate *from = &bench->candidates[i];

		results[i] = (struct bench_result){.name = from->peer.name,
		        .why = from->why[0] ? from->why : NULL,
		        .first = spread_of(from->first, from->count),
		        .exit = spread_of(from->exit, from->count),
		        .pss = spread_of(from->pss, from->count),
		        .private = spread_of(from->private, from->count),
		        .rate = from->rate};
		ran |= !from->why[0];
		missed |= from->why[0] && from->asked;
	}
	error = bench_report(bench->config, results, bench->count);
	free(results);
	return error || missed || !ran ? STATUS_HOST : 0;
}

static int list(struct bench *bench)
{
	for (unsigned i = 0; i < bench->count; i++) {
		struct candidate *candidate = &bench->candidates[i];

		printf("%-16s %s\n", candidate->peer.name,
		        candidate->why[0] ? candidate->why : candidate->program);
	}
	return 0;
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int bench_run(const struct bench_config *config)
{
	struct bench bench = {.config = config, .signals = -1};
	struct words words;
	int status = STATUS_HOST, error;

	if (config->parallel > 1 && !config->count)
		return log_error(STATUS_USAGE, "--parallel: needs --count");
	error = make_candidates(&bench);
	if (!error)
		error = check_files(config);
	if (error) {
		status = error == -EINVAL ? STATUS_USAGE : STATUS_HOST;
		goto out;
	}
	bench.signals = open_signals();
	/* What a candidate leaves behind becomes our child, and is ended by us. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (work_create(&bench.work, config))
		goto out;
	for (unsigned i = 0; i < bench.count; i++)
		prepare(&bench, &bench.candidates[i],
		        command(&bench, &bench.candidates[i]), &words);
	if (config->list) {
		status = list(&bench);
		goto out;
	}
	measure_all(&bench);
	status = bench.caught ? STATUS_SIGNAL + bench.caught : report(&bench);
out:
	work_destroy(&bench.work);
	for (unsigned i = 0; i < bench.count; i++)
		free(bench.candidates[i].first);
	free(bench.candidates);
	if (bench.signals >= 0)
		close(bench.signals);
	return status;
}
