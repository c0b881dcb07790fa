#include "guest.h"

#include <stdarg.h>

/* What print() has put together: a console takes a text sooner than its letters. */
struct line {
	char text[128];
	size_t used;
};

static void line_flush(struct line *line)
{
	console_write(line->text, line->used);
	line->used = 0;
}

static void line_put(struct line *line, char c)
{
	line->text[line->used++] = c;
	if (line->used == sizeof(line->text))
		line_flush(line);
}

static void line_number(struct line *line, unsigned long number, unsigned base)
{
	char digits[20];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	while (n)
		line_put(line, digits[--n]);
}

static void line_string(struct line *line, const char *text)
{
	while (*text)
		line_put(line, *text++);
}

static void line_format(struct line *line, const char *format, va_list values)
{
	for (; *format; format++) {
		if (*format != '%') {
			line_put(line, *format);
			continue;
		}

		bool is_long = *++format == 'l';
		unsigned long number;

		if (is_long)
			format++;
		switch (*format) {
		case 's':
			line_string(line, va_arg(values, const char *));
			break;
		case 'c':
			line_put(line, (char)va_arg(values, int));
			break;
		case 'd':
			number = is_long ? va_arg(values, unsigned long)
			                 : (unsigned long)va_arg(values, int);
			if ((long)number < 0) {
				line_put(line, '-');
				number = -number;
			}
			line_number(line, number, 10);
			break;
		default:
			number = is_long ? va_arg(values, unsigned long)
			                 : va_arg(values, unsigned);
			line_number(line, number, *format == 'x' ? 16 : 10);
		}
	}
}

void print(const char *format, ...)
{
	struct line line;
	va_list values;

	line.used = 0;
	va_start(values, format);
	line_format(&line, format, values);
	va_end(values);
	if (line.used)
		line_flush(&line);
}

static bool word_ends(char c)
{
	return c == '\0' || c == ' ' || c == '\n';
}

const char *option_find(const char *from, const char *name)
{
	const char *at = from;

	while (*at) {
		const char *n = name;
		bool starts = at == command_line || word_ends(at[-1]);

		if (!starts) {
			at++;
			continue;
		}
		while (*n && *at == *n)
			at++, n++;
		if (!*n && *at == '=')
			return at + 1;
		if (n == name)
			at++;
	}
	return NULL;
}

uint64_t option_number(const char *name, uint64_t otherwise)
{
	const char *text = option_find(command_line, name);

	return text ? number_parse(text, &text) : otherwise;
}

bool option_is(const char *text, const char *word)
{
	while (*word && *text == *word)
		text++, word++;
	return !*word && word_ends(*text);
}

uint64_t number_parse(const char *text, const char **end)
{
	unsigned base = 10;
	uint64_t number = 0;

	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	}
	for (;; text++) {
		unsigned digit = (unsigned)(*text - '0');

		if (digit > 9)
			digit = (unsigned)((*text | 0x20) - 'a') + 10;
		if (digit >= base || (digit > 9 && (*text | 0x20) < 'a'))
			break;
		number = number * base + digit;
	}
	*end = text;
	return number;
}
