#include "vmm/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/arch.h"
#include "vmm/json.h"
#include "vmm/log.h"

enum { PAGE_SIZE = 4096, ARGUMENT_MAX = 64 };

static void place(struct plan *plan, enum plan_kind kind, unsigned index)
{
	unsigned slot = plan->virtio_count++;

	plan->virtio[slot] = (struct plan_virtio){
	        .kind = kind,
	        .index = index,
	        .base = arch_layout.virtio_base + slot * arch_layout.virtio_size,
	        .size = arch_layout.virtio_size,
	        .gsi = arch_layout.virtio_gsi + slot,
	};
}

/* Disks come first: a guest takes the first disk for its root. */
static void place_devices(struct plan *plan)
{
	const struct config *config = plan->config;

	for (unsigned i = 0; i < config->disk_count; i++)
		place(plan, PLAN_DISK, i);
	for (unsigned i = 0; i < config->nic_count; i++)
		place(plan, PLAN_NIC, i);
	if (config->rng)
		place(plan, PLAN_RNG, 0);
	if (config->console == CONSOLE_VIRTIO)
		place(plan, PLAN_CONSOLE, 0);
}

/*
 * The next word of `*text` and its size; NULL at the end, or at the "--" behind which
 * Linux leaves all to init (kernel/params.c, parse_args()).
 */
static const char *next_word(const char **text, size_t *size)
{
	static const char blanks[] = " \t\r\n";
	const char *word = *text + strspn(*text, blanks);

	*size = strcspn(word, blanks);
	*text = word + *size;
	return *size && !(*size == 2 && !memcmp(word, "--", 2)) ? word : NULL;
}

/* Whether a word of `text` starts with `start`. */
static bool has_word(const char *text, const char *start)
{
	const char *word;
	size_t size;

	while ((word = next_word(&text, &size)))
		if (!strncmp(word, start, strlen(start)))
			return true;
	return false;
}

/*
 * Linux's kernel/reboot.c, reboot_setup(): the first letter of each part counts, and of
 * those that name a way to reboot, the last.
 */
static bool reboots_by_triple_fault(const char *text)
{
	static const char option[] = "reboot=";
	bool triple_fault = false;
	const char *word;
	size_t size;

	while ((word = next_word(&text, &size))) {
		if (strncmp(word, option, strlen(option)) != 0)
			continue;
		word += strlen(option);
		while (word && word < text) {
			if (!strncmp(word, "panic_", 6))
				word += 6;
			if (word < text && strchr("tbakep", *word))
				triple_fault = *word == 't';
			word = memchr(word, ',', (size_t)(text - word));
			if (word)
				word++;
		}
	}
	return triple_fault;
}

static void add_word(char *text, const char *word)
{
	if (*word) {
		if (*text)
			strcat(text, " ");
		strcat(text, word);
	}
}

/*
 * What the monitor adds stands first, so that what the user gave wins where a kernel
 * takes the last, and a `--` for init stays at the end.
 */
static int compose_cmdline(struct plan *plan)
{
	const struct config *config = plan->config;
	const char *own = config->cmdline ? config->cmdline : plan->source.cmdline;
	const char *more = config->arguments ? config->arguments : "";
	char word[ARGUMENT_MAX];
	const char *given;
	size_t size = strlen(own) + strlen(more) + strlen(arch_layout.linux_arguments) +
	              (plan->virtio_count + 2) * ARGUMENT_MAX;

	plan->additions = calloc(1, size);
	plan->cmdline = calloc(1, size);
	if (!plan->additions || !plan->cmdline)
		return log_error(-ENOMEM, "out of memory");
	if (!config->no_defaults) {
		if (plan->needs.linux_kernel) {
			snprintf(word, sizeof(word), "console=%s",
			        config->console == CONSOLE_VIRTIO
			                ? "hvc0"
			                : arch_layout.console);
			given = config->console == CONSOLE_VIRTIO ? word : "console=";
			if (config->console != CONSOLE_NONE && !has_word(own, given) &&
			        !has_word(more, given))
				add_word(plan->additions, word);
			add_word(plan->additions, arch_layout.linux_arguments);
		}
		for (unsigned i = 0; i < plan->virtio_count; i++)
			if (arch_virtio_argument(word, sizeof(word),
			            plan->virtio[i].base, plan->virtio[i].gsi))
				add_word(plan->additions, word);
	}
	add_word(plan->cmdline, plan->additions);
	add_word(plan->cmdline, own);
	add_word(plan->cmdline, more);
	if (strlen(plan->cmdline) > boot_cmdline_max(&plan->source))
		return log_error(-E2BIG,
		        "--cmdline: %zu characters, of which Mayfly added %zu; '%s' "
		        "takes "
		        "%zu: shorten it",
		        strlen(plan->cmdline), strlen(plan->additions),
		        plan->source.kernel_path, boot_cmdline_max(&plan->source));
	plan->triple_fault_resets = reboots_by_triple_fault(plan->cmdline);
	return 0;
}

