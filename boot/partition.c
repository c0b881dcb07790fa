/*
 * GPT (UEFI 2.10, 5.3) and MBR with logical partitions (5.2.1), in sectors of 512 bytes; and
 * what firmware takes for a partition of a CD ("El Torito" 1.0; UEFI 2.10, 13.3.2).
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <libdeflate.h>

#include "boot/bytes.h"
#include "boot/find.h"

enum {
	SECTOR = 512,
	LARGE_SECTOR = 4096,
	MBR_TABLE = 446,
	MBR_ENTRY = 16,
	MBR_ENTRIES = 4,
	KIND_GPT = 0xee,
	GPT_HEADER = 92,
	GPT_TABLE = 1 << 17, /* of what is summed up */
	GPT_ENTRY = 128,
	GPT_ENTRIES = 128,
	LOGICAL = 16, /* that are followed */
};

struct table {
	const struct boot_medium *medium;
	struct partition *partitions;
	unsigned count;
};

static void partition_add(
        struct table *table, unsigned number, uint64_t first, uint64_t sectors)
{
	uint64_t limit = table->medium->size / SECTOR;

	if (!first || !sectors || first >= limit || sectors > limit - first ||
	        table->count == FIND_PARTITIONS)
		return;
	table->partitions[table->count++] =
	        (struct partition){first * SECTOR, sectors * SECTOR, number};
}

static bool is_extended(unsigned kind)
{
	return kind == 5 || kind == 0xf || kind == 0x85;
}

static bool sector_read(
        const struct boot_medium *medium, uint64_t sector, unsigned char *data)
{
	return sector <= medium->size / SECTOR &&
	       !medium_read(medium, sector * SECTOR, data, SECTOR);
}

/* Each says where the next one is, from the start of the first. */
static void logical_read(struct table *table, uint64_t start)
{
	unsigned char sector[SECTOR];
	uint64_t at = start;

	for (unsigned i = 0; i < LOGICAL; i++) {
		const unsigned char *entry = sector + MBR_TABLE;

		if (!sector_read(table->medium, at, sector) ||
		        read_le16(sector + 510) != 0xaa55)
			return;
		partition_add(table, MBR_ENTRIES + 1 + i, at + read_le32(entry + 8),
		        read_le32(entry + 12));
		entry += MBR_ENTRY;
		if (!is_extended(entry[4]))
			return;
		at = start + read_le32(entry + 8);
	}
}

static bool gpt_header_read(
        const struct boot_medium *medium, uint64_t sector, unsigned char *header)
{
	return sector_read(medium, sector, header) && !memcmp(header, "EFI PART", 8);
}

/* By the sums of the header and of its table. */
static bool gpt_is_whole(const struct boot_medium *medium, const unsigned char *header)
{
	static const unsigned char zeros[4];
	uint64_t at = read_le64(header + 72);
	uint64_t left = (uint64_t)read_le32(header + 80) * read_le32(header + 84);
	unsigned char table[SECTOR];
	uint32_t crc = libdeflate_crc32(0, header, 16);

	crc = libdeflate_crc32(crc, zeros, sizeof(zeros));
	crc = libdeflate_crc32(crc, header + 20, GPT_HEADER - 20);
	if (read_le32(header + 12) != GPT_HEADER || crc != read_le32(header + 16) ||
	        left > GPT_TABLE)
		return false;
	crc = 0;
	for (; left; at++) {
		size_t size = left < SECTOR ? left : SECTOR;

		if (!sector_read(medium, at, table))
			return false;
		crc = libdeflate_crc32(crc, table, size);
		left -= size;
	}
	return crc == read_le32(header + 88);
}

/* UEFI 2.10, 5.3.2: the copy in the last sector counts if the first one is damaged. */
static bool gpt_header_find(const struct boot_medium *medium, unsigned char *header)
{
	uint64_t last = medium->size / SECTOR - 1;

	if (gpt_header_read(medium, 1, header) && gpt_is_whole(medium, header))
		return true;
	if (gpt_header_read(medium, last, header) && gpt_is_whole(medium, header))
		return true;
	/* Nobody's but the firmware's is so strict. */
	return gpt_header_read(medium, 1, header);
}

