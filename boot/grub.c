/*
 * grub.cfg is a script (GRUB's manual, "Shell-like scripting"). Of that, what decides which
 * kernel is booted is run: variables, tests, menu entries; a command that is none of these
 * (search, insmod, loadfont, ...) does nothing and succeeds, loops and functions are left
 * out. All of it is run once, then the entry that `default` names; if that boots no kernel,
 * as one for the firmware's setup does not, the first one that does.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/find.h"

enum {
	WORDS = 1024, /* of a statement */
	VARIABLES = 64,
	ENTRIES = 128,
	BLOCKS = 32,    /* of if, within each other */
	MENUS = 8,      /* within each other */
	POOL = 1 << 16, /* names, values, titles */
	WORK = 1 << 25, /* characters that are read or put in */
};

struct variable {
	const char *name, *value;
};

struct entry {
	const char *title, *id, *body;
	bool submenu;
};

struct block {
	bool runs, ran; /* this branch; any so far */
};

struct grub {
	const struct menu_text *config;
	struct menu *menu;
	const char *at;
	unsigned left; /* of WORK */
	bool full;     /* of something there was too much */

	char text[BOOT_CMDLINE_MAX]; /* the statement's words, each with its NUL */
	size_t text_size, word;      /* where the word at hand starts */
	char *words[WORDS];
	unsigned word_count;

	struct block blocks[BLOCKS]; /* the first is the text itself */
	unsigned depth;
	struct variable variables[VARIABLES];
	unsigned variable_count;
	struct entry entries[ENTRIES];
	unsigned entry_count;
	char pool[POOL];
	size_t pool_size;
};

/* Variables. */

static const char *keep(struct grub *grub, const char *text, size_t size)
{
	char *kept = grub->pool + grub->pool_size;

	if (size >= POOL - grub->pool_size) {
		grub->full = true;
		return "";
	}
	memcpy(kept, text, size);
	kept[size] = '\0';
	grub->pool_size += size + 1;
	return kept;
}

static struct variable *variable_find(struct grub *grub, const char *name, size_t size)
{
	for (unsigned i = 0; i < grub->variable_count; i++)
		if (!strncmp(grub->variables[i].name, name, size) &&
		        !grub->variables[i].name[size])
			return grub->variables + i;
	return NULL;
}

static void variable_set(struct grub *grub, const char *name, size_t name_size,
        const char *value, size_t size)
{
	struct variable *variable = variable_find(grub, name, name_size);

	if (!variable) {
		if (grub->variable_count == VARIABLES) {
			grub->full = true;
			return;
		}
		variable = grub->variables + grub->variable_count++;
		variable->name = keep(grub, name, name_size);
	}
	variable->value = keep(grub, value, size);
}

/* "name=value" */
static void assign(struct grub *grub, const char *text, size_t size)
{
	const char *equals = memchr(text, '=', size);
	size_t name = equals ? (size_t)(equals - text) : 0;

	if (equals)
		variable_set(grub, text, name, equals + 1, size - name - 1);
}

static const char *variable_value(struct grub *grub, const char *name, size_t size)
{
	static const char feature[] = "feature_";
	const struct variable *variable = variable_find(grub, name, size);

	if (variable)
		return variable->value;
	/* What GRUB can do is told by variables of such names. */
	return size > strlen(feature) && !strncmp(name, feature, strlen(feature)) ? "y"
	                                                                          : "";
}

/* Each line of the block that load_env reads: "saved_entry=Linux 6.1". */
static void environment_load(struct grub *grub)
{
	const char *at = grub->config->environment;

	while (*at) {
		size_t size = strcspn(at, "\n");

		if (*at != '#')
			assign(grub, at, size);
		at += size + (at[size] == '\n');
	}
}

/* Statements. */

static void put(struct grub *grub, char c)
{
	if (grub->text_size + 1 >= sizeof(grub->text) || !grub->left) {
		grub->full = true;
		return;
	}
	grub->left--;
	grub->text[grub->text_size++] = c;
}

/* What was put since the last word; nothing is a word only if it was quoted. */
static void word_end(struct grub *grub, bool quoted)
{
	if (grub->word == grub->text_size && !quoted)
		return;
	if (grub->word_count == WORDS)
		grub->full = true;
	else
		grub->words[grub->word_count++] = grub->text + grub->word;
	put(grub, '\0');
	grub->word = grub->text_size;
}

