/*
 * The glue between virtio-net and lwIP.
 *
 * Frames are received without a copy: each buffer of the receive queue carries its own
 * pbuf, and goes back to the device when lwIP frees that. Frames to send are copied
 * into a buffer behind their header; no interrupt reports that they went, we look when
 * we need a buffer again.
 *
 * lwIP's timers run here rather than in lwip/timeouts.c, because most have nothing to
 * do most of the time: an idle guest wakes once a minute, for its DHCP lease.
 */
#include "net.h"

#include <linux/virtio_ids.h>
#include <lwip/dhcp.h>
#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/prot/dhcp.h>
#include <netif/ethernet.h>
#include <string.h>

#include "guest.h"
#include "virtio.h"

/* VIRTIO 1.2, 5.1. Not from linux/virtio_net.h, which wants all of if_ether.h. */
#define FEATURE_MAC    5
#define RECEIVE_QUEUE  0
#define TRANSMIT_QUEUE 1
#define HEADER_SIZE    12 /* struct virtio_net_hdr; all zero without offloads */

#define FRAME_MAX   1514
#define BUFFER_SIZE 1536

struct buffer {
	struct pbuf_custom pbuf;
	uint8_t data[BUFFER_SIZE] __attribute__((aligned(8)));
};

static struct virtio virtio;
static struct virtqueue receive_queue, transmit_queue;
static struct buffer receive_buffers[VIRTQUEUE_SIZE];
static uint8_t transmit_buffers[VIRTQUEUE_SIZE][BUFFER_SIZE];
static uint32_t transmit_free = (1u << VIRTQUEUE_SIZE) - 1; /* set of buffers */
static unsigned receive_unannounced; /* pushed since the last kick */
static struct netif interface;
static void (*on_ready)(const char *address);

/* One's complement: what is carried out comes back in at the other end. */
static uint64_t sum_add(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

/* The Internet checksum, not inverted. RFC 1071: the width of the words is free. */
uint16_t net_checksum(const void *data, int size)
{
	const unsigned char *at = data;
	uint64_t sum = 0, word;

	for (; size >= 8; size -= 8, at += 8) {
		memcpy(&word, at, 8);
		sum = sum_add(sum, word);
	}
	for (word = 0; size > 0; size--)
		word = word << 8 | at[size - 1];
	sum = sum_add(sum, word);

	/* From 64 bits to 16; the second fold takes the first one's carry. */
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)sum;
}

static void receive_buffer_return(struct pbuf *pbuf)
{
	struct buffer *buffer = (struct buffer *)pbuf; /* its first member's first */

	virtqueue_push(&receive_queue, (uint16_t)(buffer - receive_buffers));

	/*
	 * To tell the device of each buffer would cost an exit a frame. It cannot starve:
	 * when it has used up all, half of them have come back here.
	 */
	if (++receive_unannounced < VIRTQUEUE_SIZE / 2)
		return;
	receive_unannounced = 0;
	virtqueue_kick(&receive_queue);
}

static void frames_receive(void)
{
	uint32_t written;
	int head;

	while ((head = virtqueue_pop(&receive_queue, &written)) >= 0) {
		struct buffer *buffer = &receive_buffers[head];
		uint32_t size = written - HEADER_SIZE;

		if (size > BUFFER_SIZE - HEADER_SIZE) /* or less than a header */
			size = 0;                     /* which lwIP drops */

		struct pbuf *pbuf = pbuf_alloced_custom(PBUF_RAW, (u16_t)size, PBUF_REF,
		        &buffer->pbuf, buffer->data + HEADER_SIZE,
		        BUFFER_SIZE - HEADER_SIZE);

		if (interface.input(pbuf, &interface) != ERR_OK)
			pbuf_free(pbuf);
	}
}

static err_t frame_send(struct netif *netif, struct pbuf *pbuf)
{
	uint32_t written;
	int head;

	(void)netif;
	while ((head = virtqueue_pop(&transmit_queue, &written)) >= 0)
		transmit_free |= 1u << head;
	if (!transmit_free || pbuf->tot_len > FRAME_MAX)
		return ERR_BUF;

	head = __builtin_ctz(transmit_free);
	transmit_free &= ~(1u << head);
	pbuf_copy_partial(pbuf, transmit_buffers[head] + HEADER_SIZE, pbuf->tot_len, 0);
	transmit_queue.desc[head].addr = (uintptr_t)transmit_buffers[head];
	transmit_queue.desc[head].len = HEADER_SIZE + pbuf->tot_len;
	virtqueue_push(&transmit_queue, (uint16_t)head);
	virtqueue_kick(&transmit_queue);
	return ERR_OK;
}

static void receive_queue_fill(void)
{
	for (uint16_t n = 0; n < VIRTQUEUE_SIZE; n++) {
		receive_buffers[n].pbuf.custom_free_function = receive_buffer_return;
		receive_queue.desc[n] = (struct vring_desc){
		        .addr = (uintptr_t)receive_buffers[n].data,
		        .len = BUFFER_SIZE,
		        .flags = VRING_DESC_F_WRITE,
		};
		virtqueue_push(&receive_queue, n);
	}
}

