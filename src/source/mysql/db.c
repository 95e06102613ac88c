/* Connecting and asking. Whatever waits for the server is a call (call.h); a failure of one has a code (error.h), which also says
 * whether the connection is lost with it.
 *
 * A session's settings are ours whatever the server's defaults are: sql_mode '' (it is kept in triggers that are made here),
 * UTC, READ COMMITTED (a move must see what is committed, and takes no gap locks that writers wait for).
 */
#include "source/mysql/db.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "source/mysql/call.h"
#include "source/mysql/error.h"

#define STACK_BYTES (256 << 10) /* of the library's suspended calls; name resolution and TLS run on it */
#define NET_WRITE_TIMEOUT_S 60
#define UNHEARD_MS 10000 /* what was sent and not acknowledged */

/* -- errors ----------------------------------------------------------------------------------------------------------- */

static enum status failure_of(struct my_db *db, unsigned code, const char *text, struct err *err)
{
	db->error = code;
	return my_error_say(db->config, code, text, err);
}

/* Of the call that just failed. */
static enum status failure(struct my_db *db, struct err *err)
{
	enum status status = failure_of(db, mysql_errno(db->conn), mysql_error(db->conn), err);

	if (my_error_is_loss(db->error))
		my_close(db);
	return status;
}

/* -- connecting ------------------------------------------------------------------------------------------------------- */

