/* «Did you mean»: edit distance (optimal string alignment: insert, delete, replace, swap
 * neighbours) between two names.
 *
 * Three rows of the classic table are enough. Bytes are compared, not characters: a mistyped accent
 * counts as one or two edits, which is near enough. Names longer than a database allows are never
 * near anything, which bounds the work.
 */
#include <string.h>

#include "rules/names.h"

#define NAME_MAX_BYTES 256

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t edits(const char *a, size_t alen, const char *b, size_t blen)
{
	size_t rows[3][NAME_MAX_BYTES + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= blen; j++)
		above[j] = j;
	for (size_t i = 1; i <= alen; i++) {
		size_t *spare = before;

		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			size_t differs = fold(a[i - 1]) != fold(b[j - 1]);

			row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + differs);
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
				fold(a[i - 2]) == fold(b[j - 1]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = spare;
	}
	return above[blen];
}

size_t name_distance(const char *a, const char *b, size_t limit)
{
	size_t alen = strlen(a), blen = strlen(b);

	if (alen > NAME_MAX_BYTES || blen > NAME_MAX_BYTES || alen > blen + limit ||
		blen > alen + limit)
		return limit + 1;
	return least(edits(a, alen, b, blen), limit + 1);
}

size_t name_distance_limit(const char *a, const char *b)
{
	size_t alen = strlen(a), blen = strlen(b);
	size_t len = alen > blen ? alen : blen;

	return len < 3 ? 0 : len < 5 ? 1 : 2;
}

const char *closest_name(const char *text, const char *const *names, size_t count)
{
	const char *best = NULL;
	size_t best_distance = 0;

	for (size_t i = 0; i < count; i++) {
		size_t limit = name_distance_limit(text, names[i]);
		size_t distance = name_distance(text, names[i], limit);

		if (distance <= limit && (!best || distance < best_distance)) {
			best = names[i];
			best_distance = distance;
		}
	}
	return best;
}
