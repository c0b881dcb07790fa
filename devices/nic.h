/*
 * Network back ends: a tap interface, or a user-mode network in a process of its own.
 *
 * Frames travel as the guest's driver sees them: struct virtio_net_hdr_v1 (12 bytes),
 * then the Ethernet frame. Tap passes the header through (IFF_VNET_HDR) with offloads;
 * a back end without offloads takes any header and gives headers of zeroes. In the
 * header of a received frame, num_buffers is the caller's to fill.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct loop;
struct nic;
struct nic_config;

/* VIRTIO 1.2, 5.1.6.3.1: the largest header and frame that offloads can make. */
enum { NIC_FRAME_MAX = 65562 };

/* Members that a back end does not need are NULL. The lock is held, but for close. */
struct nic_type {
	const char *name; /* "tap", "user" */
	/* VIRTIO_NET_F_ bits of offloads that it can do for this guest. */
	uint64_t features;
	/* Called once, by nic_start(): sets up what waits in the loop. */
	int (*start)(struct nic *nic);
	/* Features are final: set the tap's offloads. */
	void (*set_features)(struct nic *nic, uint64_t features);
	/* Sends one frame: 0, -EAGAIN (try again when POLLOUT is reported), or dropped
	 * with an error. */
	int (*send)(
	        struct nic *nic, const struct iovec *iov, unsigned count, size_t size);
	/* A batch of send() is over; may call ready(POLLIN). */
	void (*flush)(struct nic *nic);
	/* Receives one frame into `iov`: its bytes, -EAGAIN, or -EMSGSIZE (was dropped). */
	long (*receive)(
	        struct nic *nic, const struct iovec *iov, unsigned count, size_t size);
	/* What to report from now on, again and again while it lasts: POLLIN (frames
	 * wait; off while the guest has no buffers), POLLOUT (send() can go on). */
	void (*listen)(struct nic *nic, short events);
	void (*close)(struct nic *nic);
	/* Of the interface, without the Ethernet header; 1500 where it is NULL. */
	unsigned (*mtu)(struct nic *nic);
};

/* First member of each back end's own struct. */
struct nic {
	const struct nic_type *type;
	uint8_t mac[6];
	int fd; /* readable while a frame waits, for who has no loop */
	/* Set by nic_start(): called with the lock held for what listen() asked for. */
	void (*ready)(void *context, short events);
	void *context;
	struct loop *loop;
	pthread_mutex_t *lock;
};

/*
 * Opens what `config` asks for. A MAC is made up (02:...) unless given. Logs "--net: ..."
 * with the remedy and returns NULL on failure.
 *
 * Best called early: a user-mode network then gets ready beside the caller. nic_start()
 * waits for that and fails alike, for a port that cannot be published too; nothing that
 * needs rights is left afterwards. Without a loop (NULL), nothing is reported: the caller
 * polls nic->fd, and never calls listen().
 */
struct nic *nic_open(const struct nic_config *config);
void nic_close(struct nic *nic); /* takes NULL */
int nic_start(struct nic *nic, struct loop *loop, pthread_mutex_t *lock,
        void (*ready)(void *context, short events), void *context);
unsigned nic_mtu(struct nic *nic);

/* The back ends: they set type and fd; all else of struct nic is set in nic.c. */
struct nic *nic_tap_open(const struct nic_config *config);
struct nic *nic_user_open(const struct nic_config *config);
