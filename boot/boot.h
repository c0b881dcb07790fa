/*
 * From files on the host to a guest that can be entered: what the image is, what it
 * needs, and its kernel, initrd, command line and boot information in guest memory.
 *
 * The order is boot_open(), boot_needs (decides what is built at all), then memory and
 * devices exist, then boot_load(). Every file is untrusted: headers are copied before
 * they are checked, sizes are compared so that nothing can wrap.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct boot_medium;
struct memory;

enum {
	BOOT_FILES_INITRDS = 8,
	BOOT_CMDLINE_MAX = 65536, /* with the NUL */
	BOOT_SEGMENTS = 32,
	BOOT_REGIONS = 64,
	BOOT_DEVICE_NAME = 68,             /* with the NUL */
	BOOT_SETUP_HEADER = 0x290 - 0x1f1, /* Linux's setup header, boot/linux.h */
};

enum boot_format {
	FORMAT_ELF,     /* ELF64, or ELF32 for an entry in 32-bit mode */
	FORMAT_BZIMAGE, /* Linux/x86 boot protocol >= 2.08 */
	FORMAT_FLAT,    /* bytes, and a Multiboot header that says where they go */
	FORMAT_IMAGE,   /* Linux/RISC-V's flat Image */
};

enum boot_protocol {
	PROTOCOL_AUTO,
	PROTOCOL_PVH,        /* Xen's "x86/HVM direct boot ABI" */
	PROTOCOL_LINUX64,    /* Linux's Documentation/arch/x86/boot.rst, 64-bit entry */
	PROTOCOL_LINUX32,    /* the same, 32-bit entry */
	PROTOCOL_HVT,        /* Solo5's hvt ABI, version 2 */
	PROTOCOL_MULTIBOOT,  /* Multiboot 0.6.96 */
	PROTOCOL_MULTIBOOT2, /* Multiboot 2 */
	PROTOCOL_RISCV, /* Linux's Documentation/arch/riscv/boot.rst; unikernels, too */
};

/* Architectures by their ELF machine numbers (System V ABI). */
enum boot_machine { MACHINE_X86 = 62, MACHINE_RISCV = 243 };

/* What the guest is made for; anything unknown gets everything. */
struct boot_needs {
	bool linux_kernel; /* Linux, as opposed to a unikernel */
	bool irqchip;      /* LAPIC and IOAPIC */
	bool pc; /* PIC, PIT, port 0x61: kernels that tell time by them; with irqchip */
	bool acpi;
	bool console_input; /* reads the console, so the monitor watches stdin */
	bool legacy;        /* RTC; a PC's i8042 */
	bool cpuid;         /* CPUID, and with it long mode; comes with irqchip */
	bool address;       /* that of its user-mode network, on the command line */
	uint64_t memory;    /* bytes of RAM by default: 128 MiB, or 1 GiB for Linux */
	uint64_t memory_unit, memory_max; /* what RAM must be a multiple of; 0: any */
	unsigned cpus_max;                /* 0: any number */
};

/*
 * A device that the image declares by name: it gets all of those and no others. What is
 * attached to it is for the machine to say (boot_machine_info).
 */
enum boot_device_kind { DEVICE_DISK, DEVICE_NIC };

struct boot_device {
	char name[BOOT_DEVICE_NAME]; /* letters and digits */
	enum boot_device_kind kind;
	uint64_t capacity; /* disk: bytes */
	uint16_t block_size;
	uint8_t mac[6]; /* nic */
	uint16_t mtu;
};

/*
 * One PT_LOAD, or a bzImage's protected-mode kernel as the only one; then `size` is what
 * the kernel uses until it knows its memory map.
 */
struct boot_segment {
	uint64_t guest;
	uint64_t size;      /* in memory */
	uint64_t file_size; /* of it from the file; the rest is zero */
	uint64_t offset;    /* in the kernel */
	uint32_t flags;     /* PF_R, PF_W, PF_X */
};

/* What a Multiboot header says. */
struct boot_multiboot {
	unsigned version; /* 1 or 2; 0: there is none */
	bool placed;      /* by the header's addresses, not by those of an ELF */
	bool has_entry;   /* in the header */
	uint64_t entry;
	bool relocatable; /* version 2; lies in [min, max], then, on `align` (0: any) */
	uint32_t min, max, align;
};

/* An open image. Strings and fds belong to it until boot_close(). */
struct boot_source {
	char *name;        /* as the user gave it */
	char *kernel_path; /* the file that holds the kernel; in an image, "image:path" */
	int kernel_fd;
	uint64_t kernel_offset, kernel_size; /* in that file */
	char *initrd_paths[BOOT_FILES_INITRDS];
	int initrd_fds[BOOT_FILES_INITRDS];
	uint64_t initrd_offsets[BOOT_FILES_INITRDS], initrd_sizes[BOOT_FILES_INITRDS];
	unsigned initrd_count;
	char *cmdline; /* what the image itself brings (x-cmdline), or "" */
	bool linuxkit; /* found as a LinuxKit name */
	char *disk_path; /* the image is this disk, too, to be the first one; NULL: none */
	bool disk_readonly; /* by its kind: an ISO, squashfs, erofs */
	/* The kernel's file is a copy out of this one, if has_origin: a change shows here. */
	int origin_fd;
	bool has_origin;
	int disk_fd;        /* of a disk that was unpacked, if disk_unpacked */
	bool disk_unpacked; /* it lives as long as this does */
	char *root_was;     /* root= before it was made to mean that disk, or NULL */
	char *config_path; /* of the boot loader's configuration that was followed, or NULL */

