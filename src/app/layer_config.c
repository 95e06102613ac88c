/* A field for a variable, mostly: the one place where the names of the configuration and those of the layers meet. What is made at run
 * time (rules, connections, descriptors) is not here; app.c adds it.
 */
#include "app/layer_config.h"

/* Tokens that need no table. */
static bool has_keys(const struct config *config)
{
	return config->jwt_secret || config->jwt_public_key_file || config->jwt_jwks_file;
}

struct ruleset_text layer_rules(const struct config *config)
{
	return (struct ruleset_text){
		.table_names = config->table_names,
		.routing = config->routing,
		.filters = config->filters,
		.columns = config->columns,
		.old_rows = config->old_rows,
		.auth_table = config->auth_table,
		.auth_column = config->auth_column,
	};
}

struct auth_config layer_auth(const struct config *config)
{
	return (struct auth_config){
		.security_token = config->security_token,
		.allow_test_token = config->allow_test_token,
		.has_table = true, /* a table that may be missing, and is, knows no token */
		.jwt_secret = config->jwt_secret,
		.jwt_public_key_file = config->jwt_public_key_file,
		.jwt_jwks_file = config->jwt_jwks_file,
		.jwt_algorithm = config->jwt_algorithm,
		.jwt_user_claim = config->jwt_user_claim,
		.jwt_issuer = config->jwt_issuer,
		.jwt_audience = config->jwt_audience,
	};
}

struct source_config layer_source(const struct config *config)
{
	return (struct source_config){
		.url = config->postgres_url,
		.database = config->mysql_database,
		.host = config->mysql_host,
		.user = config->mysql_username,
		.password = config->mysql_password,
		.outbox = config->mysql_outbox,
		.port = (int)config->mysql_port,
		.tls = (enum source_tls)config->mysql_ssl_mode,
		.tls_ca = config->mysql_ssl_ca,
		.path = config->sqlite_path,
		.auth_table = config->auth_table,
		.auth_column = config->auth_column,
		.auth_user_column = config->auth_user_column,
		.auth_table_optional = has_keys(config),
		.checkpoint = config->sqlite_checkpoint,
		.poll_interval_ms = (int)config->poll_interval_ms,
		.retention_ms = config->retention,
		.consumer_max_silence_ms = config->consumer_max_silence,
		.max_consumers = (int)config->max_consumers,
		.drain_max = (int)config->max_events_per_drain,
		.statement_timeout_ms = (int)config->statement_timeout,
	};
}

struct lanes_config layer_lanes(const struct config *config)
{
	return (struct lanes_config){
		.max_lookups = (size_t)config->max_pending_auth,
		.max_writes = (size_t)config->max_pending_publish,
		.max_reads = (size_t)config->max_pending_reads,
		.max_group = (size_t)config->max_publish_group,
		.confirm_ms = (int)config->publish_timeout,
		.table_only = !has_keys(config),
		.hub_count = (size_t)config->network_threads,
	};
}

struct hub_config layer_hub(const struct config *config)
{
	return (struct hub_config){
		.allow_republishing = config->allow_republishing,
		.default_source = config->default_source,
		.auth_timeout_ms = config->auth_timeout,
		.live_timeout_ms = config->live_timeout,
		.auth_recheck_ms = config->auth_recheck,
		.slow_timeout_ms = config->slow_timeout,
		.heartbeat_ms = config->heartbeat_interval,
		.heartbeat_timeout_ms = config->heartbeat_timeout,
		.position_ms = config->position_interval,
		.session_queue_bytes = (size_t)config->session_queue_bytes,
		.tail_bytes = (size_t)config->tail_bytes,
		.inbox_bytes = (size_t)config->inbox_bytes,
		.max_sessions_per_user = (uint32_t)config->max_sessions_per_user,
		.max_sessions_per_address = (uint32_t)config->max_sessions_per_address,
		.max_messages_per_second = (uint32_t)config->max_messages_per_second,
		.max_patterns = (uint32_t)config->max_patterns,
		.max_pattern_bytes = (uint32_t)config->max_pattern_bytes,
		.max_pending_auth = (uint32_t)config->max_pending_auth,
	};
}

struct server_config layer_server(const struct config *config)
{
	return (struct server_config){
		.host = config->host,
		.port = (int)config->port,
		.cert_file = config->use_ssl ? config->ssl_cert_file : NULL,
		.key_file = config->use_ssl ? config->ssl_key_file : NULL,
		.cors_origins = (const char *const *)config->origins,
		.cors_origin_count = config->origin_count,
		.threads = (unsigned)config->network_threads,
		.max_body_bytes = (size_t)config->max_body_bytes,
		.max_message_bytes = (size_t)config->max_message_bytes,
		.max_history_page = (size_t)config->max_history_page,
		.request_timeout_ms = config->handshake_timeout,
		.idle_timeout_ms = config->idle_timeout,
		.send_buffer_bytes = (int)config->send_buffer_bytes,
		.engineio = {.ping_interval_ms = config->socketio_ping_interval,
			.ping_timeout_ms = config->socketio_ping_timeout,
			.connect_timeout_ms = config->socketio_connect_timeout,
			.max_payload = (size_t)config->socketio_max_payload},
	};
}
