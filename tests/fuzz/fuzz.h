/* What every fuzz target has in common: its entry, cutting an input into fields, and a claim that
 * must hold. */
#ifndef ESINK_TESTS_FUZZ_H
#define ESINK_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esink/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define MUST(claim)                                                                                \
	do {                                                                                       \
		if (!(claim)) {                                                                    \
			fprintf(stderr, "ERROR: does not hold: %s\n", #claim);                     \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* The next field of the input: up to a byte 0x01, or to the end. */
static inline struct span fuzz_field(struct span *input)
{
	const char *stop = input->len ? memchr(input->p, 1, input->len) : NULL;
	struct span field = {input->p, stop ? (size_t)(stop - input->p) : input->len};
	size_t used = field.len + (stop != NULL);

	input->p += used;
	input->len -= used;
	return field;
}

/* A copy on the heap, of exactly its length plus a NUL: a read beyond it is seen. */
static inline char *fuzz_text(struct span field)
{
	char *text = malloc(field.len + 1);

	if (field.len)
		memcpy(text, field.p, field.len);
	text[field.len] = 0;
	return text;
}

/* A copy without a NUL behind it. */
static inline struct span fuzz_exact(struct span field)
{
	char *bytes = malloc(field.len ? field.len : 1);

	if (field.len)
		memcpy(bytes, field.p, field.len);
	return (struct span){bytes, field.len};
}

#endif
