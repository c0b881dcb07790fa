#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/find.h"
#include "boot/loader.h"
#include "tests/unit/unit.h"

/* What stands beside a grub.cfg, but for its grubenv. */
static const struct {
	const char *path, *text;
} files[] = {
        {"/boot/grub/custom.cfg", "set k=/custom\nmenuentry c { linux $k }\n"},
        {"/boot/grub/other.cfg", "set default=1\nmenuentry d { linux /d }\n"
                                 "menuentry e { linux /e $config_directory }\n"},
        {"/boot/grub/loop.cfg", "source /boot/grub/loop.cfg\n"},
        {"/boot/grub/empty.cfg", ""},
};

static const char *file_text(void *environment, const char *path)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!strcmp(path, files[i].path))
			return files[i].text;
	return !strcmp(path, "/boot/grub/grubenv") && *(char *)environment ? environment
	                                                                   : NULL;
}

static bool file_find(void *environment, const char *path, struct node *node)
{
	const char *text = file_text(environment, path);

	*node = (struct node){.kind = NODE_FILE, .size = text ? strlen(text) : 0};
	return text;
}

static const char *loader_entry(void *environment, unsigned index, char id[VOLUME_NAME])
{
	static const char *const entries[] = {
	        "title It's new\nversion 2\nlinux /v2\ninitrd /i2 $tuned_initrd\n"
	        "options $kernelopts a=\"b  c\" $none\n",
	        "linux /v1\noptions $kernelopts\n",
	};

	if (index >= sizeof(entries) / sizeof(entries[0]))
		return NULL;
	snprintf(id, VOLUME_NAME, "f-%u", 2 - index);
	return environment ? entries[index] : NULL;
}

