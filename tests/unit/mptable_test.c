/* The MultiProcessor tables, read as a kernel without ACPI reads them (Intel's MP 1.4, 4). */
#include "x86/mptable.h"

#include <errno.h>
#include <string.h>

#include "boot/layout.h"
#include "tests/unit/unit.h"
#include "vmm/memory.h"
#include "x86/acpi.h"
#include "x86/layout.h"

enum { PROCESSOR, BUS, IOAPIC, INTERRUPT, LOCAL_INTERRUPT, ENTRY_TYPES };
enum { HEADER = 44, PROCESSOR_SIZE = 20, OTHER_SIZE = 8 };

static struct memory make_memory(uint64_t size)
{
	struct memory memory;

	CU_ASSERT_EQUAL_FATAL(
	        memory_create(&memory, size, 0, LAYOUT_RAM_HOLE, LAYOUT_RAM_HOLE_END),
	        0);
	return memory;
}

static uint32_t number(const uint8_t *at, unsigned bytes)
{
	uint32_t value = 0;

	while (bytes--)
		value = value << 8 | at[bytes];
	return value;
}

static uint8_t sum(const uint8_t *at, unsigned size)
{
	uint8_t sum = 0;

	while (size--)
		sum += *at++;
	return sum;
}

/* 4: where the pointer is looked for that can also be ROM. */
static const uint8_t *find_table(struct memory *memory)
{
	const uint8_t *at = memory_at(memory, 0xf0000, 0x10000);
	const uint8_t *end = at + 0x10000;

	while (at < end && memcmp(at, "_MP_", 4))
		at += 16;
	CU_ASSERT_FATAL(at < end);
	CU_ASSERT_EQUAL(at[8], 1);
	CU_ASSERT_EQUAL(at[9], 4);
	CU_ASSERT_EQUAL(sum(at, 16), 0);
	return memory_at(memory, number(at + 4, 4), 0x1000);
}

struct seen {
	unsigned counts[ENTRY_TYPES];
	const uint8_t *last[ENTRY_TYPES];
	const uint8_t *pins[GSI_COUNT];
	unsigned boots; /* CPUs that say so, and their ids as a sum */
	unsigned ids;
};

static struct seen read_table(const uint8_t *table)
{
	struct seen seen = {0};
	const uint8_t *at = table + HEADER, *end = table + number(table + 4, 2);
	unsigned entries = number(table + 34, 2);

	CU_ASSERT_EQUAL(memcmp(table, "PCMP", 4), 0);
	CU_ASSERT_EQUAL(sum(table, number(table + 4, 2)), 0);
	CU_ASSERT_EQUAL(number(table + 36, 4), 0xfee00000);
	while (entries-- && at < end && *at < ENTRY_TYPES) {
		seen.counts[*at]++;
		seen.last[*at] = at;
		if (*at == PROCESSOR) {
			seen.ids += at[1];
			seen.boots += at[3] >> 1 & 1;
		}
		if (*at == INTERRUPT && at[7] < GSI_COUNT)
			seen.pins[at[7]] = at;
		at += *at == PROCESSOR ? PROCESSOR_SIZE : OTHER_SIZE;
	}
	CU_ASSERT_PTR_EQUAL(at, end);
	return seen;
}

static void a_kernel_finds_cpus_and_lines(void)
{
	struct memory memory = make_memory(1 << 20);
	const struct acpi_machine machine = {.cpus = 3};
	struct seen seen;

	CU_ASSERT_EQUAL(mptable_write(&memory, &machine, 26), 0);
	seen = read_table(find_table(&memory));
	CU_ASSERT_EQUAL(seen.counts[PROCESSOR], 3);
	CU_ASSERT_EQUAL(seen.ids, 0 + 1 + 2);
	CU_ASSERT_EQUAL(seen.boots, 1);
	CU_ASSERT_EQUAL(seen.counts[BUS], 1);
	CU_ASSERT_EQUAL(memcmp(seen.last[BUS] + 2, "ISA   ", 6), 0);
	CU_ASSERT_EQUAL(seen.counts[IOAPIC], 1);
	CU_ASSERT_EQUAL(number(seen.last[IOAPIC] + 4, 4), 0xfec00000);
	CU_ASSERT_EQUAL(seen.counts[INTERRUPT], 26);
	for (unsigned pin = 0; pin < 26; pin++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(seen.pins[pin]);
		CU_ASSERT_EQUAL(seen.pins[pin][4], seen.last[BUS][1]);
		CU_ASSERT_EQUAL(seen.pins[pin][5], pin);
		CU_ASSERT_EQUAL(seen.pins[pin][6], seen.last[IOAPIC][1]);
	}
	CU_ASSERT_EQUAL(seen.counts[LOCAL_INTERRUPT], 1);
	memory_destroy(&memory);
}

/* D.3: a line of PCI is the device's number and its pin, and its bus has its own number. */
static void pci_has_its_lines(void)
{
	struct memory memory = make_memory(1 << 20);
	const struct acpi_virtio virtio[] = {{.gsi = 17, .slot = 2}, {.gsi = 18}};
	const struct acpi_machine machine = {.cpus = 1,
	        .virtio = virtio,
	        .virtio_count = 2,
	        .pci = true,
	        .pic = true};
	struct seen seen;

	CU_ASSERT_EQUAL(mptable_write(&memory, &machine, 24), 0);
	seen = read_table(find_table(&memory));
	CU_ASSERT_EQUAL(seen.counts[BUS], 2);
	CU_ASSERT_EQUAL(seen.counts[INTERRUPT], 24);
	CU_ASSERT_EQUAL(seen.pins[17][4], 0);
	CU_ASSERT_EQUAL(seen.pins[17][5], 2 << 2);
	CU_ASSERT_EQUAL(number(seen.pins[17] + 2, 2), 0xf);
	CU_ASSERT_NOT_EQUAL(seen.pins[18][4], 0);
	CU_ASSERT_EQUAL(seen.pins[18][5], 18);
	CU_ASSERT_EQUAL(seen.counts[LOCAL_INTERRUPT], 2);
	memory_destroy(&memory);
}

static void of_many_cpus_the_first_are_told(void)
{
	struct memory memory = make_memory(1 << 20);
	const struct acpi_machine machine = {.cpus = 1000};
	const char *smbios;

	memory_write(&memory, LAYOUT_SMBIOS, "SMBIOS", 7);
	CU_ASSERT_EQUAL(mptable_write(&memory, &machine, GSI_COUNT), 0);
	CU_ASSERT_EQUAL(read_table(find_table(&memory)).counts[PROCESSOR], 255);
	smbios = memory_at(&memory, LAYOUT_SMBIOS, 7);
	CU_ASSERT_STRING_EQUAL(smbios, "SMBIOS");
	memory_destroy(&memory);
}

static void without_ram_it_says_so(void)
{
	struct memory memory = make_memory(LAYOUT_ACPI);
	const struct acpi_machine machine = {.cpus = 1};

	CU_ASSERT_EQUAL(mptable_write(&memory, &machine, 24), -ENOMEM);
	memory_destroy(&memory);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(a_kernel_finds_cpus_and_lines),
	        UNIT(pci_has_its_lines),
	        UNIT(of_many_cpus_the_first_are_told),
	        UNIT(without_ram_it_says_so),
	        {0},
	};

	return unit_run("mptable", tests);
}
