/*
 * The tables follow each other in memory: RSDP, DSDT, FADT, MADT, maybe MCFG, XSDT. Each but the
 * first is written after those that it points to, straight into guest memory.
 *
 * Linux on hardware-reduced ACPI has neither PIC nor legacy interrupts 0 to 15, so that
 * COM1 and the RTC have theirs from the DSDT or none. The i8042 is not in the DSDT, and
 * the FADT denies it: ours has no keyboard behind it, and Linux would wait for one. Its
 * reset line is the FADT's reset register, and is used by reboot=k without asking.
 *
 * By default Linux uses neither: on hardware-reduced ACPI it reboots by EFI, and without
 * EFI by the BIOS (reboot_init(), arch/x86/kernel/reboot.c): in real mode it jumps to the
 * reset vector. So there is one, which pulls the reset line.
 */
#include "x86/acpi.h"

#include "boot/layout.h"
#include "vmm/log.h"
#include "vmm/memory.h"
#include "x86/aml.h"
#include "x86/layout.h"
#include "x86/power.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ACPI 6.5, 5.2.3.2: generic address structure. */
struct acpi_address {
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t address;
} __attribute__((packed));

/* 5.2.6 */
struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

/* 5.2.5.3 */
struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

/* 5.2.9; what hardware-reduced ACPI ignores is in arrays of no name of its own. */
struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t fixed[108 - 44];
	uint8_t century;
	uint16_t boot_arch;
	uint8_t reserved;
	uint32_t flags;
	struct acpi_address reset;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_revision;
	uint64_t x_facs;
	uint64_t x_dsdt;
	struct acpi_address fixed_registers[8];
	struct acpi_address sleep_control;
	struct acpi_address sleep_status;
	uint64_t hypervisor;
} __attribute__((packed));

static_assert(sizeof(struct acpi_header) == 36, "ACPI 6.5, table 5.4");
static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 6.5, table 5.3");
static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 6.5, table 5.9");

/* 5.2.9.3: IA-PC boot architecture flags. */
enum {
	BOOT_LEGACY_DEVICES = 1 << 0,
	BOOT_NO_VGA = 1 << 2,
	BOOT_NO_RTC = 1 << 5,
};

/* 5.2.9: fixed feature flags. The buttons' flags say that no fixed register has them. */
enum {
	FADT_WBINVD = 1 << 0,
	FADT_NO_FIXED_POWER_BUTTON = 1 << 4,
	FADT_NO_FIXED_SLEEP_BUTTON = 1 << 5,
	FADT_NO_FIXED_RTC = 1 << 6,
	FADT_RESET_REGISTER = 1 << 10,
	FADT_HEADLESS = 1 << 12,
	FADT_HARDWARE_REDUCED = 1 << 20,
};

/* 5.2.12: the MADT's entries. */
enum {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_X2APIC = 9,
	MADT_ENABLED = 1,
	MADT_PCAT_COMPAT = 1, /* of the table's flags: there is a pair of 8259s */
	MADT_LAPIC_MAX = 254, /* 255 is the broadcast of 8-bit APIC ids */
};

static struct acpi_header header(const char *signature, uint8_t revision)
{
	struct acpi_header header = {
	        .revision = revision,
	        .oem_id = {'M', 'A', 'Y', 'F', 'L', 'Y'},
	        .oem_table_id = {'M', 'I', 'C', 'R', 'O', 'V', 'M', ' '},
	        .oem_revision = 1,
	        .creator_id = {'M', 'Y', 'F', 'L'},
	        .creator_revision = 1,
	};

	memcpy(header.signature, signature, sizeof(header.signature));
	return header;
}

/* Where the next table begins. */
static size_t table_open(struct aml *aml)
{
	static const uint8_t zeroes[16];

	aml_bytes(aml, zeroes, -aml->used % sizeof(zeroes));
	return aml->used;
}

/* Fills in what depends on all of the table; the answer is its guest address. */
static uint64_t table_close(struct aml *aml, size_t table)
{
	uint32_t size = aml->used - table;
	uint8_t *data = aml->data + table;

	if (aml->full)
		return 0;
	memcpy(data + offsetof(struct acpi_header, length), &size, sizeof(size));
	data[offsetof(struct acpi_header, checksum)] = aml_checksum(data, size);
	return LAYOUT_ACPI + table;
}

/* 7.4.2.6: what goes into SLP_TYP for soft off. */
static void write_s5(struct aml *aml)
{
	size_t package;

	aml_name(aml, "_S5_");
	package = aml_package(aml, 4);
	aml_integer(aml, POWER_SLEEP_S5);
	for (unsigned i = 0; i < 3; i++)
		aml_integer(aml, 0);
	aml_close(aml, package);
}

