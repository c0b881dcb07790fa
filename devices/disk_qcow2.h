/*
 * What the two files of qcow2 share: disk_qcow2.c reads the header and finds clusters,
 * disk_qcow2_write.c allocates them and keeps the file whole.
 *
 * Names are those of QEMU's docs/interop/qcow2.txt: an L1 table names L2 tables, which
 * name clusters; a refcount table names refcount blocks. All big-endian.
 */
#pragma once

#include "devices/disk_format.h"

enum {
	QCOW2_HEADER = 104, /* of version 3; 72 of version 2 */
	QCOW2_CLUSTER_BITS_MIN = 9,
	QCOW2_CLUSTER_BITS_MAX = 21,
	QCOW2_CLUSTER_BITS = 16, /* of those made here */
	QCOW2_L1_MAX = 32 << 20, /* bytes; QEMU's own limits */
	QCOW2_REFTABLE_MAX = 8 << 20,
	QCOW2_CACHE =
	        8 << 20, /* bytes of L2 tables and of refcount blocks that are kept */
	QCOW2_TABLES_MIN = 8,
	QCOW2_TABLES_MAX = 256,
	QCOW2_RUNS = 4096,
	QCOW2_CLAIMS = 256,
};

/* Of an L1 or L2 entry. */
#define QCOW2_COPIED     (UINT64_C(1) << 63) /* the refcount is 1 */
#define QCOW2_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_ZERO       UINT64_C(1) /* version 3 */
#define QCOW2_OFFSET     UINT64_C(0x00fffffffffffe00)
#define QCOW2_RESERVED   UINT64_C(0x3f000000000001fe)

/* A table of the file, one cluster of bytes as they are there. */
struct qcow2_table {
	uint64_t index; /* which of its kind; UINT64_MAX: none */
	bool dirty;
	void *data;
};

struct qcow2_cache {
	struct qcow2_table tables[QCOW2_TABLES_MAX];
	unsigned count, last, next; /* used last; to be replaced next */
	void *memory;
};

/* Clusters that are referred to no more, once the L2 tables are in the file. */
struct qcow2_run {
	uint64_t cluster, count;
};

/* What was changed of a table: [from, to). */
struct qcow2_range {
	uint64_t from, to;
};

struct qcow2 {
	unsigned version, cluster_bits, l2_bits, refcount_order;
	/* Extended L2 entries: each of a cluster's parts lies for itself; else 0. */
	unsigned part_bits;
	uint64_t cluster_size;
	enum packing packing;
	uint64_t l1_offset, l1_count; /* entries that the disk's size needs */
	uint64_t *l1;                 /* in the CPU's byte order */
	struct qcow2_cache l2;
	struct unpacker *unpacker; /* where there may be something compressed */

	/* To write. */
	struct qcow2_range l1_changed, reftable_changed;
	uint64_t reftable_offset, reftable_count; /* bytes; entries */
	uint64_t *reftable;                       /* in the CPU's byte order */
	struct qcow2_run
	        reftable_old; /* the one that the header still names; or none */
	struct qcow2_cache refcounts;
	uint64_t hint;          /* no free cluster before this one */
	uint64_t end;           /* no used cluster from this one on, and only zeroes */
	void *copy;             /* a cluster */
	struct qcow2_run *runs; /* QCOW2_RUNS */
	unsigned run_count;
	struct qcow2_run claims[QCOW2_CLAIMS]; /* guest's that are being written anew */
	unsigned claim_count;
	bool broken; /* the file cannot be trusted any more: it is written no more */
};

/*
 * The table `index` of a kind, which lies at `offset`. It stays valid until the next call.
 * -Exxx of reading it, or of writing what has to make room.
 */
int qcow2_table(struct disk *disk, struct qcow2_cache *cache, uint64_t index,
        uint64_t offset, struct qcow2_table **table);
int qcow2_cache_create(struct qcow2_cache *cache, uint64_t cluster_size);

/* Whether this is a cluster that the file has, and not one of the tables known here. */
bool qcow2_is_cluster(const struct disk *disk, uint64_t offset);
/* Where a compressed cluster is: extent->packed; -EIO if that is not in the file. */
int qcow2_find_packed(const struct disk *disk, uint64_t entry, struct extent *extent);

/* disk_qcow2_write.c */
int qcow2_write_open(
        struct disk *disk, const struct disk_config *config, const uint8_t *header);
void qcow2_write_close(struct disk *disk);
int qcow2_create(int fd, uint64_t size);
int qcow2_place(
        struct disk *disk, uint64_t offset, uint64_t size, struct extent *extent);
int qcow2_settle(
        struct disk *disk, uint64_t offset, const struct extent *extent, int result);
int qcow2_clear(struct disk *disk, uint64_t offset, uint64_t size, bool unmap,
        bool advice, struct extent *extent);
int qcow2_sync(struct disk *disk);
/* Refcounts may be written at any time: those that rise come before what needs them. */
int qcow2_refcounts_write(struct disk *disk);
