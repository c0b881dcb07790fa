/*
 * How it works.
 *
 * Output. stdout's file description is shared with the shell and others, so it must not
 * become non-blocking. The first output therefore opens a description of our own for a
 * pipe or a terminal; a socket is asked not to wait call by call; a regular file never
 * waits and keeps its shared offset. A write is one system call while the ring is empty.
 * What stdout does not take goes into the ring, and from then on all output does, in
 * order, until the loop has drained it. `lock` guards this half.
 *
 * Input. The client's own lock guards this half. Input is read into `pending`, escapes
 * taken out, and offered to the client. Reading stops only when `pending` is full, so
 * that Ctrl-A x is seen even if the guest reads nothing.
 *
 * The terminal. Only input becomes raw: output processing stays on, so "\n" of a
 * unikernel and of our own messages, and "\r\n" of Linux, all start a new line. Touching
 * it from the background would stop us (SIGTTOU, SIGTTIN); a shell need not send a signal
 * when it brings a running job to the foreground, so a timer looks for that meanwhile.
 * Signal handlers only write to an eventfd that the loop watches, except that SIGTSTP
 * first restores the terminal and stops. What handlers need is in `terminal`.
 */
#include "devices/console.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/loop.h"

enum {
	RING_SIZE = 64 << 10,
	PENDING_SIZE = 4 << 10,
	FLUSH_WAIT_MS = 1000, /* without progress */
	ESCAPE = 'A' & 0x1f,
};

#define FLUSH_TOTAL_NS      UINT64_C(5000000000)
#define FOREGROUND_CHECK_NS UINT64_C(250000000)

enum output {
	OUTPUT_NEW,    /* nothing was written yet */
	OUTPUT_FILE,   /* takes all */
	OUTPUT_OWN,    /* a non-blocking description of our own */
	OUTPUT_SOCKET, /* MSG_DONTWAIT */
	OUTPUT_POLLED, /* could not be opened again: asked before each write */
	OUTPUT_CLOSED, /* nobody reads: all is dropped */
};

struct console {
	struct loop *loop;
	bool takes_input;
	void (*quit)(void *context);
	void *context;

	pthread_mutex_t lock; /* of what follows */
	enum output output;
	int output_fd;
	struct loop_watch *output_watch;
	size_t head, used; /* of the ring */
	size_t dropped;    /* bytes */

	struct console_client client; /* its lock is that of what follows */
	bool is_terminal;
	bool escaped; /* the last byte was the escape */
	bool listening;
	bool full; /* `pending` was: stdin is not watched */
	struct loop_watch *input_watch;
	struct loop_watch *signal_watch;
	struct loop_timer *foreground_timer;
	size_t start, end; /* of what waits in `pending` */

	char *ring;     /* RING_SIZE bytes, once something waits */
	char pending[]; /* PENDING_SIZE bytes if it takes input */
};

static const int terminal_signals[] = {SIGTSTP, SIGCONT, SIGWINCH};

enum { TERMINAL_SIGNALS = sizeof(terminal_signals) / sizeof(terminal_signals[0]) };

/* What a signal handler must reach. */
static struct {
	struct termios original;                    /* valid while `saved` */
	struct sigaction actions[TERMINAL_SIGNALS]; /* that were there before ours */
	atomic_bool saved;
	atomic_bool raw;
	atomic_int wake_fd;
} terminal = {.wake_fd = -1};

/* A terminal that is not our controlling one knows no foreground: it is all ours. */
static bool in_foreground(void)
{
	pid_t group = tcgetpgrp(STDIN_FILENO);

	return group < 0 || group == getpgrp();
}

void console_restore_terminal(void)
{
	if (atomic_exchange(&terminal.raw, false) && in_foreground())
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal.original);
}

