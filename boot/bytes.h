/* Little-endian numbers, wherever they stand in a file. */
#pragma once

#include <stdint.h>

static inline uint16_t read_le16(const unsigned char *from)
{
	return (uint16_t)(from[0] | from[1] << 8);
}

static inline uint32_t read_le32(const unsigned char *from)
{
	return read_le16(from) | (uint32_t)read_le16(from + 2) << 16;
}

static inline uint64_t read_le64(const unsigned char *from)
{
	return read_le32(from) | (uint64_t)read_le32(from + 4) << 32;
}
