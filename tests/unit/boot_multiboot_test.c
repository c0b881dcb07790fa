#include <elf.h>

#include "tests/unit/boot_image.h"

enum {
	MAGIC1 = 0x1badb002,
	BASE = 0x100000,
	ENTRY = BASE + 0x20,
	SIZE = 0x3000,
	HEAD = 0x1000,    /* where a header is, */
	AT = BASE + HEAD, /* and its address */
};
static const uint32_t magic2 = 0xe85250d6;

/* A flat image, or an ELF of one segment of it all, with one header. */
struct image {
	union {
		unsigned char bytes[SIZE];
		struct {
			Elf64_Ehdr elf;
			Elf64_Phdr segment;
		};
	};
};

static void words_put(
        struct image *image, unsigned at, const uint32_t *words, unsigned count)
{
	memcpy(image->bytes + at, words, count * 4);
}

#define PUT(image, at, ...)                             \
	words_put(image, at, (uint32_t[]){__VA_ARGS__}, \
	        sizeof((uint32_t[]){__VA_ARGS__}) / 4)

/* Version 1. */
#define HEADER1(image, at, flags, ...) \
	PUT(image, at, MAGIC1, flags, -(MAGIC1 + (uint32_t)(flags)), __VA_ARGS__)
/* Version 2, whose tags are words. */
#define HEADER2(image, at, ...)                                                   \
	do {                                                                      \
		uint32_t size2 = 16 + sizeof((uint32_t[]){__VA_ARGS__});          \
		PUT(image, at, magic2, 0, size2, -(magic2 + size2), __VA_ARGS__); \
	} while (0)
#define OPTIONAL (1 << 16) /* the flag, beside a tag's type */
#define END      0, 8

static struct image *flat(void)
{
	static struct image image;

	memset(&image, 0xf4, sizeof(image));
	return &image;
}

static struct image *elf64(void)
{
	struct image *image = flat();

	image->elf = (Elf64_Ehdr){
	        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
	                EV_CURRENT},
	        .e_type = ET_EXEC,
	        .e_machine = EM_X86_64,
	        .e_entry = ENTRY,
	        .e_phoff = sizeof(Elf64_Ehdr),
	        .e_phentsize = sizeof(Elf64_Phdr),
	        .e_phnum = 1,
	};
	image->segment = (Elf64_Phdr){.p_type = PT_LOAD,
	        .p_flags = PF_R | PF_X,
	        .p_vaddr = BASE,
	        .p_paddr = BASE,
	        .p_filesz = SIZE,
	        .p_memsz = SIZE + 0x1000};
	return image;
}

static bool opens(const struct image *image, struct boot_source *source)
{
	return image_open(source, image, sizeof(*image)) == 0;
}

static bool refused(const struct image *image, const char *part)
{
	return image_refused(image, sizeof(*image), part);
}

static bool opens_as(const struct image *image, enum boot_protocol protocol,
        struct boot_source *source)
{
	char path[64];
	int fd = image_file(image, sizeof(*image), path);
	int error = boot_open(source, path, NULL, NULL, 0, protocol, MACHINE_X86);

	close(fd);
	return !error && source->protocol == protocol;
}

static void flat_image_goes_where_its_header_says(void)
{
	struct image *image = flat();
	struct boot_source source;

	HEADER1(image, HEAD, 1 << 16 | 3, AT, BASE, AT + 0x800, AT + 0x2000, ENTRY);
	CU_ASSERT_FATAL(opens(image, &source));
	CU_ASSERT_EQUAL(source.format, FORMAT_FLAT);
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_MULTIBOOT);
	CU_ASSERT_STRING_EQUAL(source.kind, "Multiboot unikernel");
	CU_ASSERT_EQUAL(source.multiboot.entry, ENTRY);
	CU_ASSERT_EQUAL(source.segment_count, 1);
	CU_ASSERT_EQUAL(source.segments[0].guest, BASE);
	CU_ASSERT_EQUAL(source.segments[0].offset, 0);
	CU_ASSERT_EQUAL(source.segments[0].file_size, HEAD + 0x800);
	CU_ASSERT_EQUAL(source.segments[0].size, HEAD + 0x2000);
	CU_ASSERT(source.needs.pc && source.needs.acpi && !source.needs.linux_kernel);
	boot_close(&source);

	/* From the header on; 0 is all of the file, and no bss. */
	HEADER1(image, HEAD, 1 << 16, AT, AT, 0, 0, AT + 0x20);
	CU_ASSERT_FATAL(opens(image, &source));
	CU_ASSERT_EQUAL(source.segments[0].guest, AT);
	CU_ASSERT_EQUAL(source.segments[0].offset, HEAD);
	CU_ASSERT_EQUAL(source.segments[0].file_size, SIZE - HEAD);
	CU_ASSERT_EQUAL(source.segments[0].size, SIZE - HEAD);
	boot_close(&source);
}

