/*
 * The one table of settings, and how a --config file fills them.
 *
 * JSON is read by jansson: next to json-c it is the smaller when linked statically (33
 * against 44 KiB of code), as fast to parse and as cheap to start (no constructors, so a
 * run without --config never enters it), refuses duplicate keys and NULs by itself, names
 * line and column of an error, and is maintained.
 */
#include "vmm/config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/options.h"
#include "vmm/state.h"

#define MIB (UINT64_C(1) << 20)

enum { FILE_MAX = 1 << 20, PAGE = 4096, WHERE_SIZE = 256 };

/* RAM comes in whole pages. */
static int memory_set(const struct option *option, const char *text, void *target)
{
	struct config *config = target;
	int error = option_size(option, text, target);

	if (!error)
		config->memory = (config->memory + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	return error;
}

static int timeline_set(const struct option *option, const char *text, void *target)
{
	struct config *config = target;
	size_t size = text ? strlen(text) : 0;

	if (!text || option_switch(option, text, target) == 0) {
		config->timeline = !text || strcmp(text, "off") != 0;
		config->timeline_svg = NULL;
		return 0;
	}
	if (size < 5 || strcmp(text + size - 4, ".svg") != 0)
		return -EINVAL;
	config->timeline = true;
	config->timeline_svg = text;
	return 0;
}

static int mac_set(const struct option *option __attribute__((unused)),
        const char *text, void *target)
{
	struct nic_config *nic = target;
	int error = mac_parse(text, nic->mac);

	nic->has_mac = !error;
	return error;
}

static int block_size_set(const struct option *option, const char *text, void *target)
{
	uint64_t size;

	if (number_parse(text, &size) || size & (size - 1))
		return -EINVAL;
	return option_number(option, text, target);
}

static int publish_set(const struct option *option, const char *text, void *target)
{
	return publish_parse(text, (void *)((char *)target + option->offset));
}

static const char *const formats[] = {"raw", "qcow2", "vhd", "vmdk", NULL};

/* The formats without the one that is none: DISK_BY_NAME. */
static int format_set(const struct option *option, const char *text, void *target)
{
	struct disk_config *disk = target;
	int error = option_choice(option, text, target);

	if (!error)
		disk->format++;
	return error;
}

static const struct option disk_fields[] = {
        {.name = "path",
                .value = "PATH",
                .parse = option_text,
                .first = true,
                .min = 1,
                .expects = "a path",
                OPTION_MEMBER(struct disk_config, path)},
        {.name = "ro",
                .parse = option_switch,
                OPTION_MEMBER(struct disk_config, readonly)},
        {.name = "id",
                .value = "NAME",
                .parse = option_text,
                .min = 1,
                .max = CONFIG_ID,
                .expects = "a name of 1 to 67 bytes",
                OPTION_MEMBER(struct disk_config, id)},
        {.name = "format",
                .value = "raw|qcow2|vhd|vmdk",
                .parse = format_set,
                .choices = formats,
                .expects = "raw, qcow2, vhd or vmdk",
                OPTION_MEMBER(struct disk_config, format)},
        {.name = "size",
                .value = "SIZE",
                .parse = option_size,
                .min = 4096,
                .max = MIB << 26,
                .expects = "a size from 4K to 64T, such as 512M or 2G",
                OPTION_MEMBER(struct disk_config, create_size)},
        {.name = "ephemeral",
                .parse = option_switch,
                OPTION_MEMBER(struct disk_config, ephemeral)},
        {.name = "persist",
                .parse = option_switch,
                OPTION_MEMBER(struct disk_config, persist)},
        {.name = "backing",
                .parse = option_switch,
                OPTION_MEMBER(struct disk_config, backing)},
        {.name = "block-size",
                .value = "BYTES",
                .parse = block_size_set,
                .min = 512,
                .max = 32768,
                .expects = "a power of two from 512 to 32768",
                OPTION_MEMBER(struct disk_config, block_size)},
        {0},
};

static const struct option nic_fields[] = {
        {.name = "user",
                .parse = option_switch,
                OPTION_MEMBER(struct nic_config, user)},
        {.name = "tap",
                .value = "NAME",
                .parse = option_text,
                .min = 1,
                .max = IFNAMSIZ - 1,
                .expects = "an interface's name (1 to 15 bytes)",
                OPTION_MEMBER(struct nic_config, tap)},
        {.name = "publish",
                .value = "[ADDR:]HOST:GUEST[/udp]",
                .parse = publish_set,
                .expects = "[ADDR:]HOST:GUEST[/udp], such as 8080:80",
                OPTION_ARRAY(
                        struct nic_config, publish, publish_count, CONFIG_PUBLISH)},
        {.name = "mac",
                .value = "MAC",
                .parse = mac_set,
                .expects = "the address of one interface, such as 02:00:00:00:00:01",
                OPTION_MEMBER(struct nic_config, mac)},
        {.name = "id",
                .value = "NAME",
                .parse = option_text,
                .min = 1,
                .max = CONFIG_ID,
                .expects = "a name of 1 to 67 bytes",
                OPTION_MEMBER(struct nic_config, id)},
        {0},
};

static int uuid_set(const struct option *option __attribute__((unused)),
        const char *text, void *target)
{
	struct config *config = target;
	int error = uuid_parse(text, config->uuid);

	config->has_uuid = config->has_uuid || !error;
	return error;
}

static const char *const boots[] = {
        "auto", "pvh", "linux", "multiboot", "multiboot2", NULL};
static const char *const unpacks[] = {"auto", "off", NULL};
static const char *const transports[] = {"mmio", "pci", NULL};
const char *const config_console_names[] = {"serial", "virtio", "none", NULL};
static const char *const reboots[] = {"exit", "restart", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};

const struct option config_options[] = {
        {.name = "kernel",
                .value = "FILE",
                .group = "What runs",
                .help = "a kernel, in place of IMAGE",
                .parse = option_text,
                .min = 1,
                .expects = "a path",
                OPTION_MEMBER(struct config, kernel)},
        {.name = "initrd",
                .value = "FILE",
                .help = "an initrd in place of the image's own; given several times, "
                        "they follow each other in memory",
                .parse = option_text,
                .min = 1,
                .expects = "a path",
                OPTION_ARRAY(struct config, initrds, initrd_count, CONFIG_INITRDS)},
        {.name = "cmdline",
                .value = "TEXT",
                .help = "kernel command line in place of the image's own",
                .parse = option_text,
                .max = CONFIG_CMDLINE,
                .expects = "a command line of at most 65535 bytes",
                OPTION_MEMBER(struct config, cmdline)},
        {.name = "no-default-args",
                .help = "add nothing to the command line but what follows --",
                .parse = option_switch,
                OPTION_MEMBER(struct config, no_defaults)},
        {.name = "boot",
                .value = "auto|pvh|linux|multiboot|multiboot2",
                .help = "how to enter the kernel (default: auto, by its content)",
                .parse = option_choice,
                .choices = boots,
                .expects = "auto, pvh, linux, multiboot or multiboot2",
                OPTION_MEMBER(struct config, boot)},
        {.name = "unpack",
                .value = "auto|off",
                .help = "unpack bzImage and initrd here, once, and not in each guest "
                        "(default: auto); off: the guest does, and randomizes its "
                        "addresses",
                .parse = option_choice,
                .choices = unpacks,
                .expects = "auto or off",
                OPTION_MEMBER(struct config, unpack)},
        {.name = "force",
                .help = "try what this host's KVM is known not to run",
                .parse = option_switch,
                OPTION_MEMBER(struct config, force)},

        {.name = "cpus",
                .value = "N",
                .group = "Machine",
                .help = "vCPUs (default: 1)",
                .parse = option_number,
                .min = 1,
                .max = CONFIG_CPUS,
                .expects = "a number of CPUs from 1 to 4096",
                OPTION_MEMBER(struct config, cpus)},
        {.name = "mem",
                .value = "SIZE",
                .help = "RAM with K, M, G or T, in MiB without; rounded up to 4 KiB "
                        "(default: 128M for a unikernel, 1G for Linux)",
                .parse = memory_set,
                .min = MIB,
                .max = MIB << 26,
                .expects = "a size from 1M to 64T, such as 512M or 2G",
                OPTION_MEMBER(struct config, memory)},
        {.name = "disk",
                .value = "PATH[,ro][,ephemeral][,format=FORMAT][,size=SIZE][,...]",
                .help = "a disk image or block device as virtio disk; may be given "
                        "several times. format: raw, qcow2, vhd (read), vmdk (read); "
                        "by default the name's ending decides, never the content. ro: "
                        "read-only; ephemeral: what is written is thrown away; size: "
                        "of a new one, if there is none; backing: a qcow2's backing "
                        "file may be read; also id=NAME, block-size=BYTES",
                .fields = disk_fields,
                .expects = "PATH[,ro][,ephemeral][,format=FORMAT][,size=SIZE]"
                           "[,backing][,id=NAME][,block-size=BYTES]",
                OPTION_ARRAY(struct config, disks, disk_count, CONFIG_DISKS)},
        {.name = "ephemeral",
                .help = "throw away what is written to any disk, but to one with "
                        ",persist",
                .parse = option_switch,
                OPTION_MEMBER(struct config, ephemeral)},
        {.name = "persist",
                .help = "keep what is written to the disk that IMAGE itself is; it is "
                        "thrown away otherwise",
                .parse = option_switch,
                OPTION_MEMBER(struct config, persist)},
        {.name = "backing",
                .help = "the backing file of IMAGE, if that is a qcow2, may be read",
                .parse = option_switch,
                OPTION_MEMBER(struct config, backing)},
        {.name = "publish",
                .value = "[ADDR:]HOST:GUEST[/udp]",
                .help = "short for --net user,publish=...; of the first user-mode "
                        "network if there is one",
                .parse = publish_set,
                .expects = "[ADDR:]HOST:GUEST[/udp], such as 8080:80",
                OPTION_ARRAY(struct config, publish, publish_count, CONFIG_PUBLISH)},
        {.name = "state",
                .value = "DIR",
                .help = "a directory for what lasts between runs: the product UUID, "
                        "the first interface's address, and disks with size= whose "
                        "PATH has no slash",
                .parse = option_text,
                .min = 1,
                .expects = "a path",
                OPTION_MEMBER(struct config, state)},
        {.name = "uuid",
                .value = "UUID",
                .help = "the machine's product UUID (default: another in each run)",
                .parse = uuid_set,
                .expects = "a UUID, such as 123e4567-e89b-12d3-a456-426614174000",
                OPTION_MEMBER(struct config, uuid)},
        {.name = "data",
                .value = "TEXT",
                .help = "metadata for the guest, as user-data in an ISO 9660 volume "
                        "cidata, which is the last disk",
                .parse = option_text,
                .max = CONFIG_CMDLINE,
                .expects = "at most 65535 bytes",
                OPTION_MEMBER(struct config, data)},
        {.name = "data-file",
                .value = "FILE",
                .help = "the same from a file of at most 16 MiB",
                .parse = option_text,
                .min = 1,
                .expects = "a path",
                OPTION_MEMBER(struct config, data_file)},
        {.name = "net",
                .value = "user[,publish=[ADDR:]HOST:GUEST[/udp]][,mac=][,id=]",
                .help = "a virtio interface on a user-mode network, without root; "
                        "ports "
                        "are published on 127.0.0.1 unless ADDR says where. Or "
                        "tap=NAME[,mac=][,id=]: on an existing tap interface",
                .fields = nic_fields,
                .expects = "user[,...] or tap=NAME[,...]",
                OPTION_ARRAY(struct config, nics, nic_count, CONFIG_NICS)},
        {.name = "console",
                .value = "serial|virtio|none",
                .help = "the guest's end of this terminal (default: serial)",
                .parse = option_choice,
                .choices = config_console_names,
                .expects = "serial, virtio or none",
                OPTION_MEMBER(struct config, console)},
        {.name = "rng",
                .help = "a virtio source of random numbers",
                .parse = option_switch,
                OPTION_MEMBER(struct config, rng)},
        {.name = "transport",
                .value = "mmio|pci",
                .help = "where virtio devices are: in memory, which starts sooner, or "
                        "on a PCI bus, for guests that look there only (default: mmio)",
                .parse = option_choice,
                .choices = transports,
                .expects = "mmio or pci",
                OPTION_MEMBER(struct config, transport)},

        {.name = "on-reboot",
                .value = "exit|restart",
                .group = "Life",
                .help = "when the guest reboots (default: exit, with status 0)",
                .parse = option_choice,
                .choices = reboots,
                .expects = "exit or restart",
                OPTION_MEMBER(struct config, restart)},
        {.name = "grace",
                .value = "TIME",
                .help = "from SIGINT or SIGTERM, which press the power button, to the "
                        "end of the VM: ms, s (or no unit), m (default: 5s)",
                .parse = option_duration,
                .max = UINT64_C(86400000000000),
                .expects = "a time up to 24h, such as 500ms or 10s",
                OPTION_MEMBER(struct config, grace_ns)},

        {.name = "config",
                .value = "FILE.json",
                .group = "Settings and reports",
                .help = "read settings from a file; options given here win",
                .command_line = true},
        {.name = "dry-run",
                .help = "print the resolved configuration and the memory map, and end",
                .parse = option_switch,
                OPTION_MEMBER(struct config, dry_run)},
        {.name = "core",
                .value = "FILE",
                .help = "write memory and registers of a guest that crashes or aborts "
                        "there, for gdb",
                .parse = option_text,
                .min = 1,
                .expects = "a path",
                OPTION_MEMBER(struct config, core)},
        {.name = "timeline",
                .value = "[=FILE.svg]",
                .help = "show what took how long; with a name, as a picture too",
                .parse = timeline_set,
                .expects = "a name that ends in .svg",
                OPTION_MEMBER(struct config, timeline)},
        {.name = "json",
                .help = "report the result (or the dry run) as one JSON object",
                .parse = option_switch,
                OPTION_MEMBER(struct config, json)},
        {.name = "log-level",
                .value = "error|warn|info|debug",
                .help = "how much to say on stderr (default: warn)",
                .parse = option_choice,
                .choices = log_levels,
                .expects = "error, warn, info or debug",
                OPTION_MEMBER(struct config, log_level)},
        {.name = "help", .help = "show this help", .command_line = true},
        {0},
};

/* What only a file needs a name for: on a command line these have places instead. */
static const struct option file_options[] = {
        {.name = "image",
                .value = "IMAGE",
                .parse = option_text,
                .min = 1,
                .expects = "a path",
                OPTION_MEMBER(struct config, image)},
        {.name = "arguments",
                .value = "TEXT",
                .parse = option_text,
                .max = CONFIG_CMDLINE,
                .expects = "at most 65535 bytes",
                OPTION_MEMBER(struct config, arguments)},
        {0},
};

void config_init(struct config *config)
{
	*config = (struct config){
	        .cpus = 1,
	        .grace_ns = UINT64_C(5000000000),
	        .log_level = LOG_WARN,
	};
}

struct kept {
	struct kept *next;
	char text[];
};

void config_destroy(struct config *config)
{
	for (struct kept *kept = config->strings, *next; kept; kept = next) {
		next = kept->next;
		free(kept);
	}
	config->strings = NULL;
}

char *config_keep(struct config *config, const char *text, size_t size)
{
	struct kept *kept = malloc(sizeof(*kept) + size + 1);

	if (!kept) {
		log_error(-ENOMEM, "out of memory");
		return NULL;
	}
	if (text)
		memcpy(kept->text, text, size);
	kept->text[text ? size : 0] = '\0';
	kept->next = config->strings;
	config->strings = kept;
	return kept->text;
}

int config_set(struct config *config, const struct option *option, const char *where,
        const char *text)
{
	char *own = (char *)text;

	/* A list is cut into pieces, which must not happen to argv: ps shows it. */
	if (text && option->fields) {
		own = config_keep(config, text, strlen(text));
		if (!own)
			return -ENOMEM;
	}
	return option_set(option, config, where, own);
}

/* Checks. Messages name the option, as both flags and files call it. */

static int image_check(const struct config *config)
{
	size_t size = (config->cmdline ? strlen(config->cmdline) : 0) +
	              (config->arguments ? strlen(config->arguments) + 1 : 0);

	if (!config->image && !config->kernel)
		return log_error(
		        -EINVAL, "run: IMAGE is missing: mayfly run [options] IMAGE");
	if (config->image && config->kernel)
		return log_error(-EINVAL,
		        "--kernel '%s': IMAGE '%s' is given too, keep one",
		        config->kernel, config->image);
	if (config->image && !*config->image)
		return log_error(-EINVAL, "run: IMAGE is empty");
	if (size > CONFIG_CMDLINE)
		return log_error(-EINVAL,
		        "--cmdline: %zu bytes with the arguments after --, at most %d "
		        "fit",
		        size, CONFIG_CMDLINE);
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static int disks_check(const struct config *config)
{
	if (config->ephemeral && config->persist)
		return log_error(
		        -EINVAL, "--persist: --ephemeral is given too, keep one");
	if (config->data && config->data_file)
		return log_error(-EINVAL, "--data-file: --data is given too, keep one");
	for (unsigned i = 0; i < config->disk_count; i++) {
		const struct disk_config *disk = &config->disks[i];

		if (!disk->path)
			return log_error(-EINVAL, "--disk: PATH is missing");
		if (disk->ephemeral && disk->persist)
			return log_error(-EINVAL,
			        "--disk '%s': ephemeral and persist, keep one",
			        disk->path);
		for (unsigned j = 0; j < i; j++) {
			const struct disk_config *other = &config->disks[j];

			if (same_text(disk->id, other->id))
				return log_error(-EINVAL,
				        "--disk '%s': id '%s' is taken by '%s', give "
				        "another",
				        disk->path, disk->id, other->path);
			if (same_text(disk->path, other->path) &&
			        !(disk->readonly && other->readonly))
				return log_error(-EINVAL,
				        "--disk '%s': given twice, which needs ',ro' "
				        "on both",
				        disk->path);
		}
	}
	return 0;
}

static int publish_check(const struct config *config)
{
	const struct publish_config *all[CONFIG_NICS * CONFIG_PUBLISH];
	unsigned count = 0;

	for (unsigned i = 0; i < config->nic_count; i++)
		for (unsigned j = 0; j < config->nics[i].publish_count; j++)
			all[count++] = &config->nics[i].publish[j];
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < i; j++)
			if (all[i]->host == all[j]->host &&
			        all[i]->udp == all[j]->udp &&
			        (all[i]->address == all[j]->address ||
			                !all[i]->address || !all[j]->address))
				return log_error(-EINVAL,
				        "--net: port %u%s of the host is published "
				        "twice",
				        all[i]->host, all[i]->udp ? "/udp" : "");
	return 0;
}

static int nic_check(const struct nic_config *nic)
{
	if (nic->user == (nic->tap != NULL))
		return log_error(-EINVAL, "--net: give either 'user' or 'tap=NAME'");
	if (nic->tap && nic->publish_count)
		return log_error(-EINVAL,
		        "--net tap=%s: publish= is for 'user'; a tap is routed by the "
		        "host",
		        nic->tap);
	/* dev_valid_name() of Linux: anything else names no interface. */
	if (nic->tap && (strpbrk(nic->tap, "/: \t\n") || same_text(nic->tap, ".") ||
	                        same_text(nic->tap, "..")))
		return log_error(
		        -EINVAL, "--net: '%s' cannot be an interface's name", nic->tap);
	return 0;
}

static int nics_check(const struct config *config)
{
	for (unsigned i = 0; i < config->nic_count; i++) {
		const struct nic_config *nic = &config->nics[i];
		int error = nic_check(nic);

		if (error)
			return error;
		for (unsigned j = 0; j < i; j++) {
			const struct nic_config *other = &config->nics[j];

			if (same_text(nic->id, other->id))
				return log_error(-EINVAL,
				        "--net: id '%s' is given twice", nic->id);
			if (same_text(nic->tap, other->tap))
				return log_error(-EINVAL,
				        "--net: tap '%s' is given twice", nic->tap);
			if (nic->has_mac && other->has_mac &&
			        memcmp(nic->mac, other->mac, 6) == 0)
				return log_error(-EINVAL,
				        "--net: two interfaces have the same mac");
		}
	}
	return publish_check(config);
}

/* Where --publish leads: the first user-mode network, a new one if there is none. */
static int publish_finish(struct config *config)
{
	struct nic_config *nic = config->nics;

	while (nic < config->nics + config->nic_count && !nic->user)
		nic++;
	if (nic == config->nics + CONFIG_NICS)
		return log_error(-EINVAL, "--publish: no room for another interface");
	if (nic == config->nics + config->nic_count) {
		*nic = (struct nic_config){.user = true};
		config->nic_count++;
	}
	for (unsigned i = 0; i < config->publish_count; i++) {
		if (nic->publish_count == CONFIG_PUBLISH)
			return log_error(
			        -EINVAL, "--publish: at most %d ports", CONFIG_PUBLISH);
		nic->publish[nic->publish_count++] = config->publish[i];
	}
	return 0;
}

int config_finish(struct config *config)
{
	int error = config->publish_count ? publish_finish(config) : 0;

	for (unsigned i = 0; i < config->disk_count && config->ephemeral; i++)
		config->disks[i].ephemeral |= !config->disks[i].persist;
	for (unsigned i = 0, count = 0; i < config->nic_count; i++)
		if (config->nics[i].user)
			config->nics[i].user_index = count++;
	return error;
}

int config_check(const struct config *config)
{
	static int (*const checks[])(const struct config *) = {
	        image_check, disks_check, nics_check};
	int error = 0;

	for (unsigned i = 0; !error && i < sizeof(checks) / sizeof(checks[0]); i++)
		error = checks[i](config);
	return error;
}

/* The --config file. */

static int json_set(struct config *config, const struct option *option, void *target,
        const char *where, const json_t *json);

/* The members of an object, one option each. */
static int object_set(struct config *config, const struct option *const *tables,
        void *target, const char *where, const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		const struct option *option = NULL;
		const char *nearest = NULL;
		char inner[WHERE_SIZE];
		int error;

		for (unsigned i = 0; tables[i] && !option; i++)
			option = option_find(tables[i], key, strlen(key));
		if (option && option->command_line)
			return log_error(-EINVAL,
			        "%s: '%s' belongs on the command line, not in a file",
			        where, key);
		for (unsigned i = 0; tables[i] && !nearest; i++)
			nearest = option_nearest(tables[i], key, strlen(key));
		if (!option)
			return log_error(-EINVAL, "%s: unknown key '%.80s'%s%s%s",
			        where, key, nearest ? ", did you mean '" : "",
			        nearest ? nearest : "", nearest ? "'?" : "");
		snprintf(inner, sizeof(inner), "%s: %s", where, key);
		error = json_set(config, option, target, inner, value);
		if (error)
			return error;
	}
	return 0;
}

