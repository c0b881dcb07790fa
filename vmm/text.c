#include "vmm/text.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 79 };

void text_print_wrapped(const char *text, int indent, int column)
{
	while (*text) {
		int size = (int)strcspn(text, " ");

		if (column > indent && column + 1 + size > WIDTH) {
			putchar('\n');
			column = 0;
		}
		if (column < indent)
			printf("%*s", indent - column, "");
		else if (column > indent)
			putchar(' ');
		column = (column < indent ? indent : column + (column > indent)) + size;
		printf("%.*s", size, text);
		text += size;
		text += strspn(text, " ");
	}
	putchar('\n');
}
