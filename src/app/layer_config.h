/* What each layer is told of the configuration, in its own words. Pure; strings and lists are the configuration's, which must outlive what
 * is made from them. What is no variable is zero: the caller fills it in. */
#ifndef ESINK_LAYER_CONFIG_H
#define ESINK_LAYER_CONFIG_H

#include "app/config.h"
#include "auth/auth.h"
#include "esink/source.h"
#include "hub/hub.h"
#include "rules/ruleset.h"
#include "source/lanes.h"
#include "transport/server.h"

struct ruleset_text layer_rules(const struct config *config);
struct auth_config layer_auth(const struct config *config);
struct source_config layer_source(const struct config *config); /* but rules, stop_fd and what a command asks */
struct lanes_config layer_lanes(const struct config *config);
struct hub_config layer_hub(const struct config *config);          /* but auth, services, rules, max_sessions */
struct server_config layer_server(const struct config *config);    /* but max_connections, rules, ready */

#endif
