/*
 * Checks all that a Multiboot loader tells, of version 1 or 2 as it was built, and prints
 * it: command line, loader's name, modules with the first byte of each, RAM; a BIOS's data
 * is where kernels look for it. Status 1 if something is missing or wrong. "modules=N" is
 * how many there must be.
 */
#include "guest.h"
#include "mayfly.h"
#include "x86/platform.h"

enum { PAGE = 4096 };

/* Multiboot 0.6.96, 3.3. */
enum {
	MEMORY = 1 << 0,
	CMDLINE = 1 << 2,
	MODULES = 1 << 3,
	MAP = 1 << 6,
	NAME = 1 << 9
};

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t module_count, modules, symbols[4];
	uint32_t map_size, map, drives[2], config, name;
};

struct module {
	uint32_t start, end, name, reserved;
};

struct region {
	uint32_t size;
	uint64_t start, length;
	uint32_t type;
} __attribute__((packed));

/* Multiboot 2, 3.6. */
struct tag {
	uint32_t type, size;
	uint32_t words[];
};

struct region2 {
	uint64_t start, size;
	uint32_t type, reserved;
};

static struct {
	const char *name;
	unsigned modules;
	uint64_t ram, upper_kib, above_1m;
	bool rsdp, wrong;
} told;

static void wrong(const char *what)
{
	print("multiboot: %s\n", what);
	told.wrong = true;
}

static void take_module(uint32_t start, uint32_t end, const char *name)
{
	if (start % PAGE || end <= start)
		wrong("a module is not on a page");
	told.modules++;
	print("module: %s, %u bytes, '%c'\n", name, end - start,
	        *(const char *)(uintptr_t)start);
}

static void take_region(uint64_t start, uint64_t size, uint32_t type)
{
	if (type != 1)
		return;
	told.ram += size;
	if (start == 0x100000)
		told.above_1m = size;
}

static void read_version1(const struct info *info)
{
	const struct module *modules = (const void *)(uintptr_t)info->modules;
	uint32_t all = MEMORY | CMDLINE | MODULES | MAP | NAME;

	if ((info->flags & all) != all) {
		wrong("not all fields are there");
		return;
	}
	command_line = (const char *)(uintptr_t)info->cmdline;
	told.name = (const char *)(uintptr_t)info->name;
	told.upper_kib = info->mem_upper;
	told.rsdp = true; /* not told */
	for (unsigned i = 0; i < info->module_count; i++)
		take_module(modules[i].start, modules[i].end,
		        (const char *)(uintptr_t)modules[i].name);
	for (uint32_t at = 0; at < info->map_size;) {
		const struct region *region = (const void *)(uintptr_t)(info->map + at);

		take_region(region->start, region->length, region->type);
		at += region->size + 4;
	}
}

static void read_map(const struct tag *tag)
{
	for (uint32_t at = 16; at + tag->words[0] <= tag->size; at += tag->words[0]) {
		const struct region2 *region = (const void *)((const char *)tag + at);

		take_region(region->start, region->size, region->type);
	}
}

static void read_version2(const uint32_t *info)
{
	const char *at = (const char *)info + 8, *end = (const char *)info + info[0];

	while (at < end) {
		const struct tag *tag = (const void *)at;

		if (tag->type == 0)
			return;
		if (tag->type == 1)
			command_line = (const char *)tag->words;
		else if (tag->type == 2)
			told.name = (const char *)tag->words;
		else if (tag->type == 3)
			take_module(tag->words[0], tag->words[1],
			        (const char *)(tag->words + 2));
		else if (tag->type == 4)
			told.upper_kib = tag->words[1];
		else if (tag->type == 6)
			read_map(tag);
		else if (tag->type == 15)
			told.rsdp = tag->words[0] == 0x20445352; /* "RSD " */
		at += (tag->size + 7) & ~7u;
	}
	wrong("no end");
}

/* Two words of a BIOS's data area: where its extended one is, and the KiB below that. */
static void check_bios_data(void)
{
	const uint16_t *segment = memory_window(0x40e), *kib = memory_window(0x413);

	if (!*kib || *kib >= 640 || *segment << 4 >> 10 != *kib)
		wrong("no BIOS data area");
}

int main(void)
{
	if (multiboot_magic == MULTIBOOT_MAGIC)
		read_version1((const void *)multiboot_info);
	else if (multiboot_magic == MULTIBOOT2_MAGIC)
		read_version2(multiboot_info);
	else
		wrong("another magic number");
	if (!told.name || !option_is(told.name, "Mayfly"))
		wrong("no loader's name");
	if (!told.rsdp)
		wrong("no ACPI");
	check_bios_data();
	if (told.above_1m >> 10 != told.upper_kib || !told.upper_kib)
		wrong("map and size differ");
	if (told.modules != option_number("modules", 0))
		wrong("another number of modules");
	print("cmdline: %s\nram: %lu KiB\n", command_line, told.ram >> 10);
	return told.wrong;
}
