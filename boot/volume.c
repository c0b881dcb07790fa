#include "boot/volume.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const struct volume_type *const types[] = {
        &volume_iso9660,
        &volume_ext4,
        &volume_fat,
        &volume_tar,
};

int volume_open(struct volume *volume, const struct boot_medium *medium, uint64_t start,
        uint64_t size)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		int error;

		*volume = (struct volume){
		        .type = types[i],
		        .medium = medium,
		        .start = start,
		        .size = size,
		};
		error = types[i]->open(volume);
		if (error != -ENOEXEC)
			return error;
	}
	return -ENOEXEC;
}

const char *volume_foreign(
        const struct boot_medium *medium, uint64_t start, uint64_t size)
{
	static const struct {
		uint64_t offset;
		const char *magic, *name;
	} others[] = {
	        {0, "XFSB", "XFS"},
	        {0x10040, "_BHRfS_M", "Btrfs"},
	        {0x218, "LVM2 001", "LVM"},
	        {0, "LUKS\xba\xbe", "LUKS"},
	        {0x400, "\x10\x20\xf5\xf2", "F2FS"},
	};
	char found[8];

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		size_t length = strlen(others[i].magic);

		if (size >= others[i].offset + length &&
		        !medium_read(medium, start + others[i].offset, found, length) &&
		        !memcmp(found, others[i].magic, length))
			return others[i].name;
	}
	return NULL;
}

void volume_close(struct volume *volume)
{
	if (volume->type && volume->type->close)
		volume->type->close(volume);
}

int volume_read(const struct volume *volume, uint64_t offset, void *data, size_t size)
{
	if (offset > volume->size || size > volume->size - offset)
		return -ENODATA;
	return medium_read(volume->medium, volume->start + offset, data, size);
}

int volume_read_small(struct volume *volume, uint64_t offset, void *data, size_t size)
{
	struct volume_block *block = &volume->block;
	uint64_t start = offset - offset % VOLUME_BLOCK;

	if (offset > volume->size || size > volume->size - offset)
		return -ENODATA;
	if (offset - start + size > VOLUME_BLOCK)
		return volume_read(volume, offset, data, size);
	if (!block->size || block->offset != start) {
		uint64_t left = volume->size - start;
		int error;

		block->size = 0;
		if (left > VOLUME_BLOCK)
			left = VOLUME_BLOCK;
		error = volume_read(volume, start, block->data, left);
		if (error)
			return error;
		block->offset = start;
		block->size = left;
	}
	memcpy(data, block->data + (offset - start), size);
	return 0;
}

int volume_map_add(const struct volume *volume, struct medium_map *map, uint64_t offset,
        uint64_t size)
{
	if (offset > volume->size || size > volume->size - offset)
		return -ENODATA;
	return map_add(map, volume->medium, volume->start + offset, size);
}

struct bounded {
	volume_visit *visit;
	void *context;
	unsigned left;
};

static bool visit_bounded(void *context, const char *name, const struct node *node)
{
	struct bounded *bounded = context;

	return !bounded->left-- || bounded->visit(bounded->context, name, node);
}

int volume_walk(struct volume *volume, const struct node *directory,
        volume_visit *visit, void *context)
{
	struct bounded bounded = {visit, context, VOLUME_ENTRIES};

	if (directory->kind != NODE_DIRECTORY)
		return -ENOTDIR;
	return volume->type->walk(volume, directory, visit_bounded, &bounded);
}

struct wanted {
	const char *name;
	size_t size;
	bool ignores_case, found;
	struct node node;
};

static bool visit_wanted(void *context, const char *name, const struct node *node)
{
	struct wanted *wanted = context;

	if (strlen(name) != wanted->size ||
	        (wanted->ignores_case ? strncasecmp(name, wanted->name, wanted->size)
	                              : strncmp(name, wanted->name, wanted->size)))
		return false;
	wanted->found = true;
	wanted->node = *node;
	return true;
}

static int find_in(struct volume *volume, const struct node *directory,
        const char *name, size_t size, struct node *node)
{
	struct wanted wanted = {name, size, volume->ignores_case, false, {0}};
	int error = volume_walk(volume, directory, visit_wanted, &wanted);

	if (error)
		return error == -ENOTDIR ? -ENOENT : error;
	if (!wanted.found)
		return -ENOENT;
	*node = wanted.node;
	return 0;
}

/*
 * The directories on the way are kept, for ".." in a path or a link: that of the root is the
 * root, so that nothing leads out of the volume.
 */
enum { DEPTH = 32 };

struct way {
	struct node nodes[DEPTH];
	unsigned depth; /* of the last one */
};

static int step(struct volume *volume, struct way *way, const char *name, size_t size)
{
	int error;

	if (!size || (size == 1 && name[0] == '.'))
		return 0;
	if (size == 2 && !memcmp(name, "..", 2)) {
		way->depth -= way->depth > 0;
		return 0;
	}
	if (way->depth == DEPTH - 1)
		return -ENAMETOOLONG;
	error = find_in(volume, &way->nodes[way->depth], name, size,
	        &way->nodes[way->depth + 1]);
	if (!error)
		way->depth++;
	return error;
}

int volume_find(struct volume *volume, const char *path, struct node *node)
{
	char left[VOLUME_PATH], target[VOLUME_PATH];
	struct way way = {{volume->root}, 0};
	unsigned links = 0;
	char *at = left;

	if (strlen(path) >= sizeof(left))
		return -ENAMETOOLONG;
	strcpy(left, path);
	while (*at) {
		size_t size = strcspn(at, "/"), rest;
		int error = step(volume, &way, at, size);

		if (error)
			return error;
		at += size + (at[size] == '/');
		if (way.nodes[way.depth].kind != NODE_LINK)
			continue;
		if (++links > VOLUME_LINKS || !volume->type->link)
			return -ELOOP;
		error = volume->type->link(volume, &way.nodes[way.depth], target);
		if (error)
			return error;
		/* What the link says takes its place before the rest. */
		way.depth = target[0] == '/' ? 0 : way.depth - 1;
		rest = strlen(at);
		size = strlen(target);
		if (size + 1 + rest >= sizeof(left))
			return -ENAMETOOLONG;
		memmove(left + size + 1, at, rest + 1);
		memcpy(left, target, size);
		left[size] = '/';
		at = left;
	}
	*node = way.nodes[way.depth];
	return 0;
}

int volume_map(struct volume *volume, const struct node *file, struct medium_map *map)
{
	int error;

	map->count = 0;
	map->size = 0;
	if (file->kind != NODE_FILE)
		return -EISDIR;
	if (file->size > VOLUME_FILE)
		return -EFBIG;
	error = volume->type->map(volume, file, map);
	if (!error && map->size != file->size)
		error = map->size > file->size ? map_cut(map, 0, file->size, map)
		                               : -ENODATA;
	return error;
}
