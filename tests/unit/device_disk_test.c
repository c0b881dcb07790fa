/* Disks of every format against images that qemu-img wrote, and against damaged ones. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/disk.h"
#include "tests/unit/loop_fake.h"
#include "tests/unit/unit.h"

enum { SIZE = 12 << 20, DEPTH = 16, PIECE = 192 << 10 };

static char folder[] = "/tmp/mayfly-disk-XXXXXX";
static unsigned char content[SIZE], found[SIZE];

/* Runs a command in the folder of this test; true if it succeeds. */
__attribute__((format(printf, 1, 2))) static bool run(const char *format, ...)
{
	char command[512];
	va_list list;

	va_start(list, format);
	vsnprintf(command, sizeof(command), format, list);
	va_end(list);
	return system(command) == 0;
}

static bool have_qemu_img(void)
{
	return run("qemu-img --version >/dev/null 2>&1");
}

/* Random, zero and repeated bytes, in runs of odd sizes. */
static void make_content(void)
{
	unsigned seed = 1;

	for (size_t at = 0; at < SIZE;) {
		size_t run_size = 1000 + (seed >> 8) % 300000, kind = seed >> 4 & 3;

		for (; run_size > 0 && at < SIZE; run_size--, at++) {
			seed = seed * 1103515245 + 12345;
			content[at] = kind == 0   ? 0
			              : kind == 1 ? seed >> 16
			                          : (unsigned char)("mayfly "[at % 7]);
		}
	}
}

static void write_file(const char *name, const void *data, size_t size)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd))
		abort();
}

/* A disk under way: one lock, a loop that the test moves. */
struct bench {
	struct disk *disk;
	struct loop *loop;
	pthread_mutex_t lock;
};

static void bench_settled(void *context __attribute__((unused)))
{
}

static bool bench_open(struct bench *bench, const struct disk_config *config)
{
	bench->disk = disk_open(config);
	if (!bench->disk)
		return false;
	bench->loop = loop_create();
	pthread_mutex_init(&bench->lock, NULL);
	if (disk_start(
	            bench->disk, bench->loop, &bench->lock, DEPTH, bench_settled, NULL))
		abort();
	return true;
}

static void bench_close(struct bench *bench)
{
	disk_close(bench->disk);
	loop_destroy(bench->loop);
	pthread_mutex_destroy(&bench->lock);
}

struct job {
	struct disk_request request;
	struct iovec iov[3];
	int result;
};

static void job_done(struct disk_request *request, int result)
{
	((struct job *)request)->result = result;
}

/* Reads all of the disk, DEPTH requests at once, each in three segments. */
static int read_all(struct bench *bench, unsigned char *data, uint64_t size)
{
	static struct job jobs[DEPTH];
	uint64_t at = 0;
	int error = 0;

	while (at < size && !error) {
		unsigned count = 0;

		pthread_mutex_lock(&bench->lock);
		for (; count < DEPTH && at < size; count++) {
			uint64_t length = size - at < PIECE ? size - at : PIECE;

			jobs[count] = (struct job){
			        .request = {.operation = DISK_READ,
			                .offset = at,
			                .size = length,
			                .iov = jobs[count].iov,
			                .iov_count = 3,
			                .done = job_done},
			        .iov = {{data + at, 100},
			                {data + at + 100, length - 300},
			                {data + at + length - 200, 200}},
			        .result = 1,
			};
			disk_submit(bench->disk, &jobs[count].request);
			at += length;
		}
		disk_flush_queue(bench->disk);
		disk_drain(bench->disk);
		pthread_mutex_unlock(&bench->lock);
		for (unsigned i = 0; i < count && !error; i++)
			error = jobs[i].result;
	}
	return error;
}

