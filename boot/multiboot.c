/*
 * Multiboot 1 ("Multiboot Specification version 0.6.96"), and what version 2 shares with
 * it: a header near the start of the file, which says what the image wants to be told and,
 * if it is no ELF, where it goes. It is entered in 32-bit protected mode without paging,
 * %eax a magic number, %ebx the address of the information structure (3.2).
 *
 * Where the text leaves a choice, it is QEMU's: the command line begins with a name, which
 * unikernels skip (vmm/plan.c), and a wish for a video mode is no reason not to boot.
 */
#include "boot/multiboot.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boot/layout.h"
#include "vmm/log.h"
#include "vmm/memory.h"

/* 3.1.1; the end of the header's place, and its alignment. */
enum { HEADER_MAGIC = 0x1badb002, HEADER_END = 8192, HEADER_ALIGN = 4 };
static const uint32_t header2_magic = 0xe85250d6;
enum { HEADER2_ALIGN = 8 };

/* 3.1.2: the lower half is what must be understood. */
enum {
	FLAG_ALIGN_MODULES = 1 << 0,
	FLAG_MEMORY = 1 << 1,
	FLAG_VIDEO = 1 << 2,
	FLAGS_REQUIRED = 0xffff,
	FLAGS_KNOWN = FLAG_ALIGN_MODULES | FLAG_MEMORY | FLAG_VIDEO,
	FLAG_ADDRESSES = 1 << 16,
};

struct header {
	uint32_t magic;
	uint32_t flags;
	uint32_t checksum;
	struct multiboot_addresses addresses; /* FLAG_ADDRESSES: these, */
	uint32_t entry;                       /* and this */
};

/* 3.3 */
enum {
	INFO_MAGIC = 0x2badb002,
	INFO_MEMORY = 1 << 0,
	INFO_CMDLINE = 1 << 2,
	INFO_MODULES = 1 << 3,
	INFO_MEMORY_MAP = 1 << 6,
	INFO_LOADER_NAME = 1 << 9,
};
enum { REGION_RAM = 1, REGION_RESERVED = 2, NAME_SIZE = 256 };

struct multiboot_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB, from 0 and from 1 MiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t module_count, modules;
	uint32_t symbols[4];
	uint32_t regions_size, regions;
	uint32_t drives_size, drives;
	uint32_t config_table;
	uint32_t loader_name;
	uint32_t apm_table;
	uint32_t video[12];
};

struct module {
	uint32_t start, end;
	uint32_t name;
	uint32_t reserved;
};

struct region {
	uint32_t size; /* of what follows */
	uint64_t guest, length;
	uint32_t type;
} __attribute__((packed));

/* All of it in one piece. */
struct told {
	struct multiboot_info info;
	struct module modules[BOOT_FILES_INITRDS];
	struct region regions[BOOT_REGIONS];
	char loader_name[8];
	char names[BOOT_FILES_INITRDS][NAME_SIZE];
};

static_assert(sizeof(struct header) == 32, "3.1: the magic and the address fields");
static_assert(sizeof(struct multiboot_info) == 120, "3.3, with what is for graphics");
static_assert(sizeof(struct region) == 24, "3.3");
static_assert(sizeof(struct told) <= LAYOUT_MULTIBOOT_END - LAYOUT_MULTIBOOT_INFO,
        "it has room");

int multiboot_refuse(const struct boot_source *source, const char *why)
{
	return log_error(-EINVAL, "image: '%s': its Multiboot header %s",
	        source->kernel_path, why);
}

void multiboot_no_video(const struct boot_source *source)
{
	log_info("image: '%s' would like a video mode, and gets none",
	        source->kernel_path);
}

bool multiboot_has_room(uint64_t guest, uint64_t size)
{
	static const struct {
		uint64_t start, end;
	} low[] = {{LAYOUT_LOW, LAYOUT_CMDLINE},
	        {LAYOUT_MULTIBOOT_END, LAYOUT_RAM_LOW_END}};

	for (size_t i = 0; i < sizeof(low) / sizeof(low[0]); i++)
		if (guest >= low[i].start && guest < low[i].end &&
		        size <= low[i].end - guest)
			return true;
	return guest >= LAYOUT_KERNEL_MIN;
}

