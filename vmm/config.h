/*
 * All that a user can ask for: plain data, written by the command line and the --config
 * file alike. Strings point into argv or into `strings` (config_keep()).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/options.h"

enum {
	CONFIG_INITRDS = 8,
	CONFIG_DISKS = 63, /* as many as a Solo5 manifest can have */
	CONFIG_NICS = 8,
	CONFIG_PUBLISH = 16,
	CONFIG_CPUS = 4096,
	CONFIG_ID = 67, /* of a Solo5 manifest */
	CONFIG_CMDLINE = 65535,
};

enum config_console { CONSOLE_SERIAL, CONSOLE_VIRTIO, CONSOLE_NONE };
extern const char *const config_console_names[];
enum config_transport { TRANSPORT_MMIO, TRANSPORT_PCI };
enum config_boot {
	BOOT_AUTO,
	BOOT_PVH,
	BOOT_LINUX,
	BOOT_MULTIBOOT,
	BOOT_MULTIBOOT2,
};
enum config_unpack { UNPACK_AUTO, UNPACK_OFF };

/* DISK_BY_NAME: as the name's ending says, else raw. */
enum disk_format { DISK_BY_NAME, DISK_RAW, DISK_QCOW2, DISK_VHD, DISK_VMDK };

struct disk_config {
	const char *path;
	const char *id; /* NULL: none was given */
	enum disk_format format;
	bool readonly;
	bool ephemeral;       /* what is written is thrown away at the end */
	bool persist;         /* said so, against --ephemeral */
	bool backing;         /* a qcow2's backing file may be read */
	uint64_t create_size; /* of a disk that does not exist yet; 0: it must */
	uint64_t block_size;  /* hvt: a power of two; 0: 512 */
};

/* A port of the host that leads to a port of the guest; addresses in host byte order. */
struct publish_config {
	uint32_t address; /* IPv4 to bind; 127.0.0.1 unless given */
	uint16_t host;
	uint16_t guest;
	bool udp;
};

/* The first --net user is the network 10.0.2.0/24, the next one 10.0.3.0/24, and so on: a
 * guest that is in two tells them apart. */
enum { USER_GATEWAY = 2, USER_NAME_SERVER = 3, USER_GUEST = 15 };

struct nic_config {
	const char *tap; /* an existing interface's name; NULL: user-mode network */
	const char *id;  /* NULL: none was given */
	uint8_t mac[6];
	bool has_mac;
	bool user;           /* asked for by name; then `tap` is NULL */
	unsigned user_index; /* among those in user mode */
	struct publish_config publish[CONFIG_PUBLISH];
	unsigned publish_count;
};

struct config {
	const char *image;  /* IMAGE; NULL when --kernel is given */
	const char *kernel; /* --kernel */
	const char *initrds[CONFIG_INITRDS];
	unsigned initrd_count;
	const char *cmdline;       /* --cmdline: in place of the image's own */
	const char *arguments;     /* after --, joined by spaces; added to it */
	enum config_boot boot;     /* --boot */
	enum config_unpack unpack; /* --unpack */
	unsigned cpus;
	uint64_t memory; /* bytes; 0: what the image's kind gets by default */
	struct disk_config disks[CONFIG_DISKS];
	unsigned disk_count;
	struct nic_config nics[CONFIG_NICS];
	unsigned nic_count;
	bool ephemeral; /* --ephemeral: of every disk that does not say persist */
	bool persist;   /* --persist: of the image's own disk, too */
	bool backing;   /* --backing: of the image's own disk */
	const char *data, *data_file; /* --data, --data-file: of the volume cidata */
	const char *state;            /* --state: a directory, or NULL */
	uint8_t uuid[16];             /* of the machine; --uuid */
	bool has_uuid;
	/* --publish: of the first user-mode network, which exists then. */
	struct publish_config publish[CONFIG_PUBLISH];
	unsigned publish_count;
	enum config_console console;
	bool rng;
	enum config_transport transport; /* --transport */
	bool no_defaults;  /* --no-default-args: nothing is added to the command line */
	bool force;        /* --force: try what this host's KVM is known not to run */
	bool restart;      /* --on-reboot restart */
	uint64_t grace_ns; /* --grace */
	bool dry_run;
	bool timeline;
	const char *core; /* --core: where a guest that crashed is written, or NULL */
	const char *timeline_svg; /* --timeline=FILE.svg; NULL: the terminal only */
	bool json;
	int log_level;
	void *strings; /* what config_keep() allocated */
};

/* Every option of `mayfly run`, in the order of the help. */
extern const struct option config_options[];

/* The defaults of a run without any option. */
void config_init(struct config *config);
void config_destroy(struct config *config);

/* A copy of `size` bytes of `text` that lives as long as `config` (room for them, if
 * `text` is NULL); NULL (logged): no memory. */
char *config_keep(struct config *config, const char *text, size_t size);

/* `text` for `option`; see option_set(). -EINVAL, or -ENOMEM. */
int config_set(struct config *config, const struct option *option, const char *where,
        const char *text);

/*
 * Once everything was read: settings that are short for others are put in their places.
 * -Exxx (logged).
 */
int config_finish(struct config *config);

/*
 * Meaning, limits and conflicts, once everything was read: a message that names the
 * option and -EINVAL. Opens nothing.
 */
int config_check(const struct config *config);

/* Reads `path` (JSON, the same names as the options) into `config` and logs what is
 * wrong: -EINVAL for what it says, another error if it cannot be read. */
int config_read(struct config *config, const char *path);
/* Up to `size` bytes, as many as there are; or -Exxx. */
ssize_t config_read_full(int fd, void *data, size_t size);
/* The same with the file's text at hand; `name` is for messages. */
int config_parse(
        struct config *config, const char *name, const char *text, size_t size);
