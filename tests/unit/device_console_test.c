/* devices/console.c on real pipes, sockets, files and pseudo-terminals. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "devices/console.h"
#include "tests/unit/loop_fake.h"
#include "tests/unit/unit.h"

enum { RING = 64 << 10, PENDING = 4 << 10, MUCH = 300 << 10 };

static struct {
	struct loop *loop;
	struct console *console;
	int saved_in, saved_out;
	unsigned quits;
	/* The client. */
	pthread_mutex_t lock;
	char input[2 * PENDING];
	size_t input_size;
	size_t room; /* that the client has */
	unsigned resizes;
	uint16_t columns, rows;
} t;

static void quit(void *context)
{
	CU_ASSERT_PTR_EQUAL(context, &t);
	t.quits++;
}

static size_t input(void *context, const void *data, size_t size)
{
	CU_ASSERT_PTR_EQUAL(context, &t);
	CU_ASSERT_NOT_EQUAL(pthread_mutex_trylock(&t.lock), 0);
	if (size > t.room)
		size = t.room;
	memcpy(t.input + t.input_size, data, size);
	t.input_size += size;
	t.room -= size;
	return size;
}

static void resized(void *context, uint16_t columns, uint16_t rows)
{
	CU_ASSERT_PTR_EQUAL(context, &t);
	t.resizes++;
	t.columns = columns;
	t.rows = rows;
}

/* stdin and stdout become these; -1 leaves one alone. */
static void setup(int in, int out)
{
	memset(&t, 0, sizeof(t));
	pthread_mutex_init(&t.lock, NULL);
	fflush(stdout);
	t.saved_in = dup(STDIN_FILENO);
	t.saved_out = dup(STDOUT_FILENO);
	if (in >= 0)
		dup2(in, STDIN_FILENO);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	t.room = sizeof(t.input);
	t.loop = loop_create();
	t.console = console_create(t.loop, true, quit, &t);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t.console);
}

static void teardown(void)
{
	console_destroy(t.console);
	CU_ASSERT_EQUAL(loop_fake_count(t.loop), 0);
	loop_destroy(t.loop);
	dup2(t.saved_in, STDIN_FILENO);
	dup2(t.saved_out, STDOUT_FILENO);
	close(t.saved_in);
	close(t.saved_out);
}

static int attach(void)
{
	const struct console_client client = {input, resized, &t, &t.lock};
	int error;

	pthread_mutex_lock(&t.lock);
	error = console_attach(t.console, &client);
	pthread_mutex_unlock(&t.lock);
	return error;
}

