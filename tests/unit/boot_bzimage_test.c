#include <asm/bootparam.h>
#include <assert.h>
#include <stddef.h>

#include "boot/linux.h"
#include "tests/unit/boot_image.h"

/* boot/linux.h writes down what <asm/bootparam.h> has on x86 only. */
#define SAME(ours, theirs)                                                       \
	static_assert(offsetof(struct linux_params, ours) ==                     \
	                              offsetof(struct boot_params, theirs) &&    \
	                      sizeof(((struct linux_params *)0)->ours) ==        \
	                              sizeof(((struct boot_params *)0)->theirs), \
	        "as in <asm/bootparam.h>")
SAME(acpi_rsdp_addr, acpi_rsdp_addr);
SAME(ext_ramdisk_image, ext_ramdisk_image);
SAME(ext_ramdisk_size, ext_ramdisk_size);
SAME(e820_entries, e820_entries);
SAME(setup_sects, hdr.setup_sects);
SAME(syssize, hdr.syssize);
SAME(boot_flag, hdr.boot_flag);
SAME(jump, hdr.jump);
SAME(header, hdr.header);
SAME(version, hdr.version);
SAME(kernel_version, hdr.kernel_version);
SAME(type_of_loader, hdr.type_of_loader);
SAME(loadflags, hdr.loadflags);
SAME(ramdisk_image, hdr.ramdisk_image);
SAME(ramdisk_size, hdr.ramdisk_size);
SAME(cmd_line_ptr, hdr.cmd_line_ptr);
SAME(initrd_addr_max, hdr.initrd_addr_max);
SAME(kernel_alignment, hdr.kernel_alignment);
SAME(relocatable_kernel, hdr.relocatable_kernel);
SAME(xloadflags, hdr.xloadflags);
SAME(cmdline_size, hdr.cmdline_size);
SAME(payload_offset, hdr.payload_offset);
SAME(payload_length, hdr.payload_length);
SAME(pref_address, hdr.pref_address);
SAME(init_size, hdr.init_size);
SAME(e820_table, e820_table);

enum { SETUP = 5 * 512, KERNEL = 0x2000, IMAGE_SIZE = SETUP + KERNEL };

/* A good bzImage of IMAGE_SIZE bytes, to be spoilt in one place. */
static struct boot_params *bzimage(unsigned char *image)
{
	struct boot_params *params = (struct boot_params *)image;

	memset(image, 0, IMAGE_SIZE);
	params->hdr = (struct setup_header){
	        .setup_sects = SETUP / 512 - 1,
	        .syssize = KERNEL / 16,
	        .boot_flag = 0xaa55,
	        .jump = 0x6aeb,
	        .header = 0x53726448,
	        .version = 0x20c,
	        .kernel_version = 0x200,
	        .loadflags = LOADED_HIGH,
	        .initrd_addr_max = 0x7fffffff,
	        .kernel_alignment = 0x200000,
	        .relocatable_kernel = 1,
	        .xloadflags = XLF_KERNEL_64,
	        .cmdline_size = 2047,
	        .pref_address = 0x1000000,
	        .init_size = 0x100000,
	};
	strcpy((char *)image + 0x400, "6.1.0-1-cloud (builder@host) #1");
	memset(image + SETUP, 0xf4, KERNEL);
	return params;
}

/* With one field of the header changed. */
#define REFUSED(field, value, part)                            \
	({                                                     \
		unsigned char image_[IMAGE_SIZE];              \
		bzimage(image_)->hdr.field = (value);          \
		image_refused(image_, sizeof(image_), (part)); \
	})

static void bzimage_is_described(void)
{
	unsigned char image[IMAGE_SIZE];
	struct boot_source source;

	bzimage(image);
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
	CU_ASSERT_EQUAL(source.format, FORMAT_BZIMAGE);
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_LINUX64);
	CU_ASSERT_EQUAL(source.segment_count, 1);
	CU_ASSERT_EQUAL(source.segments[0].guest, 0x1000000);
	CU_ASSERT_EQUAL(source.segments[0].size, 0x100000);
	CU_ASSERT_EQUAL(source.segments[0].file_size, KERNEL);
	CU_ASSERT_EQUAL(source.segments[0].offset, SETUP);
	CU_ASSERT_EQUAL(source.elf_entry, 0x1000200);
	CU_ASSERT_EQUAL(boot_cmdline_max(&source), 2047);
	CU_ASSERT_STRING_EQUAL(source.kind, "Linux bzImage 6.1.0-1-cloud");
	CU_ASSERT(source.needs.linux_kernel && source.needs.legacy);
	boot_close(&source);
}

static void no_setup_sectors_means_four(void)
{
	unsigned char image[IMAGE_SIZE];
	struct boot_source source;

	bzimage(image)->hdr.setup_sects = 0;
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
	CU_ASSERT_EQUAL(source.segments[0].offset, 5 * 512);
	boot_close(&source);
}

