/*
 * A user-space IOAPIC (Intel 82093AA; version 0x20, with an EOI register) of up to
 * GSI_COUNT pins, for KVM's split irqchip: an interrupt leaves it as an MSI.
 *
 * Its lock is the device's own, which the bus holds during guest accesses, and the last
 * in lock order: the functions below may be called from any thread with any other
 * device's lock held, and the outputs with this one.
 */
#pragma once

#include "vmm/device.h"

/* Called with the IOAPIC's lock held; they must not call back. */
struct ioapic_output {
	/* Delivers an interrupt now. */
	void (*send)(void *context, uint64_t address, uint32_t data);
	/*
	 * What `gsi` sends has changed; not `enabled`: to nothing. KVM learns by its GSI
	 * routing which vectors are level-triggered (data bit 15) and so make
	 * KVM_EXIT_IOAPIC_EOI, those of masked pins included; edge-triggered ones matter
	 * to irqfds only. After a restore, resume tells all of them. May be NULL.
	 */
	void (*route)(void *context, unsigned gsi, bool enabled, uint64_t address,
	        uint32_t data);
	void *context;
};

/*
 * NULL (logged) on failure. One window of LAYOUT_IOAPIC_SIZE bytes. The guest reads and
 * writes each of the `pins` (at most GSI_COUNT) several times when it starts.
 */
struct device *ioapic_create(
        struct device_host *host, const struct ioapic_output *output, unsigned pins);

/*
 * Sets the line of `gsi`. As in KVM's own IOAPIC, an edge on a masked pin is lost, a
 * level waits, and polarity is ignored: `level` true is asserted.
 */
void ioapic_set_line(struct device *device, unsigned gsi, bool level);

/* KVM_EXIT_IOAPIC_EOI: level-triggered pins of `vector` that are still high fire again. */
void ioapic_eoi(struct device *device, uint8_t vector);

/* Whether the guest listens to `gsi`. */
bool ioapic_unmasked(struct device *device, unsigned gsi);