/* That the disk holds `content`, read either way. */
static void holds_content(const struct disk_config *config)
{
	struct bench bench;

	CU_ASSERT_TRUE_FATAL(bench_open(&bench, config));
	CU_ASSERT_TRUE_FATAL(disk_info(bench.disk)->size >= SIZE);
	memset(found, 0xee, SIZE);
	CU_ASSERT_EQUAL(disk_read_now(bench.disk, 0, found, SIZE), 0);
	CU_ASSERT_EQUAL(memcmp(found, content, SIZE), 0);
	memset(found, 0xee, SIZE);
	CU_ASSERT_EQUAL(read_all(&bench, found, SIZE), 0);
	CU_ASSERT_EQUAL(memcmp(found, content, SIZE), 0);
	CU_ASSERT_EQUAL(disk_read_now(bench.disk, 12345, found, 77), 0);
	CU_ASSERT_EQUAL(memcmp(found, content + 12345, 77), 0);
	CU_ASSERT_EQUAL(
	        disk_read_now(bench.disk, disk_info(bench.disk)->size, found, 1),
	        -EINVAL);
	CU_ASSERT_EQUAL(disk_read_now(bench.disk, 1, found, SIZE_MAX), -EINVAL);
	bench_close(&bench);
}

static const struct {
	const char *options, *name;
} images[] = {
        {"-O qcow2", "plain.qcow2"},
        {"-O qcow2 -c", "deflate.qcow2"},
        {"-O qcow2 -c -o compression_type=zstd", "zstd.qcow2"},
        {"-O qcow2 -o compat=0.10", "v2.qcow2"},
        {"-O qcow2 -o cluster_size=512", "small.qcow2"},
        {"-O qcow2 -c -o cluster_size=2M", "large.QCOW2"},
        {"-O qcow2 -o extended_l2=on", "extended.qcow2"},
        {"-O qcow2 -c -o extended_l2=on,cluster_size=16k", "packed.qcow2"},
        {"-O vpc", "dynamic.vhd"},
        {"-O vpc -o subformat=fixed,force_size", "fixed.vhd"},
        {"-O vmdk", "sparse.vmdk"},
        {"-O vmdk -o subformat=streamOptimized", "stream.vmdk"},
};

static void images_hold_what_qemu_img_wrote(void)
{
	if (!have_qemu_img()) {
		puts("skip images_hold_what_qemu_img_wrote: no qemu-img");
		return;
	}
	write_file("raw", content, SIZE);
	holds_content(&(struct disk_config){.path = "raw", .readonly = true});
	for (unsigned i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		CU_ASSERT_TRUE(run("qemu-img convert -f raw %s raw %s",
		        images[i].options, images[i].name));
		holds_content(&(struct disk_config){
		        .path = images[i].name, .readonly = true});
	}
}

static void a_backing_file_is_read_only_when_asked_for(void)
{
	struct disk_config config = {.path = "above.qcow2", .readonly = true};

	if (!have_qemu_img())
		return;
	write_file("raw", content, SIZE);
	/* Longer than what it is based on, which is not named by its ending. */
	CU_ASSERT_TRUE(run("qemu-img convert -f raw -O qcow2 raw middle.img && "
	                   "qemu-img create -q -f qcow2 -b middle.img -F qcow2 "
	                   "above.qcow2 20M"));
	CU_ASSERT_PTR_NULL(disk_open(&config));
	config.backing = true;
	holds_content(&config);
	/* Two that are based on each other. */
	CU_ASSERT_TRUE(run("for i in loop other; do qemu-img create -q -f qcow2 -u "
	                   "-b $i.qcow2 -F qcow2 loop$i.qcow2 1M; done && "
	                   "ln -s looploop.qcow2 other.qcow2 && "
	                   "ln -s loopother.qcow2 loop.qcow2"));
	config.path = "loop.qcow2";
	CU_ASSERT_PTR_NULL(disk_open(&config));
}

