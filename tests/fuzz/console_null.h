/*
 * A console for fuzzing virtio-console, in place of devices/console.c: keys are typed and
 * the window changes as the loop's time passes, and every byte of output is looked at.
 */
#pragma once

#include <stdlib.h>

#include "devices/console.h"
#include "devices/virtio.h"
#include "vmm/loop.h"

struct console {
	struct console_client client;
	struct loop_timer *timer;
	struct loop *loop;
	size_t waiting;       /* bytes of input */
	uint32_t turn;        /* what is next depends on it alone */
	volatile uint8_t sum; /* of the output */
};

void console_want_input(struct console *console)
{
	static const char keys[64] = "keys";
	const struct console_client *client = &console->client;

	while (console->waiting) {
		size_t size = console->waiting < 64 ? console->waiting : 64;
		size_t taken = client->input(client->context, keys, size);

		if (taken > size)
			abort();
		console->waiting -= taken;
		if (taken < size)
			break;
	}
}

static inline void console_null_expired(void *context)
{
	struct console *console = context;
	uint32_t turn = console->turn++;

	console->waiting += turn % 200;
	console_want_input(console);
	if (turn % 4 == 0)
		console->client.resized(console->client.context, turn, turn / 2);
	loop_timer_set(console->timer, loop_now_ns() + 1000000);
}

int console_attach(struct console *console, const struct console_client *client)
{
	console->client = *client;
	console->timer = loop_timer_create(
	        console->loop, console_null_expired, console, client->lock);
	loop_timer_set(console->timer, loop_now_ns() + 1000000);
	return 0;
}

void console_write(struct console *console, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		console->sum += bytes[i];
}

static inline struct virtio *create_console(struct device_host *host)
{
	static struct console console;

	console = (struct console){.loop = host->loop};
	return virtio_console_create(host, &console);
}
