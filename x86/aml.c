#include "x86/aml.h"

#include <assert.h>
#include <string.h>

/* ACPI 6.5, 20.3: byte stream opcodes; the two-byte ones have their prefix low. */
enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_LOCAL0 = 0x60,
	OP_ARG0 = 0x68,
	OP_STORE = 0x70,
	OP_AND = 0x7b,
	OP_NOTIFY = 0x86,
	OP_IF = 0xa0,
	OP_RETURN = 0xa4,
	OP_REGION = 0x805b,
	OP_FIELD = 0x815b,
	OP_DEVICE = 0x825b,
};

/* 20.2.4: a length of three bytes, 4 + 8 + 8 bits, whatever the length: it is patched
 * when the term is closed, and may then not grow. */
enum { PKG_LENGTH_SIZE = 3, PKG_LENGTH_MAX = (1 << 20) - 1 };

void aml_bytes(struct aml *aml, const void *data, size_t size)
{
	if (size > aml->size - aml->used) {
		aml->full = true;
		return;
	}
	memcpy(aml->data + aml->used, data, size);
	aml->used += size;
}

uint8_t aml_checksum(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	while (size--)
		sum += *bytes++;
	return -sum;
}

/* `size` bytes of `value`, the lowest first. */
static void put(struct aml *aml, uint64_t value, size_t size)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = value >> (8 * i);
	aml_bytes(aml, bytes, size);
}

void aml_u8(struct aml *aml, uint8_t value)
{
	put(aml, value, 1);
}

void aml_u16(struct aml *aml, uint16_t value)
{
	put(aml, value, 2);
}

void aml_u32(struct aml *aml, uint32_t value)
{
	put(aml, value, 4);
}

void aml_u64(struct aml *aml, uint64_t value)
{
	put(aml, value, 8);
}

/* The answer is where the length lies; it counts itself. */
static size_t term_open(struct aml *aml, unsigned opcode)
{
	size_t term;

	put(aml, opcode, opcode > 0xff ? 2 : 1);
	term = aml->used;
	put(aml, 0, PKG_LENGTH_SIZE);
	return term;
}

void aml_close(struct aml *aml, size_t term)
{
	size_t length = aml->used - term;

	if (length > PKG_LENGTH_MAX)
		aml->full = true;
	if (aml->full)
		return;
	aml->data[term] = (PKG_LENGTH_SIZE - 1) << 6 | (length & 0xf);
	aml->data[term + 1] = length >> 4;
	aml->data[term + 2] = length >> 12;
}

static void reference(struct aml *aml, const char *name)
{
	assert(strlen(name) == 4 + (*name == '\\'));
	aml_bytes(aml, name, strlen(name));
}

size_t aml_scope(struct aml *aml, const char *name)
{
	size_t term = term_open(aml, OP_SCOPE);

	reference(aml, name);
	return term;
}

size_t aml_device(struct aml *aml, const char *name)
{
	size_t term = term_open(aml, OP_DEVICE);

	reference(aml, name);
	return term;
}

size_t aml_method(struct aml *aml, const char *name, unsigned arguments)
{
	size_t term = term_open(aml, OP_METHOD);

	reference(aml, name);
	aml_u8(aml, arguments | 1 << 3); /* serialized */
	return term;
}

size_t aml_package(struct aml *aml, unsigned elements)
{
	size_t term = term_open(aml, OP_PACKAGE);

	aml_u8(aml, elements);
	return term;
}

size_t aml_if(struct aml *aml)
{
	return term_open(aml, OP_IF);
}

void aml_name(struct aml *aml, const char *name)
{
	aml_u8(aml, OP_NAME);
	reference(aml, name);
}

