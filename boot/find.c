#include "boot/find.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INCLUDES = 64 };

/* How far an attempt came: what is said of an image is what its best part came to. */
static int rank(int error)
{
	return error == -ENOEXEC ? 0 : error == -ENOMSG ? 1 : 2;
}

/* Room for the runs of one more file, behind those of the others. */
static struct medium_map runs_left(struct found *found)
{
	uint32_t used = 0;

	if (found->file_count) {
		const struct found_file *last = found->files + found->file_count - 1;

		used = last->first_run + last->run_count;
	}
	return (struct medium_map){
	        .runs = found->runs + used, .limit = FIND_RUNS - used};
}

static int file_add(struct found *found, const char *path, const struct medium_map *map)
{
	struct found_file *file = found->files + found->file_count;

	if (found->file_count == FIND_FILES)
		return -E2BIG;
	snprintf(file->path, sizeof(file->path), "%s", path);
	file->first_run = (uint32_t)(map->runs - found->runs);
	file->run_count = map->count;
	file->size = map->size;
	found->file_count++;
	return 0;
}

/* A path of a configuration: from its own directory, or else from the root. */
static int path_find(struct find *find, const char *path, struct node *node)
{
	struct found *found = find->found;
	const char *slash = strrchr(found->config, '/');
	char full[2 * VOLUME_PATH];
	int error = -ENOENT;

	snprintf(found->path, sizeof(found->path), "%s", path);
	if (*path != '/' && slash) {
		snprintf(full, sizeof(full), "%.*s/%s", (int)(slash - found->config),
		        found->config, path);
		error = volume_find(&find->volume, full, node);
	}
	if (error == -ENOENT)
		error = volume_find(&find->volume, path, node);
	return error;
}

static int file_find(struct find *find, const char *path)
{
	struct medium_map map = runs_left(find->found);
	struct node node;
	int error = path_find(find, path, &node);

	if (!error)
		error = volume_map(&find->volume, &node, &map);
	return error ? error : file_add(find->found, path, &map);
}

/* All of a file as text, from `size` on in find->text. */
static int text_read(struct find *find, const struct node *node, size_t *size)
{
	struct medium_map map = runs_left(find->found);
	int error = volume_map(&find->volume, node, &map);

	if (error)
		return error;
	if (map.size >= FIND_TEXT - *size)
		return -EFBIG;
	error = map_read(&map, find->medium, 0, find->text + *size, map.size);
	if (error)
		return error;
	for (size_t i = *size; i < *size + map.size; i++)
		if (!find->text[i])
			find->text[i] = ' ';
	*size += map.size;
	find->text[*size] = '\0';
	return 0;
}

static void reverse(char *text, size_t size)
{
	for (size_t i = 0; i < size / 2; i++) {
		char c = text[i];

		text[i] = text[size - 1 - i];
		text[size - 1 - i] = c;
	}
}

/* What was read last, from `from` on, is moved to `at`. */
static void text_insert(char *text, size_t at, size_t from, size_t size)
{
	reverse(text + at, from - at);
	reverse(text + from, size - from);
	reverse(text + at, size - at);
}

/* Puts a file that the configuration names into find->text behind `at`, if it is there. */
static int text_include(
        struct find *find, const char *name, size_t length, size_t at, size_t *size)
{
	char path[VOLUME_PATH];
	size_t from = *size;
	struct node node;
	int error;

	if (!length || length >= VOLUME_PATH)
		return 0;
	snprintf(path, sizeof(path), "%.*s", (int)length, name);
	error = path_find(find, path, &node);
	if (error)
		return error == -ENOENT ? 0 : error;
	if (from + 1 >= FIND_TEXT)
		return -EFBIG;
	find->text[(*size)++] = '\n';
	error = text_read(find, &node, size);
	if (!error)
		text_insert(find->text, at, from, *size);
	return error;
}

