/*
 * The functions that the compiler and lwIP call. They move eight bytes at a time with
 * plain loads and stores: where KVM emulates the guest, a string instruction costs as
 * much for each byte as a loop does for eight.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* May alias anything and lie anywhere. */
typedef uint64_t __attribute__((may_alias, aligned(1))) unaligned_u64;

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	for (; size >= 8; size -= 8, t += 8, f += 8)
		*(unaligned_u64 *)t = *(const unaligned_u64 *)f;
	for (; size; size--)
		*t++ = *f++;
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	/* Forwards is right unless the target starts inside the source. */
	if ((uintptr_t)t - (uintptr_t)f >= size)
		return memcpy(to, from, size);
	while (size--)
		t[size] = f[size];
	return to;
}

void *memset(void *to, int value, size_t size)
{
	unsigned char *t = to;
	uint64_t word = 0x0101010101010101 * (unsigned char)value;

	for (; size >= 8; size -= 8, t += 8)
		*(unaligned_u64 *)t = word;
	for (; size; size--)
		*t++ = (unsigned char)value;
	return to;
}

int memcmp(const void *left, const void *right, size_t size)
{
	const unsigned char *l = left, *r = right;

	for (; size; size--, l++, r++)
		if (*l != *r)
			return *l - *r;
	return 0;
}

size_t strlen(const char *text)
{
	size_t size = 0;

	while (text[size])
		size++;
	return size;
}
