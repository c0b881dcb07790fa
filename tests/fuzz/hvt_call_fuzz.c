/*
 * Hypercalls of Solo5's hvt ABI with any argument: a disk of 64 KiB in memory, a network
 * that is a socket. Each operation is a byte that says which call, a byte for where its
 * argument lies, and the argument, whose values are drawn towards the edges.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/console.h"
#include "devices/disk.h"
#include "devices/hvt.h"
#include "devices/nic.h"
#include "vmm/bus.h"
#include "vmm/loop.h"
#include "vmm/memory.h"

enum {
	RAM = 1 << 20,
	CODE = 0x10000,
	CODE_SIZE = 4096,
	DISK_SIZE = 1 << 16,
	ARGUMENT = 5
};

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

struct machine {
	struct device_host host;
	struct memory memory;
	struct bus bus;
	struct device *hvt;
	bool waiting;
	volatile uint8_t sum;
};

/* In place of devices/console.c: every byte is looked at. */
void console_write(struct console *console, const void *data, size_t size)
{
	struct machine *machine = (struct machine *)console;

	for (size_t i = 0; i < size; i += 512)
		machine->sum += ((const uint8_t *)data)[i];
	machine->sum += ((const uint8_t *)data)[size - 1];
}

void console_restore_terminal(void)
{
}

static void request(
        struct device_host *host, enum device_request request_kind, unsigned status)
{
	(void)host;
	if ((request_kind == REQUEST_ABORT) != (status == HVT_ABORT))
		__builtin_trap();
}

/* What the vCPU does, without its patience. */
static void wait_for(struct device_host *host, struct pollfd *fds, unsigned count,
        uint64_t deadline_ns)
{
	struct machine *machine = (struct machine *)host;

	if (deadline_ns <= 1 || count != 1)
		__builtin_trap();
	poll(fds, count, 0);
	machine->waiting = true;
}

static int wire_send(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	return writev(nic->fd, iov, (int)count) == (ssize_t)size ? 0 : -1;
}

static long wire_receive(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	(void)size;
	return readv(nic->fd, iov, (int)count);
}

static void wire_close(struct nic *nic)
{
	free(nic);
}

static struct nic *wire_create(int fd)
{
	static const struct nic_type type = {
	        .send = wire_send,
	        .receive = wire_receive,
	        .close = wire_close,
	};
	struct nic *nic = calloc(1, sizeof(*nic));

	if (!nic)
		abort();
	nic->type = &type;
	nic->fd = fd;
	return nic;
}

/* A byte becomes a number near something that matters. */
static uint64_t number(unsigned char byte)
{
	static const uint64_t bases[] = {0, 1, 2, 63, 512, CODE, RAM, DISK_SIZE, 1526,
	        RAM / 2, UINT32_MAX, INT64_MAX, UINT64_MAX, 65536, RAM - 1514, 14};
	static const int64_t steps[] = {0, 1, -1, 512, -512, 2, 1514, -1514, 255, 3, 7,
	        60, -2, 4096, -4096, 16};

	return bases[byte >> 4] + (uint64_t)steps[byte & 15];
}

static void operate(struct machine *machine, const unsigned char *data)
{
	uint64_t argument[ARGUMENT];
	uint32_t guest = (uint32_t)number(data[1]);
	unsigned offset = data[0] % 16, width = data[0] < 240 ? 4 : 1 << data[0] % 4;

	for (unsigned i = 0; i < ARGUMENT; i++)
		argument[i] = number(data[2 + i]);
	if (guest + sizeof(argument) <= CODE || guest >= CODE + CODE_SIZE)
		memory_write(&machine->memory, guest, argument, sizeof(argument));
	/* It may have to wait; not for ever here. */
	for (unsigned i = 0; i < 3; i++) {
		machine->waiting = false;
		bus_write(&machine->bus, HVT_PORT + offset, &guest, width);
		if (!machine->waiting)
			break;
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const char code[CODE_SIZE] = "code", frame[1526] = "frame";
	struct machine machine = {.host = {.request = request, .wait = wait_for}};
	int file = memfd_create("disk", MFD_CLOEXEC), ends[2];
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	if (ftruncate(file, DISK_SIZE) < 0 ||
	        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) < 0 ||
	        memory_create(&machine.memory, RAM, 0, UINT64_C(1) << 32, 0) < 0)
		abort();
	machine.host.memory = &machine.memory;
	machine.host.loop = loop_create();
	machine.hvt = hvt_create(&machine.host, (struct console *)&machine);
	if (hvt_attach_disk(machine.hvt, 1,
	            disk_open(
	                    &(struct disk_config){.path = path, .readonly = size & 1}),
	            512) < 0 ||
	        hvt_attach_nic(machine.hvt, 2, wire_create(ends[0])) < 0 ||
	        bus_add(&machine.bus, HVT_PORT, HVT_PORTS, machine.hvt, 0) < 0)
		abort();
	hvt_protect(machine.hvt, CODE, sizeof(code));
	memory_write(&machine.memory, CODE, code, sizeof(code));
	for (; size >= 2 + ARGUMENT; data += 2 + ARGUMENT, size -= 2 + ARGUMENT) {
		if (data[0] % 8 == 0)
			send(ends[1], frame, 12 + data[1] * 5u, 0);
		operate(&machine, data);
	}
	/* No call has written there; arguments that are elsewhere, operate() has. */
	if (memcmp(memory_at(&machine.memory, CODE, sizeof(code)), code,
	            sizeof(code)) != 0)
		__builtin_trap();
	device_destroy(machine.hvt);
	loop_destroy(machine.host.loop);
	memory_destroy(&machine.memory);
	close(ends[0]);
	close(ends[1]);
	close(file);
	return 0;
}
