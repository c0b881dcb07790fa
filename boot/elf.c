/*
 * ELF images (System V ABI, "Object Files" and "Program Loading"): vmlinux and unikernels.
 *
 * Segments are loaded at their physical addresses. How the image wants to be entered, and
 * whether it is Linux, stands in its notes: a few hundred bytes that a PT_NOTE points at.
 * What has none that says so may have a Multiboot header, or else Linux's 64-bit entry and
 * nothing to tell of it, as unikernels made for Firecracker have (Unikraft, OSv).
 * So a vmlinux of 50 MB is recognized without a search for its banner: every kernel since
 * 4.19 carries a note of its build salt whose owner is "Linux" (include/linux/
 * build-salt.h), and those with Xen's notes name their GUEST_OS.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "boot/layout.h"
#include "boot/linux.h"
#include "boot/loader.h"
#include "vmm/log.h"

#ifndef EM_LOONGARCH /* in no elf.h of musl before 1.2.4 */
#define EM_LOONGARCH 258
#endif

enum {
	PROGRAM_HEADERS = 128,
	NOTES_MAX = 65536, /* bytes of one PT_NOTE */
};

/* Xen's public elfnote.h; PHYS32_ENTRY is also how Linux's vmlinux offers PVH. */
enum { XEN_GUEST_OS = 6, XEN_PHYS32_ENTRY = 18 };

enum { LINUX_BUILD_SALT = 0x100 };

/* GNU's: which system's program this is; 0 is Linux (glibc's abi-tags). */
enum { GNU_ABI_TAG = 1 };

/* Programs are linked from here on (lld; ld has twice that), kernels at 1 MiB. */
enum { PROGRAM_MIN = 2 << 20 };

/* A unikernel made for Mayfly says what it needs, or is given everything. */
enum {
	MAYFLY_NEEDS = 1,
	NEEDS_IRQCHIP = 1 << 0,
	NEEDS_ACPI = 1 << 1,
	NEEDS_CONSOLE_INPUT = 1 << 2,
	NEEDS_LEGACY = 1 << 3,
	NEEDS_CPUID = 1 << 4,
	NEEDS_PC = 1 << 5,
	NEEDS_ADDRESS = 1 << 6,
	NEEDS_KNOWN = (1 << 7) - 1,
};

/* What the notes say. */
struct notes {
	bool linux_kernel;
	bool program;
	bool has_needs;
	uint32_t needs;
	struct solo5_abi solo5;
	char version[64]; /* Linux's, where its build salt is one; not terminated */
};

/* The start of Linux's own mapping on x86-64 (Documentation/arch/x86/x86_64/mm.rst). */
static const uint64_t linux_text_map = 0xffffffff80000000;

static const struct {
	uint16_t machine;
	unsigned char class; /* ELFCLASSNONE: either */
	const char *name;
} machines[] = {
        {EM_386, ELFCLASSNONE, "an i386"},
        {EM_X86_64, ELFCLASSNONE, "an x86-64"},
        {EM_RISCV, ELFCLASS64, "a riscv64"},
        {EM_RISCV, ELFCLASS32, "a riscv32"},
        {EM_AARCH64, ELFCLASSNONE, "an aarch64"},
        {EM_ARM, ELFCLASSNONE, "an arm"},
        {EM_PPC64, ELFCLASSNONE, "a ppc64"},
        {EM_S390, ELFCLASSNONE, "an s390x"},
        {EM_LOONGARCH, ELFCLASSNONE, "a loongarch"},
};

static int damaged(const struct boot_source *source, const char *what)
{
	return log_error(-EINVAL, "image: '%s' is damaged or truncated: %s",
	        source->kernel_path, what);
}

/* An ELF32 header is widened, so that the rest knows one kind only. */
static int header_read(const struct boot_source *source, Elf64_Ehdr *header)
{
	Elf32_Ehdr narrow;
	int error = boot_read(source, 0, header->e_ident, EI_NIDENT);

	if (error || memcmp(header->e_ident, ELFMAG, SELFMAG))
		return -ENOEXEC;
	if (header->e_ident[EI_DATA] != ELFDATA2LSB)
		return damaged(source, "it is not a little-endian ELF");
	switch (header->e_ident[EI_CLASS]) {
	case ELFCLASS64:
		error = boot_read(source, 0, header, sizeof(*header));
		break;
	case ELFCLASS32:
		error = boot_read(source, 0, &narrow, sizeof(narrow));
		if (error)
			break;
		header->e_type = narrow.e_type;
		header->e_machine = narrow.e_machine;
		header->e_entry = narrow.e_entry;
		header->e_phoff = narrow.e_phoff;
		header->e_phentsize = narrow.e_phentsize;
		header->e_phnum = narrow.e_phnum;
		break;
	default:
		return damaged(source, "its ELF class is neither 32 nor 64");
	}
	return error ? damaged(source, "its ELF header is cut off") : 0;
}

