/* SQL text: names and literals, quoted, and templates filled. */
#ifndef ESINK_MYSQL_TEXT_H
#define ESINK_MYSQL_TEXT_H

#include "base/buf.h"

void my_text_name(struct buf *out, const char *name);                             /* `na``me` */
void my_text_table(struct buf *out, const char *schema, const char *table);       /* `schema`.`table` */
void my_text_literal(struct buf *out, struct span text);                          /* a string; p NULL: NULL */
void my_text_bytes(struct buf *out, struct span bytes);                           /* x'00ff' */
/* A template without its leading comment lines, with every @key@ filled from pairs (key, value, .., NULL). malloc'ed, without
 * the last end of line. */
char *my_text_fill(const char *text, const char *const *pairs);

#endif
