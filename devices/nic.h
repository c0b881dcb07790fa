/*
 * Network back ends: a tap interface, or a user-mode network (libslirp).
 *
 * Frames travel as the guest's driver sees them: struct virtio_net_hdr_v1 (12 bytes),
 * then the Ethernet frame. Tap passes the header through (IFF_VNET_HDR) with offloads;
 * a back end without offloads takes and gives headers of zeroes.
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

struct nic_type {
	const char *name; /* "tap", "user" */
	/* VIRTIO_NET_F_ bits of offloads that it can do for this guest. */
	uint64_t features;
	/* Features are final: set the tap's offloads. Lock held. */
	void (*set_features)(struct nic *nic, uint64_t features);
	/* Sends one frame: 0, -EAGAIN (try again after `writable`), or dropped with an error. */
	int (*send)(
	        struct nic *nic, const struct iovec *iov, unsigned count, size_t size);
	/* Receives one frame into `iov`: its bytes, -EAGAIN, or -EMSGSIZE (was dropped). */
	long (*receive)(
	        struct nic *nic, const struct iovec *iov, unsigned count, size_t size);
	/* Whether to watch for frames: off while the guest has no buffers. */
	void (*listen)(struct nic *nic, bool on);
	void (*close)(struct nic *nic);
};

/* First member of each back end's own struct. */
struct nic {
	const struct nic_type *type;
	uint8_t mac[6];
	/* Set by nic_start(): called with the lock held when receive() may succeed. */
	void (*readable)(void *context);
	void *context;
	struct loop *loop;
	pthread_mutex_t *lock;
};

/*
 * Opens what `config` asks for, everything included that needs rights or files (the tap,
 * the published ports), but starts no thread. A MAC is made up (02:...) unless given.
 * Logs "--net: ..." with the remedy and returns NULL on failure.
 */
struct nic *nic_open(const struct nic_config *config);
void nic_close(struct nic *nic); /* takes NULL */
int nic_start(struct nic *nic, struct loop *loop, pthread_mutex_t *lock,
        void (*readable)(void *context), void *context);
