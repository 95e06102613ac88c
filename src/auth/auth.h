/* From a bearer's token to who it is, without I/O: the operator's SECURITY_TOKEN, the TEST token, a JWT, or «look it up in
 * the token table», which is the caller's job (hub -> services.lookup). Thread-safe: every network thread shares one. */
#ifndef ESINK_AUTH_H
#define ESINK_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "esink/span.h"
#include "esink/status.h"

struct auth_config {
	const char *security_token; /* NULL: no operator */
	bool allow_test_token;
	bool has_table;             /* false: no token table configured or none there */
	const char *jwt_secret;     /* at most one of the three; NULL: not configured */
	const char *jwt_public_key_file, *jwt_jwks_file;
	const char *jwt_algorithm;  /* HS256.. RS.. ES..; of every token, never taken from the token */
	const char *jwt_user_claim, *jwt_issuer, *jwt_audience; /* issuer, audience NULL: not checked */
};

enum identity_kind { IDENTITY_USER, IDENTITY_OPERATOR, IDENTITY_TEST };

struct identity {
	enum identity_kind kind;
	char *user;      /* malloc'ed, UTF-8, not empty; "-1" for TEST, NULL for the operator */
	bool numeric;    /* shown as a JSON number */
	int64_t expires; /* ms since 1970; 0: never */
	uint64_t voucher; /* the key or operator's token that vouches for it; 0: neither, it is the table's or TEST */
};

enum auth_verdict { AUTH_GRANTED, AUTH_REFUSED, AUTH_LOOKUP };

struct auth;
/* Reads the key files. A bad key, an algorithm that does not fit it, or an HMAC secret that is a PEM key: NULL and a
 * sentence that names the variable. */
struct auth *auth_create(const struct auth_config *config, struct err *err);
void auth_destroy(struct auth *auth);
/* Reads the key files again, and takes a new operator's token and HMAC secret where one was configured before (NULL: as it
 * was). On failure everything stays and err tells. One thread at a time, beside any number that check. Drops cached
 * tokens; whoever was let in before must be asked about again with auth_vouches(). */
enum status auth_reload(struct auth *auth, const char *security_token, const char *jwt_secret, struct err *err) MUST_CHECK;

/* AUTH_GRANTED fills identity (caller frees identity->user). Never logs or keeps the token; verified JWTs are remembered
 * by their SHA-256 until they expire, in a bounded cache. */
enum auth_verdict auth_check(const struct auth *auth, struct span token, struct identity *identity);

/* Is the key or operator's token that vouched for an identity still configured? True for 0. A key is its bytes, whatever its
 * kid; one that was gone and comes back is another. */
bool auth_vouches(const struct auth *auth, uint64_t voucher);

/* Constant-time: is it the operator's token? False when none is configured. */
bool auth_is_operator(const struct auth *auth, struct span token);
bool auth_has_operator(const struct auth *auth);

#endif
