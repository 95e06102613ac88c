/* Texts of the statuses, and the sentence for a person. */
#include "esink/status.h"

#include <stdarg.h>
#include <stdio.h>

const char *status_text(enum status status)
{
	static const char *const texts[] = {
#define X(name, text) text,
		STATUS_LIST(X)
#undef X
	};

	return status < sizeof(texts) / sizeof(*texts) ? texts[status] : "unknown";
}

enum status err_set(struct err *err, enum status status, const char *format, ...)
{
	va_list args;

	if (!err)
		return status;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return status;
}
