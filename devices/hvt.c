/*
 * A hypercall is a 32-bit OUT to port HVT_PORT + n with the address of its argument, a
 * structure in guest memory (Solo5's hvt_abi.h). It is copied once; the copy is checked,
 * used, and with the answer in it written back.
 *
 * POLL may have to wait. It does not sleep here, where the device's lock is held: it asks
 * the host to have the access made again when a network has something or time is up.
 */
#include "devices/hvt.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "devices/console.h"
#include "devices/disk.h"
#include "devices/nic.h"
#include "vmm/log.h"
#include "vmm/loop.h"
#include "vmm/memory.h"

enum { CALLS = 9, ETHERNET = 14, NS = 1000000000 };

/* solo5.h, solo5_result_t */
enum { RESULT_OK, RESULT_AGAIN, RESULT_EINVAL, RESULT_EUNSPEC };

struct walltime_call {
	uint64_t now_ns;
};

struct puts_call {
	uint64_t data;
	uint64_t size;
};

struct poll_call {
	uint64_t timeout_ns;
	uint64_t ready;
	int32_t count;
	uint32_t padding;
};

struct block_call {
	uint64_t handle;
	uint64_t offset;
	uint64_t data;
	uint64_t size;
	int32_t result;
	uint32_t padding;
};

struct net_call {
	uint64_t handle;
	uint64_t data;
	uint64_t size;
	int32_t result;
	uint32_t padding;
};

struct halt_call {
	uint64_t cookie;
	int32_t status;
	uint32_t padding;
};

union call {
	struct walltime_call walltime;
	struct puts_call puts;
	struct poll_call poll;
	struct block_call block;
	struct net_call net;
	struct halt_call halt;
};

struct attachment {
	struct disk *disk;
	struct nic *nic;
	unsigned block_size;
	unsigned frame_max; /* the largest frame of the nic */
};

struct hvt {
	struct device device;
	struct console *console;
	struct attachment attached[HVT_HANDLES];
	struct pollfd fds[HVT_HANDLES]; /* of the nics */
	unsigned handles[HVT_HANDLES];  /* and whose each is */
	unsigned fd_count;
	bool waiting; /* for the POLL under way to be made again */
	uint64_t deadline_ns;
	struct {
		uint64_t guest, size;
	} readonly[HVT_READONLY];
	unsigned readonly_count;
	bool has_cookie;
	uint8_t cookie[HVT_COOKIE];
	struct log_counter refused;
};

static void *readable(const struct hvt *hvt, uint64_t guest, uint64_t size)
{
	return memory_at(hvt->device.host->memory, guest, size);
}

static void *writable(const struct hvt *hvt, uint64_t guest, uint64_t size)
{
	void *host = readable(hvt, guest, size);

	/* Neither sum can wrap: both ranges are RAM. */
	for (unsigned i = 0; host && i < hvt->readonly_count; i++)
		if (guest < hvt->readonly[i].guest + hvt->readonly[i].size &&
		        hvt->readonly[i].guest < guest + size)
			host = NULL;
	return host;
}

/* Each call says whether there is an answer. */

