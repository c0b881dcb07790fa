/*
 * The real back ends: the process of the user-mode network, and taps in a network
 * namespace of the test's own. What needs a namespace runs in a child, whose exit status
 * is the verdict.
 */
#include "devices/nic.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

static void ready(void *context, short events)
{
	struct bed *bed = context;

	bed->reports++;
	bed->reported = events;
}

static bool up(struct bed *bed, const struct nic_config *config)
{
	memset(bed, 0, sizeof(*bed));
	pthread_mutex_init(&bed->lock, NULL);
	bed->nic = nic_open(config);
	if (!bed->nic)
		return false;
	bed->loop = loop_create();
	return nic_start(bed->nic, bed->loop, &bed->lock, ready, bed) == 0;
}

static void down(struct bed *bed)
{
	nic_close(bed->nic);
	CU_ASSERT_EQUAL(loop_fake_count(bed->loop), 0);
	loop_destroy(bed->loop);
}

static int send_frame(struct bed *bed, const void *frame, size_t size)
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
static bool receive_now(struct bed *bed)
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

static uint16_t get16(const uint8_t *data)
{
	return (uint16_t)(data[0] << 8 | data[1]);
}

static void put16(uint8_t *data, unsigned value)
{
	data[0] = (uint8_t)(value >> 8);
	data[1] = (uint8_t)value;
}

static void arp(struct bed *bed, unsigned operation, unsigned target)
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
static uint64_t real_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Waits for the next frame. */
static bool receive(struct bed *bed)
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
static bool receive_ip(struct bed *bed, unsigned protocol)
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
static bool settle(struct bed *bed)
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
static void put_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	put16(ip + 10, 0);
	for (unsigned i = 0; i < 20; i += 2)
		sum += get16(ip + i);
	put16(ip + 10, ~((sum & 0xffff) + (sum >> 16)) & 0xffff);
}

static size_t make_udp(uint8_t *frame, uint32_t from, uint32_t to, unsigned from_port,
        unsigned to_port, const void *data, size_t size)
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

static unsigned entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

static unsigned open_fds(void)
{
	return entries("/proc/self/fd");
}

/* The one child of this process: that of its user-mode network. */
static pid_t child(void)
{
	FILE *file = fopen("/proc/thread-self/children", "re");
	int pid = 0;

	if (file && fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	return pid;
}

static bool is_childless(void)
{
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

/* Fds of `pid`; 0 if it is not this user's to know, as the process is not dumpable. */
static unsigned fds_of(pid_t pid)
{
	char path[64];
	unsigned count;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	count = entries(path);
	return count ? count - 2 : 0;
}

/* A number in /proc/PID/status. */
static unsigned status_of(pid_t pid, const char *format)
{
	char path[64], line[128];
	unsigned number = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, format, &number) == 1)
			break;
	if (file)
		fclose(file);
	return number;
}

static unsigned resident_kib(pid_t pid)
{
	return status_of(pid, "VmRSS: %u");
}

static unsigned sleeps_of(pid_t pid)
{
	return status_of(pid, "voluntary_ctxt_switches: %u");
}

/* What is logged goes to a file from here on; log_end() gives it back. */
static int log_begin(int *saved)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	*saved = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	return fd;
}

static unsigned log_end(int fd, int saved, char *text, size_t size)
{
	unsigned lines = 0;
	ssize_t got = pread(fd, text, size - 1, 0);

	text[got > 0 ? got : 0] = '\0';
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fd);
	return lines;
}

/* A port of 127.0.0.1 that nobody uses; with `keep`, one that is listened on. */
static uint16_t find_port(int *keep)
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

/* The user-mode network. */

static void libslirp_is_in_no_process_but_its_own(void)
{
	static const struct nic_config config;
	char line[512];
	struct bed bed;

	CU_ASSERT_FATAL(up(&bed, &config));
	FILE *maps = fopen("/proc/self/maps", "re");
	while (fgets(line, sizeof(line), maps))
		CU_ASSERT_PTR_NULL(strstr(line, "libslirp"));
	fclose(maps);
	down(&bed);
}

