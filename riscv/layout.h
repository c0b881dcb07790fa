/*
 * What lies where on the RISC-V machine: guest-physical addresses and interrupt sources.
 * Where RAM starts and kernels go stands in boot/layout.h. guests/mayfly.h has what a
 * unikernel may rely on.
 */
#pragma once

enum {
	LAYOUT_EXIT = 0x00100000, /* 4 bytes, where QEMU's virt has its test finisher */
	LAYOUT_MARK = 0x00100008,
	LAYOUT_PVPANIC = 0x00101000,
	LAYOUT_RTC = 0x00101100,
	LAYOUT_PCI_PORTS = 0x03000000, /* PCI's ports, which the CPU has none of */
	LAYOUT_PCI_PORTS_SIZE = 0x10000,
	LAYOUT_PLIC = 0x0c000000,
	LAYOUT_APLIC = 0x0d000000,
	LAYOUT_COM1 = 0x10000000,   /* 8 bytes */
	LAYOUT_VIRTIO = 0x10001000, /* one virtio-mmio device after the other */
	LAYOUT_VIRTIO_STRIDE = 0x1000,
	LAYOUT_IMSIC = 0x28000000, /* a page for each hart */
	LAYOUT_PCI_ECAM = 0x30000000,
	LAYOUT_PCI_MEMORY = 0x40000000, /* BARs; the guest may move them within */
	LAYOUT_PCI_MEMORY_SIZE = 0x10000000,
};

/* BARs in PCI's ports, as they are at first. */
enum { PORT_PCI_BARS = 0x1000, PORT_PCI_BARS_SIZE = 0xf000 };

/* Interrupt sources of the APLIC or PLIC, which number theirs from 1; also KVM's GSIs. */
enum {
	IRQ_COM1 = 1,
	IRQ_RTC = 2,
	IRQ_VIRTIO = 3, /* and one more for each further virtio-mmio device */
	IRQ_SOURCES = 63,
};
