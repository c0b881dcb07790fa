/*
 * DMTF's DSP0134, "System Management BIOS (SMBIOS) Reference Specification" 3.2. Without
 * UEFI the 64-bit entry point is looked for on 16-byte boundaries from 0xf0000 to 0xfffff
 * (5.2.2).
 */
#include "x86/smbios.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "boot/layout.h"
#include "vmm/log.h"
#include "vmm/memory.h"
#include "x86/aml.h"

enum {
	BIOS_UNSUPPORTED = 1 << 3, /* 7.1.1: its characteristics are not told */
	BIOS_VIRTUAL = 1 << 4,     /* 7.1.2.2 */
	WAKE_UP_POWER_SWITCH = 6,  /* 7.2.2 */
	NONE = 0xff,
};

struct entry {
	char anchor[5];
	uint8_t checksum, length, major, minor, revision, entry_revision, reserved;
	uint32_t size;
	uint64_t table;
} __attribute__((packed));

struct bios {
	uint8_t type, length;
	uint16_t handle;
	uint8_t vendor, version;
	uint16_t segment;
	uint8_t date, rom_size;
	uint64_t characteristics;
	uint8_t extension[2], major, minor, controller_major, controller_minor;
	char strings[sizeof("Mayfly\0" MAYFLY_VERSION "\0"
	                    "01/01/2026\0")];
} __attribute__((packed));

struct system {
	uint8_t type, length;
	uint16_t handle;
	uint8_t manufacturer, product, version, serial, uuid[16], wake_up, sku, family;
	char strings[sizeof("Mayfly\0Mayfly microVM\0" MAYFLY_VERSION "\0")];
} __attribute__((packed));

struct end {
	uint8_t type, length;
	uint16_t handle;
	char strings[2];
} __attribute__((packed));

struct tables {
	struct entry entry;
	uint8_t gap[8];
	struct bios bios;
	struct system system;
	struct end end;
} __attribute__((packed));

_Static_assert(sizeof(struct tables) <= LAYOUT_SMBIOS_SIZE, "SMBIOS has its place");

/* 7.2.1: the first three fields are little-endian numbers. */
static void uuid_store(uint8_t to[16], const uint8_t uuid[16])
{
	static const uint8_t order[16] = {
	        3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

	for (unsigned i = 0; i < 16; i++)
		to[i] = uuid[order[i]];
}

int smbios_write(struct memory *memory, const uint8_t uuid[16])
{
	struct tables tables = {
	        .entry = {.anchor = {'_', 'S', 'M', '3', '_'},
	                .length = sizeof(tables.entry),
	                .major = 3,
	                .minor = 2,
	                .entry_revision = 1,
	                .size = sizeof(tables) - offsetof(struct tables, bios),
	                .table = LAYOUT_SMBIOS + offsetof(struct tables, bios)},
	        .bios = {.type = 0,
	                .length = offsetof(struct bios, strings),
	                .vendor = 1,
	                .version = 2,
	                .date = 3,
	                .characteristics = BIOS_UNSUPPORTED,
	                .extension = {0, BIOS_VIRTUAL},
	                .controller_major = NONE,
	                .controller_minor = NONE,
	                .strings = "Mayfly\0" MAYFLY_VERSION "\0"
	                           "01/01/2026\0"},
	        .system = {.type = 1,
	                .length = offsetof(struct system, strings),
	                .handle = 1,
	                .manufacturer = 1,
	                .product = 2,
	                .version = 3,
	                .wake_up = WAKE_UP_POWER_SWITCH,
	                .strings = "Mayfly\0Mayfly microVM\0" MAYFLY_VERSION "\0"},
	        .end = {.type = 127, .length = 4, .handle = 2},
	};

	uuid_store(tables.system.uuid, uuid);
	tables.entry.checksum = aml_checksum(&tables.entry, sizeof(tables.entry));
	if (memory_write(memory, LAYOUT_SMBIOS, &tables, sizeof(tables)) < 0)
		return log_error(-ENOMEM, "smbios: no RAM for the tables below 1 MiB");
	return 0;
}
