/*
 * lwIP as the http guest uses it: one interface, DHCP, TCP over the raw API, nothing
 * that wakes an idle guest. See lwip/opt.h for each option.
 */
#pragma once

#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS          0 /* net.c runs those that have something to do */
#define LWIP_NETCONN         0
#define LWIP_SOCKET          0
#define LWIP_STATS           0
#define LWIP_NOASSERT        1
#define LWIP_SINGLE_NETIF    1

#define LWIP_ARP      1
#define LWIP_ICMP     1
#define LWIP_DHCP     1
#define LWIP_UDP      1
#define LWIP_TCP      1
#define LWIP_RAW      0
#define LWIP_IPV6     0
#define IP_FRAG       0
#define IP_REASSEMBLY 0

/* To probe for another owner of the address would take seconds. */
#define DHCP_DOES_ARP_CHECK        0
#define LWIP_NETIF_STATUS_CALLBACK 1
#define LWIP_SUPPORT_CUSTOM_PBUF   1

#define MEM_ALIGNMENT                  8
#define MEM_SIZE                       16384
#define MEMP_NUM_PBUF                  16
#define PBUF_POOL_SIZE                 1 /* frames stay in the virtqueue's buffers */
#define MEMP_NUM_TCP_PCB               16
#define MEMP_NUM_TCP_PCB_LISTEN        1
#define MEMP_NUM_TCP_SEG               32
#define MEMP_NUM_UDP_PCB               1
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1 /* which count on PBUF_POOL_SIZE */

#define TCP_MSS          1460
#define TCP_WND          (4 * TCP_MSS)
#define TCP_SND_BUF      (2 * TCP_MSS)
#define TCP_SND_QUEUELEN 8
#define TCP_QUEUE_OOSEQ  0
#define TCP_OVERSIZE     0
/* We close first, so TIME_WAIT is ours; it lasts twice this (in ms). */
#define TCP_MSL 1000UL

/* RFC 6528: not to be guessed from the last connection's. */
#define LWIP_HOOK_TCP_ISN(local, local_port, remote, remote_port) random_u32()
