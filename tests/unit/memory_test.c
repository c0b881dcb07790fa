#include "vmm/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/log.h"

#define KIB UINT64_C(1024)
#define MIB (KIB << 10)

enum { PAGE = 4096 };

/* 4 MiB from 1 MiB on, with a hole at 3 MiB that ends at 8 MiB. */
static void create(struct memory *memory)
{
	CU_ASSERT_FATAL(!memory_create(memory, 4 * MIB, MIB, 3 * MIB, 8 * MIB));
}

static void ram_goes_around_the_hole(void)
{
	struct memory memory;

	create(&memory);
	CU_ASSERT_EQUAL(memory.count, 2);
	CU_ASSERT_EQUAL(memory.size, 4 * MIB);
	CU_ASSERT_EQUAL(memory.ranges[0].guest, MIB);
	CU_ASSERT_EQUAL(memory.ranges[0].size, 2 * MIB);
	CU_ASSERT_EQUAL(memory.ranges[1].guest, 8 * MIB);
	CU_ASSERT_EQUAL(memory.ranges[1].size, 2 * MIB);
	memory_destroy(&memory);
	CU_ASSERT_EQUAL(memory.count, 0);
	memory_destroy(&memory);
}

static void ram_up_to_the_hole_is_one_range(void)
{
	struct memory memory;

	CU_ASSERT_FATAL(!memory_create(&memory, 3 * MIB, 0, 3 * MIB, 8 * MIB));
	CU_ASSERT_EQUAL(memory.count, 1);
	memory_destroy(&memory);
	CU_ASSERT_FATAL(!memory_create(&memory, 3 * MIB + PAGE, 0, 3 * MIB, 8 * MIB));
	CU_ASSERT_EQUAL(memory.count, 2);
	CU_ASSERT_EQUAL(memory.ranges[1].size, PAGE);
	memory_destroy(&memory);
}

static void huge_pages_fit_host_and_guest(void)
{
	struct memory memory;

	create(&memory);
	CU_ASSERT_EQUAL((uintptr_t)memory.ranges[0].host % (2 * MIB), 0);
	CU_ASSERT_EQUAL((uintptr_t)memory.ranges[1].host % (2 * MIB), 0);
	memory_destroy(&memory);
}

static void addresses_end_where_ram_does(void)
{
	static const struct {
		uint64_t guest, size;
		bool ram;
	} cases[] = {
	        {MIB, 1, true},
	        {MIB - 1, 1, false},
	        {MIB - 1, 2, false},
	        {MIB, 2 * MIB, true},
	        {MIB, 2 * MIB + 1, false},
	        {3 * MIB - 1, 1, true},
	        {3 * MIB - 1, 2, false},
	        {3 * MIB - 8, 8, true},
	        {3 * MIB - 7, 8, false},
	        {3 * MIB, 1, false}, /* the hole */
	        {8 * MIB - 1, 1, false},
	        {8 * MIB, 2 * MIB, true},
	        {10 * MIB - 1, 1, true},
	        {10 * MIB, 1, false},
	        {3 * MIB - 1, 5 * MIB + 2, false}, /* RAM at both ends */
	        {10 * MIB - 1, UINT64_MAX, false}, /* wraps to inside */
	        {UINT64_MAX, 1, false},
	        {UINT64_MAX, 2 * MIB, false},
	        {UINT64_MAX - MIB + 1, 3 * MIB, false},
	        {0, UINT64_MAX, false},
	        {2 * MIB, 0, true},
	        {3 * MIB, 0, false},
	};
	struct memory memory;

	create(&memory);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(!!memory_at(&memory, cases[i].guest, cases[i].size),
		        cases[i].ram);
	CU_ASSERT_PTR_EQUAL(
	        memory_at(&memory, 9 * MIB, 1), (char *)memory.ranges[1].host + MIB);
	memory_destroy(&memory);
}

static void copies_are_whole_or_not_made(void)
{
	uint64_t data = 0x1122334455667788, back = 7;
	struct memory memory;

	create(&memory);
	CU_ASSERT_EQUAL(memory_write(&memory, 3 * MIB - 8, &data, 8), 0);
	CU_ASSERT_EQUAL(memory_read(&memory, 3 * MIB - 8, &back, 8), 0);
	CU_ASSERT_EQUAL(back, data);
	CU_ASSERT_EQUAL(memory_write(&memory, 3 * MIB - 7, &data, 8), -EFAULT);
	CU_ASSERT_EQUAL(memory_read(&memory, 3 * MIB - 7, &back, 8), -EFAULT);
	CU_ASSERT_EQUAL(memory_read(&memory, 3 * MIB - 8, &back, 8), 0);
	CU_ASSERT_EQUAL(back, data);
	memory_destroy(&memory);
}

