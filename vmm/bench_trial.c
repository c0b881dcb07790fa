#include "vmm/bench_trial.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/loop.h"

#define MS UINT64_C(1000000)

enum { RETRY_NS = 200000, CALL_NS = 5000000, FAMILY = 64 };

__attribute__((format(printf, 2, 3))) static void blame(
        struct trial *trial, const char *format, ...)
{
	va_list arguments;

	if (trial->why[0])
		return;
	va_start(arguments, format);
	vsnprintf(trial->why, sizeof(trial->why), format, arguments);
	va_end(arguments);
}

/* Start. */

/*
 * posix_spawn() shares our memory until the exec (CLONE_VFORK), so that what we are does
 * not show in the candidate's time. A process group of its own keeps the terminal's
 * Ctrl-C from it: we end it ourselves then.
 */
static int spawn(struct trial *trial, int in, int out)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int error;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, trial->err, 2);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes,
	        POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	trial->start_ns = loop_now_ns();
	error = posix_spawn(&trial->pid, trial->wanted->argv[0], &actions, &attributes,
	        trial->wanted->argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

void trial_start(struct trial *trial, const struct trial_wanted *wanted)
{
	int in = open("/dev/null", O_RDWR | O_CLOEXEC), pipes[2] = {-1, -1}, error;

	*trial = (struct trial){.wanted = wanted, .pidfd = -1, .out = -1};
	for (unsigned i = 0; i < TRIAL_CALLS; i++)
		trial->calls[i].fd = -1;
	trial->err = memfd_create("stderr", MFD_CLOEXEC);
	error = in < 0 || trial->err < 0 || pipe2(pipes, O_CLOEXEC) < 0 ? -errno : 0;
	if (!error)
		error = spawn(trial, in, pipes[1]);
	if (!error) {
		trial->pidfd = (int)syscall(SYS_pidfd_open, trial->pid, 0);
		trial->out = pipes[0];
		fcntl(trial->out, F_SETFL, O_NONBLOCK);
	} else {
		blame(trial, "cannot start '%s': %s", wanted->argv[0],
		        strerror(-error));
		trial->pid = 0;
		if (pipes[0] >= 0)
			close(pipes[0]);
	}
	if (pipes[1] >= 0)
		close(pipes[1]);
	if (in >= 0)
		close(in);
}

/* Watch. */

static void read_output(struct trial *trial)
{
	const char *line = trial->wanted->line;
	char spill[4096];
	ssize_t size;

	while (trial->out >= 0) {
		size_t room = sizeof(trial->output) - trial->output_size;

		/* What goes past our buffer is not looked at, but must not block it. */
		size = room ? read(trial->out, trial->output + trial->output_size, room)
		            : read(trial->out, spill, sizeof(spill));
		if (size < 0)
			return;
		if (size == 0) {
			close(trial->out);
			trial->out = -1;
			return;
		}
		if (!room)
			continue;
		trial->output_size += (size_t)size;
		if (!trial->wanted->port && !trial->first_ns &&
		        (!line || memmem(trial->output, trial->output_size, line,
		                          strlen(line))))
			trial->first_ns = loop_now_ns();
	}
}

/*
 * HTTP. A forwarder may take a call long before there is a server behind it, and then
 * never answer: so calls are made again and again, without giving up those before. Their
 * distance is our error, but each is also work for a guest that has just come up: 5 ms,
 * and a part of the time that has passed once that is more. A ring of them gives each
 * call the time for a slow answer.
 */

static void hang_up(struct call *call)
{
	/* By a reset: a server that closed first would be left with the port in
	 * TIME_WAIT, where the next candidate could not bind it. */
	struct linger linger = {.l_onoff = 1};

	if (call->fd < 0)
		return;
	setsockopt(call->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(call->fd);
	call->fd = -1;
}

static void make_call(struct trial *trial, uint64_t now)
{
	struct call *call = &trial->calls[trial->next_call++ % TRIAL_CALLS];
	struct sockaddr_in to = {.sin_family = AF_INET,
	        .sin_port = htons(trial->wanted->port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint64_t distance = (now - trial->start_ns) / (2 * TRIAL_CALLS);

	trial->call_ns = now + (distance > CALL_NS ? distance : CALL_NS);
	hang_up(call);
	call->asked = false;
	call->size = 0;
	call->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (call->fd >= 0)
		connect(call->fd, (struct sockaddr *)&to, sizeof(to));
}

/* 1 and more: go on; 0: it was closed; -1 with errno. */
static ssize_t ask(struct call *call)
{
	static const char request[] =
	        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
	ssize_t size = 1;

	if (!call->asked) {
		size = send(call->fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
		call->asked = size > 0;
	}
	return size;
}

static bool is_right(const struct call *call, const char *line)
{
	/* RFC 9112, 4: the version's last digit is the server's. */
	return call->size > 12 && memcmp(call->answer, "HTTP/1.", 7) == 0 &&
	       memcmp(call->answer + 8, " 200", 4) == 0 &&
	       (!line || memmem(call->answer, call->size, line, strlen(line)));
}

static void read_answer(struct trial *trial, struct call *call)
{
	ssize_t size = ask(call);

	while (size > 0) {
		size = recv(call->fd, call->answer + call->size,
		        sizeof(call->answer) - call->size, 0);
		if (size > 0)
			call->size += (size_t)size;
	}
	if (is_right(call, trial->wanted->line)) {
		trial->first_ns = loop_now_ns();
	} else if (size == 0 || errno != EAGAIN) {
		hang_up(call);
		/* Nobody there yet: that costs little to find out. */
		if (trial->call_ns > loop_now_ns() + RETRY_NS)
			trial->call_ns = loop_now_ns() + RETRY_NS;
	}
}

static void read_answers(struct trial *trial)
{
	uint64_t now = loop_now_ns();

	if (now >= trial->call_ns)
		make_call(trial, now);
	for (unsigned i = 0; i < TRIAL_CALLS && !trial->first_ns; i++)
		if (trial->calls[i].fd >= 0)
			read_answer(trial, &trial->calls[i]);
}

uint64_t trial_watch(const struct trial *trial, struct pollfd fds[TRIAL_FDS])
{
	uint64_t end = trial->start_ns + trial->wanted->within_ns;

	fds[0] = (struct pollfd){.fd = trial->out, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = trial->pidfd, .events = POLLIN};
	for (unsigned i = 0; i < TRIAL_CALLS; i++)
		fds[2 + i] = (struct pollfd){.fd = trial->calls[i].fd,
		        .events = trial->calls[i].asked ? POLLIN : POLLOUT};
	return trial->wanted->port && trial->call_ns < end ? trial->call_ns : end;
}

bool trial_step(struct trial *trial)
{
	if (!trial->pid)
		return true;
	read_output(trial);
	if (trial->wanted->port) {
		read_answers(trial);
		if (trial->first_ns)
			return true;
	}
	if (waitpid(trial->pid, &trial->status, WNOHANG) == trial->pid) {
		trial->exit_ns = loop_now_ns();
		trial->pid = 0;
		read_output(trial);
		return true;
	}
	if (loop_now_ns() - trial->start_ns < trial->wanted->within_ns)
		return false;
	blame(trial, "nothing came within %" PRIu64 " s",
	        trial->wanted->within_ns / (1000 * MS));
	return true;
}

/* Its processes. */

static unsigned family(pid_t parent, pid_t *pids, unsigned count)
{
	char path[64];
	DIR *threads;

	/* A child belongs to the thread that made it. */
	snprintf(path, sizeof(path), "/proc/%d/task", parent);
	threads = opendir(path);
	if (!threads)
		return count;
	for (struct dirent *entry; (entry = readdir(threads));) {
		char line[FAMILY * 12] = "", *at = line, *end;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", parent,
		        entry->d_name);
		file = fopen(path, "re");
		if (file && !fgets(line, sizeof(line), file))
			line[0] = 0;
		if (file)
			fclose(file);
		for (pid_t pid; count < FAMILY; at = end) {
			pid = strtol(at, &end, 10);
			if (end == at)
				break;
			pids[count++] = pid;
			count = family(pid, pids, count);
		}
	}
	closedir(threads);
	return count;
}

static void measure_memory(struct trial *trial)
{
	pid_t pids[FAMILY];
	unsigned count = family(getpid(), pids, 0);

	for (unsigned i = 0; i < count; i++) {
		char path[64], line[128];
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pids[i]);
		file = fopen(path, "re");
		while (file && fgets(line, sizeof(line), file))
			if (!strncmp(line, "Pss:", 4))
				trial->pss += strtoull(line + 4, NULL, 10) << 10;
			else if (!strncmp(line, "Private_", 8) && strchr(line, ':'))
				trial->private +=
				        strtoull(strchr(line, ':') + 1, NULL, 10) << 10;
		if (file)
			fclose(file);
	}
}

/* The program and its descendants, as far as they are known by their parents; those
 * become our children, parents before children. */
static void end_family(struct trial *trial)
{
	pid_t pids[FAMILY];
	unsigned count = family(trial->pid, pids, 0);

	kill(trial->pid, SIGKILL);
	for (unsigned i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
	while (waitpid(trial->pid, &trial->status, 0) < 0 && errno == EINTR)
		;
	trial->pid = 0;
	for (unsigned i = 0; i < count; i++)
		while (waitpid(pids[i], NULL, 0) < 0 && errno == EINTR)
			;
}

void trial_kill_rest(void)
{
	pid_t pids[FAMILY];
	unsigned count;

	while ((count = family(getpid(), pids, 0))) {
		for (unsigned i = 0; i < count; i++)
			kill(pids[i], SIGKILL);
		while (waitpid(-1, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

/* Judge. */

/* What it said last on stderr: most programs end with the reason. */
static void blame_by_stderr(struct trial *trial, const char *otherwise)
{
	char text[1024], *line;
	off_t size = lseek(trial->err, 0, SEEK_END);
	off_t from =
	        size > (off_t)sizeof(text) - 1 ? size - (off_t)sizeof(text) + 1 : 0;
	ssize_t count = pread(trial->err, text, sizeof(text) - 1, from);

	text[count > 0 ? count : 0] = '\0';
	while (count > 0 && text[count - 1] <= ' ')
		text[--count] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	blame(trial, "%s", *line ? line : otherwise);
}

/* The time that it wrote itself, on stdout or on stderr. */
static void read_stamp(struct trial *trial)
{
	char text[8192];
	const char *at;
	ssize_t size;

	memcpy(text, trial->output, trial->output_size);
	size = pread(trial->err, text + trial->output_size,
	        sizeof(text) - 1 - trial->output_size, 0);
	text[trial->output_size + (size_t)(size > 0 ? size : 0)] = '\0';
	at = strstr(text, trial->wanted->stamp);
	at = at ? strpbrk(at, "0123456789") : NULL;
	trial->first_ns = at ? strtoull(at, NULL, 10) : 0;
	if (trial->first_ns < trial->start_ns)
		blame(trial, "wrote no time behind '%s'", trial->wanted->stamp);
}

static void judge(struct trial *trial)
{
	const struct trial_wanted *wanted = trial->wanted;
	char text[TRIAL_WHY];

	if (trial->why[0] || (wanted->port && trial->first_ns))
		return;
	if (WIFSIGNALED(trial->status)) {
		snprintf(text, sizeof(text), "ended by signal %d",
		        WTERMSIG(trial->status));
		blame_by_stderr(trial, text);
	} else if (wanted->port || WEXITSTATUS(trial->status) != wanted->status) {
		snprintf(text, sizeof(text), "ended with status %d",
		        WEXITSTATUS(trial->status));
		blame_by_stderr(trial, text);
	} else if (wanted->line && !trial->first_ns) {
		snprintf(text, sizeof(text), "ended without '%s'", wanted->line);
		blame_by_stderr(trial, text);
	} else if (wanted->stamp) {
		read_stamp(trial);
	}
}

void trial_finish(struct trial *trial)
{
	if (trial->pid) {
		if (trial->first_ns && trial->wanted->memory)
			measure_memory(trial);
		end_family(trial);
	}
	judge(trial);
	for (unsigned i = 0; i < TRIAL_CALLS; i++)
		hang_up(&trial->calls[i]);
	if (trial->out >= 0)
		close(trial->out);
	if (trial->pidfd >= 0)
		close(trial->pidfd);
	if (trial->err >= 0)
		close(trial->err);
	trial->out = trial->pidfd = trial->err = -1;
}
