#include "boot/sandbox.h"

#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* This program's own header, which the linker names. */
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define SANITIZED
#endif

enum { FILTER_SIZE = 24 };

struct filter {
	struct sock_filter code[FILTER_SIZE];
	unsigned short size;
};

static void filter_add(struct filter *filter, struct sock_filter instruction)
{
	filter->code[filter->size++] = instruction;
}

static void filter_load(struct filter *filter, uint32_t offset)
{
	filter_add(
	        filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void filter_answer(struct filter *filter, uint32_t answer)
{
	filter_add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer));
}

/* Skips the next `count` instructions unless what was loaded is `value`. */
static void filter_unless(struct filter *filter, uint32_t value, uint8_t count)
{
	filter_add(filter, (struct sock_filter)BPF_JUMP(
	                           BPF_JMP | BPF_JEQ | BPF_K, value, 0, count));
}

static void filter_call(struct filter *filter, uint32_t number, uint32_t answer)
{
	filter_unless(filter, number, 1);
	filter_answer(filter, answer);
}

/* Of another architecture, nothing is loaded that any of these calls would match. */
static void filter_build(struct filter *filter, int write_fd)
{
	filter_load(filter, offsetof(struct seccomp_data, arch));
	/* As linux/audit.h makes it of an ELF machine number. */
	filter_unless(filter,
	        __ehdr_start.e_machine | __AUDIT_ARCH_64BIT | __AUDIT_ARCH_LE, 1);
	filter_load(filter, offsetof(struct seccomp_data, nr));
	filter_call(filter, SYS_exit_group, SECCOMP_RET_ALLOW);
	filter_call(filter, SYS_pread64, SECCOMP_RET_ALLOW);
#ifdef SANITIZED
	/* What is there to catch our errors takes memory of its own accord. */
	filter_call(filter, SYS_mmap, SECCOMP_RET_ALLOW);
	filter_call(filter, SYS_munmap, SECCOMP_RET_ALLOW);
	filter_call(filter, SYS_madvise, SECCOMP_RET_ALLOW);
#endif
	/* malloc() without memory left asks for more, and is told that there is none. */
	filter_call(filter, SYS_brk, SECCOMP_RET_ERRNO | ENOMEM);
	filter_call(filter, SYS_mmap, SECCOMP_RET_ERRNO | ENOMEM);
	filter_unless(filter, SYS_pwrite64, 3);
	filter_load(filter, offsetof(struct seccomp_data, args[0]));
	filter_unless(filter, (uint32_t)write_fd, 1);
	filter_answer(filter, SECCOMP_RET_ALLOW);
	filter_answer(filter, SECCOMP_RET_KILL_PROCESS);
}

static int confine(const struct sandbox *sandbox, pid_t parent)
{
	const struct rlimit cpu = {sandbox->cpu_s, sandbox->cpu_s}, core = {0, 0},
	                    file = {sandbox->write_size, sandbox->write_size};
	struct filter filter = {.size = 0};
	struct sock_fprog program = {.filter = filter.code};

	filter_build(&filter, sandbox->write_fd);
	program.len = filter.size;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
	        setrlimit(RLIMIT_CPU, &cpu) < 0 || setrlimit(RLIMIT_CORE, &core) < 0 ||
	        setrlimit(RLIMIT_FSIZE, &file) < 0 ||
	        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -EPERM;
	return 0;
}

/* One growth of the heap, from which all that follows is taken. */
static int heap_grow(size_t size)
{
	void *memory;

	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, -1);
	memory = malloc(size);
	free(memory);
	return memory ? 0 : -ENOMEM;
}

static int child(const struct sandbox *sandbox, pid_t parent,
        int (*work)(void *context, void *memory), void *context)
{
	void *memory = NULL;
	int error = 0;

	if (sandbox->memory) {
		memory = mmap(NULL, sandbox->memory, PROT_READ | PROT_WRITE,
		        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (memory == MAP_FAILED)
			return -ENOMEM;
		madvise(memory, sandbox->memory, MADV_HUGEPAGE);
	}
	if (sandbox->heap)
		error = heap_grow(sandbox->heap);
	if (!error)
		error = confine(sandbox, parent);
	return error ? error : work(context, memory);
}

int sandbox_run(const struct sandbox *sandbox, int (*work)(void *context, void *memory),
        void *context)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	/* Plainly, for a sanitizer does more before _exit(), which the filter forbids. */
	while (pid == 0)
		syscall(SYS_exit_group, -child(sandbox, parent, work, context));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}
