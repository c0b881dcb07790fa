#include "vmm/json.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 sequence at `text` (RFC 3629, 4), or 0 if there is none. */
static unsigned utf8_size(const unsigned char *text)
{
	/* Lead bytes from .. to, and the range of the byte behind: it rules out overlong
	 * forms, surrogates and what lies past U+10FFFF. */
	static const struct {
		unsigned char from, to, low, high;
		unsigned char size;
	} rows[] = {
	        {0x00, 0x7f, 0x00, 0xff, 1},
	        {0xc2, 0xdf, 0x80, 0xbf, 2},
	        {0xe0, 0xe0, 0xa0, 0xbf, 3},
	        {0xe1, 0xec, 0x80, 0xbf, 3},
	        {0xed, 0xed, 0x80, 0x9f, 3},
	        {0xee, 0xef, 0x80, 0xbf, 3},
	        {0xf0, 0xf0, 0x90, 0xbf, 4},
	        {0xf1, 0xf3, 0x80, 0xbf, 4},
	        {0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (text[0] < rows[i].from || text[0] > rows[i].to)
			continue;
		if (rows[i].size > 1 &&
		        (text[1] < rows[i].low || text[1] > rows[i].high))
			return 0;
		/* A NUL ends the string and is no continuation: never read past it. */
		for (unsigned j = 2; j < rows[i].size; j++)
			if ((text[j] & 0xc0) != 0x80)
				return 0;
		return rows[i].size;
	}
	return 0;
}

void json_put_string(FILE *file, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	if (!text) {
		fputs("null", file);
		return;
	}
	putc('"', file);
	while (*at) {
		unsigned size = utf8_size(at);

		if (!size)
			fputs("\\ufffd", file);
		else if (*at == '"' || *at == '\\')
			fprintf(file, "\\%c", *at);
		else if (*at < ' ' || *at == 0x7f)
			fprintf(file, "\\u%04x", *at);
		else
			fwrite(at, 1, size, file);
		at += size ? size : 1;
	}
	putc('"', file);
}
