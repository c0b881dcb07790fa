#include <elf.h>

#include "tests/unit/boot_image.h"

enum {
	SEGMENTS = 40,
	TEXT = 0x1000,
	TEXT_SIZE = 0x1000,
	NOTES = 0x2000,
	NOTES_SIZE = 0x100,
	IMAGE_SIZE = 0x3000,
	BASE = 0x100000,
};

/* A unikernel of one segment and its PVH note, to be spoilt in one place. */
struct elf {
	union {
		unsigned char bytes[IMAGE_SIZE];
		struct {
			Elf64_Ehdr header;
			Elf64_Phdr segments[SEGMENTS];
		};
	};
	unsigned notes; /* bytes of them */
};

static void note_add(struct elf *elf, const char *owner, uint32_t type,
        const void *data, uint32_t size)
{
	Elf64_Nhdr note = {.n_namesz = (uint32_t)strlen(owner) + 1,
	        .n_descsz = size,
	        .n_type = type};
	unsigned char *at = elf->bytes + NOTES + elf->notes;

	memcpy(at, &note, sizeof(note));
	at += sizeof(note);
	memcpy(at, owner, note.n_namesz);
	at += (note.n_namesz + 3) & ~3u;
	memcpy(at, data, size);
	at += (size + 3) & ~3u;
	elf->notes = (unsigned)(at - elf->bytes) - NOTES;
	elf->segments[1].p_filesz = elf->segments[1].p_memsz = elf->notes;
}

static void segment_add(struct elf *elf, uint64_t guest, uint64_t size)
{
	elf->segments[elf->header.e_phnum++] = (Elf64_Phdr){
	        .p_type = PT_LOAD,
	        .p_flags = PF_R,
	        .p_offset = TEXT,
	        .p_vaddr = guest,
	        .p_paddr = guest,
	        .p_filesz = size < TEXT_SIZE ? size : TEXT_SIZE,
	        .p_memsz = size,
	};
}

static struct elf plain(void)
{
	struct elf elf = {
	        .header = elf64_header(BASE, 0),
	};

	segment_add(&elf, BASE, TEXT_SIZE);
	elf.segments[elf.header.e_phnum++] =
	        (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = NOTES, .p_align = 4};
	memset(elf.bytes + TEXT, 0xf4, TEXT_SIZE);
	return elf;
}

static struct elf unikernel(void)
{
	struct elf elf = plain();
	uint32_t entry = BASE + 0x10;

	note_add(&elf, "Xen", 18, &entry, sizeof(entry));
	return elf;
}

static bool opens(const struct elf *elf, struct boot_source *source)
{
	return image_open(source, elf->bytes, sizeof(elf->bytes)) == 0;
}

static bool refused(const struct elf *elf, const char *part)
{
	return image_refused(elf->bytes, sizeof(elf->bytes), part);
}

static void unikernel_is_entered_through_pvh(void)
{
	struct boot_source source;
	struct elf elf = unikernel();

	elf.header.e_entry = BASE + 0x10; /* the same, so there is no other */
	CU_ASSERT_FATAL(opens(&elf, &source));
	CU_ASSERT_EQUAL(source.format, FORMAT_ELF);
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_PVH);
	CU_ASSERT(source.has_pvh && !source.has_linux64);
	CU_ASSERT_EQUAL(source.pvh_entry, BASE + 0x10);
	CU_ASSERT_EQUAL(source.segment_count, 1);
	CU_ASSERT_STRING_EQUAL(source.kind, "PVH unikernel");
	CU_ASSERT(!source.needs.linux_kernel && source.needs.irqchip &&
	          source.needs.acpi);
	CU_ASSERT(source.needs.console_input && source.needs.legacy);
	CU_ASSERT_EQUAL(source.needs.memory, 128 << 20);
	CU_ASSERT_EQUAL(boot_cmdline_max(&source), BOOT_CMDLINE_MAX - 1);
	boot_close(&source);
}

