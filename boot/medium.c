#include "boot/medium.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int file_read(void *context, uint64_t offset, void *data, size_t size)
{
	int fd = (int)(intptr_t)context;
	char *to = data;

	while (size) {
		ssize_t done = pread(fd, to, size, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -ENODATA;
		to += done;
		offset += (uint64_t)done;
		size -= (size_t)done;
	}
	return 0;
}

struct boot_medium medium_of_file(int fd, uint64_t size)
{
	return (struct boot_medium){size, file_read, (void *)(intptr_t)fd, fd};
}

int medium_read(
        const struct boot_medium *medium, uint64_t offset, void *data, size_t size)
{
	if (offset > medium->size || size > medium->size - offset)
		return -ENODATA;
	return medium->read(medium->context, offset, data, size);
}

int map_add(struct medium_map *map, const struct boot_medium *medium, uint64_t offset,
        uint64_t size)
{
	struct medium_run *last = map->count ? map->runs + map->count - 1 : NULL;

	if (!size)
		return 0;
	if (offset != MEDIUM_HOLE &&
	        (offset > medium->size || size > medium->size - offset))
		return -ENODATA;
	if (size > INT64_MAX - map->size)
		return -E2BIG;
	if (last &&
	        (offset == MEDIUM_HOLE ? last->offset == MEDIUM_HOLE
	                               : last->offset != MEDIUM_HOLE &&
	                                         last->offset + last->size == offset)) {
		last->size += size;
	} else {
		if (map->count == map->limit)
			return -E2BIG;
		map->runs[map->count++] = (struct medium_run){offset, size};
	}
	map->size += size;
	return 0;
}

/* The run that has the byte at `*offset`, which becomes the offset in it; NULL: none. */
static const struct medium_run *run_at(const struct medium_map *map, uint64_t *offset)
{
	for (unsigned i = 0; i < map->count; i++) {
		if (*offset < map->runs[i].size)
			return map->runs + i;
		*offset -= map->runs[i].size;
	}
	return NULL;
}

int map_cut(const struct medium_map *map, uint64_t offset, uint64_t size,
        struct medium_map *part)
{
	const struct medium_run *run;

	if (offset > map->size || size > map->size - offset)
		return -ENODATA;
	run = run_at(map, &offset);
	part->count = 0;
	part->size = size;
	for (; size; run++) {
		uint64_t piece = run->size - offset < size ? run->size - offset : size;

		if (part->count == part->limit)
			return -E2BIG;
		part->runs[part->count++] = (struct medium_run){
		        run->offset == MEDIUM_HOLE ? MEDIUM_HOLE : run->offset + offset,
		        piece};
		size -= piece;
		offset = 0;
	}
	return 0;
}

int map_read(const struct medium_map *map, const struct boot_medium *medium,
        uint64_t offset, void *data, size_t size)
{
	const struct medium_run *run;
	char *to = data;

	if (offset > map->size || size > map->size - offset)
		return -ENODATA;
	for (run = run_at(map, &offset); size; run++) {
		size_t piece = run->size - offset < size ? run->size - offset : size;
		int error = 0;

		if (run->offset == MEDIUM_HOLE)
			memset(to, 0, piece);
		else
			error = medium_read(medium, run->offset + offset, to, piece);
		if (error)
			return error;
		to += piece;
		size -= piece;
		offset = 0;
	}
	return 0;
}
