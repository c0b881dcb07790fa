/* The hypercalls of Solo5's hvt ABI, as a guest makes them, on back ends of the test. */
#include "devices/hvt.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "devices/console.h"
#include "devices/disk.h"
#include "devices/nic.h"
#include "guests/hvt.h"
#include "tests/unit/loop_fake.h"
#include "tests/unit/unit.h"
#include "vmm/bus.h"
#include "vmm/memory.h"

enum {
	RAM = 4 << 20,
	CALL = 0x110000, /* where arguments are put */
	DATA = 0x200000,
	CODE = 0x100000,
	CODE_SIZE = 0x1800,
	BLOCKS = 16,
	DISK = 5, /* handles */
	NIC = 63,
	NS = 1000000000,
};

/* A network whose frames are those of a socket, as the user-mode network's are. */
struct wire {
	struct nic nic;
	int far;
};

static struct bed {
	struct device_host host;
	struct memory memory;
	struct bus bus;
	struct device *hvt;
	int disk_fd;
	struct wire *wire;
	unsigned requests;
	enum device_request request;
	unsigned status;
	unsigned waits;
	struct pollfd *fds;
	unsigned fd_count;
	uint64_t deadline_ns;
	char printed[64];
	size_t printed_size;
} bed;

/* In place of devices/console.c. */
void console_write(struct console *console, const void *data, size_t size)
{
	CU_ASSERT_PTR_EQUAL(console, &bed);
	CU_ASSERT_FATAL(size <= sizeof(bed.printed));
	memcpy(bed.printed, data, size);
	bed.printed_size = size;
}

static void request(
        struct device_host *host, enum device_request request_kind, unsigned status)
{
	(void)host;
	bed.requests++;
	bed.request = request_kind;
	bed.status = status;
}

static void wait_for(struct device_host *host, struct pollfd *fds, unsigned count,
        uint64_t deadline_ns)
{
	(void)host;
	bed.waits++;
	bed.fds = fds;
	bed.fd_count = count;
	bed.deadline_ns = deadline_ns;
}

static int wire_send(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	CU_ASSERT_EQUAL(iov[0].iov_len + iov[1].iov_len, size);
	return writev(nic->fd, iov, (int)count) < 0 ? -EIO : 0;
}

static long wire_receive(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	long got = readv(nic->fd, iov, (int)count);

	(void)size;
	return got < 0 ? -EAGAIN : got;
}

static void wire_close(struct nic *nic)
{
	struct wire *wire = (struct wire *)nic;

	close(nic->fd);
	if (wire->far >= 0)
		close(wire->far);
	free(wire);
}

static const struct nic_type wire_type = {
        .name = "wire",
        .send = wire_send,
        .receive = wire_receive,
        .close = wire_close,
};

static void bed_add_disk(bool readonly)
{
	struct disk *disk;
	char path[64], block[512];

	bed.disk_fd = memfd_create("disk", MFD_CLOEXEC);
	for (unsigned i = 0; i < BLOCKS; i++) {
		memset(block, (int)i, sizeof(block));
		CU_ASSERT_EQUAL(pwrite(bed.disk_fd, block, 512, i * 512), 512);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", bed.disk_fd);
	disk = disk_open(&(struct disk_config){.path = path, .readonly = readonly});
	CU_ASSERT_PTR_NOT_NULL_FATAL(disk);
	CU_ASSERT_EQUAL(hvt_attach_disk(bed.hvt, DISK, disk, 1024), 0);
}

static void bed_add_nic(void)
{
	int ends[2];

	bed.wire = calloc(1, sizeof(*bed.wire));
	CU_ASSERT_FATAL(bed.wire &&
	                !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends));
	bed.wire->nic.type = &wire_type;
	bed.wire->nic.fd = ends[0];
	bed.wire->far = ends[1];
	CU_ASSERT_EQUAL(hvt_attach_nic(bed.hvt, NIC, &bed.wire->nic), 0);
}

static void begin(void)
{
	memset(&bed, 0, sizeof(bed));
	bed.disk_fd = -1;
	CU_ASSERT_EQUAL_FATAL(
	        memory_create(&bed.memory, RAM, 0, UINT64_C(1) << 32, 0), 0);
	bed.host = (struct device_host){.memory = &bed.memory,
	        .loop = loop_create(),
	        .request = request,
	        .wait = wait_for};
	bed.hvt = hvt_create(&bed.host, (struct console *)&bed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed.hvt);
	hvt_protect(bed.hvt, 0, CODE);
	hvt_protect(bed.hvt, CODE, CODE_SIZE);
	CU_ASSERT_EQUAL(bus_add(&bed.bus, HVT_PORT, HVT_PORTS, bed.hvt, 0), 0);
}

