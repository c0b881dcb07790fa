/*
 * What boot loaders are told in their configurations, as far as it names a kernel: of
 * syslinux (isolinux, extlinux: SYSLINUX's doc/syslinux.txt and menu.txt) and of boot loader
 * entries (UAPI.1). grub.c has GRUB's.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "boot/find.h"

enum { LABEL = 128 };

/* A line without what surrounds it, and where the next one starts. */
struct line {
	const char *text;
	size_t size;
};

static bool line_next(const char **text, struct line *line)
{
	const char *start = *text, *end;

	if (!*start)
		return false;
	end = start + strcspn(start, "\n");
	*text = end + (*end == '\n');
	while (start < end && isspace((unsigned char)*start))
		start++;
	while (end > start && isspace((unsigned char)end[-1]))
		end--;
	*line = (struct line){start, (size_t)(end - start)};
	return true;
}

/* Whether it starts with the word; then `rest` is what follows. */
static bool line_is(const struct line *line, const char *word, struct line *rest)
{
	size_t size = strlen(word);

	if (line->size < size || strncasecmp(line->text, word, size) != 0 ||
	        (line->size > size && !isspace((unsigned char)line->text[size])))
		return false;
	while (size < line->size && isspace((unsigned char)line->text[size]))
		size++;
	*rest = (struct line){line->text + size, line->size - size};
	return true;
}

/* The first word of the line is taken off. */
static struct line word_take(struct line *line)
{
	struct line word = {line->text, 0};

	if (!line->size)
		return word;
	while (word.size < line->size && !isspace((unsigned char)word.text[word.size]))
		word.size++;
	line->text += word.size;
	line->size -= word.size;
	while (line->size && isspace((unsigned char)*line->text)) {
		line->text++;
		line->size--;
	}
	return word;
}

static bool text_set(char *to, size_t limit, const char *from, size_t size)
{
	if (size >= limit)
		return false;
	memcpy(to, from, size);
	to[size] = '\0';
	return true;
}

/* syslinux: "::/x" is "/x" where it was started from. */
static struct line without_start(struct line path)
{
	unsigned size = path.size >= 2 && !memcmp(path.text, "::", 2) ? 2 : 0;

	return (struct line){path.text + size, path.size - size};
}

static bool initrd_add(struct menu *menu, const char *path, size_t size)
{
	if (!size)
		return true;
	return menu->initrd_count < BOOT_FILES_INITRDS &&
	       text_set(menu->initrds[menu->initrd_count++], VOLUME_PATH, path, size);
}

/* "a,b" */
static bool initrds_add(struct menu *menu, struct line list)
{
	while (list.size) {
		const char *comma = memchr(list.text, ',', list.size);
		size_t size = comma ? (size_t)(comma - list.text) : list.size;

		struct line path = without_start((struct line){list.text, size});

		if (!initrd_add(menu, path.text, path.size))
			return false;
		size += comma != NULL;
		list.text += size;
		list.size -= size;
	}
	return true;
}

const char *menu_include(const char *line, bool configs, size_t *size)
{
	const char *text = line;
	struct line whole, rest;

	if (!line_next(&text, &whole))
		return NULL;
	if (line_is(&whole, "menu", &rest))
		whole = rest;
	if (!line_is(&whole, "include", &rest) &&
	        !(configs && line_is(&whole, "config", &rest)))
		return NULL;
	rest = word_take(&rest);
	*size = rest.size;
	return rest.text;
}

/* A label, or what stands before the first; all of it refers to the text. */
struct label {
	struct line name, kernel, append, initrd;
	bool has_append;
};

static bool ends_with(const struct line *line, const char *end)
{
	size_t size = strlen(end);

	return line->size >= size &&
	       !strncasecmp(line->text + line->size - size, end, size);
}