static void preferred_address_is_aligned_up(void)
{
	unsigned char image[IMAGE_SIZE];
	struct boot_source source;

	bzimage(image)->hdr.pref_address = 0x1000001;
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
	CU_ASSERT_EQUAL(source.segments[0].guest, 0x1200000);
	CU_ASSERT_EQUAL(source.segments[0].size, 0x100000);
	boot_close(&source);
}

static void fixed_kernel_is_loaded_at_one_mib(void)
{
	unsigned char image[IMAGE_SIZE];
	struct boot_source source;

	bzimage(image)->hdr.relocatable_kernel = 0;
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
	CU_ASSERT_EQUAL(source.segments[0].guest, 0x100000);
	CU_ASSERT_EQUAL(source.segments[0].size, 0x1000000 + 0x100000 - 0x100000);
	CU_ASSERT_EQUAL(source.elf_entry, 0x100200);
	boot_close(&source);
}

static void memory_is_never_less_than_the_file(void)
{
	unsigned char image[IMAGE_SIZE];
	struct boot_source source;

	bzimage(image)->hdr.init_size = 1;
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
	CU_ASSERT_EQUAL(source.segments[0].size, KERNEL);
	boot_close(&source);
}

static void kernel_of_32_bits_has_its_entry_at_the_start(void)
{
	unsigned char image[IMAGE_SIZE];
	struct boot_source source;

	bzimage(image)->hdr.xloadflags = XLF_KERNEL_64 << 1;
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_LINUX32);
	CU_ASSERT(source.needs.linux_kernel && !source.has_linux64);
	CU_ASSERT_EQUAL(source.segments[0].size, 0x100000);
	CU_ASSERT_EQUAL(source.elf_entry, 0x1000000);
	CU_ASSERT_EQUAL(boot_choose(&source, PROTOCOL_LINUX64), 0);
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_LINUX32);
	boot_close(&source);
}

/* What its header ends before is not looked at: 2.11 has no xloadflags, 2.09 no init_size. */
static void old_kernel_is_entered_in_32_bit_mode(void)
{
	unsigned char image[IMAGE_SIZE];
	struct boot_source source;

	bzimage(image)->hdr.version = 0x20b;
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_LINUX32);
	CU_ASSERT_EQUAL(source.elf_entry, 0x1000000);
	boot_close(&source);

	struct boot_params *params = bzimage(image);
	params->hdr.version = 0x208;
	params->hdr.init_size = 0xffffffff;
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_LINUX32);
	CU_ASSERT_EQUAL(source.segments[0].guest, 0x200000);
	CU_ASSERT_EQUAL(source.segments[0].size, KERNEL);
	CU_ASSERT_EQUAL(source.elf_entry, 0x200000);
	boot_close(&source);
}

static void the_last_16_bytes_need_not_all_be_there(void)
{
	unsigned char image[IMAGE_SIZE];
	struct boot_source source;

	bzimage(image);
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image) - 15));
	CU_ASSERT_EQUAL(source.segments[0].file_size, KERNEL - 15);
	boot_close(&source);
}

static void lying_headers_are_refused(void)
{
	CU_ASSERT(REFUSED(version, 0x207, "older than boot protocol 2.08"));
	CU_ASSERT(REFUSED(loadflags, 0, "damaged header"));
	CU_ASSERT(REFUSED(cmdline_size, 0, "damaged header"));
	CU_ASSERT(REFUSED(init_size, 0, "damaged header"));
	CU_ASSERT(REFUSED(syssize, 0, "damaged header"));
	CU_ASSERT(REFUSED(kernel_alignment, 0, "kernel_alignment"));
	CU_ASSERT(REFUSED(kernel_alignment, 0x300000, "kernel_alignment"));
	CU_ASSERT(REFUSED(pref_address, 0xfffff, "pref_address"));
	CU_ASSERT(REFUSED(pref_address, UINT64_MAX, "pref_address"));
	CU_ASSERT(REFUSED(pref_address, 0x100000000, "above 4 GiB"));
	CU_ASSERT(REFUSED(init_size, 0xff000001, "above 4 GiB"));
	CU_ASSERT(REFUSED(syssize, KERNEL / 16 + 1, "truncated"));
	CU_ASSERT(REFUSED(syssize, UINT32_MAX, "above 4 GiB"));
	CU_ASSERT(REFUSED(syssize, 0x200 / 16, "truncated"));
	CU_ASSERT(REFUSED(setup_sects, 255, "truncated"));
}

static void truncated_files_are_refused(void)
{
	unsigned char image[IMAGE_SIZE];

	bzimage(image);
	CU_ASSERT(image_refused(image, IMAGE_SIZE - 16, "truncated"));
	CU_ASSERT(image_refused(image, SETUP, "truncated"));
	CU_ASSERT(image_refused(image, 0x290, "truncated"));
	CU_ASSERT(image_refused(image, 0x1ff, "neither"));
}

