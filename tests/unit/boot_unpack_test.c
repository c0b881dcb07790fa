/* Kernels that are unpacked: bzImages, and those that are a compressed file. */
#include "boot/decode.h"
#include "tests/unit/boot_packed.h"

static size_t xz64_pack(void *to, size_t room, const void *from, size_t size)
{
	size_t at = 0;

	CU_ASSERT_EQUAL_FATAL(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, NULL, from,
	                              size, to, &at, room),
	        LZMA_OK);
	return at;
}

static size_t lzma_pack(void *to, size_t room, const void *from, size_t size)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_options_lzma options;

	lzma_lzma_preset(&options, 0);
	CU_ASSERT_EQUAL_FATAL(lzma_alone_encoder(&stream, &options), LZMA_OK);
	stream.next_in = from;
	stream.avail_in = size;
	stream.next_out = to;
	stream.avail_out = room;
	CU_ASSERT_EQUAL_FATAL(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
	lzma_end(&stream);
	return stream.total_out;
}

/* The guest unpacks it, and a line with `part` says why. */
static bool stays(size_t size, const char *part)
{
	struct boot_source source;
	struct said said;
	bool same;

	kernel_write("bad", size);
	CU_ASSERT_FATAL(
	        !boot_open(&source, "bad", NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86));
	said_begin(&said);
	boot_unpack(&source, 0);
	same = !source.unpacked && source.format == FORMAT_BZIMAGE &&
	       source.segment_count == 1 && source.protocol == PROTOCOL_LINUX64 &&
	       source.kernel_size == size;
	boot_close(&source);
	return said_exactly(&said, part) && same && !entries("data-") &&
	       !entries("file-") && !entries("new-");
}

static void every_compression_is_unpacked(void)
{
	static const struct {
		const char *name;
		pack_function *pack;
	} kinds[] = {
	        {"gzip", gzip_pack},
	        {"zstd", zstd_pack},
	        {"xz", xz_pack},
	        {"xz", xz64_pack},
	        {"LZ4", lz4_pack},
	        {"LZMA", lzma_pack},
	};
	char folder[32];

	cache_begin(folder);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		kernel_write("kernel", bzimage(kinds[i].pack, i));
		CU_ASSERT_STRING_EQUAL(
		        decode_name(image + SETUP + STUB, 16), kinds[i].name);
		CU_ASSERT(unpacks("kernel"));
	}
	CU_ASSERT(entries_become("data-", 6));
	cache_end(folder);
}

/* The check value of CRC-64/XZ. */
static void crc64_is_the_one_of_xz(void)
{
	CU_ASSERT_EQUAL(
	        lzma_crc64((const uint8_t *)"123456789", 9, 0), 0x995dc9bbdf1939fa);
}

static void header_stays_the_bzimages(void)
{
	struct boot_source source;
	struct boot_image result;
	struct linux_params params;
	struct guest guest;
	char folder[32];

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	CU_ASSERT_FATAL(!boot_open(
	        &source, "kernel", NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86));
	boot_unpack(&source, 0);
	CU_ASSERT_FATAL(source.unpacked);
	CU_ASSERT_FATAL(!boot_choose(&source, PROTOCOL_AUTO));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_LINUX64);
	CU_ASSERT_EQUAL(source.initrd_max, 0x6fffffff);
	CU_ASSERT_EQUAL(boot_cmdline_max(&source), 1000);
	CU_ASSERT_STRING_EQUAL(source.kind, "Linux bzImage (unpacked)");
	CU_ASSERT_STRING_EQUAL(source.kernel_path, "kernel");
	guest_create(&guest, 32);
	CU_ASSERT_FATAL(!boot_load(&source, &guest.memory, &guest.machine, &result));
	CU_ASSERT_EQUAL(result.entry, 0x1000000);
	CU_ASSERT(!memcmp(memory_at(&guest.memory, 0x1000000, VMLINUX - TEXT - 100),
	        vmlinux + TEXT, VMLINUX - TEXT - 100));
	memory_read(&guest.memory, result.info, &params, sizeof(params));
	CU_ASSERT_EQUAL(params.initrd_addr_max, 0x6fffffff);
	CU_ASSERT_EQUAL(params.version, 0x20f);
	memory_destroy(&guest.memory);
	boot_close(&source);
	cache_end(folder);
}

