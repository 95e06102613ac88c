/* The certificate. Read and checked once, whole, then handed to each thread's context: a reload never mixes an old key with
 * a new certificate, and a bad file changes nothing. */
#ifndef ESINK_TLS_H
#define ESINK_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "esink/status.h"

/* A context that only carries certificate, chain and key. NULL: err names SSL_CERT_FILE or SSL_KEY_FILE. */
SSL_CTX *tls_read(const char *cert_file, const char *key_file, struct err *err);

/* Gives them to a context that serves. On its thread. */
bool tls_apply(SSL_CTX *context, SSL_CTX *certificate);

#endif
