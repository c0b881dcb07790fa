/*
 * An ELF, opened and, where that works, loaded. The input is a list of changes to a good
 * unikernel, each a place (2 bytes) and what to write there (8 bytes): so it gets past the
 * magic numbers at once. An odd first byte makes the rest the whole file after the magic.
 */
#include <elf.h>
#include <stddef.h>
#include <string.h>

#include "tests/fuzz/boot_input.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

struct note {
	Elf64_Nhdr header;
	char owner[8];
	uint32_t data;
};

static union image {
	unsigned char bytes[0x400];
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segments[4];
		struct note notes[3];
	};
} unikernel(void)
{
	union image image = {
	        .header =
	                {
	                        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
	                                ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	                        .e_type = ET_EXEC,
	                        .e_machine = EM_X86_64,
	                        .e_entry = 0x100000,
	                        .e_phoff = sizeof(Elf64_Ehdr),
	                        .e_phentsize = sizeof(Elf64_Phdr),
	                        .e_phnum = 4,
	                },
	        .notes =
	                {
	                        {{4, 4, 18}, "Xen", 0x100000},
	                        {{7, 4, 1}, "Mayfly", 0},
	                        {{6, 4, 0x100}, "Linux", 0},
	                },
	};

	/* Xen's owner takes 4 bytes, and the entry stands where the padding was. */
	memcpy(image.notes[0].owner + 4, &image.notes[0].data, 4);
	image.notes[0].header.n_descsz = 8;
	memset(&image.notes[0].data, 0, 4);
	image.segments[0] = (Elf64_Phdr){.p_type = PT_NOTE,
	        .p_offset = offsetof(union image, notes),
	        .p_filesz = sizeof(image.notes)};
	for (unsigned i = 1; i < 4; i++)
		image.segments[i] = (Elf64_Phdr){.p_type = PT_LOAD,
		        .p_paddr = 0x100000 * i,
		        .p_filesz = sizeof(image),
		        .p_memsz = 0x10000};
	return image;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	union image image = unikernel();
	const void *file = image.bytes;
	size_t file_size = sizeof(image);
	struct boot_source source;
	char path[BOOT_PATH];
	uint16_t place;
	int fd;

	if (size && data[0] & 1) {
		file = data;
		file_size = size;
	} else if (size) {
		for (data++, size--; size >= 10; data += 10, size -= 10) {
			memcpy(&place, data, 2);
			memcpy(image.bytes + place % (sizeof(image) - 7), data + 2, 8);
		}
	}
	fd = boot_file(file, file_size, file_size, path);
	if (pwrite(fd, ELFMAG, SELFMAG, 0) == SELFMAG &&
	        !boot_open(&source, path, NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86)) {
		boot_load_pc(&source, NULL);
		boot_close(&source);
	}
	close(fd);
	return 0;
}
