/* The program: what to do, the environment, an exit status. */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "base/log.h"

typedef enum app_exit command(const struct config *config);

static enum app_exit with_config(command *run)
{
	struct config config = {0};
	struct err err = {{0}};
	enum app_exit status = APP_BAD_CONFIG;

	if (config_load(&config, config_environment(), &err) == STATUS_OK) {
		log_init((enum log_level)config.log_level, (int)config.log_format);
		for (size_t i = 0; i < config.warning_count; i++)
			log_warn("config", "%s", config.warnings[i]);
		status = run(&config);
	} else {
		fprintf(stderr, "esink: %s\n", err.text);
	}
	config_finish(&config);
	return status;
}

/* What is printed and nothing else. False: no such argument. */
static bool print_what_is_asked(const char *argument)
{
	if (!strcmp(argument, "--help") || !strcmp(argument, "-h"))
		config_print_help(stdout);
	else if (!strcmp(argument, "--help=markdown"))
		config_print_markdown(stdout);
	else if (!strcmp(argument, "--help=env"))
		config_print_env(stdout);
	else if (!strcmp(argument, "--version"))
		puts("esink " ESINK_VERSION);
	else
		return false;
	return true;
}

static bool are(char **given, const char *one, const char *other)
{
	return (!strcmp(given[0], one) && !strcmp(given[1], other)) || (!strcmp(given[0], other) && !strcmp(given[1], one));
}

int main(int argc, char **argv)
{
	if (argc == 1)
		return with_config(app_run);
	if (argc == 2 && !strcmp(argv[1], "--check"))
		return with_config(app_check);
	if (argc == 3 && !strcmp(argv[1], "--check") && !strcmp(argv[2], "--brief"))
		return with_config(app_check_brief);
	if (argc == 2 && !strcmp(argv[1], "--uninstall"))
		return with_config(app_uninstall);
	if (argc == 3 && are(argv + 1, "--uninstall", "--check"))
		return with_config(app_check_uninstall);
	if (argc == 2 && print_what_is_asked(argv[1]))
		return fflush(stdout) == 0 ? APP_DONE : APP_FAILED;
	fprintf(stderr, "esink: \"%.80s\" is not an argument of esink; usage: esink [--check [--brief] | --uninstall [--check] | "
			"--help | --version], configured by environment variables\n", argc > 2 ? argv[2] : argv[1]);
	return APP_BAD_CONFIG;
}