static void end(void)
{
	device_destroy(bed.hvt);
	CU_ASSERT_EQUAL(loop_fake_count(bed.host.loop), 0);
	loop_destroy(bed.host.loop);
	memory_destroy(&bed.memory);
	if (bed.disk_fd >= 0)
		close(bed.disk_fd);
}

/* Makes hypercall `number` with `argument`, which then holds the answer. */
static void call(unsigned number, void *argument, size_t size)
{
	uint32_t guest = CALL;

	CU_ASSERT_EQUAL(memory_write(&bed.memory, CALL, argument, size), 0);
	CU_ASSERT_TRUE(bus_write(&bed.bus, HVT_PORT + number, &guest, 4));
	CU_ASSERT_EQUAL(memory_read(&bed.memory, CALL, argument, size), 0);
}

static void *guest_pointer(uint64_t guest)
{
	return (void *)(uintptr_t)guest;
}

static void walltime_is_now(void)
{
	struct hvt_walltime walltime = {0};
	uint64_t now = (uint64_t)time(NULL);

	begin();
	call(HVT_WALLTIME, &walltime, sizeof(walltime));
	CU_ASSERT(walltime.now_ns / NS - now <= 2);
	end();
}

static void puts_prints_what_is_in_ram(void)
{
	struct hvt_puts puts = {guest_pointer(DATA), 5};

	begin();
	memory_write(&bed.memory, DATA, "hello", 5);
	call(HVT_PUTS, &puts, sizeof(puts));
	CU_ASSERT_EQUAL(bed.printed_size, 5);
	CU_ASSERT_EQUAL(memcmp(bed.printed, "hello", 5), 0);
	/* The last byte, one past it, and a size that wraps. */
	bed.printed_size = 0;
	call(HVT_PUTS, &(struct hvt_puts){guest_pointer(RAM - 1), 1}, sizeof(puts));
	CU_ASSERT_EQUAL(bed.printed_size, 1);
	bed.printed_size = 0;
	call(HVT_PUTS, &(struct hvt_puts){guest_pointer(RAM - 1), 2}, sizeof(puts));
	call(HVT_PUTS, &(struct hvt_puts){guest_pointer(RAM - 1), SIZE_MAX},
	        sizeof(puts));
	call(HVT_PUTS, &(struct hvt_puts){guest_pointer(DATA), 0}, sizeof(puts));
	CU_ASSERT_EQUAL(bed.printed_size, 0);
	end();
}

static void poll_of_no_time_answers_at_once(void)
{
	struct hvt_poll poll = {.ready = 7, .count = 7};

	begin();
	call(HVT_POLL, &poll, sizeof(poll));
	CU_ASSERT(poll.ready == 0 && poll.count == 0);
	CU_ASSERT_EQUAL(bed.waits, 0);
	end();
}

static void poll_is_made_again_until_its_time(void)
{
	struct hvt_poll poll = {.timeout_ns = 1000, .count = 7};
	uint64_t deadline;

	begin();
	call(HVT_POLL, &poll, sizeof(poll));
	CU_ASSERT_EQUAL(poll.count, 7); /* no answer yet */
	CU_ASSERT_EQUAL(bed.waits, 1);
	deadline = bed.deadline_ns;
	CU_ASSERT_EQUAL(deadline, loop_now_ns() + 1000);
	loop_fake_advance(bed.host.loop, 999);
	call(HVT_POLL, &poll, sizeof(poll));
	CU_ASSERT_EQUAL(bed.waits, 2);
	CU_ASSERT_EQUAL(bed.deadline_ns, deadline); /* it does not start anew */
	loop_fake_advance(bed.host.loop, 1);
	call(HVT_POLL, &poll, sizeof(poll));
	CU_ASSERT(bed.waits == 2 && poll.count == 0);
	/* The next one is another. */
	call(HVT_POLL, &poll, sizeof(poll));
	CU_ASSERT_EQUAL(bed.deadline_ns, loop_now_ns() + 1000);
	end();
}

static void poll_for_ever_does_not_wrap(void)
{
	struct hvt_poll poll = {.timeout_ns = UINT64_MAX - 1};

	begin();
	call(HVT_POLL, &poll, sizeof(poll));
	CU_ASSERT(bed.waits == 1 && bed.deadline_ns == UINT64_MAX);
	end();
}

