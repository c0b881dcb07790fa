/* One header of a tar archive, for tar.c and for what comes out of a decompressor. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { TAR_BLOCK = 512 }; /* of a header, and what a file's size is rounded to */

bool tar_is_header(const unsigned char header[TAR_BLOCK]);
bool tar_is_file(const unsigned char header[TAR_BLOCK]); /* a regular one */
uint64_t tar_size(const unsigned char header[TAR_BLOCK]);
