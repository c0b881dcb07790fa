/*
 * Sleeps for ever: nothing wakes it. With "tick=100" the timer does, every 100 ms, and
 * it counts aloud, so that one can see time go on over a pause or a snapshot.
 */
#include "guest.h"
#include "mayfly.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_IRQCHIP);

int main(void)
{
	uint64_t tick_ms = option_number("tick", 0);

	print("idle\n");
	guest_mark(MAYFLY_MARK_APPLICATION);
	if (tick_ms == 0)
		guest_halt();

	uint64_t next_ms = clock_ms();

	for (unsigned n = 1;; n++) {
		next_ms += tick_ms;
		while (clock_ms() < next_ms)
			irq_wait(next_ms);
		print("idle: %u\n", n);
	}
}
