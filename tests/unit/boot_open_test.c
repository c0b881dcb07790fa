#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/boot_image.h"

/* A folder of its own for each test; all in it is named relative to it. */
static void folder_create(char *folder)
{
	strcpy(folder, "/tmp/mayfly-boot-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(folder) && !chdir(folder));
}

static void folder_destroy(const char *folder)
{
	static const char *const names[] = {"x", "x-kernel", "x-initrd.img",
	        "x-cmdline", "x.iso", "x-squashfs.img", "fifo", "link", "initrd"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (unlink(names[i]))
			rmdir(names[i]);
	CU_ASSERT(!chdir("/") && !rmdir(folder));
}

static void file_write(const char *name, const void *data, size_t size)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, data, size), (ssize_t)size);
	close(fd);
}

static void kernel_write(const char *name)
{
	unsigned char image[LEAST_BZIMAGE];

	least_bzimage(image, 255);
	file_write(name, image, sizeof(image));
}

static int opens(struct boot_source *source, const char *name)
{
	return boot_open(source, name, NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86);
}

static bool refused(const char *name, const char *part)
{
	struct boot_source source;
	struct said said;
	int error;

	said_begin(&said);
	error = opens(&source, name);
	boot_close(&source);
	return said_exactly(&said, part) && error < 0;
}

static unsigned open_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void linuxkit_name_brings_three_files(void)
{
	struct boot_source source;
	char folder[64];

	folder_create(folder);
	kernel_write("x-kernel");
	CU_ASSERT_FATAL(!opens(&source, "x"));
	CU_ASSERT(source.linuxkit && !source.initrd_count);
	CU_ASSERT_STRING_EQUAL(source.cmdline, "");
	boot_close(&source);

	file_write("x-initrd.img", "cpio", 4);
	file_write("x-cmdline", "quiet  a=b \n", 12);
	mkdir("x", 0700); /* a folder of that name is no image */
	CU_ASSERT_FATAL(!opens(&source, "x"));
	CU_ASSERT_STRING_EQUAL(source.name, "x");
	CU_ASSERT_STRING_EQUAL(source.kernel_path, "x-kernel");
	CU_ASSERT_EQUAL(source.initrd_count, 1);
	CU_ASSERT_STRING_EQUAL(source.initrd_paths[0], "x-initrd.img");
	CU_ASSERT_EQUAL(source.initrd_sizes[0], 4);
	CU_ASSERT_STRING_EQUAL(source.cmdline, "quiet  a=b");
	CU_ASSERT(fcntl(source.kernel_fd, F_GETFD) & FD_CLOEXEC);
	CU_ASSERT(fcntl(source.initrd_fds[0], F_GETFD) & FD_CLOEXEC);
	boot_close(&source);
	folder_destroy(folder);
}

static void root_disk_stands_in_for_an_initrd(void)
{
	struct boot_source source;
	char folder[64];

	folder_create(folder);
	kernel_write("x-kernel");
	file_write("x.iso", "iso", 3);
	file_write("x-cmdline", "quiet", 5);
	CU_ASSERT_FATAL(!opens(&source, "x"));
	CU_ASSERT_STRING_EQUAL(source.disk_path, "x.iso");
	CU_ASSERT(source.disk_readonly && !source.initrd_count);
	CU_ASSERT_STRING_EQUAL(source.cmdline, "root=/dev/vda quiet");
	boot_close(&source);
	file_write("x-squashfs.img", "sqsh", 4);
	CU_ASSERT_FATAL(!opens(&source, "x"));
	CU_ASSERT_STRING_EQUAL(source.disk_path, "x-squashfs.img");
	boot_close(&source);
	file_write("x-initrd.img", "cpio", 4);
	CU_ASSERT_FATAL(!opens(&source, "x"));
	CU_ASSERT(!source.disk_path && source.initrd_count == 1);
	CU_ASSERT_STRING_EQUAL(source.cmdline, "quiet");
	boot_close(&source);
	folder_destroy(folder);
}

