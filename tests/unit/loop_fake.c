#include "tests/unit/loop_fake.h"

#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>

enum { FAKE_MAX = 64 };

struct loop_watch {
	struct loop *loop;
	int fd;
	short events;
	loop_fd_fn fn;
	void *context;
	pthread_mutex_t *lock;
};

struct loop_timer {
	struct loop *loop;
	uint64_t deadline_ns;
	loop_timer_fn fn;
	void *context;
	pthread_mutex_t *lock;
};

struct loop {
	struct loop_watch *watches[FAKE_MAX]; /* NULL: a free place */
	struct loop_timer *timers[FAKE_MAX];
	unsigned successes;
};

/* loop_now_ns() is asked without a loop. */
static uint64_t now_ns = 1000000000;

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (loop)
		loop->successes = UINT_MAX;
	return loop;
}

int loop_start(struct loop *loop)
{
	(void)loop;
	return 0;
}

void loop_stop(struct loop *loop)
{
	(void)loop;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	for (unsigned i = 0; i < FAKE_MAX; i++) {
		free(loop->watches[i]);
		free(loop->timers[i]);
	}
	free(loop);
}

void loop_fake_limit(struct loop *loop, unsigned successes)
{
	loop->successes = successes;
}

static bool may_create(struct loop *loop)
{
	if (loop->successes == 0)
		return false;
	loop->successes--;
	return true;
}

struct loop_watch *loop_watch(struct loop *loop, int fd, short events, loop_fd_fn fn,
        void *context, pthread_mutex_t *lock)
{
	struct loop_watch **place = loop->watches, *watch;

	while (place < loop->watches + FAKE_MAX && *place)
		place++;
	if (place == loop->watches + FAKE_MAX || !may_create(loop))
		return NULL;
	watch = malloc(sizeof(*watch));
	if (watch)
		*watch = (struct loop_watch){loop, fd, events, fn, context, lock};
	return *place = watch;
}

void loop_watch_events(struct loop_watch *watch, short events)
{
	watch->events = events;
}

void loop_unwatch(struct loop_watch *watch)
{
	if (!watch)
		return;
	for (unsigned i = 0; i < FAKE_MAX; i++)
		if (watch->loop->watches[i] == watch)
			watch->loop->watches[i] = NULL;
	free(watch);
}

struct loop_timer *loop_timer_create(
        struct loop *loop, loop_timer_fn fn, void *context, pthread_mutex_t *lock)
{
	struct loop_timer **place = loop->timers, *timer;

	while (place < loop->timers + FAKE_MAX && *place)
		place++;
	if (place == loop->timers + FAKE_MAX || !may_create(loop))
		return NULL;
	timer = malloc(sizeof(*timer));
	if (timer)
		*timer = (struct loop_timer){loop, UINT64_MAX, fn, context, lock};
	return *place = timer;
}

void loop_timer_set(struct loop_timer *timer, uint64_t deadline_ns)
{
	timer->deadline_ns = deadline_ns;
}

void loop_timer_destroy(struct loop_timer *timer)
{
	if (!timer)
		return;
	for (unsigned i = 0; i < FAKE_MAX; i++)
		if (timer->loop->timers[i] == timer)
			timer->loop->timers[i] = NULL;
	free(timer);
}

uint64_t loop_now_ns(void)
{
	return now_ns;
}

unsigned loop_fake_wait(struct loop *loop, int timeout_ms)
{
	struct pollfd fds[FAKE_MAX];
	unsigned ran = 0;

	for (unsigned i = 0; i < FAKE_MAX; i++) {
		const struct loop_watch *watch = loop->watches[i];
		bool wanted = watch && watch->events;
		fds[i] = (struct pollfd){
		        wanted ? watch->fd : -1, wanted ? watch->events : 0, 0};
	}
	if (poll(fds, FAKE_MAX, timeout_ms) <= 0)
		return 0;
	for (unsigned i = 0; i < FAKE_MAX; i++) {
		struct loop_watch *watch = loop->watches[i];
		/* An earlier callback may have taken it away, or put another there. */
		if (!fds[i].revents || !watch || watch->fd != fds[i].fd)
			continue;
		pthread_mutex_t *lock = watch->lock; /* may be gone after the call */
		if (lock)
			pthread_mutex_lock(lock);
		watch->fn(watch->context, fds[i].revents);
		if (lock)
			pthread_mutex_unlock(lock);
		ran++;
	}
	return ran;
}

unsigned loop_fake_run(struct loop *loop)
{
	return loop_fake_wait(loop, 0);
}

static struct loop_timer *first_due(struct loop *loop, uint64_t end_ns)
{
	struct loop_timer *first = NULL;

	for (unsigned i = 0; i < FAKE_MAX; i++) {
		struct loop_timer *timer = loop->timers[i];
		if (!timer || timer->deadline_ns > end_ns)
			continue;
		if (!first || timer->deadline_ns < first->deadline_ns)
			first = timer;
	}
	return first;
}

unsigned loop_fake_advance(struct loop *loop, uint64_t ns)
{
	uint64_t end_ns = now_ns + ns;
	struct loop_timer *timer;
	unsigned fired = 0;

	/* A timer that is set anew each time it fires must not keep us here. */
	while (fired < 1000 && (timer = first_due(loop, end_ns)) != NULL) {
		pthread_mutex_t *lock = timer->lock;
		if (timer->deadline_ns > now_ns)
			now_ns = timer->deadline_ns;
		timer->deadline_ns = UINT64_MAX;
		if (lock)
			pthread_mutex_lock(lock);
		timer->fn(timer->context);
		if (lock)
			pthread_mutex_unlock(lock);
		fired++;
	}
	now_ns = end_ns;
	return fired;
}

unsigned loop_fake_count(const struct loop *loop)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FAKE_MAX; i++)
		count += !!loop->watches[i] + !!loop->timers[i];
	return count;
}
