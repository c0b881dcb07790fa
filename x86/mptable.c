/* Chapter 4 of the specification: a pointer that is looked for, and what it points to. */
#include "x86/mptable.h"

#include <assert.h>
#include <errno.h>

#include "boot/layout.h"
#include "vmm/log.h"
#include "vmm/memory.h"
#include "x86/acpi.h"
#include "x86/aml.h"
#include "x86/layout.h"

enum {
	MP_REVISION = 4, /* 1.4 */
	MP_CPUS = 255,   /* 255 itself is the broadcast of 8-bit APIC ids */
	ALL_CPUS = 0xff,
	IOAPIC_ID = 0, /* as the MADT has it */
	APIC_VERSION = 0x14,
	IOAPIC_VERSION = 0x11,
};

/* 4.3: the types of the entries, and their flags. */
enum {
	ENTRY_PROCESSOR,
	ENTRY_BUS,
	ENTRY_IOAPIC,
	ENTRY_INTERRUPT,
	ENTRY_LOCAL_INTERRUPT
};
enum { PROCESSOR_ENABLED = 1, PROCESSOR_BOOTS = 2, PROCESSOR_HAS_APIC = 1 << 9 };
enum { IOAPIC_ENABLED = 1 };
enum { INTERRUPT_VECTORED = 0, INTERRUPT_NMI = 1, INTERRUPT_PIC = 3 };
enum { AS_THE_BUS_HAS_IT = 0, LEVEL_ACTIVE_LOW = 0xf };

/* PCI interrupts are found by the number of the bus, so that ISA has another. */
enum { BUS_PCI, BUS_ISA };

struct mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t paragraphs, revision, checksum, features[5];
} __attribute__((packed));

struct mp_header {
	char signature[4];
	uint16_t size;
	uint8_t revision, checksum;
	char oem_id[8], product_id[12];
	uint32_t oem_table;
	uint16_t oem_table_size, entries;
	uint32_t lapic;
	uint16_t extended_size;
	uint8_t extended_checksum, reserved;
} __attribute__((packed));

struct mp_processor {
	uint8_t type, id, version, flags;
	uint32_t signature, features, reserved[2];
} __attribute__((packed));

struct mp_bus {
	uint8_t type, id;
	char name[6];
} __attribute__((packed));

struct mp_ioapic {
	uint8_t type, id, version, flags;
	uint32_t address;
} __attribute__((packed));

struct mp_interrupt {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, line, apic, pin;
} __attribute__((packed));

static_assert(sizeof(struct mp_pointer) == 16, "figure 4-2");
static_assert(sizeof(struct mp_header) == 44, "figure 4-3");
static_assert(sizeof(struct mp_processor) == 20, "figure 4-4");

/* All tables that there can be: each CPU, each pin, and a few more. */
static_assert(sizeof(struct mp_pointer) + sizeof(struct mp_header) +
                              MP_CPUS * sizeof(struct mp_processor) +
                              (GSI_COUNT + 8) * sizeof(struct mp_interrupt) <=
                      LAYOUT_SMBIOS - LAYOUT_MP,
        "the tables have their place");

struct table {
	struct aml bytes;
	unsigned entries;
};

static void add(struct table *table, const void *entry, size_t size)
{
	aml_bytes(&table->bytes, entry, size);
	table->entries++;
}

static void add_processors(struct table *table, unsigned cpus)
{
	for (unsigned i = 0; i < cpus && i < MP_CPUS; i++) {
		struct mp_processor processor = {
		        .type = ENTRY_PROCESSOR,
		        .id = i,
		        .version = APIC_VERSION,
		        .flags = PROCESSOR_ENABLED | (i ? 0 : PROCESSOR_BOOTS),
		        .features = PROCESSOR_HAS_APIC,
		};

		add(table, &processor, sizeof(processor));
	}
}

static void add_buses(struct table *table, bool pci)
{
	const struct mp_bus buses[] = {
	        {ENTRY_BUS, BUS_PCI, {'P', 'C', 'I', ' ', ' ', ' '}},
	        {ENTRY_BUS, BUS_ISA, {'I', 'S', 'A', ' ', ' ', ' '}},
	};

	if (pci)
		add(table, &buses[BUS_PCI], sizeof(buses[BUS_PCI]));
	add(table, &buses[BUS_ISA], sizeof(buses[BUS_ISA]));
}

