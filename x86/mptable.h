/*
 * The tables by which a kernel without ACPI learns of its CPUs and of what interrupts are
 * wired to: Intel's MultiProcessor Specification 1.4. One with ACPI looks no further.
 */
#pragma once

struct acpi_machine;
struct memory;

/*
 * Writes them at LAYOUT_MP (boot/layout.h) while no vCPU runs, for an IOAPIC of `pins`. Of
 * more CPUs than its 8-bit ids name, the first are told. -ENOMEM (logged): no RAM there.
 */
int mptable_write(
        struct memory *memory, const struct acpi_machine *machine, unsigned pins);
