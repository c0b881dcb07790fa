/*
 * The compressed kernel in a bzImage, unpacked: the part that reads what an attacker may
 * have written, for unpack.c to run in a process that can do nothing else.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Working memory for any of the formats: xz and zstd reach back up to 128 MiB. */
enum { DECODE_MEMORY = 160 << 20 };

/* "LZ4", by the magic number; NULL: of a kind that is not known here. */
const char *decode_name(const void *payload, size_t payload_size);

/*
 * Unpacks `payload` into `fd`, exactly `size` bytes. Pages of zeros are left out: the
 * file, empty before, is to be extended to `size` afterwards. `memory` has DECODE_MEMORY
 * bytes. The only system call is pwrite(2) on `fd`.
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
