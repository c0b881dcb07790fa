/*
 * A unikernel's words, a line and not a byte at a time (guests/README.md): what is written to
 * the window is the guest's address of two numbers of 64 bits, those of a text's address and
 * size, as hvt's puts has it. KVM makes an exit of each byte to a serial port, of REP OUTSB
 * too.
 */
#include <string.h>

#include "devices/console.h"
#include "devices/devices.h"
#include "vmm/log.h"
#include "vmm/memory.h"

enum { TEXT_MAX = 64 << 10 };

struct text {
	struct device device;
	struct console *console;
	struct log_counter refused;
};

static void text_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	struct text *text = (struct text *)device;
	struct memory *memory = device->host->memory;
	const void *words = NULL;
	uint64_t place[2];
	uint32_t guest;

	(void)window;
	if (offset || size != sizeof(guest))
		return;
	memcpy(&guest, data, sizeof(guest));
	if (memory_read(memory, guest, place, sizeof(place)) == 0 &&
	        place[1] - 1 < TEXT_MAX)
		words = memory_at(memory, place[0], place[1]);
	if (words)
		console_write(text->console, words, place[1]);
	else
		log_guest(&text->refused,
		        "text: the guest prints nothing, more than 64 KiB or what is "
		        "not in its RAM");
}

static const struct device_type text_type = {
        .name = "text",
        .help = "prints a unikernel's texts, each by one access",
        .write = text_write,
};

struct device *text_create(struct device_host *host, struct console *console)
{
	struct text *text = device_create(sizeof(*text), &text_type, host);

	if (!text)
		return NULL;
	text->console = console;
	return &text->device;
}
