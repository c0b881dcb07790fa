/*
 * A whole medium: partitions, volumes, unified kernel images, what is in their files. What
 * starts as a qcow2 is read through its tables.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/find.h"
#include "devices/disk.h"
#include "tests/fuzz/volume_fuzz.h"
#include "vmm/log.h"

static int qcow2_read(void *disk, uint64_t offset, void *data, size_t size)
{
	return disk_read_now(disk, offset, data, size);
}

/* NULL: it cannot be opened. */
static struct disk *qcow2_open(const unsigned char *data, size_t size, int fd)
{
	struct disk_config config = {.format = DISK_QCOW2, .readonly = true};
	char path[64];

	log_set_level(-1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config.path = path;
	return write(fd, data, size) == (ssize_t)size ? disk_open(&config) : NULL;
}

static void find_in(const struct boot_medium *medium)
{
	static struct find *find_memory;
	static struct found *found;

	if (!found) {
		find_memory = calloc(1, sizeof(*find_memory));
		found = calloc(1, sizeof(*found));
	}
	found->file_count = 0;
	find(find_memory, medium, found);
	if (found->error > 0 || found->file_count > FIND_FILES ||
	        (!found->error && !found->file_count))
		__builtin_trap();
	for (uint32_t i = 0; !found->error && i < found->file_count; i++)
		if (found->files[i].first_run > FIND_RUNS ||
		        found->files[i].run_count >
		                FIND_RUNS - found->files[i].first_run)
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct input input = {data, size};
	struct boot_medium medium = {size, input_read, &input, -1};

	if (size > 4 && !memcmp(data, "QFI\xfb", 4)) {
		int fd = memfd_create("image", MFD_CLOEXEC);
		struct disk *disk = qcow2_open(data, size, fd);

		if (disk) {
			medium = (struct boot_medium){
			        disk_info(disk)->size, qcow2_read, disk, -1};
			find_in(&medium);
			disk_close(disk);
		}
		close(fd);
	} else {
		find_in(&medium);
	}
	return 0;
}
