/*
 * An entry has two kinds of names, which are links to one file.
 *
 * `data-...` is named by content: the size of what it was made from, a number from that
 * (which tell at once what is not there) and a keyed hash of all of it, under a secret of
 * this cache. Whoever made the bytes can see neither the secret nor any name here, so he
 * cannot aim at the name of others: two contents share one with a chance of 2^-64, however
 * they were chosen. A hash that need not resist those who know its key is some twenty times
 * as fast. The bytes are hashed in the very copy that the entry is made from, so a file
 * that changes meanwhile gains nothing.
 *
 * `file-...` is named by a file's device, inode, size and times, and is what makes a warm
 * start cheap: the file is not even read. That must never find what an older content
 * left, so such a name is only made and looked for
 *
 *   - on file systems that keep a ctime by the clock. Nothing but the clock sets it: every
 *     write, truncation or rename over the name gives another ctime or inode, whatever
 *     happens to mtime. Images that are mounted, network and FUSE are not among them;
 *   - if the ctime is not a whole second: mke2fs -d and its like write such ones, and two
 *     disks made alike may sit at the same loop device one after the other;
 *   - if the ctime is 3 seconds old: a write in the same tick of the clock as the one
 *     before it would leave it as it was.
 *
 * All else is found by content. The directory is this user's, 0700, as is every file, or it
 * is not used. A file is written under a third name, synced, then linked: a name is there
 * with all of its data or not at all, after a power failure too. Names are removed and
 * linked anew but files are never written again, for guests may have them mapped.
 */
#include "boot/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	KEEP_FILES = 16,
	KEEP_NAMES = 128,
	KEEP_LISTED = 1024,
	SETTLED_S = 3,     /* two ticks of the coarsest clock, FAT's */
	ABANDONED_S = 600, /* a file that nobody can still be writing */
	FORMAT = 2,        /* another one for what is made differently */
	BLOCK = 1024,      /* hashed at a time */
	BLOCK_WORDS = BLOCK / sizeof(uint64_t),
};

static const uint64_t keep_bytes = 1 << 30;

/* Whether only this user can have made and can change it. */
static bool is_own(int fd, mode_t type, mode_t forbidden)
{
	struct stat stat;

	return fstat(fd, &stat) == 0 && (stat.st_mode & S_IFMT) == type &&
	       stat.st_uid == geteuid() && !(stat.st_mode & forbidden);
}

static int checked(int fd, mode_t type, mode_t forbidden)
{
	if (fd < 0 || is_own(fd, type, forbidden))
		return fd;
	close(fd);
	return -1;
}

/* Made if it is missing. */
static int directory_open(int parent, const char *name, int flags, mode_t forbidden)
{
	int fd;

	flags |= O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	fd = openat(parent, name, flags);
	if (fd < 0 && errno == ENOENT && mkdirat(parent, name, 0700) == 0)
		fd = openat(parent, name, flags);
	return checked(fd, S_IFDIR, forbidden);
}

int cache_open(void)
{
	/* XDG Base Directory Specification: a relative one is to be ignored. */
	const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char path[PATH_MAX];
	int parent, dir;

	if (!base || base[0] != '/') {
		if (!home || home[0] != '/' ||
		        snprintf(path, sizeof(path), "%s/.cache", home) >=
		                (int)sizeof(path))
			return -1;
		base = path;
	}
	/* With sudo this may be another's; to leave things there helps nobody. */
	parent = directory_open(AT_FDCWD, base, 0, 022);
	if (parent < 0)
		return -1;
	dir = directory_open(parent, "mayfly", O_NOFOLLOW, 077);
	close(parent);
	return dir;
}

int cache_find(int dir, const char *name)
{
	return checked(
	        openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC),
	        S_IFREG, 077);
}

int cache_create(int dir, char temporary[CACHE_NAME])
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		return -1;
	snprintf(temporary, CACHE_NAME, "new-%016" PRIx64, random);
	return openat(dir, temporary,
	        O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

void cache_remove(int dir, const char *name)
{
	unlinkat(dir, name, 0);
}

void cache_link(int dir, const char *content, const char *file)
{
	(void)!linkat(dir, content, dir, file, 0);
}

/* The secret. */
struct key {
	uint64_t block[BLOCK_WORDS];
	uint64_t sip[2];
};

/* Made on first use; two at once agree on the one that was linked first. */
static bool key_read(int dir, struct key *key)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		int fd = cache_find(dir, "key");
		char temporary[CACHE_NAME];
		ssize_t size;

		if (fd >= 0) {
			size = read(fd, key, sizeof(*key));
			close(fd);
			if (size == sizeof(*key) && key->sip[0] && key->sip[1])
				return true;
			/* Lost in a power failure, and with it the names under it. */
			cache_remove(dir, "key");
		}
		fd = cache_create(dir, temporary);
		if (fd < 0)
			return false;
		if (getrandom(key, sizeof(*key), GRND_NONBLOCK) == sizeof(*key) &&
		        write(fd, key, sizeof(*key)) == sizeof(*key))
			cache_link(dir, temporary, "key");
		cache_remove(dir, temporary);
		close(fd);
	}
	return false;
}

