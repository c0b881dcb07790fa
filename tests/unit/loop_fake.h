/*
 * A stand-in for vmm/loop.c, for tests of devices: no thread, no clock. File descriptors
 * are looked at when the test says so, time passes when the test says so.
 *
 * Callbacks run inside the calls below, with their lock held as vmm/loop.h promises: the
 * test itself must not hold it then.
 */
#pragma once

#include "vmm/loop.h"

/* One look at every watched fd, without waiting: how many callbacks ran. */
unsigned loop_fake_run(struct loop *loop);
/* As above, but waits up to `timeout_ms` until there is something to run. */
unsigned loop_fake_wait(struct loop *loop, int timeout_ms);
/* Time passes by `ns`; timers that are due fire in order: how many did. */
unsigned loop_fake_advance(struct loop *loop, uint64_t ns);
/* Watches and timers that exist: a test of destroy wants 0. */
unsigned loop_fake_count(const struct loop *loop);
/* As many loop_watch() and loop_timer_create() as this succeed, further ones fail. */
void loop_fake_limit(struct loop *loop, unsigned successes);
