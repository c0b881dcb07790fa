/* A disk whose bytes are those of a regular file or of a block device. */
#include <errno.h>
#include <unistd.h>

#include "devices/disk_format.h"
#include "vmm/log.h"

static int raw_open(struct disk *disk, const struct disk_config *config)
{
	if (disk->file_size == 0)
		return log_error(-EINVAL,
		        "--disk: '%s' is empty (truncate -s 1G FILE gives it a size)",
		        config->path);
	if (disk->file_size % DISK_SECTOR)
		return log_error(-EINVAL,
		        "--disk: the size of '%s' is not a multiple of 512 "
		        "(truncate -s %%512 FILE pads it)",
		        config->path);
	disk->info.size = disk->file_size;
	return 0;
}

static int raw_create(int fd, uint64_t size)
{
	return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

static int raw_find(
        struct disk *disk, uint64_t offset, uint64_t size, struct extent *extent)
{
	*extent = (struct extent){
	        .kind = EXTENT_DATA, .fd = disk->fd, .offset = offset, .size = size};
	return 0;
}

const struct disk_type disk_raw = {
        .name = "raw",
        .plain = true,
        .open = raw_open,
        .create = raw_create,
        .find = raw_find,
};
