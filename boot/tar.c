/* tar archives: POSIX.1-1988's ustar, with GNU's sizes in binary. All names are the root's. */
#include <errno.h>
#include <string.h>

#include "boot/tar.h"
#include "boot/volume.h"

enum {
	NAME_SIZE = 100,
	SIZE_AT = 124,
	SIZE_SIZE = 12,
	SUM_AT = 148,
	SUM_SIZE = 8,
	KIND_AT = 156,
	MAGIC_AT = 257,
	MAP_AT = 386,
	MAP_PIECES = 4,
	MAP_MORE_AT = 482,
	REAL_SIZE_AT = 483,
	MORE_PIECES = 21, /* in a block that continues the map */
};

static uint64_t octal(const unsigned char *from, unsigned size)
{
	uint64_t value = 0;
	unsigned i = 0;

	while (i < size && from[i] == ' ')
		i++;
	for (; i < size && from[i] >= '0' && from[i] <= '7'; i++)
		value = value << 3 | (uint64_t)(from[i] - '0');
	return value;
}

/* In octal digits, or, where those do not suffice, in binary. */
static uint64_t number(const unsigned char *from)
{
	uint64_t value = 0;

	if (!(from[0] & 0x80))
		return octal(from, SIZE_SIZE);
	for (unsigned i = SIZE_SIZE - 8; i < SIZE_SIZE; i++)
		value = value << 8 | from[i];
	return value;
}

uint64_t tar_size(const unsigned char header[TAR_BLOCK])
{
	return number(header + SIZE_AT);
}

/* The sum of all bytes, with blanks for that of the sum. */
bool tar_is_header(const unsigned char header[TAR_BLOCK])
{
	uint64_t sum = SUM_SIZE * ' ';

	for (unsigned i = 0; i < TAR_BLOCK; i++)
		if (i < SUM_AT || i >= SUM_AT + SUM_SIZE)
			sum += header[i];
	return !memcmp(header + MAGIC_AT, "ustar", 5) &&
	       octal(header + SUM_AT, SUM_SIZE) == sum;
}

bool tar_is_file(const unsigned char header[TAR_BLOCK])
{
	return header[KIND_AT] == '0' || !header[KIND_AT];
}

bool tar_is_sparse(const unsigned char header[TAR_BLOCK])
{
	return header[KIND_AT] == 'S';
}

uint64_t tar_real_size(const unsigned char header[TAR_BLOCK])
{
	return number(header + REAL_SIZE_AT);
}

int tar_pieces(const unsigned char block[TAR_BLOCK], bool first,
        struct tar_piece *pieces, unsigned room, uint64_t size)
{
	const unsigned char *from = block + (first ? MAP_AT : 0);
	int count = 0;

	for (unsigned i = 0; i < (first ? MAP_PIECES : MORE_PIECES); i++) {
		struct tar_piece piece = {number(from), number(from + SIZE_SIZE)};

		if (!from[0])
			break;
		if (piece.offset > size || piece.size > size - piece.offset)
			return -EBADMSG;
		if (!room--)
			return -E2BIG;
		pieces[count++] = piece;
		from += 2 * SIZE_SIZE;
	}
	return count;
}

bool tar_pieces_continue(const unsigned char block[TAR_BLOCK], bool first)
{
	return block[first ? MAP_MORE_AT : MORE_PIECES * 2 * SIZE_SIZE];
}

static bool is_end(const unsigned char *header)
{
	return !header[0] && !memcmp(header, header + 1, TAR_BLOCK - 1);
}

static int tar_open(struct volume *volume)
{
	unsigned char header[TAR_BLOCK];

	if (volume_read(volume, 0, header, sizeof(header)) || !tar_is_header(header))
		return -ENOEXEC;
	volume->root = (struct node){.kind = NODE_DIRECTORY};
	return 0;
}

static int tar_walk(struct volume *volume,
        const struct node *directory __attribute__((unused)), volume_visit *visit,
        void *context)
{
	unsigned char header[TAR_BLOCK];
	uint64_t at = 0;

	for (unsigned i = 0; i < VOLUME_ENTRIES; i++) {
		char name[NAME_SIZE + 1] = {0};
		struct node node = {.kind = NODE_OTHER};
		const char *start = name;
		int error;

		/* Two blocks of zeros end it; some leave them out. */
		if (at == volume->size)
			return 0;
		error = volume_read(volume, at, header, sizeof(header));
		if (error)
			return error;
		if (is_end(header))
			return 0;
		if (!tar_is_header(header))
			return -EBADMSG;
		memcpy(name, header, NAME_SIZE);
		node.place = at + TAR_BLOCK;
		node.size = tar_size(header);
		if (tar_is_file(header))
			node.kind = NODE_FILE;
		if (node.size > volume->size - node.place)
			return -ENODATA;
		if (!strncmp(start, "./", 2))
			start += 2;
		if (visit(context, start, &node))
			return 0;
		at = node.place + (node.size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
		if (at > volume->size)
			at = volume->size;
	}
	return -E2BIG;
}

static int tar_map(
        struct volume *volume, const struct node *file, struct medium_map *map)
{
	return volume_map_add(volume, map, file->place, file->size);
}

const struct volume_type volume_tar = {
        .name = "tar",
        .open = tar_open,
        .walk = tar_walk,
        .map = tar_map,
};