static bool gpt_read(struct table *table)
{
	unsigned char header[SECTOR], entry[GPT_ENTRY];
	uint64_t entries;
	uint32_t count, size;

	if (!gpt_header_find(table->medium, header))
		return false;
	entries = read_le64(header + 72);
	count = read_le32(header + 80);
	size = read_le32(header + 84);
	if (entries > table->medium->size / SECTOR || size < GPT_ENTRY ||
	        size > SECTOR * 8)
		return true;
	for (uint32_t i = 0; i < count && i < GPT_ENTRIES; i++) {
		static const unsigned char unused[16];
		uint64_t first, last;

		if (medium_read(table->medium, entries * SECTOR + (uint64_t)i * size,
		            entry, sizeof(entry)))
			break;
		first = read_le64(entry + 32);
		last = read_le64(entry + 40);
		if (memcmp(entry, unused, sizeof(unused)) != 0 && last >= first)
			partition_add(table, i + 1, first, last - first + 1);
	}
	return true;
}

/* In the second sector of a disk whose sectors are larger. */
static bool has_large_sectors(const struct boot_medium *medium)
{
	unsigned char header[SECTOR];

	return gpt_header_read(medium, LARGE_SECTOR / SECTOR, header) &&
	       read_le64(header + 24) == 1;
}

int partitions_read(
        const struct boot_medium *medium, struct partition partitions[FIND_PARTITIONS])
{
	struct table table = {medium, partitions, 0};
	unsigned char sector[SECTOR];

	if (!sector_read(medium, 0, sector) || read_le16(sector + 510) != 0xaa55)
		return 0;
	for (unsigned i = 0; i < MBR_ENTRIES; i++) {
		const unsigned char *entry = sector + MBR_TABLE + i * MBR_ENTRY;

		if (entry[4] != KIND_GPT)
			continue;
		if (gpt_read(&table))
			return (int)table.count;
		if (has_large_sectors(medium))
			return -EMEDIUMTYPE;
	}
	for (unsigned i = 0; i < MBR_ENTRIES; i++) {
		const unsigned char *entry = sector + MBR_TABLE + i * MBR_ENTRY;

		if (is_extended(entry[4]))
			logical_read(&table, read_le32(entry + 8));
		else if (entry[4])
			partition_add(&table, i + 1, read_le32(entry + 8),
			        read_le32(entry + 12));
	}
	return (int)table.count;
}

enum {
	CD_SECTOR = 2048,
	CD_BOOT_RECORD = 17,
	CD_CATALOG_AT = 71,
	CD_ENTRY = 32,
	CD_ENTRIES = CD_SECTOR / CD_ENTRY,
	CD_BOOTABLE = 0x88,
	CD_HEADER = 0x90,
	CD_LAST_HEADER = 0x91,
	CD_EFI = 0xef,
};

int boot_images_read(
        const struct boot_medium *medium, struct partition partitions[FIND_PARTITIONS])
{
	static const char magic[] = "\0CD001\1EL TORITO SPECIFICATION";
	struct table table = {medium, partitions, 0};
	unsigned char sector[CD_SECTOR];
	unsigned platform = 0;

	if (medium_read(medium, CD_BOOT_RECORD * CD_SECTOR, sector, sizeof(sector)) ||
	        memcmp(sector, magic, sizeof(magic) - 1) != 0 ||
	        medium_read(medium,
	                (uint64_t)read_le32(sector + CD_CATALOG_AT) * CD_SECTOR, sector,
	                sizeof(sector)))
		return 0;
	for (unsigned i = 0; i < CD_ENTRIES; i++) {
		const unsigned char *entry = sector + i * CD_ENTRY;
		uint64_t first = (uint64_t)read_le32(entry + 8) * (CD_SECTOR / SECTOR);

		/* The first entry is the header of the second. */
		if (!i || entry[0] == CD_HEADER || entry[0] == CD_LAST_HEADER)
			platform = entry[1];
		else if (entry[0] == CD_BOOTABLE && platform == CD_EFI &&
		         first < medium->size / SECTOR)
			/* Its own size has 16 bits, and says little. */
			partition_add(&table, 0, first, medium->size / SECTOR - first);
	}
	return (int)table.count;
}
