/*
 * Multiboot 2 ("Multiboot2 Specification version 2.0"): the header is a list of tags, and
 * so is what the guest is told. A tag that is not known is passed over if its header says
 * so (3.1.3). There is no EFI here, no framebuffer and no text screen: what needs those is
 * refused, what only would take them is not. The framebuffer tag names the "preferred"
 * mode (3.1.10), so without one GRUB, and this, boot the image all the same.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "boot/layout.h"
#include "boot/multiboot.h"
#include "vmm/memory.h"

struct header {
	uint32_t magic;
	uint32_t architecture;
	uint32_t size; /* with all tags */
	uint32_t checksum;
};

struct header_tag {
	uint16_t type;
	uint16_t flags;
	uint32_t size;
};

/* 3.1.3 to 3.1.13 */
enum {
	HEADER_END,
	HEADER_INFORMATION,
	HEADER_ADDRESS,
	HEADER_ENTRY,
	HEADER_CONSOLE,
	HEADER_FRAMEBUFFER,
	HEADER_ALIGN_MODULES,
	HEADER_EFI_SERVICES,
	HEADER_EFI32_ENTRY,
	HEADER_EFI64_ENTRY,
	HEADER_RELOCATABLE,
	HEADER_OPTIONAL = 1 << 0, /* in `flags` */
	CONSOLE_REQUIRED = 1 << 0,
	ARCHITECTURE_I386 = 0,
	TAG_ALIGN = 8,
};

struct relocatable {
	uint32_t min, max, align;
	uint32_t preference; /* of low or high addresses */
};

/* 3.6: what the guest is told. */
enum {
	INFO_MAGIC = 0x36d76289,
	INFO_END = 0,
	INFO_CMDLINE = 1,
	INFO_LOADER_NAME = 2,
	INFO_MODULE = 3,
	INFO_MEMORY = 4,
	INFO_MEMORY_MAP = 6,
	INFO_ACPI_NEW = 15,
	INFO_LOAD_BASE = 21,
	INFO_KNOWN = INFO_LOAD_BASE, /* the last that the specification has */
};
enum { REGION_RAM = 1, REGION_RESERVED = 2, RSDP_SIZE = 36 };

struct info_tag {
	uint32_t type;
	uint32_t size; /* without what pads it to 8 bytes */
};

struct region {
	uint64_t guest, size;
	uint32_t type;
	uint32_t reserved;
};

static_assert(sizeof(struct region) == 24, "3.6.8");

/* One after the other, from LAYOUT_MULTIBOOT_INFO on. */
struct tags {
	uint8_t *data;
	size_t used;
	bool full;
};

enum { TAGS_SIZE = LAYOUT_MULTIBOOT_END - LAYOUT_MULTIBOOT_INFO };

/* The types that are asked for are understood, whether or not there is such a thing here:
 * "no guarantee that any tags of type mbi_tag_types will actually be present". */
static int information_check(
        const struct boot_source *source, const uint8_t *data, uint32_t size)
{
	for (uint32_t at = 0; at + 4 <= size; at += 4) {
		uint32_t type;

		memcpy(&type, data + at, sizeof(type));
		if (type > INFO_KNOWN)
			return multiboot_refuse(source,
			        "requires information that version 2.0 does not know");
	}
	return 0;
}

static int cut_off(const struct boot_source *source)
{
	return multiboot_refuse(source, "has a tag that is too short");
}

