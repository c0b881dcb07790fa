#include "guest.h"
#include "hvt.h"

HVT_DEVICES(0);

/* Whatever a guest passes to a hypercall, it runs on. */
int main(void)
{
	static const uint64_t places[] = {0xffffffff, 0xfffffff8, 0x2000, 0, 0x10000};
	static const uint64_t sizes[] = {1, 1ul << 40, ~0ul, 1ul << 63};
	struct hvt_poll poll = {.timeout_ns = 0, .count = -1};

	/* Arguments that are nowhere, or where no answer can be written. */
	for (int call = HVT_WALLTIME; call < HVT_HALT; call++) {
		for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
			hvt_out(0x500u + call, places[i]);
		hvt_out(0x500u + call, hvt_info->memory_size - 4);
		hvt_out(0x500u + call, (uint64_t)main);
	}
	/* Ports that are no hypercalls, and other widths. */
	for (unsigned port = 0x4f8; port < 0x610; port++)
		if (port < 0x501 || port > 0x508)
			hvt_out(port, (uint64_t)&poll);
	__asm__ volatile("outb %b0, %w1" : : "a"(0), "d"(0x503));
	__asm__ volatile("outw %w0, %w1" : : "a"(0), "d"(0x503));
	uint32_t in;
	__asm__ volatile("inl %w1, %0" : "=a"(in) : "d"(0x503));
	if (in != ~0u)
		return 2;
	/* Texts that are not in RAM. */
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct hvt_puts puts = {
		        (void *)(hvt_info->memory_size - 1 + (i == 0)), sizes[i]};

		hvt_call(HVT_PUTS, &puts);
	}
	/* Everything works as before. */
	hvt_call(HVT_POLL, &poll);
	if (poll.count || poll.ready)
		return 3;
	print("refuse: ok\n");
	return 0;
}