static bool walltime(struct hvt *hvt, union call *call)
{
	struct timespec now;

	(void)hvt;
	clock_gettime(CLOCK_REALTIME, &now);
	call->walltime.now_ns = (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
	return true;
}

static bool put_string(struct hvt *hvt, union call *call)
{
	const void *data = readable(hvt, call->puts.data, call->puts.size);

	if (!data && call->puts.size)
		log_guest(
		        &hvt->refused, "hvt: the guest prints what is not in its RAM");
	else if (hvt->console && call->puts.size)
		console_write(hvt->console, data, call->puts.size);
	return false;
}

/* The handles of those nics that poll() found something about. */
static uint64_t ready_set(struct hvt *hvt)
{
	uint64_t ready = 0;

	for (unsigned i = 0; i < hvt->fd_count; i++) {
		struct pollfd *fd = &hvt->fds[i];

		if (fd->revents & POLLIN)
			ready |= UINT64_C(1) << hvt->handles[i];
		/* Reported until the end of time: the guest would never sleep again. */
		if (fd->revents & (POLLERR | POLLHUP | POLLNVAL)) {
			fd->fd = -1;
			log_warn("hvt: the network with handle %u is dead",
			        hvt->handles[i]);
		}
		fd->revents = 0;
	}
	return ready;
}

static bool poll_nics(struct hvt *hvt, union call *call)
{
	uint64_t timeout_ns = call->poll.timeout_ns, now_ns = loop_now_ns(), ready;

	if (!hvt->waiting) {
		hvt->deadline_ns = timeout_ns > UINT64_MAX - now_ns
		                           ? UINT64_MAX
		                           : now_ns + timeout_ns;
		if (hvt->fd_count)
			poll(hvt->fds, hvt->fd_count, 0);
	}
	ready = ready_set(hvt);
	hvt->waiting = !ready && now_ns < hvt->deadline_ns;
	if (hvt->waiting) {
		hvt->device.host->wait(
		        hvt->device.host, hvt->fds, hvt->fd_count, hvt->deadline_ns);
		return false;
	}
	call->poll.ready = ready;
	call->poll.count = __builtin_popcountll(ready);
	return true;
}

struct transfer {
	struct disk_request request;
	int result;
};

static void block_done(struct disk_request *request, int result)
{
	((struct transfer *)request)->result = result;
}

/* solo5.h: size and offset are multiples of the block's size. */
static int transfer(
        struct hvt *hvt, const struct block_call *call, enum disk_operation operation)
{
	const struct attachment *attached =
	        call->handle < HVT_HANDLES ? &hvt->attached[call->handle] : NULL;
	const struct disk_info *info;
	struct transfer transfer;
	struct iovec iov;

	if (!attached || !attached->disk)
		return RESULT_EINVAL;
	info = disk_info(attached->disk);
	if (!call->size || (call->size | call->offset) & (attached->block_size - 1) ||
	        call->offset > info->size || call->size > info->size - call->offset)
		return RESULT_EINVAL;
	iov.iov_len = call->size;
	iov.iov_base = operation == DISK_READ ? writable(hvt, call->data, call->size)
	                                      : readable(hvt, call->data, call->size);
	if (!iov.iov_base)
		return RESULT_EINVAL;
	if (operation == DISK_WRITE && info->readonly)
		return RESULT_EUNSPEC;
	transfer = (struct transfer){
	        .request =
	                {
	                        .operation = operation,
	                        .offset = call->offset,
	                        .size = call->size,
	                        .iov = &iov,
	                        .iov_count = 1,
	                        .done = block_done,
	                },
	};
	disk_submit(attached->disk, &transfer.request);
	disk_drain(attached->disk);
	return transfer.result ? RESULT_EUNSPEC : RESULT_OK;
}

static bool block_write(struct hvt *hvt, union call *call)
{
	call->block.result = transfer(hvt, &call->block, DISK_WRITE);
	return true;
}

static bool block_read(struct hvt *hvt, union call *call)
{
	call->block.result = transfer(hvt, &call->block, DISK_READ);
	return true;
}

static const struct attachment *find_nic(const struct hvt *hvt, uint64_t handle)
{
	return handle < HVT_HANDLES && hvt->attached[handle].nic
	               ? &hvt->attached[handle]
	               : NULL;
}

/* solo5.h: what cannot be sent now is dropped in silence. */
static bool net_write(struct hvt *hvt, union call *call)
{
	const struct attachment *attached = find_nic(hvt, call->net.handle);
	struct virtio_net_hdr_v1 header = {0};
	struct iovec iov[] = {{&header, sizeof(header)}, {NULL, call->net.size}};

	call->net.result = RESULT_EINVAL;
	if (!attached || call->net.size < ETHERNET ||
	        call->net.size > attached->frame_max)
		return true;
	iov[1].iov_base = readable(hvt, call->net.data, call->net.size);
	if (!iov[1].iov_base)
		return true;
	attached->nic->type->send(
	        attached->nic, iov, 2, sizeof(header) + call->net.size);
	if (attached->nic->type->flush)
		attached->nic->type->flush(attached->nic);
	call->net.result = RESULT_OK;
	return true;
}

/* solo5.h: the buffer holds the largest frame. */
static bool net_read(struct hvt *hvt, union call *call)
{
	const struct attachment *attached = find_nic(hvt, call->net.handle);
	struct virtio_net_hdr_v1 header;
	struct iovec iov[] = {{&header, sizeof(header)}, {NULL, call->net.size}};
	long size;

	call->net.result = RESULT_EINVAL;
	if (!attached || call->net.size < attached->frame_max)
		return true;
	iov[1].iov_base = writable(hvt, call->net.data, call->net.size);
	if (!iov[1].iov_base)
		return true;
	size = attached->nic->type->receive(
	        attached->nic, iov, 2, sizeof(header) + call->net.size);
	call->net.result = RESULT_AGAIN;
	if (size <= (long)sizeof(header))
		return true;
	call->net.size = (uint64_t)size - sizeof(header);
	call->net.result = RESULT_OK;
	return true;
}

static bool halt(struct hvt *hvt, union call *call)
{
	struct device_host *host = hvt->device.host;

	hvt->has_cookie =
	        call->halt.cookie && !memory_read(host->memory, call->halt.cookie,
	                                     hvt->cookie, sizeof(hvt->cookie));
	host->request(host,
	        call->halt.status == HVT_ABORT ? REQUEST_ABORT : REQUEST_HALT,
	        (unsigned)call->halt.status);
	return false;
}

static const struct {
	bool (*run)(struct hvt *hvt, union call *call);
	size_t size;
	bool answers;
} calls[CALLS] = {
        [1] = {walltime, sizeof(struct walltime_call), true},
        [2] = {put_string, sizeof(struct puts_call), false},
        [3] = {poll_nics, sizeof(struct poll_call), true},
        [4] = {block_write, sizeof(struct block_call), true},
        [5] = {block_read, sizeof(struct block_call), true},
        [6] = {net_write, sizeof(struct net_call), true},
        [7] = {net_read, sizeof(struct net_call), true},
        [8] = {halt, sizeof(struct halt_call), false},
};

static void hvt_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	struct hvt *hvt = (struct hvt *)device;
	union call call;
	uint32_t guest;
	void *host;

	(void)window;
	if (size != sizeof(guest) || offset >= CALLS || !calls[offset].run)
		return log_guest(&hvt->refused, "hvt: no hypercall of %u bytes at %#x",
		        size, (unsigned)(HVT_PORT + offset));
	memcpy(&guest, data, sizeof(guest));
	host = calls[offset].answers ? writable(hvt, guest, calls[offset].size)
	                             : readable(hvt, guest, calls[offset].size);
	if (!host) {
		log_guest(&hvt->refused,
		        "hvt: the argument of hypercall %u lies at %#x, where it "
		        "cannot",
		        (unsigned)offset, guest);
		if (calls[offset].run == halt)
			device->host->request(device->host, REQUEST_ABORT, HVT_ABORT);
		return;
	}
	memcpy(&call, host, calls[offset].size);
	if (calls[offset].run(hvt, &call))
		memcpy(host, &call, calls[offset].size);
}