/* A file of `size` bytes, each different from its neighbours'. */
static int make_file(uint64_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0);
	for (uint64_t i = 0; i < size; i += sizeof(i)) {
		uint64_t left = size - i;

		CU_ASSERT_FATAL(
		        pwrite(fd, &i, left < sizeof(i) ? left : sizeof(i), i) > 0);
	}
	return fd;
}

static bool holds(
        struct memory *memory, uint64_t guest, uint64_t size, int fd, uint64_t offset)
{
	char *file = malloc(size);
	bool same = pread(fd, file, size, offset) == (ssize_t)size &&
	            !memcmp(memory_at(memory, guest, size), file, size);

	free(file);
	return same;
}

static void file_arrives_whole(void)
{
	static const struct {
		uint64_t guest, size, offset;
	} cases[] = {
	        {MIB, 1, 0}, {MIB, 256 * KIB - 1, 0}, /* read */
	        {MIB, 256 * KIB, 0},                  /* mapped */
	        {MIB, 300 * KIB + 5, PAGE},           /* a ragged tail */
	        {MIB, 300 * KIB + PAGE, PAGE},
	        {MIB + 8, 300 * KIB, 0}, /* not aligned: read */
	        {MIB, 300 * KIB, 8},
	        {3 * MIB - 256 * KIB, 256 * KIB, 0}, /* to the last byte of RAM */
	};
	int fd = make_file(512 * KIB);
	struct memory memory;
	uint64_t after;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t end = cases[i].guest + cases[i].size;

		create(&memory);
		CU_ASSERT_EQUAL(memory_load(&memory, cases[i].guest, cases[i].size, fd,
		                        cases[i].offset),
		        0);
		CU_ASSERT(holds(
		        &memory, cases[i].guest, cases[i].size, fd, cases[i].offset));
		if (!memory_read(&memory, end, &after, sizeof(after)))
			CU_ASSERT_EQUAL(after, 0);
		memory_destroy(&memory);
	}
	close(fd);
}

static void mapped_file_is_not_written(void)
{
	int fd = make_file(256 * KIB);
	struct memory memory;
	uint64_t byte = 1;

	create(&memory);
	CU_ASSERT_EQUAL(memory_load(&memory, MIB, 256 * KIB, fd, 0), 0);
	memset(memory_at(&memory, MIB, 256 * KIB), 0xee, 256 * KIB);
	CU_ASSERT_EQUAL(pread(fd, &byte, sizeof(byte), 0), sizeof(byte));
	CU_ASSERT_EQUAL(byte, 0);
	memory_destroy(&memory);
	close(fd);
}

/* What a later change of the file shows: a page of a mapping, not of a copy. */
static void copy_does_not_follow_its_file(void)
{
	int fd = make_file(512 * KIB);
	const uint64_t changed = 0x5a5a5a5a;
	struct memory memory;
	uint64_t before, copied;

	create(&memory);
	CU_ASSERT_EQUAL(pread(fd, &before, sizeof(before), PAGE), sizeof(before));
	CU_ASSERT_EQUAL(memory_load_copy(&memory, MIB, 512 * KIB, fd, 0), 0);
	CU_ASSERT(holds(&memory, MIB, 512 * KIB, fd, 0));
	CU_ASSERT_EQUAL(pwrite(fd, &changed, sizeof(changed), PAGE), sizeof(changed));
	CU_ASSERT_EQUAL(memory_read(&memory, MIB + PAGE, &copied, sizeof(copied)), 0);
	CU_ASSERT_EQUAL(copied, before);
	CU_ASSERT_EQUAL(memory_load_copy(&memory, MIB, 512 * KIB, fd, PAGE), -ENODATA);
	CU_ASSERT_EQUAL(memory_load_copy(&memory, 3 * MIB, 1, fd, 0), -EFAULT);
	memory_destroy(&memory);
	close(fd);
}

/* Pages 1 and 2, 4 and 5 of eight are data, the others holes. */
static int make_sparse_file(void)
{
	int fd = memfd_create("sparse", MFD_CLOEXEC);
	char data[2 * PAGE];

	CU_ASSERT_FATAL(fd >= 0 && !ftruncate(fd, 8 * PAGE));
	memset(data, 0x5a, sizeof(data));
	CU_ASSERT_EQUAL(pwrite(fd, data, sizeof(data), PAGE), sizeof(data));
	memset(data, 0xa5, sizeof(data));
	CU_ASSERT_EQUAL(pwrite(fd, data, sizeof(data), 4 * PAGE), sizeof(data));
	return fd;
}

