/*
 * grub.cfg is a script (GRUB's manual, "Shell-like scripting"). Of that, what decides which
 * kernel is booted is run: variables, tests, functions, for, menu entries, what it reads
 * from other files; a command that is none of these (insmod, loadfont, ...) does nothing and
 * succeeds, while and until are left out. All of it is run once, then the entry that
 * `default` names; if that boots no kernel, as one for the firmware's setup does not, the
 * first one that does. Whatever disk a path has, the volume of grub.cfg is meant.
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
	BLOCKS = 32, /* of if, within each other */
	FUNCTIONS = 64,
	RUNS = 16,      /* of functions, loops and files, within each other */
	MENUS = 8,      /* within each other */
	POOL = 1 << 16, /* names, values, titles */
	WORK = 1 << 25, /* characters that are read or put in */
};

struct variable {
	const char *name, *value;
};

struct function {
	const char *name, *body;
};

struct entry {
	const char *title, *id, *body;
	bool submenu;
	bool is_loader_entry; /* UAPI.1's, which blscfg makes entries of */
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
	unsigned runs;
	bool stops;       /* this run of a text ends: `return`, a loop's end */
	const char *next; /* configfile's text: all of them end */

	char text[BOOT_CMDLINE_MAX]; /* the statement's words, each with its NUL */
	size_t text_size, word;      /* where the word at hand starts */
	char *words[WORDS];
	unsigned word_count;

