/*
 * The event loop: file descriptors and timers, on one thread of its own.
 *
 * The loop costs nothing until the first loop_watch() or loop_timer_create(): only then
 * do its wake-up fd and, once loop_start() was called, its thread exist.
 *
 * A callback runs on the loop's thread with `lock` held (a device's own mutex, or NULL).
 * loop_unwatch() and loop_timer_destroy() are called with `lock` held, or after
 * loop_stop(), or from the callback itself, or where there is no lock from any thread:
 * when they return, the callback is not running and will not run again. The lock itself
 * is there until loop_stop(): the thread may have been waiting for it.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

struct loop;
struct loop_watch;
struct loop_timer;

/* `events` as in poll(2): POLLIN, POLLOUT; POLLERR and POLLHUP are always reported. */
typedef void (*loop_fd_fn)(void *context, short events);
typedef void (*loop_timer_fn)(void *context);

struct loop *loop_create(void);
/* Starts the thread if something is watched already, else at the first watch. */
int loop_start(struct loop *loop);
/* Ends the thread; no callback runs after it. */
void loop_stop(struct loop *loop);
void loop_destroy(struct loop *loop);

/* NULL (logged) when out of memory or threads. The caller keeps `fd`. */
struct loop_watch *loop_watch(struct loop *loop, int fd, short events, loop_fd_fn fn,
        void *context, pthread_mutex_t *lock);
/* What to wait for from now on; 0 waits for nothing. Cheap, from any thread. */
void loop_watch_events(struct loop_watch *watch, short events);
void loop_unwatch(struct loop_watch *watch); /* takes NULL */

struct loop_timer *loop_timer_create(
        struct loop *loop, loop_timer_fn fn, void *context, pthread_mutex_t *lock);
/* Fires once at `deadline_ns` of CLOCK_MONOTONIC; UINT64_MAX disarms. */
void loop_timer_set(struct loop_timer *timer, uint64_t deadline_ns);
void loop_timer_destroy(struct loop_timer *timer); /* takes NULL */

uint64_t loop_now_ns(void); /* CLOCK_MONOTONIC */