static uint64_t rotate(uint64_t value, unsigned count)
{
	return value << count | value >> (64 - count);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

/*
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF", with 128 bits of output; one
 * round for each word and three at the end, as the hash tables of Rust and Python have it.
 */
static void sip_start(uint64_t v[4], const uint64_t key[2])
{
	v[0] = 0x736f6d6570736575 ^ key[0];
	v[1] = 0x646f72616e646f6d ^ key[1] ^ 0xee;
	v[2] = 0x6c7967656e657261 ^ key[0];
	v[3] = 0x7465646279746573 ^ key[1];
}

static void sip_add(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

static void sip_end(uint64_t v[4], uint64_t hash[2])
{
	v[2] ^= 0xee;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned round = 0; round < 3; round++)
			sip_round(v);
		hash[i] = v[0] ^ v[1] ^ v[2] ^ v[3];
		v[1] ^= 0xdd;
	}
}

/*
 * NH, of Black, Halevi, Krawczyk, Krovetz and Rogaway, "UMAC: fast and secure message
 * authentication", with words of 64 bits: a multiplication for every 16 bytes.
 */
static unsigned __int128 nh(const uint64_t key[BLOCK_WORDS], const unsigned char *block)
{
	unsigned __int128 sum = 0;

	for (unsigned i = 0; i < BLOCK_WORDS; i += 2) {
		uint64_t word[2];

		memcpy(word, block + i * sizeof(word[0]), sizeof(word));
		sum += (unsigned __int128)(word[0] + key[i]) * (word[1] + key[i + 1]);
	}
	return sum;
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* What can be told of a content's name without reading it. */
static int content_start(size_t size, uint32_t mark, char start[CACHE_NAME])
{
	return snprintf(
	        start, CACHE_NAME, "data-%d-%zx-%" PRIx32 "-", FORMAT, size, mark);
}

bool cache_has_content(int dir, size_t size, uint32_t mark)
{
	DIR *list = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	char start[CACHE_NAME];
	struct dirent *next;
	bool found = false;

	content_start(size, mark, start);
	while (list && !found && (next = readdir(list)))
		found = starts_with(next->d_name, start);
	if (list)
		closedir(list);
	return found;
}

/* NH makes 16 bytes of each KiB, zeros behind the last, and SipHash the name of them all. */
bool cache_name_content(
        int dir, const void *data, size_t size, uint32_t mark, char name[CACHE_NAME])
{
	unsigned char last[BLOCK] = {0};
	uint64_t v[4], hash[2];
	struct key key;
	int start;

	if (!key_read(dir, &key))
		return false;
	sip_start(v, key.sip);
	sip_add(v, size);
	for (size_t at = 0; at < size; at += BLOCK) {
		const unsigned char *block = (const unsigned char *)data + at;
		unsigned __int128 sum;

		if (size - at < BLOCK)
			block = memcpy(last, block, size - at);
		sum = nh(key.block, block);
		sip_add(v, (uint64_t)sum);
		sip_add(v, (uint64_t)(sum >> 64));
	}
	sip_end(v, hash);
	start = content_start(size, mark, name);
	snprintf(name + start, (size_t)(CACHE_NAME - start),
	        "%016" PRIx64 "%016" PRIx64, hash[0], hash[1]);
	return true;
}

/* Whose ctime is this host's clock. */
static bool keeps_ctime(int fd)
{
	enum { XFS = 0x58465342, ZFS = 0x2fc12fc1 };
	struct statfs statfs;

	if (fstatfs(fd, &statfs) < 0)
		return false;
	switch ((uint32_t)statfs.f_type) {
	case BTRFS_SUPER_MAGIC:
	case EXT4_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case RAMFS_MAGIC:
	case TMPFS_MAGIC:
	case XFS:
	case ZFS:
		return true;
	default:
		return false;
	}
}

bool cache_name_file(int fd, uint32_t mark, char name[CACHE_NAME])
{
	struct timespec now;
	struct stat stat;

	if (!keeps_ctime(fd) || fstat(fd, &stat) < 0 ||
	        clock_gettime(CLOCK_REALTIME, &now) < 0 || !stat.st_ctim.tv_nsec ||
	        now.tv_sec - stat.st_ctim.tv_sec <= SETTLED_S)
		return false;
	return snprintf(name, CACHE_NAME, "file-%d-%jx-%jx-%jx-%jx.%lx-%jx.%lx-%x",
	               FORMAT, (uintmax_t)stat.st_dev, (uintmax_t)stat.st_ino,
	               (uintmax_t)stat.st_size, (uintmax_t)stat.st_mtim.tv_sec,
	               stat.st_mtim.tv_nsec, (uintmax_t)stat.st_ctim.tv_sec,
	               stat.st_ctim.tv_nsec, mark) < CACHE_NAME;
}

struct entry {
	char name[CACHE_NAME];
	struct timespec time;
	ino_t inode;
	uint64_t bytes;
};

/* What it takes on the disk, without its holes. */
static uint64_t bytes_of(const struct stat *stat)
{
	return (uint64_t)stat->st_blocks * 512;
}

/* The newest first, and the names of one file together. */
static int entry_compare(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	if (a->time.tv_sec != b->time.tv_sec)
		return a->time.tv_sec < b->time.tv_sec ? 1 : -1;
	if (a->time.tv_nsec != b->time.tv_nsec)
		return a->time.tv_nsec < b->time.tv_nsec ? 1 : -1;
	return a->inode < b->inode ? 1 : a->inode > b->inode ? -1 : 0;
}

static void trim_entries(int dir, struct entry *entries, size_t count)
{
	uint64_t bytes = 0;
	unsigned files = 0;

	qsort(entries, count, sizeof(*entries), entry_compare);
	for (size_t i = 0; i < count; i++) {
		if (!i || entries[i].inode != entries[i - 1].inode) {
			files++;
			bytes += entries[i].bytes;
		}
		if (files > KEEP_FILES || bytes > keep_bytes || i >= KEEP_NAMES)
			cache_remove(dir, entries[i].name);
	}
}

static void trim(int dir)
{
	struct entry *entries = calloc(KEEP_LISTED, sizeof(*entries));
	DIR *list = fdopendir(dup(dir));
	struct dirent *next;
	size_t count = 0;

	while (entries && list && count < KEEP_LISTED && (next = readdir(list))) {
		struct entry *entry = entries + count;
		struct stat stat;

		if (strlen(next->d_name) >= CACHE_NAME ||
		        fstatat(dir, next->d_name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		strcpy(entry->name, next->d_name);
		entry->time = stat.st_mtim;
		entry->inode = stat.st_ino;
		entry->bytes = bytes_of(&stat);
		if (starts_with(entry->name, "new-")) {
			if (time(NULL) - stat.st_mtim.tv_sec > ABANDONED_S)
				cache_remove(dir, entry->name);
		} else if (starts_with(entry->name, "data-") ||
		           starts_with(entry->name, "file-")) {
			count++;
		}
	}
	if (entries)
		trim_entries(dir, entries, count);
	if (list)
		closedir(list);
	free(entries);
}

/* Hosts before Linux 5.9 have no close_range(), and sandboxes of that age refuse it. */
static void close_from(int first)
{
	enum { FDS_MAX = 1 << 16 };
	long limit = sysconf(_SC_OPEN_MAX);

	if (syscall(SYS_close_range, first, UINT_MAX, 0) == 0)
		return;
	for (int fd = first; fd < FDS_MAX && fd < limit; fd++)
		close(fd);
}

/* `fds` become 3 and 4, and nothing else is open: neither the terminal nor a pipe's end. */
static bool keep_only(const int fds[2])
{
	enum { FIRST = 3, FREE = FIRST + 2 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), copies[2];

	if (null < 0)
		return false;
	for (int i = 0; i < FIRST; i++)
		if (dup2(null, i) < 0)
			return false;
	for (int i = 0; i < 2; i++) {
		copies[i] = fcntl(fds[i], F_DUPFD, FREE);
		if (copies[i] < 0)
			return false;
	}
	for (int i = 0; i < 2; i++)
		if (dup2(copies[i], FIRST + i) < 0)
			return false;
	close_from(FREE);
	return true;
}

static void idle_run(
        int dir, int fd, void (*work)(int dir, int fd, void *context), void *context)
{
	const struct sched_param priority = {0};
	const int fds[] = {dir, fd};

	/* No session of its own: it would have that one's share of the CPU (sched(7)). */
	setpgid(0, 0);
	/* musl's function refuses: POSIX would have it set every thread, Linux sets one. */
	syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &priority);
	if (keep_only(fds))
		work(3, 4, context);
}

/* Forks twice, so that it is nobody's child that would have to be waited for. */
int cache_background(
        int dir, int fd, void (*work)(int dir, int fd, void *context), void *context)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0)
			idle_run(dir, fd, work, context);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return pid < 0 ? -errno : 0;
}

struct names {
	const char *temporary, *content, *file;
};

static void publish(int dir, int fd, void *context)
{
	const struct names *names = context;

	if (fdatasync(fd) == 0) {
		cache_link(dir, names->temporary, names->content);
		if (*names->file)
			cache_link(dir, names->content, names->file);
	}
	cache_remove(dir, names->temporary);
	trim(dir);
}

void cache_publish(
        int dir, int fd, const char *temporary, const char *content, const char *file)
{
	struct names names = {temporary, content, file};
	struct stat stat;

	/* A disk that is larger than all together would take the others' place, and its own. */
	if (fstat(fd, &stat) < 0 || bytes_of(&stat) > keep_bytes ||
	        cache_background(dir, fd, publish, &names) < 0)
		cache_remove(dir, temporary);
}
