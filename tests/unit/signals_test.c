/* Each test is a process of its own: what it installs, it keeps. */
#include "vmm/signals.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/memory.h"

enum { PAGE = 4096, SIZE = 512 << 10 };

/* How `run` ends in a child: 0 if it returns true, else a wait status. */
static int child(bool (*run)(void))
{
	struct rlimit none = {0, 0};
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		_exit(run() ? 0 : 1);
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
	return status;
}

static bool ended_by(bool (*run)(void), int number)
{
	int status = child(run);

	return WIFSIGNALED(status) && WTERMSIG(status) == number;
}

static uint8_t immediate_exit;

static void start(const struct memory *memory)
{
	signals_install();
	signals_start(&immediate_exit, memory);
}

/* Guest memory of which SIZE bytes from 0 on are a file's. */
static int map_file(struct memory *memory)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	for (unsigned i = 0; i < SIZE; i += PAGE)
		if (pwrite(fd, "image", 5, i) != 5)
			_exit(2);
	if (ftruncate(fd, SIZE) < 0 ||
	        memory_create(memory, 2 << 20, 0, 4 << 20, 4 << 20) < 0 ||
	        memory_load(memory, 0, SIZE, fd, 0) < 0)
		_exit(2);
	return fd;
}

static bool run_truncated(void)
{
	struct memory memory;
	int fd = map_file(&memory);
	volatile char *host = memory_at(&memory, 0, SIZE);
	bool right;

	start(&memory);
	errno = 7;
	if (ftruncate(fd, PAGE) < 0)
		return false;
	right = host[0] == 'i' && host[PAGE] == 0 && host[SIZE - 2 * PAGE] == 0;
	host[PAGE] = 1;
	return right && host[PAGE] == 1 && errno == 7;
}

static bool run_truncated_elsewhere(void)
{
	struct memory memory;
	int fd = map_file(&memory);
	volatile char *other = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	start(&memory);
	return ftruncate(fd, 0) == 0 && other[0] != 'i' && false;
}

static bool run_truncated_too_late(void)
{
	struct memory memory;
	int fd = map_file(&memory);
	volatile char *host = memory_at(&memory, 0, SIZE);

	start(&memory);
	signals_stop();
	return ftruncate(fd, 0) == 0 && host[PAGE] == 0;
}

static bool run_sent_bus_error(void)
{
	struct memory memory;

	map_file(&memory);
	start(&memory);
	kill(getpid(), SIGBUS);
	return true;
}

static void file_cut_short_under_the_guest_becomes_zeroes(void)
{
	CU_ASSERT_EQUAL(child(run_truncated), 0);
}

static void other_bus_errors_are_fatal(void)
{
	CU_ASSERT(ended_by(run_truncated_elsewhere, SIGBUS));
	CU_ASSERT(ended_by(run_truncated_too_late, SIGBUS));
	CU_ASSERT(ended_by(run_sent_bus_error, SIGBUS));
}

/* A signal that ends Mayfly is noted, and shown to KVM_RUN. */
static bool run_noted(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	bool right = true;

	start(NULL);
	for (unsigned i = 0; i < 3; i++) {
		immediate_exit = 0;
		raise(numbers[i]);
		right = right && immediate_exit == 1 && signals_take() == numbers[i] &&
		        signals_take() == 0;
	}
	return right;
}

static void noted_signal_is_taken_once(void)
{
	CU_ASSERT_EQUAL(child(run_noted), 0);
}

static bool run_early(void)
{
	signals_install();
	raise(SIGTERM);
	start(NULL);
	return immediate_exit == 1 && signals_take() == SIGTERM;
}

static void signal_before_there_is_a_vcpu_is_not_lost(void)
{
	CU_ASSERT_EQUAL(child(run_early), 0);
}

static bool run_blocked(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	start(NULL);
	raise(SIGUSR1);
	raise(SIGTERM);
	return signals_take() == SIGTERM;
}

static void signals_that_were_blocked_come(void)
{
	CU_ASSERT_EQUAL(child(run_blocked), 0);
}

static bool run_nohup(void)
{
	signal(SIGHUP, SIG_IGN);
	start(NULL);
	raise(SIGHUP);
	raise(SIGPIPE);
	raise(SIGXFSZ);
	raise(SIGUSR1);
	return signals_take() == 0 && !immediate_exit;
}

static void harmless_signals_do_nothing(void)
{
	CU_ASSERT_EQUAL(child(run_nohup), 0);
}

static void *sleep_for_ever(void *context)
{
	for (;;)
		pause();
	return context;
}

/* While the main thread cannot take it, no other does. */
static bool run_threads(void)
{
	sigset_t old, term;
	pthread_t thread;

	start(NULL);
	signals_block(&old);
	if (pthread_create(&thread, NULL, sleep_for_ever, NULL))
		return false;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	kill(getpid(), SIGTERM);
	usleep(10000);
	if (signals_take())
		return false;
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	return signals_take() == SIGTERM;
}

static void only_the_main_thread_takes_signals(void)
{
	CU_ASSERT_EQUAL(child(run_threads), 0);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(file_cut_short_under_the_guest_becomes_zeroes),
	        UNIT(other_bus_errors_are_fatal),
	        UNIT(noted_signal_is_taken_once),
	        UNIT(signal_before_there_is_a_vcpu_is_not_lost),
	        UNIT(signals_that_were_blocked_come),
	        UNIT(harmless_signals_do_nothing),
	        UNIT(only_the_main_thread_takes_signals),
	        {0},
	};
	return unit_run("signals", tests);
}