/* INCLUDE is replaced where it stands; what CONFIG leads to is put in its place. */
static int includes_read(struct find *find, size_t *size, bool configs)
{
	unsigned count = 0;

	for (size_t at = 0; at < *size && count < INCLUDES;) {
		size_t start = at, length;
		const char *name = menu_include(find->text + at, configs, &length);
		int error = 0;

		at += strcspn(find->text + at, "\n");
		if (name) {
			error = text_include(find, name, length, at, size);
			/* What it says is done. */
			memset(find->text + start, ' ', at - start);
			count++;
		}
		if (error)
			return error;
		at++;
	}
	return 0;
}

static int menu_take(struct find *find)
{
	const struct menu *menu = &find->menu;
	int error = file_find(find, menu->kernel);

	for (unsigned i = 0; !error && i < menu->initrd_count; i++)
		error = file_find(find, menu->initrds[i]);
	if (!error)
		memcpy(find->found->cmdline, menu->cmdline, sizeof(menu->cmdline));
	return error;
}

static void start_over(struct found *found)
{
	found->file_count = 0;
	found->config[0] = found->path[0] = found->cmdline[0] = '\0';
}

static bool menu_find(void *context, const char *path, struct node *node)
{
	struct find *find = context;

	return !volume_find(&find->volume, path, node);
}

/* Behind what was read before; NULL: it is none, or `text_error`. */
static const char *node_text(struct find *find, const struct node *node)
{
	size_t start = find->text_size, size = start;
	int error;

	if (node->kind != NODE_FILE)
		return NULL;
	error = start < FIND_TEXT ? text_read(find, node, &size) : -EFBIG;
	if (error) {
		find->text_error = error;
		return NULL;
	}
	find->text_size = size + 1;
	return find->text + start;
}

static const char *menu_text(void *context, const char *path)
{
	struct node node;

	return menu_find(context, path, &node) ? node_text(context, &node) : NULL;
}

static int entries_list(struct find *find);

static const char *menu_entry(void *context, unsigned index, char id[VOLUME_NAME])
{
	struct find *find = context;

	if (entries_list(find) || index >= find->entry_count)
		return NULL;
	strcpy(id, find->entries[index].id);
	return node_text(find, &find->entries[index].node);
}

typedef int menu_read(const struct menu_text *config, struct menu *menu);

static int config_follow(
        struct find *find, const char *path, const struct node *node, menu_read *read)
{
	const struct menu_files files = {find, menu_find, menu_text, menu_entry};
	const struct menu_text config = {
	        .text = find->text, .path = path, .files = &files};
	struct found *found = find->found;
	size_t size = 0;
	int error;

	start_over(found);
	snprintf(found->config, sizeof(found->config), "%s", path);
	find->menu.initrd_count = find->menu.partition = 0;
	find->menu.kernel[0] = find->menu.cmdline[0] = '\0';
	error = text_read(find, node, &size);
	if (!error && read == menu_syslinux)
		error = includes_read(find, &size, false);
	find->text_size = size + 1;
	find->text_error = 0;
	if (!error)
		error = read(&config, &find->menu);
	if (find->text_error)
		error = find->text_error;
	if (error == -ENOMSG && read == menu_syslinux) {
		error = includes_read(find, &size, true);
		if (!error)
			error = read(&config, &find->menu);
	}
	return error ? error : menu_take(find);
}

/*
 * Whether that configuration leads nowhere, and another loader's may be tried. What is said
 * in the end is that its kernel is not there, if one has named a kernel.
 */
static bool boots_nothing(struct find *find, int error)
{
	struct found *found = find->found;

	if (error != -ENOMSG && error != -ENOENT)
		return false;
	if (find->failed.error != -ENOENT) {
		find->failed.error = error;
		find->failed.menu = find->menu;
		memcpy(find->failed.config, found->config, sizeof(found->config));
		memcpy(find->failed.path, found->path, sizeof(found->path));
	}
	return true;
}

