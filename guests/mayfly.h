/*
 * What a guest may rely on when Mayfly runs it: the whole platform, in the order in
 * which a unikernel meets it. Good for C and for assembler; needs nothing but stdint.h,
 * so it can be copied into another project. README.md says the same in prose.
 */
#pragma once

/*
 * ELF notes.
 *
 * Type 18 of name "Xen" holds the 32-bit entry point (Xen public/elfnote.h). Entry is
 * in 32-bit protected mode with flat segments, paging and interrupts off, and EBX
 * pointing to struct hvm_start_info (Xen docs/misc/pvh.pandoc). Mayfly also clears EAX,
 * so that the very first instruction may be "out %al, $MAYFLY_TIMER_PORT".
 */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

/*
 * Type 1 of name "Mayfly" holds 32 bits that say what this guest needs; the monitor
 * builds nothing else, and so starts sooner. Without the note everything is built.
 * Serial output, the ports below, pvpanic and the devices that the user asked for are
 * always there.
 */
#define MAYFLY_NOTE_NEEDS 1

#define MAYFLY_NEEDS_NOTHING 0
#define MAYFLY_NEEDS_IRQCHIP 1  /* interrupt controllers; without: no interrupts */
#define MAYFLY_NEEDS_ACPI    2  /* tables; without: rsdp_paddr is 0 */
#define MAYFLY_NEEDS_INPUT   4  /* the monitor reads the console's input */
#define MAYFLY_NEEDS_LEGACY  8  /* a clock (RTC); x86: and an i8042 */
#define MAYFLY_NEEDS_CPUID   16 /* CPUID; without, or IRQCHIP: all 0, no long mode */
#define MAYFLY_NEEDS_PC      32 /* PIC, PIT, port 0x61; brings IRQCHIP */
#define MAYFLY_NEEDS_ADDRESS 64 /* ip= on the command line, with --net user */

/* An OUT of 8, 16 or 32 bits ends the VM; the low 8 bits are Mayfly's exit status. */
#define MAYFLY_EXIT_PORT 0xf4

/* An 8-bit OUT sets a mark in the timeline: one of these, or 3..255 as you like. */
#define MAYFLY_TIMER_PORT 0xf8

#define MAYFLY_MARK_KERNEL      0 /* first instruction */
#define MAYFLY_MARK_INIT        1 /* init, or whatever comes before the application */
#define MAYFLY_MARK_APPLICATION 2 /* ready to do what it is for */

/*
 * An OUT of 32 bits prints a text: it is the address of struct mayfly_text. One exit a text,
 * where COM1 takes one a byte. It is there if EDX was MAYFLY_TEXT_SIGN at the entry.
 */
#define MAYFLY_TEXT_PORT 0xfc
#define MAYFLY_TEXT_SIGN 0x4d4600fc

/* A 16550A on interrupt 4. The transmitter is always ready: no need to poll LSR. */
#define MAYFLY_COM1_PORT 0x3f8
#define MAYFLY_COM1_IRQ  4

/* OUT of bit 0: the guest has panicked (QEMU docs/specs/pvpanic). */
#define MAYFLY_PVPANIC_PORT     0x505
#define MAYFLY_PVPANIC_PANICKED 1

/* OUT of this command to the keyboard controller resets the machine (needs LEGACY). */
#define MAYFLY_I8042_PORT  0x64
#define MAYFLY_I8042_RESET 0xfe

/*
 * RAM starts at 0 and leaves out 0xc0000000 to 4 GiB; the memory map has the truth.
 * Devices are virtio-mmio, version 2, one "virtio_mmio.device=4K@0xd0000000:16" each on
 * the command line (size@base:irq). irq is the I/O APIC pin: edge, active high.
 */
#define MAYFLY_HOLE_START 0xc0000000
#define MAYFLY_IOAPIC     0xfec00000
#define MAYFLY_LAPIC      0xfee00000

/*
 * RISC-V: an ELF64 linked to RAM, which starts at 0x80000000, is entered as Linux's
 * Documentation/arch/riscv/boot.rst has it: supervisor mode, satp 0, a0 the hart, a1 the
 * device tree, which has the memory, the command line and the devices. A store of 8, 16 or
 * 32 bits to the first address ends the VM, one of a byte behind it sets a mark. The 16550A
 * is there without an interrupt, too.
 */
#define MAYFLY_EXIT_ADDRESS 0x100000
#define MAYFLY_MARK_OFFSET  8
#define MAYFLY_COM1_ADDRESS 0x10000000
/* A byte of MAYFLY_PVPANIC_PANICKED, likewise. */
#define MAYFLY_PVPANIC_ADDRESS 0x101000

#ifdef __ASSEMBLER__

/* clang-format off */
#define MAYFLY_NEEDS(bits) \
	.pushsection .note.Mayfly, "a", %note; \
	.balign 4; \
	.long 7, 4, MAYFLY_NOTE_NEEDS; \
	.asciz "Mayfly"; \
	.balign 4; \
	.long bits; \
	.popsection
/* clang-format on */

#else

#include <stdint.h>

/* Once in a program: MAYFLY_NEEDS(MAYFLY_NEEDS_IRQCHIP | MAYFLY_NEEDS_INPUT); */
#define MAYFLY_NEEDS(bits)                                                     \
	const struct mayfly_note mayfly_note                                   \
	        __attribute__((section(".note.Mayfly"), used, aligned(4))) = { \
	                .name_size = 7,                                        \
	                .desc_size = 4,                                        \
	                .type = MAYFLY_NOTE_NEEDS,                             \
	                .name = "Mayfly",                                      \
	                .needs = (bits),                                       \
	}

struct mayfly_text {
	uint64_t address;
	uint64_t size;
};

struct mayfly_note {
	uint32_t name_size;
	uint32_t desc_size;
	uint32_t type;
	char name[8];
	uint32_t needs;
};
extern const struct mayfly_note mayfly_note;

/* Xen public/arch-x86/hvm/start_info.h, version 1. Every address is physical. */
#define HVM_START_MAGIC 0x336ec578

struct hvm_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules; /* struct hvm_module[module_count] */
	uint64_t command_line;
	uint64_t rsdp; /* 0: no ACPI */
	uint64_t memory_map;
	uint32_t memory_map_count;
	uint32_t reserved;
};

struct hvm_module {
	uint64_t address;
	uint64_t size;
	uint64_t command_line;
	uint64_t reserved;
};

struct hvm_memory {
	uint64_t address;
	uint64_t size;
	uint32_t type; /* ACPI 6.5 table 15.1: 1 is RAM */
	uint32_t reserved;
};

#endif
