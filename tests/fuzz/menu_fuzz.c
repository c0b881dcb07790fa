/* The boot loaders' configurations; the first byte chooses which. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/find.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Every file that the configuration goes on with is that one again. */
static bool same_find(void *text, const char *path, struct node *node)
{
	*node = (struct node){.kind = *path == 'd' ? NODE_DIRECTORY : NODE_FILE,
	        .size = strlen(text)};
	return *path;
}

static const char *same_text(void *text, const char *path)
{
	return *path ? text : NULL;
}

static const char *same_entry(void *text, unsigned index, char id[VOLUME_NAME])
{
	snprintf(id, VOLUME_NAME, "%u", index);
	return index < 3 ? text : NULL;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static int (*const readers[])(const struct menu_text *config,
	        struct menu *menu) = {menu_syslinux, menu_grub, menu_loader_entry};
	static struct menu menu;
	struct menu_files files = {NULL, same_find, same_text, same_entry};
	struct menu_text config = {.path = "/boot/grub/grub.cfg", .files = &files};
	char *text, name[VOLUME_NAME] = "";
	size_t length;

	if (!size)
		return 0;
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	menu.initrd_count = 0;
	menu.kernel[0] = menu.cmdline[0] = '\0';
	menu_include(text, data[0] & 1, &length);
	menu_loader_value(text, "default", name, sizeof(name));
	config.text = files.context = text;
	if (!readers[data[0] % 3](&config, &menu)) {
		if (strlen(menu.kernel) >= sizeof(menu.kernel) ||
		        strlen(menu.cmdline) >= sizeof(menu.cmdline) ||
		        menu.initrd_count > BOOT_FILES_INITRDS)
			__builtin_trap();
	}
	free(text);
	return 0;
}
