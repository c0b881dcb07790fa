/* --state: what of a machine lasts between runs. */
#pragma once

#include <stdint.h>

struct config;

enum { UUID_TEXT = 37 }; /* with the NUL */

/* "123e4567-e89b-12d3-a456-426614174000", bytes in the order of the text; or -EINVAL. */
int uuid_parse(const char *text, uint8_t uuid[16]);
void uuid_format(const uint8_t uuid[16], char text[UUID_TEXT]);
/* A random one: RFC 9562, version 4. */
void uuid_make(uint8_t uuid[16]);

/*
 * Of config->state: the files uuid and mac-addr (LinuxKit's name) are read, or made when
 * they are missing, and disks that are to be created there get their place. A dry run
 * makes nothing. -Exxx (logged).
 */
int state_open(struct config *config);
