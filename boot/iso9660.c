/*
 * ISO 9660 (ECMA-119) with the names and links of Rock Ridge (IEEE P1282, RRIP 1.12) in
 * System Use fields (IEEE P1281, SUSP 1.12).
 */
#include <errno.h>
#include <string.h>

#include "boot/bytes.h"
#include "boot/volume.h"

enum {
	SECTOR = 2048,
	FIRST_DESCRIPTOR = 16,
	DESCRIPTORS = 16, /* that are looked at */
	PRIMARY = 1,
	TERMINATOR = 255,
	RECORD_MIN = 33,
	RECORD_MAX = 255,
	FLAG_DIRECTORY = 2,
	FLAG_MULTI_EXTENT = 0x80,
	CONTINUATIONS = 8, /* of one record's System Use fields */
	NAME_CONTINUES = 1,
	LINK_CONTINUES = 1,
	LINK_CURRENT = 2,
	LINK_PARENT = 4,
	LINK_ROOT = 8,
};

/* One directory record, and what Rock Ridge says of it. */
struct record {
	unsigned char data[RECORD_MAX];
	unsigned size, identifier_size;
	char name[VOLUME_NAME];
	size_t name_size;
	char link[VOLUME_PATH];
	size_t link_size;
	bool has_name, is_link, link_open;
};

static uint64_t extent(const unsigned char *record)
{
	/* Behind the extended attribute record, if there is one. */
	return ((uint64_t)read_le32(record + 2) + record[1]) * SECTOR;
}

static void append(
        char *text, size_t *size, size_t limit, const void *more, size_t count)
{
	if (count >= limit - *size)
		count = limit - *size - 1;
	memcpy(text + *size, more, count);
	*size += count;
	text[*size] = '\0';
}

/* RRIP 4.1.3: components, each a flag, a size and a text. */
static void link_add(struct record *record, const unsigned char *field, unsigned size)
{
	for (unsigned at = 5; at + 2 <= size;) {
		unsigned flags = field[at], length = field[at + 1];
		const char *text = (const char *)field + at + 2;

		if (length > size - at - 2)
			return;
		if (record->link_size && !record->link_open)
			append(record->link, &record->link_size, VOLUME_PATH, "/", 1);
		if (flags & LINK_ROOT)
			record->link_size = 0;
		if (flags & LINK_PARENT)
			append(record->link, &record->link_size, VOLUME_PATH, "..", 2);
		else if (flags & LINK_CURRENT)
			append(record->link, &record->link_size, VOLUME_PATH, ".", 1);
		else if (flags & LINK_ROOT)
			append(record->link, &record->link_size, VOLUME_PATH, "/", 1);
		else
			append(record->link, &record->link_size, VOLUME_PATH, text,
			        length);
		record->link_open = flags & LINK_CONTINUES;
		at += 2 + length;
	}
}

/* The fields in one area; where they go on is told by `next`, of 12 bytes. */
static void fields_read(struct record *record, const unsigned char *area, unsigned size,
        const unsigned char **next)
{
	*next = NULL;
	for (unsigned at = 0; at + 4 <= size;) {
		const unsigned char *field = area + at;
		unsigned length = field[2];

		if (length < 4 || length > size - at)
			return;
		if (!memcmp(field, "NM", 2) && length >= 5) {
			append(record->name, &record->name_size, VOLUME_NAME, field + 5,
			        length - 5);
			record->has_name = true;
		} else if (!memcmp(field, "SL", 2) && length >= 5) {
			record->is_link = true;
			link_add(record, field, length);
		} else if (!memcmp(field, "CE", 2) && length >= 28) {
			*next = field + 4;
		} else if (!memcmp(field, "ST", 2)) {
			return;
		}
		at += length;
	}
}

static int rock_ridge_read(struct volume *volume, struct record *record)
{
	unsigned start = RECORD_MIN + record->identifier_size;
	unsigned char area[SECTOR];
	const unsigned char *next;

	start += !(record->identifier_size & 1);
	start += volume->iso.skip;
	if (start >= record->size)
		return 0;
	fields_read(record, record->data + start, record->size - start, &next);
	for (unsigned i = 0; next && i < CONTINUATIONS; i++) {
		uint64_t block = read_le32(next);
		uint32_t offset = read_le32(next + 8), size = read_le32(next + 16);
		int error;

		if (offset >= SECTOR || size > SECTOR - offset)
			return -EBADMSG;
		error = volume_read(volume, block * SECTOR + offset, area, size);
		if (error)
			return error;
		fields_read(record, area, size, &next);
	}
	return 0;
}