static void wide_entry_note_is_taken(void)
{
	struct elf elf = plain();
	struct boot_source source;
	uint64_t entry = BASE;

	note_add(&elf, "Xen", 18, &entry, sizeof(entry));
	CU_ASSERT_FATAL(opens(&elf, &source));
	CU_ASSERT_EQUAL(source.pvh_entry, BASE);
	boot_close(&source);
}

static void mayfly_note_says_what_is_needed(void)
{
	struct boot_source source;

	for (uint32_t needs = 0; needs < 128; needs++) {
		struct elf elf = unikernel();

		note_add(&elf, "Mayfly", 1, &needs, sizeof(needs));
		CU_ASSERT_FATAL(opens(&elf, &source));
		CU_ASSERT_EQUAL(source.needs.irqchip, !!(needs & 1));
		CU_ASSERT_EQUAL(source.needs.acpi, !!(needs & 2));
		CU_ASSERT_EQUAL(source.needs.console_input, !!(needs & 4));
		CU_ASSERT_EQUAL(source.needs.legacy, !!(needs & 8));
		CU_ASSERT_EQUAL(source.needs.cpuid, !!(needs & 16));
		CU_ASSERT_EQUAL(source.needs.pc, !!(needs & 32));
		CU_ASSERT_EQUAL(source.needs.address, !!(needs & 64));
		boot_close(&source);
	}
	struct elf elf = unikernel();
	uint32_t unknown = 128;

	note_add(&elf, "Mayfly", 1, &unknown, sizeof(unknown));
	CU_ASSERT(refused(&elf, "use a newer one"));
}

static void linux_is_known_by_its_notes(void)
{
	struct boot_source source;
	struct elf elf = plain();

	note_add(&elf, "Linux", 0x100, "6.1.0-1-cloud\033[2J", 17);
	CU_ASSERT_FATAL(opens(&elf, &source));
	CU_ASSERT(source.needs.linux_kernel && source.has_linux64 && !source.has_pvh);
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_LINUX64);
	CU_ASSERT_EQUAL(source.needs.memory, 1 << 30);
	CU_ASSERT_EQUAL(boot_cmdline_max(&source), 2047);
	CU_ASSERT_STRING_EQUAL(source.kind, "Linux vmlinux 6.1.0-1-cloud");
	boot_close(&source);

	elf = unikernel();
	note_add(&elf, "Xen", 6, "linux", 6);
	CU_ASSERT_FATAL(opens(&elf, &source));
	CU_ASSERT(source.needs.linux_kernel && source.has_linux64 && source.has_pvh);
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_PVH);
	boot_close(&source);

	elf = plain();
	elf.segments[0].p_vaddr = 0xffffffff81000000;
	CU_ASSERT_FATAL(opens(&elf, &source));
	CU_ASSERT(source.needs.linux_kernel && source.has_linux64);
	boot_close(&source);
}

/* GNU Mach for x86-64 and others lie where Linux does, and start in 32-bit mode. */
static void multiboot_kernel_in_the_upper_half_is_not_linux(void)
{
	static const uint32_t header[] = {0x1badb002, 0, -0x1badb002u};
	struct boot_source source;
	struct elf elf = plain();

	elf.segments[0].p_vaddr = elf.header.e_entry = 0xffffffff81000000;
	elf.segments[0].p_flags |= PF_X;
	memcpy(elf.bytes + TEXT, header, sizeof(header));
	CU_ASSERT_FATAL(opens(&elf, &source));
	CU_ASSERT(!source.needs.linux_kernel && !source.has_linux64);
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_MULTIBOOT);
	CU_ASSERT_EQUAL(source.multiboot.entry, BASE);
	boot_close(&source);
}

