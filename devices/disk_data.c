/*
 * Metadata for a guest (cloud-init's NoCloud, LinuxKit's metadata package): an ISO 9660
 * volume named "cidata", in memory, that can only be read.
 *
 * Of ECMA-119 this takes one directory with three small files, so a hundred lines do what
 * a library of archives would be linked for: volume descriptors in sectors 16 and 17, the
 * path tables, the directory, then what user-data and config share, then meta-data. Linux
 * shows the names in small letters and without their versions (isofs, map=normal).
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/disk_format.h"
#include "vmm/log.h"

enum {
	SECTOR = 2048,
	AT_VOLUME = 16,
	AT_END,
	AT_PATHS_LITTLE,
	AT_PATHS_BIG,
	AT_ROOT,
	AT_META,
	AT_USER,
	FLAG_DIRECTORY = 2,
	META_MAX = 128,
};

/* 7.2.3 and 7.3.3: a number little-endian, and again big-endian. */
struct both16 {
	uint16_t little, big;
};

struct both32 {
	uint32_t little, big;
};

struct record {
	uint8_t size, extended;
	struct both32 sector, bytes;
	uint8_t date[7], flags, unit, gap;
	struct both16 volume;
	uint8_t name_size;
} __attribute__((packed));

struct volume {
	uint8_t type;
	char magic[5];
	uint8_t version, flags;
	char system[32], name[32];
	uint8_t unused[8];
	struct both32 sectors;
	uint8_t escapes[32];
	struct both16 set_size, sequence, sector_size;
	struct both32 paths_size;
	uint32_t paths_little, paths_little_more, paths_big, paths_big_more;
	struct record root;
	char root_name;
	char names[128 + 128 + 128 + 128 + 37 + 37 + 37];
	char dates[4][17];
	uint8_t structure_version;
} __attribute__((packed));

static struct both16 both16(uint16_t value)
{
	return (struct both16){htole16(value), htobe16(value)};
}

static struct both32 both32(uint32_t value)
{
	return (struct both32){htole32(value), htobe32(value)};
}

static struct record record_of(
        unsigned sector, size_t bytes, size_t name_size, bool root)
{
	return (struct record){
	        .size = (uint8_t)((sizeof(struct record) + name_size + 1) & ~1UL),
	        .sector = both32(sector),
	        .bytes = both32((uint32_t)bytes),
	        .date = {70, 1, 1},
	        .flags = root ? FLAG_DIRECTORY : 0,
	        .volume = both16(1),
	        .name_size = (uint8_t)name_size,
	};
}

static uint8_t *record_add(uint8_t *at, struct record record, const char *name)
{
	memcpy(at, &record, sizeof(record));
	memcpy(at + sizeof(record), name, record.name_size);
	return at + record.size;
}

static void write_volume(uint8_t *image, unsigned sectors)
{
	struct volume *volume = (struct volume *)(image + AT_VOLUME * SECTOR);

	*volume = (struct volume){
	        .type = 1,
	        .magic = {'C', 'D', '0', '0', '1'},
	        .version = 1,
	        .sectors = both32(sectors),
	        .set_size = both16(1),
	        .sequence = both16(1),
	        .sector_size = both16(SECTOR),
	        .paths_size = both32(10),
	        .paths_little = htole32(AT_PATHS_LITTLE),
	        .paths_big = htobe32(AT_PATHS_BIG),
	        .root = record_of(AT_ROOT, SECTOR, 1, true),
	        .structure_version = 1,
	};
	memset(volume->system, ' ', sizeof(volume->system));
	memset(volume->name, ' ', sizeof(volume->name));
	memcpy(volume->name, "cidata", 6);
	memset(volume->names, ' ', sizeof(volume->names));
	memset(volume->dates, '0', sizeof(volume->dates));
	for (unsigned i = 0; i < 4; i++)
		volume->dates[i][16] = 0;
	memcpy(image + AT_END * SECTOR,
	        "\xff"
	        "CD001\1",
	        7);
	/* The root, whose name is one NUL, and whose parent is itself. */
	memcpy(image + AT_PATHS_LITTLE * SECTOR, "\1\0\x14\0\0\0\1\0\0", 10);
	memcpy(image + AT_PATHS_BIG * SECTOR, "\1\0\0\0\0\x14\0\1\0", 10);
	_Static_assert(AT_ROOT == 0x14, "the path tables say so");
}

static void write_files(uint8_t *image, const void *data, size_t size, const char *meta)
{
	uint8_t *at = image + AT_ROOT * SECTOR;

	at = record_add(at, record_of(AT_ROOT, SECTOR, 1, true), "\0");
	at = record_add(at, record_of(AT_ROOT, SECTOR, 1, true), "\1");
	at = record_add(at, record_of(AT_USER, size, 9, false), "CONFIG.;1");
	at = record_add(
	        at, record_of(AT_META, strlen(meta), 12, false), "META-DATA.;1");
	record_add(at, record_of(AT_USER, size, 12, false), "USER-DATA.;1");
	memcpy(image + AT_META * SECTOR, meta, strlen(meta));
	memcpy(image + AT_USER * SECTOR, data, size);
}

struct disk *disk_data_create(const void *data, size_t size, const char *instance)
{
	unsigned sectors = AT_USER + (unsigned)(size / SECTOR) + 1;
	struct disk *disk = calloc(1, sizeof(*disk));
	uint8_t *image = calloc(sectors, SECTOR);
	int fd = memfd_create("mayfly-data", MFD_CLOEXEC);
	char meta[META_MAX];
	int error = -ENOMEM;

	if (disk && image && fd >= 0) {
		snprintf(meta, sizeof(meta), "instance-id: %s\n", instance);
		write_volume(image, sectors);
		write_files(image, data, size, meta);
		error = disk_pwrite(fd, image, (size_t)sectors * SECTOR, 0);
	}
	free(image);
	if (error) {
		log_error(
		        error, "--data: cannot make its volume: %s", strerror(-error));
		free(disk);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	disk->type = &disk_raw;
	disk->fd = fd;
	disk->info = (struct disk_info){.size = (uint64_t)sectors * SECTOR,
	        .readonly = true,
	        .format = disk_raw.name};
	return disk;
}
