/*
 * Multiboot: where a header is, what it asks for, where it puts the image. The two versions
 * of the specification, 0.6.96 and 2, share how an image is found, placed and entered; each
 * has its own header (below) and its own structure for the guest.
 */
#pragma once

#include "boot/loader.h"

enum {
	MULTIBOOT_HEAD = 32768, /* version 2's header is in as many bytes, 8-aligned */
	MULTIBOOT_ADDRESS_NONE = -1, /* version 2: the file is loaded from its start */
};

/* The start of the file, copied once. */
struct multiboot_head {
	uint8_t data[MULTIBOOT_HEAD];
	uint32_t size;
};

/* "The address fields": the a.out kludge of version 1, the address tag of version 2. */
struct multiboot_addresses {
	uint32_t header, load, load_end, bss_end;
};

/* Makes them the source's only segment; the header is at `offset`. Logs -EINVAL. */
int multiboot_place(struct boot_source *source, uint32_t offset,
        const struct multiboot_addresses *addresses);

/* Logs -EINVAL: the header contradicts itself, or asks for what is not there. */
int multiboot_refuse(const struct boot_source *source, const char *why);

/* The image would like a video mode: it is told of none, and the user that it wished. */
void multiboot_no_video(const struct boot_source *source);

/* multiboot2.c: as multiboot_find(), of the header whose file offset this is. */
int multiboot2_take(struct boot_source *source, const struct multiboot_head *head,
        uint32_t offset, uint32_t size);
