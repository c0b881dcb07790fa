/*
 * What an image lies on: a file, or a disk in a format that only its back end knows. Those
 * who read images see no more than this.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct boot_medium {
	uint64_t size; /* bytes */
	/* All of them, or -Exxx; the caller has checked them against `size`. */
	int (*read)(void *context, uint64_t offset, void *data, size_t size);
	void *context;
	int fd; /* of the file that has these very bytes, from its start; -1: none has */
};

/* A file's bytes; `fd` stays the caller's. */
struct boot_medium medium_of_file(int fd, uint64_t size);

/* -ENODATA past the end. */
int medium_read(
        const struct boot_medium *medium, uint64_t offset, void *data, size_t size);

/* A piece of a medium; one at MEDIUM_HOLE is on none, and reads as zeros. */
struct medium_run {
	uint64_t offset, size;
};
#define MEDIUM_HOLE UINT64_MAX

/* The pieces that a file is made of, one behind the other. */
struct medium_map {
	struct medium_run *runs; /* room for `limit` */
	unsigned count, limit;
	uint64_t size;
};

/* Appends; -E2BIG without room, -ENODATA if it is not on the medium. */
int map_add(struct medium_map *map, const struct boot_medium *medium, uint64_t offset,
        uint64_t size);
/* [offset, offset + size) of `map` into `part`, which may be `map` itself if `offset` is 0. */
int map_cut(const struct medium_map *map, uint64_t offset, uint64_t size,
        struct medium_map *part);
/* As medium_read(), of the file. */
int map_read(const struct medium_map *map, const struct boot_medium *medium,
        uint64_t offset, void *data, size_t size);
