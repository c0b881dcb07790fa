/*
 * Linux's boot.rst: payload_offset and payload_length say where in a bzImage the compressed
 * vmlinux lies; its last 4 bytes are the size it unpacks to (gzip's own trailer, and what
 * scripts/Makefile.lib, size_append, puts behind the others). Behind the ELF file come the
 * relocations that KASLR would need, which no segment covers.
 *
 * What was unpacked once is found in the cache (cache.c): a warm start opens one file. Else
 * the payload is copied once, and named by content and unpacked in that copy, so that
 * nobody who changes the file meanwhile can have one payload named and another unpacked.
 *
 * What a guest unpacks as fast, it unpacks for itself when it is not in the cache. That is
 * filled meanwhile, by a process that nobody waits for.
 *
 * Decompressors have had their bugs, so they work in a sandbox (sandbox.h). If it was taken
 * over, it can do no more than its payload could: choose what kernel stands under that
 * payload's name. What it wrote is checked as any ELF file is.
 *
 * Whatever goes wrong, the bzImage is booted as it is.
 */
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/boot.h"
#include "boot/cache.h"
#include "boot/decode.h"
#include "boot/linux.h"
#include "boot/loader.h"
#include "boot/medium.h"
#include "boot/sandbox.h"
#include "vmm/log.h"

enum {
	UNPACK_MAX = 512 << 20,
	PAYLOAD_MAX = 256 << 20,
	CHILD_CPU_S = 60,
	SIZE_FIELD = 4,
	START = 64 << 10, /* of an archive, to see whether it is one */
	/* Twice in the guest's memory, as an initrd and as files: a quarter of it. */
	INITRD_SHARE = 8,
};

struct payload {
	int file;
	uint64_t offset; /* in it */
	size_t size;
	bool whole; /* not in a bzImage, which says to what size it unpacks */
	bool light; /* decode_is_light() */
	int origin; /* the file that names it; -1: none */
	uint64_t unpacked_size; /* whole: at most */
	uint64_t *
	        disk_size; /* of a disk in a tar archive, in memory that is shared; or NULL */
	uint32_t mark; /* its last bytes: of a kernel a CRC of all, up to Linux 6.16 */
	void *data;    /* the copy, when there is one */
};

/* Where what was unpacked is kept, by its names; an empty one is none. */
struct place {
	int dir; /* -1: nowhere */
	char file[CACHE_NAME], content[CACHE_NAME];
	char temporary[CACHE_NAME]; /* it is new */
};

static uint32_t header_u32(const struct boot_source *source, size_t offset)
{
	uint32_t value;

	memcpy(&value, source->setup_header + offset - LINUX_HEADER, sizeof(value));
	return value;
}

/* False: there is nothing to unpack. */
static bool payload_find(const struct boot_source *source, struct payload *payload)
{
	const struct boot_segment *kernel = source->segments;
	uint32_t offset =
	        header_u32(source, offsetof(struct linux_params, payload_offset));
	uint32_t size =
	        header_u32(source, offsetof(struct linux_params, payload_length));
	uint32_t unpacked, magic;

	if (size <= SIZE_FIELD || size > PAYLOAD_MAX || offset > kernel->file_size ||
	        size > kernel->file_size - offset)
		return false;
	*payload = (struct payload){.file = source->kernel_fd,
	        .offset = source->kernel_offset + kernel->offset + offset,
	        .size = size,
	        .origin = source->has_origin ? source->origin_fd : source->kernel_fd};
	if (boot_read(source, kernel->offset + offset, &magic, sizeof(magic)) ||
	        boot_read(source, kernel->offset + offset + size - SIZE_FIELD,
	                &unpacked, SIZE_FIELD) ||
	        boot_read(source, kernel->offset + kernel->file_size - SIZE_FIELD,
	                &payload->mark, SIZE_FIELD))
		return false;
	payload->light = decode_is_light(&magic, sizeof(magic));
	payload->unpacked_size = unpacked;
	return unpacked >= sizeof(Elf64_Ehdr) && unpacked <= UNPACK_MAX;
}

