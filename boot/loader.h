/*
 * What the files of boot/ are to each other.
 *
 * An image has a format (how its file is read: ELF, bzImage) and offers protocols (how a
 * vCPU enters it: PVH, Linux's 64-bit entry, ...). Each is a const struct in a file of its
 * own and one line in a table: formats in probe.c, protocols in boot.c.
 */
#pragma once

#include <elf.h>

#include "boot/boot.h"

struct image_format {
	const char *name;
	/*
	 * Fills what boot_open() finds out, from headers copied once. -ENOEXEC, silent,
	 * if the file is of another format; any other error is logged.
	 */
	int (*probe)(struct boot_source *source, enum boot_machine machine);
};

extern const struct image_format format_elf;     /* elf.c */
extern const struct image_format format_bzimage; /* bzimage.c */
extern const struct image_format format_flat;    /* multiboot.c */
extern const struct image_format format_image;   /* riscv.c */

struct entry_protocol {
	enum boot_protocol protocol;
	const char *name; /* of --boot */
	uint64_t cmdline; /* where the command line goes; 0: the machine passes it on */
	bool (*offered)(const struct boot_source *source);
	/*
	 * Kernel, initrd and command line are in place: writes the boot information and
	 * sets image->entry and image->info. -EFAULT, silent, if that is not RAM.
	 */
	int (*prepare)(const struct boot_source *source, struct memory *memory,
	        const struct boot_machine_info *machine, struct boot_image *image);
};

extern const struct entry_protocol protocol_pvh;     /* pvh.c */
extern const struct entry_protocol protocol_linux64; /* linux.c */
extern const struct entry_protocol protocol_linux32;
extern const struct entry_protocol protocol_hvt;        /* hvt.c */
extern const struct entry_protocol protocol_multiboot;  /* multiboot.c */
extern const struct entry_protocol protocol_multiboot2; /* multiboot2.c */
extern const struct entry_protocol protocol_riscv;      /* riscv.c */

/*
 * hvt.c, for elf.c: first each note of owner "Solo5", then what the image is by them, then
 * its segments. -Exxx (logged). An image without such notes is left alone; one for
 * another of Solo5's targets is refused, but virtio's where there is another way in.
 */
enum { SOLO5_HVT = 1 };
struct solo5_abi {
	uint32_t target;
	uint32_t version;
};
int hvt_note_take(struct boot_source *source, struct solo5_abi *abi, uint32_t type,
        const char *data, uint32_t size);
int hvt_identify(struct boot_source *source, const struct solo5_abi *abi,
        bool otherwise_enterable);
int hvt_segments_check(const struct boot_source *source);

/*
 * multiboot.c, for elf.c: source->multiboot, as far as source->protocol asks for it, from
 * the header, if the file has one; needs and limits of what has one; whether its entry is
 * where it must be. What version 2 lets move from [start, end) goes that much further up;
 * and the memory that is told beside the map, in KiB. -EINVAL (logged).
 */
int multiboot_find(struct boot_source *source);
void multiboot_needs(struct boot_source *source);
int multiboot_check(const struct boot_source *source);
uint64_t multiboot_shift(
        const struct boot_source *source, uint64_t start, uint64_t end);
void multiboot_memory(
        const struct boot_machine_info *machine, uint32_t *lower, uint32_t *upper);
/*
 * Whether a part of the image may lie there: not below 1 MiB, or between what its guest is
 * told there. (GRUB loads anywhere in RAM; real-mode code and starts of CPUs are linked low.)
 */
bool multiboot_has_room(uint64_t guest, uint64_t size);
/*
 * riscv.c, for elf.c: the entry of an ELF, and where its segments go: where they are linked,
 * or for Linux, which runs anywhere, where RAM begins. -EINVAL (logged) for a program.
 */
int riscv_place(struct boot_source *source, Elf64_Ehdr *header, Elf64_Phdr *segments,
        bool linux_kernel);
/* Of `needs`, what no RISC-V machine has goes. */
void riscv_needs(struct boot_needs *needs);

/* probe.c: finds the format, or logs what the file is instead and what helps. */
int boot_probe(struct boot_source *source, enum boot_machine machine);
/*
 * extract.c: if the kernel's file is a disk image or the like, it becomes the kernel in it,
 * with its initrds and its command line. `medium` is what to read instead of the file, or
 * NULL. -ENOEXEC, silent: it is nothing of the kind; any other error is logged.
 */
int boot_extract(struct boot_source *source, const struct boot_medium *medium);

/*
 * The disk of at most `most` bytes that is the first file in source's kernel, a tar archive in
 * gzip: a file to read, which the cache may have kept, or the error, among them -ENOEXEC: it
 * is no such archive. `size` must be in memory that a forked child shares.
 */
int boot_unpack_disk(const struct boot_source *source, uint64_t most, uint64_t *size);
/*
 * unpack.c: if the kernel's file is one that was compressed, or an EFI program around such a
 * one, it becomes what is in it, if `probe` knows that. -ENOEXEC, silent: it is none.
 */
int boot_decompress(struct boot_source *source, enum boot_machine machine,
        int (*probe)(struct boot_source *source, enum boot_machine machine));
/* root.c: the image's root= means its disk, as this machine has it. */
int boot_root(struct boot_source *source);
/* Exactly `size` bytes of the kernel; -ENODATA past its end; silent. */
int boot_read(
        const struct boot_source *source, uint64_t offset, void *data, size_t size);
/* Whether one of the segments has what stands at this guest address in the file. */
bool boot_file_holds(const struct boot_source *source, uint64_t guest);
/* Logs that the image is `name` ("a riscv64") kernel, which is not what this Mayfly runs. */
int boot_foreign(
        const struct boot_source *source, const char *name, enum boot_machine machine);
/* source->kind: `what`, and the printable start of `version`, which may be hostile. */
void boot_describe(
        struct boot_source *source, const char *what, const char *version, size_t size);
/* Anything a guest may want: for what does not say. */
struct boot_needs boot_needs_all(bool linux_kernel);

/* boot.c: where its RAM starts. */
uint64_t boot_ram_base(const struct boot_machine_info *machine);

/* initrd.c: places and loads the initrds, clear of the kernel in `image`. */
int initrd_load(const struct boot_source *source, struct memory *memory,
        const struct boot_machine_info *machine, struct boot_image *image);
/* Where one of them then is, for protocols that have each as a module of its own. */
uint64_t initrd_guest(const struct boot_source *source, const struct boot_image *image,
        unsigned index);
