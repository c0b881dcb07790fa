/* The process of the user-mode network: what it has, what it takes, and how it ends. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tests/unit/nic_bed.h"

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
	struct said said;
	struct bed bed;

	for (unsigned sending = 0; sending < 2; sending++) {
		CU_ASSERT_FATAL(up(&bed, &config));
		bed.nic->type->listen(bed.nic, sending ? 0 : POLLIN);
		said_begin(&said);
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
		CU_ASSERT(said_exactly(&said, "signal 9"));
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
	char directory[] = "/tmp/mayfly-nic-XXXXXX", path[64];
	static const struct nic_config config;
	unsigned fds = open_fds();
	struct said said;
	struct bed bed;

	/* The dynamic linker takes the first file of that name, and gives up. */
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/libslirp.so.0", directory);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	setenv("LD_LIBRARY_PATH", directory, 1);
	said_begin(&said);
	CU_ASSERT_FALSE(up(&bed, &config));
	CU_ASSERT(said_exactly(&said, "--net user"));
	CU_ASSERT_PTR_NOT_NULL(strstr(said.text, "libslirp0"));
	unsetenv("LD_LIBRARY_PATH");
	unlink(path);
	rmdir(directory);
	down(&bed);
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

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(libslirp_is_in_no_process_but_its_own),
	        UNIT(fragments_stay_bounded),
	        UNIT(sockets_leave_some_fds),
	        UNIT(process_has_nothing_but_its_sockets),
	        UNIT(idle_process_sleeps),
	        UNIT(lost_process_costs_the_network_only),
	        UNIT(process_ends_with_the_monitor),
	        UNIT(last_frame_still_leaves),
	        UNIT(missing_library_is_named),
	        UNIT(start_fails_cleanly),
	        {0},
	};
	return unit_run("nic_process", tests);
}
