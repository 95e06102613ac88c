/* Private to src/auth: the algorithm and the keys that JWTs are verified with.
 *
 * A set of keys is immutable once loaded and shared by reference count: a token being verified
 * keeps the set that it began with while a reload puts another in its place. The cache of verified
 * tokens belongs to the set, so that a reload cannot leave a token behind that an old key vouched
 * for; so do the headers that were read.
 */
#ifndef ESINK_AUTH_KEYS_H
#define ESINK_AUTH_KEYS_H

#include <openssl/types.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esink/span.h"
#include "esink/status.h"

struct cache;
struct headers;

enum key_family { FAMILY_HMAC, FAMILY_RSA, FAMILY_EC };

struct algorithm {
	const char *name, *digest; /* digest: OpenSSL's name of the hash */
	enum key_family family;
	const char *curve;     /* OpenSSL's group name; EC only */
	const char *jwk_curve; /* the same as a JWK names it */
	size_t coordinate;     /* bytes of x and of y; EC only */
};

/* NULL: none of that name (`none` is not one). */
const struct algorithm *algorithm_find(const char *name);
void algorithm_list(char *text, size_t room); /* "HS256, HS384, .." for messages */

struct key {
	char *kid;   /* NULL: none */
	char *bytes; /* the secret, or the public key as PEM with its NUL counted out */
	size_t len;
	uint64_t number; /* the same for the same bytes, over reloads too; from 1 on */
	/* what OpenSSL made of bytes, one of the two; only ever copied */
	EVP_MAC_CTX *hmac;
	EVP_MD_CTX *verifier;
};

struct keys {
	atomic_uint refs;
	struct key *items;
	size_t count, room;
	struct cache *cache;
	struct headers *headers;
};

/* Where keys come from: exactly one is set. Borrowed. */
struct key_source {
	const char *secret, *public_key_file, *jwks_file;
};

enum status keys_load(const struct key_source *source, const struct algorithm *algorithm,
	struct keys **ret, struct err *err) MUST_CHECK;
struct keys *keys_ref(struct keys *keys);
void keys_unref(struct keys *keys); /* NULL is fine; the last one wipes the keys */
/* Takes bytes, and copies kid. */
void keys_add(struct keys *keys, const char *kid, char *bytes, size_t len);
/* Before the set is shared: a key that is in old, too, or twice in the set, keeps its number; any
 * other gets the next one after *last. old NULL: none. */
void keys_number(struct keys *keys, const struct keys *old, uint64_t *last);
bool keys_have(const struct keys *keys, uint64_t number); /* keys NULL: false */

/* A PEM text anywhere in it: a public key, which everybody knows and which must never serve as a
 * secret. */
bool looks_like_pem(struct span text);

/* -- pem.c -- */
/* Reads a public key or a certificate; NULL: neither. */
EVP_PKEY *pem_read(struct span text);
/* Why the key cannot verify that algorithm; NULL: it can. */
const char *pem_unfit(const EVP_PKEY *pkey, const struct algorithm *algorithm);
char *pem_write(const EVP_PKEY *pkey); /* malloc'ed, NULL: OpenSSL refused */

/* -- signature.c -- */
/* Once, before the key is shared. False: OpenSSL refuses it. */
bool signature_prepare(struct key *key, const struct algorithm *algorithm);
void signature_forget(struct key *key); /* also of a key that was never prepared */
/* Is it that key's signature of the text, header.payload? signature is decoded. */
bool signature_good(const struct key *key, const struct algorithm *algorithm, struct span text,
	struct span signature);

/* -- jwks.c -- */
/* Adds every key of a JWK set (RFC 7517) that may verify that algorithm. path is for messages. */
enum status jwks_read(struct keys *keys, struct span text, const char *path,
	const struct algorithm *algorithm, struct err *err) MUST_CHECK;

#endif