/* Without Rock Ridge: "KERNEL.;1", ECMA-119 7.5. */
static void plain_name(struct record *record)
{
	const char *identifier = (const char *)record->data + RECORD_MIN;
	size_t size = 0;

	while (size < record->identifier_size && identifier[size] != ';')
		size++;
	if (size && identifier[size - 1] == '.')
		size--;
	append(record->name, &record->name_size, VOLUME_NAME, identifier, size);
}

/* The record at `offset`; of size 0 where the rest of a sector is unused. */
static int record_read(
        struct volume *volume, uint64_t offset, uint64_t left, struct record *record)
{
	unsigned char size = 0;
	int error = volume_read_small(volume, offset, &size, 1);

	*record = (struct record){.size = size};
	if (error || !size)
		return error;
	/* No record reaches into the next sector (ECMA-119 6.8.1.1). */
	if (size <= RECORD_MIN || size > left || size > SECTOR - offset % SECTOR)
		return -EBADMSG;
	error = volume_read_small(volume, offset, record->data, size);
	record->identifier_size = record->data[32];
	if (!error && record->identifier_size + RECORD_MIN > size)
		error = -EBADMSG;
	if (!error && volume->iso.rock_ridge)
		error = rock_ridge_read(volume, record);
	if (!error && !record->has_name)
		plain_name(record);
	return error;
}

static struct node record_node(const struct record *record, uint64_t offset)
{
	unsigned flags = record->data[25];
	struct node node = {
	        .kind = flags & FLAG_DIRECTORY ? NODE_DIRECTORY : NODE_FILE,
	        .place = extent(record->data),
	        .size = read_le32(record->data + 10),
	};

	if (flags & FLAG_MULTI_EXTENT)
		node.kind = NODE_OTHER;
	if (record->is_link)
		node = (struct node){.kind = NODE_LINK, .place = offset};
	return node;
}

/* SUSP 5.3: the first record of the root says whether there are such fields at all. */
static int susp_find(struct volume *volume)
{
	struct record record;
	const unsigned char *field = record.data + RECORD_MIN + 1;
	int error = record_read(volume, volume->root.place, volume->root.size, &record);

	if (error)
		return error;
	volume->iso.rock_ridge = record.size >= RECORD_MIN + 1 + 7 &&
	                         !memcmp(field, "SP\7\1\xbe\xef", 6);
	if (volume->iso.rock_ridge)
		volume->iso.skip = field[6];
	volume->ignores_case = !volume->iso.rock_ridge;
	return 0;
}

static int iso9660_open(struct volume *volume)
{
	unsigned char data[SECTOR];

	for (unsigned i = 0; i < DESCRIPTORS; i++) {
		uint64_t offset = (uint64_t)(FIRST_DESCRIPTOR + i) * SECTOR;

		if (volume_read(volume, offset, data, sizeof(data)) ||
		        memcmp(data + 1, "CD001", 5) != 0)
			return i ? -EBADMSG : -ENOEXEC;
		if (data[0] == TERMINATOR)
			return -EBADMSG;
		if (data[0] != PRIMARY)
			continue;
		if (read_le16(data + 128) != SECTOR)
			return -EBADMSG;
		volume->root = (struct node){
		        .kind = NODE_DIRECTORY,
		        .place = extent(data + 156),
		        .size = read_le32(data + 156 + 10),
		};
		return susp_find(volume);
	}
	return -EBADMSG;
}

static bool is_dot(const struct record *record)
{
	return record->identifier_size == 1 && record->data[RECORD_MIN] <= 1;
}

static int iso9660_walk(struct volume *volume, const struct node *directory,
        volume_visit *visit, void *context)
{
	struct record record;

	for (uint64_t at = 0; at < directory->size;) {
		uint64_t offset = directory->place + at;
		int error = record_read(volume, offset, directory->size - at, &record);
		struct node node;

		if (error)
			return error;
		if (!record.size) {
			at = (at / SECTOR + 1) * SECTOR;
			continue;
		}
		at += record.size;
		if (is_dot(&record))
			continue;
		node = record_node(&record, offset);
		if (visit(context, record.name, &node))
			return 0;
	}
	return 0;
}

static int iso9660_map(
        struct volume *volume, const struct node *file, struct medium_map *map)
{
	return volume_map_add(volume, map, file->place, file->size);
}

static int iso9660_link(
        struct volume *volume, const struct node *link, char target[VOLUME_PATH])
{
	struct record record;
	int error = record_read(volume, link->place, RECORD_MAX, &record);

	if (error)
		return error;
	memcpy(target, record.link, VOLUME_PATH);
	return record.link_size ? 0 : -EBADMSG;
}

const struct volume_type volume_iso9660 = {
        .name = "ISO 9660",
        .open = iso9660_open,
        .walk = iso9660_walk,
        .map = iso9660_map,
        .link = iso9660_link,
};
