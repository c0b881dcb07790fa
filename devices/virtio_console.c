/*
 * The guest's console as one port (VIRTIO 1.2, 5.3), without VIRTIO_CONSOLE_F_MULTIPORT.
 * The configuration holds the window's size; a write to emerg_wr prints one character
 * before, or without, any queue.
 */
#include <endian.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "devices/console.h"
#include "devices/virtio.h"
#include "vmm/loop.h"

enum { QUEUE_INPUT, QUEUE_OUTPUT, QUEUES };

/*
 * Linux drops what it finds in the input queue until the console is registered, some time
 * after it has filled that queue, and nothing tells when. Input rests for so long.
 */
enum { SETTLE_NS = 200000000 };

/* What one notification can make the host do before others get their turn. */
enum { QUEUE_SIZE = 64, KICK_CHAINS = 64, KICK_BYTES = 64 << 10 };

struct virtio_console {
	struct virtio virtio;
	struct console *console;
	struct virtio_console_config config;
	uint16_t columns, rows;
	struct loop_timer
	        *settle; /* from the first notification of the input queue on */
	bool settled;
};

static struct virtio_console *of(struct virtio *virtio)
{
	return (struct virtio_console *)virtio;
}

/* Prints a request; beyond KICK_BYTES its rest is lost, which no sane driver sends. */
static size_t print(struct console *console, const struct chain *chain)
{
	size_t done = 0;

	for (unsigned i = 0; i < chain->out_count && done < KICK_BYTES; i++) {
		size_t size = chain->iov[i].iov_len;

		if (size > KICK_BYTES - done)
			size = KICK_BYTES - done;
		console_write(console, chain->iov[i].iov_base, size);
		done += size;
	}
	return done;
}

static void kick_output(struct virtio *virtio)
{
	struct virtqueue *queue = &virtio->queues[QUEUE_OUTPUT];
	struct chain chain;
	size_t bytes = 0;
	unsigned chains = 0;
	bool more;

	while ((more = chains < KICK_CHAINS && bytes < KICK_BYTES) &&
	        virtio_pop(virtio, QUEUE_OUTPUT, &chain)) {
		bytes += print(of(virtio)->console, &chain);
		virtqueue_push(queue, chain.head, 0);
		chains++;
	}
	virtio_notify(virtio, QUEUE_OUTPUT);
	if (!more)
		virtio_kick_later(virtio, QUEUE_OUTPUT);
}

static void settled(void *context)
{
	struct virtio_console *console = context;

	console->settled = true;
	console_want_input(console->console);
}

static void settle(struct virtio_console *console)
{
	if (console->settle)
		return;
	console->settle = loop_timer_create(
	        console->virtio.host->loop, settled, console, console->virtio.lock);
	if (console->settle)
		loop_timer_set(console->settle, loop_now_ns() + SETTLE_NS);
}

static void console_kick(struct virtio *virtio, unsigned queue)
{
	struct virtio_console *console = of(virtio);

	if (queue == QUEUE_OUTPUT)
		kick_output(virtio);
	else if (console->settled)
		console_want_input(console->console);
	else
		settle(console);
}

static size_t console_input(void *context, const void *data, size_t size)
{
	struct virtio *virtio = context;
	struct virtqueue *queue = &virtio->queues[QUEUE_INPUT];
	struct chain chain;
	size_t taken = 0;
	unsigned chains = 0;

	while (of(virtio)->settled && taken < size && chains < KICK_CHAINS &&
	        virtio_pop(virtio, QUEUE_INPUT, &chain)) {
		size_t written = iov_write(chain.iov + chain.out_count, chain.in_count,
		        0, (const char *)data + taken, size - taken);

		virtqueue_push(queue, chain.head, written);
		taken += written;
		chains++;
	}
	virtio_notify(virtio, QUEUE_INPUT);
	if (chains == KICK_CHAINS)
		virtio_kick_later(virtio, QUEUE_INPUT);
	return taken;
}

/* The guest may write what it likes there; it reads back what is true. */
static void fill_config(struct virtio_console *console)
{
	console->config = (struct virtio_console_config){
	        .cols = htole16(console->columns),
	        .rows = htole16(console->rows),
	        .max_nr_ports = htole32(1),
	};
}

static void console_resized(void *context, uint16_t columns, uint16_t rows)
{
	struct virtio_console *console = context;

	if (columns == console->columns && rows == console->rows)
		return;
	console->columns = columns;
	console->rows = rows;
	fill_config(console);
	virtio_config_changed(&console->virtio);
}

static void console_config_written(struct virtio *virtio, size_t offset, size_t size)
{
	struct virtio_console *console = of(virtio);
	const size_t at = offsetof(struct virtio_console_config, emerg_wr);
	uint8_t byte = le32toh(console->config.emerg_wr);

	fill_config(console);
	if (offset <= at && at - offset < size)
		console_write(console->console, &byte, 1);
}

static int console_attach_virtio(struct virtio *virtio)
{
	const struct console_client client = {
	        .input = console_input,
	        .resized = console_resized,
	        .context = virtio,
	        .lock = virtio->lock,
	};
	int error;

	pthread_mutex_lock(virtio->lock);
	error = console_attach(of(virtio)->console, &client);
	pthread_mutex_unlock(virtio->lock);
	return error;
}

/* Linux takes the size from an interrupt only, never when it starts. */
static void console_activate(struct virtio *virtio)
{
	if (of(virtio)->columns && virtio_has(virtio, VIRTIO_CONSOLE_F_SIZE))
		virtio_config_changed(virtio);
}

static void console_reset(struct virtio *virtio)
{
	struct virtio_console *console = of(virtio);

	loop_timer_destroy(console->settle);
	console->settle = NULL;
	console->settled = false;
}

static void virtio_console_destroy(struct virtio *virtio)
{
	loop_timer_destroy(of(virtio)->settle);
}

static const struct virtio_type console_type = {
        .name = "virtio-console",
        .device_id = VIRTIO_ID_CONSOLE,
        .queue_count = QUEUES,
        .queue_size = QUEUE_SIZE,
        .config_offset = offsetof(struct virtio_console, config),
        .config_size = sizeof(struct virtio_console_config),
        .attach = console_attach_virtio,
        .activate = console_activate,
        .kick = console_kick,
        .reset = console_reset,
        .config_written = console_config_written,
        .destroy = virtio_console_destroy,
};

struct virtio *virtio_console_create(struct device_host *host, struct console *console)
{
	const uint64_t features =
	        1 << VIRTIO_CONSOLE_F_SIZE | 1 << VIRTIO_CONSOLE_F_EMERG_WRITE;
	struct virtio_console *device =
	        virtio_create(sizeof(*device), &console_type, host, features);

	if (!device)
		return NULL;
	device->console = console;
	fill_config(device);
	return &device->virtio;
}
