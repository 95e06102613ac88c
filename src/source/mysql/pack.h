/* Values in one string of bytes, as triggers write them: `text,` for what holds no comma, `:5:bytes` for anything, `,` or `::` for NULL. */
#ifndef ESINK_MYSQL_PACK_H
#define ESINK_MYSQL_PACK_H

#include "base/buf.h"

struct my_pack {
	const char *p, *end;
	bool bad; /* it was not well formed, or ended before what was asked for */
};

static inline struct my_pack my_pack_of(struct span bytes)
{
	return (struct my_pack){bytes.p, bytes.p + bytes.len, false};
}

struct span my_pack_next(struct my_pack *pack); /* p NULL: NULL, or bad */
int64_t my_pack_next_number(struct my_pack *pack);
void my_pack_add(struct buf *out, struct span bytes); /* p NULL: NULL */
void my_pack_add_number(struct buf *out, int64_t number);

#endif
