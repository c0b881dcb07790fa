#include "vmm/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/log.h"

enum { PAGE_SIZE = 4096, HUGE_PAGE_SIZE = 2 << 20 };

static int range_add(struct memory *memory, uint64_t guest, uint64_t size)
{
	/*
	 * Aligned to huge pages on both sides of the translation, so that the host may
	 * use them for the guest.
	 */
	uint64_t reserve = size + HUGE_PAGE_SIZE;
	uint64_t start, head, tail;
	char *host = mmap(NULL, reserve, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (host == MAP_FAILED)
		return -errno;
	start = ((uintptr_t)host + HUGE_PAGE_SIZE - 1) &
	        ~(uint64_t)(HUGE_PAGE_SIZE - 1);
	head = start - (uintptr_t)host;
	tail = reserve - head - size;
	if (head)
		munmap(host, head);
	if (tail)
		munmap(host + head + size, tail);
	memory->ranges[memory->count++] =
	        (struct memory_range){guest, size, host + head};
	memory->size += size;
	return 0;
}

int memory_create(struct memory *memory, uint64_t size, uint64_t base, uint64_t hole,
        uint64_t hole_end)
{
	uint64_t low = size <= hole - base ? size : hole - base;
	int error;

	assert(size && !(size % PAGE_SIZE));
	*memory = (struct memory){0};
	error = range_add(memory, base, low);
	if (!error && size > low)
		error = range_add(memory, hole_end, size - low);
	if (error) {
		memory_destroy(memory);
		return log_error(error,
		        "--mem: this host has no room for %llu MiB of guest memory: "
		        "%s; "
		        "give less",
		        (unsigned long long)(size >> 20), strerror(-error));
	}
	return 0;
}

void memory_destroy(struct memory *memory)
{
	for (unsigned i = 0; i < memory->count; i++)
		munmap(memory->ranges[i].host, memory->ranges[i].size);
	*memory = (struct memory){0};
}

void *memory_at(const struct memory *memory, uint64_t guest, uint64_t size)
{
	for (unsigned i = 0; i < memory->count; i++) {
		const struct memory_range *range = &memory->ranges[i];
		uint64_t offset = guest - range->guest;

		if (guest >= range->guest && offset < range->size &&
		        size <= range->size - offset)
			return (char *)range->host + offset;
	}
	return NULL;
}

int memory_read(const struct memory *memory, uint64_t guest, void *data, size_t size)
{
	const void *host = memory_at(memory, guest, size);

	if (!host)
		return -EFAULT;
	memcpy(data, host, size);
	return 0;
}

int memory_write(
        const struct memory *memory, uint64_t guest, const void *data, size_t size)
{
	void *host = memory_at(memory, guest, size);

	if (!host)
		return -EFAULT;
	memcpy(host, data, size);
	return 0;
}

static int read_all(int fd, char *data, uint64_t size, uint64_t offset)
{
	while (size) {
		ssize_t done = pread(fd, data, size, offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -ENODATA;
		data += done;
		size -= done;
		offset += done;
	}
	return 0;
}

/*
 * Below this, a read is cheaper than a mapping: each mapping costs a system call, a VMA
 * for KVM to walk, and a fault a page.
 */
enum { MAP_MIN = 256 << 10 };

int memory_load(
        struct memory *memory, uint64_t guest, uint64_t size, int fd, uint64_t offset)
{
	char *host = memory_at(memory, guest, size);
	uint64_t mapped = 0;

	if (!host)
		return -EFAULT;
	/*
	 * The last page is always read, which tells whether the file is long enough. Where
	 * the file's system maps nothing, all of it is.
	 */
	if (size >= MAP_MIN && !(guest % PAGE_SIZE) && !(offset % PAGE_SIZE)) {
		mapped = (size - 1) & ~(uint64_t)(PAGE_SIZE - 1);
		if (mmap(host, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
		            fd, offset) == MAP_FAILED)
			mapped = 0;
	}
	return read_all(fd, host + mapped, size - mapped, offset + mapped);
}

/* What a file has as holes is zeros in RAM that nobody has touched. */
static int read_data(int fd, char *data, uint64_t size, uint64_t offset)
{
	while (size) {
		off_t start = lseek(fd, (off_t)offset, SEEK_DATA);
		off_t end = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);
		uint64_t skipped = (uint64_t)start - offset,
		         part = (uint64_t)end - (uint64_t)start;
		int error;

		/* It cannot tell, or has nothing but a hole up to its end. */
		if (end <= start)
			return read_all(fd, data, size, offset);
		if (skipped >= size)
			return 0;
		if (part > size - skipped)
			part = size - skipped;
		error = read_all(fd, data + skipped, part, offset + skipped);
		if (error)
			return error;
		data += skipped + part;
		size -= skipped + part;
		offset += skipped + part;
	}
	return 0;
}

int memory_load_copy(
        struct memory *memory, uint64_t guest, uint64_t size, int fd, uint64_t offset)
{
	char *host = memory_at(memory, guest, size);

	return host ? read_data(fd, host, size, offset) : -EFAULT;
}
