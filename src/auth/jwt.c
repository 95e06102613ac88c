/* Verifies a JWT (RFC 7519, JWS compact form).
 *
 *   1. The header is decoded strictly (base64url.c) and parsed by jansson, which refuses repeated
 *      names and, in this mode, NUL inside strings. Its alg must be JWT_ALGORITHM before any key is
 *      touched: a token never chooses how it is verified. `crit` (RFC 7515 section 4.1.11) names
 *      extensions that we lack: refused.
 *   2. The signature is checked (signature.c) with the keys that have the header's kid, or with all
 *      when none has it.
 *   3. libjwt has its say on the whole token, and the header is remembered by its text: for the
 *      tokens that come with the same one, step 1 and this one are done. So nothing but what a key
 *      of ours has signed gets to libjwt, and what differs from token to token is read once, here.
 *      libjwt refuses a typ other than JWT: access tokens of RFC 9068 (`at+jwt`) do not pass.
 *   4. The payload, read as strictly as the header: exp must be there; exp, nbf and iat have 30 s of
 *      leeway; iss and aud where they are configured; the user claim is a string or an integer.
 */
#include "auth/claims.h"

#include <jansson.h>
#include <jwt.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "auth/base64url.h"
#include "auth/headers.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

#define PART_MAX 8192              /* a token is no longer */
#define MALFORMED "it is no header.payload.signature of JSON in base64url"
#define SECONDS_MAX 253402300799.0 /* the year 9999; whatever expires later counts as then */

/* Whoever makes the tokens must be able to learn what is wrong with one; whoever sends it is told
 * nothing. Names of claims only, nothing that the token says. */
static bool refuse(const char *why, const char *name)
{
	log_debug("auth", "a JSON Web Token is refused: %s%s", why, name);
	return false;
}

static json_t *decode_object(struct span part)
{
	AUTO_BUF struct buf text = buf_init(PART_MAX);
	json_t *root;

	if (!base64url_decode(part, &text) || !text.len || memchr(text.bytes, 0, text.len))
		return NULL; /* jansson swallows a NUL after a number, libjwt ends there: two
				readings */
	root = json_loadb(buf_as_span(&text).p, text.len, JSON_REJECT_DUPLICATES, NULL);
	if (root && !json_is_object(root)) {
		json_decref(root);
		return NULL;
	}
	return root;
}

static bool header_fits(const json_t *header, const struct algorithm *algorithm)
{
	const char *alg = json_string_value(json_object_get(header, "alg"));
	const json_t *kid = json_object_get(header, "kid");

	return alg && strcmp(alg, algorithm->name) == 0 &&
	       !json_object_get(header, "crit") && (!kid || json_is_string(kid));
}

/* header.payload.signature, and the first two as they are signed. */
struct parts {
	struct span token, header, payload, text;
	struct buf signature; /* decoded */
};

static bool split(struct parts *parts, struct span token)
{
	const char *end = token.p + token.len, *first = memchr(token.p, '.', token.len);
	const char *second = first ? memchr(first + 1, '.', (size_t)(end - first) - 1) : NULL;

	if (!second)
		return false;
	parts->token = token;
	parts->header = (struct span){token.p, (size_t)(first - token.p)};
	parts->payload = (struct span){first + 1, (size_t)(second - first) - 1};
	parts->text = (struct span){token.p, (size_t)(second - token.p)};
	return base64url_decode(
		(struct span){second + 1, (size_t)(end - second) - 1}, &parts->signature);
}

static bool libjwt_takes(
	const struct parts *parts, const struct key *key, const struct algorithm *algorithm)
{
	char *token = mem_text_n(parts->token.p, parts->token.len);
	jwt_t *jwt = NULL;
	bool good =
		key->len && key->len <= INT_MAX &&
		jwt_decode(&jwt, token, (const unsigned char *)key->bytes, (int)key->len) == 0 &&
		jwt && jwt_get_alg(jwt) == jwt_str_alg(algorithm->name);

	jwt_free(jwt);
	mem_wipe_free(token);
	return good;
}

static bool has_kid(const struct key *key, const char *kid)
{
	return kid && key->kid && strcmp(key->kid, kid) == 0;
}

/* NULL: none of them. */
static const struct key *find_signer(const struct keys *keys, const char *kid,
	const struct parts *parts, const struct algorithm *algorithm)
{
	const struct key *signer = NULL;
	bool named = false;

	for (size_t i = 0; i < keys->count; i++)
		named |= has_kid(&keys->items[i], kid);
	for (size_t i = 0; i < keys->count && !signer; i++)
		if ((!named || has_kid(&keys->items[i], kid)) &&
			signature_good(&keys->items[i], algorithm, parts->text,
				buf_as_span(&parts->signature)))
			signer = &keys->items[i];
	if (!signer)
		refuse("its signature is not by the configured key", "");
	return signer;
}