static void poll_tells_which_network_has_a_frame(void)
{
	struct hvt_poll poll = {.timeout_ns = NS};
	char frame[12 + 60] = {0};

	begin();
	bed_add_nic();
	call(HVT_POLL, &poll, sizeof(poll));
	CU_ASSERT(bed.waits == 1 && bed.fd_count == 1);
	/* What the vCPU does meanwhile. */
	CU_ASSERT_EQUAL(send(bed.wire->far, frame, sizeof(frame), 0), sizeof(frame));
	CU_ASSERT_EQUAL(ppoll(bed.fds, bed.fd_count, NULL, NULL), 1);
	call(HVT_POLL, &poll, sizeof(poll));
	CU_ASSERT_EQUAL(poll.ready, UINT64_C(1) << NIC);
	CU_ASSERT_EQUAL(poll.count, 1);
	/* What waits already needs no wait. */
	poll = (struct hvt_poll){.timeout_ns = NS};
	call(HVT_POLL, &poll, sizeof(poll));
	CU_ASSERT(bed.waits == 1 && poll.count == 1);
	end();
}

static void a_dead_network_wakes_once(void)
{
	struct hvt_poll poll = {.timeout_ns = NS};

	begin();
	bed_add_nic();
	close(bed.wire->far);
	bed.wire->far = -1;
	call(HVT_POLL, &poll, sizeof(poll));
	poll = (struct hvt_poll){.timeout_ns = NS};
	call(HVT_POLL, &poll, sizeof(poll));
	CU_ASSERT(bed.waits > 0);
	CU_ASSERT_EQUAL(bed.fds[0].fd, -1);
	end();
}

static int transfer(
        unsigned number, uint64_t handle, uint64_t offset, uint64_t data, uint64_t size)
{
	struct hvt_block block = {handle, offset, guest_pointer(data), size, -1};

	call(number, &block, sizeof(block));
	CU_ASSERT_EQUAL(block.size, size);
	return block.result;
}

static void blocks_are_read_and_written(void)
{
	uint8_t *data, found[2];

	begin();
	bed_add_disk(false);
	data = memory_at(&bed.memory, DATA, 4096);
	CU_ASSERT_EQUAL(transfer(HVT_BLOCK_READ, DISK, 2048, DATA, 2048), HVT_OK);
	CU_ASSERT(data[0] == 4 && data[512] == 5 && data[2047] == 7 && !data[2048]);
	memset(data, 0xaa, 1024);
	CU_ASSERT_EQUAL(transfer(HVT_BLOCK_WRITE, DISK, (BLOCKS - 2) * 512, DATA, 1024),
	        HVT_OK);
	CU_ASSERT_EQUAL(pread(bed.disk_fd, found, 1, (BLOCKS - 2) * 512), 1);
	CU_ASSERT_EQUAL(pread(bed.disk_fd, found + 1, 1, BLOCKS * 512 - 1), 1);
	CU_ASSERT(found[0] == 0xaa && found[1] == 0xaa);
	end();
}

static void block_requests_are_checked(void)
{
	static const struct {
		uint64_t handle, offset, data, size;
	} bad[] = {
	        {0, 0, DATA, 1024},
	        {DISK - 1, 0, DATA, 1024},
	        {NIC, 0, DATA, 1024},
	        {64, 0, DATA, 1024},
	        {UINT64_C(1) << 32 | DISK, 0, DATA, 1024},
	        {DISK, 512, DATA, 1024},
	        {DISK, 0, DATA, 512},
	        {DISK, 0, DATA, 0},
	        {DISK, BLOCKS * 512, DATA, 1024},
	        {DISK, (BLOCKS - 2) * 512, DATA, 2048},
	        {DISK, UINT64_MAX - 1023, DATA, 2048},
	        {DISK, 1024, DATA, UINT64_MAX - 1023},
	        {DISK, 0, RAM, 1024},
	        {DISK, 0, RAM - 1023, 1024},
	        {DISK, 0, UINT64_MAX - 511, 1024},
	};

	begin();
	bed_add_disk(false);
	bed_add_nic();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (unsigned number = HVT_BLOCK_WRITE; number <= HVT_BLOCK_READ;
		        number++)
			CU_ASSERT_EQUAL(transfer(number, bad[i].handle, bad[i].offset,
			                        bad[i].data, bad[i].size),
			        HVT_EINVAL);
	end();
}