static void mac_is_given_or_made_up(void)
{
	struct nic_config config = {0};
	struct nic *one = nic_open(&config), *two = nic_open(&config);

	CU_ASSERT_FATAL(one && two);
	CU_ASSERT_EQUAL(one->mac[0], 2);
	CU_ASSERT_NOT_EQUAL(memcmp(one->mac, two->mac, 6), 0);
	nic_close(one);
	nic_close(two);
	config.has_mac = true;
	memcpy(config.mac, guest_mac, 6);
	one = nic_open(&config);
	CU_ASSERT_EQUAL(memcmp(one->mac, guest_mac, 6), 0);
	nic_close(one);
}

static void dhcp_offers_the_address_of_network(unsigned index)
{
	const struct nic_config config = {.user_index = index};
	uint8_t dhcp[300] = {1, 1, 6, 0, 1, 2, 3, 4};
	uint8_t frame[ETHERNET + 28 + sizeof(dhcp)];
	struct bed bed;

	memcpy(dhcp + 28, guest_mac, 6);
	memcpy(dhcp + 236, (uint8_t[]){99, 130, 83, 99, 53, 1, 1, 255}, 8);
	CU_ASSERT_FATAL(up(&bed, &config));
	CU_ASSERT_EQUAL(
	        send_frame(&bed, frame,
	                make_udp(frame, 0, 0xffffffff, 68, 67, dhcp, sizeof(dhcp))),
	        0);
	CU_ASSERT_FATAL(receive_ip(&bed, IPPROTO_UDP));
	const uint8_t *reply = payload(&bed) + ETHERNET + 28;
	CU_ASSERT_EQUAL(reply[0], 2);
	CU_ASSERT_EQUAL(memcmp(reply + 4, dhcp + 4, 4), 0);
	CU_ASSERT_EQUAL(
	        memcmp(reply + 16, ((uint8_t[]){10, 0, (uint8_t)(2 + index), 15}), 4),
	        0);
	CU_ASSERT_EQUAL(memcmp(bed.frame, ((uint8_t[HEADER]){0}), HEADER), 0);
	down(&bed);
}

static void dhcp_offers_the_address(void)
{
	dhcp_offers_the_address_of_network(0);
	dhcp_offers_the_address_of_network(1);
	dhcp_offers_the_address_of_network(CONFIG_NICS - 1);
}

static void frames_are_reported_while_they_last(void)
{
	static const struct nic_config config;
	struct bed bed;

	CU_ASSERT_FATAL(up(&bed, &config));
	arp(&bed, 1, 2);
	CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 50), 0);
	bed.nic->type->listen(bed.nic, POLLIN);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 3000), 1);
	CU_ASSERT_EQUAL(bed.reports, 3);
	CU_ASSERT_EQUAL(bed.reported, POLLIN);
	CU_ASSERT(receive_now(&bed));
	CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 50), 0);
	arp(&bed, 1, 2);
	CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 3000), 1);
	CU_ASSERT(receive_now(&bed));
	CU_ASSERT_FALSE(receive_now(&bed));
	down(&bed);
}

static void frames_that_nobody_takes_are_dropped(void)
{
	static const struct nic_config config;
	unsigned frames = 0;
	struct bed bed;

	CU_ASSERT_FATAL(up(&bed, &config));
	for (unsigned i = 0; i < 10000; i++)
		arp(&bed, 1, 2);
	while (receive_now(&bed))
		frames++;
	CU_ASSERT(frames > 50 && frames < 5000);
	CU_ASSERT(settle(&bed));
	down(&bed);
}

