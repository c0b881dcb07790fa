/*
 * Guest RAM: a few ranges of guest-physical addresses, each one host mapping.
 *
 * memory_at() is the only way from a guest address to a pointer. Guest memory changes
 * under us at any time: copy once, check the copy, use the copy.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MEMORY_RANGES = 4 };

struct memory_range {
	uint64_t guest; /* first guest-physical address; page-aligned */
	uint64_t size;  /* bytes; page-aligned */
	void *host;
};

struct memory {
	struct memory_range ranges[MEMORY_RANGES]; /* ascending, never touching */
	unsigned count;
	uint64_t size; /* bytes of all ranges together */
};

/*
 * Reserves `size` bytes of RAM from guest address `base` on; what would reach past
 * `hole` continues at `hole_end`. Nothing is touched, so nothing is paid for until the
 * guest uses it. -ENOMEM (logged) when the host cannot give the address space.
 */
int memory_create(struct memory *memory, uint64_t size, uint64_t base, uint64_t hole,
        uint64_t hole_end);
void memory_destroy(struct memory *memory);

/* NULL unless all of [guest, guest + size) is RAM in one range. */
void *memory_at(const struct memory *memory, uint64_t guest, uint64_t size);

/* Copies; -EFAULT, with nothing copied, where memory_at() would answer NULL. */
int memory_read(const struct memory *memory, uint64_t guest, void *data, size_t size);
int memory_write(
        const struct memory *memory, uint64_t guest, const void *data, size_t size);

/*
 * Fills [guest, guest + size) from `fd` at `offset`: mapped privately where both are
 * page-aligned, so that VMs share the page cache, else read straight into place.
 * -EFAULT outside RAM, -ENODATA when the file is shorter, or the read's own error.
 */
int memory_load(
        struct memory *memory, uint64_t guest, uint64_t size, int fd, uint64_t offset);
/*
 * The same, but never mapped: for what the guest is going to write to all over. RAM that
 * nobody has touched yet, for the file's holes are left as they are.
 */
int memory_load_copy(
        struct memory *memory, uint64_t guest, uint64_t size, int fd, uint64_t offset);
