/* Two functions of libwebsockets are replaced here. They are exported and it calls them through the dynamic linker, so that a
 * program may define them itself: nothing else of its parser can be reached, and it has no callback at these places.
 *
 * 1. Its parser (4.1) takes everything up to the next colon for a header's name: white space, a NUL, whole lines. A header
 *    whose name is the beginning of one that it knows swallows the next line: after `X: 1` (there is an `x-real-ip`) a
 *    Transfer-Encoding, Content-Length or Origin is not seen. A proxy does see it, and what is the body to one is the next
 *    request to the other. lws_ser_wu16be() is how the parser notes the length of a name; a name that is none is replaced by
 *    a mark that no client can send, and the request is refused with 400.
 *
 * 2. lws_return_http_status() is its own answer, an HTML page, to a bad %, a target that is no path and an unknown Upgrade.
 *    Ours is JSON as every error is.
 *
 * Linked to a libwebsockets that does not call them this way everything works as before, less strictly; the tests tell.
 */
#include "transport/strict.h"

#include <stddef.h>
#include <string.h>

#include "transport/http.h"

#define MARK "!" /* a client's name ends in a colon */
#define ENTRY 8  /* of the parser's list: lengths of name and value, the next entry, then the name */

static bool is_token(const uint8_t *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = name[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && (!c || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return len > 0;
}

/* The parser's call for a name comes when all else of its entry is zero yet; the one for a value finds the name's first
 * character in the seventh byte. */
static bool begins_entry(const uint8_t *entry, uint16_t len)
{
	static const uint8_t empty[ENTRY - 1];

	return len && memcmp(entry, empty, sizeof(empty)) == 0 && entry[ENTRY + len - 1] == ':';
}

void lws_ser_wu16be(uint8_t *b, uint16_t u)
{
	if (begins_entry(b, u) && !is_token(b + ENTRY, u - 1u)) {
		b[ENTRY] = MARK[0];
		u = 1;
	}
	b[0] = (uint8_t)(u >> 8);
	b[1] = (uint8_t)u;
}

bool strict_misread(struct lws *wsi)
{
	return lws_hdr_custom_length(wsi, MARK, 1) >= 0;
}

static bool sent(struct lws *wsi, enum lws_token_indexes header, int nth)
{
	char none[1];

	return lws_hdr_fragment_length(wsi, header, nth) > 0 ||
		lws_hdr_copy_fragment(wsi, none, sizeof(none), header, nth) == 0;
}

int strict_times(struct lws *wsi, enum lws_token_indexes header)
{
	return sent(wsi, header, 0) ? 1 + sent(wsi, header, 1) : 0;
}

int lws_return_http_status(struct lws *wsi, unsigned int code, const char *html_body)
{
	(void)code;
	(void)html_body;
	http_unfit(wsi);
	return 1; /* it closes */
}
