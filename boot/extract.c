/*
 * The kernel, the initrds and the command line out of a disk image, an ISO, an archive or a
 * unified kernel image. A child in the sandbox finds where they lie (find.c) and does not
 * touch them; here that is checked. What is in one piece of the file is used where it lies,
 * and mapped from there; what is not is copied into memory.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/find.h"
#include "boot/loader.h"
#include "boot/sandbox.h"
#include "vmm/log.h"

enum { CHILD_CPU_S = 5, COPY = 1 << 20 };

/* What a disk in an archive may have; its zeros take no memory. */
#define UNPACKED (UINT64_C(4) << 30)

struct job {
	const struct boot_medium *medium;
	struct found *found;
};

static int work(void *context, void *memory)
{
	const struct job *job = context;

	find(memory, job->medium, job->found);
	return 0;
}

/* Text for people and for kernels: printable, and with an end. */
static void text_settle(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (; *text; text++)
		if (!isprint((unsigned char)*text))
			*text = isspace((unsigned char)*text) ? ' ' : '?';
}

static bool file_is_right(
        const struct found *found, const struct found_file *file, uint64_t limit)
{
	uint64_t sum = 0;

	if (!file->size || file->size > VOLUME_FILE || !file->run_count ||
	        file->first_run > FIND_RUNS ||
	        file->run_count > FIND_RUNS - file->first_run)
		return false;
	for (uint32_t i = 0; i < file->run_count; i++) {
		const struct medium_run *run = found->runs + file->first_run + i;

		if (run->size > file->size - sum)
			return false;
		if (run->offset != MEDIUM_HOLE &&
		        (run->offset > limit || run->size > limit - run->offset))
			return false;
		sum += run->size;
	}
	return sum == file->size;
}

/* What a child that was taken over may have written is what the image might have said. */
static bool found_settle(struct found *found, uint64_t limit)
{
	text_settle(found->volume, sizeof(found->volume));
	text_settle(found->config, sizeof(found->config));
	text_settle(found->path, sizeof(found->path));
	text_settle(found->cmdline, sizeof(found->cmdline));
	if (found->error)
		return true;
	if (!found->file_count || found->file_count > FIND_FILES)
		return false;
	for (uint32_t i = 0; i < found->file_count; i++) {
		struct found_file *file = found->files + i;

		text_settle(file->path, sizeof(file->path));
		if (!file_is_right(found, file, limit)) {
			memcpy(found->path, file->path, sizeof(found->path));
			found->error = -EBADMSG;
			return true;
		}
	}
	return true;
}

static const char *without_slash(const char *path)
{
	return path + (*path == '/');
}

static int explain(const char *name, const struct found *found)
{
	const char *volume = found->volume, *config = without_slash(found->config),
	           *path = without_slash(found->path);

	switch (found->error) {
	case -ENOEXEC:
		return -ENOEXEC;
	case -ENOMSG:
		if (*config)
			return log_error(-EINVAL,
			        "image: '%s': '%s' in it names no kernel: give one "
			        "with --kernel, and this as --disk",
			        name, config);
		if (found->volume_only)
			return log_error(-EINVAL,
			        "image: '%s' is an archive without a 'kernel' as "
			        "LinuxKit's has: unpack it first",
			        name);
		return log_error(-EINVAL,
		        "image: '%s' is %s without a boot configuration that is known "
		        "here (syslinux, extlinux, isolinux, grub, loader entries, "
		        "unified kernel image): give it as --disk, with a kernel",
		        name, volume);
	case -ENOENT:
		return log_error(-EINVAL,
		        "image: '%s': '%s' in it names '%s', which is not there", name,
		        config, path);
	case -ELOOP:
		return log_error(-EINVAL,
		        "image: '%s': the links of '%s' in it lead nowhere", name,
		        path);
	case -EFBIG:
	case -E2BIG:
		return log_error(-EINVAL,
		        "image: '%s': '%s' in it is too large, or in too many pieces",
		        name, *path ? path : config);
	case -ENODEV:
		return log_error(-EINVAL,
		        "image: '%s' has no boot configuration, unless in %s, which is "
		        "not read here: give it as --disk, with a kernel",
		        name, volume);
	case -EIO:
		return log_error(-EINVAL,
		        "image: '%s' is damaged: not all of it can be read", name);
	case -EMEDIUMTYPE:
		return log_error(-EINVAL,
		        "image: '%s' has a partition table for sectors of 4096 bytes, "
		        "disks here have 512: give it as --disk, with a kernel",
		        name);
	case -ENOTSUP:
		return log_error(-EINVAL,
		        "image: '%s' is %s with features that are not known here", name,
		        volume);
	case -ENOMEM:
		return log_error(-EINVAL,
		        "image: '%s' is %s whose tables are too large", name, volume);
	case -ENODATA:
		return log_error(-EINVAL,
		        "image: '%s' is damaged or truncated: its %s reaches past the "
		        "end",
		        name, volume);
	default:
		return log_error(-EINVAL, "image: '%s' is damaged: its %s is not right",
		        name, volume);
	}
}