/* Where each loader looks for its own, in its order. */
static const struct {
	const char *path;
	menu_read *read;
} configs[] = {
        {"/isolinux/isolinux.cfg", menu_syslinux},
        {"/boot/isolinux/isolinux.cfg", menu_syslinux},
        {"/boot/syslinux/isolinux.cfg", menu_syslinux},
        {"/syslinux/isolinux.cfg", menu_syslinux},
        {"/isolinux.cfg", menu_syslinux},
        {"/boot/syslinux/extlinux.conf", menu_syslinux},
        {"/boot/extlinux/extlinux.conf", menu_syslinux},
        {"/syslinux/extlinux.conf", menu_syslinux},
        {"/extlinux/extlinux.conf", menu_syslinux},
        {"/boot/extlinux.conf", menu_syslinux},
        {"/extlinux.conf", menu_syslinux},
        {"/boot/syslinux/syslinux.cfg", menu_syslinux},
        {"/syslinux/syslinux.cfg", menu_syslinux},
        {"/boot/syslinux.cfg", menu_syslinux},
        {"/syslinux.cfg", menu_syslinux},
        {"/EFI/BOOT/grub.cfg", menu_grub},
        {"/EFI/boot/grub.cfg", menu_grub},
        {"/boot/grub/grub.cfg", menu_grub},
        {"/boot/grub2/grub.cfg", menu_grub},
        {"/grub/grub.cfg", menu_grub},
        {"/grub2/grub.cfg", menu_grub},
};

static int configs_follow(struct find *find)
{
	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		struct node node;
		int error = volume_find(&find->volume, configs[i].path, &node);

		if (error && error != -ENOENT)
			return error;
		if (error || node.kind != NODE_FILE)
			continue;
		error = config_follow(find, configs[i].path, &node, configs[i].read);
		if (!boots_nothing(find, error))
			return error;
	}
	return -ENOMSG;
}

/*
 * Of several, systemd-boot takes what its loader.conf names; else what may still be tried
 * before what failed ("a+0-3.conf", UAPI.1's boot counting); else, by the version in its
 * name, the newest.
 */
struct newest {
	const char *end;
	char wanted[VOLUME_NAME];
	char name[VOLUME_NAME];
	unsigned rank;
	struct node node;
};

/* "*" and "?", without case. */
static bool name_matches(const char *name, const char *pattern)
{
	const char *star = NULL, *from = NULL;

	while (*name) {
		if (*pattern == '*') {
			star = ++pattern;
			from = name;
		} else if (*pattern == '?' || tolower((unsigned char)*pattern) ==
		                                      tolower((unsigned char)*name)) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star;
			name = ++from;
		} else {
			return false;
		}
	}
	return !pattern[strspn(pattern, "*")];
}

/* Where "+LEFT" or "+LEFT-DONE" starts, or the ending if there is none of it. */
static size_t name_counted(const char *name, size_t size, bool *failed)
{
	size_t at = size;

	*failed = false;
	while (at && (isdigit((unsigned char)name[at - 1]) || name[at - 1] == '-'))
		at--;
	if (!at || at == size || name[at - 1] != '+')
		return size;
	*failed = strtoul(name + at, NULL, 10) == 0;
	return at - 1;
}

static bool visit_newest(void *context, const char *name, const struct node *node)
{
	struct newest *newest = context;
	size_t size = strlen(name), end = strlen(newest->end);
	char plain[VOLUME_NAME], other[VOLUME_NAME];
	bool failed, better;
	unsigned rank;

	if (node->kind != NODE_FILE || size <= end || size >= VOLUME_NAME ||
	        strcasecmp(name + size - end, newest->end) != 0)
		return false;
	size = name_counted(name, size - end, &failed);
	snprintf(plain, sizeof(plain), "%.*s%s", (int)size, name, newest->end);
	rank = name_matches(plain, newest->wanted) ? 3 : failed ? 1 : 2;
	snprintf(other, sizeof(other), "%s", newest->name);
	if (*other) {
		size = name_counted(other, strlen(other) - end, &failed);
		strcpy(other + size, newest->end);
	}
	better = rank == newest->rank ? strverscmp(plain, other) > 0
	                              : rank > newest->rank;
	if (better) {
		strcpy(newest->name, name);
		newest->rank = rank;
		newest->node = *node;
	}
	return false;
}

