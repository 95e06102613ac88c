/* Allocation that does not return NULL: every queue and message has its bound elsewhere, so running out of memory is a
 * fault of the machine and ends the process with a line on stderr. */
#ifndef ESINK_MEM_H
#define ESINK_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zero(size_t count, size_t size) __attribute__((malloc, returns_nonnull)); /* calloc */
void *mem_resize(void *old, size_t size) __attribute__((returns_nonnull));
char *mem_text(const char *text);             /* NULL gives NULL */
char *mem_text_n(const char *text, size_t n); /* NUL-terminated copy */
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Grows *array so that index count fits; *room is in elements. */
void mem_grow(void *array_pointer, size_t *room, size_t count, size_t element);
void mem_wipe_free(char *secret); /* overwrites, then frees; NULL is fine */

#endif