/* At "$"; afterwards at the last character of the name. Blanks end words but in quotes. */
static void variable_put(struct grub *grub, bool in_quotes)
{
	const char *name = grub->at + 1, *value;
	bool braces = *name == '{';
	size_t size = 0;

	name += braces;
	while (isalnum((unsigned char)name[size]) || name[size] == '_')
		size++;
	if (!size && strchr("?#*@", *name) && *name)
		size++;
	for (value = variable_value(grub, name, size); *value && !grub->full; value++) {
		if (!in_quotes && isspace((unsigned char)*value))
			word_end(grub, false);
		else
			put(grub, *value);
	}
	grub->at = name + size - 1;
	if (braces && name[size] == '}')
		grub->at++;
}

static bool ends_word(char c)
{
	return !c || isspace((unsigned char)c) || c == ';' || c == '{' || c == '}';
}

/* Quotes go, variables are put in. */
static void word_read(struct grub *grub)
{
	bool quoted = false;
	char quote = '\0';

	for (; *grub->at && (quote || !ends_word(*grub->at)); grub->at++) {
		char c = *grub->at;

		if (quote ? c == quote : c == '"' || c == '\'') {
			quote = quote ? '\0' : c;
			quoted = true;
		} else if (c == '$' && quote != '\'') {
			variable_put(grub, quote);
		} else if (c == '\\' && quote != '\'' && grub->at[1]) {
			if (*++grub->at != '\n')
				put(grub, *grub->at);
		} else {
			put(grub, c);
		}
	}
	word_end(grub, quoted);
}

/* The words up to a newline, ";", "{" or "}", which is taken and told; '\0': the end. */
static char statement_read(struct grub *grub)
{
	const char *start = grub->at;
	size_t size;
	char stop;

	grub->word_count = 0;
	grub->text_size = grub->word = 0;
	for (;;) {
		grub->at += strspn(grub->at, " \t\r\v\f");
		if (*grub->at == '#')
			grub->at += strcspn(grub->at, "\n");
		if (ends_word(*grub->at))
			break;
		word_read(grub);
	}
	stop = *grub->at;
	grub->at += stop != '\0';
	size = (size_t)(grub->at - start);
	grub->left -= size < grub->left ? size : grub->left;
	return stop;
}

/* Behind a "{": to its "}". */
static void braces_skip(struct grub *grub)
{
	unsigned depth = 1;

	while (depth && !grub->full) {
		char stop = statement_read(grub);

		if (!stop)
			return;
		depth += stop == '{';
		depth -= stop == '}';
	}
}

/* Tests: GRUB's manual, "test". */

struct test {
	const struct grub *grub;
	char **words;
	unsigned count;
};

static bool test_or(struct test *test);

static const char *test_word(struct test *test)
{
	if (!test->count)
		return "";
	test->count--;
	return *test->words++;
}

static bool test_is(const struct test *test, unsigned index, const char *word)
{
	return index < test->count && !strcmp(test->words[index], word);
}

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text);

	return size >= strlen(end) && !strcmp(text + size - strlen(end), end);
}

/* What may hold between two words, as text or as numbers. */
static const struct operation {
	const char *name;
	bool less, equal, greater;
} operations[] = {
        {"=", false, true, false},
        {"==", false, true, false},
        {"!=", true, false, true},
        {"<", true, false, false},
        {">", false, false, true},
        {"<=", true, true, false},
        {">=", false, true, true},
        {"-eq", false, true, false},
        {"-ne", true, false, true},
        {"-lt", true, false, false},
        {"-gt", false, false, true},
        {"-le", true, true, false},
        {"-ge", false, true, true},
};

static const struct operation *operation_find(const char *name)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (!strcmp(operations[i].name, name))
			return operations + i;
	return NULL;
}

static bool compare(
        const struct operation *operation, const char *left, const char *right)
{
	long a = strtol(left, NULL, 0), b = strtol(right, NULL, 0);
	int order = operation->name[0] == '-' ? (a > b) - (a < b) : strcmp(left, right);

	return order < 0   ? operation->less
	       : order > 0 ? operation->greater
	                   : operation->equal;
}

static bool test_one(struct test *test)
{
	const struct operation *operation = NULL;
	const char *word, *other;
	bool result;

	if (test_is(test, 0, "(")) {
		test_word(test);
		result = test_or(test);
		test_word(test);
		return result;
	}
	if (test->count > 2)
		operation = operation_find(test->words[1]);
	word = test_word(test);
	if (operation) {
		test_word(test);
		return compare(operation, word, test_word(test));
	}
	if (word[0] != '-' || !word[1] || word[2] || !test->count)
		return *word;
	other = test_word(test);
	switch (word[1]) {
	case 'n':
		return *other;
	case 'z':
		return !*other;
	default:
		/* Files are not looked for, but for the one that was. */
		return *test->grub->config->environment && ends_with(other, "/grubenv");
	}
}