static void make_raw(void)
{
	struct termios raw;

	/* Once: after SIGSTOP and fg the shell may present our own raw mode. */
	if (!terminal.saved) {
		if (tcgetattr(STDIN_FILENO, &terminal.original) < 0)
			return;
		terminal.saved = true;
	}
	raw = terminal.original;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST | ONLCR;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	terminal.raw = true;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

/* Output */

static void output_open(struct console *console)
{
	struct stat status;
	int own;

	console->output_fd = STDOUT_FILENO;
	console->output = OUTPUT_FILE;
	if (fstat(STDOUT_FILENO, &status) < 0) {
		console->output = OUTPUT_CLOSED;
	} else if (S_ISSOCK(status.st_mode)) {
		console->output = OUTPUT_SOCKET;
	} else if (S_ISFIFO(status.st_mode) || isatty(STDOUT_FILENO)) {
		own = open("/proc/self/fd/1",
		        O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		console->output = own < 0 ? OUTPUT_POLLED : OUTPUT_OWN;
		if (own >= 0)
			console->output_fd = own;
	}
}

static ssize_t output_write(struct console *console, const char *data, size_t size)
{
	struct pollfd ready = {console->output_fd, POLLOUT, 0};

	switch (console->output) {
	case OUTPUT_SOCKET:
		return send(
		        console->output_fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	case OUTPUT_POLLED:
		if (poll(&ready, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		/* pipe(7): a pipe that polls writable takes this much. */
		return write(
		        console->output_fd, data, size < PIPE_BUF ? size : PIPE_BUF);
	default:
		return write(console->output_fd, data, size);
	}
}

/* The bytes that are done with, written or lost; 0 if stdout takes none now. */
static size_t output_try(struct console *console, const char *data, size_t size)
{
	ssize_t done;

	if (console->output == OUTPUT_CLOSED)
		return size;
	do
		done = output_write(console, data, size);
	while (done < 0 && errno == EINTR);
	if (done >= 0)
		return done;
	switch (errno) {
	case EAGAIN:
		return 0;
	case ENOSPC: /* there may be space again later */
	case EDQUOT:
	case ENOBUFS:
		console->dropped += size;
		return size;
	default:
		console->output = OUTPUT_CLOSED;
		return size;
	}
}

static void output_drain(struct console *console)
{
	while (console->used) {
		size_t run = RING_SIZE - console->head;

		if (run > console->used)
			run = console->used;
		run = output_try(console, console->ring + console->head, run);
		if (!run)
			return;
		console->head = (console->head + run) % RING_SIZE;
		console->used -= run;
	}
}

static void output_ready(void *context, short events)
{
	struct console *console = context;

	(void)events;
	output_drain(console);
	if (!console->used)
		loop_watch_events(console->output_watch, 0);
}

static void output_wait(struct console *console)
{
	if (console->output_watch)
		loop_watch_events(console->output_watch, POLLOUT);
	else
		console->output_watch = loop_watch(console->loop, console->output_fd,
		        POLLOUT, output_ready, console, &console->lock);
}

static void ring_put(struct console *console, const char *data, size_t size)
{
	if (!console->ring)
		console->ring = malloc(RING_SIZE);

	size_t room = console->ring ? RING_SIZE - console->used : 0;
	size_t tail = (console->head + console->used) % RING_SIZE;
	size_t run = RING_SIZE - tail;

	if (size > room) {
		console->dropped += size - room;
		size = room;
	}
	if (!size)
		return;
	if (run > size)
		run = size;
	memcpy(console->ring + tail, data, run);
	memcpy(console->ring, data + run, size - run);
	console->used += size;
}

void console_write(struct console *console, const void *data, size_t size)
{
	size_t done = 0;

	pthread_mutex_lock(&console->lock);
	if (console->output == OUTPUT_NEW)
		output_open(console);
	if (!console->used)
		done = output_try(console, data, size);
	if (done < size) {
		ring_put(console, (const char *)data + done, size - done);
		if (console->used)
			output_wait(console);
	}
	pthread_mutex_unlock(&console->lock);
}

/* The loop has ended: what waits gets its last chance. */
static void output_flush(struct console *console)
{
	struct pollfd ready = {console->output_fd, POLLOUT, 0};
	uint64_t deadline_ns = loop_now_ns() + FLUSH_TOTAL_NS;

	while (console->used && loop_now_ns() < deadline_ns) {
		if (poll(&ready, 1, FLUSH_WAIT_MS) == 0)
			break;
		output_drain(console);
	}
	console->dropped += console->used;
	/* A vCPU would wait for a blocked stderr, so this is said only here. */
	ready.fd = STDERR_FILENO;
	if (console->dropped && poll(&ready, 1, 0) == 1)
		log_warn("console: stdout took too little: %zu bytes were dropped",
		        console->dropped);
}

/* Input */

static void input_offer(struct console *console)
{
	const struct console_client *client = &console->client;

	console->start += client->input(client->context,
	        console->pending + console->start, console->end - console->start);
	if (console->start == console->end)
		console->start = console->end = 0;
}

static void help(struct console *console)
{
	static const char text[] = "\r\n"
	                           "Ctrl-A x  ends the VM\r\n"
	                           "Ctrl-A a  sends Ctrl-A\r\n"
	                           "Ctrl-A z  suspends the monitor (fg continues)\r\n"
	                           "Ctrl-A h  shows this\r\n";

	console_write(console, text, sizeof(text) - 1);
}

/* Takes the escapes out of `size` bytes, in place: how many are the guest's. */
static size_t input_filter(struct console *console, char *data, size_t size, bool *quit)
{
	size_t kept = 0;

	for (size_t i = 0; i < size; i++) {
		if (!console->escaped) {
			if (data[i] == ESCAPE)
				console->escaped = true;
			else
				data[kept++] = data[i];
			continue;
		}
		console->escaped = false;
		switch (data[i]) {
		case 'x':
			*quit = true;
			break;
		case 'a':
		case ESCAPE:
			data[kept++] = ESCAPE;
			break;
		case 'z':
			/* The whole job, as the terminal does: make, sudo and all. */
			kill(0, SIGTSTP);
			break;
		case 'h':
		case '?':
			help(console);
			break;
		}
	}
	return kept;
}

/* Raw and watched in the foreground; left alone, but for the timer, elsewhere. */
static void terminal_update(struct console *console)
{
	if (!console->is_terminal || !console->input_watch)
		return;
	if (in_foreground()) {
		make_raw();
		loop_watch_events(console->input_watch, console->full ? 0 : POLLIN);
	} else {
		terminal.raw = false;
		loop_watch_events(console->input_watch, 0);
		loop_timer_set(
		        console->foreground_timer, loop_now_ns() + FOREGROUND_CHECK_NS);
	}
}

static void input_end(struct console *console)
{
	loop_unwatch(console->input_watch);
	console->input_watch = NULL;
}

/* True for Ctrl-A x. */
static bool input_read(struct console *console)
{
	bool quit = false;
	ssize_t size;
	char *data;

	if (!console->input_watch)
		return false;
	if (console->is_terminal && !in_foreground()) {
		terminal_update(console);
		return false;
	}
	memmove(console->pending, console->pending + console->start,
	        console->end - console->start);
	console->end -= console->start;
	console->start = 0;
	data = console->pending + console->end;
	console->full = console->end == PENDING_SIZE;
	if (console->full) {
		loop_watch_events(console->input_watch, 0);
		return false;
	}
	size = read(STDIN_FILENO, data, PENDING_SIZE - console->end);
	/* EIO, should the shell have taken the terminal back just now. */
	if (size < 0 && (errno == EINTR || errno == EAGAIN || !in_foreground()))
		return false;
	if (size <= 0) {
		input_end(console);
		return false;
	}
	console->end += console->is_terminal ? input_filter(console, data, size, &quit)
	                                     : (size_t)size;
	input_offer(console);
	return quit;
}

static void input_ready(void *context, short events)
{
	struct console *console = context;
	bool quit;

	(void)events;
	pthread_mutex_lock(console->client.lock);
	quit = input_read(console);
	pthread_mutex_unlock(console->client.lock);
	if (quit)
		console->quit(console->context);
}

static int input_start(struct console *console)
{
	console->listening = true;
	console->input_watch = loop_watch(console->loop, STDIN_FILENO,
	        console->is_terminal ? 0 : POLLIN, input_ready, console, NULL);
	if (!console->input_watch)
		return -ENOMEM;
	terminal_update(console);
	return 0;
}

void console_want_input(struct console *console)
{
	if (!console->takes_input || (!console->listening && input_start(console) < 0))
		return;
	if (console->start < console->end)
		input_offer(console);
	if (!console->full || console->end - console->start > PENDING_SIZE / 2)
		return;
	console->full = false;
	if (console->is_terminal)
		terminal_update(console);
	else if (console->input_watch)
		loop_watch_events(console->input_watch, POLLIN);
}

/* Signals */

static void on_signal(int number)
{
	const struct sigaction ours = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	const struct sigaction stop = {.sa_handler = SIG_DFL};
	const uint64_t one = 1;
	int saved = errno;
	sigset_t set;

	if (number == SIGTSTP) {
		console_restore_terminal();
		/* The default action, which spares a group that no shell could continue. */
		sigaction(SIGTSTP, &stop, NULL);
		sigemptyset(&set);
		sigaddset(&set, SIGTSTP);
		raise(SIGTSTP);
		pthread_sigmask(
		        SIG_UNBLOCK, &set, NULL); /* stops here, until SIGCONT */
		pthread_sigmask(SIG_BLOCK, &set, NULL);
		sigaction(SIGTSTP, &ours, NULL);
	}
	(void)!write(terminal.wake_fd, &one, sizeof(one));
	errno = saved;
}

/* All that ends a process unless it is handled; who cares for one keeps it. */
static bool is_unhandled(int number)
{
	struct sigaction found;

	switch (number) {
	case SIGCHLD:
	case SIGURG:
	case SIGKILL:
	case SIGSTOP:
	case SIGTTIN:
	case SIGTTOU:
		return false;
	}
	return sigaction(number, NULL, &found) == 0 && found.sa_handler == SIG_DFL;
}

static void on_end(int number)
{
	console_restore_terminal();
	signal(number, SIG_DFL);
	raise(number);
}

static void window_update(struct console *console)
{
	const struct console_client *client = &console->client;
	struct winsize size;

	if (client->resized && (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ||
	                               ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0))
		client->resized(client->context, size.ws_col, size.ws_row);
}

static void signal_ready(void *context, short events)
{
	struct console *console = context;
	uint64_t count;

	(void)events;
	(void)!read(terminal.wake_fd, &count, sizeof(count));
	pthread_mutex_lock(console->client.lock);
	terminal_update(console);
	window_update(console);
	pthread_mutex_unlock(console->client.lock);
}

static void foreground_check(void *context)
{
	struct console *console = context;

	pthread_mutex_lock(console->client.lock);
	terminal_update(console);
	pthread_mutex_unlock(console->client.lock);
}

static int signals_watch(struct console *console)
{
	const struct sigaction ours = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	terminal.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (terminal.wake_fd < 0)
		return log_error(-errno, "console: no event fd: %s", strerror(errno));
	for (unsigned i = 0; i < TERMINAL_SIGNALS; i++) {
		sigaction(terminal_signals[i], &ours, &terminal.actions[i]);
		/* Who started us wants it ignored: so be it. */
		if (terminal.actions[i].sa_handler == SIG_IGN)
			sigaction(terminal_signals[i], &terminal.actions[i], NULL);
	}
	for (int i = 1; i <= SIGRTMAX; i++)
		if (is_unhandled(i))
			sigaction(i, &(struct sigaction){.sa_handler = on_end}, NULL);
	console->signal_watch = loop_watch(
	        console->loop, terminal.wake_fd, POLLIN, signal_ready, console, NULL);
	console->foreground_timer =
	        loop_timer_create(console->loop, foreground_check, console, NULL);
	return console->signal_watch && console->foreground_timer ? 0 : -ENOMEM;
}

static void signals_unwatch(struct console *console)
{
	if (terminal.wake_fd < 0)
		return;
	loop_unwatch(console->signal_watch);
	loop_timer_destroy(console->foreground_timer);
	for (unsigned i = 0; i < TERMINAL_SIGNALS; i++)
		sigaction(terminal_signals[i], &terminal.actions[i], NULL);
	close(terminal.wake_fd);
	terminal.wake_fd = -1;
}

/* Life */

struct console *console_create(
        struct loop *loop, bool input, void (*quit)(void *context), void *context)
{
	struct console *console =
	        calloc(1, sizeof(*console) + (input ? PENDING_SIZE : 0));

	if (!console) {
		log_error(-ENOMEM, "console: out of memory");
		return NULL;
	}
	console->loop = loop;
	console->takes_input = input;
	console->quit = quit;
	console->context = context;
	pthread_mutex_init(&console->lock, NULL);
	return console;
}

int console_attach(struct console *console, const struct console_client *client)
{
	int error;

	if (!console->takes_input)
		return 0;
	console->client = *client;
	console->is_terminal = isatty(STDIN_FILENO);
	if (console->is_terminal || (client->resized && isatty(STDOUT_FILENO))) {
		error = signals_watch(console);
		if (error)
			return error;
	}
	window_update(console);
	return console->is_terminal ? input_start(console) : 0;
}

void console_destroy(struct console *console)
{
	if (!console)
		return;
	signals_unwatch(console);
	console_restore_terminal();
	terminal.saved = false;
	loop_unwatch(console->input_watch);
	loop_unwatch(console->output_watch);
	if (console->output != OUTPUT_NEW)
		output_flush(console);
	if (console->output_fd > STDERR_FILENO)
		close(console->output_fd);
	pthread_mutex_destroy(&console->lock);
	free(console->ring);
	free(console);
}
