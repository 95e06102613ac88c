/* Prevents: plain text on a TLS port, an old protocol, HTTP/2, a start with an unusable certificate or a sentence that does
 * not say which file is wrong, a reload that breaks what works, frames that TLS cuts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "client.h"
#include "relay.h"
#include "transport/tls.h"

static char folder[] = "/tmp/esink-tls-XXXXXX";

static const char *in_folder(const char *name)
{
	static char paths[4][128];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	fputs(text, file);
	fclose(file);
}

/* A self-signed certificate for that name, and its key. */
static void make_certificate(const char *name, const char *cert_path, const char *key_path, const char *passphrase)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	FILE *file;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(cert, subject);
	X509_set_pubkey(cert, key);
	X509_sign(cert, key, EVP_sha256());
	file = fopen(cert_path, "w");
	PEM_write_X509(file, cert);
	fclose(file);
	file = fopen(key_path, "w");
	PEM_write_PrivateKey(file, key, passphrase ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL, (void *)(uintptr_t)passphrase);
	fclose(file);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static int start(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	make_certificate("one", in_folder("one.pem"), in_folder("one.key"), NULL);
	make_certificate("two", in_folder("two.pem"), in_folder("two.key"), NULL);
	make_certificate("locked", in_folder("locked.pem"), in_folder("locked.key"), "secret");
	write_text(in_folder("junk"), "junk\n");
	return 0;
}

static int stop(void **state)
{
	static const char *const names[] = {"one.pem", "one.key", "two.pem", "two.key", "locked.pem", "locked.key", "junk"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(in_folder(names[i]));
	rmdir(folder);
	return 0;
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *cert, *key, *says;
	} cases[] = {
		{"none.pem", "one.key", "SSL_CERT_FILE: "},
		{"one.pem", "none.key", "SSL_KEY_FILE: "},
		{"junk", "one.key", "SSL_CERT_FILE: "},
		{"one.key", "one.key", "SSL_CERT_FILE: "},
		{"one.pem", "junk", "SSL_KEY_FILE: "},
		{"one.pem", "two.key", "does not belong to the certificate"},
		{"locked.pem", "locked.key", "without a passphrase"},
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		SSL_CTX *context = tls_read(in_folder(cases[i].cert), in_folder(cases[i].key), &err);

		if (context || !strstr(err.text, cases[i].says))
			fail_msg("%s %s: %s", cases[i].cert, cases[i].key, context ? "accepted" : err.text);
	}
	assert_null(tls_read(in_folder("one.pem"), NULL, &err));
	assert_non_null(strstr(err.text, "SSL_KEY_FILE"));
}

struct secure {
	struct client plain;
	SSL_CTX *context;
	SSL *ssl;
	bool up;
};

static struct secure secure_open(int port, int max_version, const char *alpn, size_t alpn_len)
{
	struct secure secure = {.plain = client_open(port), .context = SSL_CTX_new(TLS_client_method())};

	SSL_CTX_set_max_proto_version(secure.context, max_version);
	SSL_CTX_set_security_level(secure.context, 0);
	if (alpn)
		SSL_CTX_set_alpn_protos(secure.context, (const unsigned char *)alpn, (unsigned)alpn_len);
	secure.ssl = SSL_new(secure.context);
	SSL_set_fd(secure.ssl, secure.plain.fd);
	SSL_set_tlsext_host_name(secure.ssl, "anything.example");
	secure.up = SSL_connect(secure.ssl) == 1;
	ERR_clear_error();
	return secure;
}

static void secure_close(struct secure *secure)
{
	SSL_free(secure->ssl);
	SSL_CTX_free(secure->context);
	client_close(&secure->plain);
}

/* The name in the certificate that a new connection is shown. */
static bool shows(int port, const char *name)
{
	struct secure secure = secure_open(port, 0, NULL, 0);
	X509 *cert = secure.up ? SSL_get1_peer_certificate(secure.ssl) : NULL;
	char text[64] = "";

	if (cert)
		X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text, sizeof(text));
	X509_free(cert);
	secure_close(&secure);
	return strcmp(text, name) == 0;
}

/* All that comes until the connection ends or text was seen. */
static size_t secure_read(struct secure *secure, char *into, size_t room, const char *text)
{
	size_t len = 0;
	int n;

	while (len + 1 < room && (n = SSL_read(secure->ssl, into + len, (int)(room - len - 1))) > 0) {
		len += (size_t)n;
		into[len] = 0;
		if (text && memmem(into, len, text, strlen(text)))
			break;
	}
	into[len] = 0;
	return len;
}

static struct relay *relay_with(const char *cert, const char *key)
{
	static char cert_path[128], key_path[128]; /* borrowed by the server */
	const struct relay_options options = {
		.server = {.threads = 2, .cert_file = cert_path, .key_file = key_path}};

