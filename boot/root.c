/*
 * An image says root= for the machine that it was made for, where it was a CD or a disk of
 * another kind. Here it is the first virtio disk.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/loader.h"
#include "vmm/log.h"

/* As Linux calls the first disk; some set a letter before the number of a partition. */
static const struct {
	const char *name;
	bool letter;
} disks[] = {
        {"/dev/sr0", false},
        {"/dev/cdrom", false},
        {"/dev/sda", false},
        {"/dev/hda", false},
        {"/dev/xvda", false},
        {"/dev/nvme0n1", true},
        {"/dev/mmcblk0", true},
};

static const char option[] = "root=", disk[] = "/dev/vda";

/* The last root= is what Linux takes; NULL: there is none before a "--". */
static char *root_find(char *cmdline)
{
	char *found = NULL;

	for (char *at = cmdline; *at; at += strcspn(at, " ")) {
		at += strspn(at, " ");
		if (!strncmp(at, "-- ", 3) || !strcmp(at, "--"))
			break;
		if (!strncmp(at, option, strlen(option)))
			found = at + strlen(option);
	}
	return found;
}

/* How much of `text`, of this size, names the first disk; 0: it is something else. */
static size_t disk_part(const char *text, size_t size)
{
	for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
		size_t length = strlen(disks[i].name), digits;

		if (size < length || strncmp(text, disks[i].name, length) != 0)
			continue;
		if (disks[i].letter && size > length && text[length] == 'p')
			length++;
		for (digits = length; digits < size; digits++)
			if (!isdigit((unsigned char)text[digits]))
				break;
		if (digits == size)
			return length;
	}
	return 0;
}

int boot_root(struct boot_source *source)
{
	char *root = root_find(source->cmdline), *text;
	size_t size = root ? strcspn(root, " ") : 0;
	size_t part = root ? disk_part(root, size) : 0;
	int length;

	/* If nobody says where the root is, an initrd of the image's own decides. */
	if (root ? !part : source->initrd_count > 0 && !source->linuxkit)
		return 0;
	if (root)
		length = asprintf(&text, "%.*s%s%s", (int)(root - source->cmdline),
		        source->cmdline, disk, root + part);
	else
		length = asprintf(&text, "%s%s%s%s", option, disk,
		        *source->cmdline ? " " : "", source->cmdline);
	if (length < 0 || length >= BOOT_CMDLINE_MAX)
		return log_error(
		        -ENOMEM, "image: no room for root= on the command line");
	if (root)
		source->root_was = strndup(root, size);
	free(source->cmdline);
	source->cmdline = text;
	return 0;
}
