#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/find.h"
#include "boot/loader.h"
#include "tests/unit/unit.h"

/* What a configuration comes to: "kernel | initrd initrd | command line", or the error. */
static char *read_menu(
        int (*reader)(const char *text, struct menu *menu), const char *text)
{
	static char result[4096];
	struct menu *menu = calloc(1, sizeof(*menu));
	int error;

	CU_ASSERT_FATAL(menu != NULL);
	error = reader(text, menu);
	if (error == -ENOMSG) {
		strcpy(result, "no kernel");
	} else if (error) {
		strcpy(result, "error");
	} else {
		size_t size =
		        (size_t)snprintf(result, sizeof(result), "%s |", menu->kernel);

		for (unsigned i = 0; i < menu->initrd_count; i++)
			size += (size_t)snprintf(result + size, sizeof(result) - size,
			        " %s", menu->initrds[i]);
		snprintf(result + size, sizeof(result) - size, " | %.1000s",
		        menu->cmdline);
	}
	free(menu);
	return result;
}

static void syslinux_boots_its_default(void)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
	        {"DEFAULT linux\nLABEL linux\n\tKERNEL /boot/kernel\n\tAPPEND a "
	         "root=b\n",
	                "/boot/kernel | | a root=b"},
	        {"label a\nlinux x\nlabel b\nlinux y\ninitrd i,j\nmenu default\n",
	                "y | i j | "},
	        {"default b\r\nlabel a\r\nkernel x\r\nlabel b\r\nkernel y\r\nappend "
	         "q\r\n",
	                "y | | q"},
	        {"default menu.c32\nlabel disk\nlocalboot 0x80\nlabel a\nkernel x\n",
	                "x | | "},
	        {"default c\nlabel c\nkernel chain.c32\nlabel a\nkernel x\n", "x | | "},
	        {"append common\nlabel a\nkernel x\n", "x | | common"},
	        {"append common\nlabel a\nkernel x\nappend -\n", "x | | "},
	        {"label a\nkernel x\nappend q initrd=i,j w\n",
	                "x | i j | q initrd=i,j w"},
	        {"label a\nkernel x more\nappend q\n", "x | | more q"},
	        {"default vmlinuz quiet initrd=i\n", "vmlinuz | i | quiet initrd=i"},
	        {"label a\nkernel x", "x | | "},
	        {"labels a\nkernels x\n", "no kernel"},
	        {"", "no kernel"},
	        {"default menu.c32\n", "no kernel"},
	        {"label a\nappend x\n", "no kernel"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_STRING_EQUAL(
		        read_menu(menu_syslinux, cases[i].text), cases[i].wanted);
}

static void grub_boots_its_first_entry(void)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
	        {"menuentry 'a' {\n linux /k root=/dev/sr0 text\n initrd /i /j\n}\n",
	                "/k | /i /j | root=/dev/sr0 text"},
	        {"menuentry a {\n linux /k\n}\nmenuentry b {\n linux /l\n initrd "
	         "/i\n}\n",
	                "/k | | "},
	        {"linuxefi ($root)/k \"a b\" c='d e' \\x $none ${none}f # g\n",
	                "/k | | a b c=d e x f"},
	        {"set linux=x\n# linux /k\n", "no kernel"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_STRING_EQUAL(
		        read_menu(menu_grub, cases[i].text), cases[i].wanted);
}

static void loader_entry_joins_its_options(void)
{
	CU_ASSERT_STRING_EQUAL(
	        read_menu(menu_loader_entry, "title x\nlinux /k\ninitrd /i\ninitrd "
	                                     "/j\noptions a\noptions b\n"),
	        "/k | /i /j | a b");
	CU_ASSERT_STRING_EQUAL(
	        read_menu(menu_loader_entry,
	                "linux /k\ninitrd /i $more\noptions $a x=\"b  c\" $d\n"),
	        "/k | /i | x=\"b c\"");
	CU_ASSERT_STRING_EQUAL(read_menu(menu_loader_entry, "title x\n"), "no kernel");
}

static int bytes_read(void *context, uint64_t offset, void *data, size_t size)
{
	memcpy(data, (const char *)context + offset, size);
	return 0;
}

