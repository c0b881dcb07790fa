/*
 * The devices that a guest can be given, and how each is created: NULL (logged) on
 * failure. Where they sit (ports, addresses, interrupts) is the architecture's business.
 */
#pragma once

#include "vmm/device.h"

struct console;

/* Every kind of device, NULL-terminated, for --help and the generic tests. */
struct device_help {
	const char *name;
	const char *help;
};
extern const struct device_help device_table[];

/* 16550A (National Semiconductor PC16550D); window of 8 bytes; interrupt `gsi`, edge. */
struct device *serial_create(
        struct device_host *host, struct console *console, unsigned gsi);
/* The console's input, for a guest that asks firmware for it: up to `size` bytes that are
 * there, out of the same receiver. Never blocks. */
size_t serial_receive(struct device *device, void *data, size_t size);
/* The reset line of an 8042 and no keyboard: window 0 is port 0x60, 1 is port 0x64. */
struct device *i8042_create(struct device_host *host);
/* MC146818 clock as far as kernels need it: window of 2 bytes (ports 0x70, 0x71). */
struct device *rtc_create(struct device_host *host);
/* Goldfish clock, as machines with a device tree have one: window of GOLDFISH_RTC_SIZE. */
enum { GOLDFISH_RTC_SIZE = 0x24 };
struct device *goldfish_rtc_create(struct device_host *host);
/* A PCI bus without functions (devices/pci.h). */
struct device *pci_create(struct device_host *host);
/* QEMU's docs/specs/pvpanic.rst: window of 1 byte. */
struct device *pvpanic_create(struct device_host *host);
/* guests/README.md: window of 4 bytes, a unikernel's texts for `console`. */
struct device *text_create(struct device_host *host, struct console *console);
/* Windows: 0 its status (4 bytes), 1 a mark; QEMU's: 2 isa-debug-exit, 3 PM1 control (2). */
struct device *exit_create(struct device_host *host);
