/*
 * The monitor's end of a user-mode network: user_network.c, in a process of its own.
 *
 * One file is deployed, so the program lies in the monitor's read-only data and is run
 * from a memfd. It is started by nic_open() and gets ready while the VM is built; then
 * nic_start() waits for its word. It ends with the socket between us; should it end by
 * itself, the guest loses its network and nothing else.
 *
 * Measured (2-core host, alternating runs, 10th percentile) against libslirp opened by
 * dlopen() in a monitor linked dynamically: a run of hello takes 1.35 ms, not 1.55, for
 * it needs no dynamic linker; with --net user, the guest is entered 2.4 to 2.6 ms after
 * process start, not 2.1 to 2.2: the process is ready 0.8 ms after the fork on an idle
 * host, up to 1.5 ms beside the build of a VM, and up to half of that is waited for. An
 * ARP request and its reply take 12 us, full frames 200 MiB/s each way; recvmmsg()
 * changes neither. Both processes sleep while the guest does. Memory (PSS): 1.3 MiB the
 * monitor, 0.8 MiB the process (0.35 MiB private).
 */
#include "devices/nic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/user_network.h"
#include "vmm/config.h"
#include "vmm/log.h"
#include "vmm/loop.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

enum {
	START_MS = 10000, /* the process has to be ready, */
	END_MS = 1000,    /* or done with the frames that it was sent */
	/* Each way, if the host allows: about 220 frames, as the kernel counts twice. */
	SOCKET_BUFFER = 256 << 10,
};

extern const uint8_t user_network_image[], user_network_image_end[];

struct user {
	struct nic nic;
	pid_t pid; /* 0: there is none, or no more */
	bool gone;
	struct loop_watch *watch;
};

/* Its wait status; ends it, if need be. */
static int user_reap(struct user *user)
{
	int status = 0;

	if (user->pid && waitpid(user->pid, &status, WNOHANG) == 0) {
		kill(user->pid, SIGKILL);
		waitpid(user->pid, &status, 0);
	}
	user->pid = 0;
	return status;
}