static void slow_process_blocks_nobody(void)
{
	static const struct nic_config config;
	uint8_t frame[HEADER + ETHERNET + 1500] = {0};
	struct iovec iov = {frame, sizeof(frame)};
	unsigned sent = 0;
	struct bed bed;

	CU_ASSERT_FATAL(up(&bed, &config));
	kill(child(), SIGSTOP);
	while (sent < 10000 &&
	        bed.nic->type->send(bed.nic, &iov, 1, sizeof(frame)) == 0)
		sent++;
	CU_ASSERT(sent > 50 && sent < 10000);
	CU_ASSERT_EQUAL(bed.nic->type->send(bed.nic, &iov, 1, sizeof(frame)), -EAGAIN);
	bed.nic->type->listen(bed.nic, POLLOUT);
	CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 20), 0);
	kill(child(), SIGCONT);
	CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 3000), 1);
	CU_ASSERT_EQUAL(bed.reported, POLLOUT);
	CU_ASSERT_EQUAL(bed.nic->type->send(bed.nic, &iov, 1, sizeof(frame)), 0);
	down(&bed);
}

static void fragments_stay_bounded(void)
{
	static const struct nic_config config;
	uint8_t frame[ETHERNET + 1500] = {0};
	unsigned before;
	struct bed bed;

	CU_ASSERT_FATAL(up(&bed, &config));
	CU_ASSERT(settle(&bed));
	before = resident_kib(child());
	CU_ASSERT(before > 0);
	make_udp(frame, 0x0a00020f, 0x0a000202, 1, 2, frame + ETHERNET + 28, 1400);
	frame[ETHERNET + 6] = 0x20; /* more fragments */
	for (unsigned i = 0; i < 20000; i++) {
		put16(frame + ETHERNET + 4, i);
		put_checksum(frame + ETHERNET);
		CU_ASSERT_EQUAL(send_frame(&bed, frame, ETHERNET + 28 + 1400), 0);
	}
	CU_ASSERT(settle(&bed));
	CU_ASSERT(resident_kib(child()) < before + 16384);
	down(&bed);
}

static void frames_have_a_size(void)
{
	static const struct nic_config config;
	uint8_t frame[ETHERNET + 1501] = {0};
	struct bed bed;

	CU_ASSERT_FATAL(up(&bed, &config));
	CU_ASSERT_EQUAL(send_frame(&bed, frame, ETHERNET - 1), -EMSGSIZE);
	CU_ASSERT_EQUAL(send_frame(&bed, frame, ETHERNET + 1501), -EMSGSIZE);
	CU_ASSERT_EQUAL(send_frame(&bed, frame, ETHERNET + 1500), 0);
	/* Cut short, or of a protocol that is off. */
	for (size_t size = ETHERNET; size < ETHERNET + 60; size++) {
		put16(frame + 12, ETH_P_IP);
		frame[ETHERNET] = 0x4f;
		CU_ASSERT_EQUAL(send_frame(&bed, frame, size), 0);
		put16(frame + 12, ETH_P_ARP);
		CU_ASSERT_EQUAL(send_frame(&bed, frame, size), 0);
		put16(frame + 12, ETH_P_IPV6);
		CU_ASSERT_EQUAL(send_frame(&bed, frame, size), 0);
	}
	CU_ASSERT(settle(&bed));
	down(&bed);
}

static void sockets_leave_some_fds(void)
{
	static const struct nic_config config;
	struct rlimit limit, low = {256, 256};
	uint8_t frame[64];
	struct bed bed;

	getrlimit(RLIMIT_NOFILE, &limit);
	low.rlim_max = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &low);
	CU_ASSERT_FATAL(up(&bed, &config));
	setrlimit(RLIMIT_NOFILE, &limit);
	for (unsigned port = 1; port <= 300; port++)
		CU_ASSERT_EQUAL(send_frame(&bed, frame,
		                        make_udp(frame, 0x0a00020f, 0x0a000202, port, 9,
		                                "x", 1)),
		        0);
	CU_ASSERT(settle(&bed));
	unsigned fds = fds_of(child());
	CU_ASSERT(fds == 0 || (fds > 200 && fds <= 256 - 16 + 4));
	down(&bed);
}