static int payload_copy(struct payload *payload)
{
	struct boot_medium file =
	        medium_of_file(payload->file, payload->offset + payload->size);

	if (payload->data)
		return 0;
	payload->data = mmap(NULL, payload->size, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (payload->data == MAP_FAILED) {
		payload->data = NULL;
		return -ENOMEM;
	}
	madvise(payload->data, payload->size, MADV_HUGEPAGE);
	return medium_read(&file, payload->offset, payload->data, payload->size);
}

struct job {
	const struct payload *payload;
	int fd;
};

static int work(void *context, void *memory)
{
	const struct job *job = context;
	const struct payload *payload = job->payload;

	if (payload->disk_size)
		return decode_tar(payload->data, payload->size, job->fd,
		        payload->unpacked_size, memory, payload->disk_size);
	return (payload->whole ? decode_archives : decode)(
	        payload->data, payload->size, job->fd, payload->unpacked_size, memory);
}

/* Unpacks into the empty file `fd`. */
static int unpack(const struct payload *payload, int fd)
{
	const struct sandbox sandbox = {
	        .cpu_s = CHILD_CPU_S,
	        .write_fd = fd,
	        .write_size = payload->unpacked_size,
	        .memory = DECODE_MEMORY,
	        .heap = DECODE_HEAP,
	};
	struct job job = {payload, fd};
	int error = sandbox_run(&sandbox, work, &job);

	if (!error && !payload->whole &&
	        ftruncate(fd, (off_t)payload->unpacked_size) < 0)
		error = -errno;
	if (!error && payload->disk_size &&
	        (*payload->disk_size > payload->unpacked_size ||
	                ftruncate(fd, (off_t)*payload->disk_size) < 0))
		error = -EIO;
	return error;
}

/* Whether it starts as a vmlinux does; the rest is the ELF loader's to judge. */
static bool is_vmlinux(int fd)
{
	Elf64_Ehdr header;

	return pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
	       !memcmp(header.e_ident, ELFMAG, SELFMAG) &&
	       header.e_ident[EI_CLASS] == ELFCLASS64 &&
	       header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_machine == EM_X86_64;
}

static int unpack_checked(const struct payload *payload, int fd)
{
	int error = unpack(payload, fd);

	return !error && !payload->whole && !is_vmlinux(fd) ? -ENOEXEC : error;
}

/* Into a file that the cache may take, opened again to be read only: an fd, or the error. */
static int unpack_kept(const struct payload *payload, struct place *place)
{
	int fd = cache_create(place->dir, place->temporary), readable = -EIO, error;

	if (fd < 0)
		return -EIO;
	error = unpack_checked(payload, fd);
	if (!error)
		readable = cache_find(place->dir, place->temporary);
	close(fd);
	if (error || readable < 0) {
		cache_remove(place->dir, place->temporary);
		place->temporary[0] = '\0';
		return error ? error : -EIO;
	}
	return readable;
}

/* Into memory, for this run. */
static int unpack_once(const struct payload *payload)
{
	int fd = memfd_create("unpacked", MFD_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = unpack_checked(payload, fd);
	if (error)
		close(fd);
	return error ? error : fd;
}

static bool name_file(const struct payload *payload, char name[CACHE_NAME])
{
	return payload->origin >= 0 &&
	       cache_name_file(payload->origin, payload->mark, name);
}

/* What is kept of the file as it is; -1: nothing. */
static int named_open(const struct payload *payload, struct place *place)
{
	return place->dir >= 0 && name_file(payload, place->file)
	               ? cache_find(place->dir, place->file)
	               : -1;
}

/*
 * What was unpacked before; -ENOENT: nothing was, and the payload is now copied. The file's
 * name is taken before and after that: it must be of that very content. `quickly`: a file
 * that has a name is found by that, and not copied for a content that nobody has seen yet.
 */
static int kept_open(struct payload *payload, struct place *place, bool quickly)
{
	char after[CACHE_NAME];
	int fd = named_open(payload, place), error;

	if (fd >= 0)
		return fd;
	if (quickly && *place->file &&
	        !cache_has_content(place->dir, payload->size, payload->mark))
		return -ENOENT;
	error = payload_copy(payload);
	if (error)
		return error;
	if (!decode_name(payload->data, payload->size))
		return -ENOTSUP;
	if (!name_file(payload, after) || strcmp(after, place->file) != 0)
		place->file[0] = '\0';
	if (place->dir < 0 || !cache_name_content(place->dir, payload->data,
	                              payload->size, payload->mark, place->content))
		return -ENOENT;
	fd = cache_find(place->dir, place->content);
	if (fd >= 0 && *place->file)
		cache_link(place->dir, place->content, place->file);
	return fd < 0 ? -ENOENT : fd;
}

/* What is unpacked, or the error. */
static int unpacked_open(struct payload *payload, struct place *place)
{
	int fd = kept_open(payload, place, false);

	if (fd == -ENOENT)
		fd = *place->content ? unpack_kept(payload, place) : -EIO;
	/* What ails the disk need not ail the memory. */
	if (fd == -EIO || fd == -ENOSPC || fd == -EDQUOT)
		fd = unpack_once(payload);
	return fd;
}

/* The kernel is now that in `fd`; unless `probe` fails, which leaves it as it was. */
static int become(struct boot_source *source, int fd, uint64_t size,
        enum boot_machine machine,
        int (*probe)(struct boot_source *source, enum boot_machine machine))
{
	struct boot_source packed = *source;
	int error;

	source->kernel_fd = fd;
	source->kernel_offset = 0;
	source->kernel_size = size;
	source->segment_count = 0;
	source->has_linux64 = false;
	error = probe(source, machine);
	if (error) {
		free(source->devices);
		*source = packed;
	}
	return error;
}

/* `source` becomes the vmlinux in `fd`, with what the bzImage's header says of it. */
static int adopt(struct boot_source *source, int fd, uint64_t size)
{
	struct boot_source image = *source;
	struct stat stat;
	int error;

	if (fstat(fd, &stat) < 0 || (uint64_t)stat.st_size != size || !is_vmlinux(fd))
		return -ENOEXEC;
	error = become(source, fd, size, MACHINE_X86, format_elf.probe);
	if (!error && !source->has_linux64) {
		*source = image;
		error = -ENOEXEC;
	}
	if (error)
		return error;
	close(image.kernel_fd);
	source->unpacked = true;
	source->protocol = PROTOCOL_LINUX64;
	source->initrd_max = image.initrd_max;
	source->cmdline_max = image.cmdline_max;
	snprintf(source->kind_text, sizeof(source->kind_text), "%.80s (unpacked)",
	        image.kind_text);
	return 0;
}

static const char *reason(int error)
{
	switch (error) {
	case -EBADMSG:
		return "its compressed data is damaged";
	case -EFBIG:
	case -ENODATA:
		return "it does not have the size that it should";
	case -ENOEXEC:
		return "there is no vmlinux in it";
	case -ECHILD:
		return "the unpacker was killed";
	case -ENOENT:
		return "it will be for the next time";
	case -ENOTDIR:
		return "there is no place to keep it";
	case -EPERM:
		return "this host allows no sandbox for it";
	default:
		return strerror(-error);
	}
}

/* What was of use is kept, and what was not is not found again. */
static void place_settle(const struct place *place, int fd, bool useful)
{
	if (place->dir < 0)
		return;
	if (useful && *place->temporary) {
		cache_publish(
		        place->dir, fd, place->temporary, place->content, place->file);
	} else if (!useful) {
		const char *const names[] = {
		        place->file, place->content, place->temporary};

		for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (*names[i])
				cache_remove(place->dir, names[i]);
	}
}

static void payload_end(const struct payload *payload, const struct place *place)
{
	if (payload->data)
		munmap(payload->data, payload->size);
	if (place->dir >= 0)
		close(place->dir);
}

struct later {
	struct payload *payload;
	struct place *place;
	struct boot_source *kernel; /* NULL: it is an initrd */
};

/* One at a time, so that of many starts at once one does it. */
static void keep(int dir, int file, void *context)
{
	const struct later *later = context;
	struct payload *payload = later->payload;
	struct place *place = later->place;
	int fd, error = 0;

	place->dir = dir;
	payload->file = file;
	if (payload->origin >= 0)
		payload->origin = file;
	flock(dir, LOCK_EX);
	fd = kept_open(payload, place, false);
	if (fd == -ENOENT && *place->content)
		fd = unpack_kept(payload, place);
	if (fd < 0)
		return;
	if (later->kernel) {
		later->kernel->kernel_fd = file;
		error = adopt(later->kernel, fd, payload->unpacked_size);
	}
	place_settle(place, fd, !error);
}

/*
 * What was unpacked before; else the next run will find it: -ENOENT, or -ENOTDIR if it will
 * not. The payload's file is the one that names it, or none does.
 */
static int kept_or_later(
        struct payload *payload, struct place *place, struct boot_source *kernel)
{
	struct later later = {payload, place, kernel};
	int fd;

	if (place->dir < 0)
		return -ENOTDIR;
	fd = kept_open(payload, place, true);
	if (fd == -ENOENT)
		cache_background(place->dir, payload->file, keep, &later);
	return fd;
}

/*
 * Whether the guest can as well unpack it for itself: as fast, and with room for both forms
 * of it, beside the initrds.
 */
static bool may_wait(const struct boot_source *source, const struct payload *payload,
        uint64_t memory)
{
	const struct boot_segment *kernel = source->segments;
	uint64_t left = memory - memory / INITRD_SHARE;

	if (!payload->light || payload->origin != payload->file ||
	        kernel->guest + kernel->size > left)
		return false;
	left -= kernel->guest + kernel->size;
	for (unsigned i = 0; i < source->initrd_count; i++) {
		if (source->initrd_sizes[i] > left)
			return false;
		left -= source->initrd_sizes[i];
	}
	return true;
}

void boot_unpack(struct boot_source *source, uint64_t memory)
{
	struct place place = {0};
	struct payload payload;
	int fd, error;

	if (source->format != FORMAT_BZIMAGE || !source->has_linux64 ||
	        !payload_find(source, &payload))
		return;
	place.dir = cache_open();
	fd = may_wait(source, &payload, memory)
	             ? kept_or_later(&payload, &place, source)
	             : unpacked_open(&payload, &place);
	error = fd < 0 ? fd : adopt(source, fd, payload.unpacked_size);
	if (error == -ENOTSUP)
		log_info("image: '%s' is compressed in a way that is not known here: "
		         "the guest unpacks it",
		        source->kernel_path);
	else if (error == -ENOENT || error == -ENOTDIR)
		log_info("image: '%s' is not unpacked here, %s: the guest does it",
		        source->kernel_path, reason(error));
	else if (error)
		log_warn(
		        "image: '%s' cannot be unpacked here, %s: the guest unpacks it",
		        source->kernel_path, reason(error));
	if (fd >= 0)
		place_settle(&place, fd, !error);
	if (fd >= 0 && error)
		close(fd);
	payload_end(&payload, &place);
}

/*
 * What is nothing but compressed archives: an initrd, or a kernel. False: it is not, or they
 * have too much in them as far as one sees.
 */
static bool whole_find(
        int fd, uint64_t offset, uint64_t size, uint64_t most, struct payload *payload)
{
	struct boot_medium file = medium_of_file(fd, offset + size);
	unsigned char magic[8];

	if (size <= sizeof(magic) || size > PAYLOAD_MAX)
		return false;
	*payload = (struct payload){.file = fd,
	        .offset = offset,
	        .size = size,
	        .whole = true,
	        .origin = offset ? -1 : fd,
	        .unpacked_size = most < UNPACK_MAX ? most : UNPACK_MAX};
	if (medium_read(&file, offset, magic, sizeof(magic)) ||
	        !decode_ends(magic, sizeof(magic)) ||
	        medium_read(
	                &file, offset + size - SIZE_FIELD, &payload->mark, SIZE_FIELD))
		return false;
	/* RFC 1952, ISIZE: what gzip's last archive unpacks to. */
	return magic[0] != 0x1f || payload->mark <= payload->unpacked_size;
}

/* Linux's drivers/firmware/efi/libstub/zboot-header.S: an EFI program that unpacks a kernel. */
struct zboot_header {
	char mz[4], zimg[4];
	uint32_t payload_offset, payload_size;
};

static bool zboot_find(
        const struct boot_source *source, uint64_t *offset, uint64_t *size)
{
	struct zboot_header header;

	if (boot_read(source, 0, &header, sizeof(header)) ||
	        memcmp(header.mz, "MZ", 2) != 0 || memcmp(header.zimg, "zimg", 4) != 0)
		return false;
	*offset = header.payload_offset;
	*size = header.payload_size;
	return *offset <= source->kernel_size && *size <= source->kernel_size - *offset;
}

static int kernel_adopt(struct boot_source *source, int fd, enum boot_machine machine,
        int (*probe)(struct boot_source *source, enum boot_machine machine))
{
	int packed_fd = source->kernel_fd, error;
	struct stat stat;

	if (fstat(fd, &stat) < 0)
		return -errno;
	error = become(source, fd, (uint64_t)stat.st_size, machine, probe);
	if (error)
		return error;
	if (source->has_origin) {
		close(packed_fd);
	} else {
		source->origin_fd = packed_fd;
		source->has_origin = true;
	}
	return 0;
}

int boot_decompress(struct boot_source *source, enum boot_machine machine,
        int (*probe)(struct boot_source *source, enum boot_machine machine))
{
	uint64_t offset = 0, size = source->kernel_size;
	struct place place = {0};
	struct payload payload;
	bool zboot = zboot_find(source, &offset, &size);
	int fd, error;

	if (!whole_find(source->kernel_fd, source->kernel_offset + offset, size,
	            UNPACK_MAX, &payload))
		return -ENOEXEC;
	/* A file that was copied has no name of its own, nor has a part of one. */
	if (source->has_origin)
		payload.origin = -1;
	else if (zboot && !source->kernel_offset)
		payload.origin = source->kernel_fd;
	place.dir = cache_open();
	fd = unpacked_open(&payload, &place);
	error = fd < 0 ? fd : kernel_adopt(source, fd, machine, probe);
	if (fd < 0)
		log_info("image: '%s' cannot be unpacked here, %s", source->kernel_path,
		        reason(error));
	else
		place_settle(&place, fd, !error);
	if (fd >= 0 && error)
		close(fd);
	payload_end(&payload, &place);
	return fd < 0 ? -ENOEXEC : error;
}

/* False: it is left to the guest. What will not fit is not tried at every start. */
static bool initrd_find(const struct boot_source *source, unsigned index, uint64_t most,
        struct payload *payload)
{
	return source->initrd_sizes[index] <= most / 2 &&
	       whole_find(source->initrd_fds[index], source->initrd_offsets[index],
	               source->initrd_sizes[index], most, payload);
}

static void initrd_unpack(
        struct boot_source *source, unsigned index, uint64_t most, bool now)
{
	struct place place = {0};
	struct payload payload;
	struct stat stat;
	int fd, error;

	if (!initrd_find(source, index, most, &payload))
		return;
	place.dir = cache_open();
	fd = now ? unpacked_open(&payload, &place)
	         : kept_or_later(&payload, &place, NULL);
	error = fd < 0 ? fd : fstat(fd, &stat) < 0 || !stat.st_size ? -EIO : 0;
	if (fd >= 0)
		place_settle(&place, fd, !error);
	/* Of use to a larger guest. */
	if (!error && (uint64_t)stat.st_size > most)
		error = -EFBIG;
	if (error)
		log_info("initrd: '%s' is not unpacked here, %s: the guest does it",
		        source->initrd_paths[index], reason(error));
	if (!error) {
		close(source->initrd_fds[index]);
		source->initrd_fds[index] = fd;
		source->initrd_offsets[index] = 0;
		source->initrd_sizes[index] = (uint64_t)stat.st_size;
	} else if (fd >= 0) {
		close(fd);
	}
	payload_end(&payload, &place);
}

void boot_unpack_initrds(struct boot_source *source, uint64_t memory, bool now)
{
	for (unsigned i = 0; source->needs.linux_kernel && i < source->initrd_count;
	        i++)
		initrd_unpack(
		        source, i, memory / INITRD_SHARE / source->initrd_count, now);
}

static int start_work(void *context, void *memory)
{
	const struct payload *start = context;

	return decode_starts_tar(start->data, start->size, memory) ? 0 : -ENOEXEC;
}

/* Before all of it is copied, for a compressed kernel is asked the same; 0, or the error. */
static int disk_start(const struct payload *payload)
{
	const struct sandbox sandbox = {
	        .cpu_s = CHILD_CPU_S,
	        .write_fd = -1,
	        .memory = DECODE_MEMORY,
	        .heap = DECODE_HEAP,
	};
	struct payload start = {.file = payload->file,
	        .size = payload->size < START ? payload->size : START};
	int error = payload_copy(&start);

	if (!error)
		error = sandbox_run(&sandbox, start_work, &start);
	if (start.data)
		munmap(start.data, start.size);
	return error;
}

/* One that is too large to copy is not kept: while it is mapped it may change. */
static int disk_unpack_once(struct payload *payload)
{
	void *data =
	        mmap(NULL, payload->size, PROT_READ, MAP_PRIVATE, payload->file, 0);

	if (data == MAP_FAILED)
		return -errno;
	payload->data = data;
	return unpack_once(payload);
}

int boot_unpack_disk(const struct boot_source *source, uint64_t most, uint64_t *size)
{
	struct place place = {.dir = -1};
	struct payload payload = {.file = source->kernel_fd,
	        .size = source->kernel_size,
	        .whole = true,
	        .origin = source->kernel_fd,
	        .unpacked_size = most,
	        .disk_size = size};
	struct stat stat;
	int fd, error;

	if (payload.size <= SIZE_FIELD)
		return -ENOEXEC;
	if (payload.size > PAYLOAD_MAX) {
		error = disk_start(&payload);
		fd = error ? error : disk_unpack_once(&payload);
	} else if (boot_read(source, payload.size - SIZE_FIELD, &payload.mark,
	                   SIZE_FIELD)) {
		fd = -EIO;
	} else {
		/* Not what an initrd of the same bytes would unpack to. */
		payload.mark = ~payload.mark;
		place.dir = cache_open();
		fd = named_open(&payload, &place);
		if (fd < 0) {
			error = disk_start(&payload);
			fd = error ? error : unpacked_open(&payload, &place);
		}
	}
	if (fd >= 0 && fstat(fd, &stat) == 0)
		*size = (uint64_t)stat.st_size;
	if (fd >= 0)
		place_settle(&place, fd, true);
	payload_end(&payload, &place);
	return fd;
}