static void version_text_may_be_anywhere(void)
{
	static const uint16_t offsets[] = {0, IMAGE_SIZE - 0x200 - 1, 0xffff};
	unsigned char image[IMAGE_SIZE];
	struct boot_source source;

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		bzimage(image)->hdr.kernel_version = offsets[i];
		CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
		CU_ASSERT_STRING_EQUAL(source.kind, "Linux bzImage");
		boot_close(&source);
	}
}

static void load_fills_the_zero_page(void)
{
	char initrd[5000] = "one", path[64];
	const char *paths[2] = {path, path};
	unsigned char image[IMAGE_SIZE];
	struct boot_source source;
	struct boot_params params;
	struct boot_image result;
	struct guest guest;
	char kernel[64], text[4];
	int fd = image_file(initrd, sizeof(initrd), path), kernel_fd;

	bzimage(image)->hdr.pref_address = 0x200000;
	kernel_fd = image_file(image, sizeof(image), kernel);
	CU_ASSERT_FATAL(!boot_open(
	        &source, kernel, NULL, paths, 2, PROTOCOL_AUTO, MACHINE_X86));
	guest_create(&guest, 4);
	CU_ASSERT_FATAL(!boot_load(&source, &guest.memory, &guest.machine, &result));
	CU_ASSERT_EQUAL(result.entry, 0x200200);
	CU_ASSERT_EQUAL(result.info, LAYOUT_ZERO_PAGE);
	CU_ASSERT_EQUAL(result.kernel_start, 0x200000);
	CU_ASSERT_EQUAL(result.kernel_end, 0x300000);
	CU_ASSERT_EQUAL(result.initrd_size, 8192 + 5000);
	CU_ASSERT_EQUAL(result.initrd, 0x400000 - 4 * 4096);
	for (unsigned i = 0; i < 2; i++) {
		memory_read(&guest.memory, result.initrd + i * 8192, text, 4);
		CU_ASSERT_STRING_EQUAL(text, "one");
	}

	CU_ASSERT_FATAL(
	        !memory_read(&guest.memory, result.info, &params, sizeof(params)));
	CU_ASSERT_EQUAL(params.hdr.type_of_loader, 0xff);
	CU_ASSERT_EQUAL(params.hdr.init_size, 0x100000);
	CU_ASSERT_EQUAL(params.hdr.cmd_line_ptr, LAYOUT_CMDLINE);
	CU_ASSERT_EQUAL(params.hdr.ramdisk_image, result.initrd);
	CU_ASSERT_EQUAL(params.hdr.ramdisk_size, result.initrd_size);
	CU_ASSERT_EQUAL(params.acpi_rsdp_addr, LAYOUT_ACPI);
	CU_ASSERT_EQUAL(params.sentinel, 0);
	CU_ASSERT_EQUAL(params.e820_entries, 3);
	CU_ASSERT_EQUAL(params.e820_table[1].addr, LAYOUT_ACPI);
	CU_ASSERT_EQUAL(params.e820_table[1].type, 2);
	CU_ASSERT_EQUAL(params.e820_table[2].addr, 0x100000);
	CU_ASSERT_EQUAL(params.e820_table[2].size, 0x300000);
	CU_ASSERT_EQUAL(params.e820_table[2].type, 1);
	memory_destroy(&guest.memory);
	boot_close(&source);
	close(kernel_fd);
	close(fd);
}

/* boot.rst: the header ends where its jump leads; what follows is not part of it. */
static void only_the_header_is_copied(void)
{
	unsigned char image[IMAGE_SIZE];
	struct boot_params *params = bzimage(image), zero_page;
	struct boot_source source;
	struct boot_image result;
	struct guest guest;

	params->hdr.pref_address = 0x200000;
	params->hdr.setup_data = 0x1234;
	params->hdr.jump = (0x260 - 0x202) << 8 | 0xeb;
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
	guest_create(&guest, 4);
	CU_ASSERT_FATAL(!boot_load(&source, &guest.memory, &guest.machine, &result));
	memory_read(&guest.memory, result.info, &zero_page, sizeof(zero_page));
	CU_ASSERT_EQUAL(zero_page.hdr.setup_data, 0x1234);
	CU_ASSERT_EQUAL(zero_page.hdr.pref_address, 0x200000);
	CU_ASSERT_EQUAL(zero_page.hdr.init_size, 0);
	memory_destroy(&guest.memory);
	boot_close(&source);
}

