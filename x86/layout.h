/*
 * What lies where on the x86 machine: addresses, I/O ports, interrupt lines. What lies in
 * the first MiB before the guest runs is in boot/layout.h.
 */
#pragma once

/* Guest-physical addresses. RAM continues above the hole. */
enum {
	LAYOUT_RESET_VECTOR = 0xffff0, /* where a PC's BIOS is entered; 16 bytes */
	LAYOUT_RAM_HOLE = 0xc0000000,
	/*
	 * One virtio-mmio device after the other, each seen twice: first as the command line
	 * tells of it, then as ACPI does.
	 */
	LAYOUT_VIRTIO = 0xd0000000,
	LAYOUT_VIRTIO_STRIDE = 0x2000,
	LAYOUT_VIRTIO_VIEW = 0x1000,
	LAYOUT_PCI_MEMORY = 0xd8000000, /* BARs; the guest may move them within */
	LAYOUT_PCI_MEMORY_SIZE = 0x8000000,
	LAYOUT_PCI_ECAM = 0xe0000000,
	LAYOUT_PCI_ECAM_SIZE = 0x100000, /* one bus */
	LAYOUT_IOAPIC = 0xfec00000,
	LAYOUT_IOAPIC_SIZE = 0x1000,
	LAYOUT_LAPIC = 0xfee00000,
	LAYOUT_REAL_MODE_TSS = 0xfffbd000, /* three pages that KVM keeps to itself */
	LAYOUT_RAM_HOLE_END = 0x100000000,
};

/* I/O ports. 0x500-0x508 and 0x600 are left to hvt. */
enum {
	PORT_I8042_DATA = 0x60,
	PORT_I8042_COMMAND = 0x64,
	PORT_RTC = 0x70,  /* and 0x71 */
	PORT_EXIT = 0xf4, /* 4 bytes */
	PORT_MARK = 0xf8,
	PORT_TEXT = 0xfc,       /* 4 bytes */
	PORT_COM1 = 0x3f8,      /* 8 bytes */
	PORT_QEMU_EXIT = 0x501, /* where guests made for QEMU expect isa-debug-exit */
	PORT_PVPANIC = 0x505,
	PORT_POWER = 0x520,            /* power.h */
	PORT_QEMU_PM1_CONTROL = 0x604, /* QEMU's, which such guests do not look up */
	PORT_PCI = 0xcf8,              /* 8 bytes */
	PORT_PCI_BARS = 0x1000,
	PORT_PCI_BARS_SIZE = 0xf000,
};

/* Interrupt lines: pins of the one IOAPIC, whose first is GSI 0. */
enum {
	GSI_COM1 = 4,
	GSI_GED = 9,
	GSI_VIRTIO = 16, /* and one more for each further virtio-mmio device */
	GSI_COUNT = 64,
	GSI_COUNT_PC = 24,
};