static const struct key *judge_header(const struct keys *keys, const struct algorithm *algorithm,
	const struct parts *parts, const json_t *header)
{
	const char *kid = json_string_value(json_object_get(header, "kid"));
	const struct key *signer;

	if (!header_fits(header, algorithm)) {
		refuse("its header must have no crit and the alg of JWT_ALGORITHM, ",
			algorithm->name);
		return NULL;
	}
	signer = find_signer(keys, kid, parts, algorithm);
	if (!signer)
		return NULL;
	if (libjwt_takes(parts, signer, algorithm)) {
		headers_add(keys->headers, parts->header, kid);
		return signer;
	}
	refuse("libjwt does not take it: its typ is not JWT, or its payload no JSON", "");
	return NULL;
}

static const struct key *verify_signature(
	const struct keys *keys, const struct algorithm *algorithm, const struct parts *parts)
{
	const struct header *known = headers_find(keys->headers, parts->header);
	const struct key *signer = NULL;
	json_t *header;

	if (known)
		return find_signer(keys, known->kid, parts, algorithm);
	header = decode_object(parts->header);
	if (header)
		signer = judge_header(keys, algorithm, parts, header);
	else
		refuse(MALFORMED, "");
	json_decref(header);
	return signer;
}

/* A NumericDate in ms. */
static bool get_date(const json_t *payload, const char *name, int64_t *ms)
{
	const json_t *value = json_object_get(payload, name);
	double seconds;

	if (!json_is_number(value))
		return false;
	seconds = json_number_value(value);
	if (seconds < 0)
		return false;
	*ms = (int64_t)((seconds < SECONDS_MAX ? seconds : SECONDS_MAX) * 1000);
	return true;
}

static bool not_after_now(const json_t *payload, const char *name, int64_t now)
{
	int64_t when;

	if (!json_object_get(payload, name))
		return true;
	return get_date(payload, name, &when) && when <= now + JWT_LEEWAY_MS;
}

static bool equals(const json_t *value, const char *text)
{
	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static bool audience_good(const json_t *aud, const char *audience)
{
	if (!audience || equals(aud, audience))
		return true;
	for (size_t i = 0; i < json_array_size(aud); i++)
		if (equals(json_array_get(aud, i), audience))
			return true;
	return false;
}

static bool get_user(const json_t *value, struct claims *claims)
{
	json_int_t number;

	if (json_is_string(value) && json_string_length(value)) {
		claims->user = mem_text(json_string_value(value));
		return true;
	}
	if (!json_is_integer(value))
		return false;
	number = json_integer_value(value);
	claims->user = mem_format("%lld", (long long)number);
	claims->numeric = number >= INT32_MIN && number <= INT32_MAX;
	return true;
}

static bool read_claims(
	const json_t *payload, const struct jwt_policy *policy, int64_t now, struct claims *claims)
{
	struct claims found = {0};

	if (!get_date(payload, "exp", &found.expires))
		return refuse("it has no exp, seconds since 1970", "");
	if (found.expires + JWT_LEEWAY_MS <= now)
		return refuse("it is past its exp", "");
	if (!not_after_now(payload, "nbf", now) || !not_after_now(payload, "iat", now))
		return refuse("its nbf or iat is not in the past", "");
	if (policy->issuer && !equals(json_object_get(payload, "iss"), policy->issuer))
		return refuse("its iss is not JWT_ISSUER", "");
	if (!audience_good(json_object_get(payload, "aud"), policy->audience))
		return refuse("its aud is not JWT_AUDIENCE", "");
	if (!get_user(json_object_get(payload, policy->user_claim), &found))
		return refuse("it has no user, a string or an integer, in its claim ",
			policy->user_claim);
	*claims = found;
	return true;
}

bool claims_verify(const struct keys *keys, const struct jwt_policy *policy, struct span token,
	int64_t now, struct claims *claims)
{
	struct parts parts = {.signature = buf_init(PART_MAX)};
	const struct key *signer = NULL;
	json_t *payload = NULL;
	bool good = false;

	if (split(&parts, token))
		signer = verify_signature(keys, policy->algorithm, &parts);
	else
		refuse(MALFORMED, "");
	buf_finish(&parts.signature);
	ERR_clear_error(); /* TLS on this thread must not find what a bad token left */
	if (!signer)
		return false;
	payload = decode_object(parts.payload);
	good = payload ? read_claims(payload, policy, now, claims) : refuse(MALFORMED, "");
	json_decref(payload);
	if (good)
		claims->key = signer->number;
	return good;
}

void claims_finish(struct claims *claims)
{
	free(claims->user);
	*claims = (struct claims){0};
}
