/* Who bears a token, asked in this order: the operator, TEST, a JWT, the token table.
 *
 * A token that has the shape of a JWT where a JWT key is set stands or falls as one: were the table
 * asked next, whoever can write a row there could forge a signature with it. The operator's token
 * is kept and compared as its SHA-256 only.
 *
 * Every key has a number, and so has the operator's token; an identity carries the one that vouched
 * for it, so that after a reload those whose key is gone can be found (auth_vouches()).
 *
 * What can change after auth_create() hangs behind pointers, so that many threads can share a const
 * struct auth: the current set of keys, swapped under a mutex that is held for a pointer's copy.
 */
#include "auth/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "auth/cache.h"
#include "auth/claims.h"
#include "auth/keys.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

#define TOKEN_MAX 8192

struct current {
	pthread_mutex_t lock; /* what checks read: keys, operator_digest, operator */
	struct keys *keys;
	unsigned char operator_digest[DIGEST_LEN];
	uint64_t operator;    /* number of the operator's token */
	char *secret;         /* the reloading thread's */
	uint64_t last_number; /* given to a key or an operator's token; the reloading thread's */
};

struct auth {
	bool has_operator, allow_test_token, has_table, has_jwt;
	struct jwt_policy policy;
	char *public_key_file, *jwks_file, *user_claim, *issuer, *audience;
	EVP_MD *sha256; /* looked up once */
	struct current *current;
};

static void digest(const struct auth *auth, struct span token, unsigned char out[DIGEST_LEN])
{
	if (EVP_Digest(token.p, token.len, out, NULL, auth->sha256, NULL) != 1)
		abort(); /* a digest that is not one would let the wrong token in */
}

/* At creation, or under the lock. */
static void take_operator(const struct auth *auth, const char *token)
{
	struct current *current = auth->current;
	unsigned char given[DIGEST_LEN];

	digest(auth, span_of(token), given);
	if (current->operator && CRYPTO_memcmp(given, current->operator_digest, DIGEST_LEN) == 0)
		return;
	memcpy(current->operator_digest, given, DIGEST_LEN);
	current->operator = ++current->last_number;
}

static char *text_or_null(const char *text)
{
	return text && *text ? mem_text(text) : NULL;
}

static void copy_config(struct auth *auth, const struct auth_config *config)
{
	auth->allow_test_token = config->allow_test_token;
	auth->has_table = config->has_table;
	auth->current->secret = text_or_null(config->jwt_secret);
	auth->public_key_file = text_or_null(config->jwt_public_key_file);
	auth->jwks_file = text_or_null(config->jwt_jwks_file);
	auth->issuer = text_or_null(config->jwt_issuer);
	auth->audience = text_or_null(config->jwt_audience);
	auth->user_claim = text_or_null(config->jwt_user_claim);
	if (!auth->user_claim)
		auth->user_claim = mem_text("sub");
	auth->policy.user_claim = auth->user_claim;
	auth->policy.issuer = auth->issuer;
	auth->policy.audience = auth->audience;
	auth->has_operator = config->security_token && *config->security_token;
	if (auth->has_operator)
		take_operator(auth, config->security_token);
}

static enum status choose_algorithm(struct auth *auth, const char *name, struct err *err)
{
	char list[128];
	bool file = auth->public_key_file, jwks = auth->jwks_file;

	if (!name || !*name)
		name = "HS256";
	algorithm_list(list, sizeof(list));
	auth->policy.algorithm = algorithm_find(name);
	if (!auth->policy.algorithm)
		return err_set(err, STATUS_INVALID, "JWT_ALGORITHM: \"%.40s\" is not one of %s",
			name, list);
	if (auth->policy.algorithm->family == FAMILY_HMAC && file)
		return err_set(err, STATUS_INVALID,
			"JWT_ALGORITHM: %s takes a secret, but JWT_PUBLIC_KEY_FILE names a public "
			"key; set the algorithm that its owner signs with, RS256 or ES256 for "
			"example",
			name);
	if (auth->policy.algorithm->family != FAMILY_HMAC && !file && !jwks)
		return err_set(err, STATUS_INVALID,
			"JWT_ALGORITHM: %s takes a public key (JWT_PUBLIC_KEY_FILE or "
			"JWT_JWKS_FILE), but JWT_SECRET is set",
			name);
	return STATUS_OK;
}