static void protocol_can_be_chosen(void)
{
	static const struct {
		enum boot_protocol protocol;
		bool guest_is_linux;
		int error;
	} cases[] = {
	        {PROTOCOL_AUTO, true, 0},
	        {PROTOCOL_PVH, true, 0},
	        {PROTOCOL_LINUX64, true, 0},
	        {PROTOCOL_PVH, false, 0},
	        {PROTOCOL_LINUX64, false, -EINVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct elf elf = unikernel();
		struct boot_source source;
		struct said said;
		char path[64];
		int fd, error;

		elf.header.e_entry = BASE + 0x10;
		if (cases[i].guest_is_linux)
			note_add(&elf, "Xen", 6, "linux", 6);
		fd = image_file(elf.bytes, sizeof(elf.bytes), path);
		said_begin(&said);
		error = boot_open(
		        &source, NULL, path, NULL, 0, cases[i].protocol, MACHINE_X86);
		CU_ASSERT(said_exactly(&said, error ? "--boot linux" : NULL));
		CU_ASSERT_EQUAL(error, cases[i].error);
		if (cases[i].protocol != PROTOCOL_AUTO && !error)
			CU_ASSERT_EQUAL(source.protocol, cases[i].protocol);
		boot_close(&source);
		close(fd);
	}
}

static void lying_segments_are_refused(void)
{
	struct elf elf = unikernel();

	elf.segments[0].p_filesz++;
	CU_ASSERT(refused(&elf, "has more in the file"));

	elf = unikernel();
	elf.segments[0].p_offset = IMAGE_SIZE - TEXT_SIZE + 1;
	CU_ASSERT(refused(&elf, "past the end of the file"));
	elf.segments[0].p_offset = UINT64_MAX - 16;
	CU_ASSERT(refused(&elf, "past the end of the file"));

	elf = unikernel();
	segment_add(&elf, UINT64_MAX - 0xfff, TEXT_SIZE);
	CU_ASSERT(refused(&elf, "wraps around"));

	elf = unikernel();
	segment_add(&elf, BASE - 1, 1);
	CU_ASSERT(refused(&elf, "below 1 MiB"));
}

static void overlapping_segments_are_refused(void)
{
	/* The first segment is [1 MiB, 1 MiB + 4 KiB); the third may bridge two. */
	static const uint64_t guests[] = {BASE, BASE + 1, BASE + TEXT_SIZE - 1};
	struct elf elf;

	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		elf = unikernel();
		segment_add(&elf, guests[i], 1);
		CU_ASSERT(refused(&elf, "overlaps another"));
	}
	elf = unikernel();
	elf.segments[0].p_paddr = BASE + 0x10000;
	segment_add(&elf, BASE, 0x10001);
	CU_ASSERT(refused(&elf, "overlaps another"));

	elf = unikernel();
	segment_add(&elf, BASE + 0x20000, 1);
	segment_add(&elf, BASE + 0x10000, 0x10001);
	CU_ASSERT(refused(&elf, "overlaps another"));
}

static void neighbours_in_any_order_are_loaded(void)
{
	struct elf elf = unikernel();
	struct boot_source source;

	/* 0x800 bytes of bss that share a page with the next segment. */
	segment_add(&elf, BASE + TEXT_SIZE + 0x1800, 0x800);
	segment_add(&elf, BASE + TEXT_SIZE, 0x1800);
	segment_add(&elf, 0x200000, 0);
	CU_ASSERT_FATAL(opens(&elf, &source));
	CU_ASSERT_EQUAL(source.segment_count, 3);
	CU_ASSERT_EQUAL(source.segments[0].guest, BASE);
	CU_ASSERT_EQUAL(source.segments[1].guest, BASE + TEXT_SIZE);
	CU_ASSERT_EQUAL(source.segments[2].guest, BASE + TEXT_SIZE + 0x1800);
	boot_close(&source);
}

