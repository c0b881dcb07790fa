/* What is kept of unpacked kernels, for how long, and who makes it. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "boot/cache.h"
#include "tests/unit/boot_packed.h"

static void second_run_finds_the_first(void)
{
	char folder[32];
	size_t size = bzimage(lz4_pack, 0);
	ino_t inode;

	cache_begin(folder);
	kernel_write("kernel", size);
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(entries_become("data-", 1));
	inode = unpacks("kernel");
	CU_ASSERT(inode && inode == unpacks("kernel"));
	/* Another file of that content is the same kernel. */
	kernel_write("copy", size);
	CU_ASSERT_EQUAL(unpacks("copy"), inode);
	/* The newest of its times do not name it: it may change in the same tick. */
	CU_ASSERT_EQUAL(entries("file-"), 0);
	cache_end(folder);
}

static void changed_kernel_is_unpacked_anew(void)
{
	struct timespec times[2] = {{1000, 1}, {1000, 1}};
	char folder[32];
	size_t size = bzimage(lz4_pack, 1), changed;

	cache_begin(folder);
	kernel_write("kernel", size);
	CU_ASSERT(!utimensat(AT_FDCWD, "kernel", times, 0));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(entries_become("data-", 1));
	sleep(5);
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(unpacks("kernel"));
	/* In place, of the same size and mtime, at once. */
	for (unsigned seed = 2; seed < 4; seed++) {
		changed = bzimage(lz4_pack, seed);
		CU_ASSERT_EQUAL_FATAL(changed, size);
		kernel_write("kernel", size);
		CU_ASSERT(!utimensat(AT_FDCWD, "kernel", times, 0));
		CU_ASSERT(unpacks("kernel"));
	}
	CU_ASSERT(entries_become("data-", 3));
	cache_end(folder);
}

static void cache_of_others_is_not_used(void)
{
	size_t size = bzimage(lz4_pack, 0);
	char folder[32];

	cache_begin(folder);
	kernel_write("kernel", size);
	CU_ASSERT(!mkdir("mayfly", 0700) && !chmod("mayfly", 0750));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT_EQUAL(entries(""), 2);
	if (geteuid() == 0) {
		CU_ASSERT(!chmod("mayfly", 0700) && !chown("mayfly", 65534, 65534));
		CU_ASSERT(unpacks("kernel"));
		CU_ASSERT_EQUAL(entries(""), 2);
	}
	CU_ASSERT(!rename("mayfly", "elsewhere"));
	CU_ASSERT(
	        !chmod("elsewhere", 0700) && !chown("elsewhere", geteuid(), getegid()));
	CU_ASSERT(!symlink("elsewhere", "mayfly"));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT_EQUAL(entries(""), 2);
	CU_ASSERT(!unlink("mayfly") && !chmod(folder, 0777));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(access("mayfly", F_OK) < 0);
	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("HOME", "/nonexistent", 1);
	CU_ASSERT(unpacks("kernel"));
	cache_end(folder);
}

static void first_entry(const char *start, char path[PATH_MAX])
{
	DIR *list = opendir("mayfly");
	struct dirent *next;

	CU_ASSERT_PTR_NOT_NULL_FATAL(list);
	while ((next = readdir(list)))
		if (!strncmp(next->d_name, start, strlen(start)))
			snprintf(path, PATH_MAX, "mayfly/%s", next->d_name);
	closedir(list);
}

static void damaged_entries_are_replaced(void)
{
	struct boot_source source;
	char folder[32], path[PATH_MAX];
	struct said said;

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(entries_become("data-", 1));
	first_entry("data-", path);
	/* What others may write is not even looked at. */
	CU_ASSERT(!chmod(path, 0622) && !truncate(path, 4096));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(!chmod(path, 0600));
	CU_ASSERT_FATAL(!boot_open(
	        &source, "kernel", NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86));
	said_begin(&said);
	boot_unpack(&source, 0);
	CU_ASSERT(said_exactly(&said, "no vmlinux in it"));
	CU_ASSERT_EQUAL(source.format, FORMAT_BZIMAGE);
	boot_close(&source);
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(entries_become("data-", 1));
	CU_ASSERT(unpacks("kernel"));
	cache_end(folder);
}

