/* What lies where in a guest before it runs: in the first MiB of an x86 guest, */
#pragma once

enum {
	LAYOUT_BIOS_EBDA = 0x40e, /* x86/pc.c: two words of a BIOS's data area */
	LAYOUT_BIOS_MEMORY = 0x413,
	LAYOUT_GDT = 0x500,          /* x86/vcpu.c */
	LAYOUT_PVH_INFO = 0x6000,    /* hvm_start_info, modules, memory map */
	LAYOUT_ZERO_PAGE = 0x7000,   /* struct boot_params, 4 KiB */
	LAYOUT_LOW = 0x7000,         /* up to the command line: free, for Multiboot */
	LAYOUT_STACK = 0x8ff0,       /* initial rsp of the 64-bit entry */
	LAYOUT_PAGE_TABLES = 0x9000, /* PML4, PDPT, then PDs: 6 pages, 4 GiB identity */
	LAYOUT_HVT_INFO =
	        0x10000, /* boot info, then the manifest; x86/hvt.c has the rest */
	LAYOUT_CMDLINE = 0x20000, /* up to BOOT_CMDLINE_MAX */
	LAYOUT_CMDLINE_END = 0x30000,
	LAYOUT_MULTIBOOT_INFO = 0x30000, /* version 2's has the command line in it */
	LAYOUT_MULTIBOOT_END = 0x50000,
	LAYOUT_RAM_LOW_END = 0x9fc00, /* end of usable RAM below 1 MiB */
	LAYOUT_ACPI = 0xe0000,        /* RSDP first; up to LAYOUT_ACPI_END */
	LAYOUT_MP = 0xfe000,          /* x86/mptable.c; these two are */
	LAYOUT_SMBIOS = 0xffe00,      /* x86/smbios.c; where a PC's BIOS has them */
	LAYOUT_SMBIOS_SIZE = 0x1f0,
	LAYOUT_ACPI_END = 0x100000,
	LAYOUT_KERNEL_MIN = 0x100000, /* images are loaded from here on */
};

/* and where a RISC-V guest's RAM begins, and with it what a kernel is loaded into. */
enum {
	LAYOUT_RISCV_RAM = 0x80000000,
	/* Firmware has what is below, where there is any; a kernel wants 2 MiB's bounds. */
	LAYOUT_RISCV_KERNEL = 0x80200000,
};
