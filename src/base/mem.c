/* Allocation that ends the process instead of returning NULL; see mem.h for why. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p)
{
	if (!p) {
		fputs("esink: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *mem_alloc(size_t size)
{
	return checked(malloc(size ? size : 1));
}

void *mem_zero(size_t count, size_t size)
{
	return checked(calloc(count ? count : 1, size ? size : 1));
}

void *mem_resize(void *old, size_t size)
{
	return checked(realloc(old, size ? size : 1));
}

char *mem_text(const char *text)
{
	return text ? checked(strdup(text)) : NULL;
}

char *mem_text_n(const char *text, size_t n)
{
	char *copy = mem_alloc(n + 1);

	if (n)
		memcpy(copy, text, n);
	copy[n] = 0;
	return copy;
}

char *mem_format(const char *format, ...)
{
	va_list args;
	char *text = NULL;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return checked(text);
}

void mem_grow(void *array_pointer, size_t *room, size_t count, size_t element)
{
	void **array = array_pointer;

	if (count < *room)
		return;
	*room = *room ? *room * 2 : 8;
	if (*room <= count)
		*room = count + 1;
	*array = mem_resize(*array, *room * element);
}

void mem_wipe_free(char *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret, strlen(secret));
	free(secret);
}