static void segments_have_a_limit(void)
{
	struct elf elf = unikernel();
	struct boot_source source;

	for (unsigned i = 1; i < BOOT_SEGMENTS; i++)
		segment_add(&elf, BASE + i * 0x1000, 16);
	CU_ASSERT_FATAL(opens(&elf, &source));
	CU_ASSERT_EQUAL(source.segment_count, BOOT_SEGMENTS);
	boot_close(&source);
	segment_add(&elf, 0x800000, 16);
	CU_ASSERT(refused(&elf, "more than 32 segments"));
}

static void lying_headers_are_refused(void)
{
	struct elf elf = unikernel();

	CU_ASSERT(image_refused(elf.bytes, sizeof(Elf64_Ehdr) - 1, "cut off"));
	CU_ASSERT(image_refused(elf.bytes,
	        sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr) - 1, "program headers"));
	elf.header.e_phoff = UINT64_MAX;
	CU_ASSERT(refused(&elf, "program headers"));
	elf.header.e_phoff = IMAGE_SIZE - sizeof(Elf64_Phdr);
	CU_ASSERT(refused(&elf, "program headers"));

	elf = unikernel();
	elf.header.e_phentsize--;
	CU_ASSERT(refused(&elf, "wrong size"));
	elf = unikernel();
	elf.header.e_phnum = PN_XNUM;
	CU_ASSERT(refused(&elf, "too many program headers"));
	elf = unikernel();
	elf.header.e_ident[EI_DATA] = ELFDATA2MSB;
	CU_ASSERT(refused(&elf, "little-endian"));
	elf = unikernel();
	elf.header.e_ident[EI_CLASS] = 3;
	CU_ASSERT(refused(&elf, "class"));
	elf = unikernel();
	elf.header.e_type = ET_REL;
	CU_ASSERT(refused(&elf, "ELF object"));
}

static void foreign_machines_are_named(void)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} cases[] = {
	        {EM_RISCV, "is a riscv64 kernel, this Mayfly runs x86-64 guests"},
	        {EM_AARCH64, "is an aarch64 kernel"},
	        {0x7777, "is an unknown machine's kernel"},
	};
	struct elf elf = unikernel();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		elf.header.e_machine = cases[i].machine;
		CU_ASSERT(refused(&elf, cases[i].name));
	}
}

static void entry_must_be_in_the_file(void)
{
	struct elf elf = plain();
	struct boot_source source;
	uint64_t entry = BASE + TEXT_SIZE - 1;

	note_add(&elf, "Xen", 18, &entry, 8);
	elf.segments[0].p_memsz = 0x10000;
	CU_ASSERT_FATAL(opens(&elf, &source));
	boot_close(&source);

	elf.notes = 0;
	entry = BASE + TEXT_SIZE; /* bss */
	note_add(&elf, "Xen", 18, &entry, 8);
	CU_ASSERT(refused(&elf, "PVH entry is in none"));
	elf.notes = 0;
	entry = BASE | (uint64_t)1 << 32;
	note_add(&elf, "Xen", 18, &entry, 8);
	CU_ASSERT(refused(&elf, "PVH entry is in none"));

	elf = plain();
	note_add(&elf, "Linux", 0x101, "", 1);
	elf.header.e_entry = 0xffffffff81000000;
	CU_ASSERT(refused(&elf, "entry is in none"));
}

static void lying_notes_are_refused(void)
{
	struct elf elf = unikernel();
	Elf64_Nhdr *note = (Elf64_Nhdr *)(elf.bytes + NOTES);

	note->n_descsz = 3;
	CU_ASSERT(refused(&elf, "wrong size"));
	note->n_descsz = 5;
	CU_ASSERT(refused(&elf, "past its segment"));
	note->n_descsz = UINT32_MAX;
	CU_ASSERT(refused(&elf, "past its segment"));
	note->n_descsz = 4;
	note->n_namesz = UINT32_MAX;
	CU_ASSERT(refused(&elf, "past its segment"));

	elf = unikernel();
	elf.segments[1].p_filesz = 65537;
	CU_ASSERT(refused(&elf, "longer than"));
	elf.segments[1].p_filesz = IMAGE_SIZE - NOTES + 1;
	CU_ASSERT(refused(&elf, "outside the file"));
}

