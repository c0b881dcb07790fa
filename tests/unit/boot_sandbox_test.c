#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "boot/sandbox.h"
#include "tests/unit/unit.h"

enum { MEMORY = 1 << 20, WRITTEN = 4096 };

/* What the child is to try, and with which files. */
struct attempt {
	int fd, other;
	char data[16];
};

static int fails(void *context, void *memory)
{
	(void)context;
	(void)memory;
	return -EBADMSG;
}

static int reads_and_writes(void *context, void *memory)
{
	struct attempt *attempt = context;

	memset(memory, 'x', MEMORY);
	if (pread(attempt->other, attempt->data, 4, 0) != 4 ||
	        memcmp(attempt->data, "data", 4) != 0)
		return -EIO;
	return pwrite(attempt->fd, attempt->data, 4, WRITTEN - 4) == 4 ? 0 : -EIO;
}

static int writes_elsewhere(void *context, void *memory)
{
	struct attempt *attempt = context;

	return pwrite(attempt->other, memory, 1, 0) == 1 ? 0 : -EIO;
}

static int writes_too_far(void *context, void *memory)
{
	struct attempt *attempt = context;

	return pwrite(attempt->fd, memory, 1, WRITTEN) == 1 ? 0 : -EIO;
}

static int opens(void *context, void *memory)
{
	(void)context;
	(void)memory;
	return open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 ? -errno : 0;
}

static int maps_code(void *context, void *memory)
{
	(void)context;
	return mprotect(memory, 4096, PROT_READ | PROT_EXEC) < 0 ? -errno : 0;
}

static int spins(void *context, void *memory)
{
	volatile signed char *byte = memory;

	(void)context;
	while (*byte >= 0)
		*byte = !*byte;
	return 0;
}

static int faults(void *context, void *memory)
{
	(void)context;
	(void)memory;
	return (int)syscall(SYS_exit, *(volatile char *)8);
}

static int attempt(int (*work)(void *context, void *memory), struct attempt *files)
{
	const struct sandbox sandbox = {
	        .cpu_s = 1,
	        .write_fd = files->fd,
	        .write_size = WRITTEN,
	        .memory = MEMORY,
	};

	return sandbox_run(&sandbox, work, files);
}

static void files_open(struct attempt *files)
{
	files->fd = memfd_create("to write", MFD_CLOEXEC);
	files->other = memfd_create("to read", MFD_CLOEXEC);
	CU_ASSERT_FATAL(files->fd >= 0 && files->other >= 0);
	CU_ASSERT_EQUAL_FATAL(write(files->other, "data", 4), 4);
}

static void files_close(struct attempt *files)
{
	close(files->fd);
	close(files->other);
}

static void work_reads_what_is_open_and_writes_its_file(void)
{
	struct attempt files;
	char data[4];

	files_open(&files);
	CU_ASSERT_EQUAL(attempt(reads_and_writes, &files), 0);
	CU_ASSERT_EQUAL(pread(files.fd, data, 4, WRITTEN - 4), 4);
	CU_ASSERT(!memcmp(data, "data", 4));
	CU_ASSERT_EQUAL(attempt(fails, &files), -EBADMSG);
	files_close(&files);
}

static void anything_else_ends_it(void)
{
	struct attempt files;
	char byte;

	files_open(&files);
	CU_ASSERT_EQUAL(attempt(writes_elsewhere, &files), -ECHILD);
	CU_ASSERT_EQUAL(pread(files.other, &byte, 1, 0), 1);
	CU_ASSERT_EQUAL(byte, 'd');
	CU_ASSERT_EQUAL(attempt(writes_too_far, &files), -ECHILD);
	CU_ASSERT_EQUAL(lseek(files.fd, 0, SEEK_END), 0);
	CU_ASSERT_EQUAL(attempt(opens, &files), -ECHILD);
	CU_ASSERT_EQUAL(attempt(maps_code, &files), -ECHILD);
	CU_ASSERT_EQUAL(attempt(spins, &files), -ECHILD);
	files_close(&files);
}

static void a_fault_is_the_childs_alone(void)
{
	struct attempt files;

	files_open(&files);
	CU_ASSERT(attempt(faults, &files) < 0);
	files_close(&files);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(work_reads_what_is_open_and_writes_its_file),
	        UNIT(anything_else_ends_it),
	        UNIT(a_fault_is_the_childs_alone),
	        {0},
	};

	return unit_run("boot_sandbox", tests);
}