/* What a configuration comes to: "kernel | initrd initrd | command line", or the error. */
static char *read_menu(int (*reader)(const struct menu_text *config, struct menu *menu),
        const char *text, const char *environment)
{
	const struct menu_files beside = {
	        (void *)environment, file_find, file_text, loader_entry};
	const struct menu_text config = {
	        .text = text, .path = "/boot/grub/grub.cfg", .files = &beside};
	static char result[4096];
	struct menu *menu = calloc(1, sizeof(*menu));
	int error;

	CU_ASSERT_FATAL(menu != NULL);
	error = reader(&config, menu);
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
	        {"menu begin x\nlabel a\nmenu default\nkernel x\nmenu end\nlabel "
	         "b\nkernel y\n",
	                "y | | "},
	        {"menu begin\nlabel a\nkernel x\nmenu end\n", "x | | "},
	        {"label a\ntext help\nkernel x\nendtext\nkernel y\n", "y | | "},
	        {"labels a\nkernels x\n", "no kernel"},
	        {"", "no kernel"},
	        {"default menu.c32\n", "no kernel"},
	        {"label a\nappend x\n", "no kernel"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_STRING_EQUAL(
		        read_menu(menu_syslinux, cases[i].text, ""), cases[i].wanted);
}

/* As grub-mkconfig writes it for Debian's cloud images. */
static const char debian[] =
        "if [ -s $prefix/grubenv ]; then\n"
        "  set have_grubenv=true\n  load_env\nfi\n"
        "if [ \"${next_entry}\" ] ; then\n"
        "   set default=\"${next_entry}\"\n   set next_entry=\n"
        "   save_env next_entry\n   set boot_once=true\n"
        "else\n   set default=\"${saved_entry}\"\nfi\n"
        "if [ x\"${feature_menuentry_id}\" = xy ]; then\n"
        "  menuentry_id_option=\"--id\"\nelse\n  menuentry_id_option=\"\"\nfi\n"
        "export menuentry_id_option\n"
        "function load_video {\n  if [ x$feature_all_video_module = xy ]; then\n"
        "    insmod all_video\n  fi\n  linux /in/a/function\n}\n"
        "if loadfont unicode ; then\n  set gfxmode=auto\nfi\nset timeout=0\n"
        "menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option "
        "'gnulinux-simple-1' {\n\tload_video\n"
        "\tif [ x$grub_platform = xxen ]; then insmod xzio; linux /xen; fi\n"
        "\tinsmod part_gpt\n\tset root='hd0,gpt1'\n"
        "\tsearch --no-floppy --fs-uuid --set=root 1-2\n\techo\t'Loading ...'\n"
        "\tlinux\t/boot/vmlinuz-2 root=PARTUUID=1 ro  console=ttyS0,115200 \n"
        "\tinitrd\t/boot/initrd.img-2\n}\n"
        "submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-1' {\n"
        "\tmenuentry 'Debian, with 2' --id 'gnulinux-2' {\n"
        "\t\tlinux /boot/vmlinuz-2 root=PARTUUID=1 ro\n\t}\n"
        "\tmenuentry 'Debian, with 1' --id 'gnulinux-1' {\n"
        "\t\tlinux /boot/vmlinuz-1 root=PARTUUID=1 ro\n"
        "\t\tinitrd /boot/initrd.img-1\n\t}\n}\n"
        "menuentry 'UEFI Firmware Settings' --id uefi { fwsetup; }\n";

static void grub_boots_its_default_entry(void)
{
	static const struct {
		const char *text, *wanted, *environment;
	} cases[] = {
	        {"menuentry 'a' {\n linux /k root=/dev/sr0 text\n initrd /i /j\n}\n",
	                "/k | /i /j | root=/dev/sr0 text", ""},
	        {"menuentry a {\n linux /k\n}\nmenuentry b {\n linux /l\n initrd "
	         "/i\n}\n",
	                "/k | | ", ""},
	        {"linuxefi ($root)/k \"a b\" c='d e' \\x $none ${none}f # g\n",
	                "/k | | \"a b\" \"c=d e\" x f", ""},
	        {"set linux=x\n# linux /k\n", "no kernel", ""},
	        {debian,
	                "/boot/vmlinuz-2 | /boot/initrd.img-2 | root=PARTUUID=1 ro "
	                "console=ttyS0,115200",
	                ""},
	        {debian, "/boot/vmlinuz-1 | /boot/initrd.img-1 | root=PARTUUID=1 ro",
	                "# GRUB Environment Block\n"
	                "saved_entry=gnulinux-advanced-1>gnulinux-1\n####"},
	        {debian, "/boot/vmlinuz-1 | /boot/initrd.img-1 | root=PARTUUID=1 ro",
	                "saved_entry=0\nnext_entry=1>1\n"},
	        {debian, "/boot/vmlinuz-2 | | root=PARTUUID=1 ro",
	                "saved_entry=Advanced options>gone\n"},
	        {debian,
	                "/boot/vmlinuz-2 | /boot/initrd.img-2 | root=PARTUUID=1 ro "
	                "console=ttyS0,115200",
	                "saved_entry=uefi\n"},
	        {"set default=1\nset k=/b\nset more=\"x  y\"\nmenuentry a { linux /a "
	         "}\nmenuentry b { linux $k/${none}k $more; initrd ${k}/i }\n",
	                "/b/k | /b/i | x y", ""},
	        /* Ubuntu's cloud images. */
	        {"menuentry a {\nif [ \"${initrdfail}\" = 1 ]; then\n linux /k a\n "
	         "initrd /i\nelse\n linux /k b\nfi\ninitrdfail\n}\n",
	                "/k | /i | a", ""},
	        {"if false_or_not; then linux /a; elif [ a = a ]; then linux /b; else "
	         "linux /c; fi\n",
	                "/a | | ", ""},
	        {"if ! x; then linux /a; elif [ a != b -a ! -z c ]; then\nif [ 2 -gt "
	         "10 -o -e /x ]; then linux /d; else linux /b; fi; else linux /c; "
	         "fi\n",
	                "/b | | ", ""},
	        {"for a in b; do linux /a; done\nlinux /k \\\n  b\nexit\n", "/k | | b",
	                ""},
	        {"menuentry 'Windows' {\n chainloader /x\n}\nsubmenu b { submenu c { "
	         "menuentry d { linux /k } } }\n",
	                "/k | | ", ""},
	        {"menuentry a {", "no kernel", ""},
	        {"}} fi fi else $ ${ ${} \\", "no kernel", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_STRING_EQUAL(
		        read_menu(menu_grub, cases[i].text, cases[i].environment),
		        cases[i].wanted);
}

static void grub_runs_functions_loops_and_other_files(void)
{
	static const struct {
		const char *text, *wanted, *environment;
	} cases[] = {
	        /* 41_custom */
	        {"if [ -f  ${config_directory}/custom.cfg ]; then\n  source "
	         "${config_directory}/custom.cfg\nelif [ -z \"${config_directory}\" "
	         "-a -f  $prefix/custom.cfg ]; then\n  linux /a\nfi\n",
	                "/custom | | ", ""},
	        {"if [ -e /boot/grub/gone ]; then linux /a; else linux /b; fi",
	                "/b | | ", ""},
	        {"if [ -s $prefix/empty.cfg -o -d $prefix/empty.cfg ]; then linux /a; "
	         "elif [ -f ($root)/boot/grub/empty.cfg ]; then linux /b; fi",
	                "/b | | ", ""},
	        {"source /boot/grub/gone\n. (hd0,gpt1)$prefix/custom.cfg\n",
	                "/custom | | ", ""},
	        {"if source /gone; then linux /a; else linux /b; fi", "/b | | ", ""},
	        {"source /boot/grub/loop.cfg\nlinux /a\n", "error", ""},
	        {"menuentry a { linux /a }\nsearch.fs_uuid 1-2 root hd0,gpt1\n"
	         "set prefix=($root)'/boot/grub'\nconfigfile $prefix/other.cfg\nlinux "
	         "/c\n",
	                "/e | | (hd0)/boot/grub", ""},
	        {"configfile /gone\nmenuentry a { linux /a }\n", "/a | | ", ""},
	        {"menuentry a { configfile /boot/grub/other.cfg }\n",
	                "/e | | /boot/grub", ""},
	        {"function boot {\n  linux $1 $2 $3\n  return\n  linux /a\n}\n"
	         "menuentry a { boot /k 'x y'; initrd /i }\n",
	                "/k | /i | x y", ""},
	        {"function f { f; }\nf\nlinux /a\n", "error", ""},
	        {"for a in 1 2 3; do\n  set b=\"$b$a\"\n  for c in x; do set b=$b$c; "
	         "done\ndone\nlinux /k $b\n",
	                "/k | | 1x2x3x", ""},
	        {"while true; do linux /a; done; for a in; do linux /b; done; linux /k",
	                "/k | | ", ""},
	        {"if keystatus --shift; then linux /a; elif search --file /gone; then "
	         "linux /b; elif search --no-floppy --set=live --label L; then linux "
	         "($live)/k $live; fi",
	                "/k | | hd0", ""},
	        {"set default=b\nmenuentry a --id=a { linux /a }\nmenuentry c --class "
	         "x "
	         "--id=b { linux /b }\n",
	                "/b | | ", ""},
	        /* Fedora CoreOS's */
	        {"if [ -d (md/md-boot)/boot -o -f (md/md-boot)/boot/grub/empty.cfg ]; "
	         "then\n  set prefix=md/md-boot\nelse\n  search --label boot --set "
	         "boot "
	         "--no-floppy\nfi\nset root=$boot\nif [ -f "
	         "\"($root)/boot/grub/empty.cfg\" ]; then\n  set "
	         "tuned_initrd=\"/first${none}\"\nfi\nblscfg\n",
	                "/v2 | /i2 /first | a=\"b c\"", ""},
	        /* Fedora's */
	        {"load_env -f ${config_directory}/grubenv\nset "
	         "default=\"${saved_entry}\"\nif [ -z \"${kernelopts}\" ]; then\n  set "
	         "kernelopts=\"root=x ro\"\nfi\ninsmod blscfg\nblscfg\n",
	                "/v2 | /i2 | root=x ro a=\"b c\"", ""},
	        {"load_env\nset default=\"${saved_entry}\"\nblscfg\n", "/v1 | | root=y",
	                "saved_entry=f-1\nkernelopts=root=y\n"},
	        {"load_env\nset default=0\nset tuned_initrd=/t\nblscfg\n",
	                "/v2 | /i2 /t | root=y a=\"b c\"", "kernelopts=root=y\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_STRING_EQUAL(
		        read_menu(menu_grub, cases[i].text, cases[i].environment),
		        cases[i].wanted);
}

static void loader_entry_joins_its_options(void)
{
	CU_ASSERT_STRING_EQUAL(read_menu(menu_loader_entry,
	                               "title x\nlinux /k\ninitrd /i\ninitrd "
	                               "/j\noptions a\noptions b\n",
	                               ""),
	        "/k | /i /j | a b");
	CU_ASSERT_STRING_EQUAL(
	        read_menu(menu_loader_entry,
	                "linux /k\ninitrd /i $more\noptions $a x=\"b  c\" $d\n", ""),
	        "/k | /i | x=\"b c\"");
	CU_ASSERT_STRING_EQUAL(
	        read_menu(menu_loader_entry, "title x\n", ""), "no kernel");
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
	        UNIT(grub_boots_its_default_entry),
	        UNIT(grub_runs_functions_loops_and_other_files),
	        UNIT(loader_entry_joins_its_options),
	        UNIT(map_is_read_across_its_runs),
	        UNIT(root_means_the_images_disk),
	        {0},
	};

	return unit_run("boot_find", tests);
}