static void set_options(MYSQL *conn, int timeout_ms)
{
	unsigned seconds = (unsigned)(timeout_ms + 999) / 1000, off = 0;
	unsigned long packet = 1ul << 30;
	size_t stack = STACK_BYTES;

	mysql_options(conn, MYSQL_OPT_NONBLOCK, &stack);
	mysql_options(conn, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
	mysql_options(conn, MYSQL_OPT_LOCAL_INFILE, &off); /* a server asks for no file of ours */
	mysql_options(conn, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
	mysql_options(conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_optionsv(conn, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "esink");
}

static bool is_here(const char *host)
{
	return *host == '/' || !strcmp(host, "localhost") || !strncmp(host, "127.", 4) || !strcmp(host, "::1");
}

/* By default TLS where the server has it, without asking who the server is: so does MySQL's own client. */
static enum source_tls tls_of(const struct source_config *config)
{
	if (config->tls != SOURCE_TLS_AUTO)
		return config->tls;
	return config->tls_ca ? SOURCE_TLS_IDENTITY : is_here(my_host(config)) ? SOURCE_TLS_OFF : SOURCE_TLS_AUTO;
}

static void set_tls(MYSQL *conn, const struct source_config *config)
{
	enum source_tls tls = tls_of(config);
	my_bool on = tls != SOURCE_TLS_OFF, verify = tls == SOURCE_TLS_IDENTITY;

	mysql_options(conn, MYSQL_OPT_SSL_ENFORCE, &on);
	mysql_options(conn, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
	if (config->tls_ca && tls >= SOURCE_TLS_CA)
		mysql_options(conn, MYSQL_OPT_SSL_CA, config->tls_ca);
}

/* The library goes on without TLS where the server has none. */
static enum status check_tls(struct my_db *db, struct err *err)
{
	if (tls_of(db->config) < SOURCE_TLS_REQUIRED || mysql_get_ssl_cipher(db->conn))
		return STATUS_OK;
	return err_set(err, STATUS_UNAVAILABLE, "MYSQL_SSL_MODE: the server at %s:%d has no TLS", my_host(db->config), db->config->port);
}

static enum status reach(struct my_db *db, int timeout_ms, struct err *err)
{
	const struct source_config *config = db->config;
	const char *host = my_host(config);
	bool socket = *host == '/'; /* anything else is TCP, also localhost: in a container there is no socket file */
	unsigned protocol = socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
	struct my_call call = my_call_begin(db, timeout_ms);
	MYSQL *ret = NULL;
	int want;

	mysql_options(db->conn, MYSQL_OPT_PROTOCOL, &protocol);
	set_tls(db->conn, config);
	want = mysql_real_connect_start(&ret, db->conn, socket ? NULL : host, config->user, config->password, config->database,
		(unsigned)config->port, socket ? host : NULL, CLIENT_FOUND_ROWS);
	MY_CALL_FINISH(&call, want, mysql_real_connect_cont(&ret, db->conn, got_))
	if (call.given_up != STATUS_OK)
		return my_call_given_up(&call, err);
	if (ret)
		return STATUS_OK;
	(void)failure_of(db, mysql_errno(db->conn), mysql_error(db->conn), err);
	my_close(db);
	return STATUS_UNAVAILABLE; /* also a wrong password, or a database that is not there yet: both may be mended */
}

/* All that a server may have made the default for everybody and that changes what our statements do. */
static enum status begin_session(struct my_db *db, int idle_s, struct err *err)
{
	char sql[640];
	enum status status;

	db->maria = strstr(mysql_get_server_info(db->conn), "MariaDB") != NULL;
	snprintf(sql, sizeof(sql), "SET SESSION sql_mode = '', time_zone = '+00:00', autocommit = 1, lock_wait_timeout = 1, "
		"innodb_lock_wait_timeout = 5, completion_type = 0, sql_select_limit = 18446744073709551615, sql_big_selects = 1, "
		"sql_safe_updates = 0, %s = 0, net_write_timeout = %d", db->maria ? "max_statement_time" : "max_execution_time",
		idle_s ? idle_s : NET_WRITE_TIMEOUT_S);
	if (idle_s)
		snprintf(sql + strlen(sql), sizeof(sql) - strlen(sql), ", wait_timeout = %d, net_read_timeout = %d", idle_s, idle_s);
	status = my_run(db, sql, MY_TIMEOUT_MS, err);
	if (status == STATUS_OK)
		status = my_run(db, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE", MY_TIMEOUT_MS, err);
	return status;
}

/* A peer that has gone without a word is given up by the system, too, and not only by our timeouts. */
static void watch_socket(MYSQL *conn)
{
	int fd = mysql_get_socket(conn), on = 1, idle_s = 5, every_s = 2;
	unsigned unheard_ms = UNHEARD_MS;

	if (setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unheard_ms, sizeof(unheard_ms)) != 0) /* not TCP */
		return;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
}

static enum status check_version(struct my_db *db, struct err *err)
{
	unsigned long version = mysql_get_server_version(db->conn), least = db->maria ? 100400 : 80000;

	if (version >= least)
		return STATUS_OK;
	return err_set(err, STATUS_INVALID, "the server is %s %s; esink needs MariaDB 10.4, MySQL 8.0 or newer",
		db->maria ? "MariaDB" : "MySQL", mysql_get_server_info(db->conn));
}

enum status my_connect(struct my_db *db, int timeout_ms, int idle_s, struct err *err)
{
	enum status status;

	my_close(db);
	db->idle_s = 0; /* not while it connects, which has a timeout of its own */
	db->conn = mysql_init(NULL);
	if (!db->conn)
		return err_set(err, STATUS_FAILED, "no memory for a connection");
	set_options(db->conn, timeout_ms);
	status = reach(db, timeout_ms, err);
	if (status == STATUS_OK) {
		watch_socket(db->conn);
		status = check_tls(db, err);
	}
	if (status == STATUS_OK)
		status = begin_session(db, idle_s, err);
	if (status == STATUS_OK)
		status = check_version(db, err);
	if (status != STATUS_OK)
		my_close(db);
	db->idle_s = idle_s;
	return status;
}

void my_close(struct my_db *db)
{
	if (!db->conn)
		return;
	if (db->stream) { /* freeing it reads to its end */
		shutdown(mysql_get_socket(db->conn), SHUT_RDWR);
		mysql_free_result(db->stream);
	}
	db->stream = NULL;
	if (db->stmt)
		mysql_stmt_close(db->stmt);
	db->stmt = NULL;
	mysql_close(db->conn);
	db->conn = NULL;
}

bool my_wait(struct my_db *db, int timeout_ms)
{
	struct pollfd fds[2] = {{db->config->stop_fd, POLLIN, 0}, {db->nudge_fd, POLLIN, 0}};
	eventfd_t count;

	if (poll(fds, db->nudge_fd >= 0 ? 2 : 1, timeout_ms) > 0 && fds[0].revents)
		return false;
	if (db->nudge_fd >= 0 && fds[1].revents && eventfd_read(db->nudge_fd, &count) != 0)
		return true;
	return true;
}

/* -- statements ------------------------------------------------------------------------------------------------------- */

static enum status ask(struct my_db *db, const char *sql, size_t len, struct my_call *call, struct err *err)
{
	int ret = 0, want;

	if (!db->conn)
		return err_set(err, STATUS_UNAVAILABLE, "not connected");
	want = mysql_real_query_start(&ret, db->conn, sql, (unsigned long)len);
	MY_CALL_FINISH(call, want, mysql_real_query_cont(&ret, db->conn, got_))
	if (call->given_up != STATUS_OK)
		return my_call_given_up(call, err);
	return ret ? failure(db, err) : STATUS_OK;
}

static enum status store(struct my_db *db, struct my_call *call, MYSQL_RES **result, struct err *err)
{
	MYSQL_RES *ret = NULL;
	int want = mysql_store_result_start(&ret, db->conn);

	MY_CALL_FINISH(call, want, mysql_store_result_cont(&ret, db->conn, got_))
	if (call->given_up != STATUS_OK) {
		if (ret)
			mysql_free_result(ret);
		return my_call_given_up(call, err);
	}
	if (!ret && mysql_errno(db->conn))
		return failure(db, err);
	*result = ret;
	return STATUS_OK;
}

static enum status run(struct my_db *db, const char *sql, size_t len, int timeout_ms, MYSQL_RES **result, struct err *err)
{
	struct my_call call = my_call_begin(db, timeout_ms);
	enum status status = ask(db, sql, len, &call, err);

	return status == STATUS_OK ? store(db, &call, result, err) : status;
}

enum status my_run_buf(struct my_db *db, const struct buf *sql, int timeout_ms, struct err *err)
{
	AUTO_RESULT MYSQL_RES *result = NULL;

	return run(db, sql->bytes, sql->len, timeout_ms, &result, err);
}

enum status my_run(struct my_db *db, const char *sql, int timeout_ms, struct err *err)
{
	AUTO_RESULT MYSQL_RES *result = NULL;

	return run(db, sql, strlen(sql), timeout_ms, &result, err);
}

uint64_t my_changed(const struct my_db *db)
{
	return mysql_affected_rows(db->conn);
}

enum status my_query(struct my_db *db, const char *sql, int timeout_ms, MYSQL_RES **result, struct err *err)
{
	MYSQL_RES *ret = NULL;
	enum status status = run(db, sql, strlen(sql), timeout_ms, &ret, err);

	if (status == STATUS_OK && !ret)
		return err_set(err, STATUS_FAILED, "MySQL gave no rows");
	*result = ret;
	return status;
}

enum status my_number(struct my_db *db, const char *sql, int64_t *ret, struct err *err)
{
	AUTO_RESULT MYSQL_RES *result = NULL;
	enum status status = my_query(db, sql, MY_TIMEOUT_MS, &result, err);
	MYSQL_ROW row = status == STATUS_OK ? mysql_fetch_row(result) : NULL;

	if (status != STATUS_OK)
		return status;
	if (!row)
		return err_set(err, STATUS_NOT_FOUND, "no row");
	*ret = my_int(row[0]);
	return STATUS_OK;
}

enum status my_stream_begin(struct my_db *db, const char *sql, int timeout_ms, struct err *err)
{
	struct my_call call = my_call_begin(db, timeout_ms);
	enum status status = ask(db, sql, strlen(sql), &call, err);

	if (status != STATUS_OK)
		return status;
	db->stream = mysql_use_result(db->conn);
	return db->stream ? STATUS_OK : failure(db, err);
}

enum status my_stream_next(struct my_db *db, int timeout_ms, MYSQL_ROW *row, unsigned long **lengths, struct err *err)
{
	struct my_call call = my_call_begin(db, timeout_ms);
	MYSQL_ROW ret = NULL;
	int want = mysql_fetch_row_start(&ret, db->stream);

	MY_CALL_FINISH(&call, want, mysql_fetch_row_cont(&ret, db->stream, got_))
	if (call.given_up != STATUS_OK)
		return my_call_given_up(&call, err);
	*row = ret;
	if (ret) {
		*lengths = mysql_fetch_lengths(db->stream);
		return STATUS_OK;
	}
	if (mysql_errno(db->conn)) {
		enum status status = failure_of(db, mysql_errno(db->conn), mysql_error(db->conn), err);

		my_close(db);
		return status;
	}
	mysql_free_result(db->stream);
	db->stream = NULL;
	return STATUS_OK;
}

/* -- a prepared statement --------------------------------------------------------------------------------------------- */

static enum status stmt_failure(struct my_db *db, struct err *err)
{
	enum status status = failure_of(db, mysql_stmt_errno(db->stmt), mysql_stmt_error(db->stmt), err);

	mysql_stmt_close(db->stmt);
	db->stmt = NULL;
	if (my_error_is_loss(db->error))
		my_close(db);
	return status;
}

enum status my_prepare(struct my_db *db, const char *sql, int timeout_ms, struct err *err)
{
	struct my_call call = my_call_begin(db, timeout_ms);
	int ret = 0, want;

	db->stmt = mysql_stmt_init(db->conn);
	if (!db->stmt)
		return err_set(err, STATUS_FAILED, "no memory for a statement");
	want = mysql_stmt_prepare_start(&ret, db->stmt, sql, strlen(sql));
	MY_CALL_FINISH(&call, want, mysql_stmt_prepare_cont(&ret, db->stmt, got_))
	if (call.given_up != STATUS_OK)
		return my_call_given_up(&call, err);
	return ret ? stmt_failure(db, err) : STATUS_OK;
}

static enum status fetch_rows(struct my_db *db, struct my_call *call, int *count, struct err *err)
{
	for (*count = 0;;) {
		int ret = 0, want = mysql_stmt_fetch_start(&ret, db->stmt);

		MY_CALL_FINISH(call, want, mysql_stmt_fetch_cont(&ret, db->stmt, got_))
		if (call->given_up != STATUS_OK)
			return my_call_given_up(call, err);
		if (ret == 1)
			return stmt_failure(db, err);
		if (ret == MYSQL_NO_DATA)
			return STATUS_OK;
		if (++*count > 1)
			return STATUS_OK;
	}
}

static enum status execute(struct my_db *db, MYSQL_BIND *in, struct my_call *call, struct err *err)
{
	int ret = 0, want;

	if (mysql_stmt_bind_param(db->stmt, in))
		return stmt_failure(db, err);
	want = mysql_stmt_execute_start(&ret, db->stmt);
	MY_CALL_FINISH(call, want, mysql_stmt_execute_cont(&ret, db->stmt, got_))
	if (call->given_up != STATUS_OK)
		return my_call_given_up(call, err);
	return ret ? stmt_failure(db, err) : STATUS_OK;
}

enum status my_execute_write(struct my_db *db, MYSQL_BIND *params, int timeout_ms, struct err *err)
{
	struct my_call call = my_call_begin(db, timeout_ms);

	return execute(db, params, &call, err);
}

enum status my_execute(struct my_db *db, struct span param, int timeout_ms, int *count, char *value, size_t size, size_t *len,
	struct err *err)
{
	struct my_call call = my_call_begin(db, timeout_ms);
	unsigned long in_len = (unsigned long)param.len, out_len = 0;
	my_bool is_null = 0;
	MYSQL_BIND in[2] = {0}, out = {.buffer_type = MYSQL_TYPE_STRING, .buffer = value, .buffer_length = (unsigned long)size,
		.length = &out_len, .is_null = &is_null};
	int ret = 0, want;
	enum status status;

	for (int i = 0; i < 2; i++)
		in[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING, .buffer = (void *)(uintptr_t)param.p, .buffer_length = in_len,
			.length = &in_len};
	status = execute(db, in, &call, err);
	if (status != STATUS_OK)
		return status;
	if (mysql_stmt_bind_result(db->stmt, &out))
		return stmt_failure(db, err);
	want = mysql_stmt_store_result_start(&ret, db->stmt);
	MY_CALL_FINISH(&call, want, mysql_stmt_store_result_cont(&ret, db->stmt, got_))
	if (call.given_up != STATUS_OK)
		return my_call_given_up(&call, err);
	if (ret)
		return stmt_failure(db, err);
	status = fetch_rows(db, &call, count, err);
	*len = is_null ? SIZE_MAX : out_len;
	if (status == STATUS_OK)
		mysql_stmt_free_result(db->stmt);
	return status;
}
