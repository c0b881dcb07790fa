/*
 * File systems and archives, to find a few files in and to learn where on the medium their
 * bytes lie; the data itself is left there.
 *
 * This reads what an attacker may have written: in the sandbox only. Every walk is bounded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/medium.h"

enum {
	VOLUME_NAME = 256,        /* of a file, with the NUL */
	VOLUME_PATH = 1024,       /* with the NUL */
	VOLUME_BLOCK = 4096,      /* read at once from tables */
	VOLUME_LINKS = 8,         /* symbolic links in a path */
	VOLUME_ENTRIES = 1 << 16, /* of a directory that are looked at */
	VOLUME_FILE = 1 << 30,    /* the largest file */
};

enum node_kind { NODE_FILE, NODE_DIRECTORY, NODE_LINK, NODE_OTHER };

/* A file as its volume knows it. */
struct node {
	enum node_kind kind;
	uint64_t place; /* first cluster, extent, inode or byte */
	uint64_t size;
};

/* What is read again and again: one block of the volume. */
struct volume_block {
	uint64_t offset;
	size_t size; /* 0: nothing yet */
	unsigned char data[VOLUME_BLOCK];
};

struct volume {
	const struct volume_type *type;
	const struct boot_medium *medium;
	uint64_t start, size; /* on the medium */
	struct node root;
	bool ignores_case;
	struct volume_block block;
	union {
		struct {
			unsigned bits; /* 12, 16 or 32 */
			uint32_t cluster_size;
			uint32_t clusters; /* the last one's number + 1 */
			uint64_t table, data, root;
			uint32_t root_size; /* 0: it is a chain of clusters */
		} fat;
		struct {
			unsigned skip; /* Rock Ridge: bytes before its entries */
			bool rock_ridge;
		} iso;
		void *ext; /* libext2fs's */
	};
};

/* Answers true to end the walk. */
typedef bool volume_visit(void *context, const char *name, const struct node *node);

struct volume_type {
	const char *name;
	/* -ENOEXEC if it is something else; sets `root` and `ignores_case`. */
	int (*open)(struct volume *volume);
	void (*close)(struct volume *volume); /* NULL: nothing to do */
	/* Each name in a directory but "." and ".."; those it cannot have are left out. */
	int (*walk)(struct volume *volume, const struct node *directory,
	        volume_visit *visit, void *context);
	int (*map)(
	        struct volume *volume, const struct node *file, struct medium_map *map);
	/* Where a symbolic link leads, NUL-terminated; NULL: there are none. */
	int (*link)(struct volume *volume, const struct node *link,
	        char target[VOLUME_PATH]);
};

extern const struct volume_type volume_fat;     /* fat.c */
extern const struct volume_type volume_iso9660; /* iso9660.c */
extern const struct volume_type volume_ext4;    /* ext4.c */
extern const struct volume_type volume_tar;     /* tar.c */

/* Of any type, in [start, start + size) of the medium; -ENOEXEC: none. */
int volume_open(struct volume *volume, const struct boot_medium *medium, uint64_t start,
        uint64_t size);
void volume_close(struct volume *volume);
/* The name of another that is known to be one, but not read here; NULL: nothing is known. */
const char *volume_foreign(
        const struct boot_medium *medium, uint64_t start, uint64_t size);

/* A file by its path, which starts at the root; -ENOENT, -ELOOP. */
int volume_find(struct volume *volume, const char *path, struct node *node);
int volume_walk(struct volume *volume, const struct node *directory,
        volume_visit *visit, void *context);
/* Where its bytes lie; -EFBIG: more than VOLUME_FILE. */
int volume_map(struct volume *volume, const struct node *file, struct medium_map *map);

/* For the types. All of them within the volume; -ENODATA past its end. */
int volume_read(const struct volume *volume, uint64_t offset, void *data, size_t size);
/* The same through `block`, for what is small: nothing larger than a block. */
int volume_read_small(struct volume *volume, uint64_t offset, void *data, size_t size);
int volume_map_add(const struct volume *volume, struct medium_map *map, uint64_t offset,
        uint64_t size);