static void readonly_disk_is_not_written(void)
{
	begin();
	bed_add_disk(true);
	CU_ASSERT_EQUAL(transfer(HVT_BLOCK_WRITE, DISK, 0, DATA, 1024), HVT_EUNSPEC);
	CU_ASSERT_EQUAL(transfer(HVT_BLOCK_READ, DISK, 0, DATA, 1024), HVT_OK);
	end();
}

static void an_error_of_the_disk_is_unspecified(void)
{
	begin();
	bed_add_disk(false);
	CU_ASSERT_EQUAL(ftruncate(bed.disk_fd, 1024), 0);
	CU_ASSERT_EQUAL(transfer(HVT_BLOCK_READ, DISK, 1024, DATA, 1024), HVT_EUNSPEC);
	end();
}

static void protected_memory_is_read_but_not_written(void)
{
	begin();
	bed_add_disk(false);
	CU_ASSERT_EQUAL(transfer(HVT_BLOCK_WRITE, DISK, 0, CODE, 1024), HVT_OK);
	CU_ASSERT_EQUAL(transfer(HVT_BLOCK_READ, DISK, 0, CODE, 1024), HVT_EINVAL);
	CU_ASSERT_EQUAL(transfer(HVT_BLOCK_READ, DISK, 0, 0x2000, 1024), HVT_EINVAL);
	CU_ASSERT_EQUAL(transfer(HVT_BLOCK_READ, DISK, 0, CODE + CODE_SIZE - 1, 1024),
	        HVT_EINVAL);
	CU_ASSERT_EQUAL(
	        transfer(HVT_BLOCK_READ, DISK, 0, CODE + CODE_SIZE, 1024), HVT_OK);
	end();
}

static int net(unsigned number, uint64_t handle, uint64_t data, uint64_t size)
{
	struct hvt_net argument = {handle, guest_pointer(data), size, -1};

	call(number, &argument, sizeof(argument));
	return argument.result;
}

static void frames_lose_and_get_their_header(void)
{
	struct hvt_net argument = {NIC, guest_pointer(DATA), 1514, -1};
	uint8_t frame[2000] = {0};

	begin();
	bed_add_nic();
	call(HVT_NET_READ, &argument, sizeof(argument));
	CU_ASSERT(argument.result == HVT_AGAIN && argument.size == 1514);
	memset(frame + 12, 0x55, 60);
	CU_ASSERT_EQUAL(send(bed.wire->far, frame, 72, 0), 72);
	call(HVT_NET_READ, &argument, sizeof(argument));
	CU_ASSERT(argument.result == HVT_OK && argument.size == 60);
	CU_ASSERT_EQUAL(memcmp(memory_at(&bed.memory, DATA, 60), frame + 12, 60), 0);
	CU_ASSERT_EQUAL(net(HVT_NET_WRITE, NIC, DATA, 14), HVT_OK);
	CU_ASSERT_EQUAL(recv(bed.wire->far, frame, sizeof(frame), 0), 26);
	CU_ASSERT(frame[0] == 0 && frame[11] == 0 && frame[12] == 0x55);
	CU_ASSERT_EQUAL(net(HVT_NET_WRITE, NIC, DATA, 1514), HVT_OK);
	CU_ASSERT_EQUAL(recv(bed.wire->far, frame, sizeof(frame), 0), 1526);
	end();
}

static void net_requests_are_checked(void)
{
	begin();
	bed_add_disk(false);
	bed_add_nic();
	for (unsigned number = HVT_NET_WRITE; number <= HVT_NET_READ; number++) {
		CU_ASSERT_EQUAL(net(number, 0, DATA, 1514), HVT_EINVAL);
		CU_ASSERT_EQUAL(net(number, DISK, DATA, 1514), HVT_EINVAL);
		CU_ASSERT_EQUAL(net(number, 64, DATA, 1514), HVT_EINVAL);
		CU_ASSERT_EQUAL(
		        net(number, UINT64_C(1) << 32 | NIC, DATA, 1514), HVT_EINVAL);
		CU_ASSERT_EQUAL(net(number, NIC, DATA, 13), HVT_EINVAL);
		CU_ASSERT_EQUAL(net(number, NIC, DATA, UINT64_MAX), HVT_EINVAL);
		CU_ASSERT_EQUAL(net(number, NIC, RAM - 1513, 1514), HVT_EINVAL);
	}
	CU_ASSERT_EQUAL(net(HVT_NET_WRITE, NIC, DATA, 1515), HVT_EINVAL);
	CU_ASSERT_EQUAL(net(HVT_NET_READ, NIC, DATA, 1513), HVT_EINVAL);
	CU_ASSERT_EQUAL(net(HVT_NET_READ, NIC, CODE, 1514), HVT_EINVAL);
	end();
}