int multiboot_place(struct boot_source *source, uint32_t offset,
        const struct multiboot_addresses *addresses)
{
	uint64_t load = addresses->load, start, size, memory;

	if (addresses->load == (uint32_t)MULTIBOOT_ADDRESS_NONE) {
		if (addresses->header < offset)
			return multiboot_refuse(source, "lies before address 0");
		load = addresses->header - offset;
	}
	if (load > addresses->header || addresses->header - load > offset)
		return multiboot_refuse(source, "is not where its addresses say");
	start = offset - (addresses->header - load);
	size = source->kernel_size - start;
	if (addresses->load_end) {
		if (addresses->load_end <= load || addresses->load_end - load > size)
			return multiboot_refuse(
			        source, "puts its end past the end of the file");
		size = addresses->load_end - load;
	}
	memory = size;
	if (addresses->bss_end) {
		if (addresses->bss_end < load || addresses->bss_end - load < size)
			return multiboot_refuse(source, "ends its bss before its data");
		memory = addresses->bss_end - load;
	}
	if (!multiboot_has_room(load, memory) || load + memory > UINT32_MAX)
		return multiboot_refuse(
		        source, "loads it below 1 MiB or past 4 GiB: link it at 1 MiB");
	source->segments[0] = (struct boot_segment){
	        .guest = load,
	        .size = memory,
	        .file_size = size,
	        .offset = start,
	        .flags = PF_R | PF_W | PF_X,
	};
	source->segment_count = 1;
	source->multiboot.placed = true;
	return 0;
}

static int header_take(
        struct boot_source *source, const struct multiboot_head *head, uint32_t offset)
{
	struct header header = {0};
	size_t rest = head->size - offset;

	memcpy(&header, head->data + offset,
	        rest < sizeof(header) ? rest : sizeof(header));
	source->multiboot.version = 1;
	if (header.flags & FLAGS_REQUIRED & ~FLAGS_KNOWN)
		return multiboot_refuse(
		        source, "requires what version 0.6.96 of it does not know");
	if (header.flags & FLAG_VIDEO)
		multiboot_no_video(source);
	if (!(header.flags & FLAG_ADDRESSES))
		return 0;
	if (rest < sizeof(header))
		return multiboot_refuse(source, "is cut off");
	source->multiboot.entry = header.entry;
	source->multiboot.has_entry = true;
	return multiboot_place(source, offset, &header.addresses);
}

static uint32_t word_at(const struct multiboot_head *head, uint32_t offset)
{
	uint32_t word;

	memcpy(&word, head->data + offset, sizeof(word));
	return word;
}

/* The first place where magic number and checksum are right, and `words` of them sum to 0. */
static bool header_find(const struct multiboot_head *head, uint32_t magic,
        unsigned words, uint32_t end, uint32_t align, uint32_t *offset)
{
	if (end > head->size)
		end = head->size;
	for (uint32_t at = 0; at + words * 4 <= end; at += align) {
		uint32_t sum = 0;

		if (word_at(head, at) != magic)
			continue;
		for (unsigned i = 0; i < words; i++)
			sum += word_at(head, at + 4 * i);
		*offset = at;
		if (!sum)
			return true;
	}
	return false;
}

int multiboot_find(struct boot_source *source)
{
	bool any = source->protocol == PROTOCOL_AUTO;
	struct multiboot_head head;
	uint32_t offset;
	int error;

	head.size = source->kernel_size < sizeof(head.data)
	                    ? (uint32_t)source->kernel_size
	                    : sizeof(head.data);
	error = boot_read(source, 0, head.data, head.size);
	if (error)
		return log_error(error, "image: cannot read '%s': %s",
		        source->kernel_path, strerror(-error));
	/* Of both the newer, which also tells where the ACPI tables are. */
	if ((any || source->protocol == PROTOCOL_MULTIBOOT2) &&
	        header_find(&head, header2_magic, 4, MULTIBOOT_HEAD, HEADER2_ALIGN,
	                &offset))
		return multiboot2_take(
		        source, &head, offset, word_at(&head, offset + 8));
	if ((any || source->protocol == PROTOCOL_MULTIBOOT) &&
	        header_find(&head, HEADER_MAGIC, 3, HEADER_END, HEADER_ALIGN, &offset))
		return header_take(source, &head, offset);
	return 0;
}

int multiboot_check(const struct boot_source *source)
{
	uint64_t entry = source->multiboot.entry;

	if (entry <= UINT32_MAX && boot_file_holds(source, entry))
		return 0;
	return multiboot_refuse(source, "has its entry in none of its segments");
}

