/*
 * The user-mode network: libslirp is a TCP/IP stack that turns the guest's connections
 * into sockets of this process, so it needs no rights.
 *
 * The library is opened only when such a network is asked for. Measured (medians of 31
 * runs, 2-core host): dlopen and slirp_new in this process take 0.33 ms, 671 KiB (PSS;
 * 140 KiB private) and 0.01 us for an ARP request and its reply; a forked helper behind
 * a socketpair takes 0.75 ms, 769 KiB (120 KiB) and 10.7 us. So it lives in here.
 *
 * libslirp wants to be asked, after every call, which of its sockets wait for what
 * (slirp_pollfds_fill) and for how long at most. user_sync() keeps an epoll set equal to
 * that answer; the loop watches just the epoll fd, and one timer. Frames for the guest
 * wait in a bounded queue; what does not fit is dropped, as on a wire.
 *
 * libslirp trusts its user not to flood it, but a guest may try: see user_admits().
 */
#include "devices/nic.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtqueue.h"
#include "vmm/config.h"
#include "vmm/log.h"
#include "vmm/loop.h"

#define NETWORK(last) ((struct in_addr){htonl(0x0a000200 | (last))}) /* 10.0.2.last */

enum {
	ETHERNET = 14,
	MTU = 1500,
	HEADER = sizeof(struct virtio_net_hdr_v1),
	QUEUE = 256,         /* frames that may wait for the guest */
	SOCKETS = 4096,      /* fds below this are polled */
	SPARE_FDS = 64,      /* are left to the rest of the monitor */
	FRAGMENTS = 4096,    /* that libslirp is given in FRAGMENTS_NS */
	STALE_NS = 10000000, /* libslirp's clock may be this old */
	EVENTS_PER_CALL = 64,
};
#define FRAGMENTS_NS 30000000000ULL /* how long libslirp keeps them at most */

struct slirp_calls {
	__typeof__(slirp_new) *create;
	__typeof__(slirp_cleanup) *cleanup;
	__typeof__(slirp_pollfds_fill) *fill;
	__typeof__(slirp_pollfds_poll) *poll;
	__typeof__(slirp_input) *input;
	__typeof__(slirp_add_hostfwd) *publish;
};

static const struct {
	const char *name;
	size_t offset;
} slirp_symbols[] = {
        {"slirp_new", offsetof(struct slirp_calls, create)},
        {"slirp_cleanup", offsetof(struct slirp_calls, cleanup)},
        {"slirp_pollfds_fill", offsetof(struct slirp_calls, fill)},
        {"slirp_pollfds_poll", offsetof(struct slirp_calls, poll)},
        {"slirp_input", offsetof(struct slirp_calls, input)},
        {"slirp_add_hostfwd", offsetof(struct slirp_calls, publish)},
};

struct frame {
	uint16_t size;
	uint8_t data[ETHERNET + MTU];
};

struct user {
	struct nic nic;
	void *library;
	struct slirp_calls call;
	Slirp *slirp;
	bool listening; /* the device has room for frames */

	int epoll;
	struct loop_watch *watch;
	struct loop_timer *timer;
	uint64_t deadline_ns; /* of timer */
	uint64_t polled_ns;   /* libslirp took the time then */
	struct {
		short wanted; /* SLIRP_POLL_ bits of the last fill */
		short armed;  /* those that the epoll set has */
		short ready;  /* those to report in this poll */
	} sockets[SOCKETS];   /* by fd */
	int highest;          /* fd that was ever wanted */

	unsigned open, open_max; /* sockets of libslirp */
	unsigned fragments;
	uint64_t fragments_ns; /* when counting began */
	struct log_counter errors;

	unsigned first, count; /* of queue, a ring */
	struct frame queue[QUEUE];
};

/* What libslirp calls. */

static ssize_t slirp_send_packet(const void *data, size_t size, void *opaque)
{
	struct user *user = opaque;
	struct frame *frame;

	if (user->count == QUEUE || size > sizeof(frame->data))
		return (ssize_t)size;
	frame = &user->queue[(user->first + user->count++) % QUEUE];
	frame->size = (uint16_t)size;
	memcpy(frame->data, data, size);
	return (ssize_t)size;
}

