/*
 * Writes ACPI Machine Language (ACPI 6.5, 20) and other little-endian bytes into a buffer
 * of fixed size. What does not fit is left out and sets `full`, which the caller looks at
 * once, at the end.
 *
 * Terms that enclose others are opened and closed; what an open function returns goes to
 * aml_close():
 *
 *     size_t device = aml_device(aml, "COM1");
 *     aml_name(aml, "_UID");
 *     aml_integer(aml, 0);
 *     aml_close(aml, device);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *data;
	size_t size; /* of the buffer */
	size_t used;
	bool full; /* something did not fit */
};

void aml_bytes(struct aml *aml, const void *data, size_t size);
void aml_u8(struct aml *aml, uint8_t value);
void aml_u16(struct aml *aml, uint16_t value);
void aml_u32(struct aml *aml, uint32_t value);
void aml_u64(struct aml *aml, uint64_t value);

/* The byte that makes the sum of all 0, as every table here has one. */
uint8_t aml_checksum(const void *data, size_t size);

/* Enclosing terms. `name` is one NameSeg of four characters, maybe after a backslash. */
size_t aml_scope(struct aml *aml, const char *name);
size_t aml_device(struct aml *aml, const char *name);
size_t aml_method(
        struct aml *aml, const char *name, unsigned arguments); /* serialized */
size_t aml_package(struct aml *aml, unsigned elements);
size_t aml_if(struct aml *aml); /* the predicate comes first inside */
void aml_close(struct aml *aml, size_t term);

/* Name (name, ...): the value comes next. */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
void aml_eisa_id(struct aml *aml, const char *id); /* "PNP0501" */

/* A region of one byte-wide I/O register, and the field that is the register. */
void aml_port_register(
        struct aml *aml, const char *region, const char *field, uint16_t port);

/* Name (_CRS, ResourceTemplate () {...}); resources in between. */
size_t aml_resources(struct aml *aml);
void aml_resource_port(struct aml *aml, uint16_t port, uint8_t count);
void aml_resource_memory(struct aml *aml, uint32_t base, uint32_t size);
/* What a bridge hands on: PCI bus numbers, ports, 32-bit memory. */
void aml_resource_buses(struct aml *aml, uint16_t first, uint16_t count);
void aml_resource_port_window(struct aml *aml, uint16_t port, uint16_t count);
void aml_resource_memory_window(struct aml *aml, uint32_t base, uint32_t size);
void aml_resource_irq(struct aml *aml, uint32_t gsi); /* edge, active high, exclusive */
void aml_close_resources(struct aml *aml, size_t resources);

/* Statements and operands of methods. */
void aml_store_local0(struct aml *aml, const char *source);
void aml_and_local0(struct aml *aml, uint64_t mask); /* Local0 & mask, as a predicate */
void aml_return_argument(struct aml *aml, unsigned argument);
void aml_notify(struct aml *aml, const char *device, uint8_t value);
