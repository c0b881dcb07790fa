/* lwIP on the first virtio-net device, with an address from DHCP. */
#pragma once

/* 0, or -Exxx of virtio_open(). `ready` is called once, when there is an address. */
int net_open(void (*ready)(const char *address));

/* Serves the network for ever; sleeps while there is nothing to do. */
__attribute__((noreturn)) void net_run(void);