static enum status load(
	const struct auth *auth, const char *secret, struct keys **keys, struct err *err)
{
	struct key_source source = {secret, auth->public_key_file, auth->jwks_file};
	struct current *current = auth->current;
	enum status status = keys_load(&source, auth->policy.algorithm, keys, err);

	if (status == STATUS_OK)
		keys_number(*keys, current->keys, &current->last_number);
	return status;
}

static enum status set_up_jwt(struct auth *auth, const struct auth_config *config, struct err *err)
{
	int sources = !!auth->current->secret + !!auth->public_key_file + !!auth->jwks_file;
	enum status status;

	if (!sources)
		return STATUS_OK;
	if (sources > 1)
		return err_set(err, STATUS_INVALID,
			"%s and %s are both set: only one of JWT_SECRET, JWT_PUBLIC_KEY_FILE and "
			"JWT_JWKS_FILE may be",
			auth->current->secret ? "JWT_SECRET" : "JWT_PUBLIC_KEY_FILE",
			auth->jwks_file ? "JWT_JWKS_FILE" : "JWT_PUBLIC_KEY_FILE");
	auth->has_jwt = true;
	status = choose_algorithm(auth, config->jwt_algorithm, err);
	return status == STATUS_OK ? load(auth, auth->current->secret, &auth->current->keys, err) : status;
}

struct auth *auth_create(const struct auth_config *config, struct err *err)
{
	struct auth *auth = mem_zero(1, sizeof(*auth));

	auth->current = mem_zero(1, sizeof(*auth->current));
	pthread_mutex_init(&auth->current->lock, NULL);
	auth->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	copy_config(auth, config);
	if (set_up_jwt(auth, config, err) == STATUS_OK)
		return auth;
	auth_destroy(auth);
	return NULL;
}

void auth_destroy(struct auth *auth)
{
	if (!auth)
		return;
	keys_unref(auth->current->keys);
	pthread_mutex_destroy(&auth->current->lock);
	mem_wipe_free(auth->current->secret);
	free(auth->current);
	EVP_MD_free(auth->sha256);
	free(auth->public_key_file);
	free(auth->jwks_file);
	free(auth->user_claim);
	free(auth->issuer);
	free(auth->audience);
	free(auth);
}

static void take_secret(struct auth *auth, const char *jwt_secret)
{
	if (!jwt_secret || !auth->current->secret)
		return;
	mem_wipe_free(auth->current->secret);
	auth->current->secret = mem_text(jwt_secret);
}

enum status auth_reload(
	struct auth *auth, const char *security_token, const char *jwt_secret, struct err *err)
{
	struct current *current = auth->current;
	struct keys *fresh = NULL, *old = NULL;
	enum status status = STATUS_OK;

	if (auth->has_jwt)
		status = load(auth, current->secret && jwt_secret ? jwt_secret : current->secret, &fresh, err);
	if (status != STATUS_OK)
		return status;
	take_secret(auth, jwt_secret);
	pthread_mutex_lock(&current->lock);
	if (fresh) {
		old = current->keys;
		current->keys = fresh;
	}
	if (auth->has_operator && security_token && *security_token)
		take_operator(auth, security_token);
	pthread_mutex_unlock(&current->lock);
	keys_unref(old);
	return STATUS_OK;
}

static struct keys *current_keys(const struct auth *auth)
{
	struct keys *keys;

	pthread_mutex_lock(&auth->current->lock);
	keys = keys_ref(auth->current->keys);
	pthread_mutex_unlock(&auth->current->lock);
	return keys;
}

