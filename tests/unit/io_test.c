#include "vmm/io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/loop.h"

enum { DEPTH = 8, SIZE = 1 << 20 };

struct bench {
	struct loop *loop;
	struct io *io;
	pthread_mutex_t lock;
	pthread_cond_t settled;
	unsigned batches;
};

struct test_request {
	struct io_request io;
	bool ended;
	int result;
};

static void settled(void *context)
{
	struct bench *bench = context;

	bench->batches++;
	pthread_cond_signal(&bench->settled);
}

/* Without a spare descriptor there is no ring: the synchronous way. */
static void bench_init(struct bench *bench, bool synchronous)
{
	struct rlimit limit, none = {0, 0};

	*bench = (struct bench){.loop = loop_create()};
	pthread_mutex_init(&bench->lock, NULL);
	pthread_cond_init(&bench->settled, NULL);
	getrlimit(RLIMIT_NOFILE, &limit);
	none.rlim_max = limit.rlim_max;
	if (synchronous)
		setrlimit(RLIMIT_NOFILE, &none);
	bench->io = io_create(bench->loop, &bench->lock, DEPTH, settled, bench);
	setrlimit(RLIMIT_NOFILE, &limit);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bench->io);
	if (synchronous)
		CU_ASSERT_FALSE(io_is_async(bench->io));
	CU_ASSERT_EQUAL(loop_start(bench->loop), 0);
}

static void bench_destroy(struct bench *bench)
{
	io_destroy(bench->io);
	loop_stop(bench->loop);
	loop_destroy(bench->loop);
	pthread_cond_destroy(&bench->settled);
	pthread_mutex_destroy(&bench->lock);
}

static void ended(struct io_request *io, int result)
{
	struct test_request *request = (struct test_request *)io;

	CU_ASSERT_FALSE(request->ended);
	request->ended = true;
	request->result = result;
}

/* The end by way of the loop, as a guest would see it. */
static int run(struct bench *bench, enum io_operation operation, int fd,
        uint64_t offset, uint64_t size, const struct iovec *iov, unsigned count)
{
	struct test_request request = {.io = {
	                                       .operation = operation,
	                                       .fd = fd,
	                                       .offset = offset,
	                                       .size = size,
	                                       .iov = iov,
	                                       .iov_count = count,
	                                       .done = ended,
	                               }};

	pthread_mutex_lock(&bench->lock);
	io_submit(bench->io, &request.io);
	io_flush(bench->io);
	while (!request.ended)
		pthread_cond_wait(&bench->settled, &bench->lock);
	pthread_mutex_unlock(&bench->lock);
	return request.result;
}

