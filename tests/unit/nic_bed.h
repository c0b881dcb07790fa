/* For the tests of the real back ends: a guest's side of one, and what a guest would send. */
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "devices/nic.h"
#include "tests/unit/loop_fake.h"
#include "tests/unit/unit.h"
#include "vmm/config.h"

enum { HEADER = 12, ETHERNET = 14, SKIPPED = 77 };

static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 1};

struct bed {
	struct loop *loop;
	pthread_mutex_t lock;
	struct nic *nic;
	unsigned reports;
	short reported;               /* the last time */
	uint8_t frame[HEADER + 2000]; /* what was received last */
	size_t size;                  /* without the header */
	uint64_t waited_ns;           /* receive_ip(): from the answer to ARP on */
};

static inline void ready(void *context, short events)
{
	struct bed *bed = context;

	bed->reports++;
	bed->reported = events;
}

static inline bool up(struct bed *bed, const struct nic_config *config)
{
	memset(bed, 0, sizeof(*bed));
	pthread_mutex_init(&bed->lock, NULL);
	bed->nic = nic_open(config);
	if (!bed->nic)
		return false;
	bed->loop = loop_create();
	return nic_start(bed->nic, bed->loop, &bed->lock, ready, bed) == 0;
}

static inline void down(struct bed *bed)
{
	nic_close(bed->nic);
	CU_ASSERT_EQUAL(loop_fake_count(bed->loop), 0);
	loop_destroy(bed->loop);
}

static inline int send_frame(struct bed *bed, const void *frame, size_t size)
{
	static const uint8_t header[HEADER];
	struct iovec iov[] = {{(void *)header, HEADER}, {(void *)frame, size}};
	int result;

	while ((result = bed->nic->type->send(bed->nic, iov, 2, HEADER + size)) ==
	        -EAGAIN)
		usleep(100);
	if (bed->nic->type->flush)
		bed->nic->type->flush(bed->nic);
	return result;
}

/* The next frame for the guest, without waiting. */
static inline bool receive_now(struct bed *bed)
{
	struct iovec iov = {bed->frame, sizeof(bed->frame)};
	long got = bed->nic->type->receive(bed->nic, &iov, 1, sizeof(bed->frame));

	bed->size = got > HEADER ? (size_t)got - HEADER : 0;
	return got > 0;
}

static const uint8_t *payload(const struct bed *bed)
{
	return bed->frame + HEADER;
}

static inline uint16_t get16(const uint8_t *data)
{
	return (uint16_t)(data[0] << 8 | data[1]);
}

static inline void put16(uint8_t *data, unsigned value)
{
	data[0] = (uint8_t)(value >> 8);
	data[1] = (uint8_t)value;
}

static inline void arp(struct bed *bed, unsigned operation, unsigned target)
{
	uint8_t frame[42] = {[12] = 8, 6, 0, 1, 8, 0, 6, 4, 0, (uint8_t)operation};

	memset(frame, 0xff, 6);
	memcpy(frame + 6, guest_mac, 6);
	memcpy(frame + 22, guest_mac, 6);
	memcpy(frame + 28, (uint8_t[]){10, 0, 2, 15}, 4);
	memcpy(frame + 38, (uint8_t[]){10, 0, 2, (uint8_t)target}, 4);
	send_frame(bed, frame, sizeof(frame));
}

/* Real time: the process of the network does not know the test's. */
static inline uint64_t real_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Waits for the next frame. */
static inline bool receive(struct bed *bed)
{
	bed->nic->type->listen(bed->nic, POLLIN);
	for (unsigned i = 0; i < 300; i++) {
		if (receive_now(bed))
			return true;
		loop_fake_wait(bed->loop, 10);
	}
	return false;
}

/* Waits for an IPv4 frame of `protocol`, answering ARP meanwhile. */
static inline bool receive_ip(struct bed *bed, unsigned protocol)
{
	uint64_t answered_ns = real_ns();

	while (receive(bed)) {
		const uint8_t *frame = payload(bed);

		bed->waited_ns = real_ns() - answered_ns;
		if (get16(frame + 12) == ETH_P_IP && frame[23] == protocol)
			return true;
		if (get16(frame + 12) == ETH_P_ARP && get16(frame + 20) == 1) {
			answered_ns = real_ns();
			arp(bed, 2, 2);
		}
	}
	return false;
}

/* All that was sent has been looked at: the answer to a last request is here. */
static inline bool settle(struct bed *bed)
{
	while (receive_now(bed))
		;
	for (unsigned i = 0; i < 100; i++) {
		arp(bed, 1, 3);
		while (receive(bed))
			if (payload(bed)[ETHERNET + 17] == 3)
				return true;
	}
	return false;
}

/* RFC 791, 3.1: of a header without options. */
static inline void put_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	put16(ip + 10, 0);
	for (unsigned i = 0; i < 20; i += 2)
		sum += get16(ip + i);
	put16(ip + 10, ~((sum & 0xffff) + (sum >> 16)) & 0xffff);
}

static inline size_t make_udp(uint8_t *frame, uint32_t from, uint32_t to,
        unsigned from_port, unsigned to_port, const void *data, size_t size)
{
	uint8_t *ip = frame + ETHERNET;

	memset(frame, 0, ETHERNET + 28);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, guest_mac, 6);
	put16(frame + 12, ETH_P_IP);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(28 + size));
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, &(uint32_t){htonl(from)}, 4);
	memcpy(ip + 16, &(uint32_t){htonl(to)}, 4);
	put_checksum(ip);
	put16(ip + 20, from_port);
	put16(ip + 22, to_port);
	put16(ip + 24, (unsigned)(8 + size));
	memcpy(ip + 28, data, size);
	return ETHERNET + 28 + size;
}

static inline unsigned entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

static inline unsigned open_fds(void)
{
	return entries("/proc/self/fd");
}

/* The one child of this process: that of its user-mode network. */
static inline pid_t child(void)
{
	FILE *file = fopen("/proc/thread-self/children", "re");
	int pid = 0;

	if (file && fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	return pid;
}

static inline bool is_childless(void)
{
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

/* A port of 127.0.0.1 that nobody uses; with `keep`, one that is listened on. */
static inline uint16_t find_port(int *keep)
{
	struct sockaddr_in address = {
	        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	bind(fd, (struct sockaddr *)&address, size);
	getsockname(fd, (struct sockaddr *)&address, &size);
	if (keep) {
		listen(fd, 1);
		*keep = fd;
	} else {
		close(fd);
	}
	return ntohs(address.sin_port);
}
