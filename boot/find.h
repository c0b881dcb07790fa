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
	FIND_ENTRIES = 256,   /* of a boot loader */
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
	unsigned partition; /* where they are, by its number; 0: it does not say */
	char cmdline[BOOT_CMDLINE_MAX];
};

/* A boot loader entry (UAPI.1), with what decides its place among the others. */
struct loader_entry {
	char name[VOLUME_NAME]; /* of its file */
	char id[VOLUME_NAME];   /* without its ending and what counts boots */
	bool failed;
	struct node node;
	char sort_key[64], machine_id[64], version[64];
};

/* Of a configuration that names no kernel, or one that is not there. */
struct find_failure {
	int error;
	char config[VOLUME_PATH], path[VOLUME_PATH];
	struct menu menu;
};

struct find {
	const struct boot_medium *medium; /* `watched` */
	struct boot_medium watched;
	const struct boot_medium *given;
	int read_error; /* the last one, of a disk whose tables lie, or of the host */
	struct found *found;
	struct volume volume;
	struct menu menu;
	struct find_failure failed;  /* of this volume */
	struct find_failure missing; /* of the first volume that names a kernel */
	const char *entry_directory; /* NULL: it was not looked for */
	struct loader_entry entries[FIND_ENTRIES];
	unsigned entry_count;
	char text[FIND_TEXT];
	size_t text_size;
	int text_error; /* the last one, of a file that the configuration goes on with */
};

/* Zeroed memory for both; the answer is in `found`. */
void find(struct find *find, const struct boot_medium *medium, struct found *found);

/* What a configuration may ask of the volume that it lies on. */
struct menu_files {
	void *context;
	bool (*find)(void *context, const char *path, struct node *node);
	/* Of a file; NULL: there is none. It stays. */
	const char *(*text)(void *context, const char *path);
	/* Of the boot loader entry with this number, and its id; NULL: there are no more. */
	const char *(*loader_entry)(
	        void *context, unsigned index, char id[VOLUME_NAME]);
};

/* A configuration, by its path. */
struct menu_text {
	const char *text, *path;
	const struct menu_files *files; /* for GRUB's; NULL: there are none */
	/* For entries: the value of "$NAME"; NULL: all are empty. */
	const char *(*variable)(void *variables, const char *name, size_t size);
	void *variables;
};

/*
 * menu.c, grub.c: what is booted unless someone chooses otherwise; -ENOMSG: it names no
 * kernel. `menu` is empty before.
 */
int menu_syslinux(const struct menu_text *config, struct menu *menu);
int menu_loader_entry(const struct menu_text *config, struct menu *menu);
int menu_grub(const struct menu_text *config, struct menu *menu);
/* The value of a key in an entry or in loader.conf; left alone if there is none. */
void menu_loader_value(const char *text, const char *key, char *value, size_t limit);
/*
 * What a line of syslinux's includes and, with `configs`, what CONFIG goes on with; NULL: it
 * is another line.
 */
const char *menu_include(const char *line, bool configs, size_t *size);

/*
 * partition.c: those of a disk, at most FIND_PARTITIONS; 0: it has no such table,
 * -EMEDIUMTYPE: it has one for larger sectors.
 */
struct partition {
	uint64_t start, size;
	unsigned number; /* as in /dev/vda1; 0: none */
};
int partitions_read(
        const struct boot_medium *medium, struct partition partitions[FIND_PARTITIONS]);
/* The same of a CD: the images that firmware boots from. */
int boot_images_read(
        const struct boot_medium *medium, struct partition partitions[FIND_PARTITIONS]);

/*
 * uki.c: a unified kernel image (UAPI.5) in `file`; `take` is told of each section that
 * counts, in the order of the file. -ENOEXEC: it is none.
 */
int uki_read(const struct boot_medium *medium, const struct medium_map *file,
        int (*take)(void *context, const char *name, uint64_t offset, uint64_t size),
        void *context);
