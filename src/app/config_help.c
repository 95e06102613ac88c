/* The table for people: `--help` on a terminal, docs/CONFIG.md and deploy/esink.env.example. All three are made from the
 * same lines; tests/lint/run compares the two files with what the binary prints.
 */
#include <string.h>

#include "app/config.h"
#include "base/buf.h"

#define WIDTH 80

static const char *type_word(const struct setting *setting)
{
	static const char *const words[] = {"text", "path", "list", "JSON", "boolean", "word", "word", "number", "duration",
		"size"};

	return words[setting->type];
}

/* The default as it is told; "" when there is none. */
static const char *default_word(const struct setting *setting)
{
	if (setting->derived)
		return setting->derived;
	return setting->fallback ? setting->fallback : "";
}

/* ` 1 to 65535` or the words; nothing for free text. */
static void write_range(struct buf *buf, const struct setting *setting)
{
	char min[32], max[32];

	if (setting->words) {
		for (size_t i = 0; setting->words[i]; i++)
			buf_printf(buf, "%s%s", i ? ", " : "", setting->words[i]);
	} else if (setting->type >= SETTING_INT) {
		config_show_number(setting, setting->min, min);
		config_show_number(setting, setting->max, max);
		buf_printf(buf, "%s to %s%s", min, max, setting->flags & SETTING_ZERO_IS_OFF ? ", or 0" : "");
	} else {
		buf_text(buf, type_word(setting));
	}
}

/* Words of text from column `at` on, broken before `width`, each line after the first begun with `lead`. */
static void wrap(FILE *out, const char *text, const char *lead, size_t width)
{
	size_t at = strlen(lead);

	fputs(lead, out);
	while (*text) {
		size_t word = strcspn(text, " ");

		if (at > strlen(lead) && at + 1 + word > width) {
			fprintf(out, "\n%s", lead);
			at = strlen(lead);
		}
		if (at > strlen(lead))
			at += (size_t)fprintf(out, " ");
		fwrite(text, 1, word, out);
		at += word;
		text += word + strspn(text + word, " ");
	}
	fputc('\n', out);
}

static void help_line(FILE *out, const struct setting *setting)
{
	AUTO_BUF struct buf range = buf_init(1024);

	if (setting->group)
		fprintf(out, "\n%s\n", setting->group);
	write_range(&range, setting);
	fprintf(out, "\n  %s", setting->name);
	if (setting->flags & SETTING_SECRET)
		fprintf(out, " (or %s_FILE)", setting->name);
	if (*default_word(setting))
		fprintf(out, " [%s]", default_word(setting));
	fputc('\n', out);
	wrap(out, setting->help, "      ", WIDTH);
	if (setting->words || setting->type >= SETTING_INT)
		wrap(out, range.bytes, "      ", WIDTH);
}

void config_print_help(FILE *out)
{
	fputs("Usage: esink [--check [--brief] | --uninstall [--check] | --help | --version]\n\n", out);
	wrap(out, "Relays every committed change of a database to exactly the users who may see it. It is configured by "
		  "environment variables and by nothing else.", "", WIDTH);
	fputs("\n"
	      "  (no argument)  run until SIGTERM or SIGINT; SIGHUP: read key files again\n"
	      "  --check        validate the configuration and the rights in the database,\n"
	      "                 print what would be done, change nothing; with --brief\n"
	      "                 without the statements themselves\n"
	      "  --uninstall    say what of esink is in the database, and remove it, unless a\n"
	      "                 relay is at work there; with --check remove nothing\n"
	      "  --help         this text; --help=markdown and --help=env: the same as a\n"
	      "                 page and as an example environment file\n"
	      "  --version      print the version\n\n"
	      "Exit status: 0 done or asked to end, 1 something else went wrong,\n"
	      "2 a bad argument or variable, 3 the database does not fit the configuration.\n\n", out);
	wrap(out, "Variables, with their defaults in brackets. A variable that holds a secret can be given as a file: NAME_FILE "
		  "is its path. Durations: 250ms, 90s, 15m, 24h, 7d; a bare number is seconds. Sizes: 65536, 100kB, 64MB "
		  "(powers of 1000), 2MiB (of 1024).", "", WIDTH);
	for (size_t i = 0; i < setting_count; i++)
		help_line(out, &settings[i]);
}