static void lying_addresses_are_refused(void)
{
	static const struct {
		uint32_t header, load, load_end, bss_end, entry;
		const char *part;
	} cases[] = {
	        {AT, AT + 1, 0, 0, ENTRY, "not where its addresses say"},
	        {AT, BASE - 1, 0, 0, ENTRY, "not where its addresses say"},
	        {AT, BASE, BASE + SIZE + 1, 0, ENTRY, "past the end of the file"},
	        {AT, BASE, BASE, 0, ENTRY, "past the end of the file"},
	        {AT, BASE, 0, BASE + SIZE - 1, ENTRY, "before its data"},
	        {AT, BASE, 0, 0, BASE + SIZE, "entry in none"},
	        {AT, BASE, 0, 0, BASE - 1, "entry in none"},
	        {AT - 1, BASE - 1, 0, 0, ENTRY, "below 1 MiB"},
	        {AT - BASE + 0x6fff, 0x6fff, 0, 0, ENTRY, "below 1 MiB"},
	        {AT - BASE + 0x7000, 0x7000, 0, 0x20001, ENTRY, "below 1 MiB"},
	        {0xfffff000, 0xffffe000, 0, 0, 0xffffe000, "past 4 GiB"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct image *image = flat();

		HEADER1(image, HEAD, 1 << 16, cases[i].header, cases[i].load,
		        cases[i].load_end, cases[i].bss_end, cases[i].entry);
		CU_ASSERT(refused(image, cases[i].part));
	}
}

static void header_must_be_in_its_place(void)
{
	struct image *image = elf64();
	struct boot_source source;

	/* The last place in 8 KiB, and one past it; what is not aligned; a wrong sum. */
	HEADER1(image, 8192 - 12, 3, 0);
	CU_ASSERT_FATAL(opens(image, &source));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_MULTIBOOT);
	boot_close(&source);
	image = elf64();
	HEADER1(image, 8192 - 8, 3, 0);
	CU_ASSERT_FATAL(opens(image, &source));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_LINUX64);
	boot_close(&source);
	image = elf64();
	HEADER1(image, HEAD + 2, 3, 0);
	PUT(image, HEAD + 0x100, MAGIC1, 3, -(MAGIC1 + 4));
	CU_ASSERT_FATAL(opens(image, &source));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_LINUX64);
	boot_close(&source);
	/* One behind a wrong one is found. */
	HEADER1(image, HEAD + 0x200, 3, 0);
	CU_ASSERT_FATAL(opens(image, &source));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_MULTIBOOT);
	boot_close(&source);

	image = flat();
	HEADER1(image, HEAD, 3, 0);
	CU_ASSERT(refused(image, "must be an ELF"));
	memcpy(image->bytes, "MZ", 2);
	CU_ASSERT(refused(image, "is an EFI program"));
	memset(image->bytes, 0, 2);
	CU_ASSERT(image_refused(image->bytes, HEAD + 8, "neither an ELF"));
	HEADER1(image, HEAD, 1 << 16, AT, BASE, 0, 0, ENTRY);
	CU_ASSERT(image_refused(image->bytes, HEAD + 28, "is cut off"));
}

static void unknown_requirements_are_refused(void)
{
	struct boot_source source;

	for (unsigned bit = 0; bit < 32; bit++) {
		struct image *image = elf64();

		if (bit == 16)
			continue;
		HEADER1(image, HEAD, 1u << bit, 0);
		if (bit > 2 && bit < 16) {
			CU_ASSERT(refused(image, "does not know"));
			continue;
		}
		CU_ASSERT_FATAL(opens(image, &source));
		boot_close(&source);
	}
}