static void hvt_destroy(struct device *device)
{
	struct hvt *hvt = (struct hvt *)device;

	for (unsigned i = 0; i < HVT_HANDLES; i++) {
		disk_close(hvt->attached[i].disk);
		nic_close(hvt->attached[i].nic);
	}
}

/* Nothing of it is the guest's to see: a POLL that was broken off begins anew. */
static const struct device_type hvt_type = {
        .name = "hvt",
        .help = "Solo5's hypercalls: clock, console, disks, networks (unikernels)",
        .destroy = hvt_destroy,
        .write = hvt_write,
};

struct device *hvt_create(struct device_host *host, struct console *console)
{
	struct hvt *hvt = device_create(sizeof(*hvt), &hvt_type, host);

	if (!hvt)
		return NULL;
	hvt->console = console;
	return &hvt->device;
}

/* Without a queue a request is done when disk_submit() returns. */
int hvt_attach_disk(
        struct device *device, unsigned handle, struct disk *disk, unsigned block_size)
{
	struct hvt *hvt = (struct hvt *)device;

	assert(handle < HVT_HANDLES && !(block_size & (block_size - 1)));
	hvt->attached[handle] = (struct attachment){
	        .disk = disk,
	        .block_size = block_size,
	};
	return disk_start(disk, device->host->loop, &device->lock, 0, NULL, NULL);
}

int hvt_attach_nic(struct device *device, unsigned handle, struct nic *nic)
{
	struct hvt *hvt = (struct hvt *)device;
	int error;

	assert(handle < HVT_HANDLES);
	hvt->attached[handle].nic = nic;
	error = nic_start(nic, NULL, &device->lock, NULL, NULL);
	if (error)
		return error;
	hvt->attached[handle].frame_max = nic_mtu(nic) + ETHERNET;
	hvt->fds[hvt->fd_count] = (struct pollfd){.fd = nic->fd, .events = POLLIN};
	hvt->handles[hvt->fd_count++] = handle;
	return 0;
}

void hvt_protect(struct device *device, uint64_t guest, uint64_t size)
{
	struct hvt *hvt = (struct hvt *)device;

	assert(hvt->readonly_count < HVT_READONLY);
	hvt->readonly[hvt->readonly_count].guest = guest;
	hvt->readonly[hvt->readonly_count++].size = size;
}

const void *hvt_cookie(const struct device *device)
{
	const struct hvt *hvt = (const struct hvt *)device;

	return hvt->has_cookie ? hvt->cookie : NULL;
}
