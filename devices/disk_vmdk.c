/*
 * VMware's "Virtual Disk Format 5.0": a hosted sparse extent in one file, as
 * monolithicSparse or, its grains compressed, as streamOptimized. All little-endian, all
 * offsets in sectors. A grain directory names grain tables, which name grains.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/disk_format.h"
#include "vmm/log.h"

enum {
	FLAG_ZEROED_GRAINS = 1 << 2, /* an entry of 1 is a grain of zeroes */
	FLAG_COMPRESSED = 1 << 16,
	COMPRESSION_DEFLATE = 1,
	GRAIN_SIZE_MAX = 2 << 20,
	TABLE_ENTRIES_MAX = 1 << 14,
	DIRECTORY_MAX = 1 << 22,
	DESCRIPTOR_MAX = 64 << 10,
	PACKED_HEADER = 12, /* a grain's number and size before what is compressed */
	FOOTER_AT = 1024,   /* before the end, and there the end-of-stream marker */
};

struct vmdk_header {
	char magic[4]; /* "KDMV" */
	uint32_t version, flags;
	uint64_t capacity, grain_size;
	uint64_t descriptor_offset, descriptor_size;
	uint32_t table_entries;
	uint64_t redundant_directory, directory, overhead;
	uint8_t unclean, line_ends[4];
	uint16_t compression;
	uint8_t rest[512 - 79];
} __attribute__((packed));

struct vmdk {
	uint32_t flags;
	uint64_t grain_size, table_span; /* bytes that a grain, a table covers */
	uint32_t table_entries;
	uint32_t *directory; /* as in the file: sectors of the tables */
	uint64_t directory_entries;
	uint32_t *table; /* the one at sector `table_held`, as in the file */
	uint32_t table_held;
	struct unpacker *unpacker;
};

static int damaged(const struct disk_config *config, const char *what)
{
	return log_error(
	        -EINVAL, "--disk: '%s' is a damaged vmdk: %s", config->path, what);
}

static bool is_in_file(const struct disk *disk, uint64_t offset, uint64_t size)
{
	return offset <= disk->file_size && size <= disk->file_size - offset;
}

/* What the text says that this file is: no part of a larger thing. */
static int descriptor_check(const struct disk *disk, const struct disk_config *config,
        const struct vmdk_header *header)
{
	uint64_t offset = le64toh(header->descriptor_offset);
	uint64_t size = le64toh(header->descriptor_size);
	const char *parent;
	char *text;
	int error = 0;

	if (!offset || !size)
		return 0;
	if (size > DESCRIPTOR_MAX / DISK_SECTOR ||
	        offset > disk->file_size / DISK_SECTOR ||
	        !is_in_file(disk, offset * DISK_SECTOR, size * DISK_SECTOR))
		return damaged(config, "its descriptor is not in the file");
	text = calloc(1, size * DISK_SECTOR + 1);
	if (!text)
		return log_error(-ENOMEM, "--disk: out of memory");
	if (disk_pread(disk->fd, text, size * DISK_SECTOR, offset * DISK_SECTOR))
		error = damaged(config, "its descriptor cannot be read");
	parent = error ? NULL : strstr(text, "parentCID=");
	if (parent && strncasecmp(parent, "parentCID=ffffffff", 18))
		error = log_error(-ENOTSUP,
		        "--disk: '%s' holds only the difference to another vmdk: "
		        "convert it (qemu-img convert)",
		        config->path);
	free(text);
	return error;
}

static int header_read(
        struct disk *disk, const struct disk_config *config, struct vmdk_header *header)
{
	static const char magic[] = "KDMV", text[] = "# Disk DescriptorFile";
	char start[sizeof(text) - 1] = "";
	int error = disk_pread(disk->fd, header, sizeof(*header), 0);

	if (!disk_pread(disk->fd, start, sizeof(start), 0) &&
	        !memcmp(start, text, sizeof(start)))
		return log_error(-ENOTSUP,
		        "--disk: '%s' is a vmdk of several files: convert it (qemu-img "
		        "convert -O qcow2)",
		        config->path);
	if (error || memcmp(header->magic, magic, sizeof(header->magic)))
		return log_error(-EINVAL,
		        "--disk: '%s' is no vmdk: its header is missing", config->path);
	/* A stream knows where its directory is only at its end. */
	if (header->directory == UINT64_MAX &&
	        (disk->file_size < FOOTER_AT + sizeof(*header) ||
	                disk_pread(disk->fd, header, sizeof(*header),
	                        disk->file_size - FOOTER_AT) ||
	                memcmp(header->magic, magic, sizeof(header->magic))))
		return damaged(config, "its footer is missing (is it complete?)");
	if (le32toh(header->version) < 1 || le32toh(header->version) > 3)
		return log_error(-ENOTSUP, "--disk: '%s' is a vmdk of version %u",
		        config->path, le32toh(header->version));
	return 0;
}

static int directory_read(
        struct disk *disk, const struct disk_config *config, uint64_t sector)
{
	struct vmdk *vmdk = disk->format;
	uint64_t size;

	vmdk->directory_entries = disk->info.size / vmdk->table_span +
	                          (disk->info.size % vmdk->table_span != 0);
	size = vmdk->directory_entries * 4;
	if (vmdk->directory_entries > DIRECTORY_MAX)
		return damaged(config, "its directory is too large");
	if (sector > disk->file_size / DISK_SECTOR ||
	        !is_in_file(disk, sector * DISK_SECTOR, size))
		return damaged(config, "its directory is not in the file");
	vmdk->directory = malloc(size);
	vmdk->table = malloc(vmdk->table_entries * sizeof(*vmdk->table));
	if (!vmdk->directory || !vmdk->table)
		return log_error(-ENOMEM, "--disk: out of memory");
	if (disk_pread(disk->fd, vmdk->directory, size, sector * DISK_SECTOR))
		return damaged(config, "its directory cannot be read");
	return 0;
}

