/*
 * How it works. One thread waits in poll(2) on an eventfd (the wake-up) and the watched
 * fds; timers are its time-out. poll() is rebuilt from the list each time round: a
 * monitor watches a handful of fds, and this keeps the list the only state.
 *
 * `lock` guards the list and `running`, the watch or timer whose callback is under way.
 * It is never held across a callback, and a device's lock is taken before it, never
 * after: so a callback is chosen under `lock`, `lock` is let go, the device's lock is
 * taken, and then is_due() is asked again, because the device may have disarmed the timer
 * or given the watch up meanwhile. Whoever gives one up waits until it is not running,
 * except on the loop's own thread (it is the callback) or while holding the device's lock
 * (the callback can then only be waiting for that lock, and will see `dead`); so memory of
 * a dead watch is freed by the loop's thread alone, or by loop_destroy().
 */
#include "vmm/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/signals.h"

enum { LOOP_FDS = 128 };

/* A watch (fd >= 0) or a timer (fd < 0). */
struct source {
	struct source *next;
	struct loop *loop;
	pthread_mutex_t *lock;
	void *context;
	bool dead;
	int fd;
	short events;
	loop_fd_fn ready;
	uint64_t deadline_ns;
	loop_timer_fn expired;
};

struct loop_watch {
	struct source source;
};

struct loop_timer {
	struct source source;
};

struct loop {
	pthread_mutex_t lock;
	pthread_cond_t idle; /* `running` became NULL */
	struct source *sources;
	struct source *running;
	int wake_fd;
	bool started;  /* loop_start() was called */
	bool threaded; /* the thread exists */
	bool stopping;
	pthread_t thread;
};

uint64_t loop_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->idle, NULL);
	loop->wake_fd = -1;
	return loop;
}

static void wake(struct loop *loop)
{
	uint64_t one = 1;

	if (loop->threaded && !pthread_equal(loop->thread, pthread_self()))
		(void)!write(loop->wake_fd, &one, sizeof(one));
}

/* Frees what was given up. The lock is held. */
static void sweep(struct loop *loop)
{
	for (struct source **at = &loop->sources; *at;) {
		struct source *source = *at;

		if (source->dead) {
			*at = source->next;
			free(source);
		} else {
			at = &source->next;
		}
	}
}

/* Whether there is still something to do for `source`. The lock is held. */
static bool is_due(const struct source *source, uint64_t now_ns)
{
	if (source->dead)
		return false;
	return source->fd >= 0 ? source->events : source->deadline_ns <= now_ns;
}

/* Runs one callback; the lock is held before and after. */
static void call(struct loop *loop, struct source *source, short events)
{
	bool due;

	loop->running = source;
	pthread_mutex_unlock(&loop->lock);
	if (source->lock)
		pthread_mutex_lock(source->lock);
	pthread_mutex_lock(&loop->lock);
	due = is_due(source, loop_now_ns());
	if (due && source->fd < 0)
		source->deadline_ns = UINT64_MAX;
	pthread_mutex_unlock(&loop->lock);
	if (due && source->fd >= 0)
		source->ready(source->context, events);
	else if (due)
		source->expired(source->context);
	if (source->lock)
		pthread_mutex_unlock(source->lock);
	pthread_mutex_lock(&loop->lock);
	loop->running = NULL;
	pthread_cond_broadcast(&loop->idle);
}

static uint64_t next_deadline(const struct loop *loop)
{
	uint64_t deadline_ns = UINT64_MAX;

	for (struct source *source = loop->sources; source; source = source->next)
		if (!source->dead && source->fd < 0 &&
		        source->deadline_ns < deadline_ns)
			deadline_ns = source->deadline_ns;
	return deadline_ns;
}

static void run_timers(struct loop *loop)
{
	uint64_t now_ns = loop_now_ns();

	for (struct source *source = loop->sources; source && !loop->stopping;
	        source = source->next)
		if (source->fd < 0 && is_due(source, now_ns))
			call(loop, source, 0);
}

static void wait_for(struct loop *loop, struct pollfd *fds, unsigned count)
{
	uint64_t deadline_ns = next_deadline(loop);
	uint64_t now_ns = deadline_ns == UINT64_MAX ? 0 : loop_now_ns();
	uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	struct timespec timeout = {left_ns / 1000000000, left_ns % 1000000000};

	pthread_mutex_unlock(&loop->lock);
	if (ppoll(fds, count, deadline_ns == UINT64_MAX ? NULL : &timeout, NULL) < 0)
		for (unsigned i = 0; i < count; i++)
			fds[i].revents = 0;
	pthread_mutex_lock(&loop->lock);
}

