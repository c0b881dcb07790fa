/*
 * A guest's memory and registers as an ELF core file, for gdb: PT_LOADs at guest-physical
 * addresses and an NT_PRSTATUS for each vCPU. What nobody touched is a hole in the file.
 */
#pragma once

#include <stdbool.h>

struct vm;

/* The file is opened before the guest runs, for it might not be possible afterwards. */
struct core {
	const char *path; /* NULL: none is wanted */
	int fd;
	bool created;
};

int core_open(
        struct core *core, const char *path);      /* logs --core; `path` may be NULL */
void core_write(struct core *core, struct vm *vm); /* logs; vCPUs do not run */
/* Removes a file that was made for nothing. */
void core_close(struct core *core);
