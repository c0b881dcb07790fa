/* ext2, ext3 and ext4, by libext2fs, which reads the volume through functions of ours. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <ext2fs/ext2fs.h>

#include "boot/bytes.h"
#include "boot/volume.h"

static errcode_t channel_open(const char *name, int flags, io_channel *result);

static errcode_t channel_close(io_channel channel)
{
	if (--channel->refcount > 0)
		return 0;
	free(channel->name);
	free(channel);
	return 0;
}

static errcode_t channel_set_block_size(io_channel channel, int size)
{
	channel->block_size = size;
	return 0;
}

/* A negative count is one of bytes. */
static errcode_t channel_read64(
        io_channel channel, unsigned long long block, int count, void *data)
{
	uint64_t block_size = (unsigned)channel->block_size;
	uint64_t size =
	        count < 0 ? (uint64_t)(-(int64_t)count) : (uint64_t)count * block_size;

	if (block > UINT64_MAX / block_size ||
	        volume_read(channel->private_data, block * block_size, data, size))
		return EXT2_ET_SHORT_READ;
	return 0;
}

static errcode_t channel_read(
        io_channel channel, unsigned long block, int count, void *data)
{
	return channel_read64(channel, block, count, data);
}

static errcode_t channel_write64(io_channel channel __attribute__((unused)),
        unsigned long long block __attribute__((unused)),
        int count __attribute__((unused)), const void *data __attribute__((unused)))
{
	return EXT2_ET_RO_FILSYS;
}

static errcode_t channel_write(
        io_channel channel, unsigned long block, int count, const void *data)
{
	return channel_write64(channel, block, count, data);
}

static errcode_t channel_flush(io_channel channel __attribute__((unused)))
{
	return 0;
}

static const struct struct_io_manager manager = {
        .magic = EXT2_ET_MAGIC_IO_MANAGER,
        .name = "volume",
        .open = channel_open,
        .close = channel_close,
        .set_blksize = channel_set_block_size,
        .read_blk = channel_read,
        .write_blk = channel_write,
        .flush = channel_flush,
        .read_blk64 = channel_read64,
        .write_blk64 = channel_write64,
};

/* The library hands over a name and nothing else, so the volume's address is the name. */
static errcode_t channel_open(
        const char *name, int flags __attribute__((unused)), io_channel *result)
{
	io_channel channel = calloc(1, sizeof(*channel));

	if (channel)
		channel->name = strdup(name);
	if (!channel || !channel->name) {
		free(channel);
		return EXT2_ET_NO_MEMORY;
	}
	channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	channel->manager = (io_manager)&manager;
	channel->block_size = SUPERBLOCK_SIZE;
	channel->refcount = 1;
	channel->private_data = (void *)(uintptr_t)strtoull(name, NULL, 16);
	*result = channel;
	return 0;
}

static int error_of(errcode_t error)
{
	switch (error) {
	case 0:
		return 0;
	case EXT2_ET_NO_MEMORY:
		return -ENOMEM;
	case EXT2_ET_SHORT_READ:
		return -ENODATA;
	case EXT2_ET_UNSUPP_FEATURE:
	case EXT2_ET_RO_UNSUPP_FEATURE:
		return -ENOTSUP;
	default:
		return -EBADMSG;
	}
}

/* What bounds the tables that the library makes room for: no more than there are blocks. */
static int superblock_check(struct volume *volume)
{
	struct ext2_super_block super;
	uint64_t blocks;

	if (volume_read(volume, SUPERBLOCK_OFFSET, &super, sizeof(super)) ||
	        read_le16((unsigned char *)&super.s_magic) != EXT2_SUPER_MAGIC)
		return -ENOEXEC;
	blocks = super.s_blocks_count;
	if (super.s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT)
		blocks |= (uint64_t)super.s_blocks_count_hi << 32;
	if (super.s_log_block_size >
	                EXT2_MAX_BLOCK_LOG_SIZE - EXT2_MIN_BLOCK_LOG_SIZE ||
	        super.s_blocks_per_group < 256)
		return -EBADMSG;
	return blocks > volume->size >>
	                       (EXT2_MIN_BLOCK_LOG_SIZE + super.s_log_block_size)
	               ? -ENODATA
	               : 0;
}

static int ext4_open(struct volume *volume)
{
	char name[2 * sizeof(uintptr_t) + 1];
	ext2_filsys system;
	int error = superblock_check(volume);

	if (error)
		return error;
	snprintf(name, sizeof(name), "%" PRIxPTR, (uintptr_t)volume);
	error = error_of(ext2fs_open(
	        name, EXT2_FLAG_64BITS, 0, 0, (io_manager)&manager, &system));
	if (error)
		return error;
	volume->ext = system;
	volume->root = (struct node){.kind = NODE_DIRECTORY, .place = EXT2_ROOT_INO};
	return 0;
}

