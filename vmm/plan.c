#include "vmm/plan.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/arch.h"
#include "vmm/image.h"
#include "vmm/json.h"
#include "vmm/log.h"
#include "vmm/state.h"

#define VIRTIO_CONSOLE "console=hvc0"

enum {
	PAGE_SIZE = 4096,
	ARGUMENT_MAX = 64,
	VIRTIO_ID = 20, /* VIRTIO_BLK_ID_BYTES (VIRTIO 1.2, 5.2.6) */
	NAMES_SIZE = BOOT_DEVICE_NAME * 4,
};

/* A guest with a PIC knows 16 lines, some of which are taken; a line more is past its end. */
static unsigned virtio_gsi(const struct plan *plan, unsigned slot)
{
	const struct arch_layout *layout = &arch_layout;

	if (!plan->needs.pc)
		return layout->virtio_gsi + slot;
	return slot < layout->pic_gsi_count ? layout->pic_gsis[slot] : 0;
}

static void place(struct plan *plan, enum plan_kind kind, unsigned index)
{
	unsigned slot = plan->virtio_count++;

	if (plan->config->transport == TRANSPORT_PCI) {
		plan->virtio[slot] = (struct plan_virtio){
		        .kind = kind,
		        .index = index,
		        .base = arch_layout.pci_memory + slot * PLAN_PCI_MEMORY,
		        .size = PLAN_PCI_MEMORY,
		        .gsi = virtio_gsi(plan, slot),
		        .slot = 1 + slot, /* 0 is the host bridge */
		        .ports = arch_layout.pci_ports + slot * PLAN_PCI_PORTS,
		};
		return;
	}
	plan->virtio[slot] = (struct plan_virtio){
	        .kind = kind,
	        .index = index,
	        .base = arch_layout.virtio_base + slot * arch_layout.virtio_size,
	        .size = arch_layout.virtio_size,
	        .gsi = virtio_gsi(plan, slot),
	};
}

const struct disk_config *plan_disk(const struct plan *plan, unsigned index)
{
	if (!plan->image_disk.path)
		return &plan->config->disks[index];
	return index ? &plan->config->disks[index - 1] : &plan->image_disk;
}

/* Disks come first: a guest takes the first disk for its root. */
static int place_devices(struct plan *plan)
{
	const struct config *config = plan->config;

	unsigned count = config->disk_count + (plan->image_disk.path != NULL);

	if (count > PLAN_DISKS)
		return log_error(
		        -EINVAL, "--disk: at most %d as virtio disks", PLAN_DISKS);
	for (unsigned i = 0; i < config->disk_count; i++) {
		const struct disk_config *disk = &config->disks[i];

		if (disk->id && strlen(disk->id) > VIRTIO_ID)
			return log_error(-EINVAL,
			        "--disk '%s': the id of a virtio disk has at most %d "
			        "bytes",
			        disk->path, VIRTIO_ID);
		if (disk->block_size)
			return log_error(-EINVAL,
			        "--disk '%s': block-size= is for Solo5 unikernels only",
			        disk->path);
	}
	for (unsigned i = 0; i < count; i++)
		place(plan, PLAN_DISK, i);
	/* Behind them: a guest must not take it for its root. */
	if (config->data || config->data_file)
		place(plan, PLAN_DATA, 0);
	for (unsigned i = 0; i < config->nic_count; i++)
		place(plan, PLAN_NIC, i);
	if (config->rng)
		place(plan, PLAN_RNG, 0);
	if (config->console == CONSOLE_VIRTIO)
		place(plan, PLAN_CONSOLE, 0);
	if (arch_layout.virtio_button && plan->needs.linux_kernel)
		place(plan, PLAN_BUTTON, 0);
	if (plan->needs.pc && plan->virtio_count > arch_layout.pic_gsi_count)
		return log_error(-EINVAL,
		        "--disk, --net: '%s' (%s) takes at most %u devices, which is "
		        "how many interrupts a PC has for them",
		        plan->source.kernel_path, plan->source.kind,
		        arch_layout.pic_gsi_count);
	return 0;
}

/* The index of what the user named `name`, or -1. */
static int find_named(const struct config *config, const struct boot_device *device)
{
	bool disk = device->kind == DEVICE_DISK;
	unsigned count = disk ? config->disk_count : config->nic_count;

	for (unsigned i = 0; i < count; i++) {
		const char *id = disk ? config->disks[i].id : config->nics[i].id;

		if (id && !strcmp(id, device->name))
			return (int)i;
	}
	return -1;
}

