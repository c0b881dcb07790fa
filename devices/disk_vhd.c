/*
 * Microsoft's "Virtual Hard Disk Image Format Specification" of 2006: fixed disks, whose
 * bytes stand before a footer, and dynamic ones, with a table of blocks. All big-endian.
 *
 * A block's bitmap of sectors matters to differencing disks alone: what was not written
 * of an allocated block is zero anyhow.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/disk_format.h"
#include "vmm/log.h"

enum {
	TYPE_FIXED = 2,
	TYPE_DYNAMIC = 3,
	TYPE_DIFFERENCING = 4,
	/* More than the 2040 GiB that the format allows, in blocks of 512 KiB. */
	BLOCKS_MAX = 1 << 22,
	BLOCK_SIZE_MAX = 256 << 20,
};

static const uint32_t UNALLOCATED = UINT32_MAX;

struct vhd_footer {
	char cookie[8]; /* "conectix" */
	uint32_t features, version;
	uint64_t data_offset;
	uint32_t timestamp, creator, creator_version, creator_host;
	uint64_t original_size, current_size;
	uint32_t geometry, type, checksum;
	uint8_t rest[512 - 68];
} __attribute__((packed));

struct vhd_header {
	char cookie[8]; /* "cxsparse" */
	uint64_t data_offset, table_offset;
	uint32_t version, entries, block_size, checksum;
	uint8_t rest[1024 - 40];
} __attribute__((packed));

struct vhd {
	uint64_t data_size; /* of the file before the footer */
	bool dynamic;
	uint32_t block_size, bitmap_size;
	uint32_t *blocks; /* as they are in the file: sectors, big-endian */
};

/* "The one's complement of the sum of all the bytes without the checksum." */
static bool is_intact(const void *data, size_t size, uint32_t checksum)
{
	const uint8_t *bytes = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += bytes[i];
	for (unsigned i = 0; i < 4; i++)
		sum -= checksum >> 8 * i & 0xff;
	return be32toh(checksum) == ~sum;
}

static int damaged(const struct disk_config *config, const char *what)
{
	return log_error(
	        -EINVAL, "--disk: '%s' is a damaged vhd: %s", config->path, what);
}

static int dynamic_open(struct disk *disk, const struct disk_config *config,
        const struct vhd_footer *footer)
{
	struct vhd *vhd = disk->format;
	struct vhd_header header;
	uint64_t table = 0, count;
	int error = disk_pread(
	        disk->fd, &header, sizeof(header), be64toh(footer->data_offset));

	if (error || memcmp(header.cookie, "cxsparse", sizeof(header.cookie)) ||
	        !is_intact(&header, sizeof(header), header.checksum))
		return damaged(config, "its header");
	vhd->block_size = be32toh(header.block_size);
	if (vhd->block_size < DISK_SECTOR || vhd->block_size > BLOCK_SIZE_MAX ||
	        vhd->block_size & (vhd->block_size - 1))
		return damaged(config, "its size of blocks");
	/* A bit a sector, in whole sectors. */
	vhd->bitmap_size = (vhd->block_size / DISK_SECTOR + 7) / 8;
	vhd->bitmap_size = (vhd->bitmap_size + DISK_SECTOR - 1) & -DISK_SECTOR;
	count = disk->info.size / vhd->block_size +
	        (disk->info.size % vhd->block_size != 0);
	if (count > be32toh(header.entries) || count > BLOCKS_MAX)
		return damaged(config, "its table is too small");
	table = be64toh(header.table_offset);
	if (table > disk->file_size || count * 4 > disk->file_size - table)
		return damaged(config, "its table is not in the file");
	vhd->blocks = malloc(count * 4);
	if (!vhd->blocks)
		return log_error(-ENOMEM, "--disk: out of memory");
	error = disk_pread(disk->fd, vhd->blocks, count * 4, table);
	return error ? damaged(config, "its table cannot be read") : 0;
}

static int vhd_open(struct disk *disk, const struct disk_config *config)
{
	struct vhd_footer footer;
	struct vhd *vhd = calloc(1, sizeof(*vhd));
	uint32_t type;
	int error;

	if (!vhd)
		return log_error(-ENOMEM, "--disk: out of memory");
	disk->format = vhd;
	if (!disk->info.readonly)
		return log_error(-ENOTSUP,
		        "--disk: '%s': a vhd is not written: say ,ro, or ,ephemeral to "
		        "throw away what is written",
		        config->path);
	error = disk->file_size < sizeof(footer)
	                ? -EINVAL
	                : disk_pread(disk->fd, &footer, sizeof(footer),
	                          disk->file_size - sizeof(footer));
	if (error || memcmp(footer.cookie, "conectix", sizeof(footer.cookie)))
		return log_error(-EINVAL,
		        "--disk: '%s' is no vhd: it does not end with a footer (is it "
		        "complete?)",
		        config->path);
	if (!is_intact(&footer, sizeof(footer), footer.checksum))
		return damaged(config, "its footer's checksum");
	vhd->data_size = disk->file_size - sizeof(footer);
	disk->info.size = be64toh(footer.current_size);
	type = be32toh(footer.type);
	if (type == TYPE_DIFFERENCING)
		return log_error(-ENOTSUP,
		        "--disk: '%s' holds only the difference to another vhd: "
		        "convert it (qemu-img convert)",
		        config->path);
	if (type == TYPE_FIXED)
		return disk->info.size > vhd->data_size
		               ? damaged(config, "its file is too short")
		               : 0;
	vhd->dynamic = type == TYPE_DYNAMIC;
	return vhd->dynamic ? dynamic_open(disk, config, &footer)
	                    : damaged(config, "its type");
}

static void vhd_close(struct disk *disk)
{
	struct vhd *vhd = disk->format;

	if (vhd)
		free(vhd->blocks);
	free(vhd);
}

static int vhd_find(
        struct disk *disk, uint64_t offset, uint64_t size, struct extent *extent)
{
	const struct vhd *vhd = disk->format;
	uint64_t host = offset;
	uint32_t within, block;

	*extent = (struct extent){.kind = EXTENT_DATA, .fd = disk->fd, .size = size};
	if (vhd->dynamic) {
		within = offset % vhd->block_size;
		block = vhd->blocks[offset / vhd->block_size];
		if (extent->size > vhd->block_size - within)
			extent->size = vhd->block_size - within;
		if (block == UNALLOCATED)
			extent->kind = EXTENT_ZERO;
		host = (uint64_t)be32toh(block) * DISK_SECTOR + vhd->bitmap_size +
		       within;
	}
	extent->offset = host;
	if (extent->kind == EXTENT_DATA &&
	        (host > vhd->data_size || extent->size > vhd->data_size - host))
		return -EIO;
	return 0;
}

const struct disk_type disk_vhd = {
        .name = "vhd",
        .ending = ".vhd",
        .open = vhd_open,
        .close = vhd_close,
        .find = vhd_find,
};
