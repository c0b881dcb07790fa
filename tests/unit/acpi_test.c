/* The tables are parsed back here by hand, and by iasl where it is installed. */
#include "tests/unit/unit.h"

#include "boot/layout.h"
#include "vmm/memory.h"
#include "x86/acpi.h"
#include "x86/aml.h"
#include "x86/layout.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MEMORY_SIZE = 2 << 20, VIRTIO_MAX = 32, HEADER = 36 };

static struct acpi_virtio virtio[VIRTIO_MAX];

static struct acpi_machine machine(unsigned cpus, unsigned virtio_count)
{
	for (unsigned i = 0; i < VIRTIO_MAX; i++)
		virtio[i] = (struct acpi_virtio){
		        .base = LAYOUT_VIRTIO + (uint64_t)i * LAYOUT_VIRTIO_STRIDE,
		        .size = LAYOUT_VIRTIO_STRIDE,
		        .gsi = GSI_VIRTIO + i,
		};
	return (struct acpi_machine){
	        .cpus = cpus,
	        .virtio = virtio,
	        .virtio_count = virtio_count,
	        .serial = true,
	        .legacy = true,
	};
}

static uint64_t load(const uint8_t *data, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, data, size);
	return value;
}

static uint8_t sum(const uint8_t *data, size_t size)
{
	uint8_t total = 0;

	while (size--)
		total += *data++;
	return total;
}

/* The table at `guest`, after its signature, length and checksum were found right. */
static const uint8_t *table_at(
        const struct memory *memory, uint64_t guest, const char *signature)
{
	const uint8_t *table = memory_at(memory, guest, HEADER);
	size_t size;

	CU_ASSERT_FATAL(table != NULL);
	CU_ASSERT_EQUAL(memcmp(table, signature, 4), 0);
	size = load(table + 4, 4);
	CU_ASSERT_FATAL(size >= HEADER && guest + size <= LAYOUT_ACPI_END);
	CU_ASSERT_EQUAL(sum(table, size), 0);
	return table;
}

struct tables {
	const uint8_t *xsdt, *fadt, *madt, *dsdt;
	const uint8_t *mcfg; /* NULL: there is none */
};

static struct tables parse(const struct memory *memory, uint64_t guest)
{
	const uint8_t *rsdp = memory_at(memory, guest, 36);
	struct tables tables;

	CU_ASSERT_EQUAL_FATAL(guest, LAYOUT_ACPI);
	CU_ASSERT_EQUAL(memcmp(rsdp, "RSD PTR ", 8), 0);
	CU_ASSERT_EQUAL(sum(rsdp, 20), 0);
	CU_ASSERT_EQUAL(sum(rsdp, 36), 0);
	CU_ASSERT_EQUAL(rsdp[15], 2);
	tables.xsdt = table_at(memory, load(rsdp + 24, 8), "XSDT");
	size_t count = (load(tables.xsdt + 4, 4) - HEADER) / 8;
	CU_ASSERT_FATAL(count == 2 || count == 3);
	tables.mcfg = NULL;
	if (count == 3)
		tables.mcfg =
		        table_at(memory, load(tables.xsdt + HEADER + 16, 8), "MCFG");
	tables.fadt = table_at(memory, load(tables.xsdt + HEADER, 8), "FACP");
	tables.madt = table_at(memory, load(tables.xsdt + HEADER + 8, 8), "APIC");
	CU_ASSERT_EQUAL(load(tables.fadt + 40, 4), load(tables.fadt + 140, 8));
	tables.dsdt = table_at(memory, load(tables.fadt + 140, 8), "DSDT");
	return tables;
}

/* Writes one machine's tables; the caller destroys the memory. */
static struct tables build(struct memory *memory, const struct acpi_machine *machine)
{
	uint64_t rsdp = 0;

	CU_ASSERT_EQUAL_FATAL(memory_create(memory, MEMORY_SIZE, 0, LAYOUT_RAM_HOLE,
	                              LAYOUT_RAM_HOLE_END),
	        0);
	CU_ASSERT_EQUAL_FATAL(acpi_write(memory, machine, &rsdp), 0);
	return parse(memory, rsdp);
}