static int vmdk_open(struct disk *disk, const struct disk_config *config)
{
	struct vmdk *vmdk = calloc(1, sizeof(*vmdk));
	struct vmdk_header header;
	uint64_t capacity, grain;
	int error;

	if (!vmdk)
		return log_error(-ENOMEM, "--disk: out of memory");
	disk->format = vmdk;
	if (!disk->info.readonly)
		return log_error(-ENOTSUP,
		        "--disk: '%s': a vmdk is not written: say ,ro, or ,ephemeral "
		        "to throw away what is written",
		        config->path);
	error = header_read(disk, config, &header);
	if (!error)
		error = descriptor_check(disk, config, &header);
	if (error)
		return error;
	vmdk->flags = le32toh(header.flags);
	vmdk->table_entries = le32toh(header.table_entries);
	capacity = le64toh(header.capacity);
	grain = le64toh(header.grain_size);
	if (!grain || grain > GRAIN_SIZE_MAX / DISK_SECTOR || grain & (grain - 1))
		return damaged(config, "its size of grains");
	if (!vmdk->table_entries || vmdk->table_entries > TABLE_ENTRIES_MAX)
		return damaged(config, "its size of tables");
	if (capacity > INT64_MAX / DISK_SECTOR)
		return damaged(config, "its size");
	disk->info.size = capacity * DISK_SECTOR;
	vmdk->grain_size = grain * DISK_SECTOR;
	vmdk->table_span = vmdk->table_entries * vmdk->grain_size;
	error = directory_read(disk, config, le64toh(header.directory));
	if (error || !(vmdk->flags & FLAG_COMPRESSED))
		return error;
	if (le16toh(header.compression) != COMPRESSION_DEFLATE)
		return damaged(config, "its compression");
	/* deflate adds at most 5 bytes to each 16 KiB, zlib 6 in all. */
	if (unpacker_create(&vmdk->unpacker, vmdk->grain_size,
	            vmdk->grain_size + vmdk->grain_size / 1024 + DISK_SECTOR, false))
		return log_error(-ENOMEM, "--disk: out of memory");
	return 0;
}

static void vmdk_close(struct disk *disk)
{
	struct vmdk *vmdk = disk->format;

	if (!vmdk)
		return;
	unpacker_destroy(vmdk->unpacker);
	free(vmdk->directory);
	free(vmdk->table);
	free(vmdk);
}

static int table_read(struct disk *disk, uint32_t sector)
{
	struct vmdk *vmdk = disk->format;
	int error;

	if (vmdk->table_held == sector)
		return 0;
	vmdk->table_held = 0;
	error = disk_pread(disk->fd, vmdk->table,
	        vmdk->table_entries * sizeof(*vmdk->table),
	        (uint64_t)sector * DISK_SECTOR);
	if (!error)
		vmdk->table_held = sector;
	return error;
}

/* Where a compressed grain is, by the header that stands before it. */
static int find_packed(struct disk *disk, uint64_t grain, struct extent *extent)
{
	const struct vmdk *vmdk = disk->format;
	uint8_t header[PACKED_HEADER];
	uint64_t number;
	uint32_t size;
	int error = disk_pread(disk->fd, header, sizeof(header), extent->offset);

	if (error)
		return error;
	memcpy(&number, header, sizeof(number));
	memcpy(&size, header + sizeof(number), sizeof(size));
	if (le64toh(number) != grain * (vmdk->grain_size / DISK_SECTOR))
		return -EIO;
	extent->kind = EXTENT_PACKED;
	extent->packed = extent->offset + PACKED_HEADER;
	extent->packed_size = le32toh(size);
	return is_in_file(disk, extent->packed, extent->packed_size) ? 0 : -EIO;
}

static int vmdk_find(
        struct disk *disk, uint64_t offset, uint64_t size, struct extent *extent)
{
	struct vmdk *vmdk = disk->format;
	uint64_t within = offset % vmdk->grain_size;
	uint64_t grain = offset / vmdk->grain_size;
	uint32_t table = le32toh(vmdk->directory[offset / vmdk->table_span]), sector;
	int error;

	if (size > vmdk->grain_size - within)
		size = vmdk->grain_size - within;
	*extent = (struct extent){.kind = EXTENT_ZERO, .fd = disk->fd, .size = size};
	if (!table)
		return 0;
	error = table_read(disk, table);
	if (error)
		return error;
	sector = le32toh(vmdk->table[grain % vmdk->table_entries]);
	if (!sector || (sector == 1 && vmdk->flags & FLAG_ZEROED_GRAINS))
		return 0;
	extent->offset = (uint64_t)sector * DISK_SECTOR;
	if (vmdk->flags & FLAG_COMPRESSED)
		return find_packed(disk, grain, extent);
	extent->kind = EXTENT_DATA;
	extent->offset += within;
	return is_in_file(disk, extent->offset, size) ? 0 : -EIO;
}

static int vmdk_unpack(struct disk *disk, uint64_t offset, const struct extent *extent,
        const void **data)
{
	struct vmdk *vmdk = disk->format;
	int error = unpacker_read(vmdk->unpacker, PACKING_ZLIB, disk->fd,
	        extent->packed, extent->packed_size, data);

	if (!error)
		*data = (const char *)*data + offset % vmdk->grain_size;
	return error;
}

const struct disk_type disk_vmdk = {
        .name = "vmdk",
        .ending = ".vmdk",
        .open = vmdk_open,
        .close = vmdk_close,
        .find = vmdk_find,
        .unpack = vmdk_unpack,
};
