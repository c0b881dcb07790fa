/*
 * qcow2 that is written. Data goes into the file as it comes, but into clusters that
 * nothing there refers to yet: the tables change in memory alone until a flush, or until
 * a cache of them is full. qcow2_sync() then writes them in this order, with an fdatasync
 * between, so that whatever ends the monitor or the host finds a file that is whole, with
 * clusters lost at worst:
 *
 *     refcounts that rose (and the new blocks and tables of them)
 *     L2 tables, then the L1 entries of new ones
 *     refcounts that fall: of clusters that were replaced or discarded
 *
 * A write that needs new clusters claims the guest's until its data is there; whoever
 * needs the same ones waits. Internal snapshots share clusters: those have no COPIED flag
 * and are replaced, never changed.
 */
#include "devices/disk_qcow2.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/log.h"

enum { GROWTH = 1 << 20, CHUNK = 512 };

/* Offsets in the header. */
enum { HEADER_REFTABLE = 48, HEADER_AUTOCLEAR = 88 };

/* From here on the file is only made worse by writing. */
static int give_up(struct disk *disk, const char *what)
{
	struct qcow2 *qcow2 = disk->format;

	if (!qcow2->broken)
		log_error(0,
		        "--disk: '%s' is a damaged qcow2, nothing more is written: "
		        "%s (qemu-img check FILE tells more)",
		        disk->path, what);
	qcow2->broken = true;
	return -EIO;
}

static void range_add(struct qcow2_range *range, uint64_t index)
{
	if (range->from >= range->to)
		*range = (struct qcow2_range){index, index + 1};
	else if (index < range->from)
		range->from = index;
	else if (index >= range->to)
		range->to = index + 1;
}

/* Writes the entries of `range` of a table that lies at `offset`. */
static int range_write(
        int fd, const uint64_t *entries, struct qcow2_range *range, uint64_t offset)
{
	uint64_t chunk[CHUNK];

	while (range->from < range->to) {
		uint64_t count = range->to - range->from;
		int error;

		if (count > CHUNK)
			count = CHUNK;
		for (unsigned i = 0; i < count; i++)
			chunk[i] = htobe64(entries[range->from + i]);
		error = disk_pwrite(fd, chunk, count * sizeof(*chunk),
		        offset + range->from * sizeof(*chunk));
		if (error)
			return error;
		range->from += count;
	}
	return 0;
}

static int barrier(const struct disk *disk)
{
	return fdatasync(disk->fd) < 0 ? -errno : 0;
}

/* Refcounts. */

static unsigned block_bits(const struct qcow2 *qcow2)
{
	return qcow2->cluster_bits + 3 - qcow2->refcount_order;
}

static uint64_t refcount_get_at(
        const struct qcow2 *qcow2, const void *block, uint64_t i)
{
	const uint8_t *bytes = block;
	unsigned bits = 1U << qcow2->refcount_order, size = bits / 8;
	uint64_t value = 0;

	if (bits < 8)
		return bytes[i * bits / 8] >> i * bits % 8 & ((1U << bits) - 1);
	for (unsigned j = 0; j < size; j++)
		value = value << 8 | bytes[i * size + j];
	return value;
}

static void refcount_set_at(
        const struct qcow2 *qcow2, void *block, uint64_t i, uint64_t value)
{
	uint8_t *bytes = block;
	unsigned bits = 1U << qcow2->refcount_order, size = bits / 8;
	unsigned shift = i * bits % 8, mask = bits < 8 ? (1U << bits) - 1 : 0;

	if (bits < 8)
		bytes[i * bits / 8] =
		        (uint8_t)((bytes[i * bits / 8] & ~(mask << shift)) |
		                  value << shift);
	for (unsigned j = 0; j < size; j++)
		bytes[i * size + j] = (uint8_t)(value >> 8 * (size - 1 - j));
}

