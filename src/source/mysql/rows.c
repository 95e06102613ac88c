/* What the server knows of many tables is asked in one statement, for a question costs it most of a millisecond and a thousand tables
 * had thousands of them. The answer is then looked into table by table, which, row after row, would take the square of their number.
 *
 * Names are compared byte by byte: they are those that the server gave, and on some servers names that differ in case are two tables.
 */
#include "source/mysql/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int compare(const void *a, const void *b, void *opaque)
{
	const struct my_row *left = a, *right = b;
	const struct my_rows *rows = opaque;
	int order = 0;

	for (size_t i = 0; i < 2 && !order; i++)
		order = strcmp(left->cells[rows->columns[i]], right->cells[rows->columns[i]]);
	return order ? order : left->at < right->at ? -1 : left->at > right->at;
}

void my_rows_index(struct my_rows *rows, MYSQL_RES *result, int first, int second)
{
	MYSQL_ROW cells;

	*rows = (struct my_rows){.list = mem_zero((size_t)mysql_num_rows(result) + 1, sizeof(*rows->list)), .columns = {first, second}};
	mysql_data_seek(result, 0);
	while ((cells = mysql_fetch_row(result))) {
		rows->list[rows->count] = (struct my_row){cells, rows->count};
		rows->count++;
	}
	qsort_r(rows->list, rows->count, sizeof(*rows->list), compare, rows);
}

static int order_of(const struct my_rows *rows, size_t i, const char *first, const char *second)
{
	int order = strcmp(rows->list[i].cells[rows->columns[0]], first);

	return order || !second ? order : strcmp(rows->list[i].cells[rows->columns[1]], second);
}

size_t my_rows_find(const struct my_rows *rows, const char *first, const char *second, const struct my_row **from)
{
	size_t low = 0, high = rows->count, count = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (order_of(rows, middle, first, second) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*from = rows->count ? rows->list + low : NULL;
	while (low + count < rows->count && !order_of(rows, low + count, first, second))
		count++;
	return count;
}

void my_rows_finish(struct my_rows *rows)
{
	free(rows->list);
	*rows = (struct my_rows){0};
}
