/* An HTTP request, read as far as no database is needed: its route and headers, the query of a stream, of a websocket and of
 * Engine.IO, what a consumer asks, and the head of an answer. What is taken is within its bounds; nothing of a request can add a
 * line to the answer's head; a refusal is explained. The fields are those of headers_read(), behind them the body. */
#include "headers.h"

#include <ctype.h>

#include "base/buf.h"
#include "transport/consumer_question.h"
#include "transport/reply.h"
#include "transport/request.h"
#include "transport/socketio/polling.h"
#include "transport/thread.h"

static void check_query(struct lws *wsi)
{
	struct query query;
	struct engineio_request engineio;

	query_read(&query, wsi);
	for (size_t i = 0; i < query.topic_count; i++)
		MUST(query.topics[i].p[query.topics[i].len] == 0);
	MUST(!query.token_in_query || query.token);
	query_finish(&query);
	engine_request_read(&engineio, wsi);
	MUST(!(engineio.websocket && engineio.polling));
}

/* Everything up to the empty line is the lines that we wrote, and says nothing twice. */
static void check_answer(const struct head *head)
{
	AUTO_BUF struct buf answer = buf_init(1 << 20);
	size_t origins = 0;
	char *end;

	reply_write(&answer, &(struct reply){.status = 404, .body = span_of("{}"), .allow = "GET", .preflight = head->preflight}, head, false);
	end = strstr(answer.bytes, "\r\n\r\n");
	MUST(end);
	end[2] = 0;
	for (char *at = strstr(answer.bytes, "\r\n") + 2, *next; *at; at = next) {
		next = strstr(at, "\r\n") + 2;
		origins += strncasecmp(at, "access-control-allow-origin:", 28) == 0;
		MUST(isalpha((unsigned char)*at) && memchr(at, ':', (size_t)(next - at)));
	}
	MUST(origins <= 1);
}

static void check_question(const struct head *head, struct span body)
{
	static const struct hub_config config = {.max_patterns = 4, .max_pattern_bytes = 256};
	struct question question;
	struct err err = {""};

	if (question_read(&question, head, body, &config, &err)) {
		struct consumer_job *job = question.job;

		MUST(job->verb == CONSUMER_LIST || job->verb == CONSUMER_WATCH || (strlen(job->name) >= 1 && strlen(job->name) <= CONSUMER_NAME_MAX));
		MUST(job->verb != CONSUMER_POLL || (job->limit >= 1 && job->limit <= CONSUMER_LIMIT_MAX));
		MUST(job->verb != CONSUMER_PUT || (job->topics && job->types));
		MUST(question.wait_ms >= 0 && question.wait_ms <= CONSUMER_WAIT_MAX * 1000);
		MUST(strlen(job->of_journal) == 0 || strlen(job->of_journal) == JOURNAL_LEN);
	} else {
		MUST(question.code >= 400 && *err.text);
	}
	consumer_job_free(question.job);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const origins[] = {"https://shop.example", "http://localhost:3000"};
	struct span input = {(const char *)bytes, size}, body;
	struct lws wsi;
	struct cors cors;
	struct head head;
	char *bearer;

	headers_read(&wsi, &input);
	body = fuzz_exact(input);
	cors_init(&cors, size % 2 ? origins : NULL, size % 2 ? 2 : 0);
	head_read(&head, &wsi, &cors, "/socket.io/");
	MUST(head.route != ROUTE_PAGE || head.file);
	MUST(strlen(head.event) <= EVENT_NAME_MAX && strlen(head.consumer) <= CONSUMER_NAME_MAX + 1);
	MUST(head.malformed || !head.has_length || head.content_length < UINT64_C(1000000000000000));
	check_answer(&head);
	check_query(&wsi);
	if (head.route >= ROUTE_WATCH)
		check_question(&head, body);
	bearer = request_bearer(&wsi);
	free(bearer);
	head_finish(&head);
	cors_finish(&cors);
	headers_finish(&wsi);
	free((char *)(uintptr_t)body.p);
	return 0;
}
