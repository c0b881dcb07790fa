/*
 * A request (VIRTIO 1.2, 5.2.6) is a header of 16 bytes that the device reads, data one way
 * or the other, and a status byte that it writes; how that is cut into segments is the
 * guest's choice (2.7.4). REQUESTS of them are under way at once; while all are taken,
 * further ones wait in the ring, and whoever ends one looks there again.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "devices/disk.h"
#include "devices/virtio.h"

enum {
	SECTOR = 512,
	QUEUE_SIZE = VIRTQUEUE_MAX,
	REQUESTS = 64,
	/* What one notification can start: 4 GiB fit into each request. */
	KICK_MAX = QUEUE_SIZE,
	KICK_BYTES = 64 << 20,
	DISCARD_SECTORS = 1 << 22,
	/* Less: there are disks where zeroes have to be written. */
	ZERO_SECTORS = 1 << 17,
};

struct request {
	struct disk_request disk;
	struct virtio_blk *blk;
	uint8_t *status;  /* in guest memory */
	uint32_t written; /* bytes of data that a success leaves in guest memory */
	struct chain chain;
};

struct virtio_blk {
	struct virtio virtio;
	struct virtio_blk_config config;
	struct disk *disk;
	uint64_t sectors;
	char id[VIRTIO_BLK_ID_BYTES]; /* not always terminated */
	struct request *requests;     /* pages that are never used cost nothing */
	uint8_t free[REQUESTS];       /* a stack of indices, so that few are used */
	unsigned free_count;
	struct log_counter failed;
};

static void finish(struct request *request, uint8_t status)
{
	struct virtio_blk *blk = request->blk;
	uint32_t written = status == VIRTIO_BLK_S_OK ? request->written : 0;

	*request->status = status;
	virtqueue_push(&blk->virtio.queues[0], request->chain.head, written + 1);
	blk->free[blk->free_count++] = request - blk->requests;
}

