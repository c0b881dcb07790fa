/*
 * Sleeps for ever: nothing wakes it. With "tick=100" the timer does, every 100 ms, and
 * it counts aloud, so that one can see time go on over a pause or a snapshot; with
 * "ticks=3" up to there, and leaves.
 */
#include "guest.h"
#include "mayfly.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_IRQCHIP);

int main(void)
{
	uint64_t tick_ms = option_number("tick", 0);
	uint64_t ticks = option_number("ticks", NEVER);

	print("idle\n");
	guest_mark(MAYFLY_MARK_APPLICATION);
	if (tick_ms == 0)
		guest_halt();

	uint64_t next_ms = clock_ms();

	for (uint64_t n = 1; n <= ticks; n++) {
		next_ms += tick_ms;
		while (clock_ms() < next_ms)
			irq_wait(next_ms);
		print("idle: %lu\n", n);
	}
	return 0;
}