/* 4 MiB is where programs are linked; a program that moves is linked at 0. */
static void program_is_refused(void)
{
	static const uint64_t places[] = {0x400000, 0x200000, 0};
	struct elf elf = plain();
	uint32_t abi[4] = {0};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		elf.segments[0].p_paddr = elf.segments[0].p_vaddr = places[i];
		CU_ASSERT(refused(&elf, "not a kernel"));
	}
	elf = plain();
	note_add(&elf, "GNU", 1, abi, sizeof(abi));
	CU_ASSERT(refused(&elf, "not a kernel"));
	elf = plain();
	elf.segments[elf.header.e_phnum++].p_type = PT_INTERP;
	CU_ASSERT(refused(&elf, "not a kernel"));
	elf = plain();
	elf.header.e_machine = EM_386;
	CU_ASSERT(refused(&elf, "not a kernel"));
}

static void unikernel_without_notes_has_linux_entry(void)
{
	struct elf elf = plain();
	struct boot_source source;

	CU_ASSERT_FATAL(opens(&elf, &source));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_LINUX64);
	CU_ASSERT(!source.needs.linux_kernel && source.needs.pc);
	CU_ASSERT_EQUAL(source.elf_entry, BASE);
	CU_ASSERT_EQUAL(boot_cmdline_max(&source), BOOT_CMDLINE_MAX - 1);
	boot_close(&source);

	/* OSv: at other addresses than it is linked for, by both kinds of entry. */
	elf.segments[0].p_flags |= PF_X;
	elf.segments[0].p_vaddr = 0x40200000;
	elf.segments[0].p_paddr = 0x200000;
	for (unsigned i = 0; i < 2; i++) {
		elf.header.e_entry = i ? 0x40200010 : 0x200010;
		CU_ASSERT_FATAL(opens(&elf, &source));
		CU_ASSERT_EQUAL(source.elf_entry, 0x200010);
		boot_close(&source);
	}
	/* One with a PVH entry too is entered by that, and needs no PC. */
	note_add(&elf, "Xen", 18, &(uint32_t){0x200020}, 4);
	CU_ASSERT_FATAL(opens(&elf, &source));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_PVH);
	CU_ASSERT(source.has_linux64 && !source.needs.pc);
	boot_close(&source);
}

static void elf32_is_widened(void)
{
	unsigned char image[0x2000] = {0};
	Elf32_Ehdr header = {
	        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB,
	                EV_CURRENT},
	        .e_type = ET_EXEC,
	        .e_machine = EM_386,
	        .e_phoff = sizeof(header),
	        .e_phentsize = sizeof(Elf32_Phdr),
	        .e_phnum = 2,
	};
	Elf32_Phdr segments[2] = {
	        {.p_type = PT_NOTE, .p_offset = 0x800, .p_filesz = 20, .p_align = 4},
	        {.p_type = PT_LOAD,
	                .p_offset = 0x1000,
	                .p_paddr = BASE,
	                .p_filesz = 64,
	                .p_memsz = 0x5000,
	                .p_flags = PF_X},
	};
	struct {
		Elf32_Nhdr header;
		char owner[4];
		uint32_t entry;
	} note = {{4, 4, 18}, "Xen", BASE};
	struct boot_source source;

	memcpy(image, &header, sizeof(header));
	memcpy(image + sizeof(header), segments, sizeof(segments));
	memcpy(image + 0x800, &note, sizeof(note));
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
	CU_ASSERT(source.has_pvh && !source.has_linux64);
	CU_ASSERT_EQUAL(source.segments[0].size, 0x5000);
	CU_ASSERT_EQUAL(source.segments[0].file_size, 64);
	CU_ASSERT_EQUAL(source.segments[0].flags, PF_X);
	boot_close(&source);
	CU_ASSERT(image_refused(image, sizeof(header) - 1, "cut off"));
}

