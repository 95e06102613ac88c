/* The functions of libwebsockets that look into a parsed request, over fields of the input. They stand before the library's own, as
 * a program may define what a shared library has. As of 4.1: several of one header are joined by commas, a value that does not
 * fit is -1, the query's parts are decoded and may hold anything, other values hold no end of line and no NUL.
 */
#include "headers.h"

#include <ctype.h>

static const struct {
	enum lws_token_indexes token;
	const char *name;
} known[] = {{WSI_TOKEN_HTTP_CONTENT_LENGTH, "content-length:"}, {WSI_TOKEN_HTTP_TRANSFER_ENCODING, "transfer-encoding:"},
	{WSI_TOKEN_HOST, "host:"}, {WSI_TOKEN_ORIGIN, "origin:"}, {WSI_TOKEN_HTTP, "http:"}, {WSI_TOKEN_CONNECTION, "connection:"},
	{WSI_TOKEN_HTTP_EXPECT, "expect:"}, {WSI_TOKEN_HTTP_AUTHORIZATION, "authorization:"},
	{WSI_TOKEN_HTTP_IF_NONE_MATCH, "if-none-match:"}, {WSI_TOKEN_HTTP_CONTENT_TYPE, "content-type:"}};

static void add(struct lws *wsi, struct span name, struct span value)
{
	if (wsi->count == HEADERS_MAX)
		return;
	wsi->name[wsi->count] = name.p ? fuzz_exact(name) : name;
	wsi->value[wsi->count++] = fuzz_exact(value);
}

static int method_of(struct span *line)
{
	static const struct {
		const char *name;
		int method;
	} methods[] = {{"GET ", LWSHUMETH_GET}, {"POST ", LWSHUMETH_POST}, {"PUT ", LWSHUMETH_PUT}, {"DELETE ", LWSHUMETH_DELETE},
		{"HEAD ", LWSHUMETH_HEAD}, {"OPTIONS ", LWSHUMETH_OPTIONS}, {"PATCH ", LWSHUMETH_PATCH}};

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		size_t len = strlen(methods[i].name);

		if (line->len >= len && memcmp(line->p, methods[i].name, len) == 0) {
			*line = (struct span){line->p + len, line->len - len};
			return methods[i].method;
		}
	}
	return -1;
}

static void read_query(struct lws *wsi, struct span query)
{
	while (query.len) {
		const char *end = memchr(query.p, '&', query.len);
		size_t len = end ? (size_t)(end - query.p) : query.len;

		add(wsi, (struct span){NULL, 0}, (struct span){query.p, len});
		query = (struct span){query.p + len + (end != NULL), query.len - len - (end != NULL)};
	}
}

static bool plain(struct span value)
{
	for (size_t i = 0; i < value.len; i++)
		if (!value.p[i] || value.p[i] == '\r' || value.p[i] == '\n')
			return false;
	return true;
}

static void read_header(struct lws *wsi, struct span line)
{
	const char *colon = memchr(line.p, ':', line.len);
	size_t name = colon ? (size_t)(colon - line.p) + 1 : 0;

	if (name && plain(line))
		add(wsi, (struct span){line.p, name}, (struct span){line.p + name, line.len - name});
}

void headers_read(struct lws *wsi, struct span *input)
{
	struct span line = fuzz_field(input), query = fuzz_field(input);

	*wsi = (struct lws){.method = method_of(&line)};
	wsi->path = fuzz_exact(line);
	read_query(wsi, query);
	while (input->len && (line = fuzz_field(input)).len)
		read_header(wsi, line);
}

void headers_finish(struct lws *wsi)
{
	free((char *)(uintptr_t)wsi->path.p);
	for (size_t i = 0; i < wsi->count; i++) {
		free((char *)(uintptr_t)wsi->name[i].p);
		free((char *)(uintptr_t)wsi->value[i].p);
	}
}

/* -- libwebsockets ----------------------------------------------------------------------------------------------------- */

static const char *name_of(enum lws_token_indexes token)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].token == token)
			return known[i].name;
	return NULL;
}

/* The nth of that header; NULL: none. name NULL: of the query. */
static const struct span *nth_of(const struct lws *wsi, const char *name, int nth)
{
	for (size_t i = 0; i < wsi->count; i++) {
		bool same = name ? wsi->name[i].p && wsi->name[i].len == strlen(name) &&
					   strncasecmp(wsi->name[i].p, name, wsi->name[i].len) == 0
				 : !wsi->name[i].p;

		if (same && nth-- == 0)
			return &wsi->value[i];
	}
	return NULL;
}

static const struct span *fragment(const struct lws *wsi, enum lws_token_indexes token, int nth)
{
	const char *name = name_of(token);

	return !name && token != WSI_TOKEN_HTTP_URI_ARGS ? NULL : nth_of(wsi, name, nth);
}

static int copy(const struct span *value, char *dest, int len)
{
	if (!value || (int)value->len >= len)
		return -1;
	memcpy(dest, value->p, value->len);
	dest[value->len] = 0;
	return (int)value->len;
}

int lws_hdr_fragment_length(struct lws *wsi, enum lws_token_indexes h, int frag_idx)
{
	const struct span *value = fragment(wsi, h, frag_idx);

	return value ? (int)value->len : 0;
}

int lws_hdr_copy_fragment(struct lws *wsi, char *dest, int len, enum lws_token_indexes h, int frag_idx)
{
	return copy(fragment(wsi, h, frag_idx), dest, len);
}

int lws_hdr_total_length(struct lws *wsi, enum lws_token_indexes h)
{
	const struct span *value;
	int len = 0;

	for (int i = 0; (value = fragment(wsi, h, i)); i++)
		len += (int)value->len + (i > 0);
	return len;
}

int lws_hdr_copy(struct lws *wsi, char *dest, int len, enum lws_token_indexes h)
{
	int total = lws_hdr_total_length(wsi, h), at = 0;
	const struct span *value;

	*dest = 0;
	if (len <= total)
		return -1;
	for (int i = 0; (value = fragment(wsi, h, i)); i++) {
		if (i)
			dest[at++] = ',';
		at += copy(value, dest + at, len - at);
	}
	return total;
}

int lws_hdr_custom_length(struct lws *wsi, const char *name, int nlen)
{
	const struct span *value;

	MUST(nlen == (int)strlen(name));
	value = nth_of(wsi, name, 0);
	return value ? (int)value->len : -1;
}

int lws_hdr_custom_copy(struct lws *wsi, char *dst, int len, const char *name, int nlen)
{
	MUST(nlen == (int)strlen(name));
	return copy(nth_of(wsi, name, 0), dst, len);
}

int lws_http_get_uri_and_method(struct lws *wsi, char **puri_ptr, int *puri_len)
{
	*puri_ptr = (char *)(uintptr_t)wsi->path.p;
	*puri_len = (int)wsi->path.len;
	return wsi->method;
}

int lws_callback_on_writable(struct lws *wsi)
{
	wsi->wakes++;
	return 1;
}

int lws_rx_flow_control(struct lws *wsi, int enable)
{
	(void)wsi;
	(void)enable;
	return 0;
}
