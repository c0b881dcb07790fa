/*
 * The little runtime below every guest but hello. main() runs once, in supervisor mode
 * on one CPU with memory mapped one to one; what it returns is the exit status.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int main(void);

/* text.c */

/* %s %c %d %u %x, and l before the last three. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The text behind "name=" in the first such word of the command line after `from`, NULL
 * if there is none. Start with command_line; to find the next, pass the last answer.
 */
const char *option_find(const char *from, const char *name);

/* The number of option `name`, or `otherwise`. */
uint64_t option_number(const char *name, uint64_t otherwise);

/* Whether the value at `text` is exactly `word`. */
bool option_is(const char *text, const char *word);

/* Decimal, or hexadecimal after 0x; *end is the first character behind it. */
uint64_t number_parse(const char *text, const char **end);

/* platform.c of x86/, riscv/ and hvt/, as far as each is asked */

extern const char *command_line;

__attribute__((noreturn)) void guest_exit(unsigned status);
void guest_mark(uint8_t mark);
void console_write(const char *text, size_t size);

/* Stops for good: no interrupt wakes it. */
__attribute__((noreturn)) void guest_halt(void);

struct memory_range {
	uint64_t start;
	uint64_t size;
	bool ram;
};

/* false past the last range of the memory map. */
bool memory_range(unsigned index, struct memory_range *range);

/* x86: of the initrd's, as `range`; false past the last. */
bool module_range(unsigned index, struct memory_range *range);

/* A pointer to guest address `guest`; one above 4 GiB is good until the next call. */
void *memory_window(uint64_t guest);

/* Where the virtio-mmio device `index` is; false past the last. */
bool virtio_place(unsigned index, uintptr_t *registers, unsigned *irq);

/* x86/irq.c, riscv/irq.c: guests with MAYFLY_NEEDS_IRQCHIP only */

#define IRQ_TIMER 24 /* in the answer of irq_wait() */
#define NEVER     UINT64_MAX

void irq_enable(unsigned irq);

/* The set that irq_wait() answers, for guests with an interrupt controller of their own. */
extern volatile uint32_t irq_pending;

/*
 * Sleeps until an enabled interrupt or deadline_ms of clock_ms(). Returns a set of
 * 1 << irq, all that came since the last call; it may be empty before the deadline. The
 * only place where interrupts are let in.
 */
uint32_t irq_wait(uint64_t deadline_ms);

/* Milliseconds since some moment before main(). */
uint64_t clock_ms(void);

/* Unpredictable enough for port and transaction numbers, not for secrets. */
uint32_t random_u32(void);