/* Modules and boot sectors are no kernels. */
static bool is_bootable(const struct label *label)
{
	static const char *const others[] = {
	        ".c32", ".com", ".cbt", ".bin", ".bss", ".bs", ".0", ".img"};

	if (!label->kernel.size)
		return false;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (ends_with(&label->kernel, others[i]))
			return false;
	return true;
}

static void label_line(struct label *label, const struct line *line)
{
	struct line rest;

	if (line_is(line, "kernel", &rest) || line_is(line, "linux", &rest)) {
		label->kernel = rest;
	} else if (line_is(line, "append", &rest)) {
		label->append = rest;
		label->has_append = true;
	} else if (line_is(line, "initrd", &rest)) {
		label->initrd = rest;
	}
}

struct labels {
	struct label common, first, chosen;
	struct line wanted; /* DEFAULT */
	bool has_any, has_first, has_chosen, by_menu;
	bool first_nested; /* it stands in a submenu */
	unsigned depth;    /* of submenus */
};

static void label_end(struct labels *labels, const struct label *label, bool is_default)
{
	bool nested = labels->depth > 0;
	bool named = labels->wanted.size && label->name.size == labels->wanted.size &&
	             !strncasecmp(label->name.text, labels->wanted.text,
	                     labels->wanted.size);

	if (!is_bootable(label))
		return;
	if (!labels->has_first || (labels->first_nested && !nested)) {
		labels->has_first = true;
		labels->first_nested = nested;
		labels->first = *label;
	}
	/* MENU DEFAULT is of its menu, which DEFAULT only names. */
	is_default = is_default && !nested;
	if (is_default || (named && !labels->by_menu)) {
		labels->has_chosen = true;
		labels->by_menu = is_default;
		labels->chosen = *label;
	}
}

/* Behind "TEXT HELP". */
static void help_skip(const char **text)
{
	struct line line, rest;

	while (line_next(text, &line) && !line_is(&line, "endtext", &rest))
		;
}

static void labels_read(const char *text, struct labels *labels)
{
	struct label label = {0};
	bool in_label = false, is_default = false;
	struct line line, rest, none;

	while (line_next(&text, &line)) {
		bool is_label = line_is(&line, "label", &rest);
		bool is_menu = !is_label && line_is(&line, "menu", &rest);
		struct line word = is_menu ? word_take(&rest) : (struct line){"", 0};
		bool begins = line_is(&word, "begin", &none);
		bool ends = line_is(&word, "end", &none);

		if (in_label && (is_label || begins || ends)) {
			label_end(labels, &label, is_default);
			in_label = false;
		}
		labels->depth += begins;
		labels->depth -= ends && labels->depth;
		if (is_label) {
			label = (struct label){.name = word_take(&rest)};
			labels->has_any = in_label = true;
			is_default = false;
		} else if (is_menu) {
			is_default |= in_label && line_is(&word, "default", &none);
		} else if (line_is(&line, "text", &rest)) {
			help_skip(&text);
		} else {
			label_line(in_label ? &label : &labels->common, &line);
		}
	}
	if (in_label)
		label_end(labels, &label, is_default);
}

/* The last one counts, wherever it stands. */
static struct line default_find(const char *text)
{
	struct line line, rest, wanted = {NULL, 0};

	while (line_next(&text, &line))
		if (line_is(&line, "default", &rest))
			wanted = rest;
	return wanted;
}

/* syslinux takes it for its own, and leaves it where it is. */
static bool cmdline_initrds(struct menu *menu)
{
	static const char option[] = "initrd=";
	struct line left = {menu->cmdline, strlen(menu->cmdline)};

	while (left.size) {
		struct line word = word_take(&left);

		if (word.size < strlen(option) ||
		        strncmp(word.text, option, strlen(option)) != 0)
			continue;
		word.text += strlen(option);
		word.size -= strlen(option);
		menu->initrd_count = 0;
		if (!initrds_add(menu, word))
			return false;
	}
	return true;
}