static void many_at_once_agree(void)
{
	enum { RUNS = 6 };
	pid_t pids[RUNS];
	char folder[32];
	int status;

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	for (unsigned i = 0; i < RUNS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(unpacks("kernel") == 0);
	}
	for (unsigned i = 0; i < RUNS; i++)
		CU_ASSERT(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
	CU_ASSERT(entries_become("data-", 1));
	CU_ASSERT_EQUAL(entries("key"), 1);
	CU_ASSERT(unpacks("kernel"));
	cache_end(folder);
}

enum { ENOUGH = 256 << 20 };

static void guest_unpacks_lz4_once(void)
{
	char folder[32];
	ino_t inode;

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	CU_ASSERT(!unpacks_for("kernel", ENOUGH));
	CU_ASSERT(entries_become("data-", 1));
	inode = unpacks_for("kernel", ENOUGH);
	CU_ASSERT(inode && inode == unpacks("kernel"));
	cache_end(folder);
}

/* Both files' names are by then of times that last. */
static void known_content_is_found_in_a_new_file(void)
{
	char folder[32];
	size_t size = bzimage(lz4_pack, 0);
	ino_t inode;

	cache_begin(folder);
	kernel_write("kernel", size);
	kernel_write("copy", size);
	CU_ASSERT(!unpacks_for("kernel", ENOUGH));
	CU_ASSERT(entries_become("data-", 1));
	sleep(5);
	inode = unpacks_for("copy", ENOUGH);
	CU_ASSERT(inode && inode == unpacks_for("kernel", ENOUGH));
	CU_ASSERT_EQUAL(entries("file-"), 2);
	cache_end(folder);
}

/* Its bzImage lies at 16 MiB and takes as much; an eighth is for initrds. */
static void guest_without_room_does_not(void)
{
	const uint64_t least = (32ull << 20) / 7 * 8 + 8;
	char folder[32];

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	CU_ASSERT(unpacks_for("kernel", least - 16));
	CU_ASSERT(entries_become("data-", 1));
	kernel_write("kernel", bzimage(lz4_pack, 1));
	CU_ASSERT(!unpacks_for("kernel", least));
	CU_ASSERT(entries_become("data-", 2));
	cache_end(folder);
}

static void guest_does_not_unpack_what_takes_long(void)
{
	char folder[32];

	cache_begin(folder);
	kernel_write("kernel", bzimage(gzip_pack, 0));
	CU_ASSERT(unpacks_for("kernel", ENOUGH));
	kernel_write("kernel", bzimage(zstd_pack, 1));
	CU_ASSERT(unpacks_for("kernel", ENOUGH));
	CU_ASSERT(entries_become("data-", 2));
	cache_end(folder);
}

static void background_keeps_only_what_is_sound(void)
{
	enum { RUNS = 4 };
	char folder[32];
	size_t size = bzimage(lz4_pack, 0);

	cache_begin(folder);
	memset(image + SETUP + STUB + 1000, 0xff, 2000);
	kernel_write("bad", size);
	for (unsigned i = 0; i < RUNS; i++)
		CU_ASSERT(!unpacks_for("bad", ENOUGH));
	size = bzimage(lz4_pack, 0);
	kernel_write("kernel", size);
	for (unsigned i = 0; i < RUNS; i++)
		unpacks_for("kernel", ENOUGH);
	CU_ASSERT(entries_become("data-", 1));
	CU_ASSERT(unpacks_for("kernel", ENOUGH));
	cache_end(folder);
}

static void without_a_cache_the_guest_unpacks(void)
{
	char folder[32];

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("HOME", "/nonexistent", 1);
	CU_ASSERT(!unpacks_for("kernel", ENOUGH));
	cache_end(folder);
}

/* As on a host before Linux 5.9: no close_range(). */
static int deny_close_range(void)
{
	struct sock_filter code[] = {
	        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void older_hosts_keep_it_too(void)
{
	char folder[32];
	int status;
	pid_t pid;

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	pid = fork();
	if (pid == 0)
		_exit(deny_close_range() || !unpacks("kernel"));
	CU_ASSERT(waitpid(pid, &status, 0) == pid && status == 0);
	CU_ASSERT(entries_become("data-", 1));
	cache_end(folder);
}

static void oldest_entries_go(void)
{
	char folder[32], name[32];

	cache_begin(folder);
	CU_ASSERT(!mkdir("mayfly", 0700));
	for (unsigned i = 0; i < 40; i++) {
		struct timespec times[2] = {{1000 + i, 1}, {1000 + i, 1}};
		int fd;

		snprintf(name, sizeof(name),
		        i < 20 ? "mayfly/data-%02u" : "mayfly/new-%02u", i);
		fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		CU_ASSERT_FATAL(fd >= 0 && !futimens(fd, times));
		close(fd);
	}
	kernel_write("kernel", bzimage(lz4_pack, 0));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(entries_become("data-", 16));
	CU_ASSERT(access("mayfly/data-19", F_OK) == 0);
	CU_ASSERT(access("mayfly/data-05", F_OK) == 0);
	CU_ASSERT(access("mayfly/data-04", F_OK) < 0);
	cache_end(folder);
}

/* On most file systems it takes no time to make; where there is no room nothing is shown. */
static void what_would_fill_the_cache_alone_is_not_kept(void)
{
	char folder[32], temporary[CACHE_NAME];
	int dir, fd;

	cache_begin(folder);
	dir = cache_open();
	CU_ASSERT_FATAL(dir >= 0);
	close(openat(dir, "data-old", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	fd = cache_create(dir, temporary);
	if (!fallocate(fd, 0, 0, (1 << 30) + 1)) {
		cache_publish(dir, fd, temporary, "data-large", "");
		/* At once: nothing is synced for it. */
		CU_ASSERT_EQUAL(entries("new-"), 0);
		close(fd);
		fd = cache_create(dir, temporary);
		cache_publish(dir, fd, temporary, "data-small", "");
		CU_ASSERT(entries_become("data-", 2));
		CU_ASSERT(faccessat(dir, "data-large", F_OK, 0) < 0);
	}
	close(fd);
	close(dir);
	cache_end(folder);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(second_run_finds_the_first),
	        UNIT(changed_kernel_is_unpacked_anew),
	        UNIT(cache_of_others_is_not_used),
	        UNIT(damaged_entries_are_replaced),
	        UNIT(many_at_once_agree),
	        UNIT(guest_unpacks_lz4_once),
	        UNIT(known_content_is_found_in_a_new_file),
	        UNIT(guest_without_room_does_not),
	        UNIT(guest_does_not_unpack_what_takes_long),
	        UNIT(background_keeps_only_what_is_sound),
	        UNIT(without_a_cache_the_guest_unpacks),
	        UNIT(older_hosts_keep_it_too),
	        UNIT(oldest_entries_go),
	        UNIT(what_would_fill_the_cache_alone_is_not_kept),
	        {0},
	};

	return unit_run("boot_cache", tests);
}