static void file_of_that_name_comes_first(void)
{
	struct boot_source source;
	char folder[64];

	folder_create(folder);
	kernel_write("x");
	kernel_write("x-kernel");
	file_write("x-initrd.img", "cpio", 4);
	CU_ASSERT_FATAL(!opens(&source, "x"));
	CU_ASSERT_STRING_EQUAL(source.kernel_path, "x");
	CU_ASSERT(!source.linuxkit && !source.initrd_count);
	boot_close(&source);
	CU_ASSERT_FATAL(!symlink("x", "link"));
	CU_ASSERT_EQUAL(opens(&source, "link"), 0);
	boot_close(&source);
	folder_destroy(folder);
}

static void given_initrds_replace_the_images_own(void)
{
	static const char *const initrds[BOOT_FILES_INITRDS + 1] = {"initrd", "initrd",
	        "initrd", "initrd", "initrd", "initrd", "initrd", "initrd", "initrd"};
	struct boot_source source;
	struct said said;
	char folder[64];

	folder_create(folder);
	kernel_write("x-kernel");
	file_write("x-initrd.img", "cpio", 4);
	file_write("initrd", "other", 5);
	CU_ASSERT_FATAL(!boot_open(&source, "x", NULL, initrds, BOOT_FILES_INITRDS,
	        PROTOCOL_AUTO, MACHINE_X86));
	CU_ASSERT_EQUAL(source.initrd_count, BOOT_FILES_INITRDS);
	CU_ASSERT_STRING_EQUAL(source.initrd_paths[0], "initrd");
	boot_close(&source);
	said_begin(&said);
	CU_ASSERT_EQUAL(boot_open(&source, "x", NULL, initrds, BOOT_FILES_INITRDS + 1,
	                        PROTOCOL_AUTO, MACHINE_X86),
	        -E2BIG);
	CU_ASSERT(said_exactly(&said, "--initrd: more than 8"));
	CU_ASSERT_FATAL(!boot_open(
	        &source, NULL, "x-kernel", initrds, 1, PROTOCOL_AUTO, MACHINE_X86));
	CU_ASSERT_STRING_EQUAL(source.name, "x-kernel");
	CU_ASSERT(!source.linuxkit && source.initrd_count == 1);
	boot_close(&source);
	folder_destroy(folder);
}

static void failures_leave_nothing_open(void)
{
	static const char *const missing[] = {"initrd", "nowhere"};
	struct boot_source source;
	unsigned before;
	struct said said;
	char folder[64];

	folder_create(folder);
	kernel_write("x-kernel");
	file_write("initrd", "i", 1);
	before = open_fds();
	said_begin(&said);
	CU_ASSERT_EQUAL(
	        boot_open(&source, "x", NULL, missing, 2, PROTOCOL_AUTO, MACHINE_X86),
	        -ENOENT);
	CU_ASSERT(said_exactly(&said, "--initrd: there is no 'nowhere'"));
	file_write("x-initrd.img", "", 0);
	CU_ASSERT(refused("x", "--initrd: 'x-initrd.img' is empty"));
	file_write("x-initrd.img", "i", 1);
	file_write("x-cmdline", "a\0b", 3);
	CU_ASSERT(refused("x", "'x-cmdline' is not a kernel's command line"));
	file_write("x-cmdline", "", 0);
	file_write("x-kernel", "text", 4);
	CU_ASSERT(refused("x", "'x-kernel' is neither"));
	CU_ASSERT_EQUAL(open_fds(), before);
	boot_close(&source); /* once more */
	boot_close(&(struct boot_source){0});
	CU_ASSERT_EQUAL(open_fds(), before);
	folder_destroy(folder);
}

