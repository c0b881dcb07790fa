/* Text for a terminal of 80 columns. */
#pragma once

/*
 * Prints words in lines that begin at column `indent` and end before the 80th; `column` is
 * where stdout is. Ends with a newline.
 */
void text_print_wrapped(const char *text, int indent, int column);