/* loader.conf's default, with or without its ending; "": it says none. */
static int wanted_find(struct find *find, const char *end, char wanted[VOLUME_NAME])
{
	struct node node;
	size_t size = 0;
	int error = volume_find(&find->volume, "/loader/loader.conf", &node);

	wanted[0] = '\0';
	if (!error && node.kind == NODE_FILE)
		error = text_read(find, &node, &size);
	if (!error && size)
		menu_loader_value(find->text, "default", wanted, VOLUME_NAME);
	if (wanted[0] == '@')
		wanted[0] = '\0';
	size = strlen(wanted);
	if (size && size + strlen(end) < VOLUME_NAME &&
	        (size < strlen(end) || strcasecmp(wanted + size - strlen(end), end)) &&
	        wanted[size - 1] != '*')
		strcat(wanted, end);
	return error == -ENOENT ? 0 : error;
}

static int newest_find(struct find *find, const char *directory, struct newest *newest)
{
	struct node node;
	int error = volume_find(&find->volume, directory, &node);

	if (!error)
		error = wanted_find(find, newest->end, newest->wanted);
	if (!error)
		error = volume_walk(&find->volume, &node, visit_newest, newest);
	if (!error && !*newest->name)
		error = -ENOENT;
	return error == -ENOENT || error == -ENOTDIR ? -ENOMSG : error;
}

/* By what their names say, and loader.conf of them. */
static bool entry_is_wanted(const struct loader_entry *entry, const char *wanted)
{
	char name[VOLUME_NAME + 8];

	snprintf(name, sizeof(name), "%s.conf", entry->id);
	return *wanted && name_matches(name, wanted);
}

static bool visit_loader_entry(void *context, const char *name, const struct node *node)
{
	static const char end[] = ".conf";
	struct find *find = context;
	struct loader_entry *entry = find->entries + find->entry_count;
	size_t size = strlen(name);

	if (node->kind != NODE_FILE || size < sizeof(end) || size >= VOLUME_NAME ||
	        strcasecmp(name + size - strlen(end), end) != 0)
		return false;
	*entry = (struct loader_entry){.node = *node};
	size = name_counted(name, size - strlen(end), &entry->failed);
	strcpy(entry->name, name);
	snprintf(entry->id, sizeof(entry->id), "%.*s", (int)size, name);
	return ++find->entry_count == FIND_ENTRIES;
}

static void entry_keys_read(struct find *find, struct loader_entry *entry)
{
	size_t used = find->text_size;
	const char *text = node_text(find, &entry->node);

	if (text) {
		menu_loader_value(
		        text, "sort-key", entry->sort_key, sizeof(entry->sort_key));
		menu_loader_value(text, "machine-id", entry->machine_id,
		        sizeof(entry->machine_id));
		menu_loader_value(
		        text, "version", entry->version, sizeof(entry->version));
	}
	find->text_size = used;
}

/* UAPI.1, "Sorting": those with a sort-key come first, the newest first. */
static int entry_compare(const void *left, const void *right)
{
	const struct loader_entry *a = left, *b = right;
	int order = a->failed - b->failed;

	if (!order)
		order = !*a->sort_key - !*b->sort_key;
	if (!order && *a->sort_key) {
		order = strcmp(a->sort_key, b->sort_key);
		if (!order)
			order = strcmp(a->machine_id, b->machine_id);
		if (!order)
			order = strverscmp(b->version, a->version);
	}
	return order ? order : strverscmp(b->id, a->id);
}

