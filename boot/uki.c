/*
 * A unified kernel image is an EFI program with the parts of a boot in sections of its own:
 * UAPI.5, "Unified Kernel Images"; Microsoft's "PE Format".
 */
#include <errno.h>
#include <string.h>

#include "boot/bytes.h"
#include "boot/find.h"

enum {
	DOS_HEADER = 64,
	PE_AT = 0x3c,
	PE_HEADER = 24, /* signature and COFF header */
	SECTION = 40,
	SECTIONS = 96,
	NAME = 8,
};

int uki_read(const struct boot_medium *medium, const struct medium_map *file,
        int (*take)(void *context, const char *name, uint64_t offset, uint64_t size),
        void *context)
{
	unsigned char dos[DOS_HEADER], header[PE_HEADER], section[SECTION];
	uint64_t at;
	unsigned count;
	int error = map_read(file, medium, 0, dos, sizeof(dos));

	if (error || memcmp(dos, "MZ", 2) != 0)
		return -ENOEXEC;
	at = read_le32(dos + PE_AT);
	if (map_read(file, medium, at, header, sizeof(header)) ||
	        memcmp(header, "PE\0\0", 4) != 0)
		return -ENOEXEC;
	count = read_le16(header + 6);
	if (count > SECTIONS)
		return -EBADMSG;
	at += PE_HEADER + read_le16(header + 20);
	for (unsigned i = 0; i < count; i++, at += SECTION) {
		char name[NAME + 1] = {0};
		uint32_t size, offset;

		error = map_read(file, medium, at, section, sizeof(section));
		if (error)
			return error;
		memcpy(name, section, NAME);
		/* What is in the file is padded to the alignment of the file. */
		size = read_le32(section + 8);
		if (size > read_le32(section + 16))
			size = read_le32(section + 16);
		offset = read_le32(section + 20);
		if (size && (offset > file->size || size > file->size - offset))
			return -ENODATA;
		error = take(context, name, offset, size);
		if (error)
			return error;
	}
	return 0;
}