/* "'a', 'b'": what the image declares, for messages. */
static const char *declared(const struct boot_source *source,
        enum boot_device_kind kind, char *text, size_t size)
{
	size_t used = 0;

	snprintf(text, size, "none");
	for (unsigned i = 0; i < source->device_count && used < size; i++)
		if (source->devices[i].kind == kind)
			used += (size_t)snprintf(text + used, size - used, "%s'%s'",
			        used ? ", " : "", source->devices[i].name);
	return text;
}

/* One that is not asked for; `id` is NULL where there is none. */
static int refuse_extra(
        const struct plan *plan, enum boot_device_kind kind, const char *id)
{
	const char *option = kind == DEVICE_DISK ? "--disk" : "--net";
	char names[NAMES_SIZE];

	declared(&plan->source, kind, names, sizeof(names));
	if (!id)
		return log_error(-EINVAL,
		        "%s: '%s' attaches by name: give ,id=NAME; it declares %s",
		        option, plan->source.kernel_path, names);
	return log_error(-EINVAL, "%s: '%s' declares no '%s', but %s", option,
	        plan->source.kernel_path, id, names);
}

static bool is_declared(
        const struct boot_source *source, enum boot_device_kind kind, const char *id)
{
	for (unsigned i = 0; id && i < source->device_count; i++)
		if (source->devices[i].kind == kind &&
		        !strcmp(source->devices[i].name, id))
			return true;
	return false;
}

/* All that the image declares, and nothing else; each by its name. */
static int attach_devices(struct plan *plan)
{
	const struct config *config = plan->config;
	const struct boot_source *source = &plan->source;
	int missing = 0;

	if (config->transport == TRANSPORT_PCI)
		return log_error(-EINVAL, "--transport: '%s' has no PCI, leave it out",
		        source->kernel_path);
	if (config->rng || config->console == CONSOLE_VIRTIO)
		return log_error(-EINVAL, "--%s: '%s' has no virtio, leave it out",
		        config->rng ? "rng" : "console virtio", source->kernel_path);
	if (config->data || config->data_file)
		return log_error(-EINVAL, "--data: '%s' has no virtio, leave it out",
		        source->kernel_path);
	for (unsigned i = 0; i < config->disk_count; i++)
		if (!is_declared(source, DEVICE_DISK, config->disks[i].id))
			return refuse_extra(plan, DEVICE_DISK, config->disks[i].id);
	for (unsigned i = 0; i < config->nic_count; i++)
		if (!is_declared(source, DEVICE_NIC, config->nics[i].id))
			return refuse_extra(plan, DEVICE_NIC, config->nics[i].id);
	for (unsigned i = 0; i < source->device_count; i++) {
		const struct boot_device *device = &source->devices[i];
		int index = find_named(config, device);

		if (index < 0)
			missing = log_error(-EINVAL,
			        "image: '%s' needs its %s '%s': give %s,id=%s",
			        source->kernel_path,
			        device->kind == DEVICE_DISK ? "disk" : "network",
			        device->name,
			        device->kind == DEVICE_DISK ? "--disk PATH"
			                                    : "--net user (or tap=TAP)",
			        device->name);
		else
			plan->attachments[plan->attachment_count++] =
			        (struct plan_attachment){i, (unsigned)index};
	}
	return missing;
}

