#include "vmm/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "devices/console.h"
#include "vmm/memory.h"

enum { PAGE_SIZE = 4096, NS = 1000000000 };

/* Written before the handlers are installed, read by them. */
static struct {
	atomic_int pending;
	_Atomic(uint8_t *) immediate_exit;
	_Atomic(const struct memory *) memory;
} state;

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT, SIGSYS};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void on_ending(int number)
{
	uint8_t *immediate_exit = state.immediate_exit;

	state.pending = number;
	if (immediate_exit)
		__atomic_store_n(immediate_exit, 1, __ATOMIC_SEQ_CST);
}

static void on_kick(int number)
{
	(void)number;
}

static bool replace_page(const siginfo_t *info)
{
	const struct memory *memory = state.memory;
	uintptr_t at = (uintptr_t)info->si_addr & ~(uintptr_t)(PAGE_SIZE - 1);

	/* Not what a process sent, nor memory that is broken. */
	if (info->si_code != BUS_ADRERR)
		return false;
	for (unsigned i = 0; memory && i < memory->count; i++)
		if (at - (uintptr_t)memory->ranges[i].host < memory->ranges[i].size)
			return mmap((void *)at, PAGE_SIZE, PROT_READ | PROT_WRITE,
			               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			               0) != MAP_FAILED;
	return false;
}

static void on_fatal(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	if (number == SIGBUS && replace_page(info)) {
		errno = saved;
		return;
	}
	console_restore_terminal();
	/* The default action ends the process, with a core if the user wants one. */
	signal(number, SIG_DFL);
	raise(number);
}

static void handle(int number, struct sigaction action)
{
	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

static bool is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* Who started us may have blocked them: then nothing would end KVM_RUN. */
static void unblock(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	for (unsigned i = 0; i < COUNT(ending); i++)
		sigaddset(&set, ending[i]);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void signals_install(void)
{
	/* No SA_RESTART: KVM_RUN must come back. */
	for (unsigned i = 0; i < COUNT(ending); i++)
		if (ending[i] != SIGHUP || !is_ignored(SIGHUP)) /* nohup(1) */
			handle(ending[i], (struct sigaction){.sa_handler = on_ending});
	handle(SIGUSR1, (struct sigaction){.sa_handler = on_kick});
	handle(SIGPIPE, (struct sigaction){.sa_handler = SIG_IGN});
	handle(SIGXFSZ, (struct sigaction){.sa_handler = SIG_IGN});
	for (unsigned i = 0; i < COUNT(fatal); i++)
		handle(fatal[i], (struct sigaction){
		                         .sa_sigaction = on_fatal,
		                         .sa_flags = SA_SIGINFO,
		                 });
	unblock();
}

void signals_start(uint8_t *immediate_exit, const struct memory *memory)
{
	state.immediate_exit = immediate_exit;
	state.memory = memory;
	/* One that came while this VM was built, or between two at a restart. */
	if (state.pending)
		*immediate_exit = 1;
}

void signals_stop(void)
{
	state.immediate_exit = NULL;
	state.memory = NULL;
}

int signals_take(void)
{
	return atomic_exchange(&state.pending, 0);
}

void signals_poll(struct pollfd *fds, unsigned count, uint64_t deadline_ns,
        const uint8_t *immediate_exit)
{
	struct timespec now, left = {0};
	sigset_t all, old;
	uint64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
	if (now_ns < deadline_ns) {
		left.tv_sec = (time_t)((deadline_ns - now_ns) / NS);
		left.tv_nsec = (long)((deadline_ns - now_ns) % NS);
	}
	/* Blocked between the look at the flag and the sleep, so that none is lost. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!*(const volatile uint8_t *)immediate_exit)
		ppoll(fds, count, deadline_ns == UINT64_MAX ? NULL : &left, &old);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void signals_block(sigset_t *old)
{
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGUSR1);
	for (unsigned i = 0; i < COUNT(fatal); i++)
		sigdelset(&set, fatal[i]);
	pthread_sigmask(SIG_SETMASK, &set, old);
}
