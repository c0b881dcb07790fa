/* The real loop, with its thread: also built with ThreadSanitizer (tests/tests.mk). */
#include "vmm/loop.h"

#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define MS UINT64_C(1000000)

/* An fd, or a timer, and what its callback saw. */
struct probe {
	struct loop *loop;
	pthread_mutex_t lock; /* of the callback, if it has one */
	int fd;
	struct loop_watch *watch;
	struct loop_timer *timer;
	bool give_up; /* from the callback itself */
	atomic_int entered, calls, events;
	atomic_bool inside;
	unsigned hold_ms; /* the callback takes this long */
};

static void probe_init(struct probe *probe, struct loop *loop)
{
	*probe = (struct probe){.loop = loop, .fd = eventfd(0, EFD_NONBLOCK)};
	pthread_mutex_init(&probe->lock, NULL);
	CU_ASSERT_FATAL(probe->fd >= 0);
}

static void probe_end(struct probe *probe)
{
	close(probe->fd);
	pthread_mutex_destroy(&probe->lock);
}

static void signal_fd(struct probe *probe)
{
	uint64_t one = 1;

	CU_ASSERT_EQUAL(write(probe->fd, &one, sizeof(one)), sizeof(one));
}

static void ready(void *context, short events)
{
	struct probe *probe = context;
	uint64_t count;

	probe->inside = true;
	probe->entered++;
	(void)!read(probe->fd, &count, sizeof(count));
	probe->events = events;
	if (probe->hold_ms)
		usleep(probe->hold_ms * 1000);
	if (probe->give_up) {
		loop_unwatch(probe->watch);
		probe->watch = NULL;
	}
	probe->inside = false;
	probe->calls++;
}

static void expired(void *context)
{
	struct probe *probe = context;

	probe->inside = true;
	probe->entered++;
	if (probe->hold_ms)
		usleep(probe->hold_ms * 1000);
	if (probe->give_up) {
		loop_timer_destroy(probe->timer);
		probe->timer = NULL;
	}
	probe->inside = false;
	probe->calls++;
}

