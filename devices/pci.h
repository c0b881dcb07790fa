/*
 * A PCI root with one bus of 32 single functions, host bridge at 0 (PCI Local Bus 3.0,
 * chapter 6). Configuration space is reached by ports 0xcf8 and 0xcfc (3.2.2.3.2) and by
 * memory (ECAM, PCI Express 5.0, 7.2.2); an architecture gives it one or both windows.
 *
 * What a guest sees of a function is `config`, and what it may change of that `writable`:
 * so BARs answer a write of all ones with their size, and read-only bits stay. The root
 * looks at BARs and at the command register after each write and moves the function's
 * windows; of two that overlap, the first stays until it goes away.
 *
 * Lock order: the root's device, then a function's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;
struct device_host;

enum {
	PCI_SLOTS = 32,
	PCI_CONFIG = 256, /* bytes; those from there to 4096 read as 0 */
	PCI_BARS = 6,
};

/* The root's windows. */
enum { PCI_WINDOW_PORTS, PCI_WINDOW_ECAM };
enum { PCI_PORTS_SIZE = 8, PCI_ECAM_SIZE = PCI_SLOTS * 8 * 4096 };

struct pci_function {
	struct device *device; /* its lock guards all of this; its window n is BAR n */
	uint32_t bar_sizes[PCI_BARS]; /* powers of two; 0: there is none */
	uint8_t config[PCI_CONFIG];
	uint8_t writable[PCI_CONFIG]; /* bits */
	uint8_t capability;           /* the last one, or 0 */
	uint8_t free;                 /* where the next one goes */
	/* Before a guest's read and after its write, 1, 2 or 4 bytes; or NULL. */
	void (*config_read)(
	        struct pci_function *function, unsigned offset, unsigned size);
	void (*config_written)(
	        struct pci_function *function, unsigned offset, unsigned size);
};

struct pci_identity {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits */
	uint8_t revision;
};

/* Of type 0, without BARs, capabilities and interrupt. */
void pci_function_init(struct pci_function *function, struct device *device,
        const struct pci_identity *identity);
/* Memory BARs are 32 bits wide and not prefetchable. */
void pci_add_bar(struct pci_function *function, unsigned bar, bool port, uint32_t size);
/* INTA#, wired to `line` as far as guests without ACPI or FDT can be told. */
void pci_add_interrupt(struct pci_function *function, uint8_t line);
/* The answer is where it lies in `config`. */
unsigned pci_add_capability(
        struct pci_function *function, const void *capability, size_t size);

uint16_t pci_config16(const struct pci_function *function, unsigned offset);

/* The root is created by pci_create() (devices/devices.h), with the host bridge only. */

/*
 * Puts a function that outlives the root's last access into `slot`, its BARs at `bases`,
 * which take effect at once, as if firmware had been there. -EEXIST, or -EINVAL.
 */
int pci_add(struct device *root, unsigned slot, struct pci_function *function,
        const uint32_t bases[PCI_BARS]);