static void process_has_nothing_but_its_sockets(void)
{
	struct nic_config config = {.publish_count = 1};
	int stray = dup(STDOUT_FILENO);
	struct bed bed;

	config.publish[0] =
	        (struct publish_config){INADDR_LOOPBACK, find_port(NULL), 80, false};
	CU_ASSERT_FATAL(up(&bed, &config));
	unsigned fds = fds_of(child());
	CU_ASSERT(fds == 0 || fds == 5);
	down(&bed);
	close(stray);
}

static void idle_process_sleeps(void)
{
	struct nic_config config = {.publish_count = 1};
	struct bed bed;

	config.publish[0] =
	        (struct publish_config){INADDR_LOOPBACK, find_port(NULL), 80, false};
	CU_ASSERT_FATAL(up(&bed, &config));
	CU_ASSERT(settle(&bed));
	usleep(50000);
	unsigned sleeps = sleeps_of(child());
	usleep(1200000);
	CU_ASSERT(sleeps > 0);
	CU_ASSERT_EQUAL(sleeps_of(child()), sleeps);
	down(&bed);
}

static void lost_process_costs_the_network_only(void)
{
	static const struct nic_config config;
	unsigned fds = open_fds();
	int saved, log;
	struct bed bed;
	char text[256];

	for (unsigned sending = 0; sending < 2; sending++) {
		CU_ASSERT_FATAL(up(&bed, &config));
		bed.nic->type->listen(bed.nic, sending ? 0 : POLLIN);
		log = log_begin(&saved);
		kill(child(), SIGKILL);
		usleep(50000);
		if (!sending)
			CU_ASSERT_EQUAL(loop_fake_wait(bed.loop, 3000), 1);
		for (unsigned i = 0; i < 3; i++) {
			uint8_t frame[60] = {0};

			CU_ASSERT(send_frame(&bed, frame, sizeof(frame)) < 0);
			CU_ASSERT_FALSE(receive_now(&bed));
			bed.nic->type->listen(bed.nic, POLLIN | POLLOUT);
			CU_ASSERT_EQUAL(loop_fake_run(bed.loop), 0);
		}
		CU_ASSERT_EQUAL(bed.reports, 0);
		CU_ASSERT_EQUAL(log_end(log, saved, text, sizeof(text)), 1);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "signal 9"));
		CU_ASSERT(is_childless());
		down(&bed);
	}
	CU_ASSERT_EQUAL(open_fds(), fds);
}

static void process_ends_with_the_monitor(void)
{
	static const struct nic_config config;
	pid_t network = 0;
	int pipe_fds[2];
	struct bed bed;

	/* It becomes a child of ours when its parent is gone. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
	pid_t monitor = fork();
	if (monitor == 0) {
		network = up(&bed, &config) ? child() : 0;
		(void)!write(pipe_fds[1], &network, sizeof(network));
		pause();
		_exit(0);
	}
	CU_ASSERT_EQUAL(read(pipe_fds[0], &network, sizeof(network)), sizeof(network));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	kill(monitor, SIGKILL);
	waitpid(monitor, NULL, 0);
	CU_ASSERT_FATAL(network > 0);
	pid_t ended = 0;
	for (unsigned i = 0; i < 300 && ended == 0; i++) {
		usleep(10000);
		ended = waitpid(network, NULL, WNOHANG);
	}
	CU_ASSERT_EQUAL(ended, network);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void last_frame_still_leaves(void)
{
	static const struct nic_config config;
	struct sockaddr_in address = {
	        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(address);
	uint8_t frame[64];
	struct bed bed;
	char got[8];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	bind(fd, (struct sockaddr *)&address, size);
	getsockname(fd, (struct sockaddr *)&address, &size);
	CU_ASSERT_FATAL(up(&bed, &config));
	send_frame(&bed, frame,
	        make_udp(frame, 0x0a00020f, 0x0a000202, 1234, ntohs(address.sin_port),
	                "bye", 3));
	down(&bed);
	CU_ASSERT_EQUAL(recv(fd, got, sizeof(got), MSG_DONTWAIT), 3);
	CU_ASSERT(is_childless());
	close(fd);
}

static void missing_library_is_named(void)
{
	char directory[] = "/tmp/mayfly-nic-XXXXXX", path[64], text[256];
	static const struct nic_config config;
	unsigned fds = open_fds();
	int saved, log;
	struct bed bed;

	/* The dynamic linker takes the first file of that name, and gives up. */
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/libslirp.so.0", directory);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	setenv("LD_LIBRARY_PATH", directory, 1);
	log = log_begin(&saved);
	CU_ASSERT_FALSE(up(&bed, &config));
	CU_ASSERT_EQUAL(log_end(log, saved, text, sizeof(text)), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "--net user"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "libslirp0"));
	unsetenv("LD_LIBRARY_PATH");
	unlink(path);
	rmdir(directory);
	down(&bed);
	CU_ASSERT(is_childless());
	CU_ASSERT_EQUAL(open_fds(), fds);
}