static void watch(struct probe *probe, bool with_lock)
{
	pthread_mutex_lock(&probe->lock);
	probe->watch = loop_watch(probe->loop, probe->fd, POLLIN, ready, probe,
	        with_lock ? &probe->lock : NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(probe->watch);
	pthread_mutex_unlock(&probe->lock);
}

/* True when it happens within 5 s. */
static bool comes(atomic_int *value, int least)
{
	for (unsigned i = 0; i < 5000 && *value < least; i++)
		usleep(1000);
	return *value >= least;
}

static unsigned entries(const char *path)
{
	DIR *directory = opendir(path);
	unsigned count = 0;

	while (directory && readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static struct loop *started(void)
{
	struct loop *loop = loop_create();

	CU_ASSERT_PTR_NOT_NULL_FATAL(loop);
	CU_ASSERT_EQUAL(loop_start(loop), 0);
	return loop;
}

static void nothing_watched_costs_nothing(void)
{
	unsigned threads = entries("/proc/self/task"), fds = entries("/proc/self/fd");
	struct loop *loop = started();

	CU_ASSERT_EQUAL(entries("/proc/self/task"), threads);
	CU_ASSERT_EQUAL(entries("/proc/self/fd"), fds);
	loop_stop(loop);
	loop_stop(loop);
	loop_destroy(loop);
	loop_destroy(NULL);
	loop_unwatch(NULL);
	loop_timer_destroy(NULL);
}

static void no_fd_outlives_the_loop(void)
{
	unsigned fds = entries("/proc/self/fd");

	for (unsigned i = 0; i < 20; i++) {
		struct loop *loop = started();

		CU_ASSERT_PTR_NOT_NULL(loop_timer_create(loop, expired, NULL, NULL));
		loop_destroy(loop);
	}
	CU_ASSERT_EQUAL(entries("/proc/self/fd"), fds);
}

static void start_comes_before_or_after_the_watch(void)
{
	for (unsigned first = 0; first < 2; first++) {
		struct loop *loop = loop_create();
		struct probe probe;

		probe_init(&probe, loop);
		if (first)
			CU_ASSERT_EQUAL(loop_start(loop), 0);
		watch(&probe, true);
		signal_fd(&probe);
		if (!first) {
			usleep(5000);
			CU_ASSERT_EQUAL(probe.calls, 0);
			CU_ASSERT_EQUAL(loop_start(loop), 0);
		}
		CU_ASSERT(comes(&probe.calls, 1));
		CU_ASSERT_EQUAL(probe.events, POLLIN);
		loop_destroy(loop);
		probe_end(&probe);
	}
}

static void nothing_runs_after_stop(void)
{
	struct loop *loop = started();
	struct probe probe;
	unsigned threads;

	probe_init(&probe, loop);
	probe.hold_ms = 20;
	watch(&probe, true);
	signal_fd(&probe);
	CU_ASSERT(comes(&probe.entered, 1));
	loop_stop(loop);
	CU_ASSERT_EQUAL(probe.calls, 1); /* it was waited for */
	threads = entries("/proc/self/task");
	signal_fd(&probe);
	probe.timer = loop_timer_create(loop, expired, &probe, NULL);
	loop_timer_set(probe.timer, 0);
	CU_ASSERT_EQUAL(entries("/proc/self/task"), threads);
	usleep(5000);
	CU_ASSERT_EQUAL(probe.calls, 1);
	loop_unwatch(probe.watch);
	loop_destroy(loop);
	probe_end(&probe);
}

static void callback_gives_itself_up(void)
{
	for (unsigned with_lock = 0; with_lock < 2; with_lock++) {
		struct loop *loop = started();
		struct probe probe, timer;

		probe_init(&probe, loop);
		probe_init(&timer, loop);
		probe.give_up = timer.give_up = true;
		watch(&probe, with_lock);
		timer.timer = loop_timer_create(
		        loop, expired, &timer, with_lock ? &timer.lock : NULL);
		signal_fd(&probe);
		loop_timer_set(timer.timer, 0);
		CU_ASSERT(comes(&probe.calls, 1));
		CU_ASSERT(comes(&timer.calls, 1));
		signal_fd(&probe);
		usleep(5000);
		CU_ASSERT_EQUAL(probe.calls, 1);
		loop_destroy(loop);
		probe_end(&probe);
		probe_end(&timer);
	}
}

/* The callback waits for the lock that who gives the watch up holds. */
static void watch_given_up_under_its_lock_never_runs(void)
{
	struct loop *loop = started();
	struct probe probe;

	probe_init(&probe, loop);
	for (unsigned i = 0; i < 50; i++) {
		watch(&probe, true);
		pthread_mutex_lock(&probe.lock);
		signal_fd(&probe);
		usleep(200);
		int calls = probe.calls;
		loop_unwatch(probe.watch);
		pthread_mutex_unlock(&probe.lock);
		usleep(200);
		CU_ASSERT_EQUAL(probe.calls, calls);
	}
	loop_destroy(loop);
	probe_end(&probe);
}

static void watch_without_lock_is_waited_for(void)
{
	struct loop *loop = started();
	struct probe probe;

	probe_init(&probe, loop);
	probe.hold_ms = 20;
	watch(&probe, false);
	signal_fd(&probe);
	CU_ASSERT(comes(&probe.entered, 1));
	loop_unwatch(probe.watch);
	CU_ASSERT_FALSE(probe.inside);
	loop_destroy(loop);
	probe_end(&probe);
}

static void events_of_none_wait_for_nothing(void)
{
	struct loop *loop = started();
	struct probe probe;

	probe_init(&probe, loop);
	watch(&probe, true);
	loop_watch_events(probe.watch, 0);
	signal_fd(&probe);
	usleep(10000);
	CU_ASSERT_EQUAL(probe.calls, 0);
	loop_watch_events(probe.watch, POLLIN);
	CU_ASSERT(comes(&probe.calls, 1));
	loop_destroy(loop);
	probe_end(&probe);
}

/* Whoever holds the device's lock and wants no events gets none that was on its way. */
static void events_of_none_under_the_lock_count_at_once(void)
{
	struct loop *loop = started();
	struct probe probe;

	probe_init(&probe, loop);
	watch(&probe, true);
	pthread_mutex_lock(&probe.lock);
	signal_fd(&probe);
	usleep(5000);
	loop_watch_events(probe.watch, 0);
	pthread_mutex_unlock(&probe.lock);
	usleep(5000);
	CU_ASSERT_EQUAL(probe.calls, 0);
	loop_destroy(loop);
	probe_end(&probe);
}

static void hang_up_is_told(void)
{
	struct loop *loop = started();
	struct probe probe;
	int pipes[2];

	CU_ASSERT_FATAL(!pipe(pipes));
	probe_init(&probe, loop);
	close(probe.fd);
	probe.fd = pipes[0];
	probe.give_up = true;
	watch(&probe, true);
	close(pipes[1]);
	CU_ASSERT(comes(&probe.calls, 1));
	CU_ASSERT(probe.events & POLLHUP);
	loop_destroy(loop);
	probe_end(&probe);
}

static void timer_fires_once_and_not_early(void)
{
	struct loop *loop = started();
	struct probe probe;
	uint64_t start_ns = loop_now_ns();

	probe_init(&probe, loop);
	probe.timer = loop_timer_create(loop, expired, &probe, &probe.lock);
	loop_timer_set(probe.timer, start_ns + 20 * MS);
	CU_ASSERT(comes(&probe.calls, 1));
	CU_ASSERT(loop_now_ns() - start_ns >= 20 * MS);
	usleep(30000);
	CU_ASSERT_EQUAL(probe.calls, 1);
	loop_timer_set(probe.timer, 1); /* long past */
	CU_ASSERT(comes(&probe.calls, 2));
	loop_timer_set(probe.timer, loop_now_ns() + 10000 * MS);
	loop_timer_set(probe.timer, loop_now_ns() + MS); /* sooner after all */
	CU_ASSERT(comes(&probe.calls, 3));
	loop_destroy(loop);
	probe_end(&probe);
}

static void disarmed_timer_does_not_fire(void)
{
	struct loop *loop = started();
	struct probe probe;

	probe_init(&probe, loop);
	probe.timer = loop_timer_create(loop, expired, &probe, &probe.lock);
	loop_timer_set(probe.timer, loop_now_ns() + 200 * MS);
	loop_timer_set(probe.timer, UINT64_MAX);
	usleep(220000);
	CU_ASSERT_EQUAL(probe.calls, 0);
	/* Due already, and its callback waits for the lock: or moved, for that matter. */
	for (unsigned i = 0; i < 2; i++) {
		pthread_mutex_lock(&probe.lock);
		loop_timer_set(probe.timer, 0);
		usleep(5000);
		loop_timer_set(
		        probe.timer, i ? loop_now_ns() + 10000 * MS : UINT64_MAX);
		pthread_mutex_unlock(&probe.lock);
		usleep(5000);
		CU_ASSERT_EQUAL(probe.calls, 0);
	}
	pthread_mutex_lock(&probe.lock);
	loop_timer_destroy(probe.timer);
	pthread_mutex_unlock(&probe.lock);
	loop_destroy(loop);
	probe_end(&probe);
}

struct storm {
	struct probe probe;
	pthread_t thread;
};

static void *storm_run(void *context)
{
	struct probe *probe = &((struct storm *)context)->probe;

	for (unsigned i = 0; i < 300; i++) {
		bool with_lock = i % 2;

		watch(probe, with_lock);
		probe->timer = loop_timer_create(
		        probe->loop, expired, probe, with_lock ? &probe->lock : NULL);
		signal_fd(probe);
		loop_timer_set(probe->timer, loop_now_ns() + i % 5 * 10000);
		if (i % 3)
			sched_yield();
		loop_watch_events(probe->watch, i % 4 ? POLLIN : 0);
		if (with_lock)
			pthread_mutex_lock(&probe->lock);
		loop_unwatch(probe->watch);
		loop_timer_destroy(probe->timer);
		if (with_lock)
			pthread_mutex_unlock(&probe->lock);
		CU_ASSERT_FALSE(probe->inside);
	}
	return NULL;
}

static void threads_watch_and_unwatch_at_once(void)
{
	struct loop *loop = started();
	struct storm storms[4];

	for (unsigned i = 0; i < 4; i++) {
		probe_init(&storms[i].probe, loop);
		CU_ASSERT_FATAL(!pthread_create(
		        &storms[i].thread, NULL, storm_run, &storms[i]));
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(storms[i].thread, NULL);
	loop_destroy(loop);
	for (unsigned i = 0; i < 4; i++)
		probe_end(&storms[i].probe);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(nothing_watched_costs_nothing),
	        UNIT(no_fd_outlives_the_loop),
	        UNIT(start_comes_before_or_after_the_watch),
	        UNIT(nothing_runs_after_stop),
	        UNIT(callback_gives_itself_up),
	        UNIT(watch_given_up_under_its_lock_never_runs),
	        UNIT(watch_without_lock_is_waited_for),
	        UNIT(events_of_none_wait_for_nothing),
	        UNIT(events_of_none_under_the_lock_count_at_once),
	        UNIT(hang_up_is_told),
	        UNIT(timer_fires_once_and_not_early),
	        UNIT(disarmed_timer_does_not_fire),
	        UNIT(threads_watch_and_unwatch_at_once),
	        {0},
	};
	return unit_run("loop", tests);
}
