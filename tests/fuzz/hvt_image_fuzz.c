/*
 * A Solo5 image for hvt: its notes, manifest and segments, opened and, where that works,
 * loaded. The input is a list of changes to a good one behind its ELF header, each a place
 * (2 bytes) and what to write there (8 bytes); the place's highest bit: what stands
 * elsewhere, so that two things are alike.
 */
#include <elf.h>
#include <stddef.h>
#include <string.h>

#include "guests/hvt.h"
#include "tests/fuzz/boot_input.h"

enum { CHANGE = 10, COPY = 0x8000, SEGMENTS = 5, DEVICES = 4 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check_loaded(const struct memory *memory, const struct boot_image *image)
{
	struct hvt_boot_info info;

	if (image->protocol == PROTOCOL_HVT &&
	        (image->entry < image->kernel_start ||
	                image->entry >= image->kernel_end ||
	                memory_read(memory, image->info, &info, sizeof(info)) ||
	                info.kernel_end > BOOT_RAM))
		__builtin_trap();
}

static void check_opened(const struct boot_source *source)
{
	if (!source->has_hvt)
		return;
	if (source->device_count > 63)
		__builtin_trap();
	for (unsigned i = 0; i < source->device_count; i++)
		if (strnlen(source->devices[i].name, BOOT_DEVICE_NAME) >=
		        BOOT_DEVICE_NAME)
			__builtin_trap();
	for (unsigned i = 0; i < source->segment_count; i++)
		if (source->segments[i].flags & PF_W &&
		        source->segments[i].flags & PF_X)
			__builtin_trap();
}

static union image {
	unsigned char bytes[0x500];
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segments[SEGMENTS];
		struct {
			struct hvt_note note;
			uint32_t target, version, reserved[2];
		} abi;
		struct {
			struct hvt_note note;
			uint32_t padding, version, count;
			struct hvt_device devices[DEVICES];
		} __attribute__((packed)) manifest;
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
	                        .e_phnum = SEGMENTS,
	                },
	        .abi = {{6, 16, 0x31494241, "Solo5"}, 1, 2, {0}},
	        .manifest = {{6, 12 + DEVICES * sizeof(struct hvt_device), 0x3154464d,
	                             "Solo5"},
	                0, 1, DEVICES,
	                {{.kind = HVT_RESERVED}, {.name = "a", .kind = HVT_BLOCK},
	                        {.name = "b", .kind = HVT_NET},
	                        {.name = "c", .kind = HVT_BLOCK}}},
	};

	image.segments[0] = (Elf64_Phdr){.p_type = PT_NOTE,
	        .p_offset = offsetof(union image, abi),
	        .p_filesz = sizeof(image.abi)};
	image.segments[1] = (Elf64_Phdr){.p_type = PT_NOTE,
	        .p_offset = offsetof(union image, manifest),
	        .p_filesz = sizeof(image.manifest)};
	for (unsigned i = 2; i < SEGMENTS; i++)
		image.segments[i] = (Elf64_Phdr){.p_type = PT_LOAD,
		        .p_flags = i == 2   ? PF_X
		                   : i == 3 ? PF_R
		                            : PF_W,
		        .p_vaddr = 0x10000 * (14 + i),
		        .p_filesz = sizeof(image),
		        .p_memsz = 0x2000};
	return image;
}

static void change(unsigned char *bytes, size_t size, const unsigned char *data)
{
	uint16_t place, from;

	memcpy(&place, data, sizeof(place));
	memcpy(&from, data + sizeof(place), sizeof(from));
	memmove(bytes + (place & ~COPY) % (size - 7),
	        place & COPY ? bytes + from % (size - 7) : data + sizeof(place), 8);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	union image image = unikernel();
	struct boot_source source;
	char path[BOOT_PATH];
	int fd;

	for (; size >= CHANGE; data += CHANGE, size -= CHANGE)
		change(image.bytes + sizeof(Elf64_Ehdr),
		        sizeof(image) - sizeof(Elf64_Ehdr), data);
	fd = boot_file(image.bytes, sizeof(image), sizeof(image), path);
	if (!boot_open(&source, path, NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86)) {
		check_opened(&source);
		boot_load_pc(&source, check_loaded);
		boot_close(&source);
	}
	close(fd);
	return 0;
}
