/*
 * Plays the boot loader of a disk image: finds the kernel, the initrds and the command line
 * that its configuration names, and where they lie.
 *
 * All of this reads what an attacker may have written, so it runs in the sandbox, and what
 * it found is checked by who called it.
 */
#pragma once

#include "boot/boot.h"
#include "boot/medium.h"
#include "boot/volume.h"

enum {
	FIND_RUNS = 32768,
	FIND_FILES = 1 + BOOT_FILES_INITRDS, /* the kernel is the first */
	FIND_TEXT = 1 << 18, /* a configuration, with what it includes */
	FIND_PARTITIONS = 32,
	FIND_HEAP = 64 << 20, /* what libext2fs may take */
};

struct found_file {
	char path[VOLUME_PATH]; /* in the image */
	uint32_t first_run, run_count;
	uint64_t size;
};

/* What one child tells its parent, in memory that both have. */
struct found {
	/*
	 * Of the part that came furthest: -ENOEXEC nothing is known here, -ENOENT `path`
	 * is not there, -ENOMSG nothing says what to boot, -ENODATA cut, -EBADMSG damaged,
	 * -ELOOP, -EFBIG, -E2BIG, -ENOTSUP, -EMEDIUMTYPE for other sectors,
	 * -ENODEV a file system that cannot be read here,
	 * -EIO: it cannot be read.
	 */
	int error;
	char volume[16];          /* the kind of volume */
	char config[VOLUME_PATH]; /* the configuration that is followed */
	char path[VOLUME_PATH];   /* what went wrong with it */
	bool volume_only; /* a unified kernel, an archive: the rest is not a disk */
	bool readonly;    /* a disk that nobody can write: an ISO */
	char cmdline[BOOT_CMDLINE_MAX];
	struct found_file files[FIND_FILES];
	uint32_t file_count;
	struct medium_run runs[FIND_RUNS];
};

/* What a configuration says, paths as they stand there. */
struct menu {
	char kernel[VOLUME_PATH];
	char initrds[BOOT_FILES_INITRDS][VOLUME_PATH];
	unsigned initrd_count;
	char cmdline[BOOT_CMDLINE_MAX];
};

struct find {
	const struct boot_medium *medium; /* `watched` */
	struct boot_medium watched;
	const struct boot_medium *given;
	int read_error; /* the last one, of a disk whose tables lie, or of the host */
	struct found *found;
	struct volume volume;
	struct menu menu;
	char silent[VOLUME_PATH]; /* a configuration that names no kernel */
	char text[FIND_TEXT];
};

/* Zeroed memory for both; the answer is in `found`. */
void find(struct find *find, const struct boot_medium *medium, struct found *found);

/* A configuration, by its path, and what stands beside it. */
struct menu_text {
	const char *text, *path;
	const char *environment; /* GRUB's grubenv; "": there is none */
};

/*
 * menu.c, grub.c: what is booted unless someone chooses otherwise; -ENOMSG: it names no
 * kernel. `menu` is empty before.
 */
int menu_syslinux(const struct menu_text *config, struct menu *menu);
int menu_loader_entry(const struct menu_text *config, struct menu *menu);
int menu_grub(const struct menu_text *config, struct menu *menu);
/* loader.conf's default; left alone if there is none. */
void menu_loader_default(const char *text, char name[VOLUME_NAME]);
/*
 * What a line of syslinux's includes, or, with `configs`, what CONFIG goes on with; NULL: it
 * is another line.
 */
const char *menu_include(const char *line, bool configs, size_t *size);

/*
 * partition.c: those of a disk, at most FIND_PARTITIONS; 0: it has no such table,
 * -EMEDIUMTYPE: it has one for larger sectors.
 */
struct partition {
	uint64_t start, size;
};
int partitions_read(
        const struct boot_medium *medium, struct partition partitions[FIND_PARTITIONS]);

/*
 * uki.c: a unified kernel image (UAPI.5) in `file`; `take` is told of each section that
 * counts, in the order of the file. -ENOEXEC: it is none.
 */
int uki_read(const struct boot_medium *medium, const struct medium_map *file,
        int (*take)(void *context, const char *name, uint64_t offset, uint64_t size),
        void *context);