static void damaged_payloads_stay(void)
{
	static pack_function *const packs[] = {
	        gzip_pack, zstd_pack, xz_pack, lz4_pack, lzma_pack};
	char folder[32];

	cache_begin(folder);
	for (unsigned i = 0; i < sizeof(packs) / sizeof(packs[0]); i++) {
		uint32_t size = VMLINUX;
		size_t total = bzimage(packs[i], 0), half;

		/* Cut in the middle, where the stated size then stands. */
		half = header_of(image)->payload_length / 2;
		header_of(image)->payload_length = (uint32_t)half + 4;
		memcpy(image + SETUP + STUB + half, &size, 4);
		CU_ASSERT(stays(total, "cannot be unpacked"));
		total = bzimage(packs[i], 0);
		memset(image + SETUP + STUB + 1000, 0xff, 2000);
		CU_ASSERT(stays(total, "cannot be unpacked"));
	}
	cache_end(folder);
}

static void lying_sizes_stay(void)
{
	static pack_function *const packs[] = {zstd_pack, xz_pack, lz4_pack, lzma_pack};
	char folder[32];

	cache_begin(folder);
	vmlinux_fill(vmlinux, 0);
	for (unsigned i = 0; i < sizeof(packs) / sizeof(packs[0]); i++) {
		CU_ASSERT(stays(wrap(image, packs[i], vmlinux, VMLINUX, VMLINUX - 1),
		        "size that it should"));
		CU_ASSERT(stays(wrap(image, packs[i], vmlinux, VMLINUX, VMLINUX + 1),
		        "cannot be unpacked"));
		/* A bomb: it never gets further than it said. */
		CU_ASSERT(stays(wrap(image, packs[i], vmlinux, VMLINUX, 4096),
		        "size that it should"));
	}
	/* Too much to begin with, and nothing. */
	CU_ASSERT(stays(
	        wrap(image, zstd_pack, vmlinux, VMLINUX, (512u << 20) + 1), NULL));
	CU_ASSERT(stays(wrap(image, zstd_pack, vmlinux, VMLINUX, 0), NULL));
	cache_end(folder);
}

static void lying_headers_stay(void)
{
	char folder[32];
	size_t size;

	cache_begin(folder);
	size = bzimage(lz4_pack, 0);
	header_of(image)->payload_length = 0;
	CU_ASSERT(stays(size, NULL));
	header_of(image)->payload_length = UINT32_MAX;
	CU_ASSERT(stays(size, NULL));
	size = bzimage(lz4_pack, 0);
	header_of(image)->payload_offset = UINT32_MAX;
	CU_ASSERT(stays(size, NULL));
	size = bzimage(lz4_pack, 0);
	header_of(image)->payload_length += 16;
	header_of(image)->payload_offset += 16;
	CU_ASSERT(stays(size, NULL));
	/* An unknown compression is nothing to warn of. */
	size = bzimage(lz4_pack, 0);
	memcpy(image + SETUP + STUB, "BZh9", 4);
	CU_ASSERT(stays(size, NULL));
	cache_end(folder);
}

static void what_is_no_vmlinux_stays(void)
{
	char folder[32];

	cache_begin(folder);
	vmlinux_fill(vmlinux, 0);
	((Elf64_Ehdr *)vmlinux)->e_machine = EM_AARCH64;
	CU_ASSERT(
	        stays(wrap(image, lz4_pack, vmlinux, VMLINUX, VMLINUX), "no vmlinux"));
	memset(vmlinux, 'x', VMLINUX);
	CU_ASSERT(
	        stays(wrap(image, lz4_pack, vmlinux, VMLINUX, VMLINUX), "no vmlinux"));
	cache_end(folder);
}

/* What the kernel of "kernel", opened for `machine`, starts with; NULL: it is refused. */
static const unsigned char *opened(enum boot_machine machine, size_t *size)
{
	struct boot_source source;
	ssize_t got;

	if (boot_open(&source, "kernel", NULL, NULL, 0, PROTOCOL_AUTO, machine))
		return NULL;
	CU_ASSERT_PTR_NOT_NULL(strstr(source.kind, "Linux"));
	got = pread(source.kernel_fd, unpacked, VMLINUX, (off_t)source.kernel_offset);
	*size = source.kernel_size;
	CU_ASSERT(got > 0);
	boot_close(&source);
	return unpacked;
}

static void compressed_kernels_are_unpacked(void)
{
	static pack_function *const packs[] = {gzip_pack, zstd_pack, xz_pack};
	const unsigned char *kernel;
	char folder[32];
	size_t size;

	cache_begin(folder);
	for (unsigned i = 0; i < 2 * sizeof(packs) / sizeof(packs[0]); i++) {
		vmlinux_fill(vmlinux, i / 2);
		kernel_write("kernel", packs[i / 2](image, ROOM, vmlinux, VMLINUX));
		kernel = opened(MACHINE_X86, &size);
		CU_ASSERT_PTR_NOT_NULL_FATAL(kernel);
		/* Zeros may follow. */
		CU_ASSERT(size >= VMLINUX && size < VMLINUX + 16);
		CU_ASSERT(!memcmp(kernel, vmlinux, VMLINUX));
		CU_ASSERT(entries_become("data-", i / 2 + 1));
	}
	cache_end(folder);
}

