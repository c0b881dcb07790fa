/* What the targets with virtio devices share: every device, and an input to take from. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/disk.h"
#include "devices/virtio.h"
#include "tests/fuzz/console_null.h"
#include "tests/fuzz/nic_null.h"

enum { DISK_SIZE = 64 << 10 };

static inline struct virtio *create_blk(struct device_host *host)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);
	char path[64];

	if (fd < 0 || ftruncate(fd, DISK_SIZE) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct disk *disk = disk_open(&(struct disk_config){.path = path});
	close(fd);
	return virtio_blk_create(host, disk, "fuzz");
}

static struct virtio *(*const devices[])(struct device_host *host) = {
        create_blk,
        create_console,
        create_net,
        virtio_rng_create,
};

enum { DEVICES = sizeof(devices) / sizeof(devices[0]) };

struct input {
	const uint8_t *data;
	size_t size;
};

/* The next `size` bytes as a number; zeroes after the end. */
static inline uint64_t take(struct input *input, unsigned size)
{
	uint64_t value = 0;

	if (size > input->size)
		size = input->size;
	memcpy(&value, input->data, size);
	input->data += size;
	input->size -= size;
	return value;
}
