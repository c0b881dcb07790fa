#include "guest.h"

#include <stdarg.h>

static void print_number(unsigned long number, unsigned base)
{
	char digits[20];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	while (n)
		console_put(digits[--n]);
}

static void print_string(const char *text)
{
	while (*text)
		console_put(*text++);
}

void print(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	for (; *format; format++) {
		if (*format != '%') {
			console_put(*format);
			continue;
		}

		bool is_long = *++format == 'l';
		unsigned long number;

		if (is_long)
			format++;
		switch (*format) {
		case 's':
			print_string(va_arg(values, const char *));
			break;
		case 'c':
			console_put((char)va_arg(values, int));
			break;
		case 'd':
			number = is_long ? va_arg(values, unsigned long)
			                 : (unsigned long)va_arg(values, int);
			if ((long)number < 0) {
				console_put('-');
				number = -number;
			}
			print_number(number, 10);
			break;
		default:
			number = is_long ? va_arg(values, unsigned long)
			                 : va_arg(values, unsigned);
			print_number(number, *format == 'x' ? 16 : 10);
		}
	}
	va_end(values);
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