/* The block that counts `cluster`; NULL if there is none. */
static int block_find(struct disk *disk, uint64_t cluster, struct qcow2_table **block)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t region = cluster >> block_bits(qcow2);
	uint64_t offset = region < qcow2->reftable_count ? qcow2->reftable[region] : 0;

	*block = NULL;
	if (!offset)
		return 0;
	if (!qcow2_is_cluster(disk, offset))
		return give_up(disk, "a refcount block is not in the file");
	return qcow2_table(disk, &qcow2->refcounts, region, offset, block);
}

static uint64_t in_block(const struct qcow2 *qcow2, uint64_t cluster)
{
	return cluster & ((UINT64_C(1) << block_bits(qcow2)) - 1);
}

static int refcount_get(struct disk *disk, uint64_t cluster, uint64_t *value)
{
	struct qcow2 *qcow2 = disk->format;
	struct qcow2_table *block;
	int error = block_find(disk, cluster, &block);

	*value = 0;
	if (!error && block)
		*value = refcount_get_at(qcow2, block->data, in_block(qcow2, cluster));
	return error;
}

static int refcount_set(struct disk *disk, uint64_t cluster, uint64_t value);

/* The file reaches up to `cluster`; what is new of it is zero. */
static int file_grow(struct disk *disk, uint64_t cluster)
{
	const struct qcow2 *qcow2 = disk->format;
	uint64_t size = cluster << qcow2->cluster_bits;

	if (size <= disk->file_size)
		return 0;
	size = (size + GROWTH - 1) & ~(uint64_t)(GROWTH - 1);
	if (ftruncate(disk->fd, (off_t)size) < 0)
		return -errno;
	disk->file_size = size;
	return 0;
}

/*
 * A larger refcount table at the end of the file, which its own clusters are counted by.
 * The header names it at the next sync.
 */
static int reftable_grow(struct disk *disk, uint64_t region)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t room = qcow2->cluster_size / sizeof(*qcow2->reftable);
	uint64_t count = 2 * (region + room) / room * room;
	uint64_t clusters = count / room, first = qcow2->end;
	uint64_t *reftable;
	int error;

	if (count > QCOW2_REFTABLE_MAX / sizeof(*reftable))
		return -EFBIG;
	reftable = realloc(qcow2->reftable, count * sizeof(*reftable));
	if (!reftable)
		return -ENOMEM;
	qcow2->reftable = reftable;
	memset(reftable + qcow2->reftable_count, 0,
	        (count - qcow2->reftable_count) * sizeof(*reftable));
	error = file_grow(disk, first + clusters);
	if (error)
		return error;
	qcow2->reftable_old =
	        (struct qcow2_run){qcow2->reftable_offset >> qcow2->cluster_bits,
	                qcow2->reftable_count / room};
	qcow2->reftable_count = count;
	qcow2->reftable_offset = first << qcow2->cluster_bits;
	qcow2->reftable_changed = (struct qcow2_range){0, count};
	qcow2->end += clusters;
	for (uint64_t i = 0; i < clusters && !error; i++)
		error = refcount_set(disk, first + i, 1);
	return error;
}

/* A block at the end of the file: it counts itself, or another does so first. */
static int block_create(struct disk *disk, uint64_t region, struct qcow2_table **block)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t cluster = qcow2->end;
	bool own = cluster >> block_bits(qcow2) == region;
	int error = file_grow(disk, cluster + 1);

	if (error)
		return error;
	qcow2->end++;
	if (!own)
		error = refcount_set(disk, cluster, 1);
	if (!error)
		error = qcow2_table(disk, &qcow2->refcounts, region,
		        cluster << qcow2->cluster_bits, block);
	if (error)
		return error;
	if (own)
		refcount_set_at(qcow2, (*block)->data, in_block(qcow2, cluster), 1);
	qcow2->reftable[region] = cluster << qcow2->cluster_bits;
	range_add(&qcow2->reftable_changed, region);
	return 0;
}

