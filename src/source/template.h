/* SQL of triggers/ with blanks to be filled. */
#ifndef ESINK_TEMPLATE_H
#define ESINK_TEMPLATE_H

/* Behind the comment lines that a template begins with. */
const char *template_statement(const char *text);
/* Every @key@ filled from pairs (key, value, .., NULL). What is filled in is not looked at again; what no key names stays. malloc'ed. */
char *template_fill(const char *text, const char *const *pairs);

#endif