/* The device whose INTA# is wired to this pin; 0: there is none. */
static unsigned slot_of(const struct acpi_machine *machine, unsigned pin)
{
	for (unsigned i = 0; i < machine->virtio_count; i++)
		if (machine->virtio[i].slot && machine->virtio[i].gsi == pin)
			return machine->virtio[i].slot;
	return 0;
}

/* What is not PCI's is ISA's, of which Linux takes the number of the line for the IRQ's. */
static void add_interrupts(
        struct table *table, const struct acpi_machine *machine, unsigned pins)
{
	for (unsigned pin = 0; pin < pins; pin++) {
		unsigned slot = slot_of(machine, pin);
		struct mp_interrupt interrupt = {
		        .type = ENTRY_INTERRUPT,
		        .kind = INTERRUPT_VECTORED,
		        .flags = slot ? LEVEL_ACTIVE_LOW : AS_THE_BUS_HAS_IT,
		        .bus = slot ? BUS_PCI : BUS_ISA,
		        .line = slot ? slot << 2 : pin, /* D.3: INTA# of this device */
		        .apic = IOAPIC_ID,
		        .pin = pin,
		};

		add(table, &interrupt, sizeof(interrupt));
	}
}

static void add_local_interrupts(struct table *table, bool pic)
{
	const struct mp_interrupt from_pic = {ENTRY_LOCAL_INTERRUPT, INTERRUPT_PIC,
	        AS_THE_BUS_HAS_IT, BUS_ISA, 0, ALL_CPUS, 0};
	const struct mp_interrupt nmi = {ENTRY_LOCAL_INTERRUPT, INTERRUPT_NMI,
	        AS_THE_BUS_HAS_IT, BUS_ISA, 0, ALL_CPUS, 1};

	if (pic)
		add(table, &from_pic, sizeof(from_pic));
	add(table, &nmi, sizeof(nmi));
}

static void write_pointer(struct mp_pointer *pointer)
{
	*pointer = (struct mp_pointer){
	        .signature = {'_', 'M', 'P', '_'},
	        .table = LAYOUT_MP + sizeof(*pointer),
	        .paragraphs = 1,
	        .revision = MP_REVISION,
	};
	pointer->checksum = aml_checksum(pointer, sizeof(*pointer));
}

static void write_header(struct mp_header *header, const struct table *table)
{
	*header = (struct mp_header){
	        .signature = {'P', 'C', 'M', 'P'},
	        .size = table->bytes.used,
	        .revision = MP_REVISION,
	        .oem_id = {'M', 'A', 'Y', 'F', 'L', 'Y', ' ', ' '},
	        .product_id = {'M', 'I', 'C', 'R', 'O', 'V', 'M', ' ', ' ', ' ', ' ',
	                ' '},
	        .entries = table->entries,
	        .lapic = LAYOUT_LAPIC,
	};
	header->checksum = aml_checksum(header, header->size);
}

int mptable_write(
        struct memory *memory, const struct acpi_machine *machine, unsigned pins)
{
	const struct mp_ioapic ioapic = {
	        ENTRY_IOAPIC, IOAPIC_ID, IOAPIC_VERSION, IOAPIC_ENABLED, LAYOUT_IOAPIC};
	struct mp_pointer *pointer =
	        memory_at(memory, LAYOUT_MP, LAYOUT_SMBIOS - LAYOUT_MP);
	struct table table = {
	        .bytes = {.size = LAYOUT_SMBIOS - LAYOUT_MP - sizeof(*pointer),
	                .used = sizeof(struct mp_header)},
	};

	if (!pointer)
		return log_error(-ENOMEM, "mptable: no RAM for the tables below 1 MiB");
	table.bytes.data = (uint8_t *)(pointer + 1);
	add_processors(&table, machine->cpus);
	add_buses(&table, machine->pci);
	add(&table, &ioapic, sizeof(ioapic));
	add_interrupts(&table, machine, pins);
	add_local_interrupts(&table, machine->pic);
	write_header((struct mp_header *)table.bytes.data, &table);
	write_pointer(pointer);
	return 0;
}