static int program_header_read(const struct boot_source *source,
        const Elf64_Ehdr *header, unsigned index, Elf64_Phdr *segment)
{
	bool wide = header->e_ident[EI_CLASS] == ELFCLASS64;
	uint64_t size = wide ? sizeof(*segment) : sizeof(Elf32_Phdr);
	uint64_t offset = header->e_phoff + index * size;
	Elf32_Phdr narrow;
	int error;

	if (header->e_phentsize != size)
		return damaged(source, "its program headers have a wrong size");
	if (offset < header->e_phoff)
		return damaged(source, "its program headers lie outside the file");
	error = boot_read(source, offset, wide ? (void *)segment : &narrow, size);
	if (error)
		return damaged(source, "its program headers lie outside the file");
	if (!wide)
		*segment = (Elf64_Phdr){
		        .p_type = narrow.p_type,
		        .p_flags = narrow.p_flags,
		        .p_offset = narrow.p_offset,
		        .p_vaddr = narrow.p_vaddr,
		        .p_paddr = narrow.p_paddr,
		        .p_filesz = narrow.p_filesz,
		        .p_memsz = narrow.p_memsz,
		        .p_align = narrow.p_align,
		};
	return 0;
}

static int machine_check(const struct boot_source *source, const Elf64_Ehdr *header,
        enum boot_machine machine)
{
	unsigned char class = header->e_ident[EI_CLASS];

	/* PVH starts in 32-bit mode: what an ELF32 then does is its own matter. */
	if (machine == MACHINE_X86 &&
	        (header->e_machine == EM_X86_64 || header->e_machine == EM_386))
		return 0;
	if (machine == MACHINE_RISCV && header->e_machine == EM_RISCV &&
	        class == ELFCLASS64)
		return 0;
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (header->e_machine == machines[i].machine &&
		        (!machines[i].class || class == machines[i].class))
			return boot_foreign(source, machines[i].name, machine);
	return boot_foreign(source, "an unknown machine's", machine);
}

static int segment_refuse(
        const struct boot_source *source, const Elf64_Phdr *segment, const char *why)
{
	return log_error(-EINVAL,
	        "image: '%s': its segment of 0x%" PRIx64 " bytes at 0x%" PRIx64 " %s",
	        source->kernel_path, segment->p_memsz, segment->p_paddr, why);
}

/* Keeps the segments ascending; a neighbour that overlaps is found on the way. */
static int segment_add(struct boot_source *source, const Elf64_Phdr *segment)
{
	uint64_t end = segment->p_paddr + segment->p_memsz;
	struct boot_segment *at = source->segments + source->segment_count;

	if (segment->p_filesz > segment->p_memsz)
		return segment_refuse(
		        source, segment, "has more in the file than that");
	if (segment->p_offset > source->kernel_size ||
	        segment->p_filesz > source->kernel_size - segment->p_offset)
		return segment_refuse(
		        source, segment, "reaches past the end of the file");
	if (!segment->p_memsz)
		return 0;
	if (end < segment->p_paddr)
		return segment_refuse(source, segment, "wraps around");
	if (segment->p_paddr < LAYOUT_KERNEL_MIN &&
	        !(source->multiboot.version &&
	                multiboot_has_room(segment->p_paddr, segment->p_memsz)))
		return segment_refuse(source, segment,
		        "lies below 1 MiB; link it at 0x100000 or above");
	if (source->segment_count == BOOT_SEGMENTS)
		return log_error(-EINVAL, "image: '%s' has more than %d segments",
		        source->kernel_path, BOOT_SEGMENTS);
	for (; at > source->segments && at[-1].guest >= segment->p_paddr; at--)
		at[0] = at[-1];
	if (at > source->segments && segment->p_paddr - at[-1].guest < at[-1].size)
		return segment_refuse(source, segment, "overlaps another");
	source->segment_count++;
	if (at + 1 < source->segments + source->segment_count && end > at[1].guest)
		return segment_refuse(source, segment, "overlaps another");
	*at = (struct boot_segment){
	        .guest = segment->p_paddr,
	        .size = segment->p_memsz,
	        .file_size = segment->p_filesz,
	        .offset = segment->p_offset,
	        .flags = segment->p_flags,
	};
	return 0;
}