static bool contains(const uint8_t *table, const char *text)
{
	return memmem(table, load(table + 4, 4), text, strlen(text)) != NULL;
}

static void madt_has_each_cpu_once(void)
{
	static const unsigned counts[] = {1, 2, 255, 256, 300};

	for (unsigned c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		struct acpi_machine asked = machine(counts[c], 0);
		struct memory memory;
		struct tables tables = build(&memory, &asked);
		size_t size = load(tables.madt + 4, 4);
		unsigned next = 0, ioapics = 0;

		CU_ASSERT_EQUAL(load(tables.madt + 36, 4), LAYOUT_LAPIC);
		for (size_t at = 44; at < size; at += tables.madt[at + 1]) {
			const uint8_t *entry = tables.madt + at;

			switch (entry[0]) {
			case 0:
				CU_ASSERT_TRUE(next < 255);
				CU_ASSERT_EQUAL(entry[2], next);
				CU_ASSERT_EQUAL(entry[3], next++);
				break;
			case 1:
				CU_ASSERT_EQUAL(load(entry + 4, 4), LAYOUT_IOAPIC);
				ioapics++;
				break;
			case 9:
				CU_ASSERT_TRUE(next >= 255);
				CU_ASSERT_EQUAL(load(entry + 4, 4), next);
				CU_ASSERT_EQUAL(load(entry + 12, 4), next++);
				break;
			default:
				CU_FAIL("an entry of unknown type");
			}
			CU_ASSERT_FATAL(entry[1] != 0);
		}
		CU_ASSERT_EQUAL(next, counts[c]);
		CU_ASSERT_EQUAL(ioapics, 1);
		memory_destroy(&memory);
	}
}

static void fadt_tells_what_is_there(void)
{
	struct acpi_machine asked = machine(1, 0);
	struct memory memory;
	struct tables tables = build(&memory, &asked);

	CU_ASSERT_EQUAL(load(tables.fadt + 4, 4), 276);
	CU_ASSERT_EQUAL(load(tables.fadt + 109, 2), 1 | 1 << 2); /* no 8042, no VGA */
	CU_ASSERT_TRUE(load(tables.fadt + 112, 4) & 1 << 20);    /* reduced hardware */
	CU_ASSERT_TRUE(load(tables.fadt + 112, 4) & 1 << 10);    /* reset register */
	CU_ASSERT_EQUAL(load(tables.fadt + 120, 8), PORT_I8042_COMMAND);
	CU_ASSERT_EQUAL(tables.fadt[128], 0xfe);
	CU_ASSERT_EQUAL(load(tables.fadt + 248, 8), PORT_POWER);
	CU_ASSERT_EQUAL(load(tables.fadt + 260, 8), PORT_POWER + 1);
	memory_destroy(&memory);

	asked.legacy = asked.serial = false;
	tables = build(&memory, &asked);
	CU_ASSERT_EQUAL(load(tables.fadt + 109, 2), 1 << 2 | 1 << 5);
	CU_ASSERT_FALSE(load(tables.fadt + 112, 4) & 1 << 10);
	memory_destroy(&memory);
}

static void reset_vector_pulls_the_reset_line(void)
{
	static const uint8_t code[] = {0xb0, 0xfe, 0xe6, 0x64, 0xf4};
	struct acpi_machine asked = machine(1, 0);
	struct memory memory;

	build(&memory, &asked);
	CU_ASSERT_EQUAL(memcmp(memory_at(&memory, 0xffff0, 5), code, sizeof(code)), 0);
	memory_destroy(&memory);

	asked.legacy = false;
	build(&memory, &asked);
	CU_ASSERT_EQUAL(load(memory_at(&memory, 0xffff0, 8), 8), 0);
	memory_destroy(&memory);
}

