#include "vmm/inspect.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>

#include "boot/boot.h"
#include "vmm/arch.h"
#include "vmm/config.h"
#include "vmm/image.h"
#include "vmm/json.h"
#include "vmm/plan.h"

static const char *const formats[] = {[FORMAT_ELF] = "ELF",
        [FORMAT_BZIMAGE] = "bzImage",
        [FORMAT_FLAT] = "flat",
        [FORMAT_IMAGE] = "Image"};

/* Where the protocol that will be used enters the image. */
static uint64_t entry(const struct boot_source *source)
{
	if (source->protocol == PROTOCOL_PVH)
		return source->pvh_entry;
	return source->multiboot.version ? source->multiboot.entry : source->elf_entry;
}

struct need {
	const char *name;
	bool wanted;
};

enum { NEEDS = 7, NEEDS_OWN = 5 };

static void needs_list(const struct boot_needs *needs, struct need list[NEEDS])
{
	list[0] = (struct need){"irqchip", needs->irqchip};
	list[1] = (struct need){"acpi", needs->acpi};
	list[2] = (struct need){"console_input", needs->console_input};
	list[3] = (struct need){"cpuid", needs->cpuid};
	list[4] = (struct need){"address", needs->address};
	list[5] = (struct need){"legacy", needs->legacy};
	list[6] = (struct need){"pc", needs->pc};
}

static void flags_text(uint32_t flags, char text[4])
{
	text[0] = flags & PF_R ? 'r' : '-';
	text[1] = flags & PF_W ? 'w' : '-';
	text[2] = flags & PF_X ? 'x' : '-';
	text[3] = '\0';
}

/* The image as a disk, by a name that others can find; "": it is none. */
static const char *disk(const struct boot_source *source)
{
	if (!source->disk_path)
		return "";
	return source->disk_unpacked ? source->name : source->disk_path;
}

/* Those that are not a PC's old devices. */
static void print_needs(const struct boot_needs *needs)
{
	struct need list[NEEDS];
	bool any = false;

	needs_list(needs, list);
	printf("needs    ");
	for (unsigned i = 0; i < NEEDS_OWN; i++)
		if (list[i].wanted) {
			printf(" %s", list[i].name);
			any = true;
		}
	printf("%s\n", any ? "" : " nothing but memory and a vCPU");
	printf("legacy    %s\n", plan_legacy(needs));
}

static void print_pci(const struct boot_source *source)
{
	bool possible = arch_layout.pci_ecam && !source->declares_devices;

	printf("pci       %s\n", possible ? "none, unless by --transport pci" : "none");
}

static void print_text(const struct boot_source *source)
{
	printf("image     %s%s\n", source->name ? source->name : source->kernel_path,
	        source->linuxkit ? " (LinuxKit)" : "");
	printf("kind      %s\n", source->kind);
	printf("kernel    %s, %" PRIu64 " bytes, %s\n", source->kernel_path,
	        source->kernel_size, formats[source->format]);
	for (unsigned i = 0; i < source->initrd_count; i++)
		printf("initrd    %s, %" PRIu64 " bytes\n", source->initrd_paths[i],
		        source->initrd_sizes[i]);
	if (source->cmdline && *source->cmdline)
		printf("cmdline   %s\n", source->cmdline);
	if (source->config_path)
		printf("config    %s\n", source->config_path);
	if (source->disk_path)
		printf("disk      %s, the first one\n", disk(source));
	if (source->root_was)
		printf("root      was %s, is /dev/vda\n", source->root_was);
	printf("boots by  %s%s\n", boot_protocol_name(source->protocol),
	        source->has_pvh && source->has_linux64 ? " (pvh and linux are possible)"
	                                               : "");
	printf("entry     %#" PRIx64 "\n", entry(source));
	for (unsigned i = 0; i < source->segment_count; i++) {
		const struct boot_segment *segment = &source->segments[i];
		char flags[4];

		flags_text(segment->flags, flags);
		printf("segment   %#" PRIx64 "-%#" PRIx64 " %s, %" PRIu64
		       " bytes from offset %#" PRIx64 "\n",
		        segment->guest, segment->guest + segment->size, flags,
		        segment->file_size, segment->offset);
	}
	print_needs(&source->needs);
	print_pci(source);
	for (unsigned i = 0; i < source->device_count; i++)
		printf("%-9s %s, to be attached by name\n",
		        source->devices[i].kind == DEVICE_DISK ? "disk" : "net",
		        source->devices[i].name);
	printf("memory    %" PRIu64 "M by default\n", source->needs.memory >> 20);
}