static bool owned_by(const char *name, uint32_t size, const char *owner)
{
	return size == strlen(owner) + 1 && !memcmp(name, owner, size);
}

static int note_take(struct boot_source *source, struct notes *notes,
        const Elf64_Nhdr *note, const char *name, const char *data)
{
	uint32_t size = note->n_descsz;

	if (owned_by(name, note->n_namesz, "Xen") && note->n_type == XEN_PHYS32_ENTRY) {
		/* As wide as the kernel's words, or as the entry's 32 bits. */
		if (size != 4 && size != 8)
			return damaged(source, "its PVH entry note has a wrong size");
		source->pvh_entry = 0;
		memcpy(&source->pvh_entry, data, size);
		source->has_pvh = true;
	} else if (owned_by(name, note->n_namesz, "Xen") &&
	           note->n_type == XEN_GUEST_OS) {
		notes->linux_kernel |= owned_by(data, size, "linux");
	} else if (owned_by(name, note->n_namesz, "Linux")) {
		notes->linux_kernel = true;
		/* A free text; Debian and others put the release there. */
		if (note->n_type == LINUX_BUILD_SALT && size && data[0] >= '1' &&
		        data[0] <= '9')
			memcpy(notes->version, data,
			        size < sizeof(notes->version) ? size
			                                      : sizeof(notes->version));
	} else if (owned_by(name, note->n_namesz, "GNU")) {
		notes->program |= note->n_type == GNU_ABI_TAG;
	} else if (owned_by(name, note->n_namesz, "Mayfly") &&
	           note->n_type == MAYFLY_NEEDS) {
		if (size != sizeof(notes->needs))
			return damaged(source, "its Mayfly note has a wrong size");
		memcpy(&notes->needs, data, size);
		notes->has_needs = true;
	} else if (owned_by(name, note->n_namesz, "Solo5")) {
		return hvt_note_take(source, &notes->solo5, note->n_type, data, size);
	}
	return 0;
}

static int notes_read(
        struct boot_source *source, const Elf64_Phdr *segment, struct notes *notes)
{
	/* 8 is what .note.gnu.property has; everything else is 4, whatever it claims. */
	uint64_t align = segment->p_align == 8 ? 8 : 4;
	uint64_t size = segment->p_filesz, at = 0;
	char *data;
	int error;

	if (size > NOTES_MAX)
		return damaged(source, "its notes are longer than 64 KiB");
	data = malloc(size ? size : 1);
	if (!data)
		return log_error(-ENOMEM, "image: no memory");
	error = boot_read(source, segment->p_offset, data, size);
	if (error)
		error = damaged(source, "its notes lie outside the file");
	while (!error && size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name = at + sizeof(note), text, end;

		memcpy(&note, data + at, sizeof(note));
		text = (name + note.n_namesz + align - 1) & ~(align - 1);
		end = text + note.n_descsz;
		if (end > size) {
			error = damaged(source, "a note reaches past its segment");
			break;
		}
		error = note_take(source, notes, &note, data + name, data + text);
		at = (end + align - 1) & ~(align - 1);
		if (at > size)
			at = size;
	}
	free(data);
	return error;
}

static int entries_check(const struct boot_source *source)
{
	if (source->has_pvh && (source->pvh_entry > UINT32_MAX ||
	                               !boot_file_holds(source, source->pvh_entry)))
		return damaged(source, "its PVH entry is in none of its segments");
	if ((source->has_linux64 || source->has_hvt || source->has_riscv) &&
	        !boot_file_holds(source, source->elf_entry))
		return damaged(source, "its entry is in none of its segments");
	if (source->multiboot.version && multiboot_check(source))
		return -EINVAL;
	return source->has_hvt ? hvt_segments_check(source) : 0;
}

static int needs_set(struct boot_source *source, const struct notes *notes)
{
	if (!notes->has_needs)
		return 0;
	if (notes->needs & ~(uint32_t)NEEDS_KNOWN)
		return log_error(-EINVAL,
		        "image: '%s' needs what this Mayfly does not know (0x%" PRIx32
		        "): use a newer one",
		        source->kernel_path, notes->needs & ~(uint32_t)NEEDS_KNOWN);
	source->needs.irqchip = notes->needs & NEEDS_IRQCHIP;
	source->needs.acpi = notes->needs & NEEDS_ACPI;
	source->needs.console_input = notes->needs & NEEDS_CONSOLE_INPUT;
	source->needs.legacy = notes->needs & NEEDS_LEGACY;
	source->needs.cpuid = notes->needs & NEEDS_CPUID;
	source->needs.pc = notes->needs & NEEDS_PC;
	source->needs.address = notes->needs & NEEDS_ADDRESS;
	return 0;
}