/* `data` has `size` bytes behind the tag's own fields. */
static int tag_take(struct boot_source *source, uint32_t offset,
        const struct header_tag *tag, const uint8_t *data, uint32_t size)
{
	struct boot_multiboot *multiboot = &source->multiboot;
	bool optional = tag->flags & HEADER_OPTIONAL;
	struct multiboot_addresses addresses;
	struct relocatable relocatable;
	uint32_t value;

	switch (tag->type) {
	case HEADER_INFORMATION:
		return optional ? 0 : information_check(source, data, size);
	case HEADER_ADDRESS:
		if (size < sizeof(addresses))
			return cut_off(source);
		memcpy(&addresses, data, sizeof(addresses));
		return multiboot_place(source, offset, &addresses);
	case HEADER_ENTRY:
		if (size < sizeof(value))
			return cut_off(source);
		memcpy(&value, data, sizeof(value));
		multiboot->entry = value;
		multiboot->has_entry = true;
		return 0;
	case HEADER_CONSOLE:
		if (size < sizeof(value))
			return cut_off(source);
		memcpy(&value, data, sizeof(value));
		if (!optional && value & CONSOLE_REQUIRED)
			return multiboot_refuse(source, "requires a text screen, which "
			                                "Mayfly does not have");
		return 0;
	case HEADER_RELOCATABLE:
		if (size < sizeof(relocatable))
			return cut_off(source);
		memcpy(&relocatable, data, sizeof(relocatable));
		if (relocatable.align & (relocatable.align - 1))
			return multiboot_refuse(
			        source, "has an alignment that is no power of two");
		multiboot->relocatable = true;
		multiboot->min = relocatable.min;
		multiboot->max = relocatable.max;
		multiboot->align = relocatable.align;
		return 0;
	case HEADER_ALIGN_MODULES: /* they are, always */
	case HEADER_EFI_SERVICES:  /* for EFI's loaders */
	case HEADER_EFI32_ENTRY:
	case HEADER_EFI64_ENTRY:
		return 0;
	case HEADER_FRAMEBUFFER:
		if (!optional)
			multiboot_no_video(source);
		return 0;
	default:
		if (optional)
			return 0;
		return multiboot_refuse(
		        source, "has a tag that version 2.0 does not know");
	}
}

int multiboot2_take(struct boot_source *source, const struct multiboot_head *head,
        uint32_t offset, uint32_t size)
{
	uint32_t at = offset + sizeof(struct header), end = offset + size;
	struct header header;
	struct header_tag tag;
	int error = 0;

	memcpy(&header, head->data + offset, sizeof(header));
	source->multiboot.version = 2;
	if (header.architecture != ARCHITECTURE_I386)
		return multiboot_refuse(source, "is for another architecture");
	if (size > head->size - offset)
		return multiboot_refuse(source, "is cut off");
	do {
		if (at > end || end - at < sizeof(tag))
			return multiboot_refuse(source, "has no end tag");
		memcpy(&tag, head->data + at, sizeof(tag));
		if (tag.size < sizeof(tag) || tag.size > end - at)
			return multiboot_refuse(source, "has a tag of a wrong size");
		if (tag.type != HEADER_END)
			error = tag_take(source, offset, &tag,
			        head->data + at + sizeof(tag), tag.size - sizeof(tag));
		at += (tag.size + TAG_ALIGN - 1) & -(uint32_t)TAG_ALIGN;
	} while (!error && tag.type != HEADER_END);
	return error;
}

uint64_t multiboot_shift(const struct boot_source *source, uint64_t start, uint64_t end)
{
	const struct boot_multiboot *multiboot = &source->multiboot;
	uint64_t base = multiboot->min, align = multiboot->align;

	if (!multiboot->relocatable || multiboot->placed ||
	        (start >= base && start >= LAYOUT_KERNEL_MIN && end <= multiboot->max))
		return 0;
	if (base < LAYOUT_KERNEL_MIN)
		base = LAYOUT_KERNEL_MIN;
	return (align ? (base + align - 1) & -align : base) - start;
}

static bool multiboot2_offered(const struct boot_source *source)
{
	return source->multiboot.version == 2;
}

