/*
 * The port devices: any accesses of any size to any register, with input, pause and
 * resume in between. Each operation is four bytes of the fuzzer's data.
 */
#include <string.h>

#include "devices/console.h"
#include "devices/devices.h"
#include "vmm/bus.h"
#include "vmm/memory.h"

enum { GSI = 4, OPERATION = 4, SERIAL = 0x3f8, TEXT = 0xfc, RAM = 4096 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* The host's end, in place of devices/console.c. */
struct console {
	struct console_client client;
	size_t waiting; /* bytes of input */
	bool in_input;
	volatile unsigned char sum; /* of the output, all of which is looked at */
};

struct machine {
	struct device_host host;
	struct console console;
	bool level;
	struct memory memory;
	char ram[RAM];
};

int console_attach(struct console *console, const struct console_client *client)
{
	console->client = *client;
	return 0;
}

void console_want_input(struct console *console)
{
	static const char input[64] = "input";
	size_t size =
	        console->waiting < sizeof(input) ? console->waiting : sizeof(input);

	if (console->in_input)
		__builtin_trap();
	if (!size)
		return;
	console->in_input = true;
	size_t taken = console->client.input(console->client.context, input, size);
	console->in_input = false;
	if (taken > size)
		__builtin_trap();
	console->waiting -= taken;
}

void console_write(struct console *console, const void *data, size_t size)
{
	unsigned char sum = 0;

	if (!data || !size)
		__builtin_trap();
	for (size_t i = 0; i < size; i++)
		sum += ((const unsigned char *)data)[i];
	console->sum = sum;
}

/* An edge-triggered line only ever goes up and down in turn. */
static void set_irq(struct device_host *host, unsigned gsi, bool level)
{
	struct machine *machine = (struct machine *)host;

	if (gsi != GSI || level == machine->level)
		__builtin_trap();
	machine->level = level;
}

static void request(
        struct device_host *host, enum device_request request_kind, unsigned status)
{
	(void)host;
	if (request_kind != REQUEST_EXIT && status)
		__builtin_trap();
}

static void mark(struct device_host *host, unsigned number)
{
	(void)host;
	if (number > 255)
		__builtin_trap();
}

static void add(struct bus *bus, uint64_t base, uint64_t size, struct device *device,
        unsigned window)
{
	if (!device || bus_add(bus, base, size, device, window) < 0)
		__builtin_trap();
}

/* The top bits of the first byte choose what to do, the others where. */
static void operate(struct machine *machine, struct bus *bus, struct device *serial,
        const unsigned char *data)
{
	static const uint16_t ports[] = {
	        SERIAL, SERIAL, TEXT, 0x60, 0x64, 0x70, 0x505, 0xf0, 0xf4};
	uint64_t port = ports[data[0] % 16 % 9] + data[1] % 8;
	unsigned size = 1 << data[1] / 64;
	uint8_t value[8];

	memset(value, data[2], sizeof(value));
	value[0] = data[3];
	switch (data[0] >> 4) {
	case 0:
		machine->console.waiting += data[1];
		console_want_input(&machine->console);
		break;
	case 1:
		serial->type->pause(serial);
		break;
	case 2:
		serial->type->resume(serial);
		break;
	case 3 ... 8:
		bus_read(bus, port, value, size);
		break;
	default:
		bus_write(bus, port, value, size);
	}
	/* Each access returns with the line down: an edge was a whole pulse. */
	if (machine->level)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct machine machine = {
	        .host = {.set_irq = set_irq, .request = request, .mark = mark}};
	struct device *serial = serial_create(&machine.host, &machine.console, GSI);
	struct device *i8042 = i8042_create(&machine.host);
	struct device *rtc = rtc_create(&machine.host);
	struct device *pvpanic = pvpanic_create(&machine.host);
	struct device *leave = exit_create(&machine.host);
	struct device *text = text_create(&machine.host, &machine.console);
	struct bus bus = {0};

	add(&bus, SERIAL, 8, serial, 0);
	add(&bus, 0x60, 1, i8042, 0);
	add(&bus, 0x64, 1, i8042, 1);
	add(&bus, 0x70, 2, rtc, 0);
	add(&bus, 0x505, 1, pvpanic, 0);
	add(&bus, 0xf4, 4, leave, 0);
	add(&bus, 0xf0, 1, leave, 1);
	add(&bus, TEXT, 4, text, 0);
	machine.memory.ranges[0] = (struct memory_range){0, RAM, machine.ram};
	machine.memory.count = 1;
	machine.host.memory = &machine.memory;
	/* What the guest writes into its memory is as good as what it writes to a port. */
	memcpy(machine.ram, data, size < RAM ? size : RAM);
	for (; size >= OPERATION; data += OPERATION, size -= OPERATION)
		operate(&machine, &bus, serial, data);
	device_destroy(serial);
	device_destroy(i8042);
	device_destroy(rtc);
	device_destroy(pvpanic);
	device_destroy(leave);
	device_destroy(text);
	return 0;
}
