#include "devices/nic.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/config.h"
#include "vmm/log.h"
#include "vmm/loop.h"

/* What an Ethernet device of Linux can have (include/uapi/linux/if_ether.h). */
enum { MTU_MIN = 68, MTU_DEFAULT = 1500, MTU_MAX = 65521 };

#define BIT(feature) (1ULL << (feature))

struct tap {
	struct nic nic;
	struct loop_watch *watch;
	bool gone; /* the interface was deleted under us */
};

static void tap_ready(void *context, short events)
{
	struct tap *tap = context;

	/* Reported until the end of time: stop watching, or the loop would spin. */
	if (events & (POLLERR | POLLHUP | POLLNVAL)) {
		tap->gone = true;
		loop_watch_events(tap->watch, 0);
		log_warn("--net tap: the interface is gone; the guest's network is "
		         "dead");
		return;
	}
	tap->nic.ready(tap->nic.context, events & (POLLIN | POLLOUT));
}

static int tap_start(struct nic *nic)
{
	struct tap *tap = (struct tap *)nic;

	if (!nic->loop)
		return 0;
	tap->watch = loop_watch(nic->loop, tap->nic.fd, 0, tap_ready, tap, nic->lock);
	return tap->watch ? 0 : -ENOMEM;
}

/* What the kernel may leave undone in frames for the guest; TSO rests on checksums. */
static void tap_set_features(struct nic *nic, uint64_t features)
{
	struct tap *tap = (struct tap *)nic;
	unsigned offload = 0;

	if (features & BIT(VIRTIO_NET_F_GUEST_CSUM)) {
		offload |= TUN_F_CSUM;
		if (features & BIT(VIRTIO_NET_F_GUEST_TSO4))
			offload |= TUN_F_TSO4;
		if (features & BIT(VIRTIO_NET_F_GUEST_TSO6))
			offload |= TUN_F_TSO6;
	}
	if (ioctl(tap->nic.fd, TUNSETOFFLOAD, offload) < 0)
		log_warn("--net tap: cannot set offloads: %s", strerror(errno));
}

static int tap_send(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	(void)size;
	return writev(nic->fd, iov, (int)count) < 0 ? -errno : 0;
}

static long tap_receive(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	ssize_t got = readv(nic->fd, iov, (int)count);

	(void)size;
	/* EBADFD, EIO: the interface is gone or down. tap_ready() sees to the former. */
	return got >= 0 ? got : errno == EINTR ? -EAGAIN : -errno;
}

static void tap_listen(struct nic *nic, short events)
{
	struct tap *tap = (struct tap *)nic;

	if (!tap->gone)
		loop_watch_events(tap->watch, events);
}

static void tap_close(struct nic *nic)
{
	struct tap *tap = (struct tap *)nic;

	loop_unwatch(tap->watch);
	if (tap->nic.fd >= 0)
		close(tap->nic.fd);
	free(tap);
}

/* Any socket tells; the tap's own fd does not. */
static unsigned tap_mtu(struct nic *nic)
{
	struct ifreq request = {0};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(nic->fd, TUNGETIFF, &request) < 0 ||
	        ioctl(fd, SIOCGIFMTU, &request) < 0 || request.ifr_mtu < MTU_MIN ||
	        request.ifr_mtu > MTU_MAX)
		request.ifr_mtu = MTU_DEFAULT;
	if (fd >= 0)
		close(fd);
	return (unsigned)request.ifr_mtu;
}

static const struct nic_type tap_type = {
        .name = "tap",
        .features = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
                    BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |
                    BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6),
        .start = tap_start,
        .set_features = tap_set_features,
        .send = tap_send,
        .receive = tap_receive,
        .listen = tap_listen,
        .close = tap_close,
        .mtu = tap_mtu,
};

/* EINVAL is the answer both for a tap with several queues and for what is no tap. */
static int tap_attach(int fd, const char *name)
{
	static const short flags[] = {0, IFF_MULTI_QUEUE};
	struct ifreq request = {0};

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		request.ifr_flags =
		        (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags[i]);
		if (ioctl(fd, TUNSETIFF, &request) == 0)
			return 0;
		if (errno != EINVAL)
			break;
	}
	return -errno;
}

static int tap_open(struct tap *tap, const char *name)
{
	int header = sizeof(struct virtio_net_hdr_v1), error;
	unsigned index;

	if (strlen(name) >= IFNAMSIZ)
		return log_error(-EINVAL,
		        "--net: 'tap=%s' is too long a name for an interface", name);
	/* TUNSETIFF would create what does not exist. */
	index = if_nametoindex(name);
	if (!index)
		return log_error(-ENODEV,
		        "--net: there is no interface '%s'; create it: ip tuntap add "
		        "%s "
		        "mode tap user $USER",
		        name, name);
	tap->nic.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap->nic.fd < 0)
		return log_error(-errno,
		        "--net: cannot open '/dev/net/tun' for tap=%s: %s%s", name,
		        strerror(errno),
		        errno == ENOENT   ? "; load it: modprobe tun"
		        : errno == EACCES ? "; allow it: chmod a+rw /dev/net/tun"
		                          : "");
	error = tap_attach(tap->nic.fd, name);
	if (error == -EINVAL)
		return log_error(error,
		        "--net: '%s' is not a tap interface; create one: ip tuntap add "
		        "NAME mode tap user $USER",
		        name);
	if (error == -EBUSY)
		return log_error(error,
		        "--net: tap '%s' is in use by another program; give each VM "
		        "one of its own: ip tuntap add NAME mode tap user $USER",
		        name);
	if (error == -EPERM)
		return log_error(error,
		        "--net: no permission on tap '%s'; create it for this user: ip "
		        "tuntap add %s mode tap user $USER",
		        name, name);
	if (error)
		return log_error(error, "--net: cannot use tap '%s': %s", name,
		        strerror(-error));
	/* It may have been deleted since: then it was created anew, and goes with fd. */
	if (if_nametoindex(name) != index)
		return log_error(-ENODEV, "--net: interface '%s' went away", name);
	if (ioctl(tap->nic.fd, TUNSETVNETHDRSZ, &header) < 0 ||
	        ioctl(tap->nic.fd, TUNSETOFFLOAD, 0) < 0)
		return log_error(-errno, "--net: cannot set up tap '%s': %s", name,
		        strerror(errno));
	return 0;
}

struct nic *nic_tap_open(const struct nic_config *config)
{
	struct tap *tap = calloc(1, sizeof(*tap));

	if (!tap) {
		log_error(-ENOMEM, "--net: out of memory");
		return NULL;
	}
	tap->nic.type = &tap_type;
	tap->nic.fd = -1;
	if (tap_open(tap, config->tap) < 0) {
		tap_close(&tap->nic);
		return NULL;
	}
	return &tap->nic;
}
