/*
 * Linux's zero page on x86 (struct boot_params), as far as Mayfly knows it.
 *
 * Field names and offsets: Linux's Documentation/arch/x86/boot.rst ("The Real-Mode Kernel
 * Header") and zero-page.rst. A bzImage has its setup header at the same offset, 0x1f1,
 * as the zero page, so one struct serves the probe and the boot. It is written down here
 * because <asm/bootparam.h> exists for x86 only, and every Mayfly names a foreign kernel;
 * tests/unit/boot_bzimage_test.c compares the two.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

enum {
	LINUX_HEADER = 0x1f1,     /* the setup header, */
	LINUX_HEADER_END = 0x290, /* at its longest */
	LINUX_E820_MAX = 128,
	LINUX_BOOT_FLAG = 0xaa55,
	LINUX_MAGIC = 0x53726448,        /* "HdrS" */
	LINUX_VERSION_MIN = 0x208,       /* Linux 2.6.26; iPXE claims 2.07 */
	LINUX_VERSION_INIT_SIZE = 0x20a, /* the first with it, and pref_address */
	LINUX_VERSION_64 =
	        0x20c, /* the first with xloadflags, so with a 64-bit entry */
	LINUX_LOADED_HIGH = 1 << 0,
	LINUX_KERNEL_64 = 1 << 0,
	LINUX_LOADER_UNKNOWN = 0xff,
	LINUX_ENTRY_64 = 0x200,        /* from the start of the protected-mode kernel */
	LINUX_CMDLINE_MAX = 2047,      /* COMMAND_LINE_SIZE of x86, less the NUL */
	LINUX_INITRD_MAX = 0x7fffffff, /* what every x86-64 kernel's header says */
};

enum { LINUX_E820_RAM = 1, LINUX_E820_RESERVED = 2 };

struct linux_e820 {
	uint64_t address;
	uint64_t size;
	uint32_t type;
} __attribute__((packed));

struct linux_params {
	uint8_t pad_000[0x070];
	uint64_t acpi_rsdp_addr;
	uint8_t pad_078[0x0c0 - 0x078];
	uint32_t ext_ramdisk_image; /* bits 63:32 of ramdisk_image */
	uint32_t ext_ramdisk_size;
	uint8_t pad_0c8[0x1e8 - 0x0c8];
	uint8_t e820_entries;
	uint8_t pad_1e9[LINUX_HEADER - 0x1e9];
	uint8_t setup_sects; /* 512 bytes each, without the first; 0 is 4 */
	uint8_t pad_1f2[0x1f4 - 0x1f2];
	uint32_t syssize; /* protected-mode kernel, in 16 bytes */
	uint8_t pad_1f8[0x1fe - 0x1f8];
	uint16_t boot_flag;
	uint8_t jump[2]; /* its displacement ends the header: 0x202 + jump[1] */
	uint32_t header;
	uint16_t version;
	uint8_t pad_208[0x20e - 0x208];
	uint16_t kernel_version; /* a string at 0x200 + this; 0: none */
	uint8_t type_of_loader;
	uint8_t loadflags;
	uint8_t pad_212[0x218 - 0x212];
	uint32_t ramdisk_image;
	uint32_t ramdisk_size;
	uint8_t pad_220[0x228 - 0x220];
	uint32_t cmd_line_ptr;
	uint32_t initrd_addr_max; /* last byte that an initrd may take */
	uint32_t kernel_alignment;
	uint8_t relocatable_kernel;
	uint8_t min_alignment;
	uint16_t xloadflags;
	uint32_t cmdline_size; /* without the NUL */
	uint8_t pad_23c[0x248 - 0x23c];
	uint32_t payload_offset; /* from the protected-mode kernel on */
	uint32_t payload_length;
	uint8_t pad_250[0x258 - 0x250];
	uint64_t pref_address;
	uint32_t init_size;
	uint8_t pad_264[0x2d0 - 0x264];
	struct linux_e820 e820_table[LINUX_E820_MAX];
	uint8_t pad_cd0[0x1000 - 0xcd0];
} __attribute__((packed));

static_assert(sizeof(struct linux_params) == 4096, "the zero page is one page");
