/* Times as people write them: the part of ISO 8601 that browsers and databases print. What is left out is zero, and without a
 * zone UTC is meant, as everywhere here. In a query a plus sign that was not escaped has become a space: it stands for one.
 */
#include "wire/wire.h"

#define DIGITS_MAX 15
#define TIME_MAX INT64_C(253402300799999) /* the last millisecond of the year 9999 */

struct reader {
	struct span left;
};

static bool at(const struct reader *reader, const char *any)
{
	return reader->left.len && *reader->left.p && strchr(any, *reader->left.p);
}

static void skip(struct reader *reader)
{
	reader->left.p++;
	reader->left.len--;
}

static bool skip_one(struct reader *reader, const char *any)
{
	if (!at(reader, any))
		return false;
	skip(reader);
	return true;
}

/* Exactly so many digits. */
static bool number(struct reader *reader, int digits, int64_t least, int64_t most, int64_t *ret)
{
	*ret = 0;
	for (int i = 0; i < digits; i++) {
		if (!at(reader, "0123456789"))
			return false;
		*ret = *ret * 10 + (*reader->left.p - '0');
		skip(reader);
	}
	return *ret >= least && *ret <= most;
}

/* Since 1970, of the Gregorian calendar: years begin in March, so that a leap day is the last one. */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month > 2 ? year : year - 1, era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t month_length(int64_t year, int64_t month)
{
	bool leap = year % 4 == 0 && (year % 100 || year % 400 == 0);

	return month == 2 ? 28 + leap : 30 + ((month + month / 8) & 1);
}

static bool read_date(struct reader *reader, int64_t *ms)
{
	int64_t year, month, day;

	if (!number(reader, 4, 0, 9999, &year) || !skip_one(reader, "-") || !number(reader, 2, 1, 12, &month) ||
		!skip_one(reader, "-") || !number(reader, 2, 1, month_length(year, month), &day))
		return false;
	*ms = days(year, month, day) * 86400000;
	return true;
}

/* Finer than a millisecond counts for nothing. */
static bool read_fraction(struct reader *reader, int64_t *ms)
{
	int64_t digit, worth = 100;

	if (!at(reader, "0123456789"))
		return false;
	while (at(reader, "0123456789") && number(reader, 1, 0, 9, &digit)) {
		*ms += digit * worth;
		worth /= 10;
	}
	return true;
}

static bool read_clock(struct reader *reader, int64_t *ms)
{
	int64_t hour, minute, second;

	if (!number(reader, 2, 0, 23, &hour) || !skip_one(reader, ":") || !number(reader, 2, 0, 59, &minute))
		return false;
	*ms += (hour * 60 + minute) * 60000;
	if (!skip_one(reader, ":"))
		return true;
	if (!number(reader, 2, 0, 59, &second))
		return false;
	*ms += second * 1000;
	return !skip_one(reader, ".,") || read_fraction(reader, ms);
}

static bool read_zone(struct reader *reader, int64_t *ms)
{
	int64_t hour, minute = 0, sign;

	if (!reader->left.len || skip_one(reader, "Zz"))
		return true;
	sign = at(reader, "-") ? 1 : -1;
	if (!skip_one(reader, "+- ") || !number(reader, 2, 0, 23, &hour))
		return false;
	if ((skip_one(reader, ":") || reader->left.len) && !number(reader, 2, 0, 59, &minute))
		return false;
	*ms += sign * (hour * 60 + minute) * 60000;
	return true;
}

static bool all_digits(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
	return text.len && text.len <= DIGITS_MAX;
}

bool wire_parse_time(struct span text, int64_t *ret)
{
	struct reader reader = {text};
	int64_t ms = 0;

	if (all_digits(text)) {
		if (!number(&reader, (int)text.len, 0, TIME_MAX, &ms))
			return false;
	} else if (!read_date(&reader, &ms) || (skip_one(&reader, "Tt ") && !(read_clock(&reader, &ms) && read_zone(&reader, &ms))) ||
		reader.left.len || ms > TIME_MAX) {
		return false;
	}
	*ret = ms;
	return true;
}