static int refcount_set(struct disk *disk, uint64_t cluster, uint64_t value)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t region = cluster >> block_bits(qcow2);
	struct qcow2_table *block;
	int error = 0;

	if (region >= qcow2->reftable_count)
		error = reftable_grow(disk, region);
	if (!error)
		error = block_find(disk, cluster, &block);
	if (!error && !block)
		error = block_create(disk, region, &block);
	if (error)
		return error;
	refcount_set_at(qcow2, block->data, in_block(qcow2, cluster), value);
	block->dirty = true;
	return 0;
}

static int tables_write(
        struct disk *disk, struct qcow2_cache *cache, const uint64_t *offsets)
{
	const struct qcow2 *qcow2 = disk->format;
	int error = 0;

	for (unsigned i = 0; i < cache->count && !error; i++) {
		struct qcow2_table *table = &cache->tables[i];

		if (!table->dirty)
			continue;
		error = disk_pwrite(disk->fd, table->data, qcow2->cluster_size,
		        offsets[table->index] & QCOW2_OFFSET);
		table->dirty = error != 0;
	}
	return error;
}

static int header_write(struct disk *disk)
{
	const struct qcow2 *qcow2 = disk->format;
	struct {
		uint64_t offset;
		uint32_t clusters;
	} __attribute__((packed)) reftable = {
	        htobe64(qcow2->reftable_offset),
	        htobe32((uint32_t)(qcow2->reftable_count * 8 >> qcow2->cluster_bits)),
	};
	int error = barrier(disk);

	return error ? error
	             : disk_pwrite(
	                       disk->fd, &reftable, sizeof(reftable), HEADER_REFTABLE);
}

static bool has_dirty(const struct qcow2_cache *cache)
{
	for (unsigned i = 0; i < cache->count; i++)
		if (cache->tables[i].dirty)
			return true;
	return false;
}

int qcow2_refcounts_write(struct disk *disk)
{
	struct qcow2 *qcow2 = disk->format;
	int error = tables_write(disk, &qcow2->refcounts, qcow2->reftable);

	if (error || qcow2->reftable_changed.from >= qcow2->reftable_changed.to)
		return error;
	error = barrier(disk);
	if (!error)
		error = range_write(disk->fd, qcow2->reftable, &qcow2->reftable_changed,
		        qcow2->reftable_offset);
	if (!error && qcow2->reftable_old.count) {
		struct qcow2_run old = qcow2->reftable_old;

		error = header_write(disk);
		if (!error)
			qcow2->reftable_old.count = 0;
		/* It is free once the header is known to be there: as any other. */
		if (!error && qcow2->run_count < QCOW2_RUNS)
			qcow2->runs[qcow2->run_count++] = old;
	}
	return error;
}

/* Clusters. */

static int clusters_zero(struct disk *disk, uint64_t cluster, uint64_t count)
{
	const struct qcow2 *qcow2 = disk->format;
	uint64_t size = qcow2->cluster_size;
	int error = 0;

	if (!fallocate(disk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	            (off_t)(cluster * size), (off_t)(count * size)))
		return 0;
	memset(qcow2->copy, 0, size);
	for (uint64_t i = 0; i < count && !error; i++)
		error = disk_pwrite(disk->fd, qcow2->copy, size, (cluster + i) * size);
	return error;
}

/* From 1 to `wanted` clusters in a row, which read as zeroes. */
static int clusters_take(
        struct disk *disk, uint64_t wanted, uint64_t *first, uint64_t *count)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t cluster = qcow2->hint, end = qcow2->end, refcount = 0, taken;
	int error = 0;

	for (; cluster < end; cluster++) {
		error = refcount_get(disk, cluster, &refcount);
		if (error || !refcount)
			break;
	}
	for (taken = 0; taken < wanted && !error; taken++) {
		if (cluster + taken >= end)
			continue;
		error = refcount_get(disk, cluster + taken, &refcount);
		if (refcount)
			break;
		if (!qcow2_is_cluster(disk, (cluster + taken) << qcow2->cluster_bits))
			return give_up(disk, "a table is counted as free");
	}
	if (!error)
		error = file_grow(disk, cluster + taken);
	if (error)
		return error;
	if (cluster + taken > end)
		qcow2->end = cluster + taken;
	qcow2->hint = cluster + taken;
	*first = cluster;
	*count = taken;
	for (uint64_t i = 0; i < taken && !error; i++)
		error = refcount_set(disk, cluster + i, 1);
	if (!error && cluster < end)
		error = clusters_zero(
		        disk, cluster, (taken < end - cluster ? taken : end - cluster));
	return error;
}

