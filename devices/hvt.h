/*
 * The hypercalls of Solo5's hvt ABI, version 2: clock, console, disks, networks, sleep
 * and the way out of a unikernel.
 *
 * One device; its window of 12 bytes begins at port 0x500 (HVT_PORT). What the guest may
 * not ask for is answered with the ABI's error, or not at all where it names no place for
 * an answer. Networks are polled by the vCPU itself, so there is nothing in the loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vmm/device.h"

struct console;
struct disk;
struct nic;

enum {
	HVT_PORT = 0x500,
	HVT_PORTS = 12,    /* 32 bits wide, the last at 0x508 */
	HVT_HANDLES = 64,  /* 0 is never used */
	HVT_READONLY = 40, /* ranges */
	HVT_COOKIE = 512,  /* bytes */
	HVT_ABORT = 255,   /* the status of a guest that gave up */
};

/* `console` may be NULL. NULL (logged) when out of memory. */
struct device *hvt_create(struct device_host *host, struct console *console);

/* Takes over the disk or the nic, also on failure: -Exxx (logged). */
int hvt_attach_disk(
        struct device *device, unsigned handle, struct disk *disk, unsigned block_size);
int hvt_attach_nic(struct device *device, unsigned handle, struct nic *nic);

/* What the guest cannot write, it cannot have written by a hypercall either. */
void hvt_protect(struct device *device, uint64_t guest, uint64_t size);

/* What a guest that ended left behind to explain it, HVT_COOKIE bytes; or NULL. */
const void *hvt_cookie(const struct device *device);
