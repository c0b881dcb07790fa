/* A disk whose bytes are those of a regular file or of a block device. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/disk.h"
#include "vmm/log.h"

enum { SECTOR = 512 };

struct disk {
	int fd;
	struct disk_info info;
	struct io *io;
};

static int open_file(const char *path, bool readonly)
{
	/* O_NONBLOCK: a FIFO must not make us wait; on what we accept it means nothing. */
	int fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
		return log_error(-errno,
		        "--disk: '%s' does not exist (truncate -s 1G FILE makes an "
		        "empty disk)",
		        path);
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
	*size = st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, size) < 0)
		return log_error(-errno, "--disk: cannot get the size of '%s': %s",
		        path, strerror(errno));
	if (*size == 0)
		return log_error(-EINVAL,
		        "--disk: '%s' is empty (truncate -s 1G FILE gives it a size)",
		        path);
	if (*size % SECTOR)
		return log_error(-EINVAL,
		        "--disk: the size of '%s' is not a multiple of 512 "
		        "(truncate -s %%512 FILE pads it)",
		        path);
	return 0;
}

/* Of the open file, not of the process: it goes with the last copy of the fd. */
static int lock_file(int fd, const char *path, bool readonly)
{
	struct flock lock = {
	        .l_type = readonly ? F_RDLCK : F_WRLCK,
	        .l_whence = SEEK_SET,
	};

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
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

struct disk *disk_open(const char *path, bool readonly)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	if (!disk) {
		log_error(-ENOMEM, "--disk: out of memory for '%s'", path);
		return NULL;
	}
	disk->info.readonly = readonly;
	disk->info.discard = !readonly;
	disk->fd = open_file(path, readonly);
	if (disk->fd < 0)
		goto fail;
	if (find_size(disk->fd, path, &disk->info.size) < 0)
		goto fail;
	if (lock_file(disk->fd, path, readonly) < 0)
		goto fail;
	/* io_uring would answer -EAGAIN instead of waiting. */
	if (fcntl(disk->fd, F_SETFL, 0) < 0) {
		log_error(-errno, "--disk: cannot use '%s': %s", path, strerror(errno));
		goto fail;
	}
	return disk;
fail:
	disk_close(disk);
	return NULL;
}

void disk_close(struct disk *disk)
{
	if (!disk)
		return;
	io_destroy(disk->io);
	if (disk->fd >= 0)
		close(disk->fd);
	free(disk);
}

const struct disk_info *disk_info(const struct disk *disk)
{
	return &disk->info;
}

int disk_start(struct disk *disk, struct loop *loop, pthread_mutex_t *lock,
        unsigned depth, void (*settled)(void *context), void *context)
{
	disk->io = io_create(loop, lock, depth, settled, context);
	return disk->io ? 0 : -ENOMEM;
}

static void io_done(struct io_request *io, int result)
{
	struct disk_request *request =
	        (struct disk_request *)((char *)io - offsetof(struct disk_request, io));

	request->done(request, result);
}

static enum io_operation io_operation(const struct disk_request *request)
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

void disk_submit(struct disk *disk, struct disk_request *request)
{
	request->io = (struct io_request){
	        .operation = io_operation(request),
	        .fd = disk->fd,
	        .stable = request->stable,
	        .offset = request->offset,
	        .size = request->size,
	        .iov = request->iov,
	        .iov_count = request->iov_count,
	        .done = io_done,
	};
	io_submit(disk->io, &request->io);
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
