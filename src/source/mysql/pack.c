/* The grammar is made for triggers: cheap to write in SQL, no escapes, nothing that a value could break out of. A reader trusts
 * nothing of it, since whoever may write to the application's database may write to the outbox. */
#include "source/mysql/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 20 /* characters of a number */
#define DIGITS_MAX 10 /* of a length; LONGBLOB ends at 2^32 */

static struct span refuse(struct my_pack *pack)
{
	pack->bad = true;
	pack->p = pack->end;
	return (struct span){NULL, 0};
}

static struct span take_bytes(struct my_pack *pack)
{
	const char *p = pack->p + 1;
	size_t len = 0;
	struct span span;

	for (; p < pack->end && *p >= '0' && *p <= '9' && p - pack->p <= DIGITS_MAX; p++)
		len = len * 10 + (size_t)(*p - '0');
	if (p == pack->p + 1 && p < pack->end && *p == ':') { /* the length of NULL is NULL */
		pack->p = p + 1;
		return (struct span){NULL, 0};
	}
	if (p == pack->p + 1 || p >= pack->end || *p != ':' || len > (size_t)(pack->end - p - 1))
		return refuse(pack);
	span = (struct span){p + 1, len};
	pack->p = p + 1 + len;
	return span;
}

struct span my_pack_next(struct my_pack *pack)
{
	const char *comma;
	struct span span;

	if (pack->p >= pack->end)
		return refuse(pack);
	if (*pack->p == ':')
		return take_bytes(pack);
	comma = memchr(pack->p, ',', (size_t)(pack->end - pack->p));
	if (!comma)
		return refuse(pack);
	span = (struct span){comma == pack->p ? NULL : pack->p, (size_t)(comma - pack->p)};
	pack->p = comma + 1;
	return span;
}

int64_t my_pack_next_number(struct my_pack *pack)
{
	struct span span = my_pack_next(pack);
	bool negative = span.len && span.p[0] == '-';
	uint64_t number = 0;

	for (size_t i = negative; i < span.len && i < NUMBER_MAX && span.p[i] >= '0' && span.p[i] <= '9'; i++)
		number = number * 10 + (uint64_t)(span.p[i] - '0');
	return (int64_t)(negative ? 0 - number : number);
}

void my_pack_add(struct buf *out, struct span bytes)
{
	if (!bytes.p) {
		buf_text(out, ",");
		return;
	}
	buf_text(out, ":");
	buf_number(out, (int64_t)bytes.len);
	buf_text(out, ":");
	buf_span(out, bytes);
}

void my_pack_add_number(struct buf *out, int64_t number)
{
	buf_number(out, number);
	buf_text(out, ",");
}