static bool takes_number(const struct option *option)
{
	return option->parse == option_number || option->parse == option_duration ||
	       option->parse == option_size || option->parse == memory_set;
}

/* One value that is no array: as the text that the command line would have had. */
static int scalar_set(struct config *config, const struct option *option, void *target,
        const char *where, const json_t *json)
{
	char number[24];
	char *text = number;

	if (json_is_string(json)) {
		text = config_keep(
		        config, json_string_value(json), json_string_length(json));
		if (!text)
			return -ENOMEM;
	} else if (json_is_integer(json) && takes_number(option)) {
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
		        json_integer_value(json));
	} else if (json_is_boolean(json) && !option_needs_value(option)) {
		text = json_is_true(json) ? "on" : "off";
	} else {
		return log_error(-EINVAL, "%s: must be %s", where,
		        !option_needs_value(option) ? "true or false"
		        : option->expects           ? option->expects
		                                    : "a string");
	}
	return option_set(option, target, where, text);
}

static int json_set(struct config *config, const struct option *option, void *target,
        const char *where, const json_t *json)
{
	const struct option *const fields[] = {option->fields, NULL};
	void *element;
	size_t index;
	json_t *item;
	int error;

	if (json_is_array(json) && option->limit) {
		json_array_foreach((json_t *)json, index, item)
		{
			if (json_is_array(item))
				return log_error(-EINVAL, "%s: must be %s", where,
				        option->expects);
			error = json_set(config, option, target, where, item);
			if (error)
				return error;
		}
		return 0;
	}
	if (!json_is_object(json) || !option->fields)
		return scalar_set(config, option, target, where, json);
	element = option_element(option, target, where);
	if (!element)
		return -EINVAL;
	error = object_set(config, fields, element, where, json);
	if (!error)
		option_commit(option, target);
	return error;
}