static bool test_not(struct test *test)
{
	bool wanted = true;

	while (test_is(test, 0, "!")) {
		test_word(test);
		wanted = !wanted;
	}
	return test_one(test) == wanted;
}

static bool test_and(struct test *test)
{
	bool result = test_not(test);

	while (test->count && !test_is(test, 0, "-o") && !test_is(test, 0, ")") &&
	        !test_is(test, 0, "]")) {
		if (test_is(test, 0, "-a"))
			test_word(test);
		result &= test_not(test);
	}
	return result;
}

static bool test_or(struct test *test)
{
	bool result = test_and(test);

	while (test_is(test, 0, "-o")) {
		test_word(test);
		result |= test_and(test);
	}
	return result;
}

/* Of if: a test, or another command, which succeeds. */
static bool condition(struct grub *grub, unsigned first)
{
	struct test test = {grub, grub->words + first, grub->word_count - first};
	bool wanted = true;

	for (; test_is(&test, 0, "!"); test_word(&test))
		wanted = !wanted;
	if (!test_is(&test, 0, "[") && !test_is(&test, 0, "test"))
		return wanted;
	test_word(&test);
	return test_or(&test) == wanted;
}

/* Commands. */

static bool is_word(const struct grub *grub, unsigned index, const char *word)
{
	return index < grub->word_count && !strcmp(grub->words[index], word);
}

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

static const char *without_device(const char *path)
{
	const char *end = *path == '(' ? strchr(path, ')') : NULL;

	return end ? end + 1 : path;
}

/* What has a blank in it is quoted, as GRUB does it. */
static bool cmdline_add(struct menu *menu, const char *word)
{
	size_t size = strlen(menu->cmdline), limit = sizeof(menu->cmdline);
	const char *quote = strchr(word, ' ') ? "\"" : "";

	return (size_t)snprintf(menu->cmdline + size, limit - size, "%s%s%s%s",
	               size ? " " : "", quote, word, quote) < limit - size;
}

static void kernel_take(struct grub *grub)
{
	struct menu *menu = grub->menu;
	const char *path = grub->word_count > 1 ? without_device(grub->words[1]) : "";

	menu->initrd_count = 0;
	menu->cmdline[0] = '\0';
	if (strlen(path) >= sizeof(menu->kernel))
		grub->full = true;
	else
		strcpy(menu->kernel, path);
	for (unsigned i = 2; i < grub->word_count && !grub->full; i++)
		grub->full = !cmdline_add(menu, grub->words[i]);
}

static void initrds_take(struct grub *grub)
{
	struct menu *menu = grub->menu;

	menu->initrd_count = 0;
	for (unsigned i = 1; i < grub->word_count; i++) {
		const char *path = without_device(grub->words[i]);

		if (menu->initrd_count == BOOT_FILES_INITRDS ||
		        strlen(path) >= sizeof(menu->initrds[0])) {
			grub->full = true;
			return;
		}
		strcpy(menu->initrds[menu->initrd_count++], path);
	}
}

static void entry_add(struct grub *grub)
{
	struct entry *entry = grub->entries + grub->entry_count;

	if (grub->entry_count == ENTRIES)
		return;
	*entry = (struct entry){.title = "",
	        .id = "",
	        .body = grub->at,
	        .submenu = is_word(grub, 0, "submenu")};
	if (grub->word_count > 1)
		entry->title = keep(grub, grub->words[1], strlen(grub->words[1]));
	for (unsigned i = 2; i + 1 < grub->word_count; i++)
		if (is_word(grub, i, "--id"))
			entry->id = keep(
			        grub, grub->words[i + 1], strlen(grub->words[i + 1]));
	grub->entry_count++;
}

static void command_run(struct grub *grub, unsigned first)
{
	static const char *const kernels[] = {"linux", "linux16", "linuxefi"},
	                         *const initrds[] = {"initrd", "initrd16", "initrdefi"};
	const char *word;

	if (first >= grub->word_count)
		return;
	word = grub->words[first];
	grub->word_count -= first;
	memmove(grub->words, grub->words + first,
	        grub->word_count * sizeof(grub->words[0]));
	if (is_one_of(word, kernels, 3))
		kernel_take(grub);
	else if (is_one_of(word, initrds, 3))
		initrds_take(grub);
	else if (!strcmp(word, "load_env"))
		environment_load(grub);
	else if (!strcmp(word, "set") && grub->word_count > 1)
		assign(grub, grub->words[1], strlen(grub->words[1]));
	else if (grub->word_count == 1)
		assign(grub, word, strlen(word));
}

/* Control. */

