/*
 * What a signal may do to the monitor.
 *
 * A handler can reach nothing but what is global, so this is the one place (beside the
 * terminal's settings) that has state outside an object: the signal that came, where
 * vCPU 0's immediate_exit lies, and where guest memory is. It is set by signals_start()
 * and forgotten by signals_stop().
 */
#pragma once

#include <signal.h>
#include <stdint.h>

struct memory;
struct pollfd;

/*
 * Before anything is opened or the terminal is touched. SIGINT, SIGTERM and SIGHUP are
 * noted from now on, SIGUSR1 does nothing but interrupt, SIGPIPE and SIGXFSZ are errors of
 * their system calls, and a fatal signal restores the terminal first.
 */
void signals_install(void);

/*
 * What is noted, and what came since signals_install(), takes vCPU 0 out of KVM_RUN by
 * setting `*immediate_exit`. SIGBUS inside `memory` means that a file mapped there was cut
 * short: the page becomes zeroes, and only the guest is harmed.
 */
void signals_start(uint8_t *immediate_exit, const struct memory *memory);
void signals_stop(void);

/*
 * poll(2) until `deadline_ns` of CLOCK_MONOTONIC (UINT64_MAX: without end), unless a signal
 * comes. One that came before has set `*immediate_exit`: then there is no waiting at all.
 */
void signals_poll(struct pollfd *fds, unsigned count, uint64_t deadline_ns,
        const uint8_t *immediate_exit);

/* The number of the signal that came since the last call, or 0. */
int signals_take(void);

/*
 * Around pthread_create(): the new thread takes no signals but SIGUSR1 and the fatal ones
 * that it raises itself. `*old` goes back to pthread_sigmask().
 */
void signals_block(sigset_t *old);