	snprintf(cert_path, sizeof(cert_path), "%s", in_folder(cert));
	snprintf(key_path, sizeof(key_path), "%s", in_folder(key));
	return relay_start(&options);
}

static void test_protocols(void **state)
{
	static const char offer[] = "\x02h2\x08http/1.1";
	struct relay *relay = relay_with("one.pem", "one.key");
	struct secure old = secure_open(relay_port(relay), TLS1_1_VERSION, NULL, 0);
	struct secure current = secure_open(relay_port(relay), 0, offer, sizeof(offer) - 1);
	const unsigned char *chosen = NULL;
	unsigned chosen_len = 0;
	char answer[4096];
	char *plain;

	(void)state;
	assert_false(old.up);
	assert_true(current.up);
	SSL_get0_alpn_selected(current.ssl, &chosen, &chosen_len);
	assert_int_equal(chosen_len, 8);
	assert_memory_equal(chosen, "http/1.1", 8);
	SSL_write(current.ssl, "GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 51);
	secure_read(&current, answer, sizeof(answer), NULL);
	assert_int_equal(client_status(answer), 200);
	assert_non_null(strstr(answer, "Strict-Transport-Security: max-age="));
	plain = client_ask(relay_port(relay), "GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_null(strstr(plain, "pong"));
	free(plain);
	secure_close(&old);
	secure_close(&current);
	relay_stop(relay);
}

/* A websocket that gets far more than the socket takes at once, read in small pieces. */
static void test_frames(void **state)
{
	struct relay *relay = relay_with("one.pem", "one.key");
	struct secure secure = secure_open(relay_port(relay), 0, NULL, 0);
	static const char request[] = "GET /ws?token=user-7 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
	static char in[2000000];
	size_t len, at = 0, frames = 0;
	char last[32];

	(void)state;
	SSL_write(secure.ssl, request, sizeof(request) - 1);
	secure_read(&secure, in, sizeof(in), "Successfully connected.");
	snprintf(last, sizeof(last), "\"id\":\"%d\"", (int)relay_emit(relay, "7", 2000, 500));
	usleep(300000);
	len = 0;
	while (!memmem(in + (len > 2000 ? len - 2000 : 0), len > 2000 ? 2000 : len, last, strlen(last))) {
		int n = SSL_read(secure.ssl, in + len, 1000);

		if (n <= 0)
			fail_msg("%d, error %d after %d bytes", n, SSL_get_error(secure.ssl, n), (int)len);
		assert_true(len + 2000 < sizeof(in));
		len += (size_t)n;
	}
	while (at + 4 <= len) {
		size_t size = (unsigned char)in[at + 1];

		assert_int_equal((unsigned char)in[at], 0x81);
		at += size == 126 ? 4 + ((size_t)(unsigned char)in[at + 2] << 8 | (unsigned char)in[at + 3]) : 2 + size;
		frames++;
	}
	assert_true(frames >= 2000);
	secure_close(&secure);
	relay_stop(relay);
}

static void replace(const char *from, const char *to)
{
	char text[4096] = "";
	FILE *file = fopen(in_folder(from), "r");
	size_t len = fread(text, 1, sizeof(text) - 1, file);

	fclose(file);
	text[len] = 0;
	write_text(in_folder(to), text);
}

static void test_reload(void **state)
{
	struct relay *relay;
	struct secure before;
	struct err err = {""};
	char answer[4096];
	int64_t patience;
	int in_a_row = 0;

	(void)state;
	replace("one.pem", "live.pem");
	replace("one.key", "live.key");
	relay = relay_with("live.pem", "live.key");
	before = secure_open(relay_port(relay), 0, NULL, 0);
	assert_true(shows(relay_port(relay), "one"));
	replace("two.pem", "live.pem");
	assert_int_equal(server_reload(relay_server(relay), &err), STATUS_INVALID); /* its key is still the old one */
	assert_non_null(strstr(err.text, "SSL_KEY_FILE"));
	assert_true(shows(relay_port(relay), "one"));
	replace("two.key", "live.key");
	assert_int_equal(server_reload(relay_server(relay), &err), STATUS_OK);
	patience = clock_ms() + 60000;
	while (in_a_row < 8 && clock_ms() < patience) /* whichever thread takes it */
		in_a_row = shows(relay_port(relay), "two") ? in_a_row + 1 : 0;
	assert_int_equal(in_a_row, 8);
	SSL_write(before.ssl, "GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 51);
	secure_read(&before, answer, sizeof(answer), NULL);
	assert_int_equal(client_status(answer), 200);
	secure_close(&before);
	relay_stop(relay);
	unlink(in_folder("live.pem"));
	unlink(in_folder("live.key"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_reload),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
