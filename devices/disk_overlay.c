/*
 * A throw-away layer over a disk that is only read. What is written goes to the same place
 * of a sparse file that has no name; one bit a sector says where that is so. The file
 * cannot grow beyond the disk's size, and goes with the last copy of its fd.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/disk_format.h"
#include "vmm/log.h"

enum { WORD = 64 };

struct overlay {
	uint64_t *written; /* a bit a sector; pages that are never used cost nothing */
	size_t size;       /* of that, in bytes */
};

static void overlay_close(struct disk *disk)
{
	struct overlay *overlay = disk->format;

	if (overlay->written != MAP_FAILED)
		munmap(overlay->written, overlay->size);
	free(overlay);
}

static bool is_written(const struct overlay *overlay, uint64_t sector)
{
	return overlay->written[sector / WORD] >> sector % WORD & 1;
}

/* Where the sectors from `from` on, before `end`, are no longer like the first. */
static uint64_t change_find(const struct overlay *overlay, uint64_t from, uint64_t end)
{
	bool first = is_written(overlay, from);
	uint64_t all = first ? UINT64_MAX : 0;

	while (from < end) {
		if (from % WORD == 0 && end - from >= WORD &&
		        overlay->written[from / WORD] == all)
			from += WORD;
		else if (is_written(overlay, from) == first)
			from++;
		else
			break;
	}
	return from;
}

static int overlay_find(
        struct disk *disk, uint64_t offset, uint64_t size, struct extent *extent)
{
	const struct overlay *overlay = disk->format;
	uint64_t sector = offset / DISK_SECTOR;
	uint64_t end = (offset + size + DISK_SECTOR - 1) / DISK_SECTOR;
	uint64_t length = change_find(overlay, sector, end) * DISK_SECTOR - offset;

	*extent = (struct extent){
	        .kind = is_written(overlay, sector) ? EXTENT_DATA : EXTENT_BELOW,
	        .fd = disk->fd,
	        .offset = offset,
	        .size = length < size ? length : size,
	};
	return 0;
}

static int overlay_place(
        struct disk *disk, uint64_t offset, uint64_t size, struct extent *extent)
{
	*extent = (struct extent){
	        .kind = EXTENT_DATA, .fd = disk->fd, .offset = offset, .size = size};
	return 0;
}

static int overlay_settle(
        struct disk *disk, uint64_t offset, const struct extent *extent, int result)
{
	struct overlay *overlay = disk->format;
	uint64_t sector = offset / DISK_SECTOR;
	uint64_t end = (offset + extent->size) / DISK_SECTOR;

	while (!result && sector < end) {
		if (sector % WORD == 0 && end - sector >= WORD) {
			overlay->written[sector / WORD] = UINT64_MAX;
			sector += WORD;
		} else {
			overlay->written[sector / WORD] |= UINT64_C(1) << sector % WORD;
			sector++;
		}
	}
	return result;
}

static int overlay_clear(struct disk *disk, uint64_t offset, uint64_t size,
        bool unmap __attribute__((unused)), bool advice __attribute__((unused)),
        struct extent *extent)
{
	return overlay_place(disk, offset, size, extent);
}

static const struct disk_type overlay_type = {
        .name = "overlay",
        .temporary = true,
        .close = overlay_close,
        .find = overlay_find,
        .place = overlay_place,
        .settle = overlay_settle,
        .clear = overlay_clear,
};

/* A file without a name in $TMPDIR, or in memory where no file can be made. */
static int open_nameless(void)
{
	const char *folder = getenv("TMPDIR");
	int fd = open(folder && *folder ? folder : "/tmp",
	        O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? memfd_create("mayfly-disk", MFD_CLOEXEC) : fd;
}

struct disk *disk_overlay_create(struct disk *below)
{
	uint64_t sectors = below->info.size / DISK_SECTOR;
	struct disk *disk = calloc(1, sizeof(*disk));
	struct overlay *overlay = calloc(1, sizeof(*overlay));

	if (!disk || !overlay) {
		log_error(-ENOMEM, "--disk: out of memory");
		free(disk);
		free(overlay);
		disk_close(below);
		return NULL;
	}
	disk->type = &overlay_type;
	disk->format = overlay;
	disk->below = below;
	disk->info = (struct disk_info){.size = below->info.size,
	        .discard = true,
	        .format = below->info.format};
	overlay->size = (sectors + WORD - 1) / WORD * sizeof(*overlay->written);
	overlay->written = mmap(NULL, overlay->size, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	disk->fd = open_nameless();
	if (overlay->written == MAP_FAILED) {
		log_error(-ENOMEM, "--disk: '%s' is too large for a throw-away layer",
		        below->path);
		goto fail;
	}
	if (disk->fd < 0 || ftruncate(disk->fd, (off_t)disk->info.size) < 0) {
		log_error(-errno,
		        "--disk: cannot make a throw-away layer for '%s': %s "
		        "(TMPDIR says where)",
		        below->path, strerror(errno));
		goto fail;
	}
	return disk;
fail:
	disk_close(disk);
	return NULL;
}
