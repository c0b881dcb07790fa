/*
 * The compressed kernel in a bzImage, an initrd, or the disk in an archive, unpacked: the
 * part that reads what an attacker may have written, for unpack.c to run in a process that
 * can do nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Working memory for any of the formats: xz and zstd reach back up to 128 MiB. */
enum { DECODE_MEMORY = 160 << 20, DECODE_HEAP = 64 << 10 };

/* "LZ4", by the magic number; NULL: of a kind that is not known here. */
const char *decode_name(const void *payload, size_t payload_size);

/* Whether its end shows in it, so that more may follow. */
bool decode_ends(const void *payload, size_t payload_size);

/* Whether Linux takes no longer for it, early in a guest, than this does. */
bool decode_is_light(const void *payload, size_t payload_size);

/*
 * Unpacks `payload` into `fd`, exactly `size` bytes. Pages of zeros are left out: the
 * file, empty before, is to be extended to `size` afterwards. `memory` has DECODE_MEMORY
 * bytes; malloc() gives DECODE_HEAP at most. The only system call is pwrite(2) on `fd`.
 *
 * -EBADMSG for damaged data, -EFBIG and -ENODATA if it is not `size` bytes, -ENOMEM if it
 * wants more memory, -ENOTSUP, or the error of the write.
 */
int decode(
        const void *payload, size_t payload_size, int fd, uint64_t size, void *memory);

/*
 * The first file of a tar archive in gzip, into `fd`; `size` is then its size. As decode(),
 * and -EFBIG if it has more than `limit` bytes, -ENOEXEC if this is not such an archive.
 */
int decode_tar(const void *payload, size_t payload_size, int fd, uint64_t limit,
        void *memory, uint64_t *size);

/* Whether that may be such an archive, by its first bytes; it may be cut behind 64 KiB. */
bool decode_starts_tar(const void *payload, size_t payload_size, void *memory);

/*
 * Unpacks an initrd: one compressed archive after the other, each then at a multiple of 4
 * bytes; what follows them and is not compressed stays as it is, up to its end (Linux's
 * driver-api/early-userspace/buffer-format.rst). At most `most` bytes (-EFBIG); the file
 * has its size then. -ENOTSUP for what does not say where it ends, else as decode().
 */
int decode_archives(
        const void *payload, size_t payload_size, int fd, uint64_t most, void *memory);
