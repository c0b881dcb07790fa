/*
 * A network that leads nowhere, for fuzzing virtio-net: frames of all sizes come from
 * it, one in four that is sent has to wait, and it reports by the loop's time.
 */
#pragma once

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "devices/nic.h"
#include "devices/virtio.h"
#include "vmm/loop.h"

struct nic_null {
	struct nic nic;
	struct loop_timer *timer;
	short events;
	uint32_t turn; /* what is next depends on it alone */
};

static inline void nic_null_listen(struct nic *nic, short events)
{
	struct nic_null *null = (struct nic_null *)nic;

	null->events = events;
	loop_timer_set(null->timer, events ? loop_now_ns() + 1000000 : UINT64_MAX);
}

static inline void nic_null_expired(void *context)
{
	struct nic_null *null = context;

	null->nic.ready(null->nic.context, null->events);
	nic_null_listen(&null->nic, null->events);
}

static inline int nic_null_start(struct nic *nic)
{
	struct nic_null *null = (struct nic_null *)nic;

	null->timer = loop_timer_create(nic->loop, nic_null_expired, null, nic->lock);
	return null->timer ? 0 : -ENOMEM;
}

static inline int nic_null_send(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	static uint8_t frame[NIC_FRAME_MAX];

	if (((struct nic_null *)nic)->turn++ % 4 == 3)
		return -EAGAIN;
	if (size > sizeof(frame) || iov_read(iov, count, 0, frame, size) != size)
		abort();
	return 0;
}

static inline long nic_null_receive(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	static const size_t sizes[] = {26, 60, 0, 1526, 4096, 0, NIC_FRAME_MAX, 12};
	static const uint8_t frame[NIC_FRAME_MAX];
	size_t length = sizes[((struct nic_null *)nic)->turn++ % 8];

	if (length == 0)
		return -EAGAIN;
	if (size < length || iov_write(iov, count, 0, frame, length) != length)
		abort();
	return (long)length;
}

static inline void nic_null_close(struct nic *nic)
{
	loop_timer_destroy(((struct nic_null *)nic)->timer);
	free(nic);
}

static inline struct virtio *create_net(struct device_host *host)
{
	static const struct nic_type type = {
	        .name = "null",
	        .features = 0x1983, /* every offload of a tap */
	        .start = nic_null_start,
	        .send = nic_null_send,
	        .receive = nic_null_receive,
	        .listen = nic_null_listen,
	        .close = nic_null_close,
	};
	struct nic_null *null = calloc(1, sizeof(*null));

	if (!null)
		abort();
	null->nic.type = &type;
	return virtio_net_create(host, &null->nic);
}