static void slirp_guest_error(const char *message, void *opaque)
{
	struct user *user = opaque;

	log_guest(&user->errors, "--net user: the guest's fault: %s", message);
}

static int64_t slirp_clock_get_ns(void *opaque)
{
	(void)opaque;
	return (int64_t)loop_now_ns();
}

/* The one timer of libslirp sends IPv6 router advertisements; IPv6 is off. */
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
	struct user *user = opaque;

	fcntl(fd, F_SETFD, FD_CLOEXEC); /* accepted ones are not */
	user->open++;
}

/* The fd is about to be closed, and its number to be used again. */
static void slirp_unregister_poll_fd(int fd, void *opaque)
{
	struct user *user = opaque;

	if (user->open)
		user->open--;
	if (fd < 0 || fd >= SOCKETS)
		return;
	if (user->sockets[fd].armed)
		epoll_ctl(user->epoll, EPOLL_CTL_DEL, fd, NULL);
	user->sockets[fd].armed = user->sockets[fd].ready = 0;
}

static void slirp_notify(void *opaque)
{
	(void)opaque; /* every call into libslirp ends with user_sync() */
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

/* Its sockets in the loop. */

static const struct {
	short slirp;
	uint32_t epoll;
} poll_bits[] = {
        {SLIRP_POLL_IN, EPOLLIN},
        {SLIRP_POLL_OUT, EPOLLOUT},
        {SLIRP_POLL_PRI, EPOLLPRI},
        {SLIRP_POLL_ERR, EPOLLERR},
        {SLIRP_POLL_HUP, EPOLLHUP},
};
enum { POLL_BITS = sizeof(poll_bits) / sizeof(poll_bits[0]) };

static int user_add_poll(int fd, int events, void *context)
{
	struct user *user = context;

	if (fd < 0 || fd >= SOCKETS)
		return -1;
	user->sockets[fd].wanted = (short)events;
	if (fd > user->highest)
		user->highest = fd;
	return fd;
}

static int user_get_revents(int fd, void *context)
{
	struct user *user = context;

	return fd >= 0 && fd < SOCKETS ? user->sockets[fd].ready : 0;
}

static void user_arm_socket(struct user *user, int fd)
{
	short wanted = user->sockets[fd].wanted;
	struct epoll_event event = {.data.fd = fd};
	int operation = !wanted                   ? EPOLL_CTL_DEL
	                : user->sockets[fd].armed ? EPOLL_CTL_MOD
	                                          : EPOLL_CTL_ADD;

	for (unsigned i = 0; i < POLL_BITS; i++)
		if (wanted & poll_bits[i].slirp)
			event.events |= poll_bits[i].epoll;
	if (epoll_ctl(user->epoll, operation, fd, &event) == 0 || !wanted)
		user->sockets[fd].armed = wanted;
}

static void user_wake_at(struct user *user, uint64_t deadline_ns)
{
	/* A timer that fires too early does no harm, so it is set only to be earlier. */
	if (deadline_ns >= user->deadline_ns)
		return;
	user->deadline_ns = deadline_ns;
	loop_timer_set(user->timer, deadline_ns);
}

static void user_sync(struct user *user)
{
	uint32_t timeout_ms = UINT32_MAX;

	for (int fd = 0; fd <= user->highest; fd++)
		user->sockets[fd].wanted = 0;
	user->call.fill(user->slirp, &timeout_ms, user_add_poll, user);
	for (int fd = 0; fd <= user->highest; fd++)
		if (user->sockets[fd].wanted != user->sockets[fd].armed)
			user_arm_socket(user, fd);
	if (timeout_ms != UINT32_MAX)
		user_wake_at(user, loop_now_ns() + timeout_ms * 1000000ULL);
}

/* Frames that the device leaves are reported again, by the timer. */
static void user_report(struct user *user)
{
	if (user->count && user->listening)
		user->nic.ready(user->nic.context, POLLIN);
	if (user->count && user->listening)
		user_wake_at(user, 0);
}

/* libslirp's clock, timers and queue of frames, but not its sockets. */
static void user_tick(struct user *user)
{
	user->polled_ns = loop_now_ns();
	user->call.poll(user->slirp, 1, user_get_revents, user);
}

static void user_poll(struct user *user)
{
	user->polled_ns = loop_now_ns();
	user->call.poll(user->slirp, 0, user_get_revents, user);
	for (int fd = 0; fd <= user->highest; fd++)
		user->sockets[fd].ready = 0;
	user_sync(user);
	user_report(user);
}

static void user_sockets_ready(void *context, short events)
{
	struct user *user = context;
	struct epoll_event ready[EVENTS_PER_CALL];
	int count = epoll_wait(user->epoll, ready, EVENTS_PER_CALL, 0);

	(void)events;
	for (int i = 0; i < count; i++)
		for (unsigned j = 0; j < POLL_BITS; j++)
			if (ready[i].events & poll_bits[j].epoll)
				user->sockets[ready[i].data.fd].ready |=
				        poll_bits[j].slirp;
	user_poll(user);
}

static void user_timer_fired(void *context)
{
	struct user *user = context;

	user->deadline_ns = UINT64_MAX;
	user_poll(user);
}

static int user_start(struct nic *nic)
{
	struct user *user = (struct user *)nic;

	user->timer = loop_timer_create(nic->loop, user_timer_fired, user, nic->lock);
	user->watch = loop_watch(
	        nic->loop, user->epoll, POLLIN, user_sockets_ready, user, nic->lock);
	if (!user->timer || !user->watch)
		return -ENOMEM;
	user_sync(user);
	return 0;
}

/* Frames. */

/*
 * Only what libslirp needs and what cannot make it grow without bound: no protocol but
 * ARP and IPv4; no new socket when few fds are left; few fragments, which it keeps for
 * half a minute in the hope of the rest.
 */
static bool user_admits(struct user *user, const uint8_t *frame, size_t size)
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
		uint64_t now = loop_now_ns();

		if (now - user->fragments_ns > FRAGMENTS_NS) {
			user->fragments_ns = now;
			user->fragments = 0;
		}
		if (user->fragments == FRAGMENTS)
			return false;
		user->fragments++;
	}
	if (user->open < user->open_max)
		return true;
	/* RFC 9293: what is not a SYN belongs to a connection that has its socket. */
	size_t flags = ETHERNET + 4 * (ip[0] & 15) + 13;
	return !fragment && ip[9] == IPPROTO_TCP && flags < size &&
	       !(frame[flags] & 0x02);
}