static void dsdt_has_only_what_is_asked_for(void)
{
	struct acpi_machine asked = machine(1, 2);
	struct memory memory;
	struct tables tables = build(&memory, &asked);

	CU_ASSERT_TRUE(contains(tables.dsdt, "COM1"));
	CU_ASSERT_TRUE(contains(tables.dsdt, "RTC_"));
	CU_ASSERT_TRUE(contains(tables.dsdt, "V001"));
	CU_ASSERT_FALSE(contains(tables.dsdt, "V002"));
	memory_destroy(&memory);

	asked = (struct acpi_machine){.cpus = 1};
	tables = build(&memory, &asked);
	CU_ASSERT_FALSE(contains(tables.dsdt, "COM1"));
	CU_ASSERT_FALSE(contains(tables.dsdt, "RTC_"));
	CU_ASSERT_FALSE(contains(tables.dsdt, "LNRO0005"));
	CU_ASSERT_TRUE(contains(tables.dsdt, "QEMU0001"));
	CU_ASSERT_TRUE(contains(tables.dsdt, "ACPI0013"));
	memory_destroy(&memory);
}

static struct acpi_machine pci_machine(unsigned virtio_count)
{
	struct acpi_machine asked = machine(1, virtio_count);

	for (unsigned i = 0; i < VIRTIO_MAX; i++)
		virtio[i].slot = 1 + i;
	asked.pci = true;
	return asked;
}

/* PCI Firmware 3.2, 4.1.2. */
static void pci_is_told_only_where_it_is(void)
{
	static const uint8_t window[] = {0x87, 23, 0}; /* double words, memory */
	struct acpi_machine asked = pci_machine(2);
	struct memory memory;
	struct tables tables = build(&memory, &asked);

	CU_ASSERT_FATAL(tables.mcfg != NULL);
	CU_ASSERT_EQUAL(load(tables.mcfg + 4, 4), HEADER + 8 + 16);
	CU_ASSERT_EQUAL(load(tables.mcfg + HEADER + 8, 8), LAYOUT_PCI_ECAM);
	CU_ASSERT_EQUAL(load(tables.mcfg + HEADER + 16, 4), 0); /* segment, buses */
	CU_ASSERT_TRUE(contains(tables.dsdt, "PCI0"));
	CU_ASSERT_FALSE(contains(tables.dsdt, "LNRO0005"));
	const uint8_t *found =
	        memmem(tables.dsdt, load(tables.dsdt + 4, 4), window, sizeof(window));
	CU_ASSERT_FATAL(found != NULL);
	CU_ASSERT_EQUAL(load(found + 10, 4), LAYOUT_PCI_MEMORY);
	CU_ASSERT_EQUAL(load(found + 22, 4), LAYOUT_PCI_MEMORY_SIZE);
	/* _PRT: device 2 and its line. */
	CU_ASSERT_TRUE(memmem(tables.dsdt, load(tables.dsdt + 4, 4),
	                       "\x0c\xff\xff\x02\x00\x00\x00\x0a\x11", 9) != NULL);
	memory_destroy(&memory);

	asked = machine(1, 2);
	tables = build(&memory, &asked);
	CU_ASSERT_PTR_NULL(tables.mcfg);
	CU_ASSERT_FALSE(contains(tables.dsdt, "PCI0"));
	CU_ASSERT_FALSE(contains(tables.dsdt, "ECAM"));
	memory_destroy(&memory);
}

static void what_does_not_fit_is_refused(void)
{
	struct acpi_machine asked = machine(4096, 0);
	struct memory memory;
	uint64_t rsdp = 42;

	memory_create(&memory, MEMORY_SIZE, 0, LAYOUT_RAM_HOLE, LAYOUT_RAM_HOLE_END);
	CU_ASSERT_EQUAL(acpi_write(&memory, &asked, &rsdp), -ENOSPC);
	asked.cpus = 0;
	CU_ASSERT_EQUAL(acpi_write(&memory, &asked, &rsdp), -EINVAL);
	asked = machine(1, 1);
	virtio[0].base = 1ull << 32;
	CU_ASSERT_EQUAL(acpi_write(&memory, &asked, &rsdp), -EINVAL);
	memory_destroy(&memory);

	asked = machine(1, 0);
	memory_create(&memory, LAYOUT_ACPI, 0, LAYOUT_RAM_HOLE, LAYOUT_RAM_HOLE_END);
	CU_ASSERT_EQUAL(acpi_write(&memory, &asked, &rsdp), -ENOMEM);
	CU_ASSERT_EQUAL(rsdp, 42);
	memory_destroy(&memory);
}