/* Within what the image's protocol can have. */
static int limit(struct plan *plan)
{
	const struct boot_needs *needs = &plan->needs;
	uint64_t unit = needs->memory_unit ? needs->memory_unit : PAGE_SIZE;

	if (needs->cpus_max && plan->config->cpus > needs->cpus_max)
		return log_error(-EINVAL, "--cpus: '%s' runs on at most %u",
		        plan->source.kernel_path, needs->cpus_max);
	plan->memory = (plan->memory + unit - 1) / unit * unit;
	if (needs->memory_max && plan->memory > needs->memory_max)
		return log_error(-EINVAL, "--mem: '%s' takes at most %lluM",
		        plan->source.kernel_path,
		        (unsigned long long)(needs->memory_max >> 20));
	return 0;
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
 * The first word of a Multiboot command line is the kernel's name, as QEMU and GRUB Legacy
 * have it, and unikernels skip it; so it is one word in any case.
 */
static const char *image_name(const struct boot_source *source, char name[ARGUMENT_MAX])
{
	const char *path = strrchr(source->kernel_path, '/');

	snprintf(name, ARGUMENT_MAX, "%s", path ? path + 1 : source->kernel_path);
	name[strcspn(name, " \t\r\n")] = '\0';
	return *name ? name : "kernel";
}

/* Linux's Documentation/admin-guide/nfs/nfsroot.rst, ip=: without DHCP, for who asks. */
static void add_address(struct plan *plan, const char *own, const char *more)
{
	const struct config *config = plan->config;
	char word[ARGUMENT_MAX];

	if (!plan->needs.address || !config->nic_count || config->nics[0].tap ||
	        has_word(own, "ip=") || has_word(more, "ip="))
		return;
	snprintf(word, sizeof(word),
	        "ip=10.0.2.%d::10.0.2.%d:255.255.255.0:::off:10.0.2.%d", USER_GUEST,
	        USER_GATEWAY, USER_NAME_SERVER);
	add_word(plan->additions, word);
}

/* Whether Linux's functions may be traced, or it is said what is left out at its start. */
static bool may_trace(const char *text)
{
	static const char *const starts[] = {
	        "initcall_blacklist=", "ftrace", "trace", "panic_on_warn"};

	for (unsigned i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (has_word(text, starts[i]))
			return true;
	return false;
}

/* Whether it names a console but a screen's: console=tty0 and such. */
static bool has_console(const char *text)
{
	static const char start[] = "console=", screen[] = "console=tty";
	const char *word;
	size_t size;

	while ((word = next_word(&text, &size)))
		if (!strncmp(word, start, strlen(start)) &&
		        !(!strncmp(word, screen, strlen(screen)) &&
		                isdigit((unsigned char)word[strlen(screen)])))
			return true;
	return false;
}

/*
 * Linux's /dev/console is the last console= of its command line: --console virtio takes the
 * place of what the image itself names, so it stands behind that; and ours, behind a screen.
 */
static bool console_is_last(const struct plan *plan)
{
	const struct config *config = plan->config;
	const char *own = plan->source.cmdline;

	if (config->console == CONSOLE_NONE || config->no_defaults ||
	        !plan->needs.linux_kernel || config->cmdline ||
	        !has_word(own, "console="))
		return false;
	return config->console == CONSOLE_VIRTIO ? !has_word(own, VIRTIO_CONSOLE)
	                                         : !has_console(own);
}

static const char *console_word(const struct plan *plan, char word[ARGUMENT_MAX])
{
	if (plan->config->console == CONSOLE_VIRTIO)
		return VIRTIO_CONSOLE;
	snprintf(word, ARGUMENT_MAX, "console=%s", arch_layout.console);
	return word;
}

static void add_linux_words(struct plan *plan, const char *own, const char *more)
{
	const struct config *config = plan->config;
	bool virtio = config->console == CONSOLE_VIRTIO;
	const char *given = virtio ? VIRTIO_CONSOLE : "console=";
	char word[ARGUMENT_MAX];

	if (config->console != CONSOLE_NONE && !console_is_last(plan) &&
	        !has_word(own, given) && !has_word(more, given))
		add_word(plan->additions, console_word(plan, word));
	if (config->transport != TRANSPORT_PCI)
		add_word(plan->additions, arch_layout.linux_without_pci);
	if (!may_trace(own) && !may_trace(more))
		add_word(plan->additions, arch_layout.linux_untraced);
}

/*
 * Linux with ACPI finds its devices by that and, what it is told here, no further one there
 * (virtio_mmio.c). The words are for one without, as far as it is not known which it is, and
 * are not to make a command line too long.
 */
static void add_virtio_words(struct plan *plan, const char *own, const char *more)
{
	size_t before = strlen(plan->additions);
	char word[ARGUMENT_MAX];

	for (unsigned i = 0; i < plan->virtio_count; i++)
		if (!plan->virtio[i].slot &&
		        arch_virtio_argument(word, sizeof(word), plan->virtio[i].base,
		                plan->virtio[i].gsi))
			add_word(plan->additions, word);
	if (plan->needs.linux_kernel && plan->needs.acpi &&
	        strlen(plan->additions) + strlen(own) + strlen(more) + 2 >
	                boot_cmdline_max(&plan->source))
		plan->additions[before] = '\0';
}

/* Made for Firecracker. */
static bool linux_unikernel(const struct plan *plan)
{
	return plan->source.protocol == PROTOCOL_LINUX64 && !plan->needs.linux_kernel;
}

/* Where the last of the words that are for the kernel ends. */
static size_t kernel_words(const char *text)
{
	const char *at = text, *word;
	size_t size, end = 0;

	while ((word = next_word(&at, &size)))
		end = (size_t)(word + size - text);
	return end;
}

/* `own`, with `words` behind what of it is for the kernel. */
static void add_behind(char *text, const char *own, const char *words)
{
	size_t split = kernel_words(own);

	memcpy(text, own, split);
	add_word(text, words);
	add_word(text, own + split + strspn(own + split, split ? " " : ""));
}

/*
 * What the monitor adds stands first, so that what the user gave wins where a kernel
 * takes the last, and a `--` for init stays at the end. Unikernels that have Linux's entry
 * get it as Firecracker adds it, last but for `--`: Unikraft's first word is its name.
 */
static int join_words(struct plan *plan, const char *own, const char *more, size_t size)
{
	char *given = calloc(1, size), word[ARGUMENT_MAX];

	if (!given)
		return log_error(-ENOMEM, "out of memory");
	if (console_is_last(plan))
		add_behind(given, own, console_word(plan, word));
	else
		add_word(given, own);
	add_word(given, more);
	if (linux_unikernel(plan)) {
		add_behind(plan->cmdline, given, plan->additions);
	} else {
		add_word(plan->cmdline, plan->additions);
		add_word(plan->cmdline, given);
	}
	if (console_is_last(plan))
		add_word(plan->additions, console_word(plan, word));
	free(given);
	return 0;
}

static int compose_cmdline(struct plan *plan)
{
	const struct config *config = plan->config;
	const char *own = config->cmdline ? config->cmdline : plan->source.cmdline;
	const char *more = config->arguments ? config->arguments : "";
	char name[ARGUMENT_MAX];
	bool given = *own || *more;
	int error;
	size_t size = strlen(own) + strlen(more) +
	              strlen(arch_layout.linux_without_pci) +
	              strlen(arch_layout.linux_untraced) +
	              (plan->virtio_count + 5) * ARGUMENT_MAX;

	plan->additions = calloc(1, size);
	plan->cmdline = calloc(1, size);
	if (!plan->additions || !plan->cmdline)
		return log_error(-ENOMEM, "out of memory");
	if (!config->no_defaults) {
		if (plan->source.protocol == PROTOCOL_MULTIBOOT ||
		        (linux_unikernel(plan) && !given && plan->virtio_count))
			add_word(plan->additions, image_name(&plan->source, name));
		if (plan->needs.linux_kernel)
			add_linux_words(plan, own, more);
		add_virtio_words(plan, own, more);
		add_address(plan, own, more);
	}
	error = join_words(plan, own, more, size);
	if (error)
		return error;
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

/* Not for a guest that is to be refused. */
static bool may_unpack(const struct config *config, const struct boot_needs *needs)
{
	return config->unpack == UNPACK_AUTO &&
	       (config->dry_run || config->force || arch_host_runs(needs));
}

static int open_image(struct boot_source *source, const struct config *config,
        struct timeline *timeline)
{
	const enum boot_protocol protocols[] = {
	        [BOOT_AUTO] = PROTOCOL_AUTO,
	        [BOOT_PVH] = PROTOCOL_PVH,
	        [BOOT_LINUX] = arch_layout.linux_protocol,
	        [BOOT_MULTIBOOT] = PROTOCOL_MULTIBOOT,
	        [BOOT_MULTIBOOT2] = PROTOCOL_MULTIBOOT2,
	};
	enum boot_protocol protocol = protocols[config->boot];
	int error;

	/* Others may be chosen once a bzImage is unpacked. */
	error = image_open(source, config,
	        protocol == PROTOCOL_MULTIBOOT || protocol == PROTOCOL_MULTIBOOT2
	                ? protocol
	                : PROTOCOL_AUTO);
	if (error)
		return error;
	timeline_mark(timeline, "image");
	if (source->format == FORMAT_BZIMAGE && may_unpack(config, &source->needs)) {
		uint64_t memory =
		        config->memory ? config->memory : source->needs.memory;

		/* By any other entry there is nothing to enter but the vmlinux. */
		if (protocol != PROTOCOL_AUTO && protocol != PROTOCOL_LINUX64)
			memory = 0;
		boot_unpack(source, memory);
		timeline_mark(timeline, "unpack");
	}
	return boot_choose(source, protocol);
}

/* The image as a disk, if it is one. */
static int attach_image(struct plan *plan)
{
	const struct boot_source *source = &plan->source;
	bool persist = plan->config->persist;

	if (!source->disk_path)
		return 0;
	if (persist && source->disk_unpacked)
		return log_error(-EINVAL,
		        "--persist: the disk in '%s' is unpacked into memory: unpack "
		        "it to keep what is written",
		        source->name);
	plan->image_disk = (struct disk_config){
	        .path = source->disk_path,
	        .readonly = source->disk_readonly,
	        .ephemeral = !source->disk_readonly && !persist,
	        .backing = plan->config->backing,
	};
	return 0;
}

int plan_create(
        struct plan *plan, const struct config *config, struct timeline *timeline)
{
	int error;

	*plan = (struct plan){.config = config};
	error = open_image(&plan->source, config, timeline);
	if (error)
		return error;
	plan->needs = plan->source.needs;
	error = attach_image(plan);
	if (error)
		return error;
	error = plan->source.declares_devices ? attach_devices(plan)
	                                      : place_devices(plan);
	if (error)
		return error;
	/* Devices interrupt, and so do CPUs each other. */
	if (plan->virtio_count || config->cpus > 1 || plan->needs.pc)
		plan->needs.irqchip = true;
	if (plan->needs.irqchip)
		plan->needs.cpuid = true;
	if (config->console == CONSOLE_NONE)
		plan->needs.console_input = false;
	memcpy(plan->uuid, config->uuid, sizeof(plan->uuid));
	if (!config->has_uuid && (plan->needs.acpi || plan->needs.linux_kernel ||
	                                 config->data || config->data_file))
		uuid_make(plan->uuid);
	plan->memory_default = !config->memory;
	plan->memory = config->memory ? config->memory : plan->needs.memory;
	error = limit(plan);
	if (error)
		return error;
	if (plan->source.initrd_count && may_unpack(config, &plan->needs)) {
		boot_unpack_initrds(
		        &plan->source, plan->memory, arch_layout.unpacks_faster);
		timeline_mark(timeline, "initrd");
	}
	arch_regions(plan);
	return compose_cmdline(plan);
}

void plan_destroy(struct plan *plan)
{
	boot_close(&plan->source);
	free(plan->cmdline);
	free(plan->additions);
}

static const char *nic_name(const struct nic_config *nic)
{
	return nic->tap ? nic->tap : "user";
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
	const struct disk_config *disk;

	switch (virtio->kind) {
	case PLAN_DISK:
		disk = plan_disk(plan, virtio->index);
		snprintf(text, size, "disk %s%s",
		        disk == &plan->image_disk && plan->source.disk_unpacked
		                ? plan->source.name
		                : disk->path,
		        disk->readonly    ? " (read-only)"
		        : disk->ephemeral ? " (changes are thrown away)"
		                          : "");
		break;
	case PLAN_DATA:
		snprintf(text, size, "data (volume cidata, read-only)");
		break;
	case PLAN_NIC:
		snprintf(text, size, "net %s", nic_name(&config->nics[virtio->index]));
		break;
	case PLAN_RNG:
		snprintf(text, size, "rng");
		break;
	case PLAN_CONSOLE:
		snprintf(text, size, "console");
		break;
	case PLAN_BUTTON:
		snprintf(text, size, "power button");
		break;
	}
	return text;
}

/* What the user named it, or NULL. */
static const char *virtio_id(const struct plan *plan, const struct plan_virtio *virtio)
{
	switch (virtio->kind) {
	case PLAN_DISK:
		return plan_disk(plan, virtio->index)->id;
	case PLAN_NIC:
		return plan->config->nics[virtio->index].id;
	default:
		return NULL;
	}
}

static void print_virtio(const struct plan *plan, unsigned i)
{
	const struct plan_virtio *virtio = &plan->virtio[i];
	const char *id = virtio_id(plan, virtio);
	char text[256];

	printf("0x%016llx 0x%016llx virtio %s%s%s, interrupt %u",
	        (unsigned long long)virtio->base,
	        (unsigned long long)(virtio->base + virtio->size - 1),
	        virtio_name(plan, i, text, sizeof(text)), id ? ", id " : "",
	        id ? id : "", virtio->gsi);
	if (virtio->slot)
		printf(", PCI 00:%02x.0 BAR 1; its BAR 0 ports %#llx-%#llx",
		        virtio->slot, (unsigned long long)virtio->ports,
		        (unsigned long long)virtio->ports + PLAN_PCI_PORTS - 1);
	putchar('\n');
}

static bool has_pci(const struct plan *plan)
{
	return plan->config->transport == TRANSPORT_PCI;
}

const char *plan_legacy(const struct boot_needs *needs)
{
	if (needs->legacy)
		return arch_layout.legacy[needs->pc];
	return needs->pc ? "PIC, PIT, port 0x61" : "none";
}

/* As --net and the configuration file have it. */
static void print_publish(const struct publish_config *publish)
{
	printf("%u.%u.%u.%u:%u:%u%s", publish->address >> 24,
	        publish->address >> 16 & 255, publish->address >> 8 & 255,
	        publish->address & 255, publish->host, publish->guest,
	        publish->udp ? "/udp" : "");
}

static void print_nic(const struct nic_config *nic)
{
	char mac[MAC_TEXT] = "(random)";

	if (nic->has_mac)
		mac_format(nic->mac, mac);
	printf("net        %s, mac %s", nic_name(nic), mac);
	for (unsigned i = 0; i < nic->publish_count; i++) {
		printf(", publish ");
		print_publish(&nic->publish[i]);
	}
	putchar('\n');
}

static void print_nic_json(const struct nic_config *nic)
{
	char mac[MAC_TEXT];

	printf("{\"%s\":", nic->tap ? "tap" : "user");
	if (nic->tap)
		json_put_string(stdout, nic->tap);
	else
		printf("true");
	if (nic->id) {
		printf(",\"id\":");
		json_put_string(stdout, nic->id);
	}
	if (nic->has_mac) {
		mac_format(nic->mac, mac);
		printf(",\"mac\":\"%s\"", mac);
	}
	printf(",\"publish\":[");
	for (unsigned i = 0; i < nic->publish_count; i++) {
		fputs(i ? ",\"" : "\"", stdout);
		print_publish(&nic->publish[i]);
		putchar('"');
	}
	printf("]}");
}

void plan_print(const struct plan *plan)
{
	const struct boot_source *source = &plan->source;
	char uuid[UUID_TEXT];

	printf("image      %s (%s)\n", source->kernel_path, source->kind);
	for (unsigned i = 0; i < source->initrd_count; i++)
		printf("initrd     %s (%llu bytes)\n", source->initrd_paths[i],
		        (unsigned long long)source->initrd_sizes[i]);
	printf("boot       %s\n", boot_protocol_name(source->protocol));
	printf("cpus       %u\n", plan->config->cpus);
	printf("memory     %llu KiB%s\n", (unsigned long long)plan->memory >> 10,
	        plan->memory_default ? " (default)" : "");
	printf("console    %s\n", config_console_names[plan->config->console]);
	for (unsigned i = 0; i < plan->config->nic_count; i++)
		print_nic(&plan->config->nics[i]);
	printf("on reboot  %s\n", plan->config->restart ? "restart" : "exit");
	printf("grace      %llu ms\n",
	        (unsigned long long)(plan->config->grace_ns / 1000000));
	printf("needs      interrupts: %s, ACPI: %s, console input: %s\n",
	        yes(plan->needs.irqchip), yes(plan->needs.acpi),
	        yes(plan->needs.console_input));
	printf("legacy     %s\n", plan_legacy(&plan->needs));
	if (source->config_path)
		printf("config     %s\n", source->config_path);
	if (plan->needs.acpi || plan->needs.linux_kernel) {
		uuid_format(plan->uuid, uuid);
		printf("uuid       %s\n", plan->config->has_uuid ? uuid : "(random)");
	}
	printf("cmdline    %s\n", plan->cmdline);
	if (source->root_was && !plan->config->cmdline)
		printf("rewritten  root=%s, which is the first disk here\n",
		        source->root_was);
	printf("added      %s\n", *plan->additions ? plan->additions : "(nothing)");
	printf("\n%-18s %-18s %s\n", "from", "to", "memory map");
	for (unsigned i = 0; i < plan->region_count; i++)
		printf("0x%016llx 0x%016llx %s\n",
		        (unsigned long long)plan->regions[i].guest,
		        (unsigned long long)(plan->regions[i].guest +
		                             plan->regions[i].size - 1),
		        plan->regions[i].reserved ? "reserved" : "RAM");
	for (unsigned i = 0; i < plan->virtio_count; i++)
		print_virtio(plan, i);
	if (has_pci(plan))
		printf("0x%016llx 0x%016llx PCI configuration (ECAM) of bus 0; host "
		       "bridge 00:00.0\n",
		        (unsigned long long)arch_layout.pci_ecam,
		        (unsigned long long)(arch_layout.pci_ecam +
		                             arch_layout.pci_ecam_size - 1));
	for (unsigned i = 0; i < plan->attachment_count; i++) {
		const struct plan_attachment *attachment = &plan->attachments[i];
		const struct boot_device *device = &source->devices[attachment->device];
		bool disk = device->kind == DEVICE_DISK;

		printf("%-10s %s = %s\n", disk ? "disk" : "net", device->name,
		        disk ? plan->config->disks[attachment->index].path
		             : nic_name(&plan->config->nics[attachment->index]));
	}
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
	printf(",\"console\":\"%s\",\"on_reboot\":\"%s\",\"grace_ms\":%llu,\"net\":[",
	        config_console_names[plan->config->console],
	        plan->config->restart ? "restart" : "exit",
	        (unsigned long long)(plan->config->grace_ns / 1000000));
	for (unsigned i = 0; i < plan->config->nic_count; i++) {
		fputs(i ? "," : "", stdout);
		print_nic_json(&plan->config->nics[i]);
	}
	putchar(']');
	printf(",\"needs\":{\"irqchip\":%s,\"acpi\":%s,\"legacy\":%s,\"pc\":%s,"
	       "\"console_input\":%s}",
	        plan->needs.irqchip ? "true" : "false",
	        plan->needs.acpi ? "true" : "false",
	        plan->needs.legacy ? "true" : "false",
	        plan->needs.pc ? "true" : "false",
	        plan->needs.console_input ? "true" : "false");
	if (plan->config->has_uuid) {
		uuid_format(plan->uuid, text);
		printf(",\"uuid\":\"%s\"", text);
	}
	printf(",\"cmdline\":");
	json_put_string(stdout, plan->cmdline);
	if (source->config_path) {
		printf(",\"config\":");
		json_put_string(stdout, source->config_path);
	}
	if (source->root_was && !plan->config->cmdline) {
		printf(",\"rewritten_root\":");
		json_put_string(stdout, source->root_was);
	}
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
		printf(",\"base\":%llu,\"size\":%llu,\"gsi\":%u",
		        (unsigned long long)plan->virtio[i].base,
		        (unsigned long long)plan->virtio[i].size, plan->virtio[i].gsi);
		if (virtio_id(plan, &plan->virtio[i])) {
			printf(",\"id\":");
			json_put_string(stdout, virtio_id(plan, &plan->virtio[i]));
		}
		if (plan->virtio[i].slot)
			printf(",\"pci\":\"00:%02x.0\",\"bar\":1,\"ports\":%llu,"
			       "\"ports_size\":%d,\"ports_bar\":0",
			        plan->virtio[i].slot,
			        (unsigned long long)plan->virtio[i].ports,
			        PLAN_PCI_PORTS);
		putchar('}');
	}
	putchar(']');
	if (has_pci(plan))
		printf(",\"pci_ecam\":{\"guest\":%llu,\"size\":%llu}",
		        (unsigned long long)arch_layout.pci_ecam,
		        (unsigned long long)arch_layout.pci_ecam_size);
	printf(",\"devices\":[");
	for (unsigned i = 0; i < plan->attachment_count; i++) {
		const struct plan_attachment *attachment = &plan->attachments[i];
		const struct boot_device *device = &source->devices[attachment->device];
		bool disk = device->kind == DEVICE_DISK;

		printf("%s{\"name\":\"%s\",\"kind\":\"%s\",\"from\":", i ? "," : "",
		        device->name, disk ? "disk" : "net");
		json_put_string(stdout,
		        disk ? plan->config->disks[attachment->index].path
		             : nic_name(&plan->config->nics[attachment->index]));
		putchar('}');
	}
	printf("]}\n");
}