static void block_enter(struct grub *grub, bool runs)
{
	bool outer = grub->blocks[grub->depth].runs;

	if (grub->depth + 1 == BLOCKS) {
		grub->full = true;
		return;
	}
	grub->blocks[++grub->depth] = (struct block){outer && runs, outer && runs};
}

/* What follows may run unless something before did. */
static void branch_enter(struct grub *grub, bool holds)
{
	struct block *block = grub->blocks + grub->depth;

	if (!grub->depth)
		return;
	block->runs = block[-1].runs && !block->ran && holds;
	block->ran |= block->runs;
}

static void statement_run(struct grub *grub)
{
	unsigned first = 0;

	/* What may stand before a command on its line. */
	while (is_word(grub, first, "then") || is_word(grub, first, "do") ||
	        is_word(grub, first, "else")) {
		if (is_word(grub, first, "else"))
			branch_enter(grub, true);
		first++;
	}
	if (is_word(grub, first, "if"))
		block_enter(grub, condition(grub, first + 1));
	else if (is_word(grub, first, "elif"))
		branch_enter(grub, condition(grub, first + 1));
	else if (is_word(grub, first, "for") || is_word(grub, first, "while") ||
	         is_word(grub, first, "until"))
		block_enter(grub, false);
	else if (is_word(grub, first, "fi") || is_word(grub, first, "done"))
		grub->depth -= grub->depth > 0;
	else if (grub->blocks[grub->depth].runs)
		command_run(grub, first);
}

/* Of the whole text, or of an entry up to its "}". */
static void run(struct grub *grub, const char *text)
{
	char stop = '\n';

	grub->at = text;
	grub->depth = 0;
	grub->blocks[0] = (struct block){true, true};
	while (stop && stop != '}' && !grub->full) {
		stop = statement_read(grub);
		if (stop == '{') {
			if (grub->blocks[grub->depth].runs &&
			        (is_word(grub, 0, "menuentry") ||
			                is_word(grub, 0, "submenu")))
				entry_add(grub);
			braces_skip(grub);
		} else {
			statement_run(grub);
		}
	}
}

/* Of those from `first` on, by number, id or title; what is not there is the first. */
static unsigned entry_find(
        const struct grub *grub, unsigned first, const char *wanted, size_t size)
{
	char *end;
	unsigned long number = strtoul(wanted, &end, 10);

	if (size && end == wanted + size)
		return number < grub->entry_count - first ? first + (unsigned)number
		                                          : first;
	for (unsigned i = first; i < grub->entry_count; i++) {
		const struct entry *entry = grub->entries + i;

		if ((strlen(entry->id) == size && !memcmp(entry->id, wanted, size)) ||
		        (strlen(entry->title) == size &&
		                !memcmp(entry->title, wanted, size)))
			return i;
	}
	return first;
}

/* `wanted` is "1", "id", "title" or such with what is meant in the submenu, "1>title". */
static void menu_boot(
        struct grub *grub, const char *text, const char *wanted, unsigned menus)
{
	unsigned first = grub->entry_count, last, chosen;
	size_t size;

	run(grub, text);
	last = grub->entry_count;
	if (first == last || menus == MENUS)
		return;
	if (!wanted)
		wanted = variable_value(grub, "default", strlen("default"));
	size = strcspn(wanted, ">");
	chosen = entry_find(grub, first, wanted, size);
	wanted += size + (wanted[size] == '>');
	grub->menu->kernel[0] = '\0';
	/* The chosen one, and then all of them, until a kernel is found. */
	for (unsigned i = first; i <= last && !grub->full; i++) {
		const struct entry *entry =
		        grub->entries + (i == first ? chosen : i - 1);

		if (entry->submenu)
			menu_boot(
			        grub, entry->body, i == first ? wanted : "", menus + 1);
		else
			run(grub, entry->body);
		if (*grub->menu->kernel)
			return;
	}
}

int menu_grub(const struct menu_text *config, struct menu *menu)
{
	/* Ubuntu's would first try without an initrd, and again with one if that fails. */
	static const char *const defaults[] = {"grub_platform=efi", "initrdfail=1"};
	struct grub *grub =
	        &(struct grub){.config = config, .menu = menu, .left = WORK};
	const char *slash = strrchr(config->path, '/');

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		assign(grub, defaults[i], strlen(defaults[i]));
	if (slash)
		variable_set(grub, "prefix", strlen("prefix"), config->path,
		        (size_t)(slash - config->path));
	menu_boot(grub, config->text, NULL, 0);
	if (grub->full)
		return -E2BIG;
	return *menu->kernel ? 0 : -ENOMSG;
}
