/* Keys made anew by OpenSSL in every run, and tokens signed by OpenSSL alone: what verifies them
 * must not be what made them. */
#ifndef ESINK_TESTS_TOKENS_H
#define ESINK_TESTS_TOKENS_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stddef.h>

#include "esink/span.h"

EVP_PKEY *make_rsa(unsigned bits);
EVP_PKEY *make_ec(const char *curve);
char *to_pem(EVP_PKEY *pkey); /* public */
char *to_private_pem(EVP_PKEY *pkey);
json_t *to_jwk(EVP_PKEY *pkey, const char *kid); /* RSA or EC */
char *write_file(
	const char *name, const char *text); /* in a scratch folder; returns its path, malloc'ed */
char *encode(const void *bytes, size_t len); /* base64url */

/* header and payload as text; the hash follows from alg's digits, how it is signed from its first
 * letters; key: a secret for HS, else NULL. */
char *sign(const char *header, const char *payload, const char *alg, EVP_PKEY *pkey,
	const char *secret);
/* The same for a payload that holds NULs. */
char *sign_span(
	const char *header, struct span payload, const char *alg, EVP_PKEY *pkey, const char *secret);

#endif