/* From any of its bytes to any other, the pages that are touched are those of data. */
static void holes_are_not_touched(void)
{
	static const unsigned char pages[8] = {0, 0x5a, 0x5a, 0, 0xa5, 0xa5, 0, 0};
	enum { STEP = PAGE / 2, STEPS = 16, MARK = 0xee };
	int fd = make_sparse_file();
	struct memory memory;

	create(&memory);
	for (unsigned from = 0; from < STEPS; from++)
		for (unsigned to = from + 1; to <= STEPS; to++) {
			uint64_t size = (to - from) * STEP;
			unsigned char *ram = memory_at(&memory, MIB, size + 1);

			memset(ram, MARK, size + 1);
			CU_ASSERT_EQUAL(memory_load_copy(&memory, MIB, size, fd,
			                        (uint64_t)from * STEP),
			        0);
			for (uint64_t at = 0; at < size; at += STEP) {
				unsigned char data = pages[(from * STEP + at) / PAGE];

				/* The last hole is read: there is no data behind it. */
				if (!data && (from * STEP + at) / PAGE < 6)
					data = MARK;
				CU_ASSERT_EQUAL(ram[at], data);
				CU_ASSERT_EQUAL(ram[at + STEP - 1], data);
			}
			CU_ASSERT_EQUAL(ram[size], MARK);
		}
	CU_ASSERT_EQUAL(memory_load_copy(&memory, MIB, 8 * PAGE + 1, fd, 0), -ENODATA);
	memory_destroy(&memory);
	close(fd);
}

static void short_file_is_said(void)
{
	int fd = make_file(512 * KIB);
	struct memory memory;

	create(&memory);
	CU_ASSERT_EQUAL(memory_load(&memory, MIB, PAGE, fd, 512 * KIB), -ENODATA);
	CU_ASSERT_EQUAL(memory_load(&memory, MIB, 9, fd, 512 * KIB - 8), -ENODATA);
	CU_ASSERT_EQUAL(memory_load(&memory, MIB, 512 * KIB + 1, fd, 0), -ENODATA);
	CU_ASSERT_EQUAL(memory_load(&memory, MIB, 516 * KIB, fd, 0), -ENODATA);
	CU_ASSERT_EQUAL(memory_load(&memory, MIB, MIB, fd, 0), -ENODATA);
	CU_ASSERT_EQUAL(memory_load(&memory, MIB, 512 * KIB, fd, 0), 0);
	memory_destroy(&memory);
	close(fd);
}

static void nothing_is_loaded_outside_ram(void)
{
	int fd = make_file(512 * KIB);
	struct memory memory;

	create(&memory);
	CU_ASSERT_EQUAL(
	        memory_load(&memory, 3 * MIB - 256 * KIB + PAGE, 256 * KIB, fd, 0),
	        -EFAULT);
	CU_ASSERT_EQUAL(memory_load(&memory, 3 * MIB, 1, fd, 0), -EFAULT);
	CU_ASSERT_EQUAL(memory_load(&memory, UINT64_MAX, 2, fd, 0), -EFAULT);
	memory_destroy(&memory);
	close(fd);
}

static void file_that_cannot_be_mapped_is_read(void)
{
	int pipes[2];
	struct memory memory;

	/* Neither can a pipe be read at an offset: the read's own error is told. */
	CU_ASSERT_FATAL(!pipe(pipes));
	create(&memory);
	CU_ASSERT_EQUAL(memory_load(&memory, MIB, 512 * KIB, pipes[0], 0), -ESPIPE);
	memory_destroy(&memory);
	close(pipes[0]);
	close(pipes[1]);
}

static void more_than_the_host_has_is_refused(void)
{
	struct memory memory;
	int saved = dup(STDERR_FILENO);

	close(STDERR_FILENO);
	CU_ASSERT_EQUAL(memory_create(&memory, UINT64_C(1) << 50, 0, 3 * MIB, 8 * MIB),
	        -ENOMEM);
	dup2(saved, STDERR_FILENO);
	close(saved);
	CU_ASSERT_EQUAL(memory.count, 0);
	CU_ASSERT_EQUAL(memory.size, 0);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(ram_goes_around_the_hole),
	        UNIT(ram_up_to_the_hole_is_one_range),
	        UNIT(huge_pages_fit_host_and_guest),
	        UNIT(addresses_end_where_ram_does),
	        UNIT(copies_are_whole_or_not_made),
	        UNIT(file_arrives_whole),
	        UNIT(mapped_file_is_not_written),
	        UNIT(copy_does_not_follow_its_file),
	        UNIT(holes_are_not_touched),
	        UNIT(short_file_is_said),
	        UNIT(nothing_is_loaded_outside_ram),
	        UNIT(file_that_cannot_be_mapped_is_read),
	        UNIT(more_than_the_host_has_is_refused),
	        {0},
	};
	return unit_run("memory", tests);
}
