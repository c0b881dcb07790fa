/*
 * MSI-X (PCI Local Bus 3.0, 6.8.2): a table of messages, one for each of a function's
 * interrupts, and the bits of those that wait because they are masked.
 *
 * The function that owns one holds its lock around every call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct device_host;

enum {
	MSIX_VECTORS = 8,
	MSIX_ENTRY = 16, /* bytes in the table */
	MSIX_PENDING_OFFSET =
	        2048,         /* of the pending bits behind the table, in the BAR */
	MSIX_SIZE = 4096,     /* of both in the BAR */
	MSIX_CAPABILITY = 12, /* bytes in the configuration space */
};

/* Message control: byte 2 of the capability. */
enum { MSIX_CONTROL_MASKED = 1 << 14, MSIX_CONTROL_ENABLED = 1 << 15 };

/* Guest-visible; saved in snapshots. */
struct msix {
	struct msix_entry {
		uint64_t address;
		uint32_t data;
		uint32_t masked; /* bit 0 of vector control */
	} table[MSIX_VECTORS];
	uint64_t pending;
	uint16_t count; /* vectors: 1 to MSIX_VECTORS */
	uint16_t control;
};

/* As after reset: every vector is masked. */
void msix_init(struct msix *msix, unsigned count);
/* The capability as the configuration space has it; `next` is filled in by pci.c. */
void msix_capability(const struct msix *msix, unsigned bar, uint32_t offset,
        uint8_t capability[MSIX_CAPABILITY]);

static inline bool msix_enabled(const struct msix *msix)
{
	return msix->control & MSIX_CONTROL_ENABLED;
}

/* Only while enabled: sends the message, or leaves it pending. No vector: nothing. */
void msix_raise(struct msix *msix, struct device_host *host, unsigned vector);
/* The guest wrote message control; what is no longer masked and waited is sent. */
void msix_set_control(struct msix *msix, struct device_host *host, uint16_t control);

/* Accesses of the MSIX_SIZE bytes in the BAR: aligned words and double words. */
void msix_read(const struct msix *msix, uint64_t offset, void *data, unsigned size);
void msix_write(struct msix *msix, struct device_host *host, uint64_t offset,
        const void *data, unsigned size);