static void map_is_read_across_its_runs(void)
{
	static char bytes[] = "0123456789";
	struct boot_medium medium = {10, bytes_read, bytes, -1};
	struct medium_run runs[3], part_runs[2];
	struct medium_map map = {.runs = runs, .limit = 3},
	                  part = {.runs = part_runs, .limit = 2};
	char data[16] = "";

	CU_ASSERT_EQUAL(map_add(&map, &medium, 7, 2), 0);
	CU_ASSERT_EQUAL(map_add(&map, &medium, 9, 1), 0);
	CU_ASSERT_EQUAL(map.count, 1);
	CU_ASSERT_EQUAL(map_add(&map, &medium, MEDIUM_HOLE, 2), 0);
	CU_ASSERT_EQUAL(map_add(&map, &medium, 0, 3), 0);
	CU_ASSERT_EQUAL(map_add(&map, &medium, 5, 1), -E2BIG);
	CU_ASSERT_EQUAL(map_add(&map, &medium, 9, 2), -ENODATA);
	CU_ASSERT_EQUAL(map_add(&map, &medium, UINT64_MAX - 1, 2), -ENODATA);
	CU_ASSERT_EQUAL(map.size, 8);
	CU_ASSERT_EQUAL(map_read(&map, &medium, 0, data, 8), 0);
	CU_ASSERT(!memcmp(data, "789\0\000012", 8));
	CU_ASSERT_EQUAL(map_read(&map, &medium, 2, data, 7), -ENODATA);
	CU_ASSERT_EQUAL(map_cut(&map, 4, 3, &part), 0);
	CU_ASSERT_EQUAL(map_read(&part, &medium, 0, data, 3), 0);
	CU_ASSERT(!memcmp(data, "\00001", 3));
	CU_ASSERT_EQUAL(map_cut(&map, 2, 5, &part), -E2BIG);
	CU_ASSERT_EQUAL(map_cut(&map, 8, 1, &part), -ENODATA);
	CU_ASSERT_EQUAL(map_cut(&map, 0, 4, &map), 0);
	CU_ASSERT_EQUAL(map_read(&map, &medium, 0, data, 4), 0);
	CU_ASSERT(!memcmp(data, "789", 4));
}

static void root_means_the_images_disk(void)
{
	static const struct {
		const char *given, *wanted, *was;
		unsigned initrds;
	} cases[] = {
	        {"quiet root=/dev/sr0 ro", "quiet root=/dev/vda ro", "/dev/sr0", 0},
	        {"root=/dev/sda2", "root=/dev/vda2", "/dev/sda2", 1},
	        {"root=/dev/nvme0n1p3 x", "root=/dev/vda3 x", "/dev/nvme0n1p3", 1},
	        {"root=/dev/sda root=/dev/sr0", "root=/dev/sda root=/dev/vda",
	                "/dev/sr0", 0},
	        {"a -- root=/dev/sda", "root=/dev/vda a -- root=/dev/sda", NULL, 0},
	        {"", "root=/dev/vda", NULL, 0},
	        {"quiet", "quiet", NULL, 1},
	        {"root=/dev/sdab1", "root=/dev/sdab1", NULL, 0},
	        {"root=LABEL=x", "root=LABEL=x", NULL, 0},
	        {"root=/dev/vda", "root=/dev/vda", NULL, 0},
	        {"nfsroot=/dev/sda", "nfsroot=/dev/sda", NULL, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct boot_source source = {.cmdline = strdup(cases[i].given)};

		source.initrd_count = cases[i].initrds;
		CU_ASSERT_EQUAL(boot_root(&source), 0);
		CU_ASSERT_STRING_EQUAL(source.cmdline, cases[i].wanted);
		if (cases[i].was)
			CU_ASSERT_STRING_EQUAL(source.root_was, cases[i].was);
		CU_ASSERT_EQUAL(!source.root_was, !cases[i].was);
		free(source.cmdline);
		free(source.root_was);
	}
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(syslinux_boots_its_default),
	        UNIT(grub_boots_its_first_entry),
	        UNIT(loader_entry_joins_its_options),
	        UNIT(map_is_read_across_its_runs),
	        UNIT(root_means_the_images_disk),
	        {0},
	};

	return unit_run("boot_find", tests);
}
