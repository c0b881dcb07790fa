#include "vmm/options.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "vmm/config.h"
#include "vmm/log.h"

enum { NAME_MAX_SIZE = 40 };

/* Decimal digits at *text, which then points behind them. No sign, no space, no hex. */
static int digits_parse(const char **text, uint64_t *value)
{
	const char *at = *text;
	uint64_t sum = 0;
	int error = 0;

	if (*at < '0' || *at > '9')
		return -EINVAL;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		        __builtin_add_overflow(sum, (uint64_t)(*at - '0'), &sum))
			error = -ERANGE;
	*text = at;
	if (!error)
		*value = sum;
	return error;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int scaled_parse(const char *text, const struct unit *units, uint64_t *value)
{
	uint64_t number = 0, scaled;
	int error = digits_parse(&text, &number);

	if (error == -EINVAL)
		return error;
	for (; units->name; units++)
		if (strcmp(text, units->name) == 0) {
			if (error ||
			        __builtin_mul_overflow(number, units->factor, &scaled))
				return -ERANGE;
			*value = scaled;
			return 0;
		}
	return -EINVAL;
}

int number_parse(const char *text, uint64_t *value)
{
	return scaled_parse(text, (const struct unit[]){{"", 1}, {0}}, value);
}

int size_parse(const char *text, uint64_t *bytes)
{
	static const struct unit units[] = {
	        {"", UINT64_C(1) << 20},
	        {"K", UINT64_C(1) << 10},
	        {"k", UINT64_C(1) << 10},
	        {"M", UINT64_C(1) << 20},
	        {"m", UINT64_C(1) << 20},
	        {"G", UINT64_C(1) << 30},
	        {"g", UINT64_C(1) << 30},
	        {"T", UINT64_C(1) << 40},
	        {"t", UINT64_C(1) << 40},
	        {0},
	};
	return scaled_parse(text, units, bytes);
}

