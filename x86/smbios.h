/*
 * SMBIOS tables: who made this machine, that it is virtual, and which one it is. Guests
 * read them as /sys/class/dmi/id.
 */
#pragma once

#include <stdint.h>

struct memory;

/* At LAYOUT_SMBIOS; `uuid` in the order of its text. -ENOMEM (logged): no RAM there. */
int smbios_write(struct memory *memory, const uint8_t uuid[16]);
