/*
 * The tables by which a guest learns what machine it has: hardware-reduced ACPI 6.3, so
 * no fixed power management registers, no PM timer, no SCI.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct memory;

struct acpi_virtio {
	uint64_t base, size; /* of the register window; below 4 GiB */
	unsigned gsi;
	unsigned slot; /* not 0: on the PCI bus, which knows its windows itself */
};

struct acpi_machine {
	unsigned cpus; /* APIC ids are 0 to cpus - 1 */
	const struct acpi_virtio *virtio;
	unsigned virtio_count;
	bool serial; /* COM1 */
	bool legacy; /* RTC without interrupts, and an i8042 that is its reset line only */
	bool pic;    /* there are two 8259s */
	bool pci;    /* the root, with ECAM */
};

/*
 * Writes the tables from LAYOUT_ACPI on (boot/layout.h) while no vCPU runs; they expect
 * the ports of x86/power.h and the addresses of x86/layout.h. *rsdp is the guest address
 * to hand over. Logs and returns -EINVAL for a machine that the tables cannot tell,
 * -ENOSPC when they do not fit, -ENOMEM when that place is not RAM.
 */
int acpi_write(
        struct memory *memory, const struct acpi_machine *machine, uint64_t *rsdp);