static void published_port_reaches_the_guest(void)
{
	struct nic_config config = {.publish_count = 1};
	struct sockaddr_in address = {
	        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	unsigned fds = open_fds();
	struct bed bed;
	char byte;

	config.publish[0] =
	        (struct publish_config){INADDR_LOOPBACK, find_port(NULL), 80, false};
	CU_ASSERT_FATAL(up(&bed, &config));
	address.sin_port = htons(config.publish[0].host);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL_FATAL(
	        connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_FATAL(receive_ip(&bed, IPPROTO_TCP));
	/* At once, not with libslirp's next time-out of 500 ms. */
	CU_ASSERT(bed.waited_ns < 400000000);
	CU_ASSERT_EQUAL(get16(payload(&bed) + ETHERNET + 22), 80);
	CU_ASSERT_EQUAL(payload(&bed)[ETHERNET + 33], 0x02); /* SYN */
	CU_ASSERT_EQUAL(
	        memcmp(payload(&bed) + ETHERNET + 16, ((uint8_t[]){10, 0, 2, 15}), 4),
	        0);
	down(&bed);
	/* With the network, its sockets are gone. */
	errno = 0;
	CU_ASSERT(recv(fd, &byte, 1, MSG_DONTWAIT) <= 0 && errno != EAGAIN);
	close(fd);
	CU_ASSERT_EQUAL(open_fds(), fds);
}

static void udp_is_published_too(void)
{
	struct nic_config config = {.publish_count = 1};
	struct sockaddr_in address = {
	        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct bed bed;

	config.publish[0] =
	        (struct publish_config){INADDR_LOOPBACK, find_port(NULL), 5000, true};
	CU_ASSERT_FATAL(up(&bed, &config));
	address.sin_port = htons(config.publish[0].host);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	sendto(fd, "hello", 5, 0, (struct sockaddr *)&address, sizeof(address));
	CU_ASSERT_FATAL(receive_ip(&bed, IPPROTO_UDP));
	CU_ASSERT_EQUAL(get16(payload(&bed) + ETHERNET + 22), 5000);
	CU_ASSERT_EQUAL(memcmp(payload(&bed) + ETHERNET + 28, "hello", 5), 0);
	close(fd);
	down(&bed);
}

static void busy_port_is_refused(void)
{
	struct nic_config config = {.publish_count = 2};
	unsigned fds = open_fds();
	int busy, saved, log;
	struct bed bed;
	char text[256], port[16];

	config.publish[0] =
	        (struct publish_config){INADDR_LOOPBACK, find_port(NULL), 80, false};
	config.publish[1] =
	        (struct publish_config){INADDR_LOOPBACK, find_port(&busy), 81, false};
	log = log_begin(&saved);
	CU_ASSERT_FALSE(up(&bed, &config));
	CU_ASSERT_EQUAL(log_end(log, saved, text, sizeof(text)), 1);
	snprintf(port, sizeof(port), ":%u:", config.publish[1].host);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, port));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "choose another host port"));
	down(&bed);
	close(busy);
	CU_ASSERT(is_childless());
	CU_ASSERT_EQUAL(open_fds(), fds);
}

