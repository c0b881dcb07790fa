/*
 * Multiboot headers, opened and, where that works, loaded with two modules. The first byte
 * chooses version and format, the rest are the header's words behind its magic numbers,
 * whose sum is made right: so every input gets past what a random one would not.
 */
#include <elf.h>
#include <string.h>

#include "tests/fuzz/boot_input.h"

enum { FILE_SIZE = 4096, AT = 128, MAGIC1 = 0x1badb002 };
static const uint32_t magic2 = 0xe85250d6;

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void write_elf(unsigned char *file)
{
	const Elf64_Ehdr header = {
	        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
	                EV_CURRENT},
	        .e_type = ET_EXEC,
	        .e_machine = EM_X86_64,
	        .e_entry = 0x100000,
	        .e_phoff = sizeof(Elf64_Ehdr),
	        .e_phentsize = sizeof(Elf64_Phdr),
	        .e_phnum = 1,
	};
	const Elf64_Phdr segment = {.p_type = PT_LOAD,
	        .p_vaddr = 0x100000,
	        .p_paddr = 0x100000,
	        .p_filesz = FILE_SIZE,
	        .p_memsz = FILE_SIZE + 100};

	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), &segment, sizeof(segment));
}

static void write_header(
        unsigned char *file, unsigned version, const unsigned char *data, size_t size)
{
	uint32_t head[4] = {version == 2 ? magic2 : MAGIC1};
	unsigned words = version == 2 ? 3 : 2;

	memcpy(head + 1, data, size < (words - 1) * 4 ? size : (words - 1) * 4);
	if (version == 2)
		head[1] &= 4; /* the architectures that there are */
	head[words] = 0;
	for (unsigned i = 0; i < words; i++)
		head[words] -= head[i];
	memcpy(file + AT, head, (words + 1) * 4);
	if (size > (words - 1) * 4)
		memcpy(file + AT + (words + 1) * 4, data + (words - 1) * 4,
		        size - (words - 1) * 4);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const enum boot_protocol protocols[] = {
	        PROTOCOL_AUTO, PROTOCOL_MULTIBOOT, PROTOCOL_MULTIBOOT2, PROTOCOL_AUTO};
	unsigned char file[FILE_SIZE] = {0};
	const char *modules[2];
	struct boot_source source;
	char path[BOOT_PATH];
	int fd;

	if (!size || size > FILE_SIZE / 2)
		return 0;
	if (data[0] & 1)
		write_elf(file);
	write_header(file, data[0] & 2 ? 2 : 1, data + 1, size - 1);
	fd = boot_file(file, sizeof(file), sizeof(file), path);
	modules[0] = modules[1] = path;
	if (!boot_open(&source, path, NULL, modules, 2, protocols[data[0] >> 2 & 3],
	            MACHINE_X86)) {
		boot_load_pc(&source, NULL);
		boot_close(&source);
	}
	close(fd);
	return 0;
}