static int user_send(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	struct user *user = (struct user *)nic;
	uint8_t frame[ETHERNET + MTU];

	if (size < HEADER + ETHERNET || size > HEADER + sizeof(frame))
		return -EMSGSIZE;
	size -= HEADER;
	if (iov_read(iov, count, HEADER, frame, size) != size)
		return -EMSGSIZE;
	if (!user_admits(user, frame, size))
		return -EPERM;
	/* A new socket's life is counted from libslirp's clock: it must be right. */
	if (loop_now_ns() - user->polled_ns > STALE_NS)
		user_tick(user);
	user->call.input(user->slirp, frame, (int)size);
	return 0;
}

static void user_flush(struct nic *nic)
{
	struct user *user = (struct user *)nic;

	/* What waited for the guest's answer to ARP can go now. */
	user_tick(user);
	user_sync(user);
	user_report(user);
}

static long user_receive(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	struct user *user = (struct user *)nic;
	struct frame *frame = &user->queue[user->first];
	static const struct virtio_net_hdr_v1 header;

	if (!user->count)
		return -EAGAIN;
	user->first = --user->count ? (user->first + 1) % QUEUE : 0;
	if (size < (size_t)HEADER + frame->size)
		return -EMSGSIZE;
	iov_write(iov, count, 0, &header, HEADER);
	iov_write(iov, count, HEADER, frame->data, frame->size);
	return (long)HEADER + frame->size;
}

static void user_listen(struct nic *nic, short events)
{
	struct user *user = (struct user *)nic;

	/* send() never asks to wait for POLLOUT. */
	user->listening = events & POLLIN;
	if (user->count && user->listening)
		user_wake_at(user, 0);
}

/* From options to a network. */

static void user_close(struct nic *nic)
{
	struct user *user = (struct user *)nic;

	loop_unwatch(user->watch);
	loop_timer_destroy(user->timer);
	if (user->slirp)
		user->call.cleanup(user->slirp);
	if (user->epoll >= 0)
		close(user->epoll);
	if (user->library)
		dlclose(user->library);
	free(user);
}

