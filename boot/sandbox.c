#include "boot/sandbox.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
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
#define SANITIZED true
#else
#define SANITIZED false
#endif

enum { FILTER_SIZE = 40 };

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

static void filter_allow(struct filter *filter, uint32_t number)
{
	filter_unless(filter, number, 1);
	filter_answer(filter, SECCOMP_RET_ALLOW);
}

/* mmap() and mprotect(), but not of code: their third argument is the protection. */
static void filter_allow_data(struct filter *filter, uint32_t number)
{
	filter_unless(filter, number, 4);
	filter_load(filter, offsetof(struct seccomp_data, args[2]));
	filter_add(filter, (struct sock_filter)BPF_JUMP(
	                           BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0));
	filter_answer(filter, SECCOMP_RET_ALLOW);
	filter_answer(filter, SECCOMP_RET_KILL_PROCESS);
}

/* Of another architecture, nothing is loaded that any of these calls would match. */
static void filter_build(struct filter *filter, int write_fd)
{
	filter_load(filter, offsetof(struct seccomp_data, arch));
	/* As linux/audit.h makes it of an ELF machine number. */
	filter_unless(filter,
	        __ehdr_start.e_machine | __AUDIT_ARCH_64BIT | __AUDIT_ARCH_LE, 1);
	filter_load(filter, offsetof(struct seccomp_data, nr));
	filter_allow(filter, SYS_exit_group);
	filter_allow(filter, SYS_pread64);
	/* malloc()'s, within the limit of the address space. */
	filter_allow(filter, SYS_brk);
	filter_allow(filter, SYS_munmap);
	filter_allow(filter, SYS_mremap);
	filter_allow(filter, SYS_madvise);
	filter_allow_data(filter, SYS_mmap);
	filter_allow_data(filter, SYS_mprotect);
	filter_unless(filter, SYS_pwrite64, 3);
	filter_load(filter, offsetof(struct seccomp_data, args[0]));
	filter_unless(filter, (uint32_t)write_fd, 1);
	filter_answer(filter, SECCOMP_RET_ALLOW);
	filter_answer(filter, SECCOMP_RET_KILL_PROCESS);
}

/* The address space may grow by so much from here on. */
static int limit_growth(size_t size)
{
	struct rlimit limit;
	char text[32] = "";
	unsigned long pages;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (got < 0 || sscanf(text, "%lu", &pages) != 1)
		return -EPERM;
	limit.rlim_cur = limit.rlim_max = pages * sysconf(_SC_PAGESIZE) + size;
	return setrlimit(RLIMIT_AS, &limit) < 0 ? -EPERM : 0;
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
	/* What is there to catch our errors takes memory of its own accord. */
	if (!SANITIZED)
		error = limit_growth(sandbox->heap);
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
