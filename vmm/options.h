/*
 * Settings as people write them, from text to a member of a plain struct.
 *
 * A table of struct option describes a struct: what each member is called, what it takes
 * and where it lies. The same table serves the command line, the --config file, `--help`
 * and lists such as "PATH,ro,id=NAME"; a device may bring one of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values. -EINVAL for what is no such thing, -ERANGE for one that does not fit. */
int number_parse(const char *text, uint64_t *value);
/* Bytes: a number with K, M, G or T (powers of 1024); without a unit it counts MiB. */
int size_parse(const char *text, uint64_t *bytes);
/* Nanoseconds: a number with ms, s, m or h; without a unit it counts seconds. */
int duration_parse(const char *text, uint64_t *duration_ns);
/* An interface's: "02:00:5e:10:00:01", but no group's and not all zeroes. */
int mac_parse(const char *text, uint8_t mac[6]);
enum { MAC_TEXT = 18 };
void mac_format(const uint8_t mac[6], char text[MAC_TEXT]);
/* "[ADDR:]HOST:GUEST[/tcp|/udp]"; ADDR is IPv4, 127.0.0.1 by default. */
struct publish_config;
int publish_parse(const char *text, struct publish_config *publish);

struct option {
	const char *name; /* "cpus": --cpus, cpus=, "cpus": in JSON */
	const char
	        *value; /* as help shows it; NULL: a switch; "[=X]": may be left out */
	const char *help;    /* what it does and its default, for people */
	const char *expects; /* for errors: "'5X' is not EXPECTS" */
	const char *group;   /* starts a group of this title in the help, or NULL */

	/* Stores what `text` (NULL where none is needed and given) means in `target`, or
	 * returns -Exxx and leaves it alone. Keeps no copy: a text outlives its target. */
	int (*parse)(const struct option *option, const char *text, void *target);
	size_t offset; /* of the member in its struct */
	size_t size;   /* of the member, or of one element where `limit` is set */
	uint64_t min, max;
	const char *const *choices; /* NULL-terminated; the member becomes the index */

	/* An array of up to `limit` elements, with an unsigned count at `count_offset`. */
	unsigned limit;
	size_t count_offset;

	/* Each element is a struct, written as a list or an object of these options. */
	const struct option *fields;
	bool first;        /* a field: the first item of a list is its value, whole */
	bool command_line; /* has no place in a file */
};

#define OPTION_MEMBER(type, member) \
	.offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define OPTION_ARRAY(type, array, count, most)                                  \
	.offset = offsetof(type, array), .size = sizeof(((type *)0)->array[0]), \
	.count_offset = offsetof(type, count), .limit = (most)

/* For .parse. */
int option_switch(const struct option *option, const char *text, void *target);
int option_text(const struct option *option, const char *text, void *target);
int option_number(const struct option *option, const char *text, void *target);
int option_size(const struct option *option, const char *text, void *target);
int option_duration(const struct option *option, const char *text, void *target);
int option_choice(const struct option *option, const char *text, void *target);

bool option_needs_value(const struct option *option);
bool option_may_have_value(const struct option *option);

/* Option `name` (`size` bytes) of a table that ends with a NULL name; or NULL. */
const struct option *option_find(
        const struct option *table, const char *name, size_t size);
/* The name that was probably meant, of a table; NULL if none is near. */
const char *option_nearest(const struct option *table, const char *name, size_t size);
/* How many letters are wrong, missing, too many or swapped with their neighbour. */
unsigned option_distance(const char *from, size_t from_size, const char *to);

/*
 * One value for `option` of `target`: the next element if it is an array. Names the place
 * (`where`: "--cpus", "vm.json: cpus") in what it logs. `text` of an option with fields
 * is cut into pieces, and all texts must live as long as the target.
 */
int option_set(
        const struct option *option, void *target, const char *where, char *text);

/* The element that is next in an array, zeroed; NULL (logged) if it is full. It counts
 * once option_commit() was called. For an option without array: the target. */
void *option_element(const struct option *option, void *target, const char *where);
void option_commit(const struct option *option, void *target);
/* Forgets all elements of an array. */
void option_clear(const struct option *option, void *target);
