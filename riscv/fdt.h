/*
 * The flattened device tree (Devicetree Specification 0.4, chapter 5) that tells a guest of
 * its machine. Bindings: Linux's Documentation/devicetree/bindings.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fdt_range {
	uint64_t guest, size;
};

struct fdt_virtio {
	struct fdt_range registers;
	unsigned irq;
	unsigned slot; /* on the PCI bus; 0: it is in memory */
};

enum { FDT_PCI_SLOTS = 32 };

enum fdt_interrupts { FDT_INTERRUPTS_NONE, FDT_INTERRUPTS_PLIC, FDT_INTERRUPTS_AIA };

struct fdt_machine {
	struct fdt_range memory;
	struct fdt_range initrd; /* of size 0: none */
	const char *cmdline;
	const char *serial_number; /* or NULL */
	const void *seed;          /* for the guest's random numbers; NULL: none */
	size_t seed_size;

	unsigned harts;
	uint64_t timebase_hz;
	const char *isa;      /* riscv,isa */
	const char *isa_list; /* riscv,isa-extensions: strings, each with its NUL */
	size_t isa_list_size;
	const char *mmu;               /* mmu-type */
	uint64_t cbom_size, cboz_size; /* 0: none */

	enum fdt_interrupts interrupts;
	unsigned sources;            /* of the APLIC or PLIC */
	struct fdt_range controller; /* its registers */
	struct fdt_range imsic;      /* AIA: one page for each hart */
	unsigned ids;                /* AIA: of an IMSIC */

	struct fdt_range serial; /* of size 0: none */
	unsigned serial_irq;
	struct fdt_range pvpanic;
	struct fdt_range rtc; /* of size 0: none */
	unsigned rtc_irq;
	struct fdt_range pci_ecam; /* of size 0: no PCI */
	struct fdt_range pci_memory, pci_ports;
	const struct fdt_virtio *virtio;
	unsigned virtio_count;
};

/* No tree of such a machine is larger. */
size_t fdt_size_max(unsigned harts, unsigned virtio_count, size_t cmdline_size);

/* Into `size` bytes at `tree`; -ENOSPC (logged) if they do not suffice. */
int fdt_write(const struct fdt_machine *machine, void *tree, size_t size);