static void start_fails_cleanly(void)
{
	static const struct nic_config config;
	struct bed bed = {.loop = loop_create(), .nic = nic_open(&config)};

	loop_fake_limit(bed.loop, 0);
	CU_ASSERT(nic_start(bed.nic, bed.loop, &bed.lock, ready, &bed) < 0);
	down(&bed);
	CU_ASSERT(is_childless());
}

/* In a namespace. */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t size = (ssize_t)strlen(text);
	bool written = fd >= 0 && write(fd, text, (size_t)size) == size;

	if (fd >= 0)
		close(fd);
	return written;
}

static bool bring_up(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	int error = ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return error == 0;
}

static bool enter_namespace(void)
{
	char map[64];
	unsigned uid = getuid();

	if (uid != 0) {
		if (unshare(CLONE_NEWUSER) < 0)
			return false;
		snprintf(map, sizeof(map), "0 %u 1", uid);
		if (!write_file("/proc/self/uid_map", map))
			return false;
	}
	return unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       bring_up("lo");
}

static void in_namespace(const char *what, const char *device, bool (*test)(void))
{
	int status = 0;

	if (access(device, R_OK | W_OK) < 0) {
		printf("skip nic: %s: this user may not open '%s'\n", what, device);
		return;
	}
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		_exit(!enter_namespace() ? SKIPPED : test() ? 0 : 1);
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		printf("skip nic: %s: no namespaces for this user here\n", what);
	else
		CU_ASSERT_EQUAL(status, 0);
}

/* A bind mount, as the file belongs to the machine. */
static bool set_resolver(const char *text)
{
	char path[] = "/tmp/mayfly-nic-XXXXXX";
	int fd = mkstemp(path);

	close(fd);
	bool done = write_file(path, text) &&
	            mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0;
	unlink(path);
	return done;
}

static bool ask_dns(struct bed *bed)
{
	static const struct nic_config config;
	uint8_t frame[100];

	return up(bed, &config) && send_frame(bed, frame,
	                                   make_udp(frame, 0x0a00020f, 0x0a000203, 1234,
	                                           53, "query", 5)) == 0;
}

static bool stub_resolver_answers(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
	socklen_t size = sizeof(address);
	struct bed bed;
	char query[5];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	address.sin_addr.s_addr = inet_addr("127.0.0.53");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	        !set_resolver("nameserver 127.0.0.53\n") || !ask_dns(&bed))
		return false;
	if (recvfrom(fd, query, 5, 0, (struct sockaddr *)&address, &size) != 5 ||
	        memcmp(query, "query", 5) != 0)
		return false;
	sendto(fd, "reply", 5, 0, (struct sockaddr *)&address, size);
	return receive_ip(&bed, IPPROTO_UDP) &&
	       memcmp(payload(&bed) + ETHERNET + 12, (uint8_t[]){10, 0, 2, 3}, 4) ==
	               0 &&
	       memcmp(payload(&bed) + ETHERNET + 28, "reply", 5) == 0;
}

static bool no_resolver_is_refused_at_once(void)
{
	struct bed bed;

	return set_resolver("") && ask_dns(&bed) && receive_ip(&bed, IPPROTO_ICMP) &&
	       payload(&bed)[ETHERNET + 20] == 3;
}

static void dns_works_behind_a_stub(void)
{
	in_namespace("DNS by a stub", "/dev/null", stub_resolver_answers);
}

static void dns_without_resolver_is_refused(void)
{
	in_namespace(
	        "DNS without a resolver", "/dev/null", no_resolver_is_refused_at_once);
}

