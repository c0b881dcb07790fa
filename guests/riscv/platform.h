/* What the device tree says of the machine. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct platform {
	uint64_t memory, memory_size;
	uint64_t timebase_hz;
	uint64_t plic;         /* 0: there is none */
	uint64_t aplic, imsic; /* 0: there are none */
};
extern struct platform platform;

static inline void mmio_write(uintptr_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

static inline uint32_t mmio_read(uintptr_t address)
{
	return *(volatile uint32_t *)address;
}

#define csr_write(csr, value) \
	__asm__ volatile("csrw " csr ", %0" : : "r"((uint64_t)(value)) : "memory")
#define csr_read(csr)                                                          \
	({                                                                     \
		uint64_t value_;                                               \
		__asm__ volatile("csrr %0, " csr : "=r"(value_) : : "memory"); \
		value_;                                                        \
	})
