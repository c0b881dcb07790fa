/* Disks of every format against images that qemu-img wrote, and against damaged ones. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(images_hold_what_qemu_img_wrote),
	        UNIT(a_backing_file_is_read_only_when_asked_for),
	        UNIT(a_format_is_told_by_the_name_alone),
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
