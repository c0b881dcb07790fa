/*
 * A request of a raw disk is one request of its file. For any other format it is a
 * transfer: piece by piece, it asks the format where the next bytes lie and reads or
 * writes those, the pieces of one transfer after each other, the transfers beside each
 * other.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "devices/disk_format.h"
#include "vmm/log.h"

/* Segments of a piece: 256 KiB of a guest's scattered pages. */
enum { PIECE_SEGMENTS = 64 };

/* A lock that is not to be had is waited for, for 0.2 s. */
enum { LOCK_TRIES = 20, LOCK_PAUSE_NS = 10000000 };

struct transfer {
	struct transfer *next; /* of the free or of the waiting ones */
	struct disk *disk;
	struct disk_request *request; /* NULL: free */
	uint64_t done;                /* bytes */
	bool waits;
	bool running, again; /* transfer_run() is on the stack; once more, then */
	bool syncing;        /* what comes last, for a write that must last */
	int result;
	struct extent extent; /* of the piece under way */
	struct io_request io;
	struct iovec iov[PIECE_SEGMENTS];
};

static const struct disk_type *const types[] = {
        [DISK_RAW] = &disk_raw,
        [DISK_QCOW2] = &disk_qcow2,
        [DISK_VHD] = &disk_vhd,
        [DISK_VMDK] = &disk_vmdk,
};

enum disk_format disk_format_of(const char *path)
{
	size_t size = strlen(path);

	for (unsigned i = DISK_RAW; i < sizeof(types) / sizeof(types[0]); i++) {
		const char *ending = types[i]->ending;

		if (ending && size > strlen(ending) &&
		        !strcasecmp(path + size - strlen(ending), ending))
			return i;
	}
	return DISK_RAW;
}

/* Files. */

int disk_pread(int fd, void *data, size_t size, uint64_t offset)
{
	while (size > 0) {
		ssize_t count = pread(fd, data, size, (off_t)offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count ? -errno : -EIO;
		data = (char *)data + count;
		size -= (size_t)count;
		offset += (uint64_t)count;
	}
	return 0;
}

int disk_pwrite(int fd, const void *data, size_t size, uint64_t offset)
{
	while (size > 0) {
		ssize_t count = pwrite(fd, data, size, (off_t)offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count ? -errno : -EIO;
		data = (const char *)data + count;
		size -= (size_t)count;
		offset += (uint64_t)count;
	}
	return 0;
}

static int open_file(const char *path, bool readonly)
{
	/* O_NONBLOCK: a FIFO must not make us wait; on what we accept it means nothing. */
	int fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
		return log_error(-errno,
		        "--disk: '%s' does not exist (--disk %s,size=1G makes an empty "
		        "disk)",
		        path, path);
	case EACCES:
	case EPERM:
	case EROFS:
		if (!readonly)
			return log_error(-errno,
			        "--disk: cannot write '%s': %s (to only read it: "
			        "--disk %s,ro)",
			        path, strerror(errno), path);
	}
	return log_error(-errno, "--disk: cannot open '%s': %s", path, strerror(errno));
}

static int find_size(int fd, const char *path, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return log_error(-errno, "--disk: cannot examine '%s': %s", path,
		        strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return log_error(-EINVAL,
		        "--disk: '%s' is neither a file nor a block device", path);
	*size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, size) < 0)
		return log_error(-errno, "--disk: cannot get the size of '%s': %s",
		        path, strerror(errno));
	return 0;
}

/* Of the open file, not of the process: it goes with the last copy of the fd. */
static int lock_file(int fd, const char *path, bool readonly)
{
	struct flock lock = {
	        .l_type = readonly ? F_RDLCK : F_WRLCK,
	        .l_whence = SEEK_SET,
	};
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};

	/* The kernel ends a killed monitor's ring, and its locks, a moment after it. */
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			break;
		nanosleep(&pause, NULL);
	}
	if (errno != EAGAIN && errno != EACCES)
		return log_error(
		        -errno, "--disk: cannot lock '%s': %s", path, strerror(errno));
	if (readonly)
		return log_error(-EBUSY,
		        "--disk: '%s' is being written by another VM: stop that first",
		        path);
	return log_error(-EBUSY,
	        "--disk: '%s' is in use by another VM: stop that first, or give each a "
	        "copy",
	        path);
}