/* Into `entries`, once for a volume. */
static int entries_list(struct find *find)
{
	/* Of a partition for booting, or of a root that does without. */
	static const char *const directories[] = {
	        "/loader/entries", "/boot/loader/entries"};

	for (size_t i = 0; !find->entry_directory &&
	                   i < sizeof(directories) / sizeof(*directories);
	        i++) {
		struct node node;
		int error = volume_find(&find->volume, directories[i], &node);

		find->entry_count = 0;
		if (!error)
			error = volume_walk(
			        &find->volume, &node, visit_loader_entry, find);
		if (error && error != -ENOENT && error != -ENOTDIR)
			return error;
		if (!find->entry_count)
			continue;
		find->entry_directory = directories[i];
		for (unsigned entry = 0; entry < find->entry_count; entry++)
			entry_keys_read(find, find->entries + entry);
		qsort(find->entries, find->entry_count, sizeof(find->entries[0]),
		        entry_compare);
	}
	return find->entry_directory ? 0 : -ENOMSG;
}

/* The one that loader.conf names or the first, and then all of them, until one boots. */
static int entry_follow(struct find *find)
{
	unsigned chosen = 0;
	char wanted[VOLUME_NAME];
	int error = entries_list(find);

	if (!error)
		error = wanted_find(find, ".conf", wanted);
	if (error)
		return error;
	while (chosen < find->entry_count &&
	        !entry_is_wanted(find->entries + chosen, wanted))
		chosen++;
	if (chosen == find->entry_count)
		chosen = 0;
	for (unsigned i = 0; i <= find->entry_count; i++) {
		const struct loader_entry *entry = find->entries + (i ? i - 1 : chosen);
		char path[2 * VOLUME_NAME];

		snprintf(path, sizeof(path), "%s/%s", find->entry_directory,
		        entry->name);
		error = config_follow(find, path, &entry->node, menu_loader_entry);
		if (!boots_nothing(find, error))
			return error;
	}
	return -ENOMSG;
}

/*
 * A unified kernel image, in the order of its sections; the kernel is to be the first. Of
 * several profiles, the first is booted: what stands before all of them, and what it has
 * in its place (UAPI.5). Of several sections of a name, systemd's stub takes the first.
 */
struct section {
	uint64_t offset, size;
	unsigned scope; /* 0: not found, 1: before all profiles, 2: in the first */
};

struct unified {
	unsigned scope;
	struct find *find;
	const struct medium_map *file;
	struct section kernel, initrd, microcode, cmdline;
};

static int section_take(void *context, const char *name, uint64_t offset, uint64_t size)
{
	struct unified *unified = context;
	const struct {
		const char *name;
		struct section *section;
	} sections[] = {
	        {".linux", &unified->kernel},
	        {".initrd", &unified->initrd},
	        {".ucode", &unified->microcode},
	        {".cmdline", &unified->cmdline},
	};

	unified->scope += !strcmp(name, ".profile");
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (unified->scope <= 2 && !strcmp(name, sections[i].name) &&
		        sections[i].section->scope < unified->scope)
			*sections[i].section =
			        (struct section){offset, size, unified->scope};
	return 0;
}

static int section_add(
        const struct unified *unified, const char *name, const struct section *section)
{
	struct medium_map map = runs_left(unified->find->found);
	int error;

	if (!section->size)
		return 0;
	map.limit -= FIND_RUNS / 2 < map.limit ? FIND_RUNS / 2 : map.limit;
	error = map_cut(unified->file, section->offset, section->size, &map);
	return error ? error : file_add(unified->find->found, name, &map);
}

/* The runs of `file` stand in the second half of the room, those of its sections before. */
static int unified_take(struct find *find, const struct medium_map *file)
{
	struct found *found = find->found;
	struct unified unified = {.scope = 1, .find = find, .file = file};
	int error = uki_read(find->medium, file, section_take, &unified);

	if (error)
		return error;
	if (!unified.kernel.size)
		return -ENOEXEC;
	if (unified.cmdline.size >= BOOT_CMDLINE_MAX)
		return -E2BIG;
	error = map_read(file, find->medium, unified.cmdline.offset, found->cmdline,
	        unified.cmdline.size);
	found->cmdline[unified.cmdline.size] = '\0';
	if (!error)
		error = section_add(&unified, ".linux", &unified.kernel);
	if (!error)
		error = section_add(&unified, ".ucode", &unified.microcode);
	if (!error)
		error = section_add(&unified, ".initrd", &unified.initrd);
	return error;
}

