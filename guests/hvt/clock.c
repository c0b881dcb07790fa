#include "guest.h"
#include "hvt.h"

HVT_DEVICES(0);

enum { MS = 1000000 };

static uint64_t now_ns(void)
{
	struct hvt_walltime walltime = {0};

	hvt_call(HVT_WALLTIME, &walltime);
	return walltime.now_ns;
}

/* Sleeps as asked, not less; without devices nothing is ever ready. */
int main(void)
{
	static const unsigned sleeps_ms[] = {0, 1, 20, 100};

	for (unsigned i = 0; i < sizeof(sleeps_ms) / sizeof(sleeps_ms[0]); i++) {
		struct hvt_poll poll = {sleeps_ms[i] * (uint64_t)MS, ~0ul, -1};
		uint64_t before = now_ns(), slept;

		hvt_call(HVT_POLL, &poll);
		slept = now_ns() - before;
		if (slept < sleeps_ms[i] * (uint64_t)MS || poll.ready || poll.count) {
			print("clock: wrong: %u ms took %lu ns, ready %lx, %d\n",
			        sleeps_ms[i], slept, poll.ready, poll.count);
			return 1;
		}
	}
	print("clock: %lu\n", now_ns() / 1000 / MS);
	return 0;
}