	/* What boot_open() found out. */
	enum boot_format format;
	enum boot_protocol protocol; /* the one that will be used */
	bool has_pvh, has_linux64, has_linux32, has_hvt, has_riscv;
	bool unpacked; /* an ELF that came out of a bzImage: boot_unpack() */
	struct boot_multiboot multiboot;
	uint64_t pvh_entry, elf_entry; /* Linux's, a bzImage's too; hvt's; RISC-V's */
	struct boot_segment segments[BOOT_SEGMENTS]; /* ascending, never overlapping */
	unsigned segment_count;
	uint64_t initrd_max; /* last byte that an initrd may take */
	size_t cmdline_max;  /* without the NUL */
	uint8_t setup_header
	        [BOOT_SETUP_HEADER]; /* of a bzImage, as it is in the file */
	const char *kind; /* "Linux bzImage 6.1.0-...", "PVH unikernel": for people */
	char kind_text[96];
	struct boot_needs needs;
	bool declares_devices; /* `devices` are what it gets */
	struct boot_device *devices;
	unsigned device_count;
};

/*
 * Opens IMAGE `name` (a kernel, a unikernel, a disk image with a boot loader's configuration
 * in it, or else a LinuxKit name x with x-kernel beside it) or, if `kernel` is not NULL, that
 * kernel; `initrds` replace the image's own. Probes by content and checks all headers for
 * `machine`. On failure logs one line that names the option or file and the remedy, and
 * leaves nothing open. May fork: no other thread may exist.
 */
int boot_open(struct boot_source *source, const char *name, const char *kernel,
        const char *const *initrds, unsigned initrd_count, enum boot_protocol protocol,
        enum boot_machine machine);

/* The same for a disk image that only `medium` can read; its file is `name`. */
int boot_open_medium(struct boot_source *source, const char *name,
        const struct boot_medium *medium, const char *const *initrds,
        unsigned initrd_count, enum boot_protocol protocol, enum boot_machine machine);

/*
 * Makes of a bzImage the vmlinux in it, out of a cache or newly unpacked, so that no guest
 * need do that: `kernel_fd` is then that ELF's. The bzImage's limits and setup header stay.
 * Where that cannot be done the bzImage stays as it is; a warning says why. Any other
 * image is left alone. Forks: no other thread may exist.
 *
 * `memory` is that of the guest, if it can enter the bzImage as well, else 0: where it is
 * no slower to let the guest unpack it, the bzImage stays this once, and the cache is
 * filled meanwhile.
 */
void boot_unpack(struct boot_source *source, uint64_t memory);
/*
 * The same of Linux's compressed initrds: `initrd_fds` are then plain archives. One that is
 * large for a guest with `memory` bytes, or cannot be unpacked, is left to the guest. Unless
 * `now`, one that is not in the cache is, too, and then put there when nothing else runs.
 */
void boot_unpack_initrds(struct boot_source *source, uint64_t memory, bool now);
/* Chooses anew among the protocols that the image offers now; logs -EINVAL if none fits. */
int boot_choose(struct boot_source *source, enum boot_protocol protocol);
void boot_close(struct boot_source *source); /* takes a half-opened or zeroed one */

/* One region of the map that the guest is told. */
struct boot_region {
	uint64_t guest, size;
	bool reserved; /* ACPI tables, firmware; else usable RAM */
};

/* What the machine tells the loader. */
struct boot_machine_info {
	const struct boot_region *regions;
	unsigned region_count; /* at most BOOT_REGIONS */
	uint64_t acpi_rsdp;    /* 0: none */
	uint64_t fdt;          /* RISC-V: where its device tree will be */
	const char *cmdline;   /* final, with everything that was added */
	uint64_t cycle_hz;     /* hvt: of the time stamp counter */
	const struct boot_device
	        *devices; /* hvt: the source's, with what is attached */
};

/* Where the vCPU starts, and what lies where (for --dry-run and inspect). */
struct boot_image {
	enum boot_protocol protocol;
	uint64_t entry;
	/* hvm_start_info, boot_params, hvt_boot_info, multiboot_info, device tree */
	uint64_t info;
	uint32_t magic;   /* Multiboot: what %eax holds */
	uint64_t cmdline; /* and its size with the NUL; RISC-V: in the tree */
	uint64_t cmdline_size;
	uint64_t initrd, initrd_size; /* concatenated; 0: none */
	uint64_t kernel_start, kernel_end;
};

/* As --boot takes it: "pvh", "linux", "hvt", ... */
const char *boot_protocol_name(enum boot_protocol protocol);

/* The longest command line this image's protocol takes, without the NUL. */
size_t boot_cmdline_max(const struct boot_source *source);

/*
 * Puts all of it into `memory`. Low guest memory is used as boot/layout.h says. Logs and
 * returns -EINVAL for what lies, -E2BIG for what does not fit, -ENOMEM for too little
 * RAM, each with the remedy ("--mem at least 64M").
 */
int boot_load(const struct boot_source *source, struct memory *memory,
        const struct boot_machine_info *machine, struct boot_image *image);