void multiboot_needs(struct boot_source *source)
{
	source->needs = boot_needs_all(false);
	source->needs.pc = true;
	source->initrd_max = UINT32_MAX;
	source->cmdline_max = BOOT_CMDLINE_MAX - 1;
	boot_describe(source,
	        source->multiboot.version == 2 ? "Multiboot 2 unikernel"
	                                       : "Multiboot unikernel",
	        "", 0);
}

static bool is_efi_program(const struct boot_source *source)
{
	char magic[2];

	return !boot_read(source, 0, magic, sizeof(magic)) && !memcmp(magic, "MZ", 2);
}

/* What is no ELF, but has a header that says where it goes. */
static int flat_probe(struct boot_source *source, enum boot_machine machine)
{
	int error = machine == MACHINE_X86 ? multiboot_find(source) : -ENOEXEC;

	if (error || !source->multiboot.version)
		return error ? error : -ENOEXEC;
	/* Xen's program for EFI keeps the header of the ELF that it was linked from. */
	if (!source->multiboot.placed && is_efi_program(source)) {
		source->multiboot = (struct boot_multiboot){0};
		return -ENOEXEC;
	}
	source->format = FORMAT_FLAT;
	multiboot_needs(source);
	if (!source->multiboot.placed)
		return multiboot_refuse(
		        source, "has no addresses, without which it must be an ELF");
	if (!source->multiboot.has_entry)
		return multiboot_refuse(source, "has no entry address");
	return multiboot_check(source);
}

const struct image_format format_flat = {
        .name = "flat",
        .probe = flat_probe,
};

void multiboot_memory(
        const struct boot_machine_info *machine, uint32_t *lower, uint32_t *upper)
{
	*lower = *upper = 0;
	for (unsigned i = 0; i < machine->region_count; i++) {
		const struct boot_region *region = machine->regions + i;
		uint64_t kib = region->size >> 10;

		if (region->reserved)
			continue;
		if (region->guest == 0)
			*lower = (uint32_t)(kib < 640 ? kib : 640);
		else if (region->guest == LAYOUT_KERNEL_MIN)
			*upper = (uint32_t)kib;
	}
}

static bool multiboot_offered(const struct boot_source *source)
{
	return source->multiboot.version == 1;
}

static uint32_t told_at(size_t offset)
{
	return (uint32_t)(LAYOUT_MULTIBOOT_INFO + offset);
}

static int multiboot_prepare(const struct boot_source *source, struct memory *memory,
        const struct boot_machine_info *machine, struct boot_image *image)
{
	struct told told = {
	        .info =
	                {
	                        .flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES |
	                                 INFO_MEMORY_MAP | INFO_LOADER_NAME,
	                        .cmdline = (uint32_t)image->cmdline,
	                        .module_count = source->initrd_count,
	                        .modules = told_at(offsetof(struct told, modules)),
	                        .regions_size =
	                                machine->region_count * sizeof(struct region),
	                        .regions = told_at(offsetof(struct told, regions)),
	                        .loader_name =
	                                told_at(offsetof(struct told, loader_name)),
	                },
	        .loader_name = "Mayfly",
	};

	multiboot_memory(machine, &told.info.mem_lower, &told.info.mem_upper);
	for (unsigned i = 0; i < source->initrd_count; i++) {
		uint64_t start = initrd_guest(source, image, i);

		told.modules[i] = (struct module){
		        .start = (uint32_t)start,
		        .end = (uint32_t)(start + source->initrd_sizes[i]),
		        .name = told_at(offsetof(struct told, names[i])),
		};
		snprintf(told.names[i], NAME_SIZE, "%s", source->initrd_paths[i]);
	}
	for (unsigned i = 0; i < machine->region_count; i++) {
		const struct boot_region *region = machine->regions + i;

		told.regions[i] = (struct region){sizeof(struct region) - 4,
		        region->guest, region->size,
		        region->reserved ? REGION_RESERVED : REGION_RAM};
	}
	image->entry = source->multiboot.entry;
	image->info = LAYOUT_MULTIBOOT_INFO;
	image->magic = INFO_MAGIC;
	return memory_write(memory, image->info, &told, sizeof(told));
}

const struct entry_protocol protocol_multiboot = {
        .protocol = PROTOCOL_MULTIBOOT,
        .name = "multiboot",
        .cmdline = LAYOUT_CMDLINE,
        .offered = multiboot_offered,
        .prepare = multiboot_prepare,
};