/* Linux's RISC-V Image, as far as its header. */
static void image_fill(void)
{
	memset(vmlinux, 7, VMLINUX);
	memset(vmlinux, 0, 64);
	memcpy(vmlinux, "MZ", 2);
	memcpy(vmlinux + 56, "RSC\5", 4);
}

static void compressed_image_is_riscvs(void)
{
	const unsigned char *kernel;
	struct said said;
	char folder[32];
	size_t size;

	cache_begin(folder);
	image_fill();
	kernel_write("kernel", gzip_pack(image, ROOM, vmlinux, VMLINUX));
	kernel = opened(MACHINE_RISCV, &size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(kernel);
	CU_ASSERT(!memcmp(kernel, vmlinux, VMLINUX));
	said_begin(&said);
	CU_ASSERT_PTR_NULL(opened(MACHINE_X86, &size));
	CU_ASSERT(said_exactly(
	        &said, "is a riscv64 kernel, this Mayfly runs x86-64 guests"));
	memcpy(vmlinux + 56, "ARM\x64", 4);
	kernel_write("kernel", gzip_pack(image, ROOM, vmlinux, VMLINUX));
	said_begin(&said);
	CU_ASSERT_PTR_NULL(opened(MACHINE_RISCV, &size));
	CU_ASSERT(said_exactly(
	        &said, "is an aarch64 kernel, this Mayfly runs riscv64 guests"));
	cache_end(folder);
}

static void efi_zboot_image_is_unpacked(void)
{
	enum { AT = 4096 };
	const unsigned char *kernel;
	uint32_t place[2] = {AT, 0};
	char folder[32];
	size_t size;

	cache_begin(folder);
	image_fill();
	memset(image, 0, AT);
	place[1] = (uint32_t)zstd_pack(image + AT, ROOM - AT, vmlinux, VMLINUX);
	memcpy(image, "MZ\0\0zimg", 8);
	memcpy(image + 8, place, sizeof(place));
	memset(image + AT + place[1], 0xff, 512);
	kernel_write("kernel", AT + place[1] + 512);
	kernel = opened(MACHINE_RISCV, &size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(kernel);
	CU_ASSERT(!memcmp(kernel, vmlinux, VMLINUX));
	place[1] = UINT32_MAX;
	memcpy(image + 8, place, sizeof(place));
	kernel_write("kernel", AT + 512);
	CU_ASSERT_PTR_NULL(opened(MACHINE_RISCV, &size));
	cache_end(folder);
}

static void compressed_files_without_a_kernel_are_refused(void)
{
	struct said said;
	char folder[32];
	size_t size;

	cache_begin(folder);
	memset(vmlinux, 'x', 8192);
	size = gzip_pack(image, ROOM, vmlinux, 8192);
	kernel_write("kernel", size);
	said_begin(&said);
	CU_ASSERT_PTR_NULL(opened(MACHINE_X86, &size));
	CU_ASSERT(said_exactly(&said, "gzip-compressed"));
	/* Damaged. */
	vmlinux_fill(vmlinux, 1);
	size = gzip_pack(image, ROOM, vmlinux, VMLINUX);
	image[size - 8] ^= 1;
	kernel_write("kernel", size);
	said_begin(&said);
	CU_ASSERT_PTR_NULL(opened(MACHINE_X86, &size));
	CU_ASSERT(said_exactly(&said, "gzip-compressed"));
	CU_ASSERT(entries_become("data-", 0));
	cache_end(folder);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(every_compression_is_unpacked),
	        UNIT(crc64_is_the_one_of_xz),
	        UNIT(header_stays_the_bzimages),
	        UNIT(damaged_payloads_stay),
	        UNIT(lying_sizes_stay),
	        UNIT(lying_headers_stay),
	        UNIT(what_is_no_vmlinux_stays),
	        UNIT(compressed_kernels_are_unpacked),
	        UNIT(compressed_image_is_riscvs),
	        UNIT(efi_zboot_image_is_unpacked),
	        UNIT(compressed_files_without_a_kernel_are_refused),
	        {0},
	};

	return unit_run("boot_unpack", tests);
}
