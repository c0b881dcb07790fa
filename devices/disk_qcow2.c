/*
 * qcow2, versions 2 and 3 (QEMU's docs/interop/qcow2.txt): the header, and where a range
 * of the disk lies in the file.
 *
 * Features that change what the file means are refused by name: encryption, an external
 * data file, and whatever is not known; extended L2 entries are read. A backing file is only used
 * if the user asks for that: its name is a path of the host that whoever wrote the image
 * has chosen.
 */
#include "devices/disk_qcow2.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"

/* Header extensions. */
enum { EXTENSION_END = 0, EXTENSION_MAX = 64 };
static const uint32_t EXTENSION_BACKING_FORMAT = 0xe2792aca;

enum {
	BACKING_NAME_MAX = 1023,
	DISK_SECTOR_BITS = 9,
	PART_BITS = 5, /* of a cluster, with extended L2 entries */
};

static const struct {
	uint64_t bit;
	const char *what;
	bool reads; /* it can be read all the same */
} incompatible[] = {
        {1 << 0, "was not closed (qemu-img check -r all FILE repairs it)", true},
        {1 << 1, "is marked as corrupt (qemu-img check -r all FILE repairs it)", true},
        {1 << 2, "keeps its data in another file: convert it (qemu-img convert)",
                false},
        {1 << 4,
                "has extended L2 entries, which are only read (,ro or ,ephemeral): "
                "convert it (qemu-img convert)",
                true},
};
static const uint64_t COMPRESSION_TYPE = 1 << 3, EXTENDED_L2 = 1 << 4;

static uint32_t get32(const uint8_t *header, unsigned at)
{
	uint32_t value;

	memcpy(&value, header + at, sizeof(value));
	return be32toh(value);
}

static uint64_t get64(const uint8_t *header, unsigned at)
{
	uint64_t value;

	memcpy(&value, header + at, sizeof(value));
	return be64toh(value);
}

static int damaged(const struct disk_config *config, const char *what)
{
	return log_error(
	        -EINVAL, "--disk: '%s' is a damaged qcow2: %s", config->path, what);
}

static int refuse(const struct disk_config *config, const char *what)
{
	return log_error(-ENOTSUP, "--disk: the qcow2 '%s' %s", config->path, what);
}

static int features_check(const struct disk *disk, const struct disk_config *config,
        const uint8_t *header)
{
	uint64_t features = get64(header, 72);

	for (unsigned i = 0; i < sizeof(incompatible) / sizeof(incompatible[0]); i++) {
		bool reads = incompatible[i].reads && disk->info.readonly;

		if (features & incompatible[i].bit && !reads)
			return refuse(config, incompatible[i].what);
		features &= ~incompatible[i].bit;
	}
	if (features & ~COMPRESSION_TYPE)
		return refuse(config, "needs features that Mayfly does not know");
	return 0;
}

static int geometry_read(
        struct disk *disk, const struct disk_config *config, const uint8_t *header)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t features, span, size = get64(header, 24);

	qcow2->version = get32(header, 4);
	if (qcow2->version != 2 && qcow2->version != 3)
		return refuse(config, "is of a version that Mayfly does not know");
	if (get32(header, 32))
		return refuse(config, "is encrypted: convert it (qemu-img convert)");
	qcow2->cluster_bits = get32(header, 20);
	if (qcow2->cluster_bits < QCOW2_CLUSTER_BITS_MIN ||
	        qcow2->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
		return damaged(config, "its size of clusters");
	qcow2->cluster_size = UINT64_C(1) << qcow2->cluster_bits;
	qcow2->l2_bits = qcow2->cluster_bits - 3;
	qcow2->refcount_order = 4;
	if (qcow2->version == 3) {
		int error = features_check(disk, config, header);

		if (error)
			return error;
		features = get64(header, 72);
		qcow2->refcount_order = get32(header, 96);
		if (qcow2->refcount_order > 6 || get32(header, 100) < QCOW2_HEADER)
			return damaged(config, "its header");
		if (features & COMPRESSION_TYPE && get32(header, 100) > QCOW2_HEADER) {
			if (header[QCOW2_HEADER] > 1)
				return refuse(config,
				        "is compressed in a way that Mayfly does not "
				        "know");
			qcow2->packing =
			        header[QCOW2_HEADER] ? PACKING_ZSTD : PACKING_DEFLATE;
		}
		if (features & EXTENDED_L2) {
			qcow2->part_bits = PART_BITS;
			qcow2->l2_bits--;
			if (qcow2->cluster_bits < DISK_SECTOR_BITS + PART_BITS)
				return damaged(config, "its size of clusters");
		}
	}
	if (!size || size > INT64_MAX)
		return damaged(config, "its size");
	disk->info.size = size;
	span = UINT64_C(1) << (qcow2->cluster_bits + qcow2->l2_bits);
	qcow2->l1_count = size / span + (size % span != 0);
	qcow2->l1_offset = get64(header, 40);
	if (qcow2->l1_count > get32(header, 36) ||
	        qcow2->l1_count > QCOW2_L1_MAX / sizeof(*qcow2->l1))
		return damaged(config, "its L1 table is too small for its size");
	if (qcow2->l1_offset % qcow2->cluster_size ||
	        qcow2->l1_offset < qcow2->cluster_size ||
	        qcow2->l1_offset > disk->file_size ||
	        qcow2->l1_count * 8 > disk->file_size - qcow2->l1_offset)
		return damaged(config, "its L1 table is not in the file");
	return 0;
}