static void want_input(void)
{
	pthread_mutex_lock(&t.lock);
	console_want_input(t.console);
	pthread_mutex_unlock(&t.lock);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void pattern(char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = i * 2654435761u >> 24;
}

/* Output */

static size_t capacity(int fd)
{
	return fcntl(fd, F_GETPIPE_SZ);
}

/* What a pipe holds and the ring held, read bit by bit while the loop drains. */
static size_t read_all(int fd, char *data, size_t size)
{
	size_t done = 0;
	ssize_t got;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (;;) {
		got = read(fd, data + done, size - done < 10000 ? size - done : 10000);
		if (got > 0)
			done += got;
		else if (!loop_fake_run(t.loop))
			return done;
	}
}

static void blocked_output(int in, int out, bool may_open)
{
	static char sent[MUCH], got[MUCH];
	struct rlimit limit, none;
	double start = now();
	size_t size;

	pattern(sent, MUCH);
	setup(-1, out);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	if (!may_open)
		setrlimit(RLIMIT_NOFILE, &none);
	/* Much more than it holds, in pieces that end nowhere in particular. */
	for (size_t at = 0; at < MUCH; at += 3000)
		console_write(
		        t.console, sent + at, MUCH - at < 3000 ? MUCH - at : 3000);
	setrlimit(RLIMIT_NOFILE, &limit);
	CU_ASSERT(now() - start < 1);
	CU_ASSERT_EQUAL(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	size = read_all(in, got, MUCH);
	CU_ASSERT(size >= RING && size < MUCH);
	CU_ASSERT_EQUAL(memcmp(sent, got, size), 0);
	/* And from now on it flows again. */
	console_write(t.console, "end", 3);
	CU_ASSERT_EQUAL(read(in, got, sizeof(got)), 3);
	CU_ASSERT_EQUAL(memcmp(got, "end", 3), 0);
	teardown();
	close(in);
	close(out);
}

static void full_pipe_does_not_block(void)
{
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	blocked_output(fds[0], fds[1], true);
}

static void full_pipe_that_cannot_be_opened_again_does_not_block(void)
{
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	blocked_output(fds[0], fds[1], false);
}

static void full_socket_does_not_block(void)
{
	int fds[2], size = RING;

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	blocked_output(fds[0], fds[1], true);
}

static void full_terminal_does_not_block(void)
{
	struct termios raw;
	int master, slave;

	CU_ASSERT_EQUAL_FATAL(openpty(&master, &slave, NULL, NULL, NULL), 0);
	tcgetattr(slave, &raw);
	cfmakeraw(&raw);
	tcsetattr(slave, TCSANOW, &raw);
	blocked_output(master, slave, true);
}

static void closed_pipe_swallows_output(void)
{
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	setup(-1, fds[1]);
	close(fds[1]);
	console_write(t.console, "a", 1);
	close(fds[0]);
	for (int i = 0; i < 100; i++)
		console_write(t.console, "lost", 4);
	CU_ASSERT_EQUAL(loop_fake_count(t.loop), 0);
	teardown();
}

static void pipe_closed_while_output_waits(void)
{
	static char data[MUCH];
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	setup(-1, fds[1]);
	close(fds[1]);
	console_write(t.console, data, MUCH);
	CU_ASSERT_EQUAL(loop_fake_run(t.loop), 0);
	close(fds[0]);
	CU_ASSERT_EQUAL(loop_fake_run(t.loop), 1);
	CU_ASSERT_EQUAL(loop_fake_run(t.loop), 0); /* and does not spin */
	teardown();
}

static void closed_stdout_swallows_output(void)
{
	setup(-1, -1);
	close(STDOUT_FILENO);
	console_write(t.console, "lost", 4);
	teardown();
}

static void file_keeps_its_shared_offset(void)
{
	char path[] = "/tmp/mayfly-console-XXXXXX", data[16] = "";
	int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0);
	unlink(path);
	setup(-1, fd);
	CU_ASSERT_EQUAL(write(fd, "one ", 4), 4);
	console_write(t.console, "two ", 4);
	CU_ASSERT_EQUAL(write(fd, "three", 5), 5);
	CU_ASSERT_EQUAL(pread(fd, data, sizeof(data), 0), 13);
	CU_ASSERT_STRING_EQUAL(data, "one two three");
	teardown();
	close(fd);
}

static void full_disk_loses_output_only(void)
{
	int fd = open("/dev/full", O_WRONLY);

	setup(-1, fd);
	close(fd);
	console_write(t.console, "lost", 4);
	console_write(t.console, "lost", 4);
	teardown();
}

struct reader {
	int fd;
	size_t size;
};

static void *slow_reader(void *argument)
{
	struct reader *reader = argument;
	static char data[20000];
	ssize_t got;

	do {
		usleep(30000);
		got = read(reader->fd, data, sizeof(data));
		reader->size += got > 0 ? got : 0;
	} while (got > 0);
	return NULL;
}

static void destroy_flushes_to_a_slow_reader(void)
{
	static char data[RING];
	struct reader reader;
	pthread_t thread;
	size_t full;
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	full = capacity(fds[1]);
	setup(-1, fds[1]);
	close(fds[1]);
	for (size_t at = 0; at < full; at += 4096)
		console_write(t.console, data, 4096);
	console_write(t.console, data, RING);
	reader = (struct reader){fds[0], 0};
	pthread_create(&thread, NULL, slow_reader, &reader);
	teardown();
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(reader.size, full + RING);
	close(fds[0]);
}

static void destroy_does_not_wait_for_ever(void)
{
	static char data[MUCH];
	double start;
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	setup(-1, fds[1]);
	close(fds[1]);
	console_write(t.console, data, MUCH);
	start = now();
	teardown();
	CU_ASSERT(now() - start < 3);
	close(fds[0]);
}

/* Input */

static void input_is_untouched_until_wanted(void)
{
	int fds[2];
	char byte;

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	setup(fds[0], -1);
	CU_ASSERT_EQUAL(attach(), 0);
	CU_ASSERT_EQUAL(write(fds[1], "ab\1x", 4), 4);
	CU_ASSERT_EQUAL(loop_fake_run(t.loop), 0);
	CU_ASSERT_EQUAL(loop_fake_count(t.loop), 0);
	CU_ASSERT_EQUAL(read(fds[0], &byte, 1), 1);
	want_input();
	CU_ASSERT_EQUAL(loop_fake_run(t.loop), 1);
	/* On a pipe Ctrl-A is data like any other. */
	CU_ASSERT_EQUAL(t.input_size, 3);
	CU_ASSERT_EQUAL(memcmp(t.input, "b\1x", 3), 0);
	CU_ASSERT_EQUAL(t.quits, 0);
	teardown();
	close(fds[0]);
	close(fds[1]);
}

static void input_rests_until_the_client_has_room(void)
{
	static char sent[PENDING + 1000];
	int fds[2];

	pattern(sent, sizeof(sent));
	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	setup(fds[0], -1);
	CU_ASSERT_EQUAL(attach(), 0);
	CU_ASSERT_EQUAL(write(fds[1], sent, sizeof(sent)), sizeof(sent));
	t.room = 0;
	want_input();
	while (loop_fake_run(t.loop))
		;
	CU_ASSERT_EQUAL(loop_fake_run(t.loop), 0); /* full: not watched */
	CU_ASSERT_EQUAL(t.input_size, 0);
	for (int i = 0; i < 2000 && t.input_size < sizeof(sent); i++) {
		t.room = 3;
		want_input();
		loop_fake_run(t.loop);
	}
	CU_ASSERT_EQUAL(t.input_size, sizeof(sent));
	CU_ASSERT_EQUAL(memcmp(t.input, sent, sizeof(sent)), 0);
	teardown();
	close(fds[0]);
	close(fds[1]);
}

static void end_of_input(int in, size_t expected)
{
	setup(in, -1);
	close(in);
	CU_ASSERT_EQUAL(attach(), 0);
	t.room = 1;
	want_input();
	for (int i = 0; i < 10; i++)
		loop_fake_run(t.loop);
	/* Watched no more, and the rest still arrives. */
	CU_ASSERT_EQUAL(loop_fake_count(t.loop), 0);
	t.room = sizeof(t.input) - 1;
	want_input();
	want_input();
	CU_ASSERT_EQUAL(t.input_size, expected);
	CU_ASSERT_EQUAL(t.quits, 0);
	teardown();
}

static void end_of_a_pipe(void)
{
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	CU_ASSERT_EQUAL(write(fds[1], "last words", 10), 10);
	close(fds[1]);
	end_of_input(fds[0], 10);
}

static void dev_null_as_input(void)
{
	end_of_input(open("/dev/null", O_RDONLY), 0);
}

static void directory_as_input(void)
{
	end_of_input(open("/", O_RDONLY), 0);
}

static void terminal_that_hangs_up(void)
{
	int master, slave;

	CU_ASSERT_EQUAL_FATAL(openpty(&master, &slave, NULL, NULL, NULL), 0);
	setup(slave, -1);
	close(slave);
	CU_ASSERT_EQUAL(attach(), 0);
	close(master);
	for (int i = 0; i < 10; i++)
		loop_fake_run(t.loop);
	CU_ASSERT_EQUAL(loop_fake_run(t.loop), 0);
	teardown();
}

/* The terminal */

struct tty {
	int master, slave;
	struct termios before;
};

static struct tty tty_setup(void)
{
	struct winsize size = {.ws_col = 132, .ws_row = 43};
	struct tty tty;

	CU_ASSERT_EQUAL_FATAL(openpty(&tty.master, &tty.slave, NULL, NULL, &size), 0);
	fcntl(tty.master, F_SETFL, O_NONBLOCK);
	tcgetattr(tty.slave, &tty.before);
	setup(tty.slave, tty.slave);
	CU_ASSERT_EQUAL(attach(), 0);
	return tty;
}

static bool is_raw(int fd)
{
	struct termios termios;

	tcgetattr(fd, &termios);
	return !(termios.c_lflag & (ICANON | ECHO | ISIG));
}

static bool is_restored(const struct tty *tty)
{
	struct termios termios;

	tcgetattr(tty->slave, &termios);
	return termios.c_lflag == tty->before.c_lflag &&
	       termios.c_iflag == tty->before.c_iflag &&
	       termios.c_oflag == tty->before.c_oflag;
}

static void tty_teardown(struct tty *tty)
{
	teardown();
	CU_ASSERT_TRUE(is_restored(tty));
	close(tty->master);
	close(tty->slave);
}

static void type(struct tty *tty, const char *keys, size_t size)
{
	CU_ASSERT_EQUAL(write(tty->master, keys, size), (ssize_t)size);
	loop_fake_wait(t.loop, 1000);
}

static void terminal_is_raw_and_restored(void)
{
	struct tty tty = tty_setup();
	struct termios termios;

	CU_ASSERT_TRUE(is_raw(tty.slave));
	tcgetattr(tty.slave, &termios);
	CU_ASSERT_EQUAL(termios.c_oflag & (OPOST | ONLCR), OPOST | ONLCR);
	tty_teardown(&tty);
}

static void handler_restores_the_terminal(void)
{
	struct tty tty = tty_setup();

	console_restore_terminal();
	CU_ASSERT_TRUE(is_restored(&tty));
	console_restore_terminal();
	tty_teardown(&tty);
}

static void control_keys_are_the_guests(void)
{
	struct tty tty = tty_setup();

	type(&tty, "ls\r\3\4\x1a\x1c", 7);
	CU_ASSERT_EQUAL(t.input_size, 7);
	CU_ASSERT_EQUAL(memcmp(t.input, "ls\r\3\4\x1a\x1c", 7), 0);
	tty_teardown(&tty);
}

static void escape_keys(void)
{
	struct tty tty = tty_setup();
	char shown[512] = "";

	type(&tty, "p\1aq\1\1r\1?\1%s", 12);
	CU_ASSERT_EQUAL(t.input_size, 6);
	CU_ASSERT_EQUAL(memcmp(t.input, "p\1q\1rs", 6), 0);
	CU_ASSERT(read(tty.master, shown, sizeof(shown) - 1) > 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(shown, "Ctrl-A x"));
	CU_ASSERT_EQUAL(t.quits, 0);
	type(&tty, "\1", 1);
	type(&tty, "x", 1);
	CU_ASSERT_EQUAL(t.quits, 1);
	tty_teardown(&tty);
}

static void the_way_out_works_when_the_guest_reads_nothing(void)
{
	struct tty tty = tty_setup();

	t.room = 0;
	for (int i = 0; i < 100; i++)
		type(&tty, "is anybody there?", 17);
	CU_ASSERT_EQUAL(t.input_size, 0);
	type(&tty, "\1x", 2);
	CU_ASSERT_EQUAL(t.quits, 1);
	tty_teardown(&tty);
}

static void window_size_follows(void)
{
	struct tty tty = tty_setup();
	struct winsize size = {.ws_col = 80, .ws_row = 25};

	CU_ASSERT_EQUAL(t.resizes, 1);
	CU_ASSERT_EQUAL(t.columns, 132);
	CU_ASSERT_EQUAL(t.rows, 43);
	ioctl(tty.master, TIOCSWINSZ, &size);
	raise(SIGWINCH);
	loop_fake_run(t.loop);
	CU_ASSERT_EQUAL(t.columns, 80);
	CU_ASSERT_EQUAL(t.rows, 25);
	tty_teardown(&tty);
}

static void failed_attach_leaves_nothing(void)
{
	for (unsigned successes = 0; successes < 3; successes++) {
		struct sigaction action;
		int master, slave;

		CU_ASSERT_EQUAL_FATAL(openpty(&master, &slave, NULL, NULL, NULL), 0);
		setup(slave, -1);
		loop_fake_limit(t.loop, successes);
		CU_ASSERT(attach() < 0);
		CU_ASSERT_FALSE(is_raw(slave));
		teardown();
		sigaction(SIGTSTP, NULL, &action);
		CU_ASSERT_PTR_EQUAL(action.sa_handler, SIG_DFL);
		close(master);
		close(slave);
	}
}

/*
 * Job control needs a session with a controlling terminal: a child makes one and plays
 * the shell, a grandchild is the job. Each side says how far it is through a pipe.
 */
struct job {
	int said[2];  /* to the shell */
	int heard[2]; /* from the shell */
};

static void say(int fd, char what)
{
	if (write(fd, &what, 1) != 1)
		_exit(99);
}

static char hear(int fd)
{
	struct pollfd ready = {fd, POLLIN, 0};
	char what = 0;

	while (poll(&ready, 1, 5000) < 0 && errno == EINTR)
		;
	if (!(ready.revents & POLLIN) || read(fd, &what, 1) != 1)
		return 0;
	return what;
}

enum { KEY = 'k' }; /* a word of the shell: keys are on their way */

/* Runs the loop once for each word of the shell, and tells whether the terminal is raw. */
static void play_job(struct job *job, int slave)
{
	char what;

	setup(slave, slave);
	if (attach() < 0)
		_exit(98);
	say(job->said[1], is_raw(slave) ? 'r' : 'c');
	while ((what = hear(job->heard[0])) != 0) {
		struct pollfd key = {slave, POLLIN, 0};

		/* A terminal passes keys on by a thread of the kernel, some time later. */
		if (what == KEY)
			poll(&key, 1, 5000);
		loop_fake_run(t.loop);
		loop_fake_advance(t.loop, 300000000);
		say(job->said[1], is_raw(slave) ? 'r' : 'c');
	}
	_exit(97);
}

#define STEP(condition)              \
	do {                         \
		if (!(condition))    \
			_exit(step); \
		step++;              \
	} while (0)

static char ask(struct job *job)
{
	say(job->heard[1], '?');
	return hear(job->said[0]);
}

static void play_shell(int master, int slave)
{
	struct job job;
	int status, step = 1;
	pid_t pid;

	signal(SIGTTOU, SIG_IGN);
	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	STEP(tcsetpgrp(slave, getpgrp()) == 0);
	STEP(pipe(job.said) == 0 && pipe(job.heard) == 0);
	pid = fork();
	if (!pid) {
		signal(SIGTTOU, SIG_DFL);
		setpgid(0, 0);
		play_job(&job, slave);
	}
	setpgid(pid, pid);
	/* Started in the background: untouched, also when a key is waiting there. */
	STEP(hear(job.said[0]) == 'c');
	STEP(write(master, "key\n", 4) == 4);
	STEP(ask(&job) == 'c');
	STEP(waitpid(pid, &status, WNOHANG | WUNTRACED) == 0);
	/* fg of a running job: no signal tells it. */
	tcsetpgrp(slave, pid);
	STEP(ask(&job) == 'r');
	/* The key that was waiting is read now. */
	say(job.heard[1], KEY);
	STEP(hear(job.said[0]) == 'r');
	/* Ctrl-A z stops it, with the terminal restored. */
	STEP(write(master, "\1z", 2) == 2);
	say(job.heard[1], KEY);
	STEP(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	STEP(WSTOPSIG(status) == SIGTSTP && !is_raw(slave));
	tcsetpgrp(slave, getpgrp());
	/* bg, then fg. */
	kill(pid, SIGCONT);
	STEP(hear(job.said[0]) == 'c');
	STEP(ask(&job) == 'c');
	tcsetpgrp(slave, pid);
	kill(pid, SIGCONT);
	STEP(ask(&job) == 'r');
	/* kill -STOP cannot be seen: raw again after fg, whatever the shell did. */
	kill(pid, SIGSTOP);
	STEP(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	struct termios cooked;
	tcgetattr(slave, &cooked);
	cooked.c_lflag |= ICANON | ECHO | ISIG;
	tcsetattr(slave, TCSANOW, &cooked);
	kill(pid, SIGCONT);
	STEP(ask(&job) == 'r');
	/* kill -TSTP, twice: the handler is in place again. */
	for (int i = 0; i < 2; i++) {
		kill(pid, SIGTSTP);
		STEP(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
		STEP(!is_raw(slave));
		kill(pid, SIGCONT);
		STEP(ask(&job) == 'r');
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	_exit(0);
}

static void terminal_across_stop_and_fg(void)
{
	int master, slave, status;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(openpty(&master, &slave, NULL, NULL, NULL), 0);
	fflush(NULL);
	pid = fork();
	if (!pid)
		play_shell(master, slave);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	if (status)
		fprintf(stderr, "the shell gave up at step %d\n", WEXITSTATUS(status));
	close(master);
	close(slave);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(full_pipe_does_not_block),
	        UNIT(full_pipe_that_cannot_be_opened_again_does_not_block),
	        UNIT(full_socket_does_not_block),
	        UNIT(full_terminal_does_not_block),
	        UNIT(closed_pipe_swallows_output),
	        UNIT(pipe_closed_while_output_waits),
	        UNIT(closed_stdout_swallows_output),
	        UNIT(file_keeps_its_shared_offset),
	        UNIT(full_disk_loses_output_only),
	        UNIT(destroy_flushes_to_a_slow_reader),
	        UNIT(destroy_does_not_wait_for_ever),
	        UNIT(input_is_untouched_until_wanted),
	        UNIT(input_rests_until_the_client_has_room),
	        UNIT(end_of_a_pipe),
	        UNIT(dev_null_as_input),
	        UNIT(directory_as_input),
	        UNIT(terminal_that_hangs_up),
	        UNIT(terminal_is_raw_and_restored),
	        UNIT(handler_restores_the_terminal),
	        UNIT(control_keys_are_the_guests),
	        UNIT(escape_keys),
	        UNIT(the_way_out_works_when_the_guest_reads_nothing),
	        UNIT(window_size_follows),
	        UNIT(failed_attach_leaves_nothing),
	        UNIT(terminal_across_stop_and_fg),
	        {0},
	};

	signal(SIGPIPE, SIG_IGN);
	return unit_run("console", tests);
}
