/* One header of a tar archive, for tar.c and for what comes out of a decompressor. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { TAR_BLOCK = 512 }; /* of a header, and what a file's size is rounded to */

bool tar_is_header(const unsigned char header[TAR_BLOCK]);
bool tar_is_file(const unsigned char header[TAR_BLOCK]); /* a regular one */
uint64_t tar_size(const unsigned char header[TAR_BLOCK]);

/* GNU's sparse files (GNU tar's manual, "Old GNU Format"): of this size, in pieces. */
struct tar_piece {
	uint64_t offset, size;
};
bool tar_is_sparse(const unsigned char header[TAR_BLOCK]);
uint64_t tar_real_size(const unsigned char header[TAR_BLOCK]);
/*
 * The pieces in a header (`first`), or in a block that continues it: how many there are, all
 * within `size`; -EBADMSG if they are not, -E2BIG without room.
 */
int tar_pieces(const unsigned char block[TAR_BLOCK], bool first,
        struct tar_piece *pieces, unsigned room, uint64_t size);
bool tar_pieces_continue(const unsigned char block[TAR_BLOCK], bool first);
