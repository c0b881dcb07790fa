#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/loader.h"
#include "vmm/log.h"

/* A path and what it leads to; `path` is NULL when nothing is open. */
struct file {
	char *path;
	int fd;
	uint64_t size;
};

/*
 * Opens a file to read, `what` being the option or argument that named it. -ENOENT and
 * -EISDIR are silent, for there may be another name to try; all else is logged.
 */
static int file_open(const char *what, const char *path, struct file *file)
{
	struct stat stat;
	int error = 0;
	/* Neither a FIFO nor a device may hold us up, nor a terminal become ours. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		error = errno == ENOTDIR ? -ENOENT : -errno;
		if (error == -ENOENT)
			return error;
		return log_error(error, "%s: cannot open '%s': %s", what, path,
		        strerror(-error));
	}
	if (fstat(fd, &stat) < 0)
		error = log_error(-errno, "%s: cannot examine '%s': %s", what, path,
		        strerror(errno));
	else if (S_ISDIR(stat.st_mode))
		error = -EISDIR;
	else if (!S_ISREG(stat.st_mode))
		error = log_error(
		        -EINVAL, "%s: '%s' is not a regular file", what, path);
	if (!error) {
		file->path = strdup(path);
		if (!file->path)
			error = log_error(-ENOMEM, "%s: no memory", what);
	}
	if (error) {
		close(fd);
		return error;
	}
	file->fd = fd;
	file->size = (uint64_t)stat.st_size;
	return 0;
}

static void file_close(struct file *file)
{
	if (file->path)
		close(file->fd);
	free(file->path);
	*file = (struct file){0};
}

static int file_missing(const char *what, const char *path, int error)
{
	if (error == -ENOENT)
		return log_error(error, "%s: there is no '%s'", what, path);
	if (error == -EISDIR)
		return log_error(
		        error, "%s: '%s' is a directory, not a file", what, path);
	return error;
}

/* LinuxKit's NAME-kernel, NAME-initrd.img and NAME-cmdline; as file_open(). */
static int beside_open(const char *name, const char *suffix, struct file *file)
{
	char *path;
	int error;

	if (asprintf(&path, "%s%s", name, suffix) < 0)
		return log_error(-ENOMEM, "image: no memory");
	error = file_open("image", path, file);
	free(path);
	return error;
}

static void kernel_set(struct boot_source *source, const struct file *file)
{
	source->kernel_path = file->path;
	source->kernel_fd = file->fd;
	source->kernel_size = file->size;
}

static int initrd_add(struct boot_source *source, struct file *file)
{
	unsigned i = source->initrd_count;
	int error = 0;

	if (i == BOOT_FILES_INITRDS)
		error = log_error(-E2BIG, "--initrd: more than %d files", i);
	else if (!file->size)
		error = log_error(-EINVAL, "--initrd: '%s' is empty", file->path);
	if (error) {
		file_close(file);
		return error;
	}
	source->initrd_paths[i] = file->path;
	source->initrd_offsets[i] = 0;
	source->initrd_fds[i] = file->fd;
	source->initrd_sizes[i] = file->size;
	source->initrd_count++;
	return 0;
}

/* One line of text; the white space that ends it is not part of it. */
static int cmdline_set(struct boot_source *source, const struct file *file)
{
	ssize_t size;

	source->cmdline = malloc(BOOT_CMDLINE_MAX);
	if (!source->cmdline)
		return log_error(-ENOMEM, "image: no memory");
	size = pread(file->fd, source->cmdline, BOOT_CMDLINE_MAX, 0);
	if (size < 0)
		return log_error(-errno, "image: cannot read '%s': %s", file->path,
		        strerror(errno));
	if (size == BOOT_CMDLINE_MAX || memchr(source->cmdline, '\0', (size_t)size))
		return log_error(-EINVAL, "image: '%s' is not a kernel's command line",
		        file->path);
	while (size && isspace((unsigned char)source->cmdline[size - 1]))
		size--;
	source->cmdline[size] = '\0';
	return 0;
}

/* The root as a disk of its own, the first that there is. */
static int root_disk_find(struct boot_source *source, const char *name)
{
	static const char *const suffixes[] = {"-squashfs.img", "-erofs.img", ".iso"};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		struct file file = {0};
		int error = beside_open(name, suffixes[i], &file);

		if (error && error != -ENOENT && error != -EISDIR)
			return error;
		if (error)
			continue;
		source->disk_path = file.path;
		source->disk_readonly = true;
		close(file.fd);
		return 0;
	}
	return 0;
}