/* They lose a reference once the tables without it are in the file. */
static void clusters_drop(struct disk *disk, uint64_t cluster, uint64_t count)
{
	struct qcow2 *qcow2 = disk->format;

	if (qcow2->run_count) {
		struct qcow2_run *last = &qcow2->runs[qcow2->run_count - 1];

		if (last->cluster + last->count == cluster) {
			last->count += count;
			return;
		}
	}
	/* Without room and without a way to make some, they are lost. */
	if (qcow2->run_count < QCOW2_RUNS || !qcow2_sync(disk))
		qcow2->runs[qcow2->run_count++] = (struct qcow2_run){cluster, count};
}

static void entry_drop(struct disk *disk, uint64_t entry)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t first, last;

	if (entry & QCOW2_COMPRESSED) {
		struct extent extent = {0};

		if (qcow2_find_packed(disk, entry, &extent))
			return;
		first = extent.packed >> qcow2->cluster_bits;
		last = (extent.packed + extent.packed_size - 1) >> qcow2->cluster_bits;
		/* A cluster shared by compressed ones loses one reference for each. */
		for (; first <= last; first++)
			clusters_drop(disk, first, 1);
	} else if (entry & QCOW2_OFFSET) {
		clusters_drop(disk, (entry & QCOW2_OFFSET) >> qcow2->cluster_bits, 1);
	}
}

/* Best effort: the blocks of what is free. */
static void clusters_punch(const struct disk *disk, uint64_t cluster, uint64_t count)
{
	const struct qcow2 *qcow2 = disk->format;

	if (count && fallocate(disk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	                     (off_t)(cluster << qcow2->cluster_bits),
	                     (off_t)(count << qcow2->cluster_bits)) < 0)
		log_debug("--disk: '%s': free clusters keep their blocks", disk->path);
}

/* What has a refcount of 0 then is given back to the host, too. */
static int run_free(struct disk *disk, const struct qcow2_run *run)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t free_from = 0, free_count = 0, refcount;
	int error = 0;

	for (uint64_t i = run->cluster; i < run->cluster + run->count && !error; i++) {
		if (!qcow2_is_cluster(disk, i << qcow2->cluster_bits))
			continue;
		error = refcount_get(disk, i, &refcount);
		if (error || !refcount)
			continue;
		error = refcount_set(disk, i, refcount - 1);
		if (error || refcount > 1)
			continue;
		if (i < qcow2->hint)
			qcow2->hint = i;
		if (free_from + free_count != i) {
			clusters_punch(disk, free_from, free_count);
			free_from = i;
			free_count = 0;
		}
		free_count++;
	}
	clusters_punch(disk, free_from, free_count);
	return error;
}

static int runs_free(struct disk *disk)
{
	struct qcow2 *qcow2 = disk->format;
	unsigned done = 0;
	int error = barrier(disk);

	while (done < qcow2->run_count && !error) {
		struct qcow2_run run = qcow2->runs[done];

		error = run_free(disk, &run);
		done++;
	}
	qcow2->run_count = 0;
	return error ? error : qcow2_refcounts_write(disk);
}

int qcow2_sync(struct disk *disk)
{
	struct qcow2 *qcow2 = disk->format;
	bool l1 = qcow2->l1_changed.from < qcow2->l1_changed.to;
	int error;

	if (disk->info.readonly)
		return 0;
	if (qcow2->broken)
		return -EIO;
	error = qcow2_refcounts_write(disk);
	if (!error && has_dirty(&qcow2->l2)) {
		error = barrier(disk);
		if (!error)
			error = tables_write(disk, &qcow2->l2, qcow2->l1);
	}
	if (!error && l1) {
		error = barrier(disk);
		if (!error)
			error = range_write(disk->fd, qcow2->l1, &qcow2->l1_changed,
			        qcow2->l1_offset);
	}
	if (!error && qcow2->run_count)
		error = runs_free(disk);
	return error;
}