static void load_fills_memory_and_start_info(void)
{
	struct {
		uint32_t magic, version, flags, modules;
		uint64_t modlist, cmdline, rsdp, map;
		uint32_t entries, reserved;
	} start;
	struct elf elf = unikernel();
	struct boot_source source;
	struct boot_image image;
	struct guest guest;
	uint64_t region[3];
	unsigned char byte;
	char text[32];

	elf.segments[0].p_memsz = 0x3000;
	CU_ASSERT_FATAL(opens(&elf, &source));
	guest_create(&guest, 2);
	CU_ASSERT_FATAL(!boot_load(&source, &guest.memory, &guest.machine, &image));
	CU_ASSERT_EQUAL(image.entry, BASE + 0x10);
	CU_ASSERT_EQUAL(image.info, LAYOUT_PVH_INFO);
	CU_ASSERT_EQUAL(image.initrd_size, 0);
	CU_ASSERT_EQUAL(image.kernel_start, BASE);
	CU_ASSERT_EQUAL(image.kernel_end, BASE + 0x3000);
	CU_ASSERT_FATAL(!memory_read(&guest.memory, BASE + TEXT_SIZE - 1, &byte, 1));
	CU_ASSERT_EQUAL(byte, 0xf4);
	CU_ASSERT_FATAL(!memory_read(&guest.memory, BASE + TEXT_SIZE, &byte, 1));
	CU_ASSERT_EQUAL(byte, 0);

	CU_ASSERT_FATAL(!memory_read(&guest.memory, image.info, &start, sizeof(start)));
	CU_ASSERT_EQUAL(start.magic, 0x336ec578);
	CU_ASSERT_EQUAL(start.version, 1);
	CU_ASSERT(!start.flags && !start.modules && !start.modlist);
	CU_ASSERT_EQUAL(start.rsdp, LAYOUT_ACPI);
	CU_ASSERT_EQUAL(start.entries, 3);
	CU_ASSERT_FATAL(!memory_read(&guest.memory, start.map + 24, region, 24));
	CU_ASSERT_EQUAL(region[0], LAYOUT_ACPI);
	CU_ASSERT_EQUAL(region[1], LAYOUT_ACPI_END - LAYOUT_ACPI);
	CU_ASSERT_EQUAL(region[2], 2);
	CU_ASSERT_FATAL(!memory_read(&guest.memory, start.cmdline, text, sizeof(text)));
	CU_ASSERT_STRING_EQUAL(text, "console=ttyS0");
	CU_ASSERT_EQUAL(image.cmdline_size, 14);
	memory_destroy(&guest.memory);
	boot_close(&source);
}

static void initrds_are_one_pvh_module(void)
{
	struct {
		uint64_t guest, size, cmdline, reserved;
	} module;
	struct elf elf = unikernel();
	char kernel[64], path[64], text[4];
	const char *paths[2] = {path, path};
	int kernel_fd = image_file(elf.bytes, sizeof(elf.bytes), kernel);
	int fd = image_file("one", 4, path);
	struct boot_source source;
	struct boot_image image;
	struct guest guest;
	uint32_t modules;
	uint64_t list;

	CU_ASSERT_FATAL(!boot_open(
	        &source, kernel, NULL, paths, 2, PROTOCOL_AUTO, MACHINE_X86));
	guest_create(&guest, 2);
	CU_ASSERT_FATAL(!boot_load(&source, &guest.memory, &guest.machine, &image));
	memory_read(&guest.memory, image.info + 12, &modules, sizeof(modules));
	memory_read(&guest.memory, image.info + 16, &list, sizeof(list));
	CU_ASSERT_EQUAL(modules, 1);
	CU_ASSERT_FATAL(!memory_read(&guest.memory, list, &module, sizeof(module)));
	CU_ASSERT_EQUAL(module.guest, image.initrd);
	CU_ASSERT_EQUAL(module.guest, 0x200000 - 8192);
	CU_ASSERT_EQUAL(module.size, 4096 + 4);
	CU_ASSERT(!module.cmdline && !module.reserved);
	CU_ASSERT_FATAL(!memory_read(&guest.memory, module.guest + 4096, text, 4));
	CU_ASSERT_STRING_EQUAL(text, "one");
	memory_destroy(&guest.memory);
	boot_close(&source);
	close(fd);
	close(kernel_fd);
}

