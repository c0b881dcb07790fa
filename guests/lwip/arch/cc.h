/* What lwIP wants to know of the compiler and the machine. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t random_u32(void);                     /* guest.h */
uint16_t net_checksum(const void *, int size); /* net.c */

#define LWIP_RAND() random_u32()
#define LWIP_CHKSUM net_checksum

/* Calls, otherwise. Both of our architectures are little-endian. */
#define lwip_htons(x) __builtin_bswap16(x)
#define lwip_htonl(x) __builtin_bswap32(x)

#define LWIP_NO_CTYPE_H 1

#define LWIP_PLATFORM_DIAG(message)
#define LWIP_PLATFORM_ASSERT(message) __builtin_trap()