static void write_processors(struct aml *aml, unsigned cpus)
{
	for (unsigned i = 0; i < cpus; i++) {
		char name[5];
		size_t device;

		snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		device = aml_device(aml, name);
		aml_name(aml, "_HID");
		aml_string(aml, "ACPI0007");
		aml_name(aml, "_UID");
		aml_integer(aml, i);
		aml_close(aml, device);
	}
}

/* A device of one range of ports, and an interrupt unless `gsi` is 0. */
static void write_port_device(struct aml *aml, const char *name, const char *eisa_id,
        uint16_t port, uint8_t ports, unsigned gsi)
{
	size_t device = aml_device(aml, name), resources;

	aml_name(aml, "_HID");
	aml_eisa_id(aml, eisa_id);
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	resources = aml_resources(aml);
	aml_resource_port(aml, port, ports);
	if (gsi)
		aml_resource_irq(aml, gsi);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

/* QEMU's docs/specs/pvpanic.rst. */
static void write_pvpanic(struct aml *aml)
{
	size_t device = aml_device(aml, "PEVT"), resources;

	aml_name(aml, "_HID");
	aml_string(aml, "QEMU0001");
	resources = aml_resources(aml);
	aml_resource_port(aml, PORT_PVPANIC, 1);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

/* The button, and the generic event device (5.6.9) that tells of it. */
static void write_power(struct aml *aml)
{
	size_t device, resources, method, condition;

	device = aml_device(aml, "PWRB");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0C0C");
	aml_close(aml, device);

	device = aml_device(aml, "GED_");
	aml_name(aml, "_HID");
	aml_string(aml, "ACPI0013");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	resources = aml_resources(aml);
	aml_resource_irq(aml, GSI_GED);
	aml_close_resources(aml, resources);
	aml_port_register(aml, "EREG", "EVNT", PORT_POWER + POWER_EVENT);
	method = aml_method(aml, "_EVT", 1);
	aml_store_local0(aml, "EVNT");
	condition = aml_if(aml);
	aml_and_local0(aml, POWER_EVENT_BUTTON);
	aml_notify(aml, "PWRB", 0x80); /* 4.8.3.1.2: pressed, while in S0 */
	aml_close(aml, condition);
	aml_close(aml, method);
	aml_close(aml, device);
}

/* _HID as Linux's virtio_mmio driver knows it. */
static void write_virtio(
        struct aml *aml, const struct acpi_virtio *virtio, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		size_t device, resources;
		char name[5];

		if (virtio[i].slot)
			continue;
		snprintf(name, sizeof(name), "V%03X", i & 0xfff);
		device = aml_device(aml, name);
		aml_name(aml, "_HID");
		aml_string(aml, "LNRO0005");
		aml_name(aml, "_UID");
		aml_integer(aml, i);
		aml_name(aml, "_CCA");
		aml_integer(aml, 1);
		resources = aml_resources(aml);
		aml_resource_memory(aml, virtio[i].base, virtio[i].size);
		aml_resource_irq(aml, virtio[i].gsi);
		aml_close_resources(aml, resources);
		aml_close(aml, device);
	}
}

/* 6.2.13: what INTA# of each device is wired to; no link devices. */
static void write_pci_interrupts(
        struct aml *aml, const struct acpi_virtio *virtio, unsigned count)
{
	size_t table, entry;

	aml_name(aml, "_PRT");
	table = aml_package(aml, count);
	for (unsigned i = 0; i < count; i++) {
		entry = aml_package(aml, 4);
		aml_integer(aml, virtio[i].slot << 16 | 0xffff); /* any function */
		aml_integer(aml, 0);                             /* INTA# */
		aml_integer(aml, 0);
		aml_integer(aml, virtio[i].gsi);
		aml_close(aml, entry);
	}
	aml_close(aml, table);
}

/*
 * The root (PCI Firmware 3.2, 4.1 and 4.5): _OSC grants what it is asked for, as none of
 * it exists here. Its ECAM is in MCFG, and is reserved by a device of its own (4.1.2).
 */
static void write_pci(struct aml *aml, const struct acpi_machine *machine)
{
	size_t device = aml_device(aml, "PCI0"), resources, method;

	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0A08");
	aml_name(aml, "_CID");
	aml_eisa_id(aml, "PNP0A03");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_SEG");
	aml_integer(aml, 0);
	aml_name(aml, "_BBN");
	aml_integer(aml, 0);
	aml_name(aml, "_CCA");
	aml_integer(aml, 1);
	resources = aml_resources(aml);
	aml_resource_buses(aml, 0, 1);
	aml_resource_port(aml, PORT_PCI, 8);
	aml_resource_port_window(aml, PORT_PCI_BARS, PORT_PCI_BARS_SIZE);
	aml_resource_memory_window(aml, LAYOUT_PCI_MEMORY, LAYOUT_PCI_MEMORY_SIZE);
	aml_close_resources(aml, resources);
	write_pci_interrupts(aml, machine->virtio, machine->virtio_count);
	method = aml_method(aml, "_OSC", 4);
	aml_return_argument(aml, 3);
	aml_close(aml, method);
	aml_close(aml, device);

	device = aml_device(aml, "ECAM");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0C02");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	resources = aml_resources(aml);
	aml_resource_memory(aml, LAYOUT_PCI_ECAM, LAYOUT_PCI_ECAM_SIZE);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

static uint64_t write_dsdt(struct aml *aml, const struct acpi_machine *machine)
{
	struct acpi_header dsdt = header("DSDT", 2);
	size_t table = table_open(aml), scope;

	aml_bytes(aml, &dsdt, sizeof(dsdt));
	write_s5(aml);
	scope = aml_scope(aml, "\\_SB_");
	write_processors(aml, machine->cpus);
	if (machine->serial)
		write_port_device(aml, "COM1", "PNP0501", PORT_COM1, 8, GSI_COM1);
	if (machine->legacy)
		write_port_device(aml, "RTC_", "PNP0B00", PORT_RTC, 2, 0);
	write_pvpanic(aml);
	write_power(aml);
	write_virtio(aml, machine->virtio, machine->virtio_count);
	if (machine->pci)
		write_pci(aml, machine);
	aml_close(aml, scope);
	return table_close(aml, table);
}

/* A byte-wide I/O port. */
static struct acpi_address port_address(uint16_t port)
{
	return (struct acpi_address){
	        .space = 1, .bit_width = 8, .access_size = 1, .address = port};
}

static uint64_t write_fadt(
        struct aml *aml, const struct acpi_machine *machine, uint64_t dsdt)
{
	struct acpi_fadt fadt = {
	        .header = header("FACP", 6),
	        .dsdt = dsdt,
	        .boot_arch = BOOT_NO_VGA,
	        .flags = FADT_WBINVD | FADT_NO_FIXED_POWER_BUTTON |
	                 FADT_NO_FIXED_SLEEP_BUTTON | FADT_NO_FIXED_RTC |
	                 FADT_HEADLESS | FADT_HARDWARE_REDUCED,
	        .minor_revision = 3,
	        .x_dsdt = dsdt,
	        .sleep_control = port_address(PORT_POWER + POWER_SLEEP_CONTROL),
	        .sleep_status = port_address(PORT_POWER + POWER_SLEEP_STATUS),
	};
	size_t table = table_open(aml);

	memcpy(&fadt.hypervisor, "Mayfly", 6);
	if (machine->serial || machine->legacy)
		fadt.boot_arch |= BOOT_LEGACY_DEVICES;
	if (machine->legacy) {
		fadt.flags |= FADT_RESET_REGISTER;
		fadt.reset = port_address(PORT_I8042_COMMAND);
		fadt.reset_value = 0xfe; /* pulse the reset line */
		fadt.century = 0x32;     /* CMOS register, devices/rtc.c */
	} else {
		fadt.boot_arch |= BOOT_NO_RTC;
	}
	aml_bytes(aml, &fadt, sizeof(fadt));
	return table_close(aml, table);
}

static void write_lapic(struct aml *aml, uint8_t id)
{
	aml_u8(aml, MADT_LAPIC);
	aml_u8(aml, 8);
	aml_u8(aml, id); /* processor _UID */
	aml_u8(aml, id);
	aml_u32(aml, MADT_ENABLED);
}

static void write_x2apic(struct aml *aml, uint32_t id)
{
	aml_u8(aml, MADT_X2APIC);
	aml_u8(aml, 16);
	aml_u16(aml, 0);
	aml_u32(aml, id);
	aml_u32(aml, MADT_ENABLED);
	aml_u32(aml, id); /* processor _UID */
}

static void write_ioapic(struct aml *aml)
{
	aml_u8(aml, MADT_IOAPIC);
	aml_u8(aml, 12);
	aml_u16(aml, 0); /* id 0 */
	aml_u32(aml, LAYOUT_IOAPIC);
	aml_u32(aml, 0); /* its first GSI */
}

static uint64_t write_madt(struct aml *aml, const struct acpi_machine *machine)
{
	struct acpi_header madt = header("APIC", 5);
	size_t table = table_open(aml);

	aml_bytes(aml, &madt, sizeof(madt));
	aml_u32(aml, LAYOUT_LAPIC);
	aml_u32(aml, machine->pic ? MADT_PCAT_COMPAT : 0);
	for (unsigned i = 0; i < machine->cpus; i++) {
		if (i <= MADT_LAPIC_MAX)
			write_lapic(aml, i);
		else
			write_x2apic(aml, i);
	}
	write_ioapic(aml);
	return table_close(aml, table);
}

/* PCI Firmware 3.2, 4.1.2: one segment of one bus. */
static uint64_t write_mcfg(struct aml *aml)
{
	struct acpi_header mcfg = header("MCFG", 1);
	size_t table = table_open(aml);

	aml_bytes(aml, &mcfg, sizeof(mcfg));
	aml_u64(aml, 0);
	aml_u64(aml, LAYOUT_PCI_ECAM);
	aml_u16(aml, 0); /* segment */
	aml_u8(aml, 0);  /* first and last bus */
	aml_u8(aml, 0);
	aml_u32(aml, 0);
	return table_close(aml, table);
}

/* `mcfg` 0: there is none. */
static uint64_t write_xsdt(struct aml *aml, uint64_t fadt, uint64_t madt, uint64_t mcfg)
{
	struct acpi_header xsdt = header("XSDT", 1);
	size_t table = table_open(aml);

	aml_bytes(aml, &xsdt, sizeof(xsdt));
	aml_u64(aml, fadt);
	aml_u64(aml, madt);
	if (mcfg)
		aml_u64(aml, mcfg);
	return table_close(aml, table);
}

static int write_reset_vector(struct memory *memory)
{
	static const uint8_t code[] = {
	        0xb0, 0xfe,               /* mov $0xfe, %al */
	        0xe6, PORT_I8042_COMMAND, /* out %al, $0x64 */
	        0xf4,                     /* hlt */
	        0xeb, 0xfd,               /* jmp to it */
	};

	return memory_write(memory, LAYOUT_RESET_VECTOR, code, sizeof(code));
}

/* The device names C000 and V000 have three hex digits; 32-bit memory resources. */
static bool machine_valid(const struct acpi_machine *machine)
{
	if (machine->cpus == 0 || machine->cpus > 0x1000 ||
	        machine->virtio_count > 0x1000)
		return false;
	for (unsigned i = 0; i < machine->virtio_count; i++) {
		const struct acpi_virtio *virtio = &machine->virtio[i];

		if (virtio->base > UINT32_MAX ||
		        virtio->size > UINT32_MAX - virtio->base)
			return false;
	}
	return true;
}

int acpi_write(
        struct memory *memory, const struct acpi_machine *machine, uint64_t *rsdp)
{
	struct acpi_rsdp root = {
	        .signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
	        .oem_id = {'M', 'A', 'Y', 'F', 'L', 'Y'},
	        .revision = 2,
	        .length = sizeof(root),
	};
	struct aml aml = {.size = LAYOUT_MP - LAYOUT_ACPI, .used = sizeof(root)};
	uint64_t dsdt, fadt, madt, mcfg = 0;

	if (!machine_valid(machine))
		return log_error(-EINVAL, "acpi: no tables for %u CPUs and %u devices",
		        machine->cpus, machine->virtio_count);
	aml.data = memory_at(memory, LAYOUT_ACPI, aml.size);
	if (!aml.data || (machine->legacy && write_reset_vector(memory) < 0))
		return log_error(-ENOMEM, "acpi: no RAM for the tables below 1 MiB");

	dsdt = write_dsdt(&aml, machine);
	fadt = write_fadt(&aml, machine, dsdt);
	madt = write_madt(&aml, machine);
	if (machine->pci)
		mcfg = write_mcfg(&aml);
	root.xsdt = write_xsdt(&aml, fadt, madt, mcfg);
	if (aml.full)
		return log_error(-ENOSPC, "acpi: the tables of %u CPUs do not fit",
		        machine->cpus);

	root.checksum = aml_checksum(&root, 20);
	root.extended_checksum = aml_checksum(&root, sizeof(root));
	memcpy(aml.data, &root, sizeof(root));
	*rsdp = LAYOUT_ACPI;
	return 0;
}
