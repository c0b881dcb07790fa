/*
 * A network device (VIRTIO 1.2, 5.1): queue 0 brings frames to the guest, 1 takes them.
 *
 * A frame for the guest is read straight into its first buffer; what that cannot hold
 * goes into `spill`, and from there into further buffers if they are mergeable. If the
 * guest has too few, the frame is held in `spill` until it gives more. The back end is
 * listened to only while the guest has buffers, so frames wait, or are dropped, there.
 * Each call moves at most BATCH frames, with one interrupt.
 */
#include "devices/virtio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "devices/nic.h"

#define BIT(n) (UINT64_C(1) << (n))

enum { RECEIVE, TRANSMIT, QUEUES };
enum { BATCH = 64, HEADER = sizeof(struct virtio_net_hdr_v1), ETHERNET = 14 };
/* 5.1.6.1: num_buffers, the last field, is not in a legacy driver's header unless it has
 * mergeable buffers. The back ends' header always has it. */
enum { NUM_BUFFERS = sizeof(uint16_t), SHORT_HEADER = HEADER - NUM_BUFFERS };

struct virtio_net {
	struct virtio virtio;
	struct virtio_net_config config;
	struct nic *nic;
	short events; /* what the back end reports */
	struct chain chain, more;
	struct iovec iov[VIRTQUEUE_MAX + 3];
	size_t held; /* bytes of a frame that waits in `spill` for buffers */
	uint8_t spill[NIC_FRAME_MAX];
	struct log_counter dropped;
};

static void listen_to(struct virtio_net *net, short event, bool on)
{
	short events = on ? net->events | event : net->events & ~event;

	if (events == net->events)
		return;
	net->events = events;
	net->nic->type->listen(net->nic, events);
}

static size_t header_size(const struct virtio_net *net)
{
	return virtio_has(&net->virtio, VIRTIO_F_VERSION_1) ||
	                       virtio_has(&net->virtio, VIRTIO_NET_F_MRG_RXBUF)
	               ? HEADER
	               : SHORT_HEADER;
}

/* Receiving. */

/* The frame does not fit into the guest's buffers: takes it back out of the first one. */
static void hold_frame(struct virtio_net *net, size_t size, size_t first)
{
	const struct chain *chain = &net->chain;

	if (net->held)
		return;
	memmove(net->spill + first, net->spill, size - first);
	iov_read(chain->iov + chain->out_count, chain->in_count, 0, net->spill, first);
	net->held = size;
}

/* The frame's bytes from `done` on, which lie at `rest`, go into further buffers. */
static int merge_buffers(
        struct virtio_net *net, const uint8_t *rest, size_t done, size_t size)
{
	struct virtqueue *queue = &net->virtio.queues[RECEIVE];
	struct chain *more = &net->more;
	unsigned buffers = 1;

	for (; done < size; buffers++) {
		size_t copied;

		if (virtio_pop(&net->virtio, RECEIVE, more) == 0)
			break;
		copied = iov_write(more->iov + more->out_count, more->in_count, 0, rest,
		        size - done);
		virtqueue_fill(queue, buffers, more->head, (uint32_t)copied);
		rest += copied;
		done += copied;
	}
	if (done == size)
		return (int)buffers;
	for (unsigned i = 0; i < buffers; i++)
		virtqueue_unpop(queue);
	return buffers < queue->state->size ? -ENOBUFS : -EMSGSIZE;
}

/*
 * `in` with NUM_BUFFERS bytes of `field` put in behind a short header; the count. There
 * is room for two segments more.
 */
static unsigned stretch_header(
        struct iovec *iov, const struct iovec *in, unsigned in_count, uint16_t *field)
{
	size_t left = SHORT_HEADER;
	unsigned count = 0;

	for (unsigned i = 0; i < in_count; i++) {
		struct iovec rest = in[i];

		if (left > 0 && rest.iov_len >= left) {
			iov[count++] = (struct iovec){rest.iov_base, left};
			iov[count++] = (struct iovec){field, NUM_BUFFERS};
			rest.iov_base = (char *)rest.iov_base + left;
			rest.iov_len -= left;
			left = 0;
		} else if (left > 0) {
			left -= rest.iov_len;
		}
		if (rest.iov_len > 0)
			iov[count++] = rest;
	}
	return count;
}

