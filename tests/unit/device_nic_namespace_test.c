/*
 * Taps, and a user-mode network with another resolver, in a network namespace of the test's
 * own. Each runs in a child, whose exit status is the verdict.
 */
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "tests/unit/nic_bed.h"

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
	        UNIT(dns_works_behind_a_stub),
	        UNIT(dns_without_resolver_is_refused),
	        UNIT(tap_carries_frames),
	        UNIT(tap_with_queues_opens),
	        UNIT(tap_must_exist),
	        {0},
	};
	return unit_run("nic_namespace", tests);
}
