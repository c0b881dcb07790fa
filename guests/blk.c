/*
 * Writes a pattern to the first, a middle and the last sector of each virtio-blk device
 * (two at most), flushes and reads it back; past the last sector both must be refused.
 * Leaves with 0 if all of that was so, with 2 if there is no device.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "guest.h"
#include "mayfly.h"
#include "virtio.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_IRQCHIP);

#define SECTOR_SIZE 512

static struct disk {
	struct virtio virtio;
	struct virtqueue queue;
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint64_t sector[SECTOR_SIZE / 8];
} disks[2];

/* One of VIRTIO_BLK_S_*, or -Exxx of virtqueue_run(). VIRTIO 1.2, 5.2.6. */
static int disk_request(struct disk *disk, uint32_t type, uint64_t sector)
{
	struct vring_desc *desc = disk->queue.desc;
	bool has_data = type != VIRTIO_BLK_T_FLUSH;
	uint32_t written;
	int error;

	disk->header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	disk->status = 0xff;
	desc[0] = (struct vring_desc){
	        .addr = (uintptr_t)&disk->header,
	        .len = sizeof(disk->header),
	        .flags = VRING_DESC_F_NEXT,
	        .next = has_data ? 1 : 2,
	};
	desc[1] = (struct vring_desc){
	        .addr = (uintptr_t)disk->sector,
	        .len = SECTOR_SIZE,
	        .flags = type == VIRTIO_BLK_T_IN
	                         ? VRING_DESC_F_NEXT | VRING_DESC_F_WRITE
	                         : VRING_DESC_F_NEXT,
	        .next = 2,
	};
	desc[2] = (struct vring_desc){
	        .addr = (uintptr_t)&disk->status,
	        .len = sizeof(disk->status),
	        .flags = VRING_DESC_F_WRITE,
	};
	error = virtqueue_run(&disk->queue, &written);
	return error ? error : disk->status;
}

static uint64_t pattern(uint64_t sector, unsigned word)
{
	return 0x9e3779b97f4a7c15 * (sector + 1) + word;
}

static int sector_write(struct disk *disk, uint64_t sector)
{
	for (unsigned n = 0; n < SECTOR_SIZE / 8; n++)
		disk->sector[n] = pattern(sector, n);
	return disk_request(disk, VIRTIO_BLK_T_OUT, sector);
}

static int sector_check(struct disk *disk, uint64_t sector)
{
	int error = disk_request(disk, VIRTIO_BLK_T_IN, sector);

	if (error)
		return error;
	for (unsigned n = 0; n < SECTOR_SIZE / 8; n++)
		if (disk->sector[n] != pattern(sector, n))
			return -1;
	return 0;
}

static int disk_flush(struct disk *disk, uint64_t sector)
{
	return disk_request(disk, VIRTIO_BLK_T_FLUSH, sector);
}

static bool disk_test(struct disk *disk, unsigned number)
{
	unsigned capacity_at = offsetof(struct virtio_blk_config, capacity);
	uint64_t capacity = virtio_config32(&disk->virtio, capacity_at) |
	                    (uint64_t)virtio_config32(&disk->virtio, capacity_at + 4)
	                            << 32;
	const struct {
		const char *name;
		int (*run)(struct disk *disk, uint64_t sector);
		uint64_t sector;
		bool fails;
	} steps[] = {
	        {"write first", sector_write, 0, false},
	        {"write middle", sector_write, capacity / 2, false},
	        {"write last", sector_write, capacity - 1, false},
	        {"write past the end", sector_write, capacity, true},
	        {"flush", disk_flush, 0, false},
	        {"read first", sector_check, 0, false},
	        {"read middle", sector_check, capacity / 2, false},
	        {"read last", sector_check, capacity - 1, false},
	        {"read past the end", sector_check, capacity, true},
	};

	for (unsigned n = 0; n < sizeof(steps) / sizeof(steps[0]); n++) {
		int result = steps[n].run(disk, steps[n].sector);

		if (steps[n].fails ? result != VIRTIO_BLK_S_IOERR : result != 0) {
			print("blk: disk %u: %s: result %d\n", number, steps[n].name,
			        result);
			return false;
		}
	}
	print("blk: disk %u: %lu sectors ok\n", number, capacity);
	return true;
}

int main(void)
{
	unsigned found = 0, good = 0;

	for (; found < 2; found++) {
		struct disk *disk = &disks[found];
		uint64_t features = 1ull << VIRTIO_BLK_F_FLUSH;

		if (virtio_open(&disk->virtio, VIRTIO_ID_BLOCK, found, features) ||
		        virtqueue_open(&disk->queue, &disk->virtio, 0))
			break;
		virtio_start(&disk->virtio);
		good += disk_test(disk, found);
	}
	if (!found) {
		print("blk: no device\n");
		return 2;
	}
	return found == good ? 0 : 1;
}