/* A frame's bytes into `chain` and `spill`, or those that were held. */
static long take_frame(struct virtio_net *net)
{
	const struct chain *chain = &net->chain;
	const struct iovec *in = chain->iov + chain->out_count;
	size_t header = header_size(net);
	unsigned count = chain->in_count;
	uint16_t field;

	if (net->held) {
		iov_write(in, chain->in_count, 0, net->spill, net->held);
		return (long)net->held;
	}
	if (header == HEADER)
		memcpy(net->iov, in, count * sizeof(*in));
	else
		count = stretch_header(net->iov, in, count, &field);
	net->iov[count++] = (struct iovec){net->spill, sizeof(net->spill)};
	long got = net->nic->type->receive(net->nic, net->iov, count,
	        chain->in_size + HEADER - header + sizeof(net->spill));
	/* What `spill` could not hold. */
	if (got > NIC_FRAME_MAX)
		return -EMSGSIZE;
	return got < HEADER ? got : got - (long)(HEADER - header);
}

/* 0, or why there was none: -EAGAIN no frame, -ENOBUFS no buffer, else it was dropped. */
static int receive_frame(struct virtio_net *net)
{
	struct virtqueue *queue = &net->virtio.queues[RECEIVE];
	struct chain *chain = &net->chain;

	if (virtio_pop(&net->virtio, RECEIVE, chain) == 0)
		return -ENOBUFS;
	size_t header = header_size(net);
	if (chain->in_size < header) {
		virtio_needs_reset(&net->virtio, "a buffer smaller than the header");
		return -ENOBUFS;
	}
	long got = take_frame(net);
	if (got < (long)header) {
		virtqueue_unpop(queue);
		return got < 0 ? (int)got : -EMSGSIZE;
	}
	size_t size = (size_t)got,
	       first = size < chain->in_size ? size : chain->in_size;
	int buffers = 1;
	if (size > first && !virtio_has(&net->virtio, VIRTIO_NET_F_MRG_RXBUF)) {
		virtqueue_unpop(queue);
		buffers = -EMSGSIZE;
	} else if (size > first) {
		buffers = merge_buffers(
		        net, net->spill + (net->held ? first : 0), first, size);
	}
	if (buffers == -ENOBUFS) {
		hold_frame(net, size, first);
		return -ENOBUFS;
	}
	net->held = 0;
	if (buffers < 0) {
		log_guest(&net->dropped,
		        "virtio-net: dropped a frame of %zu bytes, too large for the "
		        "guest's buffers",
		        size);
		return buffers;
	}
	uint16_t count = (uint16_t)buffers; /* little-endian, as all our hosts are */
	if (header == HEADER)
		iov_write(chain->iov + chain->out_count, chain->in_count,
		        offsetof(struct virtio_net_hdr_v1, num_buffers), &count,
		        sizeof(count));
	virtqueue_fill(queue, 0, chain->head, (uint32_t)first);
	virtqueue_publish(queue, (unsigned)buffers);
	return 0;
}

static void receive(struct virtio_net *net)
{
	int result = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		result = receive_frame(net);
		if (result == -EAGAIN || result == -ENOBUFS)
			break;
	}
	/* Without buffers, the guest's next kick goes on. */
	listen_to(net, POLLIN, result != -ENOBUFS);
	virtio_notify(&net->virtio, RECEIVE);
}

/* Transmitting. */

/* 5.1.6.2: only what was negotiated, and within the frame. */
static bool header_valid(const struct virtio_net *net,
        const struct virtio_net_hdr_v1 *header, size_t frame)
{
	bool checksum = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	unsigned feature;

	if (checksum && (!virtio_has(&net->virtio, VIRTIO_NET_F_CSUM) ||
	                        header->csum_start + header->csum_offset + 2u > frame))
		return false;
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	if (header->gso_type == VIRTIO_NET_HDR_GSO_TCPV4)
		feature = VIRTIO_NET_F_HOST_TSO4;
	else if (header->gso_type == VIRTIO_NET_HDR_GSO_TCPV6)
		feature = VIRTIO_NET_F_HOST_TSO6;
	else
		return false;
	return checksum && virtio_has(&net->virtio, feature) && header->gso_size > 0 &&
	       header->hdr_len <= frame;
}

