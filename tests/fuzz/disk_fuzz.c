/*
 * Damaged and hostile disk images: opened, read, written through an overlay or, where the
 * format allows, in place. The input chooses format and mode, then changes bytes of a small
 * sound image, then says what is read and written where.
 */
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/disk.h"
#include "tests/unit/loop_fake.c"
#include "vmm/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_SIZE = 16 << 10, DISK_SIZE = 64 << 10, PATCHES = 64, BUFFER = 40 << 10 };

static uint8_t image[FILE_SIZE];

static void put32(unsigned at, uint32_t value)
{
	memcpy(image + at, &value, sizeof(value));
}

static void put64(unsigned at, uint64_t value)
{
	memcpy(image + at, &value, sizeof(value));
}

/* Clusters of 512 bytes: header, refcount table and block, L1, two L2, data. */
static void make_qcow2(void)
{
	memcpy(image, "QFI\xfb", 4);
	put32(4, htobe32(3));
	put32(20, htobe32(9));
	put64(24, htobe64(DISK_SIZE));
	put32(36, htobe32(2));
	put64(40, htobe64(3 * 512));
	put64(48, htobe64(512));
	put32(56, htobe32(1));
	put32(96, htobe32(4));
	put32(100, htobe32(104));
	put64(512, htobe64(1024));
	for (unsigned i = 0; i < 14; i++)
		image[1024 + 2 * i + 1] = 1;
	for (unsigned i = 0; i < 2; i++) {
		put64(1536 + 8 * i, htobe64(UINT64_C(1) << 63 | (4 + i) * 512));
		for (unsigned j = 0; j < 4; j++)
			put64((4 + i) * 512 + 16 * j,
			        htobe64(UINT64_C(1) << 63 | (6 + 4 * i + j) * 512));
	}
}

/* The checksum that the changed bytes need: nothing is found behind a wrong one. */
static void sum_vhd(unsigned at, unsigned size, unsigned place)
{
	uint32_t sum = 0;

	put32(at + place, 0);
	for (unsigned i = 0; i < size; i++)
		sum += image[at + i];
	put32(at + place, htobe32(~sum));
}

/* A dynamic disk: copy of the footer, header, table, blocks of 4 KiB, footer. */
static void make_vhd(void)
{
	for (unsigned at = 0; at < FILE_SIZE; at += FILE_SIZE - 512) {
		memcpy(image + at, "conectix", 8);
		put64(at + 16, htobe64(512));
		put64(at + 48, htobe64(DISK_SIZE));
		put32(at + 60, htobe32(3));
	}
	memcpy(image + 512, "cxsparse", 8);
	put64(512 + 16, htobe64(1536));
	put32(512 + 28, htobe32(16));
	put32(512 + 32, htobe32(4096));
	memset(image + 1536, 0xff, 64);
	put32(1536, htobe32(4));
	put32(1536 + 20, htobe32(13));
}

/* Grains of 1 KiB, tables of 16; one grain, compressed or not. */
static void make_vmdk(void)
{
	memcpy(image, "KDMV", 4);
	put32(4, htole32(1));
	put64(12, htole64(DISK_SIZE / 512));
	put64(20, htole64(2));
	put32(44, htole32(16));
	put64(56, htole64(1));
	put32(512, htole32(2));
	put32(1024, htole32(4));
	image[77] = 1;
	put32(2048 + 8, htole32(100));
}

static void (*const makes[])(void) = {
        [DISK_QCOW2] = make_qcow2,
        [DISK_VHD] = make_vhd,
        [DISK_VMDK] = make_vmdk,
};

struct input {
	const uint8_t *data;
	size_t size;
};

/* The next `size` bytes as a number; zeroes after the end. */
static uint64_t take(struct input *input, unsigned size)
{
	uint64_t value = 0;

	if (size > input->size)
		size = (unsigned)input->size;
	memcpy(&value, input->data, size);
	input->data += size;
	input->size -= size;
	return value;
}

static void patch(struct input *input)
{
	for (unsigned count = take(input, 1) % PATCHES; count > 0; count--) {
		unsigned at = take(input, 2) % (FILE_SIZE - 8);
		uint64_t value = take(input, 8);

		memcpy(image + at, &value, sizeof(value));
	}
}

struct job {
	struct disk_request request;
	struct iovec iov;
	bool ended;
};

static void job_done(struct disk_request *request, int result)
{
	(void)result;
	((struct job *)request)->ended = true;
}

static void settled(void *context)
{
	(void)context;
}

/* A request within the disk, as its user makes it. */
static void job_submit(
        struct disk *disk, struct job *job, struct input *input, uint8_t *buffer)
{
	const struct disk_info *info = disk_info(disk);
	uint64_t sectors = info->size / 512;
	uint8_t kind = take(input, 1);
	uint64_t sector = (kind & 0x80 ? take(input, 8) : take(input, 1)) % sectors;
	uint64_t count = 1 + take(input, 1) % (BUFFER / 512);

	if (count > sectors - sector)
		count = sectors - sector;
	*job = (struct job){
	        .request = {.operation = kind % 5,
	                .stable = kind & 0x40,
	                .unmap = kind & 0x20,
	                .offset = sector * 512,
	                .size = count * 512,
	                .iov_count = 1,
	                .done = job_done},
	        .iov = {buffer, count * 512},
	};
	job->request.iov = &job->iov;
	if (info->readonly && job->request.operation != DISK_READ)
		job->request.operation = DISK_READ;
	disk_submit(disk, &job->request);
}

static void use(struct disk *disk, struct input *input)
{
	static uint8_t buffer[BUFFER];
	struct job jobs[4];
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct loop *loop = loop_create();

	disk_read_now(disk, take(input, 2) * 64, buffer, take(input, 2) % BUFFER);
	if (disk_start(disk, loop, &lock, input->size & 1 ? 4 : 0, settled, NULL))
		abort();
	pthread_mutex_lock(&lock);
	while (input->size > 0) {
		for (unsigned i = 0; i < 4; i++) {
			job_submit(disk, &jobs[i], input, buffer);
			if (i == 3)
				disk_flush_queue(disk);
		}
		disk_drain(disk);
		for (unsigned i = 0; i < 4; i++)
			if (!jobs[i].ended)
				abort();
	}
	pthread_mutex_unlock(&lock);
	disk_close(disk);
	loop_destroy(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	enum disk_format format = DISK_QCOW2 + take(&input, 1) % 3;
	uint8_t mode = take(&input, 1);
	struct disk_config config = {
	        .format = format,
	        .readonly = mode % 3 == 0,
	        .ephemeral = mode % 3 == 1,
	};
	char path[64];
	int fd = memfd_create("disk", MFD_CLOEXEC);
	struct disk *disk;

	/* What is refused says so, which is not what is looked for here. */
	log_set_level(-1);
	memset(image, 0, sizeof(image));
	makes[format]();
	patch(&input);
	if (format == DISK_VHD && !(mode & 0x80)) {
		sum_vhd(512, 1024, 36);
		sum_vhd(FILE_SIZE - 512, 512, 64);
	}
	if (fd < 0 || write(fd, image, FILE_SIZE) != FILE_SIZE)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config.path = path;
	disk = disk_open(&config);
	if (disk)
		use(disk, &input);
	close(fd);
	return 0;
}