static int device_open(void)
{
	int error = virtio_open(&virtio, VIRTIO_ID_NET, 0, 1ull << FEATURE_MAC);

	if (error)
		return error;
	error = virtqueue_open(&receive_queue, &virtio, RECEIVE_QUEUE);
	if (error)
		return error;
	error = virtqueue_open(&transmit_queue, &virtio, TRANSMIT_QUEUE);
	if (error)
		return error;
	transmit_queue.available.flags = VRING_AVAIL_F_NO_INTERRUPT;
	receive_queue_fill();
	virtio_start(&virtio);
	virtqueue_kick(&receive_queue);
	return 0;
}

static err_t interface_init(struct netif *netif)
{
	for (unsigned n = 0; n < ETH_HWADDR_LEN; n++)
		netif->hwaddr[n] = virtio_config8(&virtio, n);
	netif->hwaddr_len = ETH_HWADDR_LEN;
	netif->mtu = FRAME_MAX - SIZEOF_ETH_HDR;
	netif->name[0] = 'e';
	netif->name[1] = 'n';
	netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
	               NETIF_FLAG_LINK_UP;
	netif->output = etharp_output;
	netif->linkoutput = frame_send;
	return ERR_OK;
}

static void interface_changed(struct netif *netif)
{
	void (*ready)(const char *address) = on_ready;

	if (!ready || ip4_addr_isany(netif_ip4_addr(netif)))
		return;
	on_ready = NULL;
	ready(ip4addr_ntoa(netif_ip4_addr(netif)));
}

/* Four numbers with points between; false if they are not. */
static bool parse_address(const char *text, const char **end, ip4_addr_t *address)
{
	uint64_t bits = 0, number;

	for (unsigned n = 0; n < 4; n++) {
		if (n && *text++ != '.')
			return false;
		number = number_parse(text, end);
		if (*end == text || number > 255)
			return false;
		bits = bits << 8 | number;
		text = *end;
	}
	address->addr = lwip_htonl((uint32_t)bits);
	return true;
}

/*
 * ip=CLIENT:SERVER:GATEWAY:NETMASK (Linux's nfsroot.rst), SERVER empty: what DHCP would tell,
 * without four frames of it.
 */
static bool address_given(void)
{
	const char *text = option_find(command_line, "ip");
	ip4_addr_t address, gateway, mask;

	if (!text || !parse_address(text, &text, &address) || text[0] != ':' ||
	        text[1] != ':' || !parse_address(text + 2, &text, &gateway) ||
	        text[0] != ':' || !parse_address(text + 1, &text, &mask))
		return false;
	netif_set_addr(&interface, &address, &mask, &gateway);
	return true;
}

int net_open(void (*ready)(const char *address))
{
	int error = device_open();

	if (error)
		return error;
	on_ready = ready;
	lwip_init();
	netif_add_noaddr(&interface, NULL, interface_init, netif_input);
	netif_set_default(&interface);
	netif_set_status_callback(&interface, interface_changed);
	netif_set_up(&interface);
	return address_given() ? 0 : dhcp_start(&interface);
}

static bool has_lease(void)
{
	return netif_dhcp_data(&interface) != NULL;
}

static bool dhcp_is_asking(void)
{
	const struct dhcp *dhcp = netif_dhcp_data(&interface);

	return dhcp && dhcp->state != DHCP_STATE_BOUND;
}

static bool tcp_is_busy(void)
{
	return tcp_active_pcbs || tcp_tw_pcbs;
}

/* ARP entries age while somebody uses them. */
static bool arp_is_busy(void)
{
	return tcp_is_busy() || dhcp_is_asking();
}

/* Runs what is due and answers when there will be more. */
static uint64_t timers_run(void)
{
	static struct {
		bool (*is_needed)(void);
		void (*run)(void);
		uint32_t interval_ms;
		uint64_t due_ms; /* 0: stopped */
	} timers[] = {
	        {tcp_is_busy, tcp_tmr, TCP_TMR_INTERVAL, 0},
	        {dhcp_is_asking, dhcp_fine_tmr, DHCP_FINE_TIMER_MSECS, 0},
	        {arp_is_busy, etharp_tmr, ARP_TMR_INTERVAL, 0},
	        {has_lease, dhcp_coarse_tmr, DHCP_COARSE_TIMER_MSECS, 0},
	};
	uint64_t now_ms = clock_ms(), next_ms = NEVER;

	for (unsigned n = 0; n < sizeof(timers) / sizeof(timers[0]); n++) {
		if (timers[n].due_ms && timers[n].due_ms <= now_ms) {
			timers[n].run();
			timers[n].due_ms = 0;
		}
		if (!timers[n].is_needed())
			timers[n].due_ms = 0;
		else if (!timers[n].due_ms)
			timers[n].due_ms = now_ms + timers[n].interval_ms;
		if (timers[n].due_ms && timers[n].due_ms < next_ms)
			next_ms = timers[n].due_ms;
	}
	return next_ms;
}

void net_run(void)
{
	for (;;) {
		frames_receive();
		if (irq_wait(timers_run()) & 1u << virtio.irq)
			virtio_acknowledge(&virtio);
	}
}