static int memory_file(void)
{
	int fd = memfd_create("io", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		abort();
	return fd;
}

static void pattern(uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = i * 7 + i / 251;
}

static void write_and_read_back(bool synchronous)
{
	static uint8_t data[10000], back[10000];
	const struct iovec out[] = {{data, 1}, {data + 1, 4095}, {data + 4096, 5904}};
	const struct iovec in[] = {{back, 9999}, {back + 9999, 1}};
	struct bench bench;
	int fd = memory_file();

	bench_init(&bench, synchronous);
	pattern(data, sizeof(data));
	memset(back, 0, sizeof(back));
	CU_ASSERT_EQUAL(run(&bench, IO_WRITE, fd, 777, 10000, out, 3), 0);
	CU_ASSERT_EQUAL(run(&bench, IO_SYNC, fd, 0, 0, NULL, 0), 0);
	CU_ASSERT_EQUAL(run(&bench, IO_READ, fd, 777, 10000, in, 2), 0);
	CU_ASSERT_EQUAL(memcmp(data, back, sizeof(data)), 0);
	bench_destroy(&bench);
	close(fd);
}

static void segments_are_written_and_read(void)
{
	write_and_read_back(false);
	write_and_read_back(true);
}

static void errors_of_the_host_are_handed_on(void)
{
	char data[16];
	const struct iovec iov = {data, sizeof(data)};
	int readonly = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int full = open("/dev/full", O_RDWR | O_CLOEXEC), fd = memory_file();

	for (unsigned synchronous = 0; synchronous < 2; synchronous++) {
		struct bench bench;
		bench_init(&bench, synchronous);
		CU_ASSERT_EQUAL(
		        run(&bench, IO_WRITE, readonly, 0, 16, &iov, 1), -EBADF);
		CU_ASSERT_EQUAL(run(&bench, IO_WRITE, full, 0, 16, &iov, 1), -ENOSPC);
		/* The end of the file, met at once and on the way. */
		CU_ASSERT_EQUAL(run(&bench, IO_READ, fd, SIZE, 16, &iov, 1), -EIO);
		CU_ASSERT_EQUAL(run(&bench, IO_READ, fd, SIZE - 8, 16, &iov, 1), -EIO);
		bench_destroy(&bench);
	}
	close(readonly);
	close(full);
	close(fd);
}

/* Files of /proc are read in pieces of about a page, whatever one asks for. */
static void short_reads_are_continued(void)
{
	static char expected[40000], data[40000];
	const struct iovec iov[] = {
	        {data, 3}, {data + 3, 5000}, {data + 5003, 1}, {data + 5004, 34996}};
	int fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	size_t size = 0;
	ssize_t got = 1;

	for (; got > 0 && size < sizeof(expected); size += got)
		got = pread(fd, expected + size, sizeof(expected) - size, size);
	if (size == sizeof(expected))
		for (unsigned synchronous = 0; synchronous < 2; synchronous++) {
			struct bench bench;
			bench_init(&bench, synchronous);
			memset(data, 0, sizeof(data));
			CU_ASSERT_EQUAL(
			        run(&bench, IO_READ, fd, 0, sizeof(data), iov, 4), 0);
			CU_ASSERT_EQUAL(memcmp(data, expected, sizeof(data)), 0);
			bench_destroy(&bench);
		}
	close(fd);
}

/* A write that crosses the largest size for a file is cut there, then refused. */
static void short_writes_are_continued(void)
{
	static uint8_t data[4096], back[1000];
	const struct iovec iov[] = {{data, 600}, {data + 600, 3496}};
	struct rlimit old, limit;

	pattern(data, sizeof(data));
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	for (unsigned synchronous = 0; synchronous < 2; synchronous++) {
		char path[] = "/tmp/mayfly-io-XXXXXX";
		int fd = mkstemp(path);
		struct bench bench;
		unlink(path);
		bench_init(&bench, synchronous);
		limit = (struct rlimit){1000, old.rlim_max};
		setrlimit(RLIMIT_FSIZE, &limit);
		CU_ASSERT_EQUAL(run(&bench, IO_WRITE, fd, 0, 4096, iov, 2), -EFBIG);
		setrlimit(RLIMIT_FSIZE, &old);
		CU_ASSERT_EQUAL(pread(fd, back, 1000, 0), 1000);
		CU_ASSERT_EQUAL(memcmp(back, data, 1000), 0);
		bench_destroy(&bench);
		close(fd);
	}
}

static bool range_is(int fd, off_t from, off_t to, int byte)
{
	static uint8_t data[SIZE];

	if (pread(fd, data, to - from, from) != to - from)
		return false;
	for (off_t i = 0; i < to - from; i++)
		if (data[i] != byte)
			return false;
	return true;
}

/* A memfd cannot ZERO_RANGE, so IO_ZERO writes zeroes there, in several steps. */
static void ranges_become_zero_by_whatever_works(void)
{
	static const enum io_operation operations[] = {IO_ZERO, IO_UNMAP, IO_DISCARD};
	static uint8_t ones[SIZE];
	const struct iovec iov = {ones, SIZE};
	const off_t from = 1536, to = SIZE - 512;

	memset(ones, 1, sizeof(ones));
	for (unsigned i = 0; i < 6; i++) {
		struct bench bench;
		int fd = memory_file();
		bench_init(&bench, i >= 3);
		CU_ASSERT_EQUAL(run(&bench, IO_WRITE, fd, 0, SIZE, &iov, 1), 0);
		CU_ASSERT_EQUAL(
		        run(&bench, operations[i % 3], fd, from, to - from, NULL, 0),
		        0);
		CU_ASSERT_TRUE(range_is(fd, 0, from, 1));
		CU_ASSERT_TRUE(range_is(fd, from, to, 0));
		CU_ASSERT_TRUE(range_is(fd, to, SIZE, 1));
		bench_destroy(&bench);
		close(fd);
	}
}

/* /dev/zero knows no fallocate() at all. */
static void impossible_ranges_are_errors(void)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	for (unsigned synchronous = 0; synchronous < 2; synchronous++) {
		struct bench bench;
		bench_init(&bench, synchronous);
		CU_ASSERT_EQUAL(run(&bench, IO_ZERO, fd, 0, 512, NULL, 0), -ENODEV);
		bench_destroy(&bench);
	}
	close(fd);
}

