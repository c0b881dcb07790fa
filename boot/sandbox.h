/*
 * Work on what an attacker may have written, in a process that can do nothing else: a
 * forked child, where any system call but those below ends it. It reads what was open
 * before, has a bounded time, and bounded memory.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct sandbox {
	unsigned cpu_s; /* the time that it has, in seconds of a CPU */
	int write_fd;   /* the only file that it may write, by pwrite(2); -1: none */
	uint64_t write_size; /* up to this many bytes */
	size_t memory;       /* what `work` is given to work in, mapped beforehand */
	size_t heap;         /* what malloc() may take more than there was */
};

/*
 * Calls `work` there and returns what it does: 0 or -Exxx. -ECHILD if it was killed, -EPERM
 * if this host allows no such process. Forks: no other thread may exist.
 */
int sandbox_run(const struct sandbox *sandbox, int (*work)(void *context, void *memory),
        void *context);