static void user_gone(struct user *user)
{
	int status;

	if (user->gone)
		return;
	user->gone = true;
	if (user->watch)
		loop_watch_events(user->watch, 0);
	status = user_reap(user);
	log_warn("--net user: its process ended (%s %d); the guest's network is dead",
	        WIFSIGNALED(status) ? "signal" : "status",
	        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void user_ready(void *context, short events)
{
	struct user *user = context;

	if (events & (POLLERR | POLLHUP | POLLNVAL))
		return user_gone(user);
	user->nic.ready(user->nic.context, events & (POLLIN | POLLOUT));
}

static int user_send(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	struct user *user = (struct user *)nic;
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};

	if (size < USER_NETWORK_MESSAGE_MIN || size > USER_NETWORK_MESSAGE_MAX)
		return -EMSGSIZE;
	if (user->gone)
		return -EPIPE;
	if (sendmsg(user->nic.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	int error = -errno;
	if (error == -EPIPE || error == -ECONNRESET)
		user_gone(user);
	return error;
}

static long user_receive(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	struct user *user = (struct user *)nic;
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
	ssize_t got;

	(void)size;
	if (user->gone)
		return -EAGAIN;
	got = recvmsg(user->nic.fd, &message, MSG_DONTWAIT);
	if (got > 0)
		return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : got;
	if (got == 0 || (errno != EAGAIN && errno != EINTR))
		user_gone(user);
	return -EAGAIN;
}

static void user_listen(struct nic *nic, short events)
{
	struct user *user = (struct user *)nic;

	if (!user->gone)
		loop_watch_events(user->watch, events);
}

/* Waits until one of `events` or the end of the process is reported. */
static bool user_wait(const struct user *user, short events, int timeout_ms)
{
	struct pollfd fd = {user->nic.fd, events, 0};
	int ready;

	do
		ready = poll(&fd, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	return ready > 0;
}

static int user_start(struct nic *nic)
{
	struct user *user = (struct user *)nic;
	char reply[USER_NETWORK_REPLY];
	ssize_t size;

	if (!user_wait(user, POLLIN, START_MS))
		return log_error(-ETIMEDOUT,
		        "--net user: its process is not ready after %d s",
		        START_MS / 1000);
	size = recv(user->nic.fd, reply, sizeof(reply) - 1, MSG_DONTWAIT);
	if (size <= 0) {
		int status = user_reap(user);

		/* As ld.so has it when it misses a library. */
		if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
			return log_error(-ENOENT,
			        "--net user: libslirp.so.0 cannot be loaded; install "
			        "libslirp0, or use tap=NAME");
		return log_error(-EIO, "--net user: its process ended (%s %d)",
		        WIFSIGNALED(status) ? "signal" : "status",
		        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	reply[size] = '\0';
	if (reply[0])
		return log_error(-EIO, "--net user: %s", reply);
	if (!nic->loop)
		return 0;
	user->watch =
	        loop_watch(nic->loop, user->nic.fd, 0, user_ready, user, nic->lock);
	return user->watch ? 0 : -ENOMEM;
}

static void user_close(struct nic *nic)
{
	struct user *user = (struct user *)nic;

	loop_unwatch(user->watch);
	if (user->nic.fd >= 0) {
		/* It still passes on what the guest sent last. */
		shutdown(user->nic.fd, SHUT_WR);
		if (user->pid)
			user_wait(user, 0, END_MS);
		close(user->nic.fd);
	}
	user_reap(user);
	free(user);
}

static const struct nic_type user_type = {
        .name = "user",
        .start = user_start,
        .send = user_send,
        .receive = user_receive,
        .listen = user_listen,
        .close = user_close,
};

/* The program in a file of its own, or -Exxx (logged). */
static int user_create_file(void)
{
	size_t size = (size_t)(user_network_image_end - user_network_image);
	int fd = memfd_create("mayfly-network", MFD_CLOEXEC | MFD_EXEC);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("mayfly-network", MFD_CLOEXEC);
	if (fd < 0)
		return log_error(-errno,
		        "--net user: cannot create the file of its process: %s%s",
		        strerror(errno),
		        errno == EACCES ? "; allow it: sysctl vm.memfd_noexec=1, or "
		                          "use tap=NAME"
		                        : "");
	if (write(fd, user_network_image, size) != (ssize_t)size) {
		int error = log_error(
		        -ENOMEM, "--net user: no memory for the file of its process");

		close(fd);
		return error;
	}
	return fd;
}

/*
 * The child: in a session of its own, where the terminal's signals do not reach it. What
 * it or the dynamic linker would print is for nobody.
 */
static void user_exec(int program, int socket)
{
	char *arguments[] = {"mayfly-network", NULL}, reply[USER_NETWORK_REPLY];
	struct user_network_request request;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	dup2(socket, USER_NETWORK_FD);
	syscall(SYS_execveat, program, "", arguments, environ, AT_EMPTY_PATH);
	snprintf(reply, sizeof(reply), "cannot run its process: %s%s", strerror(errno),
	        errno == ENOENT ? "; it needs glibc and libslirp0, or use tap=NAME"
	                        : "");
	/* What is unread when this end closes would go before the reply, as ECONNRESET. */
	recv(socket, &request, sizeof(request), MSG_DONTWAIT);
	send(socket, reply, strlen(reply) + 1, MSG_NOSIGNAL);
	_exit(1);
}

static int user_spawn(struct user *user, int socket)
{
	int program = user_create_file(), error = 0;
	pid_t pid;

	if (program < 0)
		return program;
	/* No guest memory is mapped yet: this takes a third of posix_spawn()'s time. */
	pid = fork();
	if (pid == 0)
		user_exec(program, socket);
	if (pid < 0)
		error = log_error(-errno, "--net user: cannot start its process: %s",
		        strerror(errno));
	else
		user->pid = pid;
	close(program);
	return error;
}

static int user_open(struct user *user, const struct nic_config *config)
{
	struct user_network_request request = {
	        .index = config->user_index,
	        .publish_count = config->publish_count,
	};
	int size = SOCKET_BUFFER, ends[2], error;

	memcpy(request.publish, config->publish, sizeof(request.publish));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return log_error(-errno, "--net user: no socket: %s", strerror(errno));
	user->nic.fd = ends[0];
	for (unsigned i = 0; i < 2; i++)
		setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	send(user->nic.fd, &request, sizeof(request), MSG_NOSIGNAL);
	error = user_spawn(user, ends[1]);
	close(ends[1]);
	return error;
}

struct nic *nic_user_open(const struct nic_config *config)
{
	struct user *user = calloc(1, sizeof(*user));

	if (!user) {
		log_error(-ENOMEM, "--net: out of memory");
		return NULL;
	}
	user->nic.type = &user_type;
	user->nic.fd = -1;
	if (user_open(user, config) < 0) {
		user_close(&user->nic);
		return NULL;
	}
	return &user->nic;
}