static bool make_tap(const char *name, short flags)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags)};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	bool made = fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0 &&
	            ioctl(fd, TUNSETPERSIST, 1) == 0;
	if (fd >= 0)
		close(fd);
	return made && bring_up(name);
}

static bool open_tap(const char *name, struct bed *bed)
{
	struct nic_config config = {.tap = name};

	return up(bed, &config);
}

static bool tap_carries(void)
{
	uint8_t frame[60] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, 'm', 'f'};
	struct sockaddr_ll address = {
	        .sll_family = AF_PACKET, .sll_protocol = htons(0x88b5)};
	uint8_t got[100];
	struct bed bed;

	if (!make_tap("mf0", 0) || !open_tap("mf0", &bed))
		return false;
	int fd = socket(AF_PACKET, SOCK_RAW, htons(0x88b5));
	address.sll_ifindex = (int)if_nametoindex("mf0");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return false;
	bed.nic->type->set_features(bed.nic, bed.nic->type->features);
	if (send_frame(&bed, frame, sizeof(frame)) != 0 ||
	        recv(fd, got, sizeof(got), 0) != 60 || memcmp(got, frame, 60) != 0)
		return false;
	frame[15] = 'g';
	/* The host drops frames until its link watcher has seen the carrier. */
	bool came = false;
	for (unsigned i = 0; i < 300 && !came; i++) {
		send(fd, frame, sizeof(frame), 0);
		bed.nic->type->listen(bed.nic, POLLIN);
		loop_fake_wait(bed.loop, 10);
		while (receive_now(&bed))
			came = came || (bed.size == 60 &&
			                       memcmp(payload(&bed), frame, 60) == 0);
	}
	if (!came || bed.reports == 0)
		return false;
	/* Busy; and free again once it is closed. */
	struct bed other;
	if (open_tap("mf0", &other))
		return false;
	down(&bed);
	return open_tap("mf0", &other);
}

static bool multi_queue_tap_opens(void)
{
	struct bed bed;

	return make_tap("mf1", IFF_MULTI_QUEUE) && open_tap("mf1", &bed);
}

static bool no_interface_is_made(void)
{
	struct bed bed;

	return !open_tap("mf2", &bed) && !if_nametoindex("mf2") &&
	       !open_tap("lo", &bed) && !open_tap("a-name-of-sixteen", &bed);
}

static void tap_carries_frames(void)
{
	in_namespace("tap", "/dev/net/tun", tap_carries);
}

static void tap_with_queues_opens(void)
{
	in_namespace("multi-queue tap", "/dev/net/tun", multi_queue_tap_opens);
}

static void tap_must_exist(void)
{
	in_namespace("absent tap", "/dev/net/tun", no_interface_is_made);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(libslirp_is_in_no_process_but_its_own),
	        UNIT(mac_is_given_or_made_up),
	        UNIT(dhcp_offers_the_address),
	        UNIT(frames_are_reported_while_they_last),
	        UNIT(frames_that_nobody_takes_are_dropped),
	        UNIT(slow_process_blocks_nobody),
	        UNIT(fragments_stay_bounded),
	        UNIT(frames_have_a_size),
	        UNIT(sockets_leave_some_fds),
	        UNIT(process_has_nothing_but_its_sockets),
	        UNIT(idle_process_sleeps),
	        UNIT(lost_process_costs_the_network_only),
	        UNIT(process_ends_with_the_monitor),
	        UNIT(last_frame_still_leaves),
	        UNIT(missing_library_is_named),
	        UNIT(published_port_reaches_the_guest),
	        UNIT(udp_is_published_too),
	        UNIT(busy_port_is_refused),
	        UNIT(start_fails_cleanly),
	        UNIT(dns_works_behind_a_stub),
	        UNIT(dns_without_resolver_is_refused),
	        UNIT(tap_carries_frames),
	        UNIT(tap_with_queues_opens),
	        UNIT(tap_must_exist),
	        {0},
	};
	return unit_run("nic", tests);
}
