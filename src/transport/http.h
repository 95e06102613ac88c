/* The HTTP side of a connection, one exchange (exchange.h) at a time. The functions are what dispatch.c calls
 * for libwebsockets' callbacks; their results are what such a callback returns: 0 goes on, anything else ends the
 * connection after what was written is sent. */
#ifndef ESINK_HTTP_H
#define ESINK_HTTP_H

#include <libwebsockets.h>
#include <stddef.h>

int http_headers(struct lws *wsi);                                    /* the headers are there */
int http_serve(struct lws *wsi, struct lws_process_html_args *args);  /* answer, unless a body follows */
int http_body_begins(struct lws *wsi);
int http_body(struct lws *wsi, const char *bytes, size_t len);
int http_body_ends(struct lws *wsi);
int http_writable(struct lws *wsi);
int http_upgrade(struct lws *wsi, char *protocol); /* may it become a websocket? */
void http_unfit(struct lws *wsi); /* answers what libwebsockets itself refuses: strict.c */
int http_foreign(struct lws *wsi, const char *bytes, size_t len); /* what is no HTTP request that libwebsockets knows */

#endif
