/*
 * The host's end of the guest's console: this process's stdin and stdout.
 *
 * Output goes to stdout at once while it takes it; what it does not take waits in a
 * bounded ring (64 KiB) that the loop drains, and what that cannot hold is dropped and
 * counted: a stdout that blocks or closes neither stops a vCPU nor kills. Input comes
 * from stdin: if it is a terminal, in raw mode with Ctrl-A as escape (Ctrl-A x ends the
 * VM, Ctrl-A a sends one Ctrl-A, Ctrl-A z suspends the monitor, Ctrl-A h helps); at its
 * end, it is watched no more. Ctrl-Z and Ctrl-C are the guest's. The terminal is touched
 * in the foreground only, and restored by console_destroy(), when the monitor is
 * suspended, and by console_restore_terminal() from any signal handler.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct console;

/* What the device at the guest's end supplies; all called with its lock held. */
struct console_client {
	/* Takes up to `size` bytes of input: how many it took. When that was fewer, input
	 * rests until console_want_input(), which it must not call itself. */
	size_t (*input)(void *context, const void *data, size_t size);
	/* The window's size is now this; also called once by console_attach(), unless
	 * there is no window. May be NULL. */
	void (*resized)(void *context, uint16_t columns, uint16_t rows);
	void *context;
	pthread_mutex_t *lock;
};

/*
 * `quit` is called (on the loop's thread, no lock held) for Ctrl-A x. Without `input` the
 * terminal stays as it is and stdin is never looked at.
 */
struct console *console_create(
        struct loop *loop, bool input, void (*quit)(void *context), void *context);
/* Flushes, for a second unless stdout makes progress; takes NULL. After loop_stop() and
 * before loop_destroy(); the client is not called any more. */
void console_destroy(struct console *console);

/*
 * Takes input for `client`; its lock is held. A terminal is raw from now on, so that the
 * way out works; other input is looked at from the first console_want_input() on, so a
 * guest that reads nothing costs nothing. Logs and returns -Exxx.
 */
int console_attach(struct console *console, const struct console_client *client);
/* The client, its lock held, can take input again. Cheap when there is none. */
void console_want_input(struct console *console);

/* Never blocks. From any thread. */
void console_write(struct console *console, const void *data, size_t size);

/* Async-signal-safe; does nothing unless the terminal is raw. */
void console_restore_terminal(void);