/* A disk that does not exist is made; one that does is kept as it is. */
static int create_file(
        const struct disk_config *config, const struct disk_type *type, bool readonly)
{
	const char *path = config->path;
	int fd, error;

	if (!config->create_size)
		return 0;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return log_error(-errno, "--disk: cannot create '%s': %s", path,
		        strerror(errno));
	if (readonly)
		error = log_error(-EINVAL,
		        "--disk: '%s' does not exist, and an empty disk is of no use "
		        "read-only: leave ,ro out",
		        path);
	else if (!type->create)
		error = log_error(-ENOTSUP,
		        "--disk: cannot create '%s': new disks are raw or qcow2", path);
	else if ((error = type->create(fd, config->create_size)) != 0)
		log_error(error, "--disk: cannot create '%s': %s", path,
		        strerror(-error));
	close(fd);
	if (error)
		unlink(path);
	return error;
}

/* A raw file that begins like another format was most likely meant as that. */
static void warn_of_format(const struct disk *disk)
{
	static const char *const magics[] = {
	        [DISK_QCOW2] = "QFI\xfb",
	        [DISK_VHD] = "conectix",
	        [DISK_VMDK] = "KDMV",
	};
	char start[8];

	if (disk_pread(disk->fd, start, sizeof(start), 0))
		return;
	for (unsigned i = DISK_QCOW2; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (!memcmp(start, magics[i], strlen(magics[i])))
			log_warn("--disk: '%s' is taken as raw but begins like a %s: "
			         "if it is one, say ,format=%s, else ,format=raw",
			        disk->path, types[i]->name, types[i]->name);
}

/* Opens the image itself. */
static struct disk *image_open(
        const struct disk_config *config, bool readonly, unsigned depth)
{
	enum disk_format format =
	        config->format ? config->format : disk_format_of(config->path);
	struct disk *disk = calloc(1, sizeof(*disk));

	if (disk)
		disk->path = strdup(config->path);
	if (!disk || !disk->path) {
		log_error(-ENOMEM, "--disk: out of memory for '%s'", config->path);
		free(disk);
		return NULL;
	}
	disk->fd = -1;
	disk->depth = depth;
	disk->type = types[format];
	disk->info.format = disk->type->name;
	disk->info.readonly = readonly;
	disk->info.discard = !readonly;
	if (create_file(config, disk->type, config->readonly) < 0)
		goto fail;
	disk->fd = open_file(config->path, readonly);
	if (disk->fd < 0 || find_size(disk->fd, config->path, &disk->file_size) < 0 ||
	        lock_file(disk->fd, config->path, readonly) < 0)
		goto fail;
	/* io_uring would answer -EAGAIN instead of waiting. */
	if (fcntl(disk->fd, F_SETFL, 0) < 0) {
		log_error(-errno, "--disk: cannot use '%s': %s", config->path,
		        strerror(errno));
		goto fail;
	}
	if (disk->type->open(disk, config) < 0)
		goto fail;
	if (disk->type == &disk_raw && config->format == DISK_BY_NAME)
		warn_of_format(disk);
	if (disk->info.size == 0 || disk->info.size % DISK_SECTOR) {
		log_error(-EINVAL,
		        "--disk: '%s' holds a disk of %llu bytes, which is not a "
		        "multiple of 512 greater than 0",
		        config->path, (unsigned long long)disk->info.size);
		goto fail;
	}
	return disk;
fail:
	disk_close(disk);
	return NULL;
}

struct disk *disk_open_below(const struct disk_config *config, unsigned depth)
{
	if (depth > DISK_CHAIN_MAX) {
		log_error(-ELOOP,
		        "--disk: '%s': more than %d backing files behind each other (a "
		        "loop?)",
		        config->path, DISK_CHAIN_MAX);
		return NULL;
	}
	return image_open(config, true, depth);
}

struct disk *disk_open(const struct disk_config *config)
{
	bool overlay = config->ephemeral && !config->readonly;
	struct disk *disk = image_open(config, config->readonly || overlay, 0);

	return disk && overlay ? disk_overlay_create(disk) : disk;
}

void disk_close(struct disk *disk)
{
	if (!disk)
		return;
	io_destroy(disk->io);
	if (disk->type->close)
		disk->type->close(disk);
	disk_close(disk->below);
	if (disk->fd >= 0)
		close(disk->fd);
	free(disk->transfers);
	free(disk->path);
	free(disk);
}

const struct disk_info *disk_info(const struct disk *disk)
{
	return &disk->info;
}

/* Where bytes lie. */

int disk_find(struct disk *disk, uint64_t offset, uint64_t size, struct extent *extent)
{
	int error = 0;

	for (;;) {
		error = disk->type->find(disk, offset, size, extent);
		if (error || extent->kind != EXTENT_BELOW)
			break;
		size = extent->size;
		disk = disk->below;
		/* A disk may be larger than the one that it is based on. */
		if (!disk || offset >= disk->info.size) {
			extent->kind = EXTENT_ZERO;
			break;
		}
		if (size > disk->info.size - offset)
			size = disk->info.size - offset;
	}
	extent->owner = disk;
	return error;
}

int disk_read_now(struct disk *disk, uint64_t offset, void *data, size_t size)
{
	struct extent extent;
	const void *unpacked;
	int error = 0;

	if (offset > disk->info.size || size > disk->info.size - offset)
		return -EINVAL;
	while (size > 0 && !error) {
		error = disk_find(disk, offset, size, &extent);
		if (error)
			break;
		if (extent.kind == EXTENT_DATA) {
			error = disk_pread(extent.fd, data, extent.size, extent.offset);
		} else if (extent.kind == EXTENT_PACKED) {
			error = extent.owner->type->unpack(
			        extent.owner, offset, &extent, &unpacked);
			if (!error)
				memcpy(data, unpacked, extent.size);
		} else {
			memset(data, 0, extent.size);
		}
		data = (char *)data + extent.size;
		offset += extent.size;
		size -= extent.size;
	}
	return error;
}

/* Transfers. */

/* The segments of what comes next, at most `size` bytes: how many bytes they are. */
static uint64_t piece_cut(struct transfer *transfer, uint64_t size)
{
	const struct disk_request *request = transfer->request;
	const struct iovec *iov = request->iov;
	uint64_t skip = transfer->done, total = 0;
	unsigned count = 0;

	for (; skip >= iov->iov_len; iov++)
		skip -= iov->iov_len;
	for (; count < PIECE_SEGMENTS && total < size; iov++) {
		size_t length = iov->iov_len - skip;

		if (length > size - total)
			length = size - total;
		if (length > 0)
			transfer->iov[count++] =
			        (struct iovec){(char *)iov->iov_base + skip, length};
		total += length;
		skip = 0;
	}
	transfer->io.iov = transfer->iov;
	transfer->io.iov_count = count;
	return total;
}

/* Fills the piece from `data`, or with zeroes. */
static void piece_fill(struct transfer *transfer, const char *data)
{
	for (unsigned i = 0; i < transfer->io.iov_count; i++) {
		const struct iovec *iov = &transfer->iov[i];

		if (data)
			memcpy(iov->iov_base, data, iov->iov_len);
		else
			memset(iov->iov_base, 0, iov->iov_len);
		data = data ? data + iov->iov_len : NULL;
	}
}

static void transfer_run(struct transfer *transfer);

static void waiting_run(struct disk *disk)
{
	struct transfer *transfer = disk->waiting;

	disk->waiting = NULL;
	while (transfer) {
		struct transfer *next = transfer->next;

		transfer->waits = false;
		transfer_run(transfer);
		transfer = next;
	}
}

static void transfer_wait(struct transfer *transfer)
{
	transfer->waits = true;
	transfer->next = transfer->disk->waiting;
	transfer->disk->waiting = transfer;
}

static void piece_done(struct io_request *io, int result)
{
	struct transfer *transfer =
	        (struct transfer *)((char *)io - offsetof(struct transfer, io));
	struct disk *disk = transfer->disk;
	enum disk_operation operation = transfer->request->operation;
	bool settles =
	        !transfer->syncing && operation != DISK_READ && operation != DISK_FLUSH;

	if (settles)
		result = disk->type->settle(disk,
		        transfer->request->offset + transfer->done, &transfer->extent,
		        result);
	transfer->result = result;
	transfer->done += transfer->extent.size;
	transfer->extent.size = 0;
	transfer_run(transfer);
	if (settles)
		waiting_run(disk);
}

static void piece_submit(struct transfer *transfer, enum io_operation operation)
{
	struct io_request *io = &transfer->io;

	io->operation = operation;
	io->fd = transfer->extent.fd;
	io->offset = transfer->extent.offset;
	io->size = transfer->extent.size;
	io->stable = false;
	io->done = piece_done;
	io_submit(transfer->disk->io, io);
}

/* What a step of a transfer leaves behind. */
enum step { STEP_MORE, STEP_UNDER_WAY, STEP_END };

static enum step step_read(struct transfer *transfer, uint64_t offset, uint64_t size)
{
	struct disk *disk = transfer->disk, *owner;
	struct extent *extent = &transfer->extent;
	const void *data = NULL;

	transfer->result = disk_find(disk, offset, size, extent);
	if (transfer->result)
		return STEP_END;
	owner = extent->owner;
	extent->size = piece_cut(transfer, extent->size);
	if (extent->kind == EXTENT_DATA) {
		piece_submit(transfer, IO_READ);
		return STEP_UNDER_WAY;
	}
	if (extent->kind == EXTENT_PACKED) {
		transfer->result = owner->type->unpack(owner, offset, extent, &data);
		if (transfer->result)
			return STEP_END;
	}
	piece_fill(transfer, data);
	transfer->done += extent->size;
	return STEP_MORE;
}

static enum step step_write(struct transfer *transfer, uint64_t offset, uint64_t size)
{
	struct disk *disk = transfer->disk;

	/* Not more is allocated than one piece fills. */
	size = piece_cut(transfer, size);
	transfer->result = disk->type->place(disk, offset, size, &transfer->extent);
	if (transfer->result == -EAGAIN) {
		transfer->result = 0;
		transfer_wait(transfer);
		return STEP_UNDER_WAY;
	}
	if (transfer->result)
		return STEP_END;
	piece_cut(transfer, transfer->extent.size);
	piece_submit(transfer, IO_WRITE);
	return STEP_UNDER_WAY;
}

/* Whether another request that is under way has to do with this one's range. */
static bool is_disturbed(const struct transfer *transfer)
{
	const struct disk *disk = transfer->disk;
	uint64_t offset = transfer->request->offset;
	uint64_t end = offset + transfer->request->size;

	for (unsigned i = 0; i < disk->transfer_count; i++) {
		const struct transfer *other = &disk->transfers[i];
		const struct disk_request *request = other->request;

		if (request && other != transfer && !other->waits &&
		        request->offset < end &&
		        offset < request->offset + request->size)
			return true;
	}
	return false;
}

static enum step step_clear(struct transfer *transfer, uint64_t offset, uint64_t size)
{
	struct disk *disk = transfer->disk;
	bool discard = transfer->request->operation == DISK_DISCARD;
	bool unmap = discard || transfer->request->unmap;

	/* What is given back must not be read or written any more by whoever began that
	 * before: it may hold something else by then. */
	transfer->result = is_disturbed(transfer)
	                           ? -EAGAIN
	                           : disk->type->clear(disk, offset, size, unmap,
	                                     discard, &transfer->extent);
	if (transfer->result == -EAGAIN) {
		transfer->result = 0;
		transfer_wait(transfer);
		return STEP_UNDER_WAY;
	}
	if (transfer->result)
		return STEP_END;
	if (transfer->extent.kind == EXTENT_DATA) {
		piece_submit(transfer, unmap ? IO_UNMAP : IO_ZERO);
		return STEP_UNDER_WAY;
	}
	transfer->done += transfer->extent.size;
	return STEP_MORE;
}

static enum step step_sync(struct transfer *transfer)
{
	struct disk *disk = transfer->disk;

	if (transfer->syncing || disk->type->temporary)
		return STEP_END;
	transfer->syncing = true;
	transfer->result = disk->type->sync ? disk->type->sync(disk) : 0;
	if (transfer->result)
		return STEP_END;
	transfer->extent = (struct extent){.fd = disk->fd};
	piece_submit(transfer, IO_SYNC);
	return STEP_UNDER_WAY;
}

static enum step transfer_step(struct transfer *transfer)
{
	const struct disk_request *request = transfer->request;
	uint64_t offset = request->offset + transfer->done;
	uint64_t size = request->size - transfer->done;

	if (transfer->result)
		return STEP_END;
	if (request->operation == DISK_FLUSH || (size == 0 && request->stable))
		return step_sync(transfer);
	if (size == 0)
		return STEP_END;
	switch (request->operation) {
	case DISK_READ:
		return step_read(transfer, offset, size);
	case DISK_WRITE:
		return step_write(transfer, offset, size);
	default:
		return step_clear(transfer, offset, size);
	}
}

static void transfer_end(struct transfer *transfer)
{
	struct disk_request *request = transfer->request;
	struct disk *disk = transfer->disk;
	int result = transfer->result;

	transfer->request = NULL;
	transfer->next = disk->free;
	disk->free = transfer;
	request->done(request, result);
	/* One that waited for this request's end. */
	waiting_run(disk);
}

/*
 * Step after step. A piece that is complete at once calls this from within: that only
 * says that there is more to do, so that no number of pieces fills the stack.
 */
static void transfer_run(struct transfer *transfer)
{
	enum step step;

	transfer->again = true;
	if (transfer->running)
		return;
	transfer->running = true;
	do {
		transfer->again = false;
		step = transfer_step(transfer);
	} while (step == STEP_MORE || (step == STEP_UNDER_WAY && transfer->again));
	transfer->running = false;
	if (step == STEP_END)
		transfer_end(transfer);
}

static void plain_done(struct io_request *io, int result)
{
	struct disk_request *request =
	        (struct disk_request *)((char *)io - offsetof(struct disk_request, io));

	request->done(request, result);
}

static enum io_operation plain_operation(const struct disk_request *request)
{
	switch (request->operation) {
	case DISK_READ:
		return IO_READ;
	case DISK_WRITE:
		return IO_WRITE;
	case DISK_FLUSH:
		return IO_SYNC;
	case DISK_DISCARD:
		return IO_DISCARD;
	case DISK_ZERO:
		break;
	}
	return request->unmap ? IO_UNMAP : IO_ZERO;
}

static void plain_submit(struct disk *disk, struct disk_request *request)
{
	request->io = (struct io_request){
	        .operation = plain_operation(request),
	        .fd = disk->fd,
	        .stable = request->stable,
	        .offset = request->offset,
	        .size = request->size,
	        .iov = request->iov,
	        .iov_count = request->iov_count,
	        .done = plain_done,
	};
	io_submit(disk->io, &request->io);
}

int disk_start(struct disk *disk, struct loop *loop, pthread_mutex_t *lock,
        unsigned depth, void (*settled)(void *context), void *context)
{
	unsigned count = depth ? depth : 1;

	if (!disk->type->plain) {
		disk->transfers = calloc(count, sizeof(*disk->transfers));
		if (!disk->transfers)
			return log_error(-ENOMEM, "--disk: out of memory");
		disk->transfer_count = count;
		while (count-- > 0) {
			disk->transfers[count].next = disk->free;
			disk->free = &disk->transfers[count];
		}
	}
	disk->io = io_create(loop, lock, depth, settled, context);
	return disk->io ? 0 : -ENOMEM;
}

void disk_submit(struct disk *disk, struct disk_request *request)
{
	struct transfer *transfer = disk->free;

	if (disk->type->plain) {
		plain_submit(disk, request);
		return;
	}
	assert(transfer);
	disk->free = transfer->next;
	transfer->disk = disk;
	transfer->request = request;
	transfer->done = 0;
	transfer->result = 0;
	transfer->syncing = transfer->waits = false;
	transfer->extent.size = 0;
	transfer_run(transfer);
}

void disk_flush_queue(struct disk *disk)
{
	io_flush(disk->io);
}

void disk_drain(struct disk *disk)
{
	if (disk->io)
		io_drain(disk->io);
}

void disk_cancel(struct disk *disk)
{
	if (disk->io)
		io_cancel(disk->io);
}