/* Whether loading with 2 MiB of RAM fails so, with one line. */
static bool load_refused(
        const struct elf *elf, const char *cmdline, int error, const char *part)
{
	struct boot_source source;
	struct boot_image image;
	struct guest guest;
	struct said said;
	int is;

	CU_ASSERT_FATAL(opens(elf, &source));
	guest_create(&guest, 2);
	guest.machine.cmdline = cmdline;
	said_begin(&said);
	is = boot_load(&source, &guest.memory, &guest.machine, &image);
	memory_destroy(&guest.memory);
	boot_close(&source);
	return said_exactly(&said, part) && is == error;
}

static void segment_outside_ram_is_refused(void)
{
	struct elf elf = unikernel();

	segment_add(&elf, 0x1ff000, 0x1001);
	CU_ASSERT(load_refused(&elf, "", -ENOMEM, "--mem at least 3M"));
	elf = unikernel();
	segment_add(&elf, 0xc0000000, 1);
	CU_ASSERT(load_refused(&elf, "", -EINVAL, "outside RAM"));
	elf = unikernel();
	segment_add(&elf, 0x200000, (uint64_t)1 << 62);
	CU_ASSERT(load_refused(&elf, "", -EINVAL, "outside RAM"));
}

static void command_line_has_a_limit(void)
{
	struct elf elf = plain();
	struct boot_source source;
	struct boot_image image;
	struct guest guest;
	char line[2049];

	memset(line, 'x', sizeof(line));
	line[2048] = '\0';
	note_add(&elf, "Linux", 0x101, "", 1);
	CU_ASSERT(load_refused(&elf, line, -E2BIG, "takes 2047"));
	CU_ASSERT_FATAL(opens(&elf, &source));
	guest_create(&guest, 2);
	guest.machine.cmdline = line + 1;
	CU_ASSERT_EQUAL(boot_load(&source, &guest.memory, &guest.machine, &image), 0);
	CU_ASSERT_EQUAL(image.cmdline_size, 2048);
	memory_destroy(&guest.memory);
	boot_close(&source);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(unikernel_is_entered_through_pvh),
	        UNIT(wide_entry_note_is_taken),
	        UNIT(mayfly_note_says_what_is_needed),
	        UNIT(linux_is_known_by_its_notes),
	        UNIT(multiboot_kernel_in_the_upper_half_is_not_linux),
	        UNIT(protocol_can_be_chosen),
	        UNIT(lying_segments_are_refused),
	        UNIT(overlapping_segments_are_refused),
	        UNIT(neighbours_in_any_order_are_loaded),
	        UNIT(segments_have_a_limit),
	        UNIT(lying_headers_are_refused),
	        UNIT(foreign_machines_are_named),
	        UNIT(entry_must_be_in_the_file),
	        UNIT(lying_notes_are_refused),
	        UNIT(program_is_refused),
	        UNIT(unikernel_without_notes_has_linux_entry),
	        UNIT(elf32_is_widened),
	        UNIT(load_fills_memory_and_start_info),
	        UNIT(initrds_are_one_pvh_module),
	        UNIT(segment_outside_ram_is_refused),
	        UNIT(command_line_has_a_limit),
	        {0},
	};

	return unit_run("boot_elf", tests);
}