static void elf_has_its_own_addresses(void)
{
	struct image *image = elf64();
	struct boot_source source;

	HEADER1(image, HEAD, 3, 0);
	image->segment.p_vaddr = 0xc0100000;
	image->elf.e_entry = 0xc0100020; /* virtual, as GRUB and QEMU take it */
	CU_ASSERT_FATAL(opens(image, &source));
	CU_ASSERT_EQUAL(source.format, FORMAT_ELF);
	CU_ASSERT_EQUAL(source.multiboot.entry, ENTRY);
	CU_ASSERT_EQUAL(source.segments[0].size, SIZE + 0x1000);
	boot_close(&source);
	/* The header's are preferred, if there are some. */
	HEADER1(image, HEAD, 1 << 16, AT, BASE, 0, 0, ENTRY + 1);
	CU_ASSERT_FATAL(opens(image, &source));
	CU_ASSERT_EQUAL(source.multiboot.entry, ENTRY + 1);
	CU_ASSERT_EQUAL(source.segments[0].size, SIZE);
	boot_close(&source);
}

/* Below the command line, and above what is told: bounds that boot/layout.h has. */
static void elf_may_have_a_low_segment(void)
{
	static const struct {
		uint64_t guest, size;
		bool fits;
	} cases[] = {
	        {0x7000, 0x19000, true},
	        {0x7000, 0x19001, false},
	        {0x6fff, 0x1000, false},
	        {0x2f000, 0x1000, false},
	        {0x50000, 0x4fc00, true},
	        {0x50000, 0x4fc01, false},
	        {0x9fc00, 1, false},
	};
	struct image *image = elf64();
	struct boot_source source;

	HEADER1(image, HEAD, 3, 0);
	image->segment.p_filesz = 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		image->segment.p_vaddr = image->segment.p_paddr = cases[i].guest;
		image->segment.p_memsz = cases[i].size;
		image->elf.e_entry = cases[i].guest;
		if (!cases[i].fits) {
			CU_ASSERT(refused(image, "below 1 MiB"));
			continue;
		}
		CU_ASSERT_FATAL(opens(image, &source));
		CU_ASSERT_EQUAL(source.segments[0].guest, cases[i].guest);
		boot_close(&source);
	}
}

static void version_can_be_chosen(void)
{
	struct image *image = elf64();
	struct boot_source source;
	struct said said;

	HEADER1(image, HEAD, 3, 0);
	HEADER2(image, HEAD + 0x100, END);
	CU_ASSERT_FATAL(opens(image, &source));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_MULTIBOOT2);
	CU_ASSERT_STRING_EQUAL(source.kind, "Multiboot 2 unikernel");
	boot_close(&source);
	CU_ASSERT(opens_as(image, PROTOCOL_MULTIBOOT, &source));
	boot_close(&source);
	CU_ASSERT(opens_as(image, PROTOCOL_MULTIBOOT2, &source));
	boot_close(&source);
	image->elf.e_machine = EM_386;
	memset(image->bytes + HEAD + 0x100, 0, 16);
	said_begin(&said);
	CU_ASSERT(!opens_as(image, PROTOCOL_MULTIBOOT2, &source));
	CU_ASSERT(said_exactly(&said, "--boot multiboot2"));
}

static void tags_are_honoured(void)
{
	struct image *image = elf64();
	struct boot_source source;

	HEADER2(image, HEAD, 3, 12, ENTRY + 8, 0, 6, 8, 7, 8, 9, 12, 1, 0, 5 | OPTIONAL,
	        20, 0, 0, 0, 0, 4, 12, 2, 0, 1, 16, 1, 21, END);
	CU_ASSERT_FATAL(opens(image, &source));
	CU_ASSERT_EQUAL(source.multiboot.entry, ENTRY + 8);
	boot_close(&source);

	/* A framebuffer is preferred, not needed. */
	HEADER2(image, HEAD, 5, 20, 0, 0, 0, 0, END);
	CU_ASSERT_FATAL(opens(image, &source));
	boot_close(&source);

	/* The address tag; -1 is the start of the file. */
	image = flat();
	HEADER2(image, HEAD, 2, 24, AT, UINT32_MAX, 0, BASE + SIZE + 5, 3, 12, ENTRY, 0,
	        END);
	CU_ASSERT_FATAL(opens(image, &source));
	CU_ASSERT_EQUAL(source.segments[0].guest, BASE);
	CU_ASSERT_EQUAL(source.segments[0].file_size, SIZE);
	CU_ASSERT_EQUAL(source.segments[0].size, SIZE + 5);
	boot_close(&source);
	HEADER2(image, HEAD, 2, 24, HEAD - 1, UINT32_MAX, 0, 0, 3, 12, ENTRY, 0, END);
	CU_ASSERT(refused(image, "before address 0"));
	HEADER2(image, HEAD, 2, 24, AT, BASE, 0, 0, END);
	CU_ASSERT(refused(image, "no entry address"));
}

