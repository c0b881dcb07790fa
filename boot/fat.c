/*
 * FAT12, FAT16 and FAT32, with long names: Microsoft's "FAT: General Overview of On-Disk
 * Format" (fatgen103), by whose names the fields go.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boot/bytes.h"
#include "boot/volume.h"

enum {
	BOOT_SECTOR = 512,
	ENTRY = 32,
	ATTR_VOLUME_ID = 8,
	ATTR_DIRECTORY = 16,
	ATTR_LONG_NAME = 15,
	LONG_UNITS = 13, /* of UTF-16 in an entry */
	LONG_LAST = 0x40,
	LONG_ENTRIES = 20,
	FREE = 0xe5,
	LOWER_BASE = 8, /* of NTRes, as Windows and Linux write it */
	LOWER_EXT = 16,
	FAT12_CLUSTERS = 4085,
};

static bool is_power_of_two(uint32_t value)
{
	return value && !(value & (value - 1));
}

static int fat_open(struct volume *volume)
{
	unsigned char sector[BOOT_SECTOR];
	uint32_t sector_size, reserved, tables, root_entries, sectors, table_sectors;
	uint64_t data, clusters;

	if (volume_read(volume, 0, sector, sizeof(sector)) ||
	        (sector[0] != 0xeb && sector[0] != 0xe9) ||
	        read_le16(sector + 510) != 0xaa55)
		return -ENOEXEC;
	sector_size = read_le16(sector + 11);
	reserved = read_le16(sector + 14);
	tables = sector[16];
	root_entries = read_le16(sector + 17);
	sectors = read_le16(sector + 19);
	table_sectors = read_le16(sector + 22);
	if (!sectors)
		sectors = read_le32(sector + 32);
	if (!table_sectors)
		table_sectors = read_le32(sector + 36);
	if (!is_power_of_two(sector_size) || sector_size < 512 || sector_size > 4096 ||
	        !is_power_of_two(sector[13]) || !reserved || !tables ||
	        !table_sectors || !sectors)
		return -ENOEXEC;
	volume->fat.cluster_size = sector_size * sector[13];
	volume->fat.table = (uint64_t)reserved * sector_size;
	volume->fat.root =
	        volume->fat.table + (uint64_t)tables * table_sectors * sector_size;
	volume->fat.root_size = root_entries * ENTRY;
	data = volume->fat.root +
	       (volume->fat.root_size + sector_size - 1) / sector_size * sector_size;
	if (data >= (uint64_t)sectors * sector_size)
		return -EBADMSG;
	volume->fat.data = data;
	clusters = ((uint64_t)sectors * sector_size - data) / volume->fat.cluster_size;
	/*
	 * fatgen103 goes by the number of clusters alone, but small file systems are made as
	 * FAT32 all the same, and Linux's fs/fat/inode.c tells them by this field.
	 */
	volume->fat.bits = !read_le16(sector + 22)     ? 32
	                   : clusters < FAT12_CLUSTERS ? 12
	                                               : 16;
	/* The table has to know all of them, and two that are none. */
	clusters += 2;
	if (clusters > (uint64_t)table_sectors * sector_size * 8 / volume->fat.bits)
		clusters = (uint64_t)table_sectors * sector_size * 8 / volume->fat.bits;
	volume->fat.clusters = (uint32_t)clusters;
	volume->root = (struct node){.kind = NODE_DIRECTORY};
	volume->ignores_case = true;
	if (volume->fat.bits == 32) {
		volume->fat.root_size = 0;
		volume->root.place = read_le32(sector + 44);
	}
	return 0;
}

/* The cluster behind this one; 0: it was the last. */
static int cluster_next(struct volume *volume, uint32_t cluster, uint32_t *next)
{
	unsigned char entry[4] = {0};
	unsigned bits = volume->fat.bits;
	uint64_t offset = volume->fat.table + (uint64_t)cluster * bits / 8;
	int error = volume_read_small(volume, offset, entry, bits == 32 ? 4 : 2);
	uint32_t value = read_le32(entry);

	if (error)
		return error;
	if (bits == 12)
		value = cluster & 1 ? value >> 4 : value & 0xfff;
	value &= 0x0fffffff;
	*next = value >= (0x0ffffff8 & ((1u << (bits == 32 ? 28 : bits)) - 1)) ? 0
	                                                                       : value;
	return 0;
}

static int cluster_check(const struct volume *volume, uint32_t cluster)
{
	return cluster >= 2 && cluster < volume->fat.clusters ? 0 : -EBADMSG;
}

static uint64_t cluster_offset(const struct volume *volume, uint32_t cluster)
{
	return volume->fat.data + (uint64_t)(cluster - 2) * volume->fat.cluster_size;
}

/* A name that grows backwards: long entries stand last part first. */
struct long_name {
	uint16_t units[LONG_ENTRIES * LONG_UNITS + 1];
	unsigned next; /* the number of the entry that must follow; 0: there is none */
	unsigned char checksum;
	bool complete;
};

static void long_name_add(struct long_name *name, const unsigned char *entry)
{
	static const unsigned char places[LONG_UNITS] = {
	        1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};
	unsigned number = entry[0] & ~LONG_LAST;

	name->complete = false;
	if (!number || number > LONG_ENTRIES)
		name->next = 0;
	else if (entry[0] & LONG_LAST)
		name->units[number * LONG_UNITS] = 0;
	else if (number != name->next || entry[13] != name->checksum)
		name->next = number = 0;
	if (!number || number > LONG_ENTRIES)
		return;
	for (unsigned i = 0; i < LONG_UNITS; i++)
		name->units[(number - 1) * LONG_UNITS + i] =
		        read_le16(entry + places[i]);
	name->checksum = entry[13];
	name->next = number - 1;
	name->complete = number == 1;
}