/* All of it but the zeros, which a new file is made of. */
static int file_copy(
        const struct boot_medium *medium, const struct medium_map *map, int fd)
{
	char *data = malloc(COPY);
	int error = data ? 0 : -ENOMEM;

	if (!error && ftruncate(fd, (off_t)map->size) < 0)
		error = -errno;
	for (uint64_t at = 0; !error && at < map->size;) {
		size_t size = map->size - at < COPY ? map->size - at : COPY;

		error = map_read(map, medium, at, data, size);
		if (!error && (data[0] || memcmp(data, data + 1, size - 1) != 0) &&
		        pwrite(fd, data, size, (off_t)at) != (ssize_t)size)
			error = -EIO;
		at += size;
	}
	free(data);
	return error;
}

struct part {
	char *path;
	int fd;
	bool copied;
	uint64_t offset, size;
};

static int part_open(const struct boot_medium *medium, struct found *found,
        unsigned index, const char *name, struct part *part)
{
	const struct found_file *file = found->files + index;
	const struct medium_map map = {.runs = found->runs + file->first_run,
	        .count = file->run_count,
	        .size = file->size};
	int error = 0;

	*part = (struct part){.fd = -1, .size = file->size};
	if (asprintf(&part->path, "%s:%s", name, without_slash(file->path)) < 0) {
		part->path = NULL;
		return log_error(-ENOMEM, "image: no memory");
	}
	if (medium->fd >= 0 && map.count == 1 && map.runs->offset != MEDIUM_HOLE) {
		part->fd = fcntl(medium->fd, F_DUPFD_CLOEXEC, 0);
		part->offset = map.runs->offset;
	} else {
		part->copied = true;
		part->fd = memfd_create("image", MFD_CLOEXEC);
		if (part->fd >= 0)
			error = file_copy(medium, &map, part->fd);
	}
	if (part->fd >= 0 && !error)
		return 0;
	error = log_error(error ? error : -errno, "image: cannot read '%s': %s",
	        part->path, strerror(error ? -error : errno));
	if (part->fd >= 0)
		close(part->fd);
	free(part->path);
	return error;
}

/* `source` becomes what was found; its own file is a disk from now on, or was a carrier. */
static int adopt(struct boot_source *source, const struct boot_medium *medium,
        struct found *found)
{
	unsigned first = source->initrd_count;
	char *name = source->kernel_path;
	struct part part;
	int error = part_open(medium, found, 0, name, &part);