static void tag_add(struct tags *tags, uint32_t type, const void *head,
        size_t head_size, const void *data, size_t size)
{
	struct info_tag tag = {type, (uint32_t)(sizeof(tag) + head_size + size)};
	uint8_t *at = tags->data + tags->used;
	size_t padded = (tag.size + TAG_ALIGN - 1) & -(size_t)TAG_ALIGN;

	if (padded > TAGS_SIZE - tags->used) {
		tags->full = true;
		return;
	}
	memcpy(at, &tag, sizeof(tag));
	memcpy(at + sizeof(tag), head, head_size);
	memcpy(at + sizeof(tag) + head_size, data, size);
	tags->used += padded;
}

static void modules_add(
        struct tags *tags, const struct boot_source *source, struct boot_image *image)
{
	for (unsigned i = 0; i < source->initrd_count; i++) {
		uint64_t start = initrd_guest(source, image, i);
		const char *name = source->initrd_paths[i];
		uint32_t place[2] = {
		        (uint32_t)start, (uint32_t)(start + source->initrd_sizes[i])};

		tag_add(tags, INFO_MODULE, place, sizeof(place), name,
		        strlen(name) + 1);
	}
}

static void memory_add(struct tags *tags, const struct boot_machine_info *machine)
{
	struct region regions[BOOT_REGIONS];
	uint32_t head[2] = {sizeof(struct region), 0 /* version */}, memory[2];

	multiboot_memory(machine, &memory[0], &memory[1]);
	tag_add(tags, INFO_MEMORY, memory, sizeof(memory), "", 0);
	for (unsigned i = 0; i < machine->region_count; i++) {
		const struct boot_region *region = machine->regions + i;

		regions[i] = (struct region){region->guest, region->size,
		        region->reserved ? REGION_RESERVED : REGION_RAM, 0};
	}
	tag_add(tags, INFO_MEMORY_MAP, head, sizeof(head), regions,
	        machine->region_count * sizeof(*regions));
}

static int multiboot2_prepare(const struct boot_source *source, struct memory *memory,
        const struct boot_machine_info *machine, struct boot_image *image)
{
	static const char name[] = "Mayfly";
	struct tags tags = {.data = memory_at(memory, LAYOUT_MULTIBOOT_INFO, TAGS_SIZE),
	        .used = 2 * sizeof(uint32_t)};
	uint32_t base = (uint32_t)image->kernel_start, total[2] = {0};
	uint8_t rsdp[RSDP_SIZE];
	int error = 0;

	if (!tags.data)
		return -EFAULT;
	tag_add(&tags, INFO_CMDLINE, "", 0, machine->cmdline,
	        strlen(machine->cmdline) + 1);
	tag_add(&tags, INFO_LOADER_NAME, "", 0, name, sizeof(name));
	modules_add(&tags, source, image);
	memory_add(&tags, machine);
	if (machine->acpi_rsdp) {
		error = memory_read(memory, machine->acpi_rsdp, rsdp, sizeof(rsdp));
		if (!error)
			tag_add(&tags, INFO_ACPI_NEW, "", 0, rsdp, sizeof(rsdp));
	}
	if (source->multiboot.relocatable)
		tag_add(&tags, INFO_LOAD_BASE, &base, sizeof(base), "", 0);
	tag_add(&tags, INFO_END, "", 0, "", 0);
	assert(!tags.full);
	total[0] = (uint32_t)tags.used;
	memcpy(tags.data, total, sizeof(total));
	image->entry = source->multiboot.entry;
	image->info = LAYOUT_MULTIBOOT_INFO;
	image->magic = INFO_MAGIC;
	return error;
}

/* The longest command line, names as long as paths can be, the map: all of it fits. */
static_assert(BOOT_CMDLINE_MAX + BOOT_FILES_INITRDS * (4096 + 32) +
                              BOOT_REGIONS * sizeof(struct region) + 1024 <=
                      TAGS_SIZE,
        "the assertion holds");

const struct entry_protocol protocol_multiboot2 = {
        .protocol = PROTOCOL_MULTIBOOT2,
        .name = "multiboot2",
        .cmdline = LAYOUT_CMDLINE,
        .offered = multiboot2_offered,
        .prepare = multiboot2_prepare,
};