static void a_format_is_told_by_the_name_alone(void)
{
	CU_ASSERT_EQUAL(disk_format_of("a.qcow2"), DISK_QCOW2);
	CU_ASSERT_EQUAL(disk_format_of("d/a.VHD"), DISK_VHD);
	CU_ASSERT_EQUAL(disk_format_of("a.vmdk"), DISK_VMDK);
	CU_ASSERT_EQUAL(disk_format_of("a.img"), DISK_RAW);
	CU_ASSERT_EQUAL(disk_format_of(".qcow2"), DISK_RAW);
	CU_ASSERT_EQUAL(disk_format_of("qcow2"), DISK_RAW);
	/* Though it looks like a qcow2. */
	memset(found, 0, 4096);
	memcpy(found, "QFI\xfb\0\0\0\3", 8);
	write_file("looks.img", found, 4096);
	struct disk *disk = disk_open(&(struct disk_config){.path = "looks.img"});
	CU_ASSERT_PTR_NOT_NULL_FATAL(disk);
	CU_ASSERT_STRING_EQUAL(disk_info(disk)->format, "raw");
	CU_ASSERT_EQUAL(disk_info(disk)->size, 4096);
	disk_close(disk);
	CU_ASSERT_PTR_NULL(disk_open(
	        &(struct disk_config){.path = "looks.img", .format = DISK_QCOW2}));
}