static void tags_that_cannot_be_are_refused(void)
{
	struct image *image;

#define TAGS_REFUSED(part, ...)                    \
	do {                                       \
		image = elf64();                   \
		HEADER2(image, HEAD, __VA_ARGS__); \
		CU_ASSERT(refused(image, part));   \
	} while (0)
	TAGS_REFUSED("text screen", 4, 12, 1, 0, END);
	TAGS_REFUSED("information that", 1, 12, 22, 0, END);
	TAGS_REFUSED("tag that version 2.0", 11, 8, END);
	TAGS_REFUSED("no end tag", 6, 8);
	TAGS_REFUSED("no end tag", 6, 12, 0);
	TAGS_REFUSED("wrong size", 6, 7, END);
	TAGS_REFUSED("wrong size", 6, 0, END);
	TAGS_REFUSED("wrong size", 6, 17, END);
	TAGS_REFUSED("wrong size", 6, UINT32_MAX, END);
	TAGS_REFUSED("too short", 3, 8, END);
	TAGS_REFUSED("too short", 2, 20, AT, BASE, 0, 0, END);
	TAGS_REFUSED("too short", 10, 20, 0, 0, 0, 0, END);
	TAGS_REFUSED("power of two", 10, 24, 0, 0, 3, 0, END);
	image = elf64();
	PUT(image, HEAD, magic2, 4, 24, -(magic2 + 28), END);
	CU_ASSERT(refused(image, "another architecture"));
	PUT(image, HEAD, magic2, 0, SIZE, -(magic2 + SIZE), END);
	CU_ASSERT(refused(image, "is cut off"));
	PUT(image, HEAD, magic2, 0, 0xfffffff0, -(magic2 - 16), END);
	CU_ASSERT(refused(image, "is cut off"));
	image = elf64();
	HEADER2(image, HEAD, 1 | OPTIONAL, 12, 22, 0, 11 | OPTIONAL, 8, END);
	struct boot_source source;
	CU_ASSERT_FATAL(opens(image, &source));
	boot_close(&source);
}

/* Where guest memory has a 32-bit word. */
static uint32_t word(const struct guest *guest, uint64_t at)
{
	uint32_t value = 0;

	CU_ASSERT_EQUAL(memory_read(&guest->memory, at, &value, 4), 0);
	return value;
}

