/*
 * The user-mode network: libslirp is a TCP/IP stack that turns the guest's connections
 * into sockets of this process, so it needs no rights.
 *
 * A program of its own, which the monitor carries inside and starts when it is asked for
 * (nic_user.c): neither libslirp, which parses what a hostile guest sends, nor the glib
 * behind it is ever in the monitor, and no other run pays for them.
 *
 * libslirp wants to be asked, after every call, which of its sockets wait for what
 * (slirp_pollfds_fill) and for how long at most: that is the loop below. It trusts its
 * user not to flood it, but a guest may try: see network_admits().
 */
#include "devices/user_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	HEADER = USER_NETWORK_HEADER,
	ETHERNET = USER_NETWORK_ETHERNET,
	SOCKETS = 4096,   /* at most, if RLIMIT_NOFILE has as many */
	SPARE_FDS = 16,   /* are not libslirp's connections: ours, and resolv.conf */
	FRAGMENTS = 4096, /* that libslirp is given in FRAGMENTS_NS */
	BATCH = 32,       /* frames taken before its sockets have their turn */
};
#define FRAGMENTS_NS 30000000000ULL /* how long libslirp keeps them at most */

struct network {
	Slirp *slirp;
	unsigned open, open_max; /* sockets of libslirp */
	unsigned published;      /* of these, they stay open for ever */
	unsigned fragments;
	uint64_t fragments_ns; /* when counting began */
	unsigned fd_count;
	struct pollfd fds[1 + SOCKETS]; /* the monitor's first */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* What libslirp calls. */

/* What the guest is too slow for is dropped: the socket's buffer is the queue. */
static ssize_t slirp_send_packet(const void *data, size_t size, void *opaque)
{
	static const struct virtio_net_hdr_v1 header;
	struct iovec iov[] = {{(void *)&header, HEADER}, {(void *)data, size}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

	(void)opaque;
	sendmsg(USER_NETWORK_FD, &message, MSG_DONTWAIT);
	return (ssize_t)size;
}

/* Only IPv6, which is off, finds fault with the guest. */
static void slirp_guest_error(const char *message, void *opaque)
{
	(void)message, (void)opaque;
}

static int64_t slirp_clock_get_ns(void *opaque)
{
	(void)opaque;
	return (int64_t)now_ns();
}

/* The one timer of libslirp sends IPv6 router advertisements. */
static void *slirp_timer_new(SlirpTimerCb fn, void *context, void *opaque)
{
	(void)fn, (void)context;
	return opaque;
}

static void slirp_timer_free(void *timer, void *opaque)
{
	(void)timer, (void)opaque;
}

static void slirp_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	(void)timer, (void)expire_ms, (void)opaque;
}

static void slirp_register_poll_fd(int fd, void *opaque)
{
	(void)fd;
	((struct network *)opaque)->open++;
}

static void slirp_unregister_poll_fd(int fd, void *opaque)
{
	(void)fd;
	((struct network *)opaque)->open--;
}

static void slirp_notify(void *opaque)
{
	(void)opaque; /* every call into libslirp ends with a poll */
}

static const SlirpCb slirp_callbacks = {
        .send_packet = slirp_send_packet,
        .guest_error = slirp_guest_error,
        .clock_get_ns = slirp_clock_get_ns,
        .timer_new = slirp_timer_new,
        .timer_free = slirp_timer_free,
        .timer_mod = slirp_timer_mod,
        .register_poll_fd = slirp_register_poll_fd,
        .unregister_poll_fd = slirp_unregister_poll_fd,
        .notify = slirp_notify,
};

/* Its sockets. */

static const struct {
	int slirp;
	short poll;
} poll_bits[] = {
        {SLIRP_POLL_IN, POLLIN},
        {SLIRP_POLL_OUT, POLLOUT},
        {SLIRP_POLL_PRI, POLLPRI},
        {SLIRP_POLL_ERR, POLLERR},
        {SLIRP_POLL_HUP, POLLHUP},
};
enum { POLL_BITS = sizeof(poll_bits) / sizeof(poll_bits[0]) };

static int network_add_poll(int fd, int events, void *context)
{
	struct network *network = context;
	struct pollfd *place = &network->fds[network->fd_count];

	if (network->fd_count > SOCKETS)
		return -1;
	*place = (struct pollfd){.fd = fd};
	for (unsigned i = 0; i < POLL_BITS; i++)
		if (events & poll_bits[i].slirp)
			place->events |= poll_bits[i].poll;
	return (int)network->fd_count++;
}

static int network_get_revents(int place, void *context)
{
	const struct network *network = context;
	int events = 0;

	for (unsigned i = 0; i < POLL_BITS; i++)
		if (network->fds[place].revents & poll_bits[i].poll)
			events |= poll_bits[i].slirp;
	return events;
}

/* Frames. */

/*
 * Only what libslirp needs and what cannot make it grow without bound: no protocol but
 * ARP and IPv4; no new socket when few fds are left; few fragments, which it keeps for
 * half a minute in the hope of the rest.
 */
static bool network_admits(struct network *network, const uint8_t *frame, size_t size)
{
	const uint8_t *ip = frame + ETHERNET;
	uint16_t type = (uint16_t)(frame[12] << 8 | frame[13]);

	if (type == 0x0806) /* ARP */
		return true;
	if (type != 0x0800 || size < ETHERNET + 20)
		return false;
	/* RFC 791: more fragments follow, or it has an offset. */
	bool fragment = (ip[6] & 0x3f) || ip[7];
	if (fragment) {
		uint64_t now = now_ns();

		if (now - network->fragments_ns > FRAGMENTS_NS) {
			network->fragments_ns = now;
			network->fragments = 0;
		}
		if (network->fragments == FRAGMENTS)
			return false;
		network->fragments++;
	}
	if (network->open < network->open_max)
		return true;
	/* RFC 9293: what is not a SYN belongs to a connection that has its socket. */
	size_t flags = ETHERNET + 4 * (ip[0] & 15) + 13;
	return !fragment && ip[9] == IPPROTO_TCP && flags < size &&
	       !(frame[flags] & 0x02);
}

/* False when the monitor is gone. */
static bool network_take_frames(struct network *network)
{
	uint8_t message[USER_NETWORK_MESSAGE_MAX + 1]; /* one more: too long */

	for (unsigned i = 0; i < BATCH; i++) {
		ssize_t size =
		        recv(USER_NETWORK_FD, message, sizeof(message), MSG_DONTWAIT);

		if (size <= 0)
			return size < 0 && (errno == EAGAIN || errno == EINTR);
		if (size < USER_NETWORK_MESSAGE_MIN || size > USER_NETWORK_MESSAGE_MAX)
			continue;
		if (network_admits(network, message + HEADER, (size_t)size - HEADER))
			slirp_input(
			        network->slirp, message + HEADER, (int)size - HEADER);
	}
	return true;
}

/*
 * Whether no time-out of libslirp matters: it asks to be woken twice a second even if it
 * only listens. Fragments are counted on as gone after a while, so they do matter.
 */
static bool network_is_idle(const struct network *network)
{
	return network->open == network->published &&
	       (!network->fragments ||
	               now_ns() - network->fragments_ns > 2 * FRAGMENTS_NS);
}

static void network_run(struct network *network)
{
	int ready;

	network->fds[0] = (struct pollfd){.fd = USER_NETWORK_FD, .events = POLLIN};
	do {
		uint32_t timeout_ms = UINT32_MAX;

		network->fd_count = 1;
		slirp_pollfds_fill(
		        network->slirp, &timeout_ms, network_add_poll, network);
		ready = poll(network->fds, network->fd_count,
		        network_is_idle(network) ? -1 : (int)timeout_ms);
		/* First of all, as it sets libslirp's clock. */
		slirp_pollfds_poll(
		        network->slirp, ready < 0, network_get_revents, network);
		if (ready <= 0 || !network->fds[0].revents)
			continue;
		if (!network_take_frames(network))
			return;
		/* What waited for the guest's answer to ARP can go now. */
		slirp_pollfds_poll(network->slirp, 1, network_get_revents, network);
	} while (ready >= 0 || errno == EINTR);
}

static struct in_addr address_of(
        const struct user_network_request *request, uint32_t last)
{
	return (struct in_addr){htonl(0x0a000200 + (request->index << 8) + last)};
}

/* From the request to a network. Each returns 0, or -1 with the reason in `reply`. */

/* The listening sockets' queues: libslirp gives them room for one connection. */
static int network_deepen(int fd, int events, void *context)
{
	(void)events, (void)context;
	listen(fd, SOMAXCONN); /* a datagram socket refuses */
	return -1;
}

static int network_publish(struct network *network,
        const struct user_network_request *request, unsigned index, char *reply)
{
	const struct publish_config *publish = &request->publish[index];
	struct in_addr address = {htonl(publish->address)};
	char text[INET_ADDRSTRLEN];
	const char *remedy = "";

	if (slirp_add_hostfwd(network->slirp, publish->udp, address, publish->host,
	            address_of(request, USER_GUEST), publish->guest) == 0)
		return 0;
	if (errno == EADDRINUSE)
		remedy = "; choose another host port";
	else if (errno == EACCES)
		remedy = "; ports below 1024 need root";
	else if (errno == EADDRNOTAVAIL)
		remedy = "; the address is not one of this host's";
	snprintf(reply, USER_NETWORK_REPLY, "cannot publish %s:%u%s: %s%s",
	        inet_ntop(AF_INET, &address, text, sizeof(text)), publish->host,
	        publish->udp ? "/udp" : "", strerror(errno), remedy);
	return -1;
}

static int network_open(struct network *network,
        const struct user_network_request *request, char *reply)
{
	/* IPv6 is off: a guest would get a route that most hosts cannot serve. */
	const SlirpConfig config = {
	        .version = 1,
	        .in_enabled = true,
	        .if_mtu = USER_NETWORK_MTU,
	        .vnetwork = address_of(request, 0),
	        .vnetmask = {htonl(0xffffff00)},
	        .vhost = address_of(request, USER_GATEWAY),
	        .vnameserver = address_of(request, USER_NAME_SERVER),
	        .vdhcp_start = address_of(request, USER_GUEST),
	};
	uint32_t timeout_ms = UINT32_MAX;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > SOCKETS)
		limit.rlim_cur = SOCKETS;
	network->open_max = limit.rlim_cur > 2 * SPARE_FDS
	                            ? (unsigned)limit.rlim_cur - SPARE_FDS
	                            : SPARE_FDS;
	network->slirp = slirp_new(&config, &slirp_callbacks, network);
	if (!network->slirp) {
		snprintf(reply, USER_NETWORK_REPLY, "libslirp refuses to start");
		return -1;
	}
	for (unsigned i = 0; i < request->publish_count; i++)
		if (network_publish(network, request, i, reply) < 0)
			return -1;
	slirp_pollfds_fill(network->slirp, &timeout_ms, network_deepen, network);
	network->published = network->open;
	return 0;
}

int main(void)
{
	static struct network network;
	struct user_network_request request;
	char reply[USER_NETWORK_REPLY] = "";

	/* The end of the socket is the rule; this is for a monitor killed meanwhile. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NAME, "mayfly-network");
	close_range(USER_NETWORK_FD + 1, ~0U, 0);
	/* libslirp's send() would die of a peer that is gone. */
	signal(SIGPIPE, SIG_IGN);
	/* Meant for the monitor, which may give the guest time to power off. */
	signal(SIGTERM, SIG_IGN);

	if (recv(USER_NETWORK_FD, &request, sizeof(request), 0) != sizeof(request))
		return 1;
	int error = network_open(&network, &request, reply);
	send(USER_NETWORK_FD, reply, strlen(reply) + 1, 0);
	if (!error)
		network_run(&network);
	/* The kernel closes the sockets faster than libslirp does. */
	_exit(0);
}