	if (error)
		return error;
	for (unsigned i = 1; !first && i < found->file_count; i++) {
		struct part initrd;

		error = part_open(medium, found, i, name, &initrd);
		if (error)
			break;
		source->initrd_paths[source->initrd_count] = initrd.path;
		source->initrd_fds[source->initrd_count] = initrd.fd;
		source->initrd_offsets[source->initrd_count] = initrd.offset;
		source->initrd_sizes[source->initrd_count++] = initrd.size;
	}
	if (!error && *found->config)
		source->config_path = strdup(without_slash(found->config));
	free(source->cmdline);
	source->cmdline = strdup(found->cmdline);
	if (!error && (!source->cmdline || (*found->config && !source->config_path)))
		error = log_error(-ENOMEM, "image: no memory");
	if (part.copied && !source->has_origin) {
		source->origin_fd = source->kernel_fd;
		source->has_origin = true;
	} else {
		close(source->kernel_fd);
	}
	source->kernel_fd = part.fd;
	source->kernel_path = part.path;
	source->kernel_offset = part.offset;
	source->kernel_size = part.size;
	if (found->volume_only) {
		free(name);
	} else {
		source->disk_path = name;
		source->disk_readonly = found->readonly;
		if (source->disk_unpacked) {
			free(name);
			if (asprintf(&source->disk_path, "/proc/self/fd/%d",
			            source->disk_fd) < 0)
				source->disk_path = NULL;
		}
	}
	return error;
}

static int unpack_explain(const char *name, int error)
{
	switch (error) {
	case -ENOEXEC:
		return error;
	case -EFBIG:
		return log_error(-EINVAL,
		        "image: '%s': the disk in it has more than %d GiB: unpack it "
		        "first",
		        name, (int)(UNPACKED >> 30));
	case -ENOTSUP:
	case -E2BIG:
		return log_error(-EINVAL,
		        "image: '%s': the disk in it is packed as a sparse file in a "
		        "way that is not known here: pack it with tar -czf",
		        name);
	case -ENODATA:
	case -EBADMSG:
	case -ECHILD:
		return log_error(-EINVAL,
		        "image: '%s' is damaged or truncated: the disk in it cannot be "
		        "unpacked",
		        name);
	default:
		return log_error(
		        error, "image: cannot unpack '%s': %s", name, strerror(-error));
	}
}

/* As GCP has it: a tar archive in gzip with a disk as its first file, unpacked to be read. */
static int carton_open(struct boot_source *source, struct found *found)
{
	unsigned char magic[2];

	if (boot_read(source, 0, magic, sizeof(magic)) || magic[0] != 0x1f ||
	        magic[1] != 0x8b)
		return 0;
	source->disk_fd = boot_unpack_disk(source, UNPACKED, &found->files[0].size);
	if (source->disk_fd < 0)
		return unpack_explain(source->kernel_path, source->disk_fd);
	source->disk_unpacked = true;
	source->origin_fd = source->kernel_fd;
	source->has_origin = true;
	source->kernel_fd = fcntl(source->disk_fd, F_DUPFD_CLOEXEC, 0);
	source->kernel_size = found->files[0].size;
	return 0;
}

static int image_find(struct boot_source *source, struct job *job)
{
	const struct sandbox sandbox = {
	        .cpu_s = CHILD_CPU_S,
	        .write_fd = -1,
	        .memory = sizeof(struct find),
	        .heap = FIND_HEAP,
	};
	const char *name = source->kernel_path;
	int error = sandbox_run(&sandbox, work, job);

	if (error == -ECHILD ||
	        (!error && !found_settle(job->found, job->medium->size)))
		return log_error(-EINVAL,
		        "image: '%s' is damaged: reading it took too long, or would "
		        "not end well",
		        name);
	if (error)
		return log_error(error, "image: '%s' cannot be read in a sandbox: %s",
		        name, strerror(-error));
	if (job->found->error)
		return explain(name, job->found);
	return adopt(source, job->medium, job->found);
}

int boot_extract(struct boot_source *source, const struct boot_medium *medium)
{
	struct boot_medium file;
	struct job job = {medium ? medium : &file, NULL};
	int error;

	job.found = mmap(NULL, sizeof(*job.found), PROT_READ | PROT_WRITE,
	        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (job.found == MAP_FAILED)
		return log_error(-ENOMEM, "image: no memory");
	error = medium ? 0 : carton_open(source, job.found);
	file = medium_of_file(source->kernel_fd, source->kernel_size);
	if (!error)
		error = image_find(source, &job);
	munmap(job.found, sizeof(*job.found));
	return error;
}