static int tables_read(struct disk *disk, const struct disk_config *config)
{
	struct qcow2 *qcow2 = disk->format;

	qcow2->l1 = malloc(qcow2->l1_count * sizeof(*qcow2->l1));
	if (!qcow2->l1 || qcow2_cache_create(&qcow2->l2, qcow2->cluster_size) ||
	        unpacker_create(&qcow2->unpacker, qcow2->cluster_size,
	                2 * qcow2->cluster_size + DISK_SECTOR,
	                qcow2->packing == PACKING_ZSTD))
		return log_error(-ENOMEM, "--disk: out of memory");
	if (disk_pread(disk->fd, qcow2->l1, qcow2->l1_count * 8, qcow2->l1_offset))
		return damaged(config, "its L1 table cannot be read");
	for (uint64_t i = 0; i < qcow2->l1_count; i++)
		qcow2->l1[i] = be64toh(qcow2->l1[i]);
	return 0;
}

/* The extension that says what the backing file is; DISK_BY_NAME if there is none. */
static enum disk_format backing_format(
        const struct disk *disk, const struct qcow2 *qcow2, const uint8_t *header)
{
	uint64_t at = qcow2->version == 3 ? get32(header, 100) : 72;
	uint8_t extension[8];
	char name[8] = "";

	for (unsigned i = 0; i < EXTENSION_MAX && at < qcow2->cluster_size; i++) {
		uint32_t kind, size;

		if (disk_pread(disk->fd, extension, sizeof(extension), at))
			break;
		kind = get32(extension, 0);
		size = get32(extension, 4);
		if (kind == EXTENSION_END || size > qcow2->cluster_size)
			break;
		if (kind == EXTENSION_BACKING_FORMAT) {
			if (size >= sizeof(name) ||
			        disk_pread(disk->fd, name, size, at + 8))
				break;
			if (!strcmp(name, "raw"))
				return DISK_RAW;
			return !strcmp(name, "qcow2")  ? DISK_QCOW2
			       : !strcmp(name, "vpc")  ? DISK_VHD
			       : !strcmp(name, "vmdk") ? DISK_VMDK
			                               : DISK_BY_NAME;
		}
		at += 8 + ((uint64_t)size + 7) / 8 * 8;
	}
	return DISK_BY_NAME;
}

/* A name that is no absolute path starts where the image is. */
static char *backing_path(const char *path, const char *name)
{
	const char *slash = *name == '/' ? NULL : strrchr(path, '/');
	size_t folder = slash ? (size_t)(slash + 1 - path) : 0;
	char *made = malloc(folder + strlen(name) + 1);

	if (made) {
		memcpy(made, path, folder);
		strcpy(made + folder, name);
	}
	return made;
}

static int backing_open(
        struct disk *disk, const struct disk_config *config, const uint8_t *header)
{
	char name[BACKING_NAME_MAX + 1] = "";
	uint64_t offset = get64(header, 8);
	uint32_t size = get32(header, 16);
	struct disk_config below = {.backing = true, .readonly = true};
	char *path;

	if (!offset || !size)
		return 0;
	if (size > BACKING_NAME_MAX || disk_pread(disk->fd, name, size, offset))
		return damaged(config, "the name of its backing file");
	if (!config->backing)
		return log_error(-EPERM,
		        "--disk: '%s' is based on '%s', which is read only if you say "
		        "so: --disk %s,backing, or --backing if it is the IMAGE",
		        config->path, name, config->path);
	path = backing_path(config->path, name);
	if (!path)
		return log_error(-ENOMEM, "--disk: out of memory");
	below.path = path;
	below.format = backing_format(disk, disk->format, header);
	disk->below = disk_open_below(&below, disk->depth + 1);
	free(path);
	return disk->below ? 0 : -EIO;
}