/* A | would end the cell. */
static void cell(FILE *out, const char *text)
{
	for (; *text; text++)
		fputs(*text == '|' ? "\\|" : (char[]){*text, 0}, out);
}

static void markdown_line(FILE *out, const struct setting *setting)
{
	AUTO_BUF struct buf range = buf_init(1024);

	if (setting->group)
		fprintf(out, "\n## %s\n\n| variable | default | value | meaning |\n|---|---|---|---|\n", setting->group);
	write_range(&range, setting);
	fprintf(out, "| `%s`%s | ", setting->name, setting->flags & SETTING_SECRET ? " (secret)" : "");
	if (setting->derived)
		fprintf(out, "%s", setting->derived);
	else if (setting->fallback)
		fprintf(out, "`%s`", setting->fallback);
	fprintf(out, " | %s | ", range.bytes);
	cell(out, setting->help);
	fputs(" |\n", out);
}

void config_print_markdown(FILE *out)
{
	fputs("# Configuration\n\n"
	      "<!-- Made by `esink --help=markdown` from src/app/config_table.c: edit that, not this. -->\n\n"
	      "esink is configured by environment variables and by nothing else. `esink --check` validates them together\n"
	      "with the rights in the database, prints what would be done, and changes nothing.\n\n"
	      "- A bad value ends the start with exit status 2 and one line that names it:\n"
	      "  `esink: FILTERS: \"password\" is not table.column`.\n"
	      "- An empty variable is like one that is not set, except for booleans, where it is false, and for\n"
	      "  `CORS_ORIGIN`, where it allows no foreign origin.\n"
	      "- Booleans: true, 1, yes, on; false, 0, no, off; in any case of letters.\n"
	      "- Durations: `250ms`, `90s`, `15m`, `24h`, `7d`; a bare number is seconds.\n"
	      "- Sizes: `65536`, `100kB`, `64MB` and `1GB` in powers of 1000, `2MiB` in powers of 1024.\n"
	      "- A secret can be given as a file instead: `NAME_FILE` is a path whose content, less one trailing newline,\n"
	      "  is the value of `NAME`. Setting both is an error. The value of a secret is never printed.\n"
	      "- Quotes are part of the value, and a value that begins and ends with them is warned of. A shell and systemd take them off,\n"
	      "  `docker run --env-file` does not: in a file write none, `TABLE_AUTH_COLUMN_ROUTING={\"orders\": \"customer\"}`.\n"
	      "- A variable that looks like a misspelt one of these is warned of at the start.\n", out);
	for (size_t i = 0; i < setting_count; i++)
		markdown_line(out, &settings[i]);
}

static void env_line(FILE *out, const struct setting *setting)
{
	AUTO_BUF struct buf help = buf_init(2048);

	if (setting->group)
		fprintf(out, "\n## %s\n", setting->group);
	buf_text(&help, setting->help);
	if (setting->words || setting->type >= SETTING_INT) {
		buf_text(&help, " (");
		write_range(&help, setting);
		buf_text(&help, ")");
	}
	if (setting->derived)
		buf_printf(&help, " Default: %s.", setting->derived);
	fputc('\n', out);
	wrap(out, help.bytes, "# ", WIDTH);
	if (setting->flags & SETTING_SECRET)
		fprintf(out, "#%s_FILE=\n", setting->name);
	fprintf(out, "#%s=%s\n", setting->name, setting->fallback ? setting->fallback : "");
}

void config_print_env(FILE *out)
{
	fputs("# Environment of esink, for EnvironmentFile= of systemd or --env-file of a container.\n"
	      "# Every variable is shown with its default; take away the # of what you change.\n"
	      "# Made by `esink --help=env` from src/app/config_table.c; docs/CONFIG.md says more.\n"
	      "#\n"
	      "# Write no quotes around a value: systemd takes them off, `docker run --env-file` does not. For instance:\n"
	      "#   POSTGRES_DATABASE_URL=postgresql://esink:choose-one@localhost/shop\n"
	      "#   TABLE_NAMES=orders,notices\n"
	      "#   TABLE_AUTH_COLUMN_ROUTING={\"orders\": [\"customer\", \"seller\"], \"notices\": \"*\"}\n"
	      "#   FILTERS=orders.note\n"
	      "#   CORS_ORIGIN=https://shop.example\n"
	      "#   RETENTION=7d\n", out);
	for (size_t i = 0; i < setting_count; i++)
		env_line(out, &settings[i]);
}