/* The next number of a sequence that each run has. */
static unsigned draw(unsigned below)
{
	static unsigned seed = 7;

	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static void job_draw(struct job *job, unsigned char *buffer, uint64_t start)
{
	const uint64_t part = SIZE / DEPTH;
	uint64_t size = 512 * (1 + draw(draw(4) ? 20 : 2 * PIECE / 512));
	enum disk_operation operation = draw(5);

	if (operation == DISK_FLUSH && draw(4))
		operation = DISK_WRITE;
	*job = (struct job){
	        .request = {.operation = operation,
	                .stable = operation == DISK_WRITE && !draw(8),
	                .unmap = draw(2),
	                .offset = start + 512 * draw((unsigned)((part - size) / 512)),
	                .size = size,
	                .iov = job->iov,
	                .iov_count = 2,
	                .done = job_done},
	        .iov = {{buffer, 8}, {buffer + 8, size - 8}},
	        .result = 1,
	};
	for (uint64_t i = 0; operation == DISK_WRITE && i < size; i++)
		buffer[i] = (unsigned char)(draw(256) | 1);
}

/* What a request did is what `content` holds from now on. */
static void job_check(struct bench *bench, const struct job *job)
{
	const struct disk_request *request = &job->request;
	unsigned char *there = content + request->offset;
	const unsigned char *buffer = job->iov[0].iov_base;

	CU_ASSERT_EQUAL(job->result, 0);
	switch (request->operation) {
	case DISK_READ:
		CU_ASSERT_EQUAL(memcmp(there, buffer, request->size), 0);
		break;
	case DISK_WRITE:
		memcpy(there, buffer, request->size);
		break;
	case DISK_ZERO:
		memset(there, 0, request->size);
		break;
	case DISK_DISCARD: /* may be there still or not */
		CU_ASSERT_EQUAL(disk_read_now(bench->disk, request->offset, there,
		                        request->size),
		        0);
		break;
	case DISK_FLUSH:
		break;
	}
}

/* DEPTH requests at once, each in a part of the disk of its own. */
static void round_of_requests(struct bench *bench)
{
	static struct job jobs[DEPTH];
	static unsigned char buffers[DEPTH][2 * PIECE];

	pthread_mutex_lock(&bench->lock);
	for (unsigned i = 0; i < DEPTH; i++) {
		job_draw(&jobs[i], buffers[i], i * (uint64_t)(SIZE / DEPTH));
		disk_submit(bench->disk, &jobs[i].request);
	}
	disk_flush_queue(bench->disk);
	disk_drain(bench->disk);
	pthread_mutex_unlock(&bench->lock);
	for (unsigned i = 0; i < DEPTH; i++)
		job_check(bench, &jobs[i]);
}

static void change_much(const struct disk_config *config, unsigned rounds)
{
	struct bench bench;

	CU_ASSERT_TRUE_FATAL(bench_open(&bench, config));
	while (rounds-- > 0)
		round_of_requests(&bench);
	memset(found, 0xee, SIZE);
	CU_ASSERT_EQUAL(read_all(&bench, found, SIZE), 0);
	CU_ASSERT_EQUAL(memcmp(found, content, SIZE), 0);
	bench_close(&bench);
}

static const struct {
	const char *make; /* of `raw` */
	bool backing;
} written[] = {
        {"convert -f raw -O qcow2 raw w.qcow2", false},
        {"convert -f raw -O qcow2 -c raw w.qcow2", false},
        {"convert -f raw -O qcow2 -c -o compression_type=zstd raw w.qcow2", false},
        {"convert -f raw -O qcow2 -o compat=0.10 raw w.qcow2", false},
        {"convert -f raw -O qcow2 -o cluster_size=512 raw w.qcow2", false},
        {"convert -f raw -O qcow2 -o cluster_size=2M raw w.qcow2", false},
        {"convert -f raw -O qcow2 -o refcount_bits=1 raw w.qcow2", false},
        {"convert -f raw -O qcow2 -o refcount_bits=64,cluster_size=512 raw w.qcow2",
                false},
        {"create -q -f qcow2 -b raw -F raw w.qcow2", true},
        {"create -q -f qcow2 -b raw -F raw -o compat=0.10 w.qcow2", true},
        {"create -q -f qcow2 -b raw -F raw -o cluster_size=1024 w.qcow2", true},
        {"convert -f raw -O qcow2 raw w.qcow2 && qemu-img snapshot -c one w.qcow2",
                false},
};

static void what_is_written_is_whole_for_qemu_img(void)
{
	if (!have_qemu_img()) {
		puts("skip what_is_written_is_whole_for_qemu_img: no qemu-img");
		return;
	}
	for (unsigned i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
		struct disk_config config = {
		        .path = "w.qcow2", .backing = written[i].backing};

		make_content();
		write_file("raw", content, SIZE);
		CU_ASSERT_TRUE_FATAL(
		        run("rm -f w.qcow2; qemu-img %s", written[i].make));
		change_much(&config, 12);
		change_much(&config, 12);
		write_file("wanted", content, SIZE);
		CU_ASSERT_TRUE(run("qemu-img check -q w.qcow2"));
		CU_ASSERT_TRUE(
		        run("qemu-img compare -q -f raw -F qcow2 wanted w.qcow2"));
		if (strstr(written[i].make, "snapshot"))
			CU_ASSERT_TRUE(run("qemu-img convert -l one -O raw w.qcow2 old "
			                   "&& cmp raw old"));
	}
}

static void a_new_disk_is_made_and_an_old_one_kept(void)
{
	struct disk_config config = {.path = "new.qcow2", .create_size = SIZE};

	memset(content, 0, SIZE);
	change_much(&config, 12);
	config.create_size = 2 * SIZE;
	change_much(&config, 4);
	write_file("wanted", content, SIZE);
	if (have_qemu_img()) {
		CU_ASSERT_TRUE(run("qemu-img check -q new.qcow2"));
		CU_ASSERT_TRUE(
		        run("qemu-img compare -q -f raw -F qcow2 wanted new.qcow2"));
	}
	/* No half-made file stays. */
	config = (struct disk_config){.path = "new.vhd", .create_size = SIZE};
	CU_ASSERT_PTR_NULL(disk_open(&config));
	CU_ASSERT_NOT_EQUAL(access("new.vhd", F_OK), 0);
	memset(content, 0, SIZE);
	config = (struct disk_config){.path = "new", .create_size = SIZE};
	change_much(&config, 2);
	CU_ASSERT_EQUAL(access("new", F_OK), 0);
}

static void an_ephemeral_disk_is_only_read(void)
{
	struct disk_config config = {.path = "kept", .ephemeral = true};
	struct disk *first, *second;

	make_content();
	write_file("kept", content, SIZE);
	CU_ASSERT_TRUE(run("cp kept copy && chmod 400 kept"));
	change_much(&config, 30);
	CU_ASSERT_TRUE(run("cmp kept copy"));
	/* By several at once. */
	first = disk_open(&config);
	second = disk_open(&config);
	CU_ASSERT_PTR_NOT_NULL(first);
	CU_ASSERT_PTR_NOT_NULL(second);
	disk_close(first);
	disk_close(second);
	make_content();
	if (have_qemu_img() && run("qemu-img convert -f raw -O vmdk kept kept.vmdk")) {
		config.path = "kept.vmdk";
		change_much(&config, 10);
	}
}

/*
 * Writes its own number into one cluster after the other, flushes, and then says so; until
 * it is killed. Each is written twice, so that clusters are allocated, kept and discarded.
 */
static void write_until_killed(int said)
{
	struct disk_config config = {.path = "killed.qcow2"};
	static unsigned char buffer[4096];
	struct bench bench;

	if (!bench_open(&bench, &config))
		_exit(1);
	pthread_mutex_lock(&bench.lock);
	for (unsigned number = 1;; number++) {
		static const enum disk_operation operations[] = {
		        DISK_WRITE, DISK_DISCARD, DISK_WRITE, DISK_FLUSH};

		memset(buffer, number % 251 + 1, sizeof(buffer));
		for (unsigned i = 0; i < 4; i++) {
			bool discard = operations[i] == DISK_DISCARD;
			struct iovec iov = {buffer, sizeof(buffer)};
			struct job job = {
			        .request = {.operation = operations[i],
			                .offset = (uint64_t)(number + discard * 40) %
			                          180 * (64 << 10),
			                .size = discard ? 64 << 10 : sizeof(buffer),
			                .iov = &iov,
			                .iov_count = 1,
			                .done = job_done}};

			disk_submit(bench.disk, &job.request);
			disk_drain(bench.disk);
			if (job.result)
				_exit(1);
		}
		if (write(said, &number, sizeof(number)) != sizeof(number))
			_exit(1);
	}
}

/* The kernel ends a killed process's ring, and with it the lock, a moment later. */
static void wait_unlocked(const char *path)
{
	int fd = open(path, O_RDWR);

	for (unsigned i = 0; i < 1000; i++) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

		if (fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type == F_UNLCK)
			break;
		usleep(5000);
	}
	close(fd);
}

