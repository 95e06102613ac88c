/* The process: everything that runs, made from a configuration in one order and ended in the other. */
#ifndef ESINK_APP_H
#define ESINK_APP_H

#include "app/config.h"

/* Exit statuses, as --help tells them. */
enum app_exit { APP_DONE = 0, APP_FAILED = 1, APP_BAD_CONFIG = 2, APP_BAD_DATABASE = 3 };

/* Each prints its one line `esink: ...` on stderr when it fails, and returns the exit status. */
enum app_exit app_run(const struct config *config); /* until a signal asks to end */
enum app_exit app_check(const struct config *config);
enum app_exit app_check_brief(const struct config *config); /* without the statements */
enum app_exit app_uninstall(const struct config *config);
enum app_exit app_check_uninstall(const struct config *config); /* says what would go */

#endif
