/*
 * What will be built, resolved from the configuration and the probed image, before
 * anything is: memory, command line, devices and where they sit. --dry-run prints it,
 * vm_build() follows it, and neither decides anything twice.
 */
#pragma once

#include "boot/boot.h"
#include "vmm/config.h"
#include "vmm/timeline.h"

enum {
	PLAN_DISKS = 16, /* as virtio devices */
	PLAN_VIRTIO = PLAN_DISKS + CONFIG_NICS + 4,
	PLAN_ATTACHMENTS = CONFIG_DISKS + CONFIG_NICS,
	PLAN_REGIONS = 8,
};

enum plan_kind {
	PLAN_DISK,
	PLAN_DATA,
	PLAN_NIC,
	PLAN_RNG,
	PLAN_CONSOLE,
	PLAN_BUTTON,
};

/* One virtio device and its place; with PCI, that of its memory before the guest moves it. */
struct plan_virtio {
	enum plan_kind kind;
	unsigned index; /* plan_disk(), or into config->nics */
	uint64_t base, size;
	unsigned gsi;
	unsigned slot;  /* PCI: device number on bus 0; 0: not PCI */
	uint64_t ports; /* PCI */
};

/* What a device that the image declares gets. */
struct plan_attachment {
	unsigned device; /* into source.devices */
	unsigned index;  /* into config->disks or config->nics */
};

/* What one virtio device takes of the PCI windows. */
enum { PLAN_PCI_MEMORY = 0x2000, PLAN_PCI_PORTS = 128 };

struct plan {
	const struct config *config;
	struct boot_source source;
	struct boot_needs needs;
	uint64_t memory;     /* bytes */
	uint64_t hole;       /* where RAM is interrupted */
	bool memory_default; /* nobody asked for that size */
	struct boot_region regions[PLAN_REGIONS];
	unsigned region_count;
	struct plan_virtio virtio[PLAN_VIRTIO];
	unsigned virtio_count;
	struct plan_attachment attachments[PLAN_ATTACHMENTS];
	unsigned attachment_count;
	uint8_t uuid[16];              /* where SMBIOS or metadata tell it */
	char *cmdline;                 /* final */
	char *additions;               /* the part of it that the monitor added */
	bool triple_fault_resets;      /* reboot=t */
	struct disk_config image_disk; /* the image itself, if it has a path */
};

/*
 * Opens, probes and unpacks the image. Logs what is wrong; destroy afterwards in any case.
 */
int plan_create(
        struct plan *plan, const struct config *config, struct timeline *timeline);
void plan_destroy(struct plan *plan);

/* A virtio disk by its index: the image's own first, then those of the configuration. */
const struct disk_config *plan_disk(const struct plan *plan, unsigned index);

/* A PC's old devices that such an image gets, by name; "none". */
const char *plan_legacy(const struct boot_needs *needs);

/* For --dry-run: the configuration and the memory map, as text or as JSON. */
void plan_print(const struct plan *plan);
void plan_print_json(const struct plan *plan);
