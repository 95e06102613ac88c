/* Every answer says what a browser may do with it: CORS, no sniffing, no foreign frames, no referrer. */
#include "transport/reply.h"

#include <time.h>

#include "transport/page.h"
#include "transport/request.h"

static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
		{200, "OK"}, {201, "Created"}, {204, "No Content"}, {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"},
		{404, "Not Found"}, {405, "Method Not Allowed"}, {410, "Gone"}, {411, "Length Required"},
		{413, "Content Too Large"}, {426, "Upgrade Required"}, {429, "Too Many Requests"},
		{503, "Service Unavailable"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return "Error";
}

static void write_date(struct buf *buf)
{
	char text[40];
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	buf_printf(buf, "Date: %s\r\n", text);
}

static void write_cors(struct buf *buf, const struct reply *reply, const struct head *head)
{
	buf_text(buf, "Vary: Origin\r\n");
	if (!head || !head->allow_origin)
		return;
	buf_printf(buf, "Access-Control-Allow-Origin: %s\r\n", head->allow_origin);
	if (head->credentials)
		buf_text(buf, "Access-Control-Allow-Credentials: true\r\n");
	if (!reply->preflight)
		return;
	buf_printf(buf, "Access-Control-Allow-Methods: %s\r\n", reply->allow);
	buf_text(buf, "Access-Control-Allow-Headers: Authorization, Content-Type, Last-Event-ID\r\n"
		"Access-Control-Max-Age: 600\r\n");
}

/* By its status, whatever the method. */
static bool bodiless(const struct reply *reply)
{
	return reply->status == 204 || reply->status == 304;
}

static void write_body_headers(struct buf *buf, const struct reply *reply)
{
	if (reply->stream) {
		buf_text(buf, "Content-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n"
			"X-Accel-Buffering: no\r\n");
		return;
	}
	if (reply->file) /* kept, and asked for again each time: another binary has another page */
		buf_printf(buf, "Cache-Control: no-cache\r\nETag: %s\r\nContent-Security-Policy: %s\r\n", reply->file->etag,
			page_policy);
	else
		buf_text(buf, "Cache-Control: no-store\r\n");
	if (bodiless(reply))
		return;
	buf_printf(buf, "Content-Type: %s\r\nContent-Length: %zu\r\n",
		reply->type ? reply->type : "application/json; charset=utf-8", reply->body.len);
}

void reply_write(struct buf *buf, const struct reply *reply, const struct head *head, bool tls)
{
	buf_printf(buf, "HTTP/1.1 %d %s\r\n", reply->status, reason(reply->status));
	write_date(buf);
	write_body_headers(buf, reply);
	write_cors(buf, reply, head);
	buf_text(buf, "X-Content-Type-Options: nosniff\r\nX-Frame-Options: SAMEORIGIN\r\n"
		"Referrer-Policy: no-referrer\r\n");
	if (tls)
		buf_text(buf, "Strict-Transport-Security: max-age=15552000\r\n");
	if (reply->allow && !reply->preflight)
		buf_printf(buf, "Allow: %s\r\n", reply->allow);
	if (reply->status == 401)
		buf_text(buf, "WWW-Authenticate: Bearer\r\n");
	if (reply->status == 426)
		buf_text(buf, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
	if (reply->status == 503)
		buf_text(buf, "Retry-After: 1\r\n");
	buf_printf(buf, "Connection: %s\r\n\r\n",
		reply->stream || reply->close ? "close" : reply->status == 426 ? "keep-alive, Upgrade" : "keep-alive");
	if (!reply->stream && !reply->apart && !bodiless(reply) && !(head && head->method == METHOD_HEAD))
		buf_span(buf, reply->body);
}

void reply_error_body(struct buf *buf, int status, const char *message)
{
	buf_printf(buf, "{\"code\":%d,\"message\":", status);
	buf_json_string(buf, span_of(message));
	buf_text(buf, "}");
}

void reply_invalid_body(struct buf *buf, const char *key, const char *message)
{
	buf_text(buf, "{\"code\":400,\"type\":\"ValidationError\",\"key\":");
	buf_json_string(buf, span_of(key));
	buf_text(buf, ",\"message\":");
	buf_json_string(buf, span_of(message));
	buf_text(buf, "}");
}
