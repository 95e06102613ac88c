/* A result's rows, found by two of their columns. */
#ifndef ESINK_MYSQL_ROWS_H
#define ESINK_MYSQL_ROWS_H

#include "source/mysql/db.h"

struct my_row {
	MYSQL_ROW cells;
	size_t at; /* its place in the result */
};

struct my_rows {
	struct my_row *list; /* by both columns, then by place */
	size_t count;
	int columns[2];
};

/* The result is borrowed, as long as the rows are used. No cell of the two columns is NULL. */
void my_rows_index(struct my_rows *rows, MYSQL_RES *result, int first, int second);
/* *from: the first row that has the two values; returned: how many there are from there on. second NULL: whatever it is. */
size_t my_rows_find(const struct my_rows *rows, const char *first, const char *second, const struct my_row **from);
void my_rows_finish(struct my_rows *rows);

#endif
