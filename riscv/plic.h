/*
 * The Platform-Level Interrupt Controller (RISC-V PLIC Specification 1.0.0) for a KVM that
 * has no AIA: one context for each hart, its supervisor mode.
 */
#pragma once

#include "vmm/device.h"

enum {
	PLIC_SOURCES = 64, /* with source 0, which does not exist */
	PLIC_HARTS = 512,
	PLIC_PRIORITY_MAX = 7,
};

struct plic_output {
	/* The external interrupt of `hart` is pending or no more; the PLIC's lock is held. */
	void (*set)(void *context, unsigned hart, bool pending);
	void *context;
};

/* For at most PLIC_HARTS. NULL (logged) on failure. One window of plic_size(harts) bytes. */
struct device *plic_create(
        struct device_host *host, const struct plic_output *output, unsigned harts);
uint64_t plic_size(unsigned harts);

/* From any thread. A rising edge makes the source pending. */
void plic_set_line(struct device *device, unsigned source, bool level);
