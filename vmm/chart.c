#include "vmm/chart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/log.h"

enum { WIDTH = 760, ROW = 22, LABEL = 170, BAR = 480, TOP = 34, NOTE = 18 };

/* Text in XML; what XML 1.0 (2.2) does not allow becomes a question mark. */
static void put_text(FILE *file, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<':
			fputs("&lt;", file);
			break;
		case '&':
			fputs("&amp;", file);
			break;
		default:
			fputc((unsigned char)*text < ' ' ? '?' : *text, file);
		}
}

static void put_label(FILE *file, unsigned x, unsigned y, const char *text)
{
	fprintf(file, "<text x='%u' y='%u'>", x, y);
	put_text(file, text);
	fputs("</text>\n", file);
}

static void put_rect(FILE *file, double from, double to, unsigned y, const char *fill,
        double opacity)
{
	fprintf(file,
	        "<rect x='%.1f' y='%u' width='%.1f' height='16' fill='%s' "
	        "opacity='%.2f'/>\n",
	        from, y, to - from < 1 ? 1 : to - from, fill, opacity);
}

static double bar_end(const struct chart_bar *bar)
{
	double end = bar->rest > bar->to ? bar->rest : bar->to;

	return bar->high > end ? bar->high : end;
}

static void put_bar(
        FILE *file, const struct chart_bar *bar, unsigned y, double scale, double end)
{
	const char *fill = bar->accent ? "#e08a1e" : "#2b6cb0";
	char figure[32];

	put_label(file, 10, y + 13, bar->label);
	if (bar->rest > bar->to)
		put_rect(file, LABEL + bar->to * scale, LABEL + bar->rest * scale, y,
		        fill, 0.45);
	put_rect(file, LABEL + bar->from * scale, LABEL + bar->to * scale, y, fill, 1);
	if (bar->high > bar->low)
		fprintf(file,
		        "<path d='M%.1f %uh%.1f' stroke='black' stroke-width='1'/>\n",
		        LABEL + bar->low * scale, y + 8,
		        (bar->high - bar->low) * scale);
	snprintf(figure, sizeof(figure), "%.3f", bar->figure);
	put_label(file, LABEL + (unsigned)(end * scale) + 10, y + 13, figure);
}

int chart_write(const struct chart *chart, const char *path, const char *option)
{
	unsigned top = TOP + (chart->note ? NOTE : 0);
	FILE *file = fopen(path, "we");
	double end = 0;
	bool failed;

	if (!file)
		return log_error(-errno, "%s: cannot write '%s': %s", option, path,
		        strerror(errno));
	for (unsigned i = 0; i < chart->count; i++)
		if (bar_end(&chart->bars[i]) > end)
			end = bar_end(&chart->bars[i]);
	fprintf(file,
	        "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%u' "
	        "font-family='sans-serif' font-size='13'>\n"
	        "<rect width='100%%' height='100%%' fill='white'/>\n",
	        WIDTH, top + ROW * chart->count + 10);
	put_label(file, 10, 20, chart->title);
	if (chart->note)
		put_label(file, 10, 20 + NOTE, chart->note);
	for (unsigned i = 0; i < chart->count; i++)
		put_bar(file, &chart->bars[i], top + ROW * i, end > 0 ? BAR / end : 0,
		        end);
	fputs("</svg>\n", file);
	failed = ferror(file);
	if (fclose(file) || failed)
		return log_error(-EIO, "%s: cannot write '%s'", option, path);
	return 0;
}
