/*
 * What the monitor (nic_user.c) and the process of a user-mode network (user_network.c)
 * say to each other, over a socket that keeps the bounds of messages and tells when the
 * other end is gone (unix(7), SOCK_SEQPACKET):
 *
 *     monitor: struct user_network_request
 *     process: a line that says what failed, and its end; or "", which means ready
 *     both:    frames, as the guest's driver sees them (nic.h): the header, then Ethernet
 *
 * Neither waits for the other: a frame that finds the socket full waits in the guest's
 * queue on its way out, and is dropped on its way in, as on a wire. The process ends
 * with its socket.
 */
#pragma once

#include <linux/virtio_net.h>

#include "vmm/config.h"

enum {
	USER_NETWORK_FD = 3, /* the socket, in the process */
	USER_NETWORK_HEADER = sizeof(struct virtio_net_hdr_v1),
	USER_NETWORK_ETHERNET = 14,
	USER_NETWORK_MTU = 1500,
	USER_NETWORK_MESSAGE_MIN = USER_NETWORK_HEADER + USER_NETWORK_ETHERNET,
	USER_NETWORK_MESSAGE_MAX = USER_NETWORK_MESSAGE_MIN + USER_NETWORK_MTU,
	USER_NETWORK_REPLY = 256, /* bytes of the first line at most */
};

struct user_network_request {
	unsigned index; /* of the network, nic_config.user_index */
	struct publish_config publish[CONFIG_PUBLISH];
	unsigned publish_count;
};