static void ext4_close(struct volume *volume)
{
	if (volume->ext)
		ext2fs_free(volume->ext);
}

struct walk {
	struct volume *volume;
	volume_visit *visit;
	void *context;
};

static enum node_kind kind_of(const struct ext2_inode *inode)
{
	return LINUX_S_ISDIR(inode->i_mode)   ? NODE_DIRECTORY
	       : LINUX_S_ISREG(inode->i_mode) ? NODE_FILE
	       : LINUX_S_ISLNK(inode->i_mode) ? NODE_LINK
	                                      : NODE_OTHER;
}

static int visit_entry(struct ext2_dir_entry *entry, int offset __attribute__((unused)),
        int block_size __attribute__((unused)), char *data __attribute__((unused)),
        void *context)
{
	struct walk *walk = context;
	unsigned size = (unsigned)ext2fs_dirent_name_len(entry);
	struct ext2_inode inode;
	struct node node;
	char name[VOLUME_NAME];

	memcpy(name, entry->name, size);
	name[size] = '\0';
	if (!strcmp(name, ".") || !strcmp(name, "..") ||
	        ext2fs_read_inode(walk->volume->ext, entry->inode, &inode))
		return 0;
	node = (struct node){kind_of(&inode), entry->inode, EXT2_I_SIZE(&inode)};
	return walk->visit(walk->context, name, &node) ? DIRENT_ABORT : 0;
}

static int ext4_walk(struct volume *volume, const struct node *directory,
        volume_visit *visit, void *context)
{
	struct walk walk = {volume, visit, context};

	return error_of(ext2fs_dir_iterate(volume->ext, (ext2_ino_t)directory->place, 0,
	        NULL, visit_entry, &walk));
}

struct blocks {
	struct volume *volume;
	struct medium_map *map;
	uint64_t size; /* of the file */
	int error;
};

/* `count` blocks of the file from its block `logical` on; what was left out before is zero. */
static int blocks_add(
        struct blocks *blocks, uint64_t logical, uint64_t physical, uint64_t count)
{
	ext2_filsys system = blocks->volume->ext;
	uint64_t at = logical * system->blocksize, size = count * system->blocksize;

	/* The order of a tree that was damaged is anyone's guess. */
	if (logical > blocks->size / system->blocksize || count > UINT32_MAX ||
	        at < blocks->map->size)
		return -EBADMSG;
	if (at > blocks->map->size) {
		int error = map_add(blocks->map, blocks->volume->medium, MEDIUM_HOLE,
		        at - blocks->map->size);

		if (error)
			return error;
	}
	return volume_map_add(
	        blocks->volume, blocks->map, physical * system->blocksize, size);
}

static int visit_block(ext2_filsys system __attribute__((unused)), blk64_t *block,
        e2_blkcnt_t count, blk64_t reference __attribute__((unused)),
        int offset __attribute__((unused)), void *context)
{
	struct blocks *blocks = context;

	blocks->error = blocks_add(blocks, (uint64_t)count, *block, 1);
	return blocks->error ? BLOCK_ABORT : 0;
}

/* Blocks that are kept for the file but were never written read as zeros. */
static int extents_map(struct blocks *blocks, ext2_ino_t inode)
{
	ext2_extent_handle_t handle;
	struct ext2fs_extent extent;
	errcode_t status = ext2fs_extent_open(blocks->volume->ext, inode, &handle);
	int error = 0;

	if (status)
		return error_of(status);
	status = ext2fs_extent_get(handle, EXT2_EXTENT_ROOT, &extent);
	for (unsigned i = 0; !error && !status && i < 2 * blocks->map->limit; i++) {
		if (extent.e_flags & EXT2_EXTENT_FLAGS_LEAF &&
		        !(extent.e_flags & EXT2_EXTENT_FLAGS_UNINIT))
			error = blocks_add(
			        blocks, extent.e_lblk, extent.e_pblk, extent.e_len);
		status = ext2fs_extent_get(handle, EXT2_EXTENT_NEXT_LEAF, &extent);
	}
	ext2fs_extent_free(handle);
	if (!error && status != EXT2_ET_EXTENT_NO_NEXT &&
	        status != EXT2_ET_NO_CURRENT_NODE)
		error = status ? error_of(status) : -E2BIG;
	return error;
}

enum {
	INODE_MAX = 1024, /* bytes */
	INLINE_FIRST = 60,
	EA_MAGIC = 0xea020000,
	EA_ENTRY = 16,
	EA_SYSTEM = 7,
};

