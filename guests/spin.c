/* Computes for ever with interrupts off, as a hung guest does. */
#include "guest.h"
#include "mayfly.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_CPUID);

int main(void)
{
	print("spin\n");
	for (;;)
		__asm__ volatile("");
}
