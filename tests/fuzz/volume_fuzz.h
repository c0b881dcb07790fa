/* One kind of volume, read from the input: what is found in it must lie in it. */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot/volume.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

struct input {
	const unsigned char *data;
	size_t size;
};

static inline int input_read(void *context, uint64_t offset, void *data, size_t size)
{
	const struct input *input = context;

	/* medium_read() lets nothing through that is outside. */
	if (offset > input->size || size > input->size - offset)
		__builtin_trap();
	memcpy(data, input->data + offset, size);
	return 0;
}

struct fuzz {
	struct volume volume;
	unsigned left;
};

enum { RUNS = 4096, NAMES = 4096 };

static inline bool visit_name(void *context, const char *name, const struct node *node)
{
	struct fuzz *fuzz = context;
	static struct medium_run runs[RUNS];
	struct medium_map map = {.runs = runs, .limit = RUNS};
	char target[VOLUME_PATH];

	if (strlen(name) >= VOLUME_NAME)
		__builtin_trap();
	if (node->kind == NODE_LINK && fuzz->volume.type->link &&
	        !fuzz->volume.type->link(&fuzz->volume, node, target) &&
	        strlen(target) >= VOLUME_PATH)
		__builtin_trap();
	if (!volume_map(&fuzz->volume, node, &map)) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < map.count; i++) {
			const struct medium_run *run = runs + i;

			if (run->offset != MEDIUM_HOLE &&
			        (run->offset > fuzz->volume.medium->size ||
			                run->size > fuzz->volume.medium->size -
			                                    run->offset))
				__builtin_trap();
			sum += run->size;
		}
		if (sum != map.size || sum != node->size)
			__builtin_trap();
	}
	return !fuzz->left--;
}

static inline int volume_fuzz(
        const struct volume_type *type, const unsigned char *data, size_t size)
{
	static const char *const paths[] = {"/boot/kernel", "/../a/../boot/./kernel",
	        "/link", "/EFI/Linux", "kernel"};
	struct input input = {data, size};
	struct boot_medium medium = {size, input_read, &input, -1};
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));
	struct node node;

	fuzz->volume = (struct volume){.type = type, .medium = &medium, .size = size};
	fuzz->left = NAMES;
	if (!type->open(&fuzz->volume)) {
		volume_walk(&fuzz->volume, &fuzz->volume.root, visit_name, fuzz);
		for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
			if (!volume_find(&fuzz->volume, paths[i], &node))
				visit_name(fuzz, "", &node);
		volume_close(&fuzz->volume);
	}
	free(fuzz);
	return 0;
}
