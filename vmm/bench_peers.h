/*
 * The candidates, as commands. A command is cut at blanks; then {names} in its words are
 * filled in, so that a path with a blank stays one word. A name without a value says what
 * the candidate lacks.
 */
#pragma once

#include <stddef.h>

enum { WORDS_MAX = 48, WORDS_SIZE = 8192 };

struct peer {
	const char *name;
	const char *hello; /* commands; NULL: it cannot do this task */
	const char *http;
	const char *
	        cleanup; /* after it was killed, or NULL; its program is the command's */
	int status;      /* what it ends with after hello */
};

/* Ends with a NULL name. */
extern const struct peer peer_table[];

struct place {
	const char *name;
	const char *value;   /* NULL: there is none */
	const char *missing; /* and why */
};

struct words {
	char *argv[WORDS_MAX + 1];
	char text[WORDS_SIZE];
};

/* `places` ends with a NULL name. -ENOENT (`why`): a place without a value; -EINVAL
 * (`why`): an unknown one, too many words, or none. */
int words_make(struct words *words, const char *command, const struct place *places,
        const char **why);

/* The program `name`, along the PATH unless there is a slash in it; 0 or -ENOENT. */
int program_find(const char *name, char *path, size_t size);
