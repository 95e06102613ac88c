/* SQL text: names and literals, quoted, and templates filled. */
#ifndef ESINK_SQLITE_TEXT_H
#define ESINK_SQLITE_TEXT_H

#include "base/buf.h"

void text_name(struct buf *out, const char *name);    /* "na""me" */
void text_literal(struct buf *out, const char *text); /* 'te''xt' */
/* Reads one quoted name or literal at *at (quote is " or '), moves behind it, and returns what it says, malloc'ed; NULL:
 * there is none. */
char *text_unquote(const char **at, char quote);
/* The statement of a template: what its leading comment lines are about, with every @key@ filled from pairs (key, value, ..,
 * NULL). malloc'ed, without the end of the line. */
char *text_fill(const char *text, const char *const *pairs);

#endif