static void *loop_thread(void *argument)
{
	struct loop *loop = argument;
	struct pollfd fds[LOOP_FDS];
	struct source *sources[LOOP_FDS];

	pthread_mutex_lock(&loop->lock);
	while (!loop->stopping) {
		unsigned count = 1;
		uint64_t wakes;

		sweep(loop);
		fds[0] = (struct pollfd){loop->wake_fd, POLLIN, 0};
		for (struct source *source = loop->sources; source;
		        source = source->next)
			/* Without events, poll() would still report a hang-up for ever. */
			if (source->fd >= 0 && source->events && count < LOOP_FDS) {
				fds[count] =
				        (struct pollfd){source->fd, source->events, 0};
				sources[count++] = source;
			}
		wait_for(loop, fds, count);
		if (fds[0].revents)
			(void)!read(loop->wake_fd, &wakes, sizeof(wakes));
		for (unsigned i = 1; i < count && !loop->stopping; i++)
			if (fds[i].revents && is_due(sources[i], 0))
				call(loop, sources[i], fds[i].revents);
		run_timers(loop);
	}
	pthread_mutex_unlock(&loop->lock);
	return NULL;
}

/* The lock is held. */
static int start_thread(struct loop *loop)
{
	sigset_t old;
	int error;

	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0)
		return log_error(-errno, "loop: no event fd: %s", strerror(errno));
	/* Signals are for the main thread, whose KVM_RUN they interrupt. */
	signals_block(&old);
	error = pthread_create(&loop->thread, NULL, loop_thread, loop);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error) {
		close(loop->wake_fd);
		return log_error(-error, "loop: no thread: %s", strerror(error));
	}
	loop->threaded = true;
	return 0;
}

int loop_start(struct loop *loop)
{
	int error = 0;

	pthread_mutex_lock(&loop->lock);
	loop->started = true;
	if (loop->sources && !loop->threaded && !loop->stopping)
		error = start_thread(loop);
	pthread_mutex_unlock(&loop->lock);
	return error;
}

void loop_stop(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	bool threaded = loop->threaded;
	loop->stopping = true;
	wake(loop);
	pthread_mutex_unlock(&loop->lock);
	if (!threaded)
		return;
	pthread_join(loop->thread, NULL);
	loop->threaded = false;
	close(loop->wake_fd);
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	loop_stop(loop);
	while (loop->sources) {
		struct source *source = loop->sources;

		loop->sources = source->next;
		free(source);
	}
	pthread_cond_destroy(&loop->idle);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

static struct source *source_add(struct loop *loop, const struct source *model)
{
	struct source *source = malloc(sizeof(*source));

	if (!source) {
		log_error(-ENOMEM, "loop: out of memory");
		return NULL;
	}
	*source = *model;
	source->loop = loop;
	pthread_mutex_lock(&loop->lock);
	source->next = loop->sources;
	loop->sources = source;
	if (loop->started && !loop->threaded && !loop->stopping &&
	        start_thread(loop) < 0) {
		loop->sources = source->next;
		free(source);
		source = NULL;
	} else {
		wake(loop);
	}
	pthread_mutex_unlock(&loop->lock);
	return source;
}

static void source_remove(struct source *source)
{
	struct loop *loop = source->loop;

	pthread_mutex_lock(&loop->lock);
	source->dead = true;
	bool elsewhere = loop->threaded && !pthread_equal(loop->thread, pthread_self());
	/* With a lock, the callback is over or will see `dead` once it has the lock. */
	if (elsewhere && !source->lock)
		while (loop->running == source)
			pthread_cond_wait(&loop->idle, &loop->lock);
	wake(loop);
	pthread_mutex_unlock(&loop->lock);
}

struct loop_watch *loop_watch(struct loop *loop, int fd, short events, loop_fd_fn fn,
        void *context, pthread_mutex_t *lock)
{
	return (struct loop_watch *)source_add(loop, &(struct source){
	                                                     .fd = fd,
	                                                     .events = events,
	                                                     .ready = fn,
	                                                     .context = context,
	                                                     .lock = lock,
	                                             });
}

void loop_watch_events(struct loop_watch *watch, short events)
{
	struct loop *loop = watch->source.loop;

	pthread_mutex_lock(&loop->lock);
	if (watch->source.events != events) {
		watch->source.events = events;
		wake(loop);
	}
	pthread_mutex_unlock(&loop->lock);
}

void loop_unwatch(struct loop_watch *watch)
{
	if (watch)
		source_remove(&watch->source);
}

struct loop_timer *loop_timer_create(
        struct loop *loop, loop_timer_fn fn, void *context, pthread_mutex_t *lock)
{
	return (struct loop_timer *)source_add(loop, &(struct source){
	                                                     .fd = -1,
	                                                     .deadline_ns = UINT64_MAX,
	                                                     .expired = fn,
	                                                     .context = context,
	                                                     .lock = lock,
	                                             });
}

void loop_timer_set(struct loop_timer *timer, uint64_t deadline_ns)
{
	struct loop *loop = timer->source.loop;

	pthread_mutex_lock(&loop->lock);
	if (timer->source.deadline_ns != deadline_ns) {
		timer->source.deadline_ns = deadline_ns;
		wake(loop);
	}
	pthread_mutex_unlock(&loop->lock);
}

void loop_timer_destroy(struct loop_timer *timer)
{
	if (timer)
		source_remove(&timer->source);
}