int config_parse(struct config *config, const char *name, const char *text, size_t size)
{
	static const struct option *const tables[] = {
	        config_options, file_options, NULL};
	json_error_t at;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
	char where[WHERE_SIZE];
	int error;

	if (!root)
		return log_error(-EINVAL, "--config: %s:%d:%d: %s", name, at.line,
		        at.column, at.text);
	snprintf(where, sizeof(where), "--config: %s", name);
	if (json_is_object(root))
		error = object_set(config, tables, config, where, root);
	else
		error = log_error(
		        -EINVAL, "--config: %s: must hold one JSON object", name);
	json_decref(root);
	return error;
}

ssize_t config_read_full(int fd, void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t count = read(fd, (char *)data + done, size - done);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		if (count == 0)
			break;
		done += (size_t)count;
	}
	return (ssize_t)done;
}

int config_read(struct config *config, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;
	char *text;
	int error;

	if (fd < 0)
		return log_error(-errno == -EINVAL ? -EIO : -errno,
		        "--config: cannot open '%s': %s", path, strerror(errno));
	text = malloc(FILE_MAX + 1);
	size = text ? config_read_full(fd, text, FILE_MAX + 1) : -ENOMEM;
	close(fd);
	if (size < 0)
		error = log_error(size == -EINVAL ? -EIO : (int)size,
		        "--config: cannot read '%s': %s", path, strerror((int)-size));
	else if (size > FILE_MAX)
		error = log_error(-EINVAL, "--config: '%s' is larger than 1 MiB", path);
	else
		error = config_parse(config, path, text, (size_t)size);
	free(text);
	return error;
}