static int unified_follow(struct find *find, const char *path, const struct node *node)
{
	struct found *found = find->found;
	struct medium_map map = {
	        .runs = found->runs + FIND_RUNS / 2, .limit = FIND_RUNS / 2};
	int error;

	start_over(found);
	snprintf(found->config, sizeof(found->config), "%s", path);
	error = volume_map(&find->volume, node, &map);
	return error ? error : unified_take(find, &map);
}

static int unified_find(struct find *find)
{
	static const char *const removable[] = {
	        "/EFI/BOOT/BOOTX64.EFI", "/EFI/BOOT/BOOTRISCV64.EFI"};
	struct newest newest = {.end = ".efi"};
	char path[2 * VOLUME_NAME];
	struct node node;
	int error = newest_find(find, "/EFI/Linux", &newest);

	if (!error) {
		snprintf(path, sizeof(path), "/EFI/Linux/%s", newest.name);
		error = unified_follow(find, path, &newest.node);
	}
	if (error != -ENOMSG && error != -ENOEXEC)
		return error;
	/* Most often it is a boot loader. */
	error = -ENOMSG;
	for (size_t i = 0;
	        error == -ENOMSG && i < sizeof(removable) / sizeof(*removable); i++) {
		error = volume_find(&find->volume, removable[i], &node);
		if (!error)
			error = unified_follow(find, removable[i], &node);
		if (error == -ENOENT || error == -ENOEXEC)
			error = -ENOMSG;
	}
	return error;
}

/* LinuxKit's tar-kernel-initrd. */
static int plain_find(struct find *find)
{
	static const char *const initrds[] = {"/ucode.cpio", "/initrd.img"};
	struct found *found = find->found;
	struct node node;
	size_t size = 0;
	int error;

	start_over(found);
	error = file_find(find, "/kernel");
	if (error)
		return error == -ENOENT ? -ENOMSG : error;
	for (size_t i = 0; i < sizeof(initrds) / sizeof(initrds[0]); i++) {
		error = file_find(find, initrds[i]);
		if (error && error != -ENOENT)
			return error;
	}
	error = volume_find(&find->volume, "/cmdline", &node);
	if (!error)
		error = text_read(find, &node, &size);
	if (error)
		return error == -ENOENT ? 0 : error;
	while (size && isspace((unsigned char)find->text[size - 1]))
		size--;
	if (size >= sizeof(found->cmdline))
		return -E2BIG;
	memcpy(found->cmdline, find->text, size);
	found->cmdline[size] = '\0';
	return 0;
}

static int volume_follow(struct find *find)
{
	static int (*const ways[])(struct find * find) = {
	        unified_find, configs_follow, entry_follow};
	int error = -ENOMSG;

	if (find->volume.type == &volume_tar)
		return plain_find(find);
	find->failed = (struct find_failure){.error = -ENOMSG};
	find->entry_directory = NULL;
	for (size_t i = 0; error == -ENOMSG && i < sizeof(ways) / sizeof(ways[0]); i++)
		error = ways[i](find);
	if (error == -ENOMSG) {
		error = find->failed.error;
		memcpy(find->found->config, find->failed.config,
		        sizeof(find->failed.config));
		memcpy(find->found->path, find->failed.path, sizeof(find->failed.path));
	}
	return error;
}

static int part_follow(struct find *find, uint64_t start, uint64_t size)
{
	struct found *found = find->found;
	const char *other = NULL;
	int error = volume_open(&find->volume, find->medium, start, size);

	if (error == -ENOEXEC)
		other = volume_foreign(find->medium, start, size);
	if (other)
		error = -ENODEV;
	if (error != -ENOEXEC)
		snprintf(found->volume, sizeof(found->volume), "%s",
		        other ? other : find->volume.type->name);
	start_over(found);
	if (!error) {
		found->volume_only = find->volume.type == &volume_tar;
		found->readonly = find->volume.type == &volume_iso9660;
		error = volume_follow(find);
		volume_close(&find->volume);
	}
	return error;
}