/* A member of an object whose value is a string. */
static void put_member(const char *name, const char *value)
{
	printf("\"%s\":", name);
	json_put_string(stdout, value);
	putchar(',');
}

static void print_json(const struct boot_source *source)
{
	struct need needs[NEEDS];

	putchar('{');
	put_member("image", source->name ? source->name : source->kernel_path);
	put_member("kind", source->kind);
	put_member("architecture", arch_layout.name);
	put_member("kernel", source->kernel_path);
	put_member("format", formats[source->format]);
	put_member("boot", boot_protocol_name(source->protocol));
	put_member("cmdline", source->cmdline ? source->cmdline : "");
	put_member("config", source->config_path ? source->config_path : "");
	put_member("disk", disk(source));
	printf("\"linuxkit\":%s,\"linux\":%s,\"pvh\":%s,\"linux64\":%s,\"initrd\":[",
	        source->linuxkit ? "true" : "false",
	        source->needs.linux_kernel ? "true" : "false",
	        source->has_pvh ? "true" : "false",
	        source->has_linux64 ? "true" : "false");
	for (unsigned i = 0; i < source->initrd_count; i++) {
		fputs(i ? "," : "", stdout);
		json_put_string(stdout, source->initrd_paths[i]);
	}
	printf("],\"kernel_size\":%" PRIu64 ",\"initrd_sizes\":[", source->kernel_size);
	for (unsigned i = 0; i < source->initrd_count; i++)
		printf("%s%" PRIu64, i ? "," : "", source->initrd_sizes[i]);
	/* Addresses as text: JSON's numbers lose digits beyond 2^53 in many readers. */
	printf("],\"entry\":\"%#" PRIx64 "\",\"segments\":[", entry(source));
	for (unsigned i = 0; i < source->segment_count; i++) {
		const struct boot_segment *segment = &source->segments[i];
		char flags[4];

		flags_text(segment->flags, flags);
		printf("%s{\"guest\":\"%#" PRIx64 "\",\"size\":%" PRIu64
		       ",\"file_size\":%" PRIu64 ",\"offset\":%" PRIu64
		       ",\"flags\":\"%s\"}",
		        i ? "," : "", segment->guest, segment->size, segment->file_size,
		        segment->offset, flags);
	}
	printf("],\"needs\":{");
	needs_list(&source->needs, needs);
	for (unsigned i = 0; i < NEEDS; i++)
		printf("%s\"%s\":%s", i ? "," : "", needs[i].name,
		        needs[i].wanted ? "true" : "false");
	printf("},\"devices\":[");
	for (unsigned i = 0; i < source->device_count; i++)
		printf("%s{\"kind\":\"%s\",\"name\":\"%s\"}", i ? "," : "",
		        source->devices[i].kind == DEVICE_DISK ? "disk" : "net",
		        source->devices[i].name);
	printf("],\"default_memory\":%" PRIu64 "}\n", source->needs.memory);
}

int inspect_image(const char *image, bool backing, bool json)
{
	struct boot_source source;
	struct config config;

	config_init(&config);
	config.image = image;
	config.backing = backing;
	if (image_open(&source, &config, PROTOCOL_AUTO))
		return 1;
	if (json)
		print_json(&source);
	else
		print_text(&source);
	boot_close(&source);
	return 0;
}
