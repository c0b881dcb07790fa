/*
 * Starts all other CPUs as the Intel SDM vol. 3, 9.4.4.1 says (INIT, SIPI) and counts
 * them. "cpus=4" is how many there should be in all: it waits up to 5 s for them and
 * leaves with 1 if they are fewer or more.
 */
#include "guest.h"
#include "mayfly.h"
#include "x86/cpu.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_IRQCHIP);

/* The real-mode code that they start at: below 1 MiB, on a page of its own. */
#define TRAMPOLINE 0x40000

#define LAPIC_COMMAND (MAYFLY_LAPIC + 0x300ul)
#define COMMAND_INIT  0xc4500 /* all but self, assert */
#define COMMAND_SIPI  (0xc4600 | TRAMPOLINE >> 12)

extern const char trampoline[], trampoline_count[], trampoline_end[];

__asm__(".pushsection .rodata\n"
        "	.code16\n"
        "trampoline:\n"
        "	cli\n"
        "	lock incl %cs:(trampoline_count - trampoline)\n"
        "1:	hlt\n"
        "	jmp 1b\n"
        "	.balign 4\n"
        "trampoline_count:\n"
        "	.long 0\n"
        "trampoline_end:\n"
        "	.code64\n"
        ".popsection\n");

static void sleep_until(uint64_t deadline_ms)
{
	while (clock_ms() < deadline_ms)
		irq_wait(deadline_ms);
}

int main(void)
{
	volatile char *code = (volatile char *)TRAMPOLINE;
	volatile uint32_t *count =
	        (volatile uint32_t *)(TRAMPOLINE + (trampoline_count - trampoline));
	uint64_t expected = option_number("cpus", 1);
	uint64_t start = clock_ms();

	for (long n = 0; n < trampoline_end - trampoline; n++)
		code[n] = trampoline[n];

	mmio_write(LAPIC_COMMAND, COMMAND_INIT);
	sleep_until(start + 10);
	mmio_write(LAPIC_COMMAND, COMMAND_SIPI);

	while (*count + 1 < expected && clock_ms() < start + 5000)
		irq_wait(clock_ms() + 10);
	sleep_until(clock_ms() + 20); /* for those that should not be there */

	print("smp: %u CPUs\n", *count + 1);
	return *count + 1 == expected ? 0 : 1;
}
