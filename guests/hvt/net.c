#include <string.h>

#include "guest.h"
#include "hvt.h"

HVT_DEVICES(1, {.name = "service", .kind = HVT_NET});

enum { HANDLE = 1, FRAME = 60, SECOND = 1000000000, ARP_REPLY = 2 };

static uint8_t frame[65600];
static int failures;

static void expect(const char *what, long found, long wanted)
{
	if (found == wanted)
		return;
	print("net: wrong: %s is %ld, not %ld\n", what, found, wanted);
	failures++;
}

static int transfer(enum hvt_call call, uint64_t handle, void *data, size_t *size)
{
	struct hvt_net net = {handle, data, *size, -1};

	hvt_call(call, &net);
	*size = net.size;
	return net.result;
}

static int result_of(enum hvt_call call, uint64_t handle, void *data, size_t size)
{
	return transfer(call, handle, data, &size);
}

/* Asks who has address 10.0.X.2 (RFC 826), as 10.0.X.15. */
static void ask(const uint8_t *mac, uint8_t subnet)
{
	static const uint8_t head[] = {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1};

	memset(frame, 0, FRAME);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, head, sizeof(head));
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 28, (uint8_t[]){10, 0, subnet, 15}, 4);
	memcpy(frame + 38, (uint8_t[]){10, 0, subnet, 2}, 4);
	expect("a frame sent", result_of(HVT_NET_WRITE, HANDLE, frame, FRAME), HVT_OK);
}

static bool is_answer(size_t size, uint8_t subnet)
{
	return size >= 42 && frame[12] == 8 && frame[13] == 6 &&
	       frame[21] == ARP_REPLY &&
	       !memcmp(frame + 28, (uint8_t[]){10, 0, subnet, 2}, 4);
}

/* Sleeps until the answer is there; other frames are passed over. */
static void hear(size_t max, uint8_t subnet)
{
	for (unsigned tries = 0; tries < 64; tries++) {
		struct hvt_poll poll = {.timeout_ns = 5ul * SECOND};
		size_t size = max;
		int result;

		hvt_call(HVT_POLL, &poll);
		if (!poll.ready)
			break;
		expect("the ready set", (long)poll.ready, 1 << HANDLE);
		expect("the ready count", poll.count, 1);
		result = transfer(HVT_NET_READ, HANDLE, frame, &size);
		if (result == HVT_OK && is_answer(size, subnet)) {
			print("net: %x:%x:%x:%x:%x:%x answers\n", frame[22], frame[23],
			        frame[24], frame[25], frame[26], frame[27]);
			return;
		}
	}
	expect("the answer", 0, 1);
}

static void refuses(size_t max)
{
	const struct {
		const char *what;
		uint64_t handle;
		void *data;
		size_t size;
	} cases[] = {
	        {"handle 0", 0, frame, max},
	        {"an unknown handle", 2, frame, max},
	        {"a huge handle", 1ul << 40 | HANDLE, frame, max},
	        {"a short frame", HANDLE, frame, 13},
	        {"no frame", HANDLE, frame, 0},
	        {"a huge frame", HANDLE, frame, 1ul << 63},
	        {"data outside RAM", HANDLE, (void *)hvt_info->memory_size, max},
	        {"data across RAM's end", HANDLE,
	                (void *)(hvt_info->memory_size - max / 2), max},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int call = HVT_NET_WRITE; call <= HVT_NET_READ; call++)
			expect(cases[i].what,
			        result_of((enum hvt_call)call, cases[i].handle,
			                cases[i].data, cases[i].size),
			        HVT_EINVAL);
	expect("a long frame", result_of(HVT_NET_WRITE, HANDLE, frame, max + 1),
	        HVT_EINVAL);
	expect("a small buffer", result_of(HVT_NET_READ, HANDLE, frame, max - 1),
	        HVT_EINVAL);
	expect("a read into code", result_of(HVT_NET_READ, HANDLE, (void *)main, max),
	        HVT_EINVAL);
}

/* subnet=X: of the host 10.0.X.2 that answers. */
int main(void)
{
	const struct hvt_device *device = &hvt_info->manifest->devices[HANDLE];
	uint8_t subnet = (uint8_t)option_number("subnet", 2);
	size_t max = device->net.mtu + 14u;

	print("net: %s: mtu %u\n", device->name, device->net.mtu);
	refuses(max);
	ask(device->net.mac, subnet);
	hear(max, subnet);
	if (!failures)
		print("net: ok\n");
	return failures != 0;
}