/* Writes. */

static uint64_t l2_count(const struct qcow2 *qcow2)
{
	return UINT64_C(1) << qcow2->l2_bits;
}

/* Whether what is there may be overwritten where it is. */
static bool is_own(const struct disk *disk, uint64_t entry)
{
	return entry & QCOW2_COPIED &&
	       !(entry & (QCOW2_COMPRESSED | QCOW2_ZERO | QCOW2_RESERVED)) &&
	       qcow2_is_cluster(disk, entry & QCOW2_OFFSET);
}

/* The L2 table for `l1`, which may be changed: a new one, or a copy of a shared one. */
static int l2_own(struct disk *disk, uint64_t l1, struct qcow2_table **table)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t old = qcow2->l1[l1], offset = old & QCOW2_OFFSET, cluster, count;
	int error;

	if (offset && !qcow2_is_cluster(disk, offset))
		return give_up(disk, "an L2 table is not in the file");
	if (offset && old & QCOW2_COPIED)
		return qcow2_table(disk, &qcow2->l2, l1, offset, table);
	error = clusters_take(disk, 1, &cluster, &count);
	if (!error)
		error = qcow2_table(disk, &qcow2->l2, l1,
		        offset ? offset : cluster << qcow2->cluster_bits, table);
	if (error)
		return error;
	(*table)->dirty = true;
	qcow2->l1[l1] = cluster << qcow2->cluster_bits | QCOW2_COPIED;
	range_add(&qcow2->l1_changed, l1);
	if (offset)
		clusters_drop(disk, offset >> qcow2->cluster_bits, 1);
	return 0;
}

/* How many of `count` guest clusters from `cluster` on nobody else is writing anew. */
static uint64_t unclaimed(const struct qcow2 *qcow2, uint64_t cluster, uint64_t count)
{
	for (unsigned i = 0; i < qcow2->claim_count; i++) {
		const struct qcow2_run *claim = &qcow2->claims[i];

		if (cluster >= claim->cluster &&
		        cluster < claim->cluster + claim->count)
			return 0;
		if (claim->cluster > cluster && claim->cluster - cluster < count)
			count = claim->cluster - cluster;
	}
	return qcow2->claim_count < QCOW2_CLAIMS ? count : 0;
}

static void claim_end(struct qcow2 *qcow2, uint64_t cluster)
{
	unsigned i = 0;

	while (qcow2->claims[i].cluster != cluster)
		i++;
	qcow2->claims[i] = qcow2->claims[--qcow2->claim_count];
}

/* [offset, offset + size) of the disk, within a cluster, as it is, to `host`. */
static int copy(struct disk *disk, uint64_t offset, uint64_t size, uint64_t host)
{
	struct qcow2 *qcow2 = disk->format;
	struct extent extent;
	int error;

	if (offset >= disk->info.size)
		return 0;
	if (size > disk->info.size - offset)
		size = disk->info.size - offset;
	error = disk_find(disk, offset, size, &extent);
	if (error || (extent.kind == EXTENT_ZERO && extent.size == size))
		return error;
	error = disk_read_now(disk, offset, qcow2->copy, size);
	return error ? error : disk_pwrite(disk->fd, qcow2->copy, size, host);
}

/* What is around a write in its first and in its last cluster. */
static int copy_around(struct disk *disk, uint64_t offset, const struct extent *extent)
{
	const struct qcow2 *qcow2 = disk->format;
	uint64_t before = offset & (qcow2->cluster_size - 1);
	uint64_t end = offset + extent->size;
	uint64_t after = -end & (qcow2->cluster_size - 1);
	int error = 0;

	if (before)
		error = copy(disk, offset - before, before, extent->offset - before);
	if (after && !error)
		error = copy(disk, end, after, extent->offset + extent->size);
	return error;
}

