/* OpenSSL reads the files; the sentences are ours, because its own do not say which file or what to do. */
#include "transport/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static const char *openssl_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;

	return text ? text : "unknown reason";
}

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *text, int size, int writing, void *context)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)context;
	return 0;
}

static bool readable(const char *variable, const char *file, struct err *err)
{
	if (!file || !file[0]) {
		err_set(err, STATUS_INVALID, "%s: a file is needed for TLS: name a PEM file", variable);
		return false;
	}
	if (access(file, R_OK) == 0)
		return true;
	err_set(err, STATUS_INVALID, "%s: \"%s\" cannot be read: %s", variable, file, strerror(errno));
	return false;
}

static bool load(SSL_CTX *context, const char *cert_file, const char *key_file, struct err *err)
{
	if (!readable("SSL_CERT_FILE", cert_file, err) || !readable("SSL_KEY_FILE", key_file, err))
		return false;
	if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1) {
		err_set(err, STATUS_INVALID, "SSL_CERT_FILE: \"%s\" is not a PEM certificate: %s", cert_file, openssl_reason());
		return false;
	}
	if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(context) == 1)
		return true;
	if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH ||
		ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH)
		err_set(err, STATUS_INVALID, "SSL_KEY_FILE: the key in \"%s\" does not belong to the certificate in \"%s\"",
			key_file, cert_file);
	else
		err_set(err, STATUS_INVALID, "SSL_KEY_FILE: \"%s\" is not a PEM private key without a passphrase: %s", key_file,
			openssl_reason());
	return false;
}

/* It is served all the same: clients that do not look go on, and the clock may be the one that is wrong. */
static void warn_of_dates(const SSL_CTX *context, const char *cert_file)
{
	const X509 *certificate = SSL_CTX_get0_certificate(context);
	const char *clients = "browsers will refuse it; put a valid one there and send SIGHUP";

	if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
		log_warn("http", "SSL_CERT_FILE: the certificate in \"%s\" has expired: %s", cert_file, clients);
	else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		log_warn("http", "SSL_CERT_FILE: the certificate in \"%s\" is not valid yet: %s", cert_file, clients);
}

SSL_CTX *tls_read(const char *cert_file, const char *key_file, struct err *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (!context) {
		err_set(err, STATUS_FAILED, "SSL_CERT_FILE: OpenSSL has no memory");
		return NULL;
	}
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	ERR_clear_error();
	if (load(context, cert_file, key_file, err)) {
		warn_of_dates(context, cert_file);
	} else {
		SSL_CTX_free(context);
		context = NULL;
	}
	ERR_clear_error();
	return context;
}

bool tls_apply(SSL_CTX *context, SSL_CTX *certificate)
{
	STACK_OF(X509) *chain = NULL;

	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_get0_chain_certs(certificate, &chain);
	return SSL_CTX_use_cert_and_key(
		       context, SSL_CTX_get0_certificate(certificate), SSL_CTX_get0_privatekey(certificate), chain, 1) == 1;
}
