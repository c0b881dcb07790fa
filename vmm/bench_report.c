#include "vmm/bench_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "vmm/bench.h"
#include "vmm/chart.h"
#include "vmm/json.h"
#include "vmm/log.h"

/* Statistics. */

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* Between the two values that lie nearest. */
static double quantile(const double *sorted, unsigned count, double part)
{
	double place = part * (count - 1);
	unsigned below = (unsigned)place;
	unsigned above = below + 1 < count ? below + 1 : below;

	return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

struct bench_spread bench_spread(double *values, unsigned count)
{
	if (!count)
		return (struct bench_spread){0};
	qsort(values, count, sizeof(*values), compare);
	return (struct bench_spread){.median = quantile(values, count, 0.5),
	        .low = quantile(values, count, 0.1),
	        .high = quantile(values, count, 0.9),
	        .p99 = quantile(values, count, 0.99),
	        .max = values[count - 1],
	        .count = count};
}

/* What candidates are compared by, and sorted. */
static const struct bench_spread *main_figure(const struct bench_result *result)
{
	return result->exit.count ? &result->exit : &result->first;
}

static int by_main_figure(const void *left, const void *right)
{
	const struct bench_result *a = left, *b = right;

	if (a->why && b->why)
		return strcmp(a->name, b->name);
	if (a->why || b->why)
		return a->why ? 1 : -1;
	return compare(&main_figure(a)->median, &main_figure(b)->median);
}

/* The machine. */

struct machine {
	char cpu[80];
	long cpus;
	bool virtual; /* a guest itself */
	const char *kvm;
	struct utsname system;
};

/* What stands behind the colon of a line of /proc. */
static const char *value_of(const char *line)
{
	const char *colon = strchr(line, ':');

	return colon ? colon + 1 + strspn(colon + 1, " \t") : "";
}

static void machine_describe(struct machine *machine)
{
	static const char *const modules[][2] = {
	        {"/sys/module/kvm_pvm", "kvm_pvm"},
	        {"/sys/module/kvm_intel", "kvm_intel"},
	        {"/sys/module/kvm_amd", "kvm_amd"},
	        {"/dev/kvm", "kvm"},
	};
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[4096];

	*machine = (struct machine){.cpu = "unknown CPU",
	        .kvm = "no KVM",
	        .cpus = sysconf(_SC_NPROCESSORS_ONLN)};
	uname(&machine->system);
	for (unsigned i = 0; i < 4; i++)
		if (access(modules[i][0], F_OK) == 0) {
			machine->kvm = modules[i][1];
			break;
		}
	while (file && fgets(line, sizeof(line), file)) {
		/* x86 has a model name, RISC-V the instruction set. */
		if (strncmp(line, "model name", 10) == 0 ||
		        strncmp(line, "isa", 3) == 0)
			snprintf(machine->cpu, sizeof(machine->cpu), "%.*s",
			        (int)strcspn(value_of(line), "\n"), value_of(line));
		if (strncmp(line, "flags", 5) == 0 && strstr(line, " hypervisor"))
			machine->virtual = true;
		if (line[0] == '\n')
			break;
	}
	if (file)
		fclose(file);
}

static void print_machine(FILE *file)
{
	struct machine machine;

	machine_describe(&machine);
	fprintf(file, "%.50s, %ld CPUs%s\n%s %.40s, %s, Mayfly " MAYFLY_VERSION "\n",
	        machine.cpu, machine.cpus, machine.virtual ? ", virtual" : "",
	        machine.system.sysname, machine.system.release, machine.kvm);
}

/* Report. */

static void describe_runs(char *text, size_t size, const struct bench_config *config)
{
	if (config->count)
		snprintf(text, size, "%u starts, %u at a time", config->count,
		        config->parallel);
	else
		snprintf(text, size, "%u runs in turn", config->runs);
}

static double ratio(const struct bench_result *result, const struct bench_result *base)
{
	double under = base ? main_figure(base)->median : 0;

	return under > 0 ? main_figure(result)->median / under : 0;
}

/* Columns: a line of titles over groups of them, one of their own, and the figures. */

enum { COLUMNS_MAX = 8, GROUPS_MAX = 2 };

struct column {
	const char *title;
	double value;
	bool there;
};

struct row {
	struct column columns[COLUMNS_MAX];
	unsigned count;
	struct group {
		const char *title;
		unsigned end; /* the column behind its last */
	} groups[GROUPS_MAX];
	unsigned group_count;
};

static void add(struct row *row, const char *title, double value, bool there)
{
	row->columns[row->count++] = (struct column){title, value, there};
}

static void add_spread(struct row *row, const struct bench_spread *spread, bool tail)
{
	add(row, "median", spread->median, spread->count);
	add(row, "p10", spread->low, spread->count);
	add(row, "p90", spread->high, spread->count);
	if (tail) {
		add(row, "p99", spread->p99, spread->count);
		add(row, "max", spread->max, spread->count);
	}
}

static void end_group(struct row *row, const char *title)
{
	row->groups[row->group_count++] = (struct group){title, row->count};
}

/* Under load it is the tail that tells, and the line takes one column. */
static struct row make_row(const struct bench_config *config,
        const struct bench_result *result, const struct bench_result *base)
{
	struct row row = {.count = 0};

	if (config->task == TASK_HTTP) {
		add_spread(&row, &result->first, config->count);
		end_group(&row, "first answer, ms");
	} else {
		if (config->count)
			add(&row, "median", result->first.median, result->first.count);
		else
			add_spread(&row, &result->first, false);
		end_group(&row, "line, ms");
		add_spread(&row, &result->exit, config->count);
		end_group(&row, "end, ms");
	}
	/* Of several at a time it is not measured. */
	if (config->task == TASK_HTTP && !config->count) {
		add(&row, "PSS", result->pss.median, result->pss.count);
		add(&row, "private", result->private.median, result->private.count);
		end_group(&row, "MiB");
	}
	add(&row, "ratio", ratio(result, base), ratio(result, base) > 0);
	if (config->count)
		add(&row, "per s", result->rate, true);
	return row;
}

static void put_titles(FILE *file, const char *task, const struct row *row)
{
	unsigned from = 0;

	fprintf(file, "%-16s", "");
	for (unsigned i = 0; i < row->group_count; i++) {
		const struct group *group = &row->groups[i];

		fprintf(file, "%*s", 8 * (int)(group->end - from), group->title);
		from = group->end;
	}
	fprintf(file, "\n%-16s", task);
	for (unsigned i = 0; i < row->count; i++)
		fprintf(file, "%8s", row->columns[i].title);
	fputc('\n', file);
}

/* At least one blank before it. */
static void put_value(FILE *file, double value)
{
	fprintf(file, "%8.*f", value < 1000 ? 2 : value < 10000 ? 1 : 0, value);
}

static void put_row(FILE *file, const char *name, const struct row *row)
{
	fprintf(file, "%-16.16s", name);
	for (unsigned i = 0; i < row->count; i++)
		if (row->columns[i].there)
			put_value(file, row->columns[i].value);
		else
			fprintf(file, "%8s", "-");
	fputc('\n', file);
}

/* A reason is cut at blanks into lines, or within a word that is longer than a line. */
static void put_why(FILE *file, const struct bench_result *result)
{
	const char *name = result->name, *text = result->why;
	enum { WIDTH = 79 - 17 };

	do {
		size_t size = strlen(text);

		if (size > WIDTH)
			for (size = WIDTH; size && text[size] != ' ';)
				size--;
		if (!size)
			size = WIDTH;
		fprintf(file, "%-16.16s %.*s\n", name, (int)size, text);
		text += size + strspn(text + size, " ");
		name = "";
	} while (*text);
}

void bench_table(FILE *file, const struct bench_config *config,
        const struct bench_result *results, unsigned count,
        const struct bench_result *base)
{
	bool ran = false, missed = false;

	for (unsigned i = 0; i < count; i++) {
		struct row row = make_row(config, &results[i], base);

		if (results[i].why)
			continue;
		if (!ran)
			put_titles(file, bench_tasks[config->task], &row);
		put_row(file, results[i].name, &row);
		ran = true;
	}
	for (unsigned i = 0; i < count; i++) {
		if (!results[i].why)
			continue;
		if (!missed)
			fprintf(file, "%sNot run:\n", ran ? "\n" : "");
		put_why(file, &results[i]);
		missed = true;
	}
}

static void put_json_spread(
        FILE *file, const char *name, const struct bench_spread *spread)
{
	if (spread->count)
		fprintf(file,
		        ",\"%s\":{\"median\":%.4f,\"p10\":%.4f,\"p90\":%.4f,"
		        "\"p99\":%.4f,\"max\":%.4f}",
		        name, spread->median, spread->low, spread->high, spread->p99,
		        spread->max);
}

static void put_json(FILE *file, const struct bench_config *config,
        const struct bench_result *results, unsigned count,
        const struct bench_result *base)
{
	struct machine machine;

	machine_describe(&machine);
	fputs("{\"version\":\"" MAYFLY_VERSION "\",\"machine\":{\"cpu\":", file);
	json_put_string(file, machine.cpu);
	fprintf(file, ",\"cpus\":%ld,\"virtual\":%s,\"kernel\":", machine.cpus,
	        machine.virtual ? "true" : "false");
	json_put_string(file, machine.system.release);
	fprintf(file, ",\"kvm\":\"%s\"},\n\"task\":\"%s\",\"warmup\":%u,", machine.kvm,
	        bench_tasks[config->task], config->warmup);
	if (config->count)
		fprintf(file, "\"count\":%u,\"parallel\":%u,", config->count,
		        config->parallel);
	else
		fprintf(file, "\"runs\":%u,", config->runs);
	fputs("\"base\":", file);
	json_put_string(file, base ? base->name : NULL);
	fputs(",\n\"candidates\":[", file);
	for (unsigned i = 0; i < count; i++) {
		const struct bench_result *result = &results[i];

		fprintf(file, "%s\n{\"name\":", i ? "," : "");
		json_put_string(file, result->name);
		if (result->why) {
			fputs(",\"not_run\":", file);
			json_put_string(file, result->why);
		} else {
			put_json_spread(file, "first_ms", &result->first);
			put_json_spread(file, "exit_ms", &result->exit);
			put_json_spread(file, "pss_mib", &result->pss);
			put_json_spread(file, "private_mib", &result->private);
			if (base)
				fprintf(file, ",\"ratio\":%.4f", ratio(result, base));
			if (config->count)
				fprintf(file, ",\"starts_per_s\":%.1f", result->rate);
		}
		fputs("}", file);
	}
	fputs("\n]}\n", file);
}

static int write_json(const struct bench_config *config,
        const struct bench_result *results, unsigned count,
        const struct bench_result *base)
{
	FILE *file = fopen(config->json, "we");
	bool failed;

	if (!file)
		return log_error(-errno, "--json: cannot write '%s': %s", config->json,
		        strerror(errno));
	put_json(file, config, results, count, base);
	failed = ferror(file);
	if (fclose(file) || failed)
		return log_error(-EIO, "--json: cannot write '%s'", config->json);
	return 0;
}

static int draw(const struct bench_config *config, const struct bench_result *results,
        unsigned count)
{
	struct chart_bar *bars = calloc(count + 1, sizeof(*bars));
	char note[256], title[160], runs[64];
	struct machine machine;
	unsigned used = 0;
	int error;

	if (!bars)
		return log_error(-ENOMEM, "bench: out of memory");
	machine_describe(&machine);
	describe_runs(runs, sizeof(runs), config);
	snprintf(title, sizeof(title),
	        "ms from process start to %s: median, p10 to p90 of %s",
	        config->task == TASK_HTTP ? "the first HTTP answer"
	                                  : "hello and (pale) to the end",
	        runs);
	snprintf(note, sizeof(note),
	        "%s, %ld CPUs, %s %.40s, %s, Mayfly " MAYFLY_VERSION, machine.cpu,
	        machine.cpus, machine.system.sysname, machine.system.release,
	        machine.kvm);
	for (unsigned i = 0; i < count; i++) {
		const struct bench_result *result = &results[i];
		const struct bench_spread *spread = main_figure(result);

		if (result->why)
			continue;
		bars[used++] = (struct chart_bar){.label = result->name,
		        .to = result->first.count ? result->first.median
		                                  : spread->median,
		        .rest = spread->median,
		        .low = spread->low,
		        .high = spread->high,
		        .figure = spread->median,
		        .accent = strncmp(result->name, "mayfly", 6) == 0};
	}
	error = used ? chart_write(&(struct chart){title, note, bars, used},
	                       config->svg, "--svg")
	             : 0;
	free(bars);
	return error;
}

int bench_report(
        const struct bench_config *config, struct bench_result *results, unsigned count)
{
	const struct bench_result *base = NULL;
	char runs[64];
	int error = 0;

	qsort(results, count, sizeof(*results), by_main_figure);
	for (unsigned i = 0; i < count; i++)
		if (!results[i].why && strcmp(results[i].name, config->base) == 0)
			base = &results[i];
	print_machine(stdout);
	describe_runs(runs, sizeof(runs), config);
	printf("%s, %u to warm up\n\n", runs, config->warmup);
	bench_table(stdout, config, results, count, base);
	if (*config->json)
		error = write_json(config, results, count, base);
	if (!error && *config->svg)
		error = draw(config, results, count);
	return error;
}
