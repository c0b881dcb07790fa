#include "vmm/image.h"

#include <errno.h>

#include "boot/boot.h"
#include "boot/medium.h"
#include "devices/disk.h"
#include "vmm/arch.h"

static int disk_read(void *disk, uint64_t offset, void *data, size_t size)
{
	return disk_read_now(disk, offset, data, size);
}

static int image_open_disk(struct boot_source *source, const struct config *config,
        enum boot_protocol protocol)
{
	const struct disk_config disk_config = {
	        .path = config->image,
	        .readonly = true,
	        .backing = config->backing,
	};
	struct disk *disk = disk_open(&disk_config);
	struct boot_medium medium = {.read = disk_read, .context = disk, .fd = -1};
	int error;

	if (!disk)
		return -EINVAL;
	medium.size = disk_info(disk)->size;
	error = boot_open_medium(source, config->image, &medium, config->initrds,
	        config->initrd_count, protocol, arch_layout.machine);
	disk_close(disk);
	return error;
}

int image_open(struct boot_source *source, const struct config *config,
        enum boot_protocol protocol)
{
	if (config->image && disk_format_of(config->image) != DISK_RAW)
		return image_open_disk(source, config, protocol);
	return boot_open(source, config->image, config->kernel, config->initrds,
	        config->initrd_count, protocol, arch_layout.machine);
}