/* In the inode's extended attributes: "system.data", the rest of what is in the inode. */
static int inline_rest_find(const unsigned char *inode, unsigned size, unsigned *at)
{
	unsigned start = EXT2_GOOD_OLD_INODE_SIZE + 4, entry;

	if (size > EXT2_GOOD_OLD_INODE_SIZE + 2)
		start += read_le16(inode + EXT2_GOOD_OLD_INODE_SIZE);
	if (start > size || read_le32(inode + start - 4) != EA_MAGIC)
		return -EBADMSG;
	for (entry = start; entry + EA_ENTRY + 4 <= size && inode[entry];
	        entry += EA_ENTRY + (inode[entry] + 3u) / 4 * 4)
		if (inode[entry] == 4 && inode[entry + 1] == EA_SYSTEM &&
		        !memcmp(inode + entry + EA_ENTRY, "data", 4)) {
			*at = start + read_le16(inode + entry + 2);
			return 0;
		}
	return -EBADMSG;
}

/* Linux's Documentation/filesystems/ext4/inlinedata.rst */
static int inline_map(const struct volume *volume, ext2_ino_t number, uint64_t size,
        struct medium_map *map)
{
	ext2_filsys system = volume->ext;
	struct ext2_super_block *super = system->super;
	unsigned inode_size = EXT2_INODE_SIZE(super), rest,
	         index = (number - 1) % super->s_inodes_per_group;
	uint64_t first = size < INLINE_FIRST ? size : INLINE_FIRST,
	         place = ext2fs_inode_table_loc(
	                         system, (number - 1) / super->s_inodes_per_group) *
	                         system->blocksize +
	                 (uint64_t)index * inode_size;
	unsigned char inode[INODE_MAX];
	int error;

	if (inode_size > INODE_MAX)
		return -ENOTSUP;
	error = volume_map_add(
	        volume, map, place + offsetof(struct ext2_inode, i_block), first);
	if (!error && first < size)
		error = volume_read(volume, place, inode, inode_size);
	if (error || first == size)
		return error;
	error = inline_rest_find(inode, inode_size, &rest);
	if (!error && (rest > inode_size || size - first > inode_size - rest))
		error = -EBADMSG;
	return error ? error : volume_map_add(volume, map, place + rest, size - first);
}

static int ext4_map(
        struct volume *volume, const struct node *file, struct medium_map *map)
{
	struct blocks blocks = {volume, map, file->size, 0};
	struct ext2_inode inode;
	ext2_ino_t number = (ext2_ino_t)file->place;
	errcode_t status = ext2fs_read_inode(volume->ext, number, &inode);
	int error;

	if (status)
		return error_of(status);
	if (inode.i_flags & EXT4_ENCRYPT_FL)
		return -ENOTSUP;
	if (inode.i_flags & EXT4_INLINE_DATA_FL)
		return inline_map(volume, number, file->size, map);
	if (inode.i_flags & EXT4_EXTENTS_FL) {
		error = extents_map(&blocks, number);
	} else {
		status = ext2fs_block_iterate3(volume->ext, number,
		        BLOCK_FLAG_READ_ONLY | BLOCK_FLAG_DATA_ONLY, NULL, visit_block,
		        &blocks);
		error = blocks.error ? blocks.error : error_of(status);
	}
	if (!error && map->size < file->size)
		error = map_add(
		        map, volume->medium, MEDIUM_HOLE, file->size - map->size);
	return error;
}

/* A short one stands in the inode. */
static int ext4_link(
        struct volume *volume, const struct node *link, char target[VOLUME_PATH])
{
	struct ext2_inode inode;
	ext2_ino_t number = (ext2_ino_t)link->place;
	struct medium_run runs[2];
	struct medium_map map = {.runs = runs, .limit = 2};
	blk64_t physical;
	int error = error_of(ext2fs_read_inode(volume->ext, number, &inode));

	if (error)
		return error;
	if (link->size == 0 || link->size >= VOLUME_PATH)
		return -EBADMSG;
	if (inode.i_flags & EXT4_INLINE_DATA_FL) {
		error = inline_map(volume, number, link->size, &map);
	} else if (ext2fs_is_fast_symlink(&inode) &&
	           link->size < sizeof(inode.i_block)) {
		memcpy(target, inode.i_block, link->size);
	} else {
		ext2_filsys system = volume->ext;

		error = error_of(ext2fs_bmap2(
		        system, number, &inode, NULL, 0, 0, NULL, &physical));
		if (!error)
			error = volume_map_add(
			        volume, &map, physical * system->blocksize, link->size);
	}
	if (!error && map.count)
		error = map_read(&map, volume->medium, 0, target, link->size);
	if (error)
		return error;
	target[link->size] = '\0';
	return strlen(target) == link->size ? 0 : -EBADMSG;
}

const struct volume_type volume_ext4 = {
        .name = "ext4",
        .open = ext4_open,
        .close = ext4_close,
        .walk = ext4_walk,
        .map = ext4_map,
        .link = ext4_link,
};