static void a_killed_writer_leaves_a_whole_image(void)
{
	struct disk_config config = {.path = "killed.qcow2", .create_size = SIZE};
	unsigned char byte;

	if (!have_qemu_img()) {
		puts("skip a_killed_writer_leaves_a_whole_image: no qemu-img");
		return;
	}
	disk_close(disk_open(&config));
	for (unsigned i = 0; i < 8; i++) {
		unsigned wanted = 10 + draw(60), number = 0;
		int fds[2];
		pid_t pid;

		if (pipe(fds) < 0 || (pid = fork()) < 0)
			abort();
		if (pid == 0)
			write_until_killed(fds[1]);
		close(fds[1]);
		while (number < wanted &&
		        read(fds[0], &number, sizeof(number)) == sizeof(number))
			continue;
		usleep(draw(3000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(fds[0], &number, sizeof(number)) == sizeof(number))
			continue;
		close(fds[0]);
		CU_ASSERT_TRUE(number >= wanted);
		wait_unlocked("killed.qcow2");
		/* 3: clusters are lost, and nothing else is wrong. */
		CU_ASSERT_TRUE(run("qemu-img check -q killed.qcow2 2>/dev/null; "
		                   "[ $? = 0 -o $? = 3 ]"));
		/* What was flushed last is there. */
		struct disk *disk = disk_open(&config);
		CU_ASSERT_PTR_NOT_NULL_FATAL(disk);
		CU_ASSERT_EQUAL(disk_read_now(disk, (uint64_t)number % 180 * (64 << 10),
		                        &byte, 1),
		        0);
		CU_ASSERT_TRUE(
		        byte == number % 251 + 1 || byte == (number + 180) % 251 + 1);
		disk_close(disk);
	}
}

/* One change of a sound image, and how far it must be seen. */
struct damage {
	const char *image; /* of `images`, or "w.qcow2" */
	off_t offset;      /* from the end if negative */
	unsigned size;     /* of the value, big-endian; 0: the file ends here */
	uint64_t value;
	bool opens; /* it opens, and then reads or writes fail */
	bool writes;
};

/* Where qemu-img puts things in a new file of 64 KiB clusters: refcount table 0x10000,
 * block 0x20000, L1 table 0x30000, the first L2 table 0x40000. */
static const struct damage damages[] = {
        {"plain.qcow2", 0, 4, 0, false, false},
        {"plain.qcow2", 4, 4, 4, false, false},           /* version */
        {"plain.qcow2", 20, 4, 8, false, false},          /* clusters too small */
        {"plain.qcow2", 20, 4, 64, false, false},         /* a shift that wraps */
        {"plain.qcow2", 24, 8, UINT64_MAX, false, false}, /* size that wraps */
        {"plain.qcow2", 24, 8, 1ULL << 62, false, false}, /* more than the L1 table */
        {"plain.qcow2", 24, 8, 0, false, false},
        {"plain.qcow2", 32, 4, 2, false, false},          /* encrypted */
        {"plain.qcow2", 36, 4, 0, false, false},          /* no L1 table */
        {"plain.qcow2", 40, 8, 1ULL << 40, false, false}, /* L1 table outside */
        {"plain.qcow2", 40, 8, UINT64_MAX - 511, false, false},
        {"plain.qcow2", 40, 8, 0x30200, false, false}, /* not aligned */
        {"plain.qcow2", 40, 8, 0, false, false},       /* the header is the L1 table */
        {"plain.qcow2", 72, 8, 4, false, false},       /* external data file */
        {"w.qcow2", 72, 8, 16, false, true},           /* extended L2 */
        {"extended.qcow2", 20, 4, 13, false, false},   /* clusters too small */
        {"extended.qcow2", 0x40008, 8, UINT64_MAX, true, false}, /* data and zero */
        {"extended.qcow2", 0x40000, 8, 1, true, false},
        {"plain.qcow2", 72, 8, 1ULL << 40, false, false}, /* unknown */
        {"plain.qcow2", 96, 4, 7, false, false},          /* refcounts of 128 bits */
        {"plain.qcow2", 60, 0, 0, false, false},
        {"plain.qcow2", 0x30000, 8, 1ULL << 50, true, false}, /* L2 table outside */
        {"plain.qcow2", 0x30000, 8, 0x30000, true, false},    /* L1 is its own L2 */
        {"plain.qcow2", 0x40000, 8, 1ULL << 50, true, false}, /* cluster outside */
        {"plain.qcow2", 0x40000, 8, 0x50200, true, false},    /* not aligned */
        {"plain.qcow2", 0x40000, 8, 0x30000, true, false},    /* the L1 table as data */
        {"plain.qcow2", 0x40000, 8, 3ULL << 62 | 1ULL << 50, true, false},
        {"deflate.qcow2", 0x50004, 8, UINT64_MAX, true, false}, /* garbage to unpack */
        {"w.qcow2", 72, 8, 1, false, true},                     /* dirty */
        {"w.qcow2", 72, 8, 2, false, true},                     /* corrupt */
        {"w.qcow2", 48, 8, 1ULL << 50, false, true}, /* refcount table outside */
        {"w.qcow2", 48, 8, 0, false, true}, {"w.qcow2", 56, 4, UINT32_MAX, false, true},
        {"w.qcow2", 0x10000, 8, 1ULL << 50, true, true}, /* refcount block outside */
        {"w.qcow2", 0x10000, 8, 0x30000, true, true},    /* the L1 table counts */
        {"w.qcow2", 0x20000, 8, 0, true, true},          /* tables that are "free" */
        {"dynamic.vhd", -1, 0, 0, false, false},
        {"dynamic.vhd", -512, 8, 0, false, false},
        {"dynamic.vhd", -100, 8, 1, false, false}, /* another checksum */
        {"dynamic.vhd", 512 + 28, 4, 1, false, false},
        {"dynamic.vhd", 512, 8, 0, false, false},
        {"dynamic.vhd", 1536, 4, 0x7fffffff, true, false}, /* a block outside */
        {"fixed.vhd", 4096, 0, 0, false, false}, {"sparse.vmdk", 0, 4, 0, false, false},
        {"sparse.vmdk", 20, 8, 0, false, false},
        {"sparse.vmdk", 20, 8, UINT64_MAX, false, false},
        {"sparse.vmdk", 44, 4, 0, false, false},
        {"sparse.vmdk", 44, 4, UINT32_MAX, false, false},
        {"sparse.vmdk", 12, 8, UINT64_MAX, false, false}, /* a size that wraps */
        {"sparse.vmdk", 56, 8, 0xffffff7fffffffff, false,
                false}, /* directory outside */
        {"sparse.vmdk", 28, 8, UINT64_MAX - 1, false, false},
        {"stream.vmdk", 56, 8, UINT64_MAX, false, false}, /* without its footer */
};

static void damage_do(const struct damage *damage, const char *path)
{
	int fd = open(path, O_RDWR);
	off_t at = damage->offset;
	uint64_t value = htobe64(damage->value);

	if (at < 0)
		at += lseek(fd, 0, SEEK_END);
	if (damage->size == 0 ? ftruncate(fd, at) < 0
	                      : pwrite(fd, (char *)&value + 8 - damage->size,
	                                damage->size, at) != damage->size)
		abort();
	close(fd);
}

/* Reads and, where that is what is tested, writes each of 64 KiB: the first error. */
static int try_all(const struct disk_config *config)
{
	static unsigned char buffer[64 << 10];
	struct bench bench;
	int error = 0;

	if (!bench_open(&bench, config))
		return -ENOENT;
	pthread_mutex_lock(&bench.lock);
	for (uint64_t at = 0; at < disk_info(bench.disk)->size && !error;
	        at += sizeof(buffer)) {
		struct iovec iov = {buffer, 512};
		struct job job = {.request = {.operation = DISK_WRITE,
		                          .offset = at,
		                          .size = 512,
		                          .iov = &iov,
		                          .iov_count = 1,
		                          .done = job_done}};

		error = disk_read_now(bench.disk, at, buffer, 512);
		if (!error && !config->readonly) {
			disk_submit(bench.disk, &job.request);
			disk_drain(bench.disk);
			error = job.result;
		}
	}
	pthread_mutex_unlock(&bench.lock);
	bench_close(&bench);
	return error;
}

static void damaged_images_are_refused_or_give_errors(void)
{
	struct disk_config config = {.path = "damaged"};

	if (!have_qemu_img()) {
		puts("skip damaged_images_are_refused_or_give_errors: no qemu-img");
		return;
	}
	CU_ASSERT_TRUE(run("rm -f w.qcow2; qemu-img create -q -f qcow2 w.qcow2 12M"));
	for (unsigned i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const struct damage *damage = &damages[i];
		int error;

		CU_ASSERT_TRUE(run("cp %s damaged", damage->image));
		damage_do(damage, "damaged");
		config.format = disk_format_of(damage->image);
		config.readonly = !damage->writes;
		error = try_all(&config);
		if (damage->opens ? error != -EIO : error != -ENOENT)
			printf("damage %u of %s: %d\n", i, damage->image, error);
		CU_ASSERT_EQUAL(error, damage->opens ? -EIO : -ENOENT);
	}
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(images_hold_what_qemu_img_wrote),
	        UNIT(a_backing_file_is_read_only_when_asked_for),
	        UNIT(a_format_is_told_by_the_name_alone),
	        UNIT(what_is_written_is_whole_for_qemu_img),
	        UNIT(a_new_disk_is_made_and_an_old_one_kept),
	        UNIT(an_ephemeral_disk_is_only_read),
	        UNIT(a_killed_writer_leaves_a_whole_image),
	        UNIT(damaged_images_are_refused_or_give_errors),
	        {0},
	};
	int status;

	if (!mkdtemp(folder) || chdir(folder))
		return 1;
	make_content();
	status = unit_run("disk", tests);
	run("rm -rf %s", folder);
	return status;
}