/* What stands beside a LinuxKit kernel; each file may be missing. */
static int linuxkit_open(struct boot_source *source, const char *name, bool own_initrd)
{
	struct file file = {0};
	int error = -ENOENT;

	source->linuxkit = true;
	if (own_initrd) {
		error = beside_open(name, "-initrd.img", &file);
		if (!error)
			error = initrd_add(source, &file);
		if (error && error != -ENOENT)
			return error;
	}
	if (error == -ENOENT) {
		error = root_disk_find(source, name);
		if (error)
			return error;
	}
	error = beside_open(name, "-cmdline", &file);
	if (error)
		return error == -ENOENT ? 0 : error;
	error = cmdline_set(source, &file);
	file_close(&file);
	return error;
}

/* As LinuxKit has it, a file of that very name comes first. */
static int image_open(struct boot_source *source, const char *name, bool own_initrd)
{
	struct file file = {0};
	int error = file_open("image", name, &file), missing = error;

	if (error == -ENOENT || error == -EISDIR) {
		error = beside_open(name, "-kernel", &file);
		if (error == -ENOENT || error == -EISDIR)
			return log_error(missing,
			        "image: %s '%s', and no '%s-kernel' of a LinuxKit "
			        "build: "
			        "check the path",
			        missing == -EISDIR ? "only a directory" : "there is no",
			        name, name);
		if (!error) {
			kernel_set(source, &file);
			error = linuxkit_open(source, name, own_initrd);
		}
	} else if (!error) {
		kernel_set(source, &file);
	}
	return error;
}

static int files_open(struct boot_source *source, const char *name, const char *kernel,
        bool own_initrd)
{
	struct file file = {0};
	int error;

	if (!kernel)
		return image_open(source, name, own_initrd);
	error = file_missing("--kernel", kernel, file_open("--kernel", kernel, &file));
	if (!error)
		kernel_set(source, &file);
	return error;
}

static int initrds_open(
        struct boot_source *source, const char *const *initrds, unsigned initrd_count)
{
	struct file file = {0};
	int error = 0;

	for (unsigned i = 0; i < initrd_count && !error; i++) {
		error = file_missing("--initrd", initrds[i],
		        file_open("--initrd", initrds[i], &file));
		if (!error)
			error = initrd_add(source, &file);
	}
	return error;
}

/* The files are open: what are they, and how is that entered? */
static int source_finish(struct boot_source *source, int error,
        enum boot_protocol protocol, enum boot_machine machine)
{
	if (!error && !source->cmdline) {
		source->cmdline = strdup("");
		if (!source->cmdline)
			error = log_error(-ENOMEM, "image: no memory");
	}
	if (!error)
		error = boot_probe(source, machine);
	if (!error && source->disk_path)
		error = boot_root(source);
	if (!error)
		error = boot_choose(source, protocol);
	if (error)
		boot_close(source);
	return error;
}

int boot_open(struct boot_source *source, const char *name, const char *kernel,
        const char *const *initrds, unsigned initrd_count, enum boot_protocol protocol,
        enum boot_machine machine)
{
	int error;

	*source = (struct boot_source){
	        .name = strdup(name ? name : kernel), .protocol = protocol};
	if (!source->name)
		return log_error(-ENOMEM, "image: no memory");
	error = files_open(source, name, kernel, !initrd_count);
	if (!error)
		error = initrds_open(source, initrds, initrd_count);
	return source_finish(source, error, protocol, machine);
}

int boot_open_medium(struct boot_source *source, const char *name,
        const struct boot_medium *medium, const char *const *initrds,
        unsigned initrd_count, enum boot_protocol protocol, enum boot_machine machine)
{
	struct file file = {0};
	int error;

	*source = (struct boot_source){.name = strdup(name)};
	if (!source->name)
		return log_error(-ENOMEM, "image: no memory");
	error = file_missing("image", name, file_open("image", name, &file));
	if (!error) {
		kernel_set(source, &file);
		error = initrds_open(source, initrds, initrd_count);
	}
	if (!error)
		error = boot_extract(source, medium);
	if (error == -ENOEXEC)
		log_error(error,
		        "image: '%s' holds no file system that is known here: give it "
		        "as --disk, with a kernel",
		        name);
	return source_finish(source, error, protocol, machine);
}

void boot_close(struct boot_source *source)
{
	if (source->kernel_path)
		close(source->kernel_fd);
	if (source->has_origin)
		close(source->origin_fd);
	if (source->disk_unpacked)
		close(source->disk_fd);
	free(source->kernel_path);
	for (unsigned i = 0; i < source->initrd_count; i++) {
		close(source->initrd_fds[i]);
		free(source->initrd_paths[i]);
	}
	free(source->devices);
	free(source->cmdline);
	free(source->disk_path);
	free(source->root_was);
	free(source->config_path);
	free(source->name);
	*source = (struct boot_source){0};
}