int plan_create(struct plan *plan, const struct config *config)
{
	static const enum boot_protocol protocols[] = {
	        [BOOT_AUTO] = PROTOCOL_AUTO,
	        [BOOT_PVH] = PROTOCOL_PVH,
	        [BOOT_LINUX] = PROTOCOL_LINUX64,
	};
	int error;

	*plan = (struct plan){.config = config};
	error = boot_open(&plan->source, config->image, config->kernel, config->initrds,
	        config->initrd_count, protocols[config->boot], arch_layout.machine);
	if (error)
		return error;
	plan->needs = plan->source.needs;
	place_devices(plan);
	/* A device without interrupts is no device; input is one more. */
	if (plan->virtio_count)
		plan->needs.irqchip = true;
	if (config->cpus > 1)
		plan->needs.irqchip = true;
	if (plan->needs.irqchip)
		plan->needs.cpuid = true;
	if (config->console == CONSOLE_NONE)
		plan->needs.console_input = false;
	plan->memory_default = !config->memory;
	plan->memory = config->memory ? config->memory : plan->needs.memory;
	plan->memory = (plan->memory + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	arch_regions(plan);
	return compose_cmdline(plan);
}

void plan_destroy(struct plan *plan)
{
	boot_close(&plan->source);
	free(plan->cmdline);
	free(plan->additions);
}

static const char *yes(bool value)
{
	return value ? "yes" : "no";
}

static const char *virtio_name(
        const struct plan *plan, unsigned i, char *text, size_t size)
{
	const struct plan_virtio *virtio = &plan->virtio[i];
	const struct config *config = plan->config;

	switch (virtio->kind) {
	case PLAN_DISK:
		snprintf(text, size, "disk %s%s", config->disks[virtio->index].path,
		        config->disks[virtio->index].readonly ? " (read-only)" : "");
		break;
	case PLAN_NIC:
		snprintf(text, size, "net %s",
		        config->nics[virtio->index].tap
		                ? config->nics[virtio->index].tap
		                : "user");
		break;
	case PLAN_RNG:
		snprintf(text, size, "rng");
		break;
	case PLAN_CONSOLE:
		snprintf(text, size, "console");
		break;
	}
	return text;
}

void plan_print(const struct plan *plan)
{
	const struct boot_source *source = &plan->source;
	char text[256];

	printf("image      %s (%s)\n", source->kernel_path, source->kind);
	for (unsigned i = 0; i < source->initrd_count; i++)
		printf("initrd     %s (%llu bytes)\n", source->initrd_paths[i],
		        (unsigned long long)source->initrd_sizes[i]);
	printf("boot       %s\n", boot_protocol_name(source->protocol));
	printf("cpus       %u\n", plan->config->cpus);
	printf("memory     %llu KiB%s\n", (unsigned long long)plan->memory >> 10,
	        plan->memory_default ? " (default)" : "");
	printf("needs      interrupts: %s, ACPI: %s, legacy: %s, console input: %s\n",
	        yes(plan->needs.irqchip), yes(plan->needs.acpi),
	        yes(plan->needs.legacy), yes(plan->needs.console_input));
	printf("cmdline    %s\n", plan->cmdline);
	printf("added      %s\n", *plan->additions ? plan->additions : "(nothing)");
	printf("\n%-18s %-18s %s\n", "from", "to", "memory map");
	for (unsigned i = 0; i < plan->region_count; i++)
		printf("0x%016llx 0x%016llx %s\n",
		        (unsigned long long)plan->regions[i].guest,
		        (unsigned long long)(plan->regions[i].guest +
		                             plan->regions[i].size - 1),
		        plan->regions[i].reserved ? "reserved" : "RAM");
	for (unsigned i = 0; i < plan->virtio_count; i++)
		printf("0x%016llx 0x%016llx virtio %s, interrupt %u\n",
		        (unsigned long long)plan->virtio[i].base,
		        (unsigned long long)(plan->virtio[i].base +
		                             plan->virtio[i].size - 1),
		        virtio_name(plan, i, text, sizeof(text)), plan->virtio[i].gsi);
}

void plan_print_json(const struct plan *plan)
{
	const struct boot_source *source = &plan->source;
	char text[256];

	printf("{\"image\":");
	json_put_string(stdout, source->kernel_path);
	printf(",\"kind\":");
	json_put_string(stdout, source->kind);
	printf(",\"initrds\":[");
	for (unsigned i = 0; i < source->initrd_count; i++) {
		fputs(i ? "," : "", stdout);
		json_put_string(stdout, source->initrd_paths[i]);
	}
	printf("],\"boot\":\"%s\",\"cpus\":%u,\"memory\":%llu",
	        boot_protocol_name(source->protocol), plan->config->cpus,
	        (unsigned long long)plan->memory);
	printf(",\"needs\":{\"irqchip\":%s,\"acpi\":%s,\"legacy\":%s,\"console_input\":"
	       "%s}",
	        plan->needs.irqchip ? "true" : "false",
	        plan->needs.acpi ? "true" : "false",
	        plan->needs.legacy ? "true" : "false",
	        plan->needs.console_input ? "true" : "false");
	printf(",\"cmdline\":");
	json_put_string(stdout, plan->cmdline);
	printf(",\"added\":");
	json_put_string(stdout, plan->additions);
	printf(",\"memory_map\":[");
	for (unsigned i = 0; i < plan->region_count; i++)
		printf("%s{\"guest\":%llu,\"size\":%llu,\"type\":\"%s\"}", i ? "," : "",
		        (unsigned long long)plan->regions[i].guest,
		        (unsigned long long)plan->regions[i].size,
		        plan->regions[i].reserved ? "reserved" : "ram");
	printf("],\"virtio\":[");
	for (unsigned i = 0; i < plan->virtio_count; i++) {
		printf("%s{\"name\":", i ? "," : "");
		json_put_string(stdout, virtio_name(plan, i, text, sizeof(text)));
		printf(",\"base\":%llu,\"size\":%llu,\"gsi\":%u}",
		        (unsigned long long)plan->virtio[i].base,
		        (unsigned long long)plan->virtio[i].size, plan->virtio[i].gsi);
	}
	printf("]}\n");
}
