/*
 * Ends badly, in the way that "crash=" names:
 *
 *   triple   a fault with an empty IDT: the CPU shuts down   (default)
 *   fault    a page fault, which the start code reports: status 255
 *   ud       ud2, likewise
 *   panic    says so to pvpanic, then halts
 *   reset    resets the machine through the keyboard controller, then halts
 */
#include "guest.h"
#include "mayfly.h"
#include "x86/cpu.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_LEGACY | MAYFLY_NEEDS_CPUID);

static void page_fault(void)
{
	*(volatile char *)0x400000000000 = 0; /* far above all that start.S maps */
}

static void triple_fault(void)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0};

	__asm__ volatile("lidt %0" : : "m"(none));
	page_fault(); /* not ud2: KVM must know an instruction to emulate its fault */
}

int main(void)
{
	const char *how = option_find(command_line, "crash");

	if (!how || option_is(how, "triple"))
		triple_fault();
	else if (option_is(how, "fault"))
		page_fault();
	else if (option_is(how, "ud"))
		__asm__ volatile("ud2");
	else if (option_is(how, "panic"))
		out8(MAYFLY_PVPANIC_PORT, MAYFLY_PVPANIC_PANICKED);
	else if (option_is(how, "reset"))
		out8(MAYFLY_I8042_PORT, MAYFLY_I8042_RESET);
	else
		return 1;
	guest_halt();
}