static int label_take(
        const struct labels *labels, struct label label, struct menu *menu)
{
	struct line append = label.has_append ? label.append : labels->common.append;
	struct line kernel = without_start(word_take(&label.kernel));

	if (append.size == 1 && *append.text == '-')
		append.size = 0;
	/* What is left of KERNEL stands before the rest. */
	if (!text_set(menu->kernel, sizeof(menu->kernel), kernel.text, kernel.size) ||
	        label.kernel.size + append.size + 2 > sizeof(menu->cmdline))
		return -E2BIG;
	text_set(menu->cmdline, sizeof(menu->cmdline), label.kernel.text,
	        label.kernel.size);
	if (label.kernel.size && append.size)
		strcat(menu->cmdline, " ");
	strncat(menu->cmdline, append.text ? append.text : "", append.size);
	if (label.initrd.size)
		return initrds_add(menu, label.initrd) ? 0 : -E2BIG;
	return cmdline_initrds(menu) ? 0 : -E2BIG;
}

int menu_syslinux(const struct menu_text *config, struct menu *menu)
{
	const char *text = config->text;
	struct labels labels = {.wanted = default_find(text)};
	struct label bare = {.kernel = labels.wanted};

	labels_read(text, &labels);
	if (labels.has_chosen)
		return label_take(&labels, labels.chosen, menu);
	if (labels.has_first)
		return label_take(&labels, labels.first, menu);
	/* Without labels, DEFAULT is a kernel with its arguments. */
	bare.kernel = word_take(&labels.wanted);
	if (labels.has_any || !is_bootable(&bare))
		return -ENOMSG;
	bare.kernel.size =
	        (size_t)(labels.wanted.text + labels.wanted.size - bare.kernel.text);
	return label_take(&labels, bare, menu);
}

/* Distributions have GRUB put its variables there: $kernelopts, $tuned_initrd. */
static struct line value_of(const struct menu_text *config, const struct line *word)
{
	struct line value = *word;

	if (!word->size || word->text[0] != '$')
		return value;
	value = (struct line){"", 0};
	if (config->variable)
		value.text = config->variable(
		        config->variables, word->text + 1, word->size - 1);
	value.size = strlen(value.text);
	return value;
}

static bool options_add(
        const struct menu_text *config, struct menu *menu, struct line options)
{
	size_t size = strlen(menu->cmdline);

	while (options.size) {
		struct line word = word_take(&options), value = value_of(config, &word);

		if (!value.size)
			continue;
		if (size + value.size + 2 > sizeof(menu->cmdline))
			return false;
		if (size)
			menu->cmdline[size++] = ' ';
		memcpy(menu->cmdline + size, value.text, value.size);
		size += value.size;
		menu->cmdline[size] = '\0';
	}
	return true;
}

static bool entry_line(
        const struct menu_text *config, struct menu *menu, const struct line *line)
{
	struct line rest, value, word;

	if (line_is(line, "linux", &rest))
		return text_set(
		        menu->kernel, sizeof(menu->kernel), rest.text, rest.size);
	if (line_is(line, "options", &rest))
		return options_add(config, menu, rest);
	if (!line_is(line, "initrd", &rest))
		return true;
	while (rest.size) {
		word = word_take(&rest);
		value = value_of(config, &word);
		while (value.size) {
			word = word_take(&value);
			if (!initrd_add(menu, word.text, word.size))
				return false;
		}
	}
	return true;
}

int menu_loader_entry(const struct menu_text *config, struct menu *menu)
{
	const char *text = config->text;
	struct line line;

	while (line_next(&text, &line))
		if (!entry_line(config, menu, &line))
			return -E2BIG;
	return *menu->kernel ? 0 : -ENOMSG;
}

void menu_loader_value(const char *text, const char *key, char *value, size_t limit)
{
	struct line line, rest;

	while (line_next(&text, &line))
		if (line_is(&line, key, &rest) && rest.size)
			text_set(value, limit, rest.text, rest.size);
}