static void relocatable_image_moves_if_it_must(void)
{
	static const struct {
		uint32_t link, min, max, align;
		uint64_t lies;
	} cases[] = {
	        {BASE, 0, UINT32_MAX, 4096, BASE},
	        {BASE, BASE, BASE + SIZE + 0x1000, 0, BASE},
	        {0, 0, UINT32_MAX, 0x200000, 0x200000},
	        {0, 0, UINT32_MAX, 0, BASE},
	        {BASE, 0x201000, UINT32_MAX, 4096, 0x201000},
	        {BASE, BASE, BASE + SIZE, 0x400000, 0x400000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct image *image = elf64();
		struct boot_source source;
		struct boot_image loaded;
		struct guest guest;
		uint64_t at = LAYOUT_MULTIBOOT_INFO + 8;

		image->segment.p_paddr = image->segment.p_vaddr = cases[i].link;
		image->elf.e_entry = cases[i].link + 0x20;
		HEADER2(image, HEAD, 10, 24, cases[i].min, cases[i].max, cases[i].align,
		        0, END);
		CU_ASSERT_FATAL(opens(image, &source));
		guest_create(&guest, 8);
		guest.machine.acpi_rsdp = 0;
		CU_ASSERT_FATAL(
		        !boot_load(&source, &guest.memory, &guest.machine, &loaded));
		CU_ASSERT_EQUAL(loaded.kernel_start, cases[i].lies);
		CU_ASSERT_EQUAL(loaded.entry, cases[i].lies + 0x20);
		while (word(&guest, at) && word(&guest, at) != 21)
			at += (word(&guest, at + 4) + 7) & ~7u;
		CU_ASSERT_EQUAL(word(&guest, at), 21);
		CU_ASSERT_EQUAL(word(&guest, at + 8), cases[i].lies);
		memory_destroy(&guest.memory);
		boot_close(&source);
	}
}

static bool loads(struct image *image, struct boot_source *source, struct guest *guest,
        struct boot_image *loaded)
{
	char path[64], first[64], second[64];
	int fd = image_file(image, sizeof(*image), path);
	int one = image_file("one", 3, first), two = image_file("second", 6, second);
	const char *modules[] = {first, second};
	int error =
	        boot_open(source, path, NULL, modules, 2, PROTOCOL_AUTO, MACHINE_X86);

	CU_ASSERT_FATAL(!error);
	guest_create(guest, 8);
	error = boot_load(source, &guest->memory, &guest->machine, loaded);
	CU_ASSERT_STRING_EQUAL(
	        memory_at(&guest->memory, LAYOUT_CMDLINE, 14), "console=ttyS0");
	close(fd);
	close(one);
	close(two);
	return !error;
}

static void version_1_is_told(void)
{
	struct image *image = elf64();
	const uint32_t info = LAYOUT_MULTIBOOT_INFO;
	struct boot_source source;
	struct boot_image loaded;
	struct guest guest;
	uint32_t at;

	HEADER1(image, HEAD, 3, 0);
	CU_ASSERT_FATAL(loads(image, &source, &guest, &loaded));
	CU_ASSERT_EQUAL(loaded.entry, ENTRY);
	CU_ASSERT_EQUAL(loaded.info, info);
	CU_ASSERT_EQUAL(loaded.magic, 0x2badb002);
	CU_ASSERT_EQUAL(word(&guest, info), 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	CU_ASSERT_EQUAL(word(&guest, info + 4), 639);
	CU_ASSERT_EQUAL(word(&guest, info + 8), 7 << 10);
	CU_ASSERT_EQUAL(word(&guest, info + 16), LAYOUT_CMDLINE);
	/* Modules follow the kernel, each on a page, with its name. */
	CU_ASSERT_EQUAL(word(&guest, info + 20), 2);
	at = word(&guest, info + 24);
	CU_ASSERT_EQUAL(word(&guest, at), BASE + SIZE + 0x1000);
	CU_ASSERT_EQUAL(word(&guest, at + 4), BASE + SIZE + 0x1003);
	CU_ASSERT_EQUAL(word(&guest, at + 16), BASE + SIZE + 0x2000);
	CU_ASSERT_EQUAL(word(&guest, at + 20), BASE + SIZE + 0x2006);
	CU_ASSERT_STRING_EQUAL(memory_at(&guest.memory, word(&guest, at + 24), 64),
	        source.initrd_paths[1]);
	CU_ASSERT(!memcmp(
	        memory_at(&guest.memory, BASE + SIZE + 0x2000, 7), "second", 7));
	/* The map: three entries of 20 bytes behind their size. */
	CU_ASSERT_EQUAL(word(&guest, info + 44), 3 * 24);
	at = word(&guest, info + 48);
	CU_ASSERT_EQUAL(word(&guest, at), 20);
	CU_ASSERT_EQUAL(word(&guest, at + 12), LAYOUT_RAM_LOW_END);
	CU_ASSERT_EQUAL(word(&guest, at + 20), 1);
	CU_ASSERT_EQUAL(word(&guest, at + 44), 2);
	CU_ASSERT_STRING_EQUAL(
	        memory_at(&guest.memory, word(&guest, info + 64), 7), "Mayfly");
	memory_destroy(&guest.memory);
	boot_close(&source);
}

static void version_2_is_told(void)
{
	struct image *image = elf64();
	const uint32_t info = LAYOUT_MULTIBOOT_INFO;
	struct boot_source source;
	struct boot_image loaded;
	struct guest guest;
	uint32_t seen = 0, at = info + 8, end;

	HEADER2(image, HEAD, END);
	CU_ASSERT_FATAL(loads(image, &source, &guest, &loaded));
	CU_ASSERT_EQUAL(loaded.magic, 0x36d76289);
	end = info + word(&guest, info);
	while (at < end) {
		uint32_t type = word(&guest, at), size = word(&guest, at + 4);
		const char *text = memory_at(&guest.memory, at + 8, size - 8);

		if (type == 1)
			CU_ASSERT_STRING_EQUAL(text, "console=ttyS0");
		if (type == 2)
			CU_ASSERT_STRING_EQUAL(text, "Mayfly");
		if (type == 3 && seen & 1 << 3) {
			CU_ASSERT_EQUAL(word(&guest, at + 8), BASE + SIZE + 0x2000);
			CU_ASSERT_STRING_EQUAL(text + 8, source.initrd_paths[1]);
		}
		if (type == 4)
			CU_ASSERT_EQUAL(word(&guest, at + 12), 7 << 10);
		if (type == 6) {
			CU_ASSERT_EQUAL(size, 16 + 3 * 24);
			CU_ASSERT_EQUAL(word(&guest, at + 8), 24);
			CU_ASSERT_EQUAL(word(&guest, at + 16 + 24), LAYOUT_ACPI);
			CU_ASSERT_EQUAL(word(&guest, at + 16 + 40), 2);
		}
		if (type == 15)
			CU_ASSERT_EQUAL(size, 8 + 36);
		seen |= 1 << type;
		at += (size + 7) & ~7u;
	}
	CU_ASSERT_EQUAL(at, end);
	CU_ASSERT_EQUAL(seen, 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 15);
	memory_destroy(&guest.memory);
	boot_close(&source);
}

static void longest_command_line_fits(void)
{
	struct image *image = elf64();
	struct boot_source source;
	struct boot_image loaded;
	struct guest guest;
	static char line[BOOT_CMDLINE_MAX];

	HEADER2(image, HEAD, END);
	CU_ASSERT_FATAL(opens(image, &source));
	memset(line, 'x', sizeof(line) - 1);
	guest_create(&guest, 8);
	guest.machine.cmdline = line;
	CU_ASSERT_EQUAL(boot_load(&source, &guest.memory, &guest.machine, &loaded), 0);
	CU_ASSERT(word(&guest, LAYOUT_MULTIBOOT_INFO) > sizeof(line));
	memory_destroy(&guest.memory);
	boot_close(&source);
}

static void module_must_fit(void)
{
	struct image *image = elf64();
	struct boot_source source;
	struct boot_image loaded;
	struct guest guest;
	struct said said;
	char path[64], module[64];
	const char *modules[] = {module};
	int fd, big;

	HEADER1(image, HEAD, 3, 0);
	fd = image_file(image, sizeof(*image), path);
	big = image_file("x", 1, module);
	CU_ASSERT_EQUAL(ftruncate(big, 2 << 20), 0);
	CU_ASSERT_FATAL(!boot_open(
	        &source, path, NULL, modules, 1, PROTOCOL_AUTO, MACHINE_X86));
	guest_create(&guest, 3);
	said_begin(&said);
	CU_ASSERT_EQUAL(
	        boot_load(&source, &guest.memory, &guest.machine, &loaded), -ENOMEM);
	CU_ASSERT(said_exactly(&said, "give --mem at least 4M"));
	memory_destroy(&guest.memory);
	boot_close(&source);
	close(fd);
	close(big);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(flat_image_goes_where_its_header_says),
	        UNIT(lying_addresses_are_refused),
	        UNIT(header_must_be_in_its_place),
	        UNIT(unknown_requirements_are_refused),
	        UNIT(elf_has_its_own_addresses),
	        UNIT(elf_may_have_a_low_segment),
	        UNIT(version_can_be_chosen),
	        UNIT(tags_are_honoured),
	        UNIT(tags_that_cannot_be_are_refused),
	        UNIT(relocatable_image_moves_if_it_must),
	        UNIT(version_1_is_told),
	        UNIT(version_2_is_told),
	        UNIT(longest_command_line_fits),
	        UNIT(module_must_fit),
	        {0},
	};

	return unit_run("boot_multiboot", tests);
}