static int place_anew(
        struct disk *disk, uint64_t offset, uint64_t wanted, struct extent *extent)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t within = offset & (qcow2->cluster_size - 1), first, size;
	int error;

	extent->cluster = offset >> qcow2->cluster_bits;
	wanted = unclaimed(qcow2, extent->cluster, wanted);
	if (!wanted)
		return -EAGAIN;
	error = clusters_take(disk, wanted, &first, &extent->count);
	if (error)
		return error;
	size = extent->count * qcow2->cluster_size - within;
	if (extent->size > size)
		extent->size = size;
	extent->offset = (first << qcow2->cluster_bits) + within;
	error = copy_around(disk, offset, extent);
	if (error) {
		clusters_drop(disk, first, extent->count);
		return error;
	}
	qcow2->claims[qcow2->claim_count++] =
	        (struct qcow2_run){extent->cluster, extent->count};
	return 0;
}

int qcow2_place(
        struct disk *disk, uint64_t offset, uint64_t size, struct extent *extent)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t cluster = offset >> qcow2->cluster_bits;
	uint64_t within = offset & (qcow2->cluster_size - 1);
	uint64_t l2 = cluster & (l2_count(qcow2) - 1), count, entry, same = 1;
	struct qcow2_table *table;
	const uint64_t *entries;
	bool own;
	int error;

	*extent = (struct extent){.kind = EXTENT_DATA, .fd = disk->fd};
	if (qcow2->broken)
		return -EIO;
	error = l2_own(disk, cluster >> qcow2->l2_bits, &table);
	if (error)
		return error;
	entries = table->data;
	count = (within + size - 1) / qcow2->cluster_size + 1;
	if (count > l2_count(qcow2) - l2)
		count = l2_count(qcow2) - l2;
	/* As far as it goes on like the first: in place and in a row, or anew. */
	entry = be64toh(entries[l2]);
	own = is_own(disk, entry);
	for (; same < count; same++) {
		uint64_t next = be64toh(entries[l2 + same]);

		if (own != is_own(disk, next) ||
		        (own && (next & QCOW2_OFFSET) !=
		                        (entry & QCOW2_OFFSET) +
		                                same * qcow2->cluster_size))
			break;
	}
	extent->size = same * qcow2->cluster_size - within;
	if (extent->size > size)
		extent->size = size;
	if (!own)
		return place_anew(disk, offset, same, extent);
	extent->offset = (entry & QCOW2_OFFSET) + within;
	/* The file may end within its last cluster. */
	return file_grow(
	        disk, ((extent->offset + extent->size - 1) >> qcow2->cluster_bits) + 1);
}

/* The tables refer to what was written. */
static int entries_set(struct disk *disk, const struct extent *extent)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t host = extent->offset & ~(qcow2->cluster_size - 1);
	uint64_t l2 = extent->cluster & (l2_count(qcow2) - 1), old;
	struct qcow2_table *table;
	int error = l2_own(disk, extent->cluster >> qcow2->l2_bits, &table);

	for (uint64_t i = 0; i < extent->count && !error; i++) {
		uint64_t *entries = table->data;

		old = be64toh(entries[l2 + i]);
		entries[l2 + i] =
		        htobe64((host + i * qcow2->cluster_size) | QCOW2_COPIED);
		table->dirty = true;
		entry_drop(disk, old);
	}
	return error;
}

int qcow2_settle(struct disk *disk, uint64_t offset __attribute__((unused)),
        const struct extent *extent, int result)
{
	struct qcow2 *qcow2 = disk->format;

	if (!extent->count)
		return result;
	claim_end(qcow2, extent->cluster);
	if (!result)
		result = entries_set(disk, extent);
	if (result)
		clusters_drop(
		        disk, extent->offset >> qcow2->cluster_bits, extent->count);
	return result;
}