int duration_parse(const char *text, uint64_t *duration_ns)
{
	static const struct unit units[] = {
	        {"", UINT64_C(1000000000)},
	        {"ms", UINT64_C(1000000)},
	        {"s", UINT64_C(1000000000)},
	        {"m", UINT64_C(60000000000)},
	        {"h", UINT64_C(3600000000000)},
	        {0},
	};
	return scaled_parse(text, units, duration_ns);
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

int mac_parse(const char *text, uint8_t mac[6])
{
	uint8_t bytes[6];

	for (unsigned i = 0; i < 6; i++, text += 3) {
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0 || text[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	/* IEEE 802: bit 0 of the first byte marks a group. */
	if (bytes[0] & 1 || memcmp(bytes, (uint8_t[6]){0}, 6) == 0)
		return -EINVAL;
	memcpy(mac, bytes, sizeof(bytes));
	return 0;
}

void mac_format(const uint8_t mac[6], char text[MAC_TEXT])
{
	snprintf(text, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
	        mac[2], mac[3], mac[4], mac[5]);
}

/* An IPv4 address in four decimal parts; host byte order. */
static int ipv4_parse(const char **text, uint32_t *address)
{
	const char *at = *text;
	uint32_t sum = 0;

	for (unsigned i = 0; i < 4; i++) {
		uint64_t part;

		if (i && *at++ != '.')
			return -EINVAL;
		if (digits_parse(&at, &part) || part > 255)
			return -EINVAL;
		sum = sum << 8 | (uint32_t)part;
	}
	*text = at;
	*address = sum;
	return 0;
}

static int port_parse(const char **text, uint16_t *port)
{
	uint64_t number;
	int error = digits_parse(text, &number);

	if (error)
		return error;
	if (!number || number > UINT16_MAX)
		return -ERANGE;
	*port = (uint16_t)number;
	return 0;
}

int publish_parse(const char *text, struct publish_config *publish)
{
	struct publish_config parsed = {.address = 0x7f000001};
	int error;

	if (ipv4_parse(&text, &parsed.address) == 0 && *text++ != ':')
		return -EINVAL;
	error = port_parse(&text, &parsed.host);
	if (error)
		return error;
	if (*text++ != ':')
		return -EINVAL;
	error = port_parse(&text, &parsed.guest);
	if (error)
		return error;
	parsed.udp = strcmp(text, "/udp") == 0;
	if (*text && !parsed.udp && strcmp(text, "/tcp") != 0)
		return -EINVAL;
	*publish = parsed;
	return 0;
}

/* Members are bool, unsigned, an enum or uint64_t. */
static void integer_store(const struct option *option, void *target, uint64_t value)
{
	void *member = (char *)target + option->offset;

	assert(option->size == 1 || option->size == 4 || option->size == 8);
	if (option->size == 1)
		*(bool *)member = value;
	else if (option->size == 4)
		memcpy(member, &(uint32_t){(uint32_t)value}, 4);
	else
		memcpy(member, &value, 8);
}

int option_switch(const struct option *option, const char *text, void *target)
{
	bool off = text && strcmp(text, "off") == 0;

	if (text && !off && strcmp(text, "on") != 0)
		return -EINVAL;
	integer_store(option, target, !off);
	return 0;
}

int option_text(const struct option *option, const char *text, void *target)
{
	size_t size = strlen(text);

	if (size < option->min || (option->max && size > option->max))
		return -ERANGE;
	memcpy((char *)target + option->offset, &text, sizeof(text));
	return 0;
}

static int integer_set(
        const struct option *option, int error, uint64_t value, void *target)
{
	if (error)
		return error;
	if (value < option->min || value > option->max)
		return -ERANGE;
	integer_store(option, target, value);
	return 0;
}

int option_number(const struct option *option, const char *text, void *target)
{
	uint64_t value = 0;
	int error = number_parse(text, &value);

	return integer_set(option, error, value, target);
}

int option_size(const struct option *option, const char *text, void *target)
{
	uint64_t bytes = 0;
	int error = size_parse(text, &bytes);

	return integer_set(option, error, bytes, target);
}

int option_duration(const struct option *option, const char *text, void *target)
{
	uint64_t duration_ns = 0;
	int error = duration_parse(text, &duration_ns);

	return integer_set(option, error, duration_ns, target);
}

int option_choice(const struct option *option, const char *text, void *target)
{
	for (unsigned i = 0; option->choices[i]; i++)
		if (strcmp(text, option->choices[i]) == 0) {
			integer_store(option, target, i);
			return 0;
		}
	return -EINVAL;
}

bool option_needs_value(const struct option *option)
{
	return option->value && strncmp(option->value, "[=", 2) != 0;
}

bool option_may_have_value(const struct option *option)
{
	return option->value || option->parse == option_switch;
}

const struct option *option_find(
        const struct option *table, const char *name, size_t size)
{
	for (; table->name; table++)
		if (strlen(table->name) == size && memcmp(table->name, name, size) == 0)
			return table;
	return NULL;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's distance, neighbours that changed places being one change. */
unsigned option_distance(const char *from, size_t from_size, const char *to)
{
	unsigned rows[3][NAME_MAX_SIZE + 1];
	size_t to_size = strlen(to);

	if (from_size > NAME_MAX_SIZE || to_size > NAME_MAX_SIZE)
		return UINT_MAX;
	for (unsigned x = 0; x <= to_size; x++)
		rows[0][x] = x;
	for (unsigned y = 1; y <= from_size; y++) {
		unsigned *row = rows[y % 3];
		const unsigned *above = rows[(y - 1) % 3], *twice = rows[(y + 1) % 3];

		row[0] = y;
		for (unsigned x = 1; x <= to_size; x++) {
			row[x] = min3(above[x] + 1, row[x - 1] + 1,
			        above[x - 1] + (from[y - 1] != to[x - 1]));
			if (y > 1 && x > 1 && from[y - 1] == to[x - 2] &&
			        from[y - 2] == to[x - 1] && twice[x - 2] + 1 < row[x])
				row[x] = twice[x - 2] + 1;
		}
	}
	return rows[from_size % 3][to_size];
}

/* Whether one is the beginning of the other: "memory" and "mem", "time" and "timeline". */
static bool begins(const char *name, size_t size, const char *other)
{
	size_t other_size = strlen(other);
	size_t shorter = size < other_size ? size : other_size;

	return shorter >= 3 && memcmp(name, other, shorter) == 0;
}

const char *option_nearest(const struct option *table, const char *name, size_t size)
{
	/* Up to a third of the letters wrong: more would be guessing. */
	unsigned best = (unsigned)(size < 3 ? 1 : size / 3);
	const char *nearest = NULL, *beginning = NULL;

	if (!size)
		return NULL;
	for (; table->name; table++) {
		unsigned distance = option_distance(name, size, table->name);

		if (distance <= best && (!nearest || distance < best)) {
			best = distance;
			nearest = table->name;
		}
		if (!beginning && begins(name, size, table->name))
			beginning = table->name;
	}
	return nearest ? nearest : beginning;
}

static unsigned *array_count(const struct option *option, void *target)
{
	return (unsigned *)(void *)((char *)target + option->count_offset);
}

void *option_element(const struct option *option, void *target, const char *where)
{
	char *array = (char *)target + option->offset;
	unsigned count;

	if (!option->limit)
		return target;
	count = *array_count(option, target);
	if (count >= option->limit) {
		log_error(
		        -EINVAL, "%s: given more than %u times", where, option->limit);
		return NULL;
	}
	return memset(array + count * option->size, 0, option->size);
}

void option_commit(const struct option *option, void *target)
{
	if (option->limit)
		++*array_count(option, target);
}

void option_clear(const struct option *option, void *target)
{
	if (option->limit)
		*array_count(option, target) = 0;
}

/* Cuts the next item off `rest`; a doubled comma stands for one that is part of it. */
static char *item_next(char **rest)
{
	char *item = *rest, *to = item, *from = item;

	for (; *from && (*from != ',' || from[1] == ','); from++) {
		if (*from == ',')
			from++;
		*to++ = *from;
	}
	*rest = *from ? from + 1 : NULL;
	*to = '\0';
	return item;
}

static int item_unknown(
        const struct option *fields, const char *where, const char *item, size_t size)
{
	const char *nearest = option_nearest(fields, item, size);

	if (size == 0)
		return log_error(-EINVAL, "%s: an item is empty", where);
	if (nearest)
		return log_error(-EINVAL, "%s: unknown '%s', did you mean '%s'?", where,
		        item, nearest);
	return log_error(-EINVAL, "%s: unknown '%s' (a comma inside a name is doubled)",
	        where, item);
}

static int list_set(
        const struct option *fields, void *element, const char *where, char *text)
{
	uint64_t seen = 0;
	bool first = true;

	for (char *rest = text; rest; first = false) {
		char *item = item_next(&rest);
		size_t size = strcspn(item, "=");
		char *value = item[size] ? item + size + 1 : NULL;
		const struct option *field;
		char inner[NAME_MAX_SIZE + 200];
		int error;

		if (first && fields->first) {
			field = fields;
			value = item;
		} else {
			field = option_find(fields, item, size);
			if (!field || field->first)
				return item_unknown(fields, where, item, size);
		}
		if (!field->limit && (seen & UINT64_C(1) << (field - fields)))
			return log_error(
			        -EINVAL, "%s: '%s' is given twice", where, field->name);
		seen |= UINT64_C(1) << (field - fields);
		snprintf(inner, sizeof(inner), "%s%s%s", where,
		        field->first ? "" : ": ", field->first ? "" : field->name);
		error = option_set(field, element, inner, value);
		if (error)
			return error;
	}
	return 0;
}

int option_set(const struct option *option, void *target, const char *where, char *text)
{
	char *element = option_element(option, target, where);
	int error;

	if (!element)
		return -EINVAL;
	if (!text && option_needs_value(option))
		return log_error(
		        -EINVAL, "%s: needs a value: %s", where, option->value);
	if (text && !option_may_have_value(option))
		return log_error(-EINVAL, "%s: takes no value", where);
	if (option->fields) {
		error = list_set(option->fields, element, where, text);
		if (error)
			return error;
	} else {
		/* parse() adds the member's offset to what it is given. */
		error = option->parse(option, text,
		        option->limit ? element - option->offset : target);
		if (error)
			return log_error(-EINVAL, "%s: '%.80s%s' is not %s", where,
			        text ? text : "",
			        text && strlen(text) > 80 ? "..." : "",
			        option->expects ? option->expects : "'on' or 'off'");
	}
	option_commit(option, target);
	return 0;
}