static void command_line_file_has_a_limit(void)
{
	char folder[64], *line = malloc(BOOT_CMDLINE_MAX);
	struct boot_source source;

	CU_ASSERT_FATAL(line != NULL);
	memset(line, 'x', BOOT_CMDLINE_MAX);
	folder_create(folder);
	kernel_write("x-kernel");
	file_write("x-cmdline", line, BOOT_CMDLINE_MAX - 1);
	CU_ASSERT_FATAL(!opens(&source, "x"));
	CU_ASSERT_EQUAL(strlen(source.cmdline), BOOT_CMDLINE_MAX - 1);
	boot_close(&source);
	file_write("x-cmdline", line, BOOT_CMDLINE_MAX);
	CU_ASSERT(refused("x", "not a kernel's command line"));
	folder_destroy(folder);
	free(line);
}

static void what_is_no_file_is_named(void)
{
	char folder[64];

	folder_create(folder);
	CU_ASSERT(refused("x", "there is no 'x', and no 'x-kernel'"));
	mkdir("x", 0700);
	CU_ASSERT(refused("x", "only a directory 'x', and no 'x-kernel'"));
	CU_ASSERT_FATAL(!mkfifo("fifo", 0600));
	CU_ASSERT(refused("fifo", "not a regular file"));
	CU_ASSERT(refused("/dev/null", "not a regular file"));
	CU_ASSERT(refused("/dev/zero", "not a regular file"));
	CU_ASSERT_FATAL(!symlink("link", "link"));
	CU_ASSERT(refused("link", "cannot open 'link'"));
	folder_destroy(folder);
}

static void mistakes_are_explained(void)
{
	static const struct {
		const char *data;
		size_t offset;
		const char *part;
	} cases[] = {
	        {"", 0, "is empty"},
	        {"\x1f\x8b\x08", 0, "gunzip"},
	        {"\x28\xb5\x2f\xfd", 0, "unzstd"},
	        {"#!/bin/sh\n", 0, "is a script"},
	        {"MZ\x90", 0, "EFI program"},
	        {"070701", 0, "--initrd"},
	        {"QFI\xfb", 0, ".qcow2"},
	        {"CD001", 32769, "an ISO image"},
	        {"ustar", 257, "tar archive"},
	        {"\x55\xaa", 510, "bootable disk"},
	        {"RSC\5", 56, "is a riscv64 kernel, this Mayfly runs x86-64 guests"},
	        {"ARM\x64", 56, "is an aarch64 kernel"},
	        {"kernel:\n", 0, "neither an ELF nor a bzImage"},
	};
	unsigned char image[40000];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t size = strlen(cases[i].data);

		memset(image, 0, sizeof(image));
		memcpy(image + cases[i].offset, cases[i].data, size);
		CU_ASSERT(image_refused(image, cases[i].offset + size, cases[i].part));
	}
}

static void x86_kernel_is_foreign_to_riscv(void)
{
	struct boot_source source;
	struct said said;
	char folder[64];

	folder_create(folder);
	kernel_write("x");
	said_begin(&said);
	CU_ASSERT_EQUAL(
	        boot_open(&source, "x", NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_RISCV),
	        -EINVAL);
	CU_ASSERT(said_exactly(
	        &said, "is an x86-64 kernel, this Mayfly runs riscv64 guests"));
	file_write("x", "no kernel", 9);
	said_begin(&said);
	CU_ASSERT_EQUAL(
	        boot_open(&source, "x", NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_RISCV),
	        -EINVAL);
	CU_ASSERT(said_exactly(&said, "neither an ELF nor a RISC-V Image"));
	folder_destroy(folder);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(linuxkit_name_brings_three_files),
	        UNIT(root_disk_stands_in_for_an_initrd),
	        UNIT(file_of_that_name_comes_first),
	        UNIT(given_initrds_replace_the_images_own),
	        UNIT(failures_leave_nothing_open),
	        UNIT(command_line_file_has_a_limit),
	        UNIT(what_is_no_file_is_named),
	        UNIT(mistakes_are_explained),
	        UNIT(x86_kernel_is_foreign_to_riscv),
	        {0},
	};

	return unit_run("boot_open", tests);
}