/* Part of a cluster: zeroes are written, unless it reads as zeroes anyhow. */
static int clear_part(
        struct disk *disk, uint64_t offset, uint64_t size, struct extent *extent)
{
	int error = disk_find(disk, offset, size, extent);

	if (error || extent->kind == EXTENT_ZERO)
		return error;
	return qcow2_place(disk, offset, size, extent);
}

int qcow2_clear(struct disk *disk, uint64_t offset, uint64_t size, bool unmap,
        bool advice, struct extent *extent)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t within = offset & (qcow2->cluster_size - 1);
	uint64_t cluster = offset >> qcow2->cluster_bits;
	uint64_t l2 = cluster & (l2_count(qcow2) - 1), count, i;
	bool last = size == disk->info.size - offset;
	uint64_t empty = disk->below ? QCOW2_ZERO : 0;
	struct qcow2_table *table;
	uint64_t *entries;
	int error;

	if (qcow2->broken)
		return -EIO;
	*extent = (struct extent){.kind = EXTENT_ZERO, .size = size};
	if (within || (size < qcow2->cluster_size && !last)) {
		if (extent->size > qcow2->cluster_size - within)
			extent->size = qcow2->cluster_size - within;
		return advice ? 0 : clear_part(disk, offset, extent->size, extent);
	}
	count = (size >> qcow2->cluster_bits) +
	        (last && size & (qcow2->cluster_size - 1));
	if (count > l2_count(qcow2) - l2)
		count = l2_count(qcow2) - l2;
	if (extent->size > count * qcow2->cluster_size)
		extent->size = count * qcow2->cluster_size;
	if (!qcow2->l1[cluster >> qcow2->l2_bits] && !empty)
		return 0;
	/* Version 2 has no way to say that what is below is not to be seen. */
	if (empty && qcow2->version == 2)
		return advice ? 0 : clear_part(disk, offset, extent->size, extent);
	error = l2_own(disk, cluster >> qcow2->l2_bits, &table);
	if (error)
		return error;
	entries = table->data;
	for (i = 0; i < count; i++) {
		uint64_t old = be64toh(entries[l2 + i]);

		if (!unmap && is_own(disk, old))
			break;
		if (old == empty)
			continue;
		entries[l2 + i] = htobe64(empty);
		table->dirty = true;
		entry_drop(disk, old);
	}
	/* Clusters that are to stay are overwritten. */
	if (!i)
		return qcow2_place(disk, offset, extent->size, extent);
	if (extent->size > i * qcow2->cluster_size)
		extent->size = i * qcow2->cluster_size;
	return 0;
}

/* Open, close, create. */

int qcow2_write_open(
        struct disk *disk, const struct disk_config *config, const uint8_t *header)
{
	struct qcow2 *qcow2 = disk->format;
	uint64_t offset, size;
	uint32_t clusters;
	struct stat status;
	uint64_t autoclear;