bool auth_has_operator(const struct auth *auth)
{
	return auth->has_operator;
}

/* Number of the operator's token; 0: it is not that. */
static uint64_t operator_number(const struct auth *auth, const unsigned char given[DIGEST_LEN])
{
	uint64_t number = 0;

	if (!auth->has_operator)
		return 0;
	pthread_mutex_lock(&auth->current->lock);
	if (CRYPTO_memcmp(given, auth->current->operator_digest, DIGEST_LEN) == 0)
		number = auth->current->operator;
	pthread_mutex_unlock(&auth->current->lock);
	return number;
}

bool auth_is_operator(const struct auth *auth, struct span token)
{
	unsigned char given[DIGEST_LEN];

	if (!auth->has_operator || !token.p)
		return false;
	digest(auth, token, given);
	return operator_number(auth, given) != 0;
}

bool auth_vouches(const struct auth *auth, uint64_t voucher)
{
	struct current *current = auth->current;
	bool found;

	if (!voucher)
		return true;
	pthread_mutex_lock(&current->lock);
	found = current->operator == voucher || keys_have(current->keys, voucher);
	pthread_mutex_unlock(&current->lock);
	return found;
}

static bool well_formed(struct span token)
{
	return token.p && token.len && token.len <= TOKEN_MAX && !memchr(token.p, 0, token.len) &&
	       utf8_valid(token.p, token.len);
}

static bool shaped_like_jwt(struct span token)
{
	size_t dots = 0;

	for (size_t i = 0; i < token.len; i++)
		dots += token.p[i] == '.';
	return dots == 2;
}

/* Takes claims' user. A session ends at exp; one that begins in the leeway after it lasts until
 * that is over. */
static enum auth_verdict grant_user(struct claims *claims, int64_t now, struct identity *identity)
{
	if (claims->expires + JWT_LEEWAY_MS <= now) {
		claims_finish(claims);
		return AUTH_REFUSED;
	}
	*identity = (struct identity){.kind = IDENTITY_USER,
		.user = claims->user,
		.numeric = claims->numeric,
		.expires =
			claims->expires > now ? claims->expires : claims->expires + JWT_LEEWAY_MS,
		.voucher = claims->key};
	return AUTH_GRANTED;
}

static enum auth_verdict check_jwt(const struct auth *auth, struct span token,
	const unsigned char key[DIGEST_LEN], struct identity *identity)
{
	struct keys *keys = current_keys(auth);
	int64_t now = clock_wall_ms();
	struct claims claims = {0};
	enum auth_verdict verdict = AUTH_REFUSED;

	if (cache_get(keys->cache, key, &claims)) {
		verdict = grant_user(&claims, now, identity);
		if (verdict == AUTH_REFUSED)
			cache_drop(keys->cache, key);
	} else if (claims_verify(keys, &auth->policy, token, now, &claims)) {
		cache_put(keys->cache, key, &claims);
		verdict = grant_user(&claims, now, identity);
	}
	keys_unref(keys);
	return verdict;
}

enum auth_verdict auth_check(const struct auth *auth, struct span token, struct identity *identity)
{
	unsigned char given[DIGEST_LEN];
	uint64_t operator;

	if (!well_formed(token))
		return AUTH_REFUSED;
	digest(auth, token, given);
	operator = operator_number(auth, given);
	if (operator) {
		*identity = (struct identity){.kind = IDENTITY_OPERATOR, .voucher = operator};
		return AUTH_GRANTED;
	}
	if (auth->allow_test_token && span_is(token, "TEST")) {
		*identity = (struct identity){
			.kind = IDENTITY_TEST, .user = mem_text("-1"), .numeric = false};
		return AUTH_GRANTED;
	}
	if (auth->has_jwt && shaped_like_jwt(token))
		return check_jwt(auth, token, given, identity);
	return auth->has_table ? AUTH_LOOKUP : AUTH_REFUSED;
}