/* All program headers, copied, with the notes that some of them point at. */
static int program_headers_read(struct boot_source *source, const Elf64_Ehdr *header,
        Elf64_Phdr *segments, struct notes *notes)
{
	int error = 0;

	if (header->e_phnum > PROGRAM_HEADERS)
		return damaged(source, "it has too many program headers");
	for (unsigned i = 0; i < header->e_phnum && !error; i++) {
		error = program_header_read(source, header, i, segments + i);
		if (!error && segments[i].p_type == PT_NOTE)
			error = notes_read(source, segments + i, notes);
	}
	return error;
}

static bool is_elf64(const Elf64_Ehdr *header)
{
	return header->e_machine == EM_X86_64 &&
	       header->e_ident[EI_CLASS] == ELFCLASS64;
}

/* A program of a system's, as far as it lets one see. */
static bool is_program(
        const Elf64_Ehdr *header, const Elf64_Phdr *segments, const struct notes *notes)
{
	uint64_t lowest = UINT64_MAX;

	for (unsigned i = 0; i < header->e_phnum; i++) {
		const Elf64_Phdr *segment = segments + i;

		if (segment->p_type == PT_INTERP)
			return true;
		if (segment->p_type != PT_LOAD || !segment->p_memsz)
			continue;
		/* Programs have no physical addresses of their own. */
		if (segment->p_paddr != segment->p_vaddr)
			return notes->program;
		if (segment->p_paddr < lowest)
			lowest = segment->p_paddr;
	}
	return notes->program || !lowest || lowest >= PROGRAM_MIN;
}

/* The entry is a virtual address, unless it is none of those (GRUB and QEMU have it so). */
static uint64_t entry_physical(const Elf64_Ehdr *header, const Elf64_Phdr *segments)
{
	for (unsigned i = 0; i < header->e_phnum; i++) {
		const Elf64_Phdr *segment = segments + i;

		if (segment->p_type == PT_LOAD && segment->p_flags & PF_X &&
		        header->e_entry - segment->p_vaddr < segment->p_filesz)
			return header->e_entry - segment->p_vaddr + segment->p_paddr;
	}
	return header->e_entry;
}

static void linux_set(struct boot_source *source, const Elf64_Ehdr *header,
        const Elf64_Phdr *segments, const struct notes *notes)
{
	source->has_linux64 =
	        is_elf64(header) &&
	        (notes->linux_kernel || (!source->multiboot.version &&
	                                        header->e_entry != source->pvh_entry &&
	                                        !is_program(header, segments, notes)));
	source->needs = boot_needs_all(notes->linux_kernel);
	source->needs.pc = !notes->linux_kernel && !source->has_pvh;
	source->initrd_max = LINUX_INITRD_MAX;
	source->cmdline_max =
	        notes->linux_kernel ? LINUX_CMDLINE_MAX : BOOT_CMDLINE_MAX - 1;
	boot_describe(source,
	        notes->linux_kernel ? "Linux vmlinux"
	        : source->has_pvh   ? "PVH unikernel"
	                            : "unikernel with Linux's 64-bit entry",
	        notes->version, sizeof(notes->version));
}

/* Whether it is worth to read for a header, which costs more than all the rest. */
static bool seeks_multiboot(const struct boot_source *source, const Elf64_Ehdr *header,
        const struct notes *notes)
{
	if (header->e_machine != EM_X86_64 && header->e_machine != EM_386)
		return false;
	return source->protocol == PROTOCOL_MULTIBOOT ||
	       source->protocol == PROTOCOL_MULTIBOOT2 ||
	       (!source->has_pvh && !notes->linux_kernel &&
	               notes->solo5.target != SOLO5_HVT);
}

/* Linux before 4.19 may have no note at all: then this gives it away. */
static bool is_mapped_as_linux(const Elf64_Ehdr *header, const Elf64_Phdr *segments)
{
	for (unsigned i = 0; i < header->e_phnum; i++)
		if (segments[i].p_type == PT_LOAD &&
		        segments[i].p_vaddr >= linux_text_map)
			return true;
	return false;
}

