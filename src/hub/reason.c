/* The words and codes of CLOSE_REASON_LIST. */
#include "esink/transport.h"

struct reason {
	const char *word;
	int code, http;
};

static const struct reason reasons[CLOSE_REASON_COUNT] = {
#define X(name, word, code, http) {word, code, http},
	CLOSE_REASON_LIST(X)
#undef X
};

static const struct reason *reason_of(enum close_reason reason)
{
	return &reasons[(unsigned)reason < CLOSE_REASON_COUNT ? reason : CLOSE_NONE];
}

const char *close_reason_word(enum close_reason reason)
{
	return reason_of(reason)->word;
}

int close_reason_code(enum close_reason reason)
{
	return reason_of(reason)->code;
}

int close_reason_http(enum close_reason reason)
{
	return reason_of(reason)->http;
}
