/* How a guest of multiboot.S was entered; 0 and NULL: otherwise. */
#pragma once

#include <stdint.h>

#define MULTIBOOT_MAGIC  0x2badb002
#define MULTIBOOT2_MAGIC 0x36d76289

extern uint32_t multiboot_magic;
extern const uint32_t *multiboot_info;