static void more_than_the_depth_and_drain(void)
{
	enum { REQUESTS = 10 * DEPTH };
	static uint8_t data[REQUESTS][512];
	struct test_request requests[REQUESTS];
	struct iovec iov[REQUESTS];
	int fd = memory_file();

	for (unsigned synchronous = 0; synchronous < 2; synchronous++) {
		struct bench bench;
		bench_init(&bench, synchronous);
		pthread_mutex_lock(&bench.lock);
		for (unsigned i = 0; i < REQUESTS; i++) {
			memset(data[i], i, 512);
			iov[i] = (struct iovec){data[i], 512};
			requests[i] = (struct test_request){
			        .io = {IO_WRITE, fd, false, i * 512, 512, &iov[i], 1,
			                ended, 0, 0}};
			io_submit(bench.io, &requests[i].io);
		}
		io_drain(bench.io);
		for (unsigned i = 0; i < REQUESTS; i++)
			CU_ASSERT_TRUE(requests[i].ended && requests[i].result == 0);
		CU_ASSERT_EQUAL(bench.batches, 0);
		pthread_mutex_unlock(&bench.lock);
		for (unsigned i = 0; i < REQUESTS; i++)
			CU_ASSERT_TRUE(range_is(fd, i * 512, i * 512 + 512, i));
		bench_destroy(&bench);
	}
	close(fd);
}

static void destroy_ends_what_is_under_way(void)
{
	uint8_t data[512] = {0};
	const struct iovec iov = {data, 512};
	struct test_request request = {
	        .io = {IO_WRITE, memory_file(), true, 0, 512, &iov, 1, ended, 0, 0}};
	struct bench bench;

	bench_init(&bench, false);
	pthread_mutex_lock(&bench.lock);
	io_submit(bench.io, &request.io);
	pthread_mutex_unlock(&bench.lock);
	bench_destroy(&bench);
	CU_ASSERT_TRUE(request.ended && request.result == 0);
	close(request.io.fd);
	io_destroy(NULL);
}

/* One of 1 GiB, of which nothing is in the file: for the page cache, a fraction of a second. */
static void long_requests_are_cut_short(void)
{
	enum { SEGMENTS = 64, SEGMENT = 16 << 20 };
	struct test_request request = {.io = {.operation = IO_READ,
	                                       .fd = memory_file(),
	                                       .size = (uint64_t)SEGMENTS * SEGMENT,
	                                       .iov_count = SEGMENTS,
	                                       .done = ended}};
	struct iovec iov[SEGMENTS];
	struct bench bench;
	void *data = mmap(NULL, SEGMENT, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_FATAL(data != MAP_FAILED);
	CU_ASSERT(!ftruncate(request.io.fd, (off_t)request.io.size));
	for (unsigned i = 0; i < SEGMENTS; i++)
		iov[i] = (struct iovec){data, SEGMENT};
	request.io.iov = iov;
	bench_init(&bench, false);
	pthread_mutex_lock(&bench.lock);
	io_submit(bench.io, &request.io);
	io_flush(bench.io);
	CU_ASSERT_FALSE(request.ended);
	io_cancel(bench.io);
	CU_ASSERT(request.ended && request.result == -ECANCELED);
	CU_ASSERT(request.io.progress < request.io.size / 2);
	pthread_mutex_unlock(&bench.lock);
	bench_destroy(&bench);
	munmap(data, SEGMENT);
	close(request.io.fd);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(segments_are_written_and_read),
	        UNIT(errors_of_the_host_are_handed_on),
	        UNIT(short_reads_are_continued),
	        UNIT(short_writes_are_continued),
	        UNIT(ranges_become_zero_by_whatever_works),
	        UNIT(impossible_ranges_are_errors),
	        UNIT(more_than_the_depth_and_drain),
	        UNIT(destroy_ends_what_is_under_way),
	        UNIT(long_requests_are_cut_short),
	        {0},
	};

	return unit_run("io", tests);
}