static int qcow2_open(struct disk *disk, const struct disk_config *config)
{
	struct qcow2 *qcow2 = calloc(1, sizeof(*qcow2));
	uint8_t header[QCOW2_HEADER + 8] = {0};
	size_t size = sizeof(header);
	int error;

	if (!qcow2)
		return log_error(-ENOMEM, "--disk: out of memory");
	disk->format = qcow2;
	if (size > disk->file_size)
		size = disk->file_size;
	if (disk_pread(disk->fd, header, size, 0) || memcmp(header, "QFI\xfb", 4))
		return log_error(-EINVAL,
		        "--disk: '%s' is no qcow2: its header is missing",
		        config->path);
	error = geometry_read(disk, config, header);
	if (!error)
		error = tables_read(disk, config);
	if (!error && !disk->info.readonly)
		error = qcow2_write_open(disk, config, header);
	if (!error)
		error = backing_open(disk, config, header);
	return error;
}

static void qcow2_close(struct disk *disk)
{
	struct qcow2 *qcow2 = disk->format;

	if (!qcow2)
		return;
	qcow2_write_close(disk);
	unpacker_destroy(qcow2->unpacker);
	free(qcow2->l2.memory);
	free(qcow2->l1);
	free(qcow2);
}

/* Tables. */

int qcow2_cache_create(struct qcow2_cache *cache, uint64_t cluster_size)
{
	uint64_t count = QCOW2_CACHE >> __builtin_ctzll(cluster_size);

	count = count < QCOW2_TABLES_MIN   ? QCOW2_TABLES_MIN
	        : count > QCOW2_TABLES_MAX ? QCOW2_TABLES_MAX
	                                   : count;
	/* Pages that are never used cost nothing. */
	cache->memory = malloc(count * cluster_size);
	if (!cache->memory)
		return -ENOMEM;
	cache->count = (unsigned)count;
	for (unsigned i = 0; i < count; i++) {
		cache->tables[i].index = UINT64_MAX;
		cache->tables[i].data = (char *)cache->memory + i * cluster_size;
	}
	return 0;
}

int qcow2_table(struct disk *disk, struct qcow2_cache *cache, uint64_t index,
        uint64_t offset, struct qcow2_table **table)
{
	struct qcow2 *qcow2 = disk->format;
	struct qcow2_table *found = &cache->tables[cache->last];
	int error;

	for (unsigned i = 0; found->index != index && i < cache->count; i++)
		found = &cache->tables[i];
	if (found->index != index) {
		found = &cache->tables[cache->next];
		cache->next = (cache->next + 1) % cache->count;
		if (found->dirty) {
			error = cache == &qcow2->l2 ? qcow2_sync(disk)
			                            : qcow2_refcounts_write(disk);
			if (error)
				return error;
		}
		found->index = UINT64_MAX;
		error = disk_pread(disk->fd, found->data, qcow2->cluster_size, offset);
		if (error)
			return error;
		found->index = index;
	}
	cache->last = (unsigned)(found - cache->tables);
	*table = found;
	return 0;
}

bool qcow2_is_cluster(const struct disk *disk, uint64_t offset)
{
	const struct qcow2 *qcow2 = disk->format;

	return offset % qcow2->cluster_size == 0 && offset >= qcow2->cluster_size &&
	       offset < disk->file_size &&
	       (offset < qcow2->l1_offset ||
	               offset >= qcow2->l1_offset + qcow2->l1_count * 8) &&
	       (offset < qcow2->reftable_offset ||
	               offset >= qcow2->reftable_offset + qcow2->reftable_count * 8);
}

/* Clusters. */

int qcow2_find_packed(const struct disk *disk, uint64_t entry, struct extent *extent)
{
	const struct qcow2 *qcow2 = disk->format;
	/* "Compressed Clusters Descriptor": the offset, then sectors beyond the first. */
	unsigned shift = 62 - (qcow2->cluster_bits - 8);
	uint64_t offset = entry & ((UINT64_C(1) << shift) - 1);
	uint64_t sectors = (entry & (QCOW2_COMPRESSED - 1)) >> shift;

	extent->kind = EXTENT_PACKED;
	extent->packed = offset;
	extent->packed_size = (sectors + 1) * DISK_SECTOR - offset % DISK_SECTOR;
	if (offset >= disk->file_size)
		return -EIO;
	if (extent->packed_size > disk->file_size - offset)
		extent->packed_size = disk->file_size - offset;
	return 0;
}

/* One cluster: DATA with its start as the offset. */
static int find_cluster(const struct disk *disk, uint64_t entry, struct extent *extent)
{
	const struct qcow2 *qcow2 = disk->format;

	if (entry & QCOW2_COMPRESSED)
		return qcow2_find_packed(disk, entry, extent);
	if (entry &
	        (qcow2->version == 2 ? QCOW2_RESERVED | QCOW2_ZERO : QCOW2_RESERVED))
		return -EIO;
	extent->offset = entry & QCOW2_OFFSET;
	if (entry & QCOW2_ZERO)
		extent->kind = EXTENT_ZERO;
	else
		extent->kind = extent->offset ? EXTENT_DATA : EXTENT_BELOW;
	if (extent->kind == EXTENT_DATA && !qcow2_is_cluster(disk, extent->offset))
		return -EIO;
	return 0;
}