	memcpy(&offset, header + HEADER_REFTABLE, sizeof(offset));
	memcpy(&clusters, header + HEADER_REFTABLE + 8, sizeof(clusters));
	memcpy(&autoclear, header + HEADER_AUTOCLEAR, sizeof(autoclear));
	qcow2->reftable_offset = be64toh(offset);
	size = (uint64_t)be32toh(clusters) << qcow2->cluster_bits;
	if (fstat(disk->fd, &status) < 0 || !S_ISREG(status.st_mode))
		return log_error(-EINVAL,
		        "--disk: '%s' is no file: a qcow2 that is written must be one",
		        config->path);
	if (!size || size > QCOW2_REFTABLE_MAX ||
	        qcow2->reftable_offset % qcow2->cluster_size ||
	        !qcow2->reftable_offset || qcow2->reftable_offset > disk->file_size ||
	        size > disk->file_size - qcow2->reftable_offset)
		return log_error(-EINVAL,
		        "--disk: '%s' is a damaged qcow2: its refcount table is not in "
		        "the file",
		        config->path);
	qcow2->reftable_count = size / sizeof(*qcow2->reftable);
	qcow2->reftable = malloc(size);
	qcow2->copy = malloc(qcow2->cluster_size);
	qcow2->runs = malloc(QCOW2_RUNS * sizeof(*qcow2->runs));
	if (!qcow2->reftable || !qcow2->copy || !qcow2->runs ||
	        qcow2_cache_create(&qcow2->refcounts, qcow2->cluster_size))
		return log_error(-ENOMEM, "--disk: out of memory");
	if (disk_pread(disk->fd, qcow2->reftable, size, qcow2->reftable_offset))
		return log_error(-EIO, "--disk: cannot read '%s'", config->path);
	for (uint64_t i = 0; i < qcow2->reftable_count; i++)
		qcow2->reftable[i] = be64toh(qcow2->reftable[i]) & QCOW2_OFFSET;
	qcow2->end = (disk->file_size + qcow2->cluster_size - 1) >> qcow2->cluster_bits;
	/* "autoclear": what a writer does not know is no longer so, bitmaps above all. */
	if (qcow2->version == 3 && autoclear) {
		autoclear = 0;
		if (disk_pwrite(
		            disk->fd, &autoclear, sizeof(autoclear), HEADER_AUTOCLEAR))
			return log_error(
			        -EIO, "--disk: cannot write '%s'", config->path);
	}
	return 0;
}

void qcow2_write_close(struct disk *disk)
{
	struct qcow2 *qcow2 = disk->format;

	if (qcow2->end && !qcow2->broken) {
		uint64_t size;

		if (qcow2_sync(disk))
			log_warn("--disk: '%s': what was not flushed is lost",
			        disk->path);
		size = qcow2->end << qcow2->cluster_bits;
		if (size < disk->file_size && ftruncate(disk->fd, (off_t)size) < 0)
			log_debug("--disk: '%s' keeps its size", disk->path);
	}
	free(qcow2->reftable);
	free(qcow2->refcounts.memory);
	free(qcow2->runs);
	free(qcow2->copy);
}

/* Version 3: header, refcount table, one block, L1 table, and that is all. */
int qcow2_create(int fd, uint64_t size)
{
	enum { CLUSTER = 1 << QCOW2_CLUSTER_BITS, L1_AT = 3 * CLUSTER };
	const uint64_t span = (uint64_t)CLUSTER * CLUSTER / 8;
	uint32_t l1_count = (uint32_t)((size + span - 1) / span);
	uint32_t used =
	        3 + (uint32_t)(((uint64_t)l1_count * 8 + CLUSTER - 1) / CLUSTER);
	struct {
		char magic[4];
		uint32_t version;
		uint64_t backing_offset;
		uint32_t backing_size, cluster_bits;
		uint64_t size;
		uint32_t encryption, l1_count;
		uint64_t l1_offset, reftable_offset;
		uint32_t reftable_clusters, snapshot_count;
		uint64_t snapshot_offset, incompatible, compatible, autoclear;
		uint32_t refcount_order, header_size;
	} __attribute__((packed)) header = {
	        .magic = "QFI\xfb",
	        .version = htobe32(3),
	        .cluster_bits = htobe32(QCOW2_CLUSTER_BITS),
	        .size = htobe64(size),
	        .l1_count = htobe32(l1_count),
	        .l1_offset = htobe64(L1_AT),
	        .reftable_offset = htobe64(CLUSTER),
	        .reftable_clusters = htobe32(1),
	        .refcount_order = htobe32(4),
	        .header_size = htobe32(QCOW2_HEADER),
	};
	uint64_t block = htobe64(2 * CLUSTER);
	uint16_t one = htobe16(1);
	int error = disk_pwrite(fd, &header, sizeof(header), 0);

	if (!error)
		error = disk_pwrite(fd, &block, sizeof(block), CLUSTER);
	for (uint32_t i = 0; i < used && !error; i++)
		error = disk_pwrite(fd, &one, sizeof(one), 2 * CLUSTER + 2 * i);
	if (!error && ftruncate(fd, (off_t)used * CLUSTER) < 0)
		error = -errno;
	return error;
}
