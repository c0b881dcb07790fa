#include "x86/smbios.h"

#include <errno.h>
#include <string.h>

#include "boot/layout.h"
#include "tests/unit/unit.h"
#include "vmm/memory.h"
#include "vmm/state.h"
#include "x86/layout.h"

enum { ENTRY_SIZE = 24, LENGTH = 1, TYPE_SYSTEM = 1, TYPE_END = 127, UUID_AT = 8 };

static const char text[] = "123e4567-e89b-12d3-a456-426614174000";

/* Behind a structure of this type and its strings; counts the ones that are passed. */
static const uint8_t *structure_find(const uint8_t *at, uint8_t type)
{
	for (unsigned i = 0; i < 8 && *at != type; i++) {
		at += at[LENGTH];
		while (at[0] || at[1])
			at++;
		at += 2;
	}
	return at;
}

static void a_guest_finds_the_uuid(void)
{
	/* DSP0134, 7.2.1: the first three fields are little-endian. */
	static const uint8_t wanted[] = {0x67, 0x45, 0x3e, 0x12, 0x9b, 0xe8, 0xd3, 0x12,
	        0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x00};
	struct memory memory;
	uint8_t uuid[16], sum = 0;
	const uint8_t *entry, *table;
	uint64_t address;
	uint32_t size;

	memory_create(&memory, 1 << 20, 0, LAYOUT_RAM_HOLE, LAYOUT_RAM_HOLE_END);
	CU_ASSERT_EQUAL(uuid_parse(text, uuid), 0);
	CU_ASSERT_EQUAL(smbios_write(&memory, uuid), 0);
	entry = memory_at(&memory, 0xf0000, 0x10000);
	while (memcmp(entry, "_SM3_", 5))
		entry += 16;
	for (unsigned i = 0; i < ENTRY_SIZE; i++)
		sum += entry[i];
	CU_ASSERT_EQUAL(sum, 0);
	memcpy(&size, entry + 12, sizeof(size));
	memcpy(&address, entry + 16, sizeof(address));
	table = memory_at(&memory, address, size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	CU_ASSERT_EQUAL(
	        memcmp(structure_find(table, TYPE_SYSTEM) + UUID_AT, wanted, 16), 0);
	/* The last structure ends where the tables end. */
	CU_ASSERT_EQUAL(structure_find(table, TYPE_END) + 4 + 2, table + size);
	memory_destroy(&memory);
}

static void without_ram_it_says_so(void)
{
	struct memory memory;
	uint8_t uuid[16] = {0};

	memory_create(&memory, LAYOUT_ACPI, 0, LAYOUT_RAM_HOLE, LAYOUT_RAM_HOLE_END);
	CU_ASSERT_EQUAL(smbios_write(&memory, uuid), -ENOMEM);
	memory_destroy(&memory);
}

static void only_a_uuid_is_one(void)
{
	static const char *const others[] = {"", "123e4567-e89b-12d3-a456-42661417400",
	        "123e4567-e89b-12d3-a456-4266141740000",
	        "123e4567+e89b-12d3-a456-426614174000",
	        "123e4567-e89b-12d3-a456-42661417400g",
	        " 23e4567-e89b-12d3-a456-426614174000"};
	uint8_t uuid[16], again[16];
	char made[UUID_TEXT];

	CU_ASSERT_EQUAL(uuid_parse(text, uuid), 0);
	uuid_format(uuid, made);
	CU_ASSERT_STRING_EQUAL(made, text);
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		CU_ASSERT_EQUAL(uuid_parse(others[i], uuid), -EINVAL);
	uuid_make(uuid);
	uuid_make(again);
	CU_ASSERT_NOT_EQUAL(memcmp(uuid, again, 16), 0);
	CU_ASSERT_EQUAL(uuid[6] >> 4, 4);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(a_guest_finds_the_uuid),
	        UNIT(without_ram_it_says_so),
	        UNIT(only_a_uuid_is_one),
	        {0},
	};

	return unit_run("smbios", tests);
}