/* What it is and how it can be entered: before its segments are, to name a program one. */
static int kind_set(struct boot_source *source, Elf64_Ehdr *header,
        Elf64_Phdr *segments, struct notes *notes)
{
	int error = 0;

	source->format = FORMAT_ELF;
	source->elf_entry = header->e_entry;
	if (seeks_multiboot(source, header, notes)) {
		error = multiboot_find(source);
		if (!error && !source->multiboot.version &&
		        source->protocol != PROTOCOL_AUTO)
			error = log_error(-EINVAL,
			        "--boot %s: '%s' has no such header: leave --boot out",
			        boot_protocol_name(source->protocol),
			        source->kernel_path);
	}
	if (!source->has_pvh && !source->multiboot.version)
		notes->linux_kernel |= is_mapped_as_linux(header, segments);
	if (!error)
		error = hvt_identify(source, &notes->solo5,
		        source->has_pvh || source->multiboot.version);
	if (!error && source->has_hvt &&
	        (header->e_type != ET_EXEC || !is_elf64(header)))
		error = damaged(source, "a Solo5 unikernel is a static x86-64 ELF64");
	if (error || source->has_hvt)
		return error;
	if (header->e_machine == EM_RISCV) {
		source->needs = boot_needs_all(notes->linux_kernel);
		boot_describe(source,
		        notes->linux_kernel ? "Linux vmlinux" : "RISC-V unikernel",
		        notes->version, sizeof(notes->version));
		error = riscv_place(source, header, segments, notes->linux_kernel);
		if (!error)
			error = needs_set(source, notes);
		riscv_needs(&source->needs);
		return error;
	}
	if (!notes->linux_kernel)
		source->elf_entry = entry_physical(header, segments);
	linux_set(source, header, segments, notes);
	if (source->multiboot.version)
		multiboot_needs(source);
	if (source->multiboot.version && !source->multiboot.has_entry)
		source->multiboot.entry = source->elf_entry;
	if (!source->has_pvh && !source->has_linux64 && !source->multiboot.version)
		return log_error(-EINVAL,
		        "image: '%s' is an ELF program, not a kernel: it is not Linux "
		        "and has neither a PVH entry (Xen note %d) nor a Multiboot "
		        "header",
		        source->kernel_path, XEN_PHYS32_ENTRY);
	return needs_set(source, notes);
}

/* How far up the image moves, if it may. */
static uint64_t shift(const struct boot_source *source, const Elf64_Ehdr *header,
        const Elf64_Phdr *segments)
{
	uint64_t start = UINT64_MAX, end = 0;

	for (unsigned i = 0; i < header->e_phnum; i++) {
		const Elf64_Phdr *segment = segments + i;

		if (segment->p_type != PT_LOAD || !segment->p_memsz)
			continue;
		if (segment->p_paddr < start)
			start = segment->p_paddr;
		if (segment->p_paddr + segment->p_memsz > end)
			end = segment->p_paddr + segment->p_memsz;
	}
	return multiboot_shift(source, start, end);
}

static int segments_add(
        struct boot_source *source, const Elf64_Ehdr *header, Elf64_Phdr *segments)
{
	uint64_t moved = shift(source, header, segments);
	int error = 0;

	source->multiboot.entry += moved;
	for (unsigned i = 0; !error && i < header->e_phnum; i++) {
		if (segments[i].p_type != PT_LOAD)
			continue;
		/* Solo5 loads where the guest sees it, whatever p_paddr is. */
		if (source->has_hvt)
			segments[i].p_paddr = segments[i].p_vaddr;
		segments[i].p_paddr += moved;
		error = segment_add(source, segments + i);
	}
	return error;
}

static int elf_probe(struct boot_source *source, enum boot_machine machine)
{
	Elf64_Phdr segments[PROGRAM_HEADERS];
	struct notes notes = {0};
	Elf64_Ehdr header;
	int error = header_read(source, &header);

	if (!error)
		error = machine_check(source, &header, machine);
	if (!error && header.e_type != ET_EXEC && header.e_type != ET_DYN)
		error = damaged(source, "it is an ELF object, not linked to run");
	if (!error)
		error = program_headers_read(source, &header, segments, &notes);
	if (!error)
		error = kind_set(source, &header, segments, &notes);
	if (!error && !source->multiboot.placed)
		error = segments_add(source, &header, segments);
	return error ? error : entries_check(source);
}

const struct image_format format_elf = {
        .name = "ELF",
        .probe = elf_probe,
};