/* Loads with an initrd of `size` bytes; where it went, or the error. */
static int64_t initrd_at(unsigned mib, uint64_t init_size, uint64_t size, uint32_t max)
{
	unsigned char image[IMAGE_SIZE];
	struct boot_params *params = bzimage(image);
	char kernel[64], path[64];
	const char *paths[1] = {path};
	struct boot_source source;
	struct boot_image result;
	struct guest guest;
	int kernel_fd, fd = image_file("", 1, path), error;

	CU_ASSERT_FATAL(!ftruncate(fd, (off_t)size));
	params->hdr.pref_address = 0x200000;
	params->hdr.init_size = (uint32_t)init_size;
	params->hdr.initrd_addr_max = max;
	kernel_fd = image_file(image, sizeof(image), kernel);
	CU_ASSERT_FATAL(!boot_open(
	        &source, kernel, NULL, paths, 1, PROTOCOL_AUTO, MACHINE_X86));
	guest_create(&guest, mib);
	error = boot_load(&source, &guest.memory, &guest.machine, &result);
	memory_destroy(&guest.memory);
	boot_close(&source);
	close(kernel_fd);
	close(fd);
	return error ? error : (int64_t)result.initrd;
}

static bool initrd_refused(unsigned mib, uint64_t init_size, uint64_t size,
        uint32_t max, int error, const char *part)
{
	struct said said;
	int64_t at;

	said_begin(&said);
	at = initrd_at(mib, init_size, size, max);
	return said_exactly(&said, part) && at == error;
}

static void initrd_is_high_and_clear_of_the_kernel(void)
{
	/* RAM ends at 4 MiB, the kernel takes [2 MiB, 3 MiB). */
	CU_ASSERT_EQUAL(initrd_at(4, 0x100000, 1, 0x7fffffff), 0x3ff000);
	CU_ASSERT_EQUAL(initrd_at(4, 0x100000, 0x100000, 0x7fffffff), 0x300000);
	/* The last page of RAM may be out of the kernel's reach. */
	CU_ASSERT_EQUAL(initrd_at(4, 0x100000, 0x1000, 0x3fefff), 0x3fe000);
	CU_ASSERT_EQUAL(initrd_at(4, 0x100000, 0x1000, 0x3feffe), 0x3fd000);
	/* Above it is no room any more: below. */
	CU_ASSERT_EQUAL(initrd_at(4, 0x100001, 0x100000, 0x7fffffff), 0x100000);
	CU_ASSERT_EQUAL(initrd_at(4, 0x200000, 0x100000, 0x7fffffff), 0x100000);
}

static void initrd_without_room_is_refused(void)
{
	CU_ASSERT(initrd_refused(
	        4, 0x100000, 0x100001, 0x7fffffff, -ENOMEM, "--mem at least 5M"));
	CU_ASSERT(initrd_refused(
	        4, 0x100000, 0x200001, 0x4fffff, -E2BIG, "make it smaller"));
	CU_ASSERT(initrd_refused(
	        4, 0x100000, (uint64_t)1 << 40, 0x7fffffff, -E2BIG, "make it smaller"));
	CU_ASSERT(initrd_refused(4, 0x100000, 1, 0, -E2BIG, "make it smaller"));
}

static void too_little_memory_names_how_much(void)
{
	unsigned char image[IMAGE_SIZE];
	struct boot_source source;
	struct boot_image result;
	struct guest guest;
	struct said said;

	bzimage(image);
	CU_ASSERT_FATAL(!image_open(&source, image, sizeof(image)));
	guest_create(&guest, 16);
	said_begin(&said);
	CU_ASSERT_EQUAL(
	        boot_load(&source, &guest.memory, &guest.machine, &result), -ENOMEM);
	CU_ASSERT(said_exactly(&said, "--mem at least 17M"));
	memory_destroy(&guest.memory);
	guest_create(&guest, 17);
	CU_ASSERT_EQUAL(boot_load(&source, &guest.memory, &guest.machine, &result), 0);
	memory_destroy(&guest.memory);
	boot_close(&source);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(bzimage_is_described),
	        UNIT(no_setup_sectors_means_four),
	        UNIT(preferred_address_is_aligned_up),
	        UNIT(fixed_kernel_is_loaded_at_one_mib),
	        UNIT(memory_is_never_less_than_the_file),
	        UNIT(kernel_of_32_bits_has_its_entry_at_the_start),
	        UNIT(old_kernel_is_entered_in_32_bit_mode),
	        UNIT(lying_headers_are_refused),
	        UNIT(the_last_16_bytes_need_not_all_be_there),
	        UNIT(truncated_files_are_refused),
	        UNIT(version_text_may_be_anywhere),
	        UNIT(load_fills_the_zero_page),
	        UNIT(only_the_header_is_copied),
	        UNIT(initrd_is_high_and_clear_of_the_kernel),
	        UNIT(initrd_without_room_is_refused),
	        UNIT(too_little_memory_names_how_much),
	        {0},
	};

	return unit_run("boot_bzimage", tests);
}
