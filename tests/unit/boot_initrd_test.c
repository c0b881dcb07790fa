#include "tests/unit/boot_packed.h"

/* An initrd of `size` bytes in `data`, offered to a guest with `memory`: what it is then. */
static size_t initrd_becomes(const void *data, size_t size, uint64_t memory,
        bool linux_kernel, bool now, void *to, size_t room)
{
	struct boot_source source = {.needs.linux_kernel = linux_kernel,
	        .initrd_count = 1,
	        .initrd_paths = {"initrd"},
	        .initrd_sizes = {size}};
	ssize_t got;

	source.initrd_fds[0] = memfd_create("initrd", MFD_CLOEXEC);
	CU_ASSERT_FATAL(source.initrd_fds[0] >= 0);
	CU_ASSERT_EQUAL_FATAL(write(source.initrd_fds[0], data, size), (ssize_t)size);
	boot_unpack_initrds(&source, memory, now);
	CU_ASSERT_EQUAL(source.initrd_offsets[0], 0);
	CU_ASSERT_FATAL(source.initrd_sizes[0] <= room);
	got = pread(source.initrd_fds[0], to, room, 0);
	CU_ASSERT_EQUAL(got, (ssize_t)source.initrd_sizes[0]);
	close(source.initrd_fds[0]);
	return (size_t)got;
}

/* Archives of two kinds, zeros between them, and one that is not compressed behind. */
static size_t initrd_pack(unsigned char *to, size_t room)
{
	static const char plain[] = "070701 and what follows\0\0\0";
	size_t at = gzip_pack(to, room, "first", 5);

	memset(to + at, 0, 3);
	at += 3;
	at += gzip_pack(to + at, room - at, vmlinux, 8192);
	at += zstd_pack(to + at, room - at, "third one", 9);
	at += xz_pack(to + at, room - at, "fourth", 6);
	memcpy(to + at, plain, sizeof(plain));
	return at + sizeof(plain);
}

static const char *initrd_part(const char **at, const char *end, size_t size)
{
	const char *part;

	while (*at < end && !**at)
		++*at;
	part = *at;
	CU_ASSERT_FATAL((size_t)(end - part) >= size);
	*at += size;
	return part;
}

static void initrd_archives_are_unpacked(void)
{
	char folder[32];
	unsigned char packed[16384];
	char plain[16384];
	const char *at = plain, *start = plain, *end;
	size_t size;

	memset(vmlinux, 'x', 8192);
	cache_begin(folder);
	size = initrd_pack(packed, sizeof(packed));
	for (unsigned run = 0; run < 2; run++) {
		const char *part;

		at = plain;
		end = plain + initrd_becomes(packed, size, 1 << 20, true, true, plain,
		                      sizeof(plain));
		CU_ASSERT(!memcmp(initrd_part(&at, end, 5), "first", 5));
		part = initrd_part(&at, end, 8192);
		CU_ASSERT(!memcmp(part, vmlinux, 8192) && !((part - start) % 4));
		part = initrd_part(&at, end, 9);
		CU_ASSERT(!memcmp(part, "third one", 9) && !((part - start) % 4));
		part = initrd_part(&at, end, 6);
		CU_ASSERT(!memcmp(part, "fourth", 6) && !((part - start) % 4));
		part = initrd_part(&at, end, 6);
		CU_ASSERT(!memcmp(part, "070701", 6) && !((part - start) % 4));
		CU_ASSERT(entries_become("data-", 1));
	}
	cache_end(folder);
}

static void initrds_that_are_left_alone(void)
{
	char folder[32];
	unsigned char packed[16384], after[16384];
	size_t size;

	memset(vmlinux, 'x', 8192);
	cache_begin(folder);
	size = gzip_pack(packed, sizeof(packed), vmlinux, 8192);
	/* It would not fit, the guest is no Linux, it is damaged, it is plain. */
	CU_ASSERT_EQUAL(
	        initrd_becomes(packed, size, 65535, true, true, after, sizeof(after)),
	        size);
	CU_ASSERT_EQUAL(initrd_becomes(packed, size, 1 << 20, false, true, after,
	                        sizeof(after)),
	        size);
	packed[size - 8] ^= 1;
	CU_ASSERT_EQUAL(
	        initrd_becomes(packed, size, 1 << 20, true, true, after, sizeof(after)),
	        size);
	CU_ASSERT(!memcmp(packed, after, size));
	size = lz4_pack(packed, sizeof(packed), vmlinux, 8192);
	CU_ASSERT_EQUAL(
	        initrd_becomes(packed, size, 1 << 20, true, true, after, sizeof(after)),
	        size);
	memcpy(packed, "070701", 6);
	CU_ASSERT_EQUAL(
	        initrd_becomes(packed, size, 1 << 20, true, true, after, sizeof(after)),
	        size);
	/* A bomb: the last archive says little, the first is more than is allowed. */
	memset(vmlinux, 0, VMLINUX);
	size = zstd_pack(packed, sizeof(packed), vmlinux, VMLINUX);
	size += gzip_pack(packed + size, sizeof(packed) - size, "x", 1);
	CU_ASSERT_EQUAL(
	        initrd_becomes(packed, size, 1 << 20, true, true, after, sizeof(after)),
	        size);
	CU_ASSERT(entries_become("data-", 0));
	cache_end(folder);
}

static void initrd_of_the_first_run_is_kept_for_the_second(void)
{
	char folder[32];
	unsigned char packed[16384], after[16384];
	size_t size, first, second;

	memset(vmlinux, 'x', 8192);
	cache_begin(folder);
	size = gzip_pack(packed, sizeof(packed), vmlinux, 8192);
	first = initrd_becomes(
	        packed, size, 1 << 20, true, false, after, sizeof(after));
	CU_ASSERT(first == size && !memcmp(packed, after, size));
	CU_ASSERT(entries_become("data-", 1));
	second = initrd_becomes(
	        packed, size, 1 << 20, true, false, after, sizeof(after));
	CU_ASSERT(second >= 8192 && !memcmp(vmlinux, after, 8192));
	cache_end(folder);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(initrd_archives_are_unpacked),
	        UNIT(initrds_that_are_left_alone),
	        UNIT(initrd_of_the_first_run_is_kept_for_the_second),
	        {0},
	};

	return unit_run("boot_initrd", tests);
}