static const struct nic_type user_type = {
        .name = "user",
        .start = user_start,
        .send = user_send,
        .flush = user_flush,
        .receive = user_receive,
        .listen = user_listen,
        .close = user_close,
};

static int user_load(struct user *user)
{
	user->library = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!user->library)
		return log_error(-ENOENT,
		        "--net: user mode needs libslirp (%s); install libslirp0, or "
		        "use tap=NAME",
		        dlerror());
	for (size_t i = 0; i < sizeof(slirp_symbols) / sizeof(slirp_symbols[0]); i++) {
		void *symbol = dlsym(user->library, slirp_symbols[i].name);

		if (!symbol)
			return log_error(-ENOENT, "--net: libslirp.so.0 has no '%s'",
			        slirp_symbols[i].name);
		memcpy((char *)&user->call + slirp_symbols[i].offset, &symbol,
		        sizeof(symbol));
	}
	return 0;
}

/* The listening sockets' queues: libslirp gives them room for one connection. */
static int user_deepen(int fd, int events, void *context)
{
	(void)events, (void)context;
	listen(fd, SOMAXCONN); /* a datagram socket refuses */
	return -1;
}

static int user_publish(struct user *user, const struct publish_config *publish)
{
	struct in_addr address = {htonl(publish->address)};
	char text[INET_ADDRSTRLEN];
	const char *remedy = "";

	if (user->call.publish(user->slirp, publish->udp, address, publish->host,
	            NETWORK(15), publish->guest) == 0)
		return 0;
	if (errno == EADDRINUSE)
		remedy = "; choose another host port";
	else if (errno == EACCES)
		remedy = "; ports below 1024 need root";
	else if (errno == EADDRNOTAVAIL)
		remedy = "; the address is not one of this host's";
	inet_ntop(AF_INET, &address, text, sizeof(text));
	return log_error(-errno, "--net: cannot publish %s:%u%s: %s%s", text,
	        publish->host, publish->udp ? "/udp" : "", strerror(errno), remedy);
}

static int user_open(struct user *user, const struct nic_config *config)
{
	/* IPv6 is off: a guest would get a route that most hosts cannot serve. */
	static const SlirpConfig defaults = {
	        .version = 1, .in_enabled = true, .if_mtu = MTU};
	SlirpConfig network = defaults;
	uint32_t timeout_ms = UINT32_MAX;
	struct rlimit limit;
	int error = user_load(user);

	if (error)
		return error;
	network.vnetwork = NETWORK(0);
	network.vnetmask.s_addr = htonl(0xffffff00);
	network.vhost = NETWORK(2);
	network.vnameserver = NETWORK(3);
	network.vdhcp_start = NETWORK(15);

	user->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (user->epoll < 0)
		return log_error(-errno, "--net: epoll: %s", strerror(errno));
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > SOCKETS)
		limit.rlim_cur = SOCKETS;
	user->open_max = limit.rlim_cur > 2 * SPARE_FDS
	                         ? (unsigned)limit.rlim_cur - SPARE_FDS
	                         : SPARE_FDS;
	/* libslirp's send() would die of a peer that is gone. */
	signal(SIGPIPE, SIG_IGN);
	user->slirp = user->call.create(&network, &slirp_callbacks, user);
	if (!user->slirp)
		return log_error(-ENOMEM, "--net: libslirp refuses to start");
	for (unsigned i = 0; i < config->publish_count; i++) {
		error = user_publish(user, &config->publish[i]);
		if (error)
			return error;
	}
	user->call.fill(user->slirp, &timeout_ms, user_deepen, user);
	return 0;
}

struct nic *nic_slirp_open(const struct nic_config *config)
{
	struct user *user = calloc(1, sizeof(*user));

	if (!user) {
		log_error(-ENOMEM, "--net: out of memory");
		return NULL;
	}
	user->nic.type = &user_type;
	user->epoll = -1;
	user->deadline_ns = UINT64_MAX;
	if (user_open(user, config) < 0) {
		user_close(&user->nic);
		return NULL;
	}
	return &user->nic;
}
