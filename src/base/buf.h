/* A growing byte buffer that names its maximum at birth. Past it, an append changes nothing, returns false, and the buffer
 * remembers (buf->full), so that a series of appends can be checked once at its end.
 *
 *   AUTO_BUF struct buf b = buf_init(65536);
 *   buf_text(&b, "{\"id\":"); buf_number(&b, 7); buf_text(&b, "}");
 *   if (b.full) ...
 */
#ifndef ESINK_BUF_H
#define ESINK_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esink/span.h"

struct buf {
	char *bytes; /* NUL-terminated whenever something was appended */
	size_t len, room, max;
	bool full;
};

#define BUF_NO_MAX (SIZE_MAX / 4) /* for what is bounded by its input; say by which */

static inline struct buf buf_init(size_t max)
{
	return (struct buf){.max = max};
}

void buf_finish(struct buf *buf);
void buf_clear(struct buf *buf);                      /* len = 0, not full; keeps the memory */
bool buf_reserve(struct buf *buf, size_t more);
bool buf_bytes(struct buf *buf, const void *bytes, size_t len);
bool buf_text(struct buf *buf, const char *text);
bool buf_span(struct buf *buf, struct span span);
bool buf_number(struct buf *buf, int64_t number);
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes. Invalid UTF-8 becomes U+FFFD. */
bool buf_json_string(struct buf *buf, struct span text);
/* The same of bytes, in base64 with its padding. */
bool buf_json_base64(struct buf *buf, struct span bytes);
char *buf_take(struct buf *buf); /* the bytes, the caller's now; "" at least */

static inline struct span buf_as_span(const struct buf *buf)
{
	return (struct span){buf->bytes ? buf->bytes : "", buf->len};
}

#define AUTO_BUF __attribute__((cleanup(buf_finish)))

#endif
