/* The boot loaders' configurations; the first byte chooses which. */
#include <stdlib.h>
#include <string.h>

#include "boot/find.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static int (*const readers[])(const struct menu_text *config,
	        struct menu *menu) = {menu_syslinux, menu_grub, menu_loader_entry};
	static struct menu menu;
	struct menu_text config = {.path = "/boot/grub/grub.cfg"};
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
	menu_loader_default(text, name);
	config.text = config.environment = text;
	if (!readers[data[0] % 3](&config, &menu)) {
		if (strlen(menu.kernel) >= sizeof(menu.kernel) ||
		        strlen(menu.cmdline) >= sizeof(menu.cmdline) ||
		        menu.initrd_count > BOOT_FILES_INITRDS)
			__builtin_trap();
	}
	free(text);
	return 0;
}
