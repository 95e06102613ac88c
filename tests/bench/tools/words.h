/* The words of a command of load.c: NAME KEY=VALUE .., with a tab between. They point into the line.
 */
#pragma once
#include <stdlib.h>
#include <string.h>

static char *words[64];
static int word_count;

static void words_split(char *line)
{
	word_count = 0;
	for (char *p = strtok(line, "\t"); p && word_count < 64; p = strtok(NULL, "\t"))
		words[word_count++] = p;
}

static const char *word(const char *name, const char *other)
{
	size_t len = strlen(name);

	for (int i = 1; i < word_count; i++)
		if (!strncmp(words[i], name, len) && words[i][len] == '=')
			return words[i] + len + 1;
	return other;
}

static double number(const char *name, double other)
{
	const char *text = word(name, NULL);

	return text ? strtod(text, NULL) : other;
}

/* \r and \n are written as such. */
static void take(char *to, size_t room, const char *name)
{
	size_t len = 0;

	for (const char *p = word(name, ""); *p && len + 1 < room; p++) {
		if (*p == '\\' && (p[1] == 'r' || p[1] == 'n'))
			to[len++] = *++p == 'r' ? '\r' : '\n';
		else
			to[len++] = *p;
	}
	to[len] = 0;
}