static void disk_done(struct disk_request *disk, int result)
{
	struct request *request = (struct request *)disk;

	if (result && result != -ECANCELED)
		log_guest(&request->blk->failed,
		        "virtio-blk: the host cannot do it: %s", strerror(-result));
	finish(request, result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

/* Drops the first `size` bytes, of which there are as many. */
static void iov_skip(struct iovec **iov, unsigned *count, size_t size)
{
	for (; *count > 0 && size >= (*iov)->iov_len; ++*iov, --*count)
		size -= (*iov)->iov_len;
	if (size > 0) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + size;
		(*iov)->iov_len -= size;
	}
}

/* Cuts the chain into header, data and status byte; false if it has no such shape. */
static bool dissect(struct request *request, struct virtio_blk_outhdr *header,
        struct iovec **out, unsigned *out_count, struct iovec **in, unsigned *in_count)
{
	struct chain *chain = &request->chain;

	*out = chain->iov;
	*out_count = chain->out_count;
	*in = chain->iov + chain->out_count;
	*in_count = chain->in_count;
	if (chain->in_size < 1 || iov_read(*out, *out_count, 0, header,
	                                  sizeof(*header)) < sizeof(*header))
		return false;
	iov_skip(out, out_count, sizeof(*header));
	chain->out_size -= sizeof(*header);

	struct iovec *last = &(*in)[*in_count - 1];
	chain->in_size--;
	last->iov_len--;
	request->status = (uint8_t *)last->iov_base + last->iov_len;
	if (last->iov_len == 0)
		--*in_count;
	return true;
}

static bool in_bounds(const struct virtio_blk *blk, uint64_t sector, uint64_t sectors)
{
	return sector <= blk->sectors && sectors <= blk->sectors - sector;
}

/* Each of these says whether the disk has to do something, or else `*status`. */

static bool prepare_transfer(struct request *request, uint64_t sector, uint64_t size,
        const struct iovec *iov, unsigned iov_count, uint8_t *status)
{
	struct disk_request *disk = &request->disk;

	if (size % SECTOR || !in_bounds(request->blk, sector, size / SECTOR)) {
		*status = VIRTIO_BLK_S_IOERR;
		return false;
	}
	disk->offset = sector * SECTOR;
	disk->size = size;
	disk->iov = iov;
	disk->iov_count = iov_count;
	*status = VIRTIO_BLK_S_OK;
	return size > 0;
}

/* 5.2.6.2: UNSUPP for flags that are unknown, or have no meaning for a discard. */
static bool prepare_range(struct request *request, const struct iovec *out,
        unsigned out_count, uint8_t *status)
{
	struct disk_request *disk = &request->disk;
	bool discard = disk->operation == DISK_DISCARD;
	struct virtio_blk_discard_write_zeroes range;

	*status = VIRTIO_BLK_S_IOERR;
	if (request->chain.out_size != sizeof(range))
		return false;
	iov_read(out, out_count, 0, &range, sizeof(range));
	uint32_t flags = le32toh(range.flags), sectors = le32toh(range.num_sectors);
	uint64_t sector = le64toh(range.sector);

	if (flags & ~(discard ? 0U : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)) {
		*status = VIRTIO_BLK_S_UNSUPP;
		return false;
	}
	if (sectors > (discard ? DISCARD_SECTORS : ZERO_SECTORS) ||
	        !in_bounds(request->blk, sector, sectors))
		return false;
	disk->unmap = flags != 0;
	disk->offset = sector * SECTOR;
	disk->size = (uint64_t)sectors * SECTOR;
	*status = VIRTIO_BLK_S_OK;
	return sectors > 0;
}

static bool prepare(struct request *request, uint32_t type, uint64_t sector,
        const struct iovec *out, unsigned out_count, const struct iovec *in,
        unsigned in_count, uint8_t *status)
{
	struct virtio_blk *blk = request->blk;
	const struct disk_info *info = disk_info(blk->disk);
	struct disk_request *disk = &request->disk;
	const struct chain *chain = &request->chain;
	size_t id_size = sizeof(blk->id);

	*disk = (struct disk_request){.done = disk_done};
	request->written = 0;
	switch (type) {
	case VIRTIO_BLK_T_IN:
		disk->operation = DISK_READ;
		request->written = chain->in_size;
		return prepare_transfer(
		        request, sector, chain->in_size, in, in_count, status);
	case VIRTIO_BLK_T_OUT:
		disk->operation = DISK_WRITE;
		/* 5.2.6.2: a driver that cannot flush expects every write to last. */
		disk->stable = !virtio_has(&blk->virtio, VIRTIO_BLK_F_FLUSH);
		*status = VIRTIO_BLK_S_IOERR;
		return !info->readonly &&
		       prepare_transfer(request, sector, chain->out_size, out,
		               out_count, status);
	case VIRTIO_BLK_T_FLUSH:
		disk->operation = DISK_FLUSH;
		*status = VIRTIO_BLK_S_OK;
		return !info->readonly;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		disk->operation =
		        type == VIRTIO_BLK_T_DISCARD ? DISK_DISCARD : DISK_ZERO;
		*status = info->readonly ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_UNSUPP;
		return info->discard && prepare_range(request, out, out_count, status);
	case VIRTIO_BLK_T_GET_ID:
		if (id_size > chain->in_size)
			id_size = chain->in_size;
		request->written = iov_write(in, in_count, 0, blk->id, id_size);
		*status = VIRTIO_BLK_S_OK;
		return false;
	default:
		*status = VIRTIO_BLK_S_UNSUPP;
		return false;
	}
}

static void start(struct request *request)
{
	struct virtio_blk *blk = request->blk;
	struct virtio_blk_outhdr header;
	struct iovec *out, *in;
	unsigned out_count, in_count;
	uint8_t status;

	if (!dissect(request, &header, &out, &out_count, &in, &in_count)) {
		blk->free[blk->free_count++] = request - blk->requests;
		virtio_needs_reset(&blk->virtio, "a request without header or status");
		return;
	}
	if (prepare(request, le32toh(header.type), le64toh(header.sector), out,
	            out_count, in, in_count, &status))
		disk_submit(blk->disk, &request->disk); /* may be free again now */
	else
		finish(request, status);
}

/* Starts one request of the ring; false if there is none, or no room for it. */
static bool start_next(struct virtio_blk *blk, uint64_t *bytes)
{
	if (blk->free_count == 0)
		return false;
	struct request *request = &blk->requests[blk->free[blk->free_count - 1]];
	if (virtio_pop(&blk->virtio, 0, &request->chain) == 0)
		return false;
	blk->free_count--;
	request->blk = blk;
	*bytes += request->chain.out_size + request->chain.in_size;
	start(request);
	return true;
}

/*
 * Starts what the ring holds, as one batch for the kernel; again if all slots were taken and
 * that made room, for what ended in there may be all that was under way. So it ends with an
 * empty ring, or with requests under way whose end leads back here, or with a call for later.
 */
static void run(struct virtio_blk *blk)
{
	unsigned started = 0;
	uint64_t bytes = 0;
	bool enough, full;

	do {
		while (!(enough = started >= KICK_MAX || bytes >= KICK_BYTES) &&
		        start_next(blk, &bytes))
			started++;
		full = blk->free_count == 0;
		disk_flush_queue(blk->disk);
	} while (full && blk->free_count > 0 && !enough);
	virtio_notify(&blk->virtio, 0);
	if (enough)
		virtio_kick_later(&blk->virtio, 0);
}

static void blk_kick(struct virtio *virtio, unsigned queue)
{
	(void)queue;
	run((struct virtio_blk *)virtio);
}

static void blk_settled(void *context)
{
	run(context);
}

static int blk_attach(struct virtio *virtio)
{
	struct virtio_blk *blk = (struct virtio_blk *)virtio;

	return disk_start(blk->disk, virtio->host->loop, virtio->lock, REQUESTS,
	        blk_settled, blk);
}

static void blk_drain(struct virtio *virtio)
{
	struct virtio_blk *blk = (struct virtio_blk *)virtio;

	disk_drain(blk->disk);
	virtio_notify(virtio, 0);
}

static void blk_reset(struct virtio *virtio)
{
	disk_cancel(((struct virtio_blk *)virtio)->disk);
}

static void blk_destroy(struct virtio *virtio)
{
	struct virtio_blk *blk = (struct virtio_blk *)virtio;

	disk_close(blk->disk);
	free(blk->requests);
}

static const struct virtio_type blk_type = {
        .name = "virtio-blk",
        .device_id = VIRTIO_ID_BLOCK,
        .queue_count = 1,
        .queue_size = QUEUE_SIZE,
        .config_offset = offsetof(struct virtio_blk, config),
        /* 5.2.4: up to and with write_zeroes_may_unmap and its padding. */
        .config_size = offsetof(struct virtio_blk_config, unused1) + 3,
        .attach = blk_attach,
        .kick = blk_kick,
        .reset = blk_reset,
        .pause = blk_drain,
        .destroy = blk_destroy,
};

/* What `info` says, as the driver is told: the configuration, and the features. */
static uint64_t fill_config(
        struct virtio_blk_config *config, const struct disk_info *info)
{
	uint64_t features = 1 << VIRTIO_BLK_F_SEG_MAX | 1 << VIRTIO_BLK_F_BLK_SIZE |
	                    1 << VIRTIO_BLK_F_FLUSH;

	config->capacity = htole64(info->size / SECTOR);
	config->seg_max = htole32(QUEUE_SIZE - 2); /* header and status */
	config->blk_size = htole32(SECTOR);
	if (info->readonly)
		features |= 1 << VIRTIO_BLK_F_RO;
	if (info->discard) {
		features |= 1 << VIRTIO_BLK_F_DISCARD | 1 << VIRTIO_BLK_F_WRITE_ZEROES;
		config->max_discard_sectors = htole32(DISCARD_SECTORS);
		config->max_discard_seg = htole32(1);
		config->discard_sector_alignment = htole32(1);
		config->max_write_zeroes_sectors = htole32(ZERO_SECTORS);
		config->max_write_zeroes_seg = htole32(1);
		config->write_zeroes_may_unmap = 1;
	}
	return features;
}

struct virtio *virtio_blk_create(
        struct device_host *host, struct disk *disk, const char *id)
{
	const struct disk_info *info = disk_info(disk);
	struct virtio_blk *blk = virtio_create(sizeof(*blk), &blk_type, host, 0);

	if (!blk) {
		disk_close(disk);
		return NULL;
	}
	blk->disk = disk;
	blk->requests = calloc(REQUESTS, sizeof(*blk->requests));
	if (!blk->requests) {
		log_error(-ENOMEM, "virtio-blk: out of memory");
		virtio_destroy(&blk->virtio);
		return NULL;
	}
	blk->virtio.features |= fill_config(&blk->config, info);
	blk->sectors = info->size / SECTOR;
	if (id)
		memcpy(blk->id, id, strnlen(id, sizeof(blk->id)));
	while (blk->free_count < REQUESTS) {
		blk->free[blk->free_count] = REQUESTS - 1 - blk->free_count;
		blk->free_count++;
	}
	return &blk->virtio;
}