/* -EAGAIN when it has to wait; what is dropped counts as sent. */
static int send_chain(struct virtio_net *net)
{
	const struct chain *chain = &net->chain;
	struct virtio_net_hdr_v1 header;
	size_t skip = header_size(net), frame = chain->out_size - skip;
	unsigned count = 1;

	if (frame < ETHERNET || frame > NIC_FRAME_MAX - HEADER)
		return -EMSGSIZE;
	/* The copy is what is checked and what is sent. */
	iov_read(chain->iov, chain->out_count, 0, &header, skip);
	if (!header_valid(net, &header, frame))
		return -EINVAL;
	/* Not ours to pass on: 5.1.6.2.2, reserved on this way. */
	header.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header.num_buffers = 0;
	net->iov[0] = (struct iovec){&header, HEADER};
	for (unsigned i = 0; i < chain->out_count; i++) {
		const struct iovec *segment = &chain->iov[i];
		size_t head = segment->iov_len < skip ? segment->iov_len : skip;

		skip -= head;
		if (segment->iov_len > head)
			net->iov[count++] =
			        (struct iovec){(char *)segment->iov_base + head,
			                segment->iov_len - head};
	}
	return net->nic->type->send(net->nic, net->iov, count, HEADER + frame);
}

static void transmit(struct virtio_net *net)
{
	struct virtio *virtio = &net->virtio;
	bool blocked = false;
	unsigned sent = 0;

	for (; sent < BATCH && virtio_pop(virtio, TRANSMIT, &net->chain); sent++) {
		if (net->chain.out_size < header_size(net)) {
			virtio_needs_reset(virtio, "a frame shorter than the header");
			break;
		}
		if (send_chain(net) == -EAGAIN) {
			virtqueue_unpop(&virtio->queues[TRANSMIT]);
			blocked = true;
			break;
		}
		virtqueue_push(&virtio->queues[TRANSMIT], net->chain.head, 0);
	}
	listen_to(net, POLLOUT, blocked);
	if (sent == BATCH)
		virtio_kick_later(virtio, TRANSMIT);
	virtio_notify(virtio, TRANSMIT);
	if (sent > 0 && net->nic->type->flush)
		net->nic->type->flush(net->nic);
}

static void net_ready(void *context, short events)
{
	struct virtio_net *net = context;

	if (events & net->events & POLLOUT)
		transmit(net);
	if (events & net->events & POLLIN)
		receive(net);
}

/* The type. */

static int net_attach(struct virtio *virtio)
{
	struct virtio_net *net = (struct virtio_net *)virtio;

	return nic_start(net->nic, virtio->host->loop, virtio->lock, net_ready, net);
}

static void net_activate(struct virtio *virtio)
{
	struct virtio_net *net = (struct virtio_net *)virtio;

	if (net->nic->type->set_features)
		net->nic->type->set_features(net->nic, virtio->state.driver_features);
	receive(net);
}

static void net_kick(struct virtio *virtio, unsigned queue)
{
	struct virtio_net *net = (struct virtio_net *)virtio;

	/* Who is listening, or waits for POLLOUT, goes on without a kick. */
	if (queue == RECEIVE && !(net->events & POLLIN))
		receive(net);
	else if (queue == TRANSMIT && !(net->events & POLLOUT))
		transmit(net);
}

/* Also pause: every I/O here ends in the call that began it, so none is under way. */
static void net_rest(struct virtio *virtio)
{
	listen_to((struct virtio_net *)virtio, POLLIN | POLLOUT, false);
}

static void net_reset(struct virtio *virtio)
{
	net_rest(virtio);
	((struct virtio_net *)virtio)->held = 0;
}

static void net_destroy(struct virtio *virtio)
{
	nic_close(((struct virtio_net *)virtio)->nic);
}

static const struct virtio_type net_type = {
        .name = "virtio-net",
        .device_id = VIRTIO_ID_NET,
        .queue_count = QUEUES,
        .queue_size = VIRTQUEUE_MAX,
        .config_offset = offsetof(struct virtio_net, config),
        .config_size = offsetof(struct virtio_net_config, max_virtqueue_pairs),
        .attach = net_attach,
        .activate = net_activate,
        .kick = net_kick,
        .reset = net_reset,
        .pause = net_rest,
        .destroy = net_destroy,
};

struct virtio *virtio_net_create(struct device_host *host, struct nic *nic)
{
	struct virtio_net *net = virtio_create(sizeof(*net), &net_type, host,
	        nic->type->features | BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
	                BIT(VIRTIO_NET_F_MRG_RXBUF));

	if (!net) {
		nic_close(nic);
		return NULL;
	}
	net->nic = nic;
	memcpy(net->config.mac, nic->mac, sizeof(net->config.mac));
	net->config.status = VIRTIO_NET_S_LINK_UP;
	return &net->virtio;
}