/* Every size too small for one device, from 0 on: nothing is written past the end. */
static void full_buffer_stays_within_bounds(void)
{
	for (size_t size = 0;; size++) {
		uint8_t *data = malloc(size + 1);
		struct aml aml = {.data = data, .size = size};
		size_t device, resources;

		CU_ASSERT_FATAL(data != NULL);
		data[size] = 0xa5;
		device = aml_device(&aml, "DEV0");
		aml_name(&aml, "_UID");
		aml_integer(&aml, 0x123456789);
		resources = aml_resources(&aml);
		aml_resource_irq(&aml, 5);
		aml_close_resources(&aml, resources);
		aml_close(&aml, device);
		CU_ASSERT_EQUAL(data[size], 0xa5);
		CU_ASSERT_TRUE(aml.used <= size);
		free(data);
		if (!aml.full) {
			CU_ASSERT_EQUAL(size, aml.used);
			break;
		}
	}
}

static void integers_take_the_shortest_form(void)
{
	static const struct {
		uint64_t value;
		size_t size;
	} cases[] = {{0, 1}, {1, 1}, {2, 2}, {0xff, 2}, {0x100, 3}, {0xffff, 3},
	        {0x10000, 5}, {UINT32_MAX, 5}, {1ull << 32, 9}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t data[16];
		struct aml aml = {.data = data, .size = sizeof(data)};

		aml_integer(&aml, cases[i].value);
		CU_ASSERT_EQUAL(aml.used, cases[i].size);
	}
}

static void write_file(const char *folder, const char *name, const uint8_t *table)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.dat", folder, name);
	file = fopen(path, "wb");
	CU_ASSERT_FATAL(file != NULL);
	CU_ASSERT_EQUAL(fwrite(table, load(table + 4, 4), 1, file), 1);
	CU_ASSERT_EQUAL(fclose(file), 0);
}

/* Disassembles each table and compiles what came out; both without an error or warning. */
static void iasl_round_trip(struct acpi_machine asked)
{
	char folder[] = "/tmp/acpi_test.XXXXXX", command[1024];
	struct memory memory;
	struct tables tables = build(&memory, &asked);

	CU_ASSERT_FATAL(mkdtemp(folder) != NULL);
	write_file(folder, "xsdt", tables.xsdt);
	write_file(folder, "fadt", tables.fadt);
	write_file(folder, "madt", tables.madt);
	write_file(folder, "dsdt", tables.dsdt);
	if (tables.mcfg)
		write_file(folder, "mcfg", tables.mcfg);
	snprintf(command, sizeof(command),
	        "cd %s && { for t in *.dat; do t=${t%%.dat};"
	        "   iasl -d $t.dat && ! grep -iE 'error|warning|invalid' $t.dsl &&"
	        "   iasl -we -p $t $t.dsl || exit 1;"
	        " done; } >log 2>&1 || { cat log; "
	        "exit 1; }",
	        folder);
	CU_ASSERT_EQUAL(system(command), 0);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
	memory_destroy(&memory);
}

static void iasl_reads_the_tables_back(void)
{
	if (system("command -v iasl >/dev/null") != 0) {
		printf("skip acpi: no iasl (package acpica-tools)\n");
		return;
	}
	iasl_round_trip(machine(1, 0));
	iasl_round_trip(machine(2, 1));
	iasl_round_trip(machine(300, 32));
	iasl_round_trip(pci_machine(0));
	iasl_round_trip(pci_machine(31));
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(madt_has_each_cpu_once),
	        UNIT(fadt_tells_what_is_there),
	        UNIT(reset_vector_pulls_the_reset_line),
	        UNIT(dsdt_has_only_what_is_asked_for),
	        UNIT(pci_is_told_only_where_it_is),
	        UNIT(what_does_not_fit_is_refused),
	        UNIT(full_buffer_stays_within_bounds),
	        UNIT(integers_take_the_shortest_form),
	        UNIT(iasl_reads_the_tables_back),
	        {0},
	};
	return unit_run("acpi", tests);
}