void aml_integer(struct aml *aml, uint64_t value)
{
	if (value <= 1) {
		aml_u8(aml, value ? OP_ONE : OP_ZERO);
	} else if (value <= UINT8_MAX) {
		aml_u8(aml, OP_BYTE);
		aml_u8(aml, value);
	} else if (value <= UINT16_MAX) {
		aml_u8(aml, OP_WORD);
		aml_u16(aml, value);
	} else if (value <= UINT32_MAX) {
		aml_u8(aml, OP_DWORD);
		aml_u32(aml, value);
	} else {
		aml_u8(aml, OP_QWORD);
		aml_u64(aml, value);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	aml_u8(aml, OP_STRING);
	aml_bytes(aml, text, strlen(text) + 1);
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* 19.3.4: three letters of five bits, four hex digits, the highest byte first. */
void aml_eisa_id(struct aml *aml, const char *id)
{
	uint8_t bytes[] = {
	        (id[0] - '@') << 2 | (id[1] - '@') >> 3,
	        (id[1] - '@') << 5 | (id[2] - '@'),
	        hex_digit(id[3]) << 4 | hex_digit(id[4]),
	        hex_digit(id[5]) << 4 | hex_digit(id[6]),
	};

	aml_u8(aml, OP_DWORD);
	aml_bytes(aml, bytes, sizeof(bytes));
}

void aml_port_register(
        struct aml *aml, const char *region, const char *field, uint16_t port)
{
	size_t term;

	put(aml, OP_REGION, 2);
	reference(aml, region);
	aml_u8(aml, 1); /* SystemIO */
	aml_integer(aml, port);
	aml_integer(aml, 1);

	term = term_open(aml, OP_FIELD);
	reference(aml, region);
	aml_u8(aml, 0x41); /* ByteAcc, NoLock, WriteAsZeros */
	reference(aml, field);
	aml_u8(aml, 8); /* bits */
	aml_close(aml, term);
}

/* A Buffer whose size is a word: patched like the length before it. */
size_t aml_resources(struct aml *aml)
{
	size_t term;

	aml_name(aml, "_CRS");
	term = term_open(aml, OP_BUFFER);
	aml_u8(aml, OP_WORD);
	aml_u16(aml, 0);
	return term;
}

void aml_close_resources(struct aml *aml, size_t resources)
{
	size_t word = resources + PKG_LENGTH_SIZE + 1, size;

	aml_u16(aml, 0x0079); /* 6.4.2.9: end tag; checksum 0 is taken as right */
	aml_close(aml, resources);
	if (aml->full)
		return;
	size = aml->used - (word + 2);
	assert(size <= UINT16_MAX);
	aml->data[word] = size;
	aml->data[word + 1] = size >> 8;
}

/* 6.4.2.5: I/O port descriptor, 16-bit decoding. */
void aml_resource_port(struct aml *aml, uint16_t port, uint8_t count)
{
	aml_u16(aml, 0x0147);
	aml_u16(aml, port);
	aml_u16(aml, port);
	aml_u8(aml, 1); /* alignment */
	aml_u8(aml, count);
}

/* 6.4.3.4: 32-bit fixed memory range, read and write. */
void aml_resource_memory(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_u8(aml, 0x86);
	aml_u16(aml, 9);
	aml_u8(aml, 1);
	aml_u32(aml, base);
	aml_u32(aml, size);
}

/*
 * 6.4.3.5: address space descriptors, whose numbers have `bytes` bytes: of `type`, from
 * `first` on, produced for what is behind the bridge, at fixed places, not translated.
 */
static void resource_window(struct aml *aml, unsigned tag, unsigned type,
        unsigned flags, uint64_t first, uint64_t count, unsigned bytes)
{
	aml_u8(aml, tag);
	aml_u16(aml, 3 + 5 * bytes);
	aml_u8(aml, type);
	aml_u8(aml, 0x0c); /* minimum and maximum are fixed; positive decode */
	aml_u8(aml, flags);
	put(aml, 0, bytes); /* granularity */
	put(aml, first, bytes);
	put(aml, first + count - 1, bytes);
	put(aml, 0, bytes); /* translation */
	put(aml, count, bytes);
}

void aml_resource_buses(struct aml *aml, uint16_t first, uint16_t count)
{
	resource_window(aml, 0x88, 2, 0, first, count, 2);
}

/* Flags: the entire range, ISA and others. */
void aml_resource_port_window(struct aml *aml, uint16_t port, uint16_t count)
{
	resource_window(aml, 0x88, 1, 3, port, count, 2);
}

/* Flags: read and write, not cacheable. */
void aml_resource_memory_window(struct aml *aml, uint32_t base, uint32_t size)
{
	resource_window(aml, 0x87, 0, 1, base, size, 4);
}

/* 6.4.3.6: extended interrupt: consumer, edge, active high, exclusive. */
void aml_resource_irq(struct aml *aml, uint32_t gsi)
{
	aml_u8(aml, 0x89);
	aml_u16(aml, 6);
	aml_u8(aml, 0x03);
	aml_u8(aml, 1);
	aml_u32(aml, gsi);
}

void aml_store_local0(struct aml *aml, const char *source)
{
	aml_u8(aml, OP_STORE);
	reference(aml, source);
	aml_u8(aml, OP_LOCAL0);
}

void aml_and_local0(struct aml *aml, uint64_t mask)
{
	aml_u8(aml, OP_AND);
	aml_u8(aml, OP_LOCAL0);
	aml_integer(aml, mask);
	aml_u8(aml, 0); /* no target */
}

void aml_return_argument(struct aml *aml, unsigned argument)
{
	aml_u8(aml, OP_RETURN);
	aml_u8(aml, OP_ARG0 + argument);
}

void aml_notify(struct aml *aml, const char *device, uint8_t value)
{
	aml_u8(aml, OP_NOTIFY);
	reference(aml, device);
	aml_integer(aml, value);
}
