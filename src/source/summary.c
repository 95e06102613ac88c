/* One line for each of the three things that can happen to what is installed; none when nothing would. One for each thing that is
 * removed, for that is looked at one by one. */
#include "source/summary.h"

#include <stdio.h>

void summary_init(struct summary *summary)
{
	for (int verb = 0; verb < SUMMARY_VERBS; verb++)
		summary->what[verb] = buf_init(BUF_NO_MAX); /* bounded by the catalogue */
}

void summary_finish(struct summary *summary)
{
	for (int verb = 0; verb < SUMMARY_VERBS; verb++)
		buf_finish(&summary->what[verb]);
}

void summary_add(struct summary *summary, enum summary_verb verb, const char *what, size_t len)
{
	struct buf *to = &summary->what[verb];

	buf_printf(to, "%s%.*s", to->len ? ", " : "", (int)len, what);
}

void summary_print(const struct summary *summary)
{
	static const char *const words[SUMMARY_VERBS] = {"would create: ", "would replace: ", "would drop: "};
	bool any = false;

	for (int verb = 0; verb < SUMMARY_VERBS; verb++) {
		if (summary->what[verb].len)
			printf("%s%s\n", words[verb], summary->what[verb].bytes);
		any |= summary->what[verb].len > 0;
	}
	if (!any)
		printf("triggers: all in place, nothing to do\n");
}

void summary_removal(bool only_look, const char *where, const struct buf *lines)
{
	printf("%s from %s:\n%s", only_look ? "would remove" : "removing", where, lines->len ? lines->bytes : "");
	fflush(stdout); /* it is read before, also where it goes into a file */
}