/*
 * The part of the table's clusters with this number, DATA with its start as the offset. With
 * extended entries, half of one says which parts are there, and which are zero; a part is a
 * cluster else.
 */
static int find_part(const struct disk *disk, const uint64_t *entries, uint64_t part,
        struct extent *extent)
{
	const struct qcow2 *qcow2 = disk->format;
	uint64_t entry, parts, index;
	int error;

	if (!qcow2->part_bits)
		return find_cluster(disk, be64toh(entries[part]), extent);
	index = part >> qcow2->part_bits;
	part &= (UINT64_C(1) << qcow2->part_bits) - 1;
	entry = be64toh(entries[2 * index]);
	parts = be64toh(entries[2 * index + 1]) >> part;
	error = find_cluster(disk, entry, extent);
	if (error || extent->kind == EXTENT_PACKED)
		return error;
	if (entry & QCOW2_ZERO)
		return -EIO;
	if (parts & 1 && (parts >> 32 & 1 || extent->kind != EXTENT_DATA))
		return -EIO;
	extent->kind = parts & 1         ? EXTENT_DATA
	               : parts >> 32 & 1 ? EXTENT_ZERO
	                                 : EXTENT_BELOW;
	extent->offset += part << (qcow2->cluster_bits - qcow2->part_bits);
	return 0;
}

/* The file may end within its last cluster: what is missing is zero. */
static void end_cut(const struct disk *disk, struct extent *extent)
{
	if (extent->offset >= disk->file_size)
		extent->kind = EXTENT_ZERO;
	else if (extent->size > disk->file_size - extent->offset)
		extent->size = disk->file_size - extent->offset;
}

static int qcow2_find(
        struct disk *disk, uint64_t offset, uint64_t size, struct extent *extent)
{
	struct qcow2 *qcow2 = disk->format;
	unsigned bits = qcow2->cluster_bits - qcow2->part_bits;
	uint64_t span = UINT64_C(1) << (qcow2->cluster_bits + qcow2->l2_bits);
	uint64_t l1 = offset / span, part = offset % span >> bits;
	uint64_t within = offset & ((UINT64_C(1) << bits) - 1);
	uint64_t table_offset = qcow2->l1[l1] & QCOW2_OFFSET, length;
	struct qcow2_table *table;
	int error;

	if (size > span - offset % span)
		size = span - offset % span;
	*extent = (struct extent){.kind = EXTENT_BELOW, .fd = disk->fd, .size = size};
	if (!table_offset)
		return 0;
	if (!qcow2_is_cluster(disk, table_offset))
		return -EIO;
	error = qcow2_table(disk, &qcow2->l2, l1, table_offset, &table);
	if (!error)
		error = find_part(disk, table->data, part, extent);
	if (error)
		return error;
	length = (UINT64_C(1) << bits) - within;
	if (extent->kind == EXTENT_PACKED)
		length = qcow2->cluster_size - offset % qcow2->cluster_size;
	/* Those that follow each other are one extent. */
	while (length < size && extent->kind != EXTENT_PACKED) {
		struct extent next = {0};

		if (find_part(disk, table->data, ++part, &next) ||
		        next.kind != extent->kind ||
		        (next.kind == EXTENT_DATA &&
		                next.offset != extent->offset + within + length))
			break;
		length += UINT64_C(1) << bits;
	}
	if (size > length)
		extent->size = length;
	if (extent->kind == EXTENT_DATA) {
		extent->offset += within;
		end_cut(disk, extent);
	}
	return 0;
}

static int qcow2_unpack(struct disk *disk, uint64_t offset, const struct extent *extent,
        const void **data)
{
	struct qcow2 *qcow2 = disk->format;
	int error = unpacker_read(qcow2->unpacker, qcow2->packing, disk->fd,
	        extent->packed, extent->packed_size, data);

	if (!error)
		*data = (const char *)*data + (offset & (qcow2->cluster_size - 1));
	return error;
}

const struct disk_type disk_qcow2 = {
        .name = "qcow2",
        .ending = ".qcow2",
        .open = qcow2_open,
        .close = qcow2_close,
        .find = qcow2_find,
        .unpack = qcow2_unpack,
        .create = qcow2_create,
        .place = qcow2_place,
        .settle = qcow2_settle,
        .clear = qcow2_clear,
        .sync = qcow2_sync,
};