static unsigned char short_checksum(const unsigned char *entry)
{
	unsigned char sum = 0;

	for (unsigned i = 0; i < 11; i++)
		sum = (unsigned char)((sum >> 1 | sum << 7) + entry[i]);
	return sum;
}

/* Only what boot loaders' names are made of; another character matches none of them. */
static char letter(unsigned unit)
{
	return unit < 0x20 || unit > 0x7e ? '?' : (char)unit;
}

static void long_name_text(const struct long_name *name, char text[VOLUME_NAME])
{
	unsigned i;

	for (i = 0; i < VOLUME_NAME - 1 && name->units[i]; i++)
		text[i] = letter(name->units[i]);
	text[i] = '\0';
}

static size_t short_part(const unsigned char *from, unsigned size, bool lower, char *to)
{
	unsigned length = size;

	while (length && from[length - 1] == ' ')
		length--;
	for (unsigned i = 0; i < length; i++) {
		to[i] = letter(from[i]);
		if (lower && to[i] >= 'A' && to[i] <= 'Z')
			to[i] = (char)(to[i] + 'a' - 'A');
	}
	return length;
}

static void short_name_text(const unsigned char *entry, char text[VOLUME_NAME])
{
	size_t length = short_part(entry, 8, entry[12] & LOWER_BASE, text);

	text[length] = '.';
	text[length + 1 +
	        short_part(entry + 8, 3, entry[12] & LOWER_EXT, text + length + 1)] =
	        '\0';
	if (!text[length + 1])
		text[length] = '\0';
}

/* 1: there are no more entries, or the visitor has seen enough. */
static int entry_visit(const unsigned char *entry, struct long_name *name,
        volume_visit *visit, void *context)
{
	unsigned char attributes = entry[11];
	char text[VOLUME_NAME];
	struct node node;

	if (!entry[0])
		return 1;
	if ((attributes & 0x3f) == ATTR_LONG_NAME && entry[0] != FREE) {
		long_name_add(name, entry);
		return 0;
	}
	if (name->complete && name->checksum == short_checksum(entry))
		long_name_text(name, text);
	else
		short_name_text(entry, text);
	name->complete = false;
	name->next = 0;
	if (entry[0] == FREE || entry[0] == '.' || attributes & ATTR_VOLUME_ID)
		return 0;
	node = (struct node){
	        .kind = attributes & ATTR_DIRECTORY ? NODE_DIRECTORY : NODE_FILE,
	        .place = read_le16(entry + 26) | (uint32_t)read_le16(entry + 20) << 16,
	        .size = read_le32(entry + 28),
	};
	return visit(context, text, &node);
}

static int entries_visit(struct volume *volume, uint64_t offset, uint32_t size,
        struct long_name *name, volume_visit *visit, void *context)
{
	int ended = 0;

	for (uint32_t at = 0; !ended && at < size; at += ENTRY) {
		unsigned char entry[ENTRY];
		int error =
		        volume_read_small(volume, offset + at, entry, sizeof(entry));

		if (error)
			return error;
		ended = entry_visit(entry, name, visit, context);
	}
	return ended;
}

static int fat_walk(struct volume *volume, const struct node *directory,
        volume_visit *visit, void *context)
{
	struct long_name name = {.next = 0};
	uint32_t cluster = (uint32_t)directory->place, seen = 0;
	int ended = 0;

	/* Cluster 0 stands for the root in what has none of its own. */
	if (!cluster && volume->fat.root_size) {
		ended = entries_visit(volume, volume->fat.root, volume->fat.root_size,
		        &name, visit, context);
		return ended < 0 ? ended : 0;
	}
	if (!cluster && volume->fat.bits == 32)
		cluster = (uint32_t)volume->root.place;
	while (cluster && !ended) {
		if (cluster_check(volume, cluster) || seen > VOLUME_ENTRIES)
			return -EBADMSG;
		ended = entries_visit(volume, cluster_offset(volume, cluster),
		        volume->fat.cluster_size, &name, visit, context);
		if (!ended)
			ended = cluster_next(volume, cluster, &cluster);
		seen += volume->fat.cluster_size / ENTRY;
	}
	return ended < 0 ? ended : 0;
}

/*
 * A chain that comes back to itself meets the mark, which moves on after 1, 2, 4, ... steps
 * (Brent, "An improved Monte Carlo factorization algorithm").
 */
static int fat_map(
        struct volume *volume, const struct node *file, struct medium_map *map)
{
	uint32_t cluster = (uint32_t)file->place, mark = 0, steps = 0;

	while (map->size < file->size) {
		int error = cluster_check(volume, cluster);

		if (!error && cluster == mark)
			error = -EBADMSG;
		if (is_power_of_two(++steps))
			mark = cluster;
		if (!error)
			error = volume_map_add(volume, map,
			        cluster_offset(volume, cluster),
			        volume->fat.cluster_size);
		if (!error)
			error = cluster_next(volume, cluster, &cluster);
		if (error)
			return error;
	}
	return 0;
}

const struct volume_type volume_fat = {
        .name = "FAT",
        .open = fat_open,
        .walk = fat_walk,
        .map = fat_map,
};