/* What there is to say of the part that came furthest so far. */
struct best {
	int error;
	char volume[sizeof(((struct found *)0)->volume)];
	char config[VOLUME_PATH], path[VOLUME_PATH];
};

static void best_keep(struct best *best, const struct found *found, int error)
{
	if (rank(error) <= rank(best->error))
		return;
	best->error = error;
	memcpy(best->volume, found->volume, sizeof(best->volume));
	memcpy(best->config, found->config, sizeof(best->config));
	memcpy(best->path, found->path, sizeof(best->path));
}

/* GRUB's `search` leads to other partitions: to the first that has those files. */
static int elsewhere_take(
        struct find *find, const struct partition *partitions, int count)
{
	struct found *found = find->found;
	int error = -ENOENT;

	find->menu = find->missing.menu;
	for (int i = 0; error && i < count; i++) {
		if (find->menu.partition &&
		        find->menu.partition != partitions[i].number)
			continue;
		error = volume_open(&find->volume, find->medium, partitions[i].start,
		        partitions[i].size);
		if (error)
			continue;
		start_over(found);
		memcpy(found->config, find->missing.config, sizeof(found->config));
		error = menu_take(find);
		volume_close(&find->volume);
	}
	return error;
}

/* Each by its own configuration, or else by what the first of them names. */
static int parts_follow(struct find *find, struct best *best,
        const struct partition *partitions, int count)
{
	int error = best->error;

	find->missing.error = 0;
	for (int i = 0; i < count; i++) {
		error = part_follow(find, partitions[i].start, partitions[i].size);
		if (!error)
			return 0;
		if (error == -ENOENT && !find->missing.error)
			find->missing = find->failed;
		best_keep(best, find->found, error);
	}
	return find->missing.error ? elsewhere_take(find, partitions, count) : error;
}

static int whole_unified(struct find *find)
{
	struct found *found = find->found;
	struct medium_map map = {.runs = found->runs + FIND_RUNS - 1, .limit = 1};
	int error = map_add(&map, find->medium, 0, find->medium->size);

	if (!error)
		error = unified_take(find, &map);
	if (error != -ENOEXEC) {
		strcpy(found->volume, "EFI program");
		found->volume_only = true;
	}
	return error;
}

/* Readers take what they cannot read for what they do not know. */
static int watched_read(void *context, uint64_t offset, void *data, size_t size)
{
	struct find *find = context;
	int error = find->given->read(find->given->context, offset, data, size);

	if (error)
		find->read_error = error;
	return error;
}

void find(struct find *find, const struct boot_medium *given, struct found *found)
{
	const struct boot_medium *medium = &find->watched;
	struct partition partitions[FIND_PARTITIONS + 1];
	struct best best = {.error = -ENOEXEC};
	int error, count;
	bool cd;

	find->watched =
	        (struct boot_medium){given->size, watched_read, find, given->fd};
	find->given = given;
	find->medium = medium;
	find->read_error = 0;
	find->found = found;
	error = whole_unified(find);
	if (error == -ENOEXEC)
		error = part_follow(find, 0, medium->size);
	best_keep(&best, found, error);
	/*
	 * A hybrid has both; what is on the whole of it says more. What is not right there
	 * may be left of what the disk was before it had partitions.
	 */
	if (error) {
		cd = find->volume.type == &volume_iso9660;
		count = partitions_read(medium, partitions);
		if (count < 0)
			best_keep(&best, found, count);
		error = parts_follow(find, &best, partitions, count);
		if (error && cd) {
			count = boot_images_read(medium, partitions);
			partitions[count++] = (struct partition){0, medium->size, 0};
			error = parts_follow(find, &best, partitions, count);
		}
		found->readonly |= cd;
	}
	found->error = error;
	if (error) {
		found->error = find->read_error ? -EIO : best.error;
		memcpy(found->volume, best.volume, sizeof(best.volume));
		memcpy(found->config, best.config, sizeof(best.config));
		memcpy(found->path, best.path, sizeof(best.path));
	}
}
