/* Whether POSTGRES_DATABASE_URL can be read at all, before anything connects.
 *
 * Such a value never mends by itself, so that waiting for it would be waiting forever; and libpq
 * quotes the piece that it stumbles over, which as a rule is a piece of a password that nobody
 * percent-encoded. That is why its text is cut before the quotation here, and why an @ or a / in a
 * password is found here, which libpq takes for the end of it and shows as a host name or a port.
 */
#include "source/postgres/url.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

static enum status refuse(const char *why, size_t len, struct err *err)
{
	return err_set(err, STATUS_INVALID,
		"POSTGRES_DATABASE_URL: the value (not shown, it is a secret) is not a connection "
		"string of PostgreSQL: %.*s; in the user and password of an address write %% as "
		"%%25, @ as %%40, / as %%2F, : as %%3A",
		(int)len, why);
}

/* What libpq says, as far as it is its own words. */
static enum status refuse_as_libpq(const char *text, struct err *err)
{
	static const char missing[] = "missing \"=\"";

	if (!text)
		return refuse("out of memory", 13, err);
	if (!strncmp(text, missing, sizeof(missing) - 1))
		return refuse(missing, sizeof(missing) - 1, err);
	return refuse(text, strcspn(text, ":\"\n"), err);
}

/* Not the leading @ of an abstract socket, nor one in the path of a socket. */
static bool holds_at(const char *host)
{
	const char *at = strchr(host, '@');

	return *host != '/' && at && at != host && at[-1] != ',';
}

static enum status judge(const PQconninfoOption *options, struct err *err)
{
	static const char host[] = "there is an @ in the host", port[] = "the port is no number";

	for (; options->keyword; options++) {
		if (!options->val)
			continue;
		if (!strcmp(options->keyword, "host") && holds_at(options->val))
			return refuse(host, sizeof(host) - 1, err);
		if (!strcmp(options->keyword, "port") && options->val[strspn(options->val, "0123456789, ")])
			return refuse(port, sizeof(port) - 1, err);
	}
	return STATUS_OK;
}

enum status postgres_url_check(const struct source_config *config, struct err *err)
{
	char *text = NULL;
	PQconninfoOption *options = PQconninfoParse(config->url, &text);
	enum status status = options ? judge(options, err) : refuse_as_libpq(text, err);

	PQfreemem(text);
	PQconninfoFree(options);
	return status;
}

/* The nth part of a comma list; a list of one value is for all. */
static void part(const char *list, int n, char *text, size_t size)
{
	text[0] = 0;
	if (!list || !strchr(list, ','))
		n = 0;
	for (; list && n > 0; n--) {
		list = strchr(list, ',');
		if (list)
			list++;
	}
	if (list)
		snprintf(text, size, "%.*s", (int)strcspn(list, ","), list);
}

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword; options++)
		if (!strcmp(options->keyword, keyword))
			return options->val;
	return NULL;
}

static int count(const char *list)
{
	int n = list != NULL;

	while (list && (list = strchr(list, ','))) {
		list++;
		n++;
	}
	return n;
}

bool postgres_url_host(const char *url, int n, struct pg_host *host)
{
	PQconninfoOption *options = PQconninfoParse(url, NULL);
	const char *names, *addresses;
	bool found = false;

	if (!options)
		return false;
	names = value_of(options, "host");
	addresses = value_of(options, "hostaddr");
	if (n < count(names) || n < count(addresses)) {
		part(names, n, host->name, sizeof(host->name));
		part(addresses, n, host->address, sizeof(host->address));
		part(value_of(options, "port"), n, host->port, sizeof(host->port));
		found = true;
	}
	PQconninfoFree(options);
	return found;
}