	struct block blocks[BLOCKS]; /* that at `base` is the text itself */
	unsigned depth, base;
	struct function functions[FUNCTIONS];
	unsigned function_count;
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

/* Files. */

static const char *without_device(const char *path)
{
	const char *end = *path == '(' ? strchr(path, ')') : NULL;

	return end ? end + 1 : path;
}

/* Not on a RAID, a logical volume, in memory or in an image: "(md/boot)/x". */
static bool may_be_here(const char *path)
{
	return path[0] != '(' || path[1] == ')' || !strncmp(path + 1, "hd", 2) ||
	       !strncmp(path + 1, "cd", 2);
}

static bool file_find(const struct grub *grub, const char *path, struct node *node)
{
	const struct menu_files *files = grub->config->files;

	return files && may_be_here(path) &&
	       files->find(files->context, without_device(path), node);
}

/* NULL: there is none. */
static const char *file_text(const struct grub *grub, const char *path)
{
	const struct menu_files *files = grub->config->files;

	return files && may_be_here(path)
	               ? files->text(files->context, without_device(path))
	               : NULL;
}

/* Each line of the block that load_env reads: "saved_entry=Linux 6.1". */
static void environment_take(struct grub *grub, const char *path)
{
	const char *at = file_text(grub, path);

	while (at && *at) {
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
	const struct grub *grub; /* whose files there are */
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

static bool test_file(const struct test *test, char what, const char *path)
{
	struct node node;

	if (!file_find(test->grub, path, &node))
		return false;
	switch (what) {
	case 'f':
		return node.kind == NODE_FILE;
	case 'd':
		return node.kind == NODE_DIRECTORY;
	case 's':
		return node.size > 0;
	default:
		return true;
	}
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
		return strchr("defs", word[1]) && test_file(test, word[1], other);
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

/* What has a blank in it is quoted, as GRUB does it. */
static bool cmdline_add(struct menu *menu, const char *word)
{
	size_t size = strlen(menu->cmdline), limit = sizeof(menu->cmdline);
	const char *quote = strchr(word, ' ') ? "\"" : "";

	return (size_t)snprintf(menu->cmdline + size, limit - size, "%s%s%s%s",
	               size ? " " : "", quote, word, quote) < limit - size;
}

/* Of "(hd0,gpt2)/x", or where $root is such; 0: none is named. */
static unsigned partition_of(struct grub *grub, const char *path)
{
	const char *device =
	        *path == '(' ? path + 1 : variable_value(grub, "root", strlen("root"));

	device += strcspn(device, ",)");
	if (*device == ',')
		device += 1 + strspn(device + 1, "abcdefghijklmnopqrstuvwxyz");
	return (unsigned)strtoul(device, NULL, 10);
}

static void kernel_take(struct grub *grub)
{
	struct menu *menu = grub->menu;
	const char *word = grub->word_count > 1 ? grub->words[1] : "",
	           *path = without_device(word);

	menu->partition = partition_of(grub, word);

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

/* "--name=value" or "--name value"; "": it is not there. */
static const char *option_find(const struct grub *grub, const char *name)
{
	size_t size = strlen(name);

	for (unsigned i = 1; i < grub->word_count; i++) {
		const char *word = grub->words[i];

		if (strncmp(word, name, size) != 0)
			continue;
		if (word[size] == '=')
			return word + size + 1;
		if (!word[size] && i + 1 < grub->word_count)
			return grub->words[i + 1];
	}
	return "";
}

static void entry_add(struct grub *grub)
{
	struct entry *entry = grub->entries + grub->entry_count;
	const char *id;

	if (grub->entry_count == ENTRIES)
		return;
	*entry = (struct entry){.title = "",
	        .id = "",
	        .body = grub->at,
	        .submenu = is_word(grub, 0, "submenu")};
	if (grub->word_count > 1)
		entry->title = keep(grub, grub->words[1], strlen(grub->words[1]));
	id = option_find(grub, "--id");
	entry->id = keep(grub, id, strlen(id));
	grub->entry_count++;
}

/* Fedora's: all of them, in their order. */
static void loader_entries_add(struct grub *grub)
{
	const struct menu_files *files = grub->config->files;
	char name[VOLUME_NAME];
	const char *text;

	if (!files)
		return;
	for (unsigned i = 0; grub->entry_count < ENTRIES &&
	                     (text = files->loader_entry(files->context, i, name));
	        i++) {
		grub->entries[grub->entry_count++] = (struct entry){
		        .title = "",
		        .id = keep(grub, name, strlen(name)),
		        .body = text,
		        .is_loader_entry = true,
		};
	}
}

static void function_add(struct grub *grub)
{
	struct function *function = grub->functions + grub->function_count;

	if (grub->word_count < 2 || grub->function_count == FUNCTIONS)
		return;
	function->name = keep(grub, grub->words[1], strlen(grub->words[1]));
	function->body = grub->at;
	grub->function_count++;
}

/* The last one of that name. */
static const struct function *function_find(const struct grub *grub, const char *name)
{
	for (unsigned i = grub->function_count; i--;)
		if (!strcmp(grub->functions[i].name, name))
			return grub->functions + i;
	return NULL;
}

static const char *run(struct grub *grub, const char *text);

/* What it was called with is $1, $2, ... */
static void function_call(struct grub *grub, const struct function *function)
{
	for (unsigned i = 1; i < 10; i++) {
		const char name[] = {(char)('0' + i), '\0'},
		           *value = i < grub->word_count ? grub->words[i] : "";

		if (*value || variable_find(grub, name, 1))
			variable_set(grub, name, 1, value, strlen(value));
	}
	run(grub, function->body);
}

/* Whether it succeeds. */
static bool source(struct grub *grub, const char *path)
{
	const char *text = file_text(grub, path);

	if (text)
		run(grub, text);
	return text;
}

static bool configuration_change(struct grub *grub, const char *path)
{
	const char *slash = strrchr(path, '/');

	grub->next = file_text(grub, path);
	if (grub->next && slash)
		variable_set(grub, "config_directory", strlen("config_directory"), path,
		        (size_t)(slash - path));
	return grub->next;
}

static void environment_load(struct grub *grub)
{
	const char *file = option_find(grub, "--file");
	char path[VOLUME_PATH];

	if (!*file)
		file = option_find(grub, "-f");
	if (*file)
		snprintf(path, sizeof(path), "%s", file);
	else
		snprintf(path, sizeof(path), "%s/grubenv",
		        variable_value(grub, "prefix", strlen("prefix")));
	environment_take(grub, path);
}

/* What is searched for is taken to be here, unless it is a file that is not. */
static bool search(struct grub *grub)
{
	const char *path = option_find(grub, "--file"),
	           *name = option_find(grub, "--set");
	struct node node;

	if (!*path)
		path = option_find(grub, "-f");
	if (*path == '/' && !file_find(grub, path, &node))
		return false;
	if (*name && *name != '-')
		variable_set(grub, name, strlen(name), "hd0", strlen("hd0"));
	return true;
}

static bool command_test(struct grub *grub)
{
	struct test test = {grub, grub->words + 1, grub->word_count - 1};

	return test_or(&test);
}

/* Whether it succeeds. */
static bool command_run(struct grub *grub, unsigned first)
{
	static const char *const kernels[] = {"linux", "linux16", "linuxefi"},
	                         *const initrds[] = {"initrd", "initrd16", "initrdefi"},
	                         *const sources[] = {"source", "."},
	                         *const configs[] = {"configfile", "normal"},
	                         *const tests[] = {"[", "test"},
	                         /* A key that is held, a bit that is set. */
	                                 *const failures[] = {
	                                         "false", "keystatus", "cmostest"};
	const struct function *function;
	const char *word;

	if (first >= grub->word_count)
		return true;
	word = grub->words[first];
	grub->word_count -= first;
	memmove(grub->words, grub->words + first,
	        grub->word_count * sizeof(grub->words[0]));
	function = function_find(grub, word);
	if (function)
		function_call(grub, function);
	else if (is_one_of(word, kernels, 3))
		kernel_take(grub);
	else if (is_one_of(word, initrds, 3))
		initrds_take(grub);
	else if (is_one_of(word, tests, 2))
		return command_test(grub);
	else if (is_one_of(word, failures, 3))
		return false;
	else if (!strcmp(word, "search"))
		return search(grub);
	else if (is_one_of(word, sources, 2) && grub->word_count > 1)
		return source(grub, grub->words[1]);
	else if (is_one_of(word, configs, 2) && grub->word_count > 1)
		return configuration_change(grub, grub->words[1]);
	else if (!strcmp(word, "load_env"))
		environment_load(grub);
	else if (!strcmp(word, "blscfg"))
		loader_entries_add(grub);
	else if (!strcmp(word, "return"))
		grub->stops = true;
	else if (!strcmp(word, "unset") && grub->word_count > 1)
		variable_set(grub, grub->words[1], strlen(grub->words[1]), "", 0);
	else if (!strcmp(word, "set") && grub->word_count > 1)
		assign(grub, grub->words[1], strlen(grub->words[1]));
	else if (grub->word_count == 1)
		assign(grub, word, strlen(word));
	return true;
}

/* Of if: a test, or another command. */
static bool condition(struct grub *grub, unsigned first)
{
	bool wanted = true;

	for (; is_word(grub, first, "!"); first++)
		wanted = !wanted;
	return command_run(grub, first) == wanted;
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

/* Whether another branch of this block may run. */
static bool branch_may(const struct grub *grub)
{
	const struct block *block = grub->blocks + grub->depth;

	return grub->depth > grub->base && block[-1].runs && !block->ran;
}

/* What follows may run unless something before did. */
static void branch_enter(struct grub *grub, bool holds)
{
	struct block *block = grub->blocks + grub->depth;

	if (grub->depth == grub->base)
		return;
	block->runs = block[-1].runs && !block->ran && holds;
	block->ran |= block->runs;
}

/* "for NAME in WORDS; do ...; done" */
static void loop_run(struct grub *grub, unsigned first)
{
	const char *body = grub->at, *name, *values[WORDS];
	unsigned count = 0;

	if (grub->word_count < first + 4 || !is_word(grub, first + 2, "in")) {
		block_enter(grub, false);
		return;
	}
	name = keep(grub, grub->words[first + 1], strlen(grub->words[first + 1]));
	for (unsigned i = first + 3; i < grub->word_count; i++)
		values[count++] = keep(grub, grub->words[i], strlen(grub->words[i]));
	for (unsigned i = 0; i < count && !grub->full && !grub->next; i++) {
		variable_set(grub, name, strlen(name), values[i], strlen(values[i]));
		grub->at = run(grub, body);
	}
}

static void statement_run(struct grub *grub)
{
	unsigned first = 0;
	bool runs;

	/* What may stand before a command on its line. */
	while (is_word(grub, first, "then") || is_word(grub, first, "do") ||
	        is_word(grub, first, "else")) {
		if (is_word(grub, first, "else"))
			branch_enter(grub, true);
		first++;
	}
	runs = grub->blocks[grub->depth].runs;
	if (is_word(grub, first, "if")) {
		block_enter(grub, runs && condition(grub, first + 1));
	} else if (is_word(grub, first, "elif")) {
		branch_enter(grub, branch_may(grub) && condition(grub, first + 1));
	} else if (is_word(grub, first, "for") && runs) {
		loop_run(grub, first);
	} else if (is_word(grub, first, "for") || is_word(grub, first, "while") ||
	           is_word(grub, first, "until")) {
		block_enter(grub, false);
	} else if (is_word(grub, first, "fi") || is_word(grub, first, "done")) {
		if (grub->depth > grub->base)
			grub->depth--;
		else
			grub->stops = is_word(grub, first, "done");
	} else if (runs) {
		command_run(grub, first);
	}
}

/* At "{": what it is of. */
static void braces_run(struct grub *grub)
{
	if (grub->blocks[grub->depth].runs) {
		if (is_word(grub, 0, "menuentry") || is_word(grub, 0, "submenu"))
			entry_add(grub);
		else if (is_word(grub, 0, "function"))
			function_add(grub);
	}
	braces_skip(grub);
}

/* The whole text, an entry or function up to its "}", or a loop to its `done`: the end. */
static const char *run(struct grub *grub, const char *text)
{
	const char *at = grub->at, *end;
	unsigned base = grub->base, depth = grub->depth;
	char stop = '\n';

	if (grub->runs == RUNS || depth + 1 == BLOCKS) {
		grub->full = true;
		return at;
	}
	grub->runs++;
	grub->at = text;
	grub->base = ++grub->depth;
	grub->blocks[grub->depth] = (struct block){true, true};
	while (stop && stop != '}' && !grub->full && !grub->stops && !grub->next) {
		stop = statement_read(grub);
		if (stop == '{')
			braces_run(grub);
		else
			statement_run(grub);
	}
	grub->stops = false;
	grub->runs--;
	grub->base = base;
	grub->depth = depth;
	end = grub->at;
	grub->at = at;
	return end;
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

static void menu_boot(
        struct grub *grub, const char *text, const char *wanted, unsigned menus);

/* By the configuration that this one goes on with. */
static void next_boot(struct grub *grub, unsigned menus)
{
	const char *next = grub->next;

	grub->next = NULL;
	menu_boot(grub, next, NULL, menus + 1);
}

static const char *variable_get(void *context, const char *name, size_t size)
{
	return variable_value(context, name, size);
}

static void loader_entry_boot(struct grub *grub, const char *text)
{
	const struct menu_text config = {
	        .text = text, .variable = variable_get, .variables = grub};

	grub->menu->initrd_count = 0;
	grub->menu->cmdline[0] = '\0';
	grub->full = menu_loader_entry(&config, grub->menu) == -E2BIG;
}

static void entry_boot(struct grub *grub, const struct entry *entry, const char *wanted,
        unsigned menus)
{
	if (entry->is_loader_entry) {
		loader_entry_boot(grub, entry->body);
	} else if (entry->submenu) {
		menu_boot(grub, entry->body, wanted, menus + 1);
	} else {
		run(grub, entry->body);
		if (grub->next)
			next_boot(grub, menus);
	}
}

/* `wanted` is "1", "id", "title" or such with what is meant in the submenu, "1>title". */
static void menu_boot(
        struct grub *grub, const char *text, const char *wanted, unsigned menus)
{
	unsigned first = grub->entry_count, last, chosen;
	size_t size;

	if (menus == MENUS)
		return;
	run(grub, text);
	last = grub->entry_count;
	if (grub->next) {
		next_boot(grub, menus);
		if (*grub->menu->kernel)
			return;
	}
	if (first == last)
		return;
	if (!wanted)
		wanted = variable_value(grub, "default", strlen("default"));
	size = strcspn(wanted, ">");
	chosen = entry_find(grub, first, wanted, size);
	wanted += size + (wanted[size] == '>');
	grub->menu->kernel[0] = '\0';
	/* The chosen one, and then all of them, until a kernel is found. */
	for (unsigned i = first; i <= last && !grub->full; i++) {
		entry_boot(grub, grub->entries + (i == first ? chosen : i - 1),
		        i == first ? wanted : "", menus);
		if (*grub->menu->kernel)
			return;
	}
}

int menu_grub(const struct menu_text *config, struct menu *menu)
{
	/* Ubuntu's would first try without an initrd, and again with one if that fails. */
	static const char *const defaults[] = {"grub_platform=efi", "initrdfail=1",
	        "root=hd0"},
	                         *const directories[] = {"prefix", "config_directory"};
	struct grub *grub =
	        &(struct grub){.config = config, .menu = menu, .left = WORK};
	const char *slash = strrchr(config->path, '/');

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		assign(grub, defaults[i], strlen(defaults[i]));
	for (size_t i = 0; slash && i < sizeof(directories) / sizeof(directories[0]);
	        i++)
		variable_set(grub, directories[i], strlen(directories[i]), config->path,
		        (size_t)(slash - config->path));
	menu_boot(grub, config->text, NULL, 0);
	if (grub->full)
		return -E2BIG;
	return *menu->kernel ? 0 : -ENOMSG;
}