static void what_cannot_be_sent_is_dropped(void)
{
	begin();
	bed_add_nic();
	for (unsigned i = 0; i < 2000; i++)
		CU_ASSERT_EQUAL_FATAL(net(HVT_NET_WRITE, NIC, DATA, 1514), HVT_OK);
	end();
}

static void halt_ends_with_the_status(void)
{
	struct hvt_halt halt = {.status = 7};

	begin();
	call(HVT_HALT, &halt, sizeof(halt));
	CU_ASSERT(bed.requests == 1 && bed.request == REQUEST_HALT && bed.status == 7);
	CU_ASSERT_PTR_NULL(hvt_cookie(bed.hvt));
	end();
}

static void halt_keeps_the_cookie(void)
{
	struct hvt_halt halt = {guest_pointer(RAM - HVT_COOKIE), HVT_ABORT};
	const uint8_t *cookie;

	begin();
	memset(memory_at(&bed.memory, RAM - HVT_COOKIE, HVT_COOKIE), 0x77, HVT_COOKIE);
	call(HVT_HALT, &halt, sizeof(halt));
	CU_ASSERT(bed.request == REQUEST_ABORT && bed.status == HVT_ABORT);
	cookie = hvt_cookie(bed.hvt);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cookie);
	CU_ASSERT(cookie[0] == 0x77 && cookie[HVT_COOKIE - 1] == 0x77);
	halt.cookie = guest_pointer(RAM - HVT_COOKIE + 1);
	call(HVT_HALT, &halt, sizeof(halt));
	CU_ASSERT_PTR_NULL(hvt_cookie(bed.hvt));
	end();
}

static void arguments_elsewhere_are_left_alone(void)
{
	static const uint32_t places[] = {
	        RAM, RAM - 4, 0xffffffff, 0, 0xfffc, CODE + CODE_SIZE - 1};
	static const char zeroes[64];

	begin();
	bed_add_disk(false);
	for (unsigned number = HVT_WALLTIME; number < HVT_HALT; number++)
		for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
			CU_ASSERT_TRUE(
			        bus_write(&bed.bus, HVT_PORT + number, &places[i], 4));
	CU_ASSERT(bed.waits == 0 && bed.requests == 0 && bed.printed_size == 0);
	CU_ASSERT_EQUAL(memcmp(memory_at(&bed.memory, 0, 64), zeroes, 64), 0);
	/* One that ends the guest ends it all the same. */
	CU_ASSERT_TRUE(bus_write(&bed.bus, HVT_PORT + HVT_HALT, &places[0], 4));
	CU_ASSERT(bed.request == REQUEST_ABORT && bed.status == HVT_ABORT);
	end();
}

static void other_ports_and_widths_do_nothing(void)
{
	uint64_t guest = CALL;

	begin();
	for (unsigned offset = 0; offset < HVT_PORTS; offset++)
		for (unsigned size = 1; size <= 8; size *= 2)
			if (size != 4 || offset < HVT_WALLTIME || offset > HVT_HALT)
				bus_write(&bed.bus, HVT_PORT + offset, &guest, size);
	CU_ASSERT(bed.waits == 0 && bed.requests == 0);
	guest = 0;
	CU_ASSERT_TRUE(bus_read(&bed.bus, HVT_PORT + HVT_POLL, &guest, 4));
	CU_ASSERT_EQUAL(guest, 0xffffffff);
	end();
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(walltime_is_now),
	        UNIT(puts_prints_what_is_in_ram),
	        UNIT(poll_of_no_time_answers_at_once),
	        UNIT(poll_is_made_again_until_its_time),
	        UNIT(poll_for_ever_does_not_wrap),
	        UNIT(poll_tells_which_network_has_a_frame),
	        UNIT(a_dead_network_wakes_once),
	        UNIT(blocks_are_read_and_written),
	        UNIT(block_requests_are_checked),
	        UNIT(readonly_disk_is_not_written),
	        UNIT(an_error_of_the_disk_is_unspecified),
	        UNIT(protected_memory_is_read_but_not_written),
	        UNIT(frames_lose_and_get_their_header),
	        UNIT(net_requests_are_checked),
	        UNIT(what_cannot_be_sent_is_dropped),
	        UNIT(halt_ends_with_the_status),
	        UNIT(halt_keeps_the_cookie),
	        UNIT(arguments_elsewhere_are_left_alone),
	        UNIT(other_ports_and_widths_do_nothing),
	        {0},
	};

	return unit_run("hvt", tests);
}
