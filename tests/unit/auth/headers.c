/* Prevents: a header that is remembered and then vouches for more than it says: for another signature, another key or
 * algorithm, for claims that nobody checks any more; a memory of headers that strangers fill; keys shared by threads that
 * disturb each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "auth/claims.h"
#include "auth/headers.h"
#include "auth/keys.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tokens.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define SECRET "a secret of more than thirty-two bytes"

static EVP_PKEY *rsa, *other_rsa, *p256, *other_p256;

static char *text_of(size_t len, unsigned number)
{
	char *text = mem_alloc(len + 1);

	memset(text, 'x', len);
	text[len] = 0;
	for (size_t i = len; number; number /= 26)
		text[--i] = (char)('a' + number % 26);
	return text;
}

static void test_bound(void **state)
{
	struct headers *headers = headers_create();
	char *lines[HEADERS_MAX + 1], *longer = text_of(HEADER_TEXT_MAX + 1, 0), kid[20];

	(void)state;
	for (unsigned i = 0; i < COUNT(lines); i++) {
		lines[i] = text_of(40, i + 1);
		assert_null(headers_find(headers, span_of(lines[i])));
		snprintf(kid, sizeof(kid), "kid %u", i);
		headers_add(headers, span_of(lines[i]), i % 2 ? kid : NULL);
		headers_add(headers, span_of(lines[i]), "a second time");
	}
	headers_add(headers, span_of(longer), NULL);
	assert_int_equal(headers_count(headers), HEADERS_MAX);
	assert_null(headers_find(headers, span_of(longer)));
	assert_null(headers_find(headers, span_of(lines[HEADERS_MAX])));
	assert_null(headers_find(headers, (struct span){lines[0], 39}));
	for (unsigned i = 0; i < HEADERS_MAX; i++) {
		const struct header *header = headers_find(headers, span_of(lines[i]));

		snprintf(kid, sizeof(kid), "kid %u", i);
		assert_true(header && span_is(header->text, lines[i]));
		assert_true(i % 2 ? header->kid && strcmp(header->kid, kid) == 0 : !header->kid);
	}
	for (unsigned i = 0; i < COUNT(lines); i++)
		free(lines[i]);
	free(longer);
	headers_destroy(headers);
	headers_destroy(NULL);
}

/* -- what is verified when the header is known -- */

struct issuer {
	const char *alg;
	EVP_PKEY *pkey, *other;
	const char *secret, *other_secret;
};

static struct issuer issuers[] = {
	{"HS256", NULL, NULL, SECRET, SECRET "2"}, {"RS256", NULL, NULL, NULL, NULL}, {"ES256", NULL, NULL, NULL, NULL}};

static char *payload_of(const char *user, int seconds)
{
	return mem_format("{\"sub\":\"%s\",\"exp\":%lld}", user, (long long)clock_wall_ms() / 1000 + seconds);
}

static char *token_of(const struct issuer *issuer, bool other, const char *header, const char *user, int seconds)
{
	char *payload = payload_of(user, seconds);
	char *token = sign(header, payload, issuer->alg, other ? issuer->other : issuer->pkey, other ? issuer->other_secret : issuer->secret);

	free(payload);
	return token;
}

static struct auth *create(const struct issuer *issuer)
{
	char *pem = issuer->pkey ? to_pem(issuer->pkey) : NULL, *path = pem ? write_file("key.pem", pem) : NULL;
	struct err err = {""};
	struct auth *auth = auth_create(
		&(struct auth_config){.jwt_secret = issuer->secret, .jwt_public_key_file = path, .jwt_algorithm = issuer->alg}, &err);

	if (!auth)
		fail_msg("%s", err.text);
	free(pem);
	free(path);
	return auth;
}

/* NULL: refused. */
static char *user_of(const struct auth *auth, const char *token)
{
	struct identity identity = {.user = NULL};
	enum auth_verdict verdict = auth_check(auth, span_of(token), &identity);

	if ((verdict == AUTH_GRANTED) != (identity.user != NULL))
		abort();
	return identity.user;
}

static bool grants(const struct auth *auth, const char *token, const char *expected)
{
	char *user = user_of(auth, token);
	bool good = user && strcmp(user, expected) == 0;

	free(user);
	return good;
}

/* Takes token. */
static void must_refuse(const struct auth *auth, char *token, const char *alg, const char *what)
{
	char *user = user_of(auth, token);

	if (user)
		fail_msg("%s: %s was let in", alg, what);
	free(token);
}

static char *with_signature(const char *token, const void *bytes, size_t len)
{
	char *signature = encode(bytes, len);
	char *other = mem_format("%.*s.%s", (int)(strrchr(token, '.') - token), token, signature);

	free(signature);
	return other;
}

static void refuse_signatures(const struct auth *auth, const char *alg, const char *good)
{
	static const unsigned char zeros[512], ones[64] = {[31] = 1, [63] = 1};
	/* r and s of 1 as OpenSSL would write them */
	static const unsigned char der[] = {0x30, 6, 2, 1, 1, 2, 1, 1};
	const size_t lens[] = {0, 1, 31, 32, 33, 63, 64, 65, 255, 256, 257, 512};
	size_t len = strlen(good);

	for (size_t i = 0; i < COUNT(lens); i++)
		must_refuse(auth, with_signature(good, zeros, lens[i]), alg, "a signature of zeros");
	must_refuse(auth, with_signature(good, ones, sizeof(ones)), alg, "r = s = 1");
	must_refuse(auth, with_signature(good, der, sizeof(der)), alg, "a signature in DER");
	must_refuse(auth, mem_text_n(good, len - 1), alg, "a shorter token");
	must_refuse(auth, mem_format("%sA", good), alg, "a longer token");
	must_refuse(auth, mem_format("%sAAAA", good), alg, "a longer token");
	must_refuse(auth, mem_text_n(good, (size_t)(strrchr(good, '.') - good) + 1), alg, "no signature");
	for (size_t at = (size_t)(strchr(good, '.') - good) + 1; at < len; at += 5) {
		char *changed = mem_text(good);

		if (good[at] == '.')
			at++;
		changed[at] = good[at] == 'A' ? 'B' : 'A';
		must_refuse(auth, changed, alg, "a changed character");
	}
}

static void test_forged(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(issuers); i++) {
		struct issuer *issuer = &issuers[i];
		struct auth *auth = create(issuer);
		char *header = mem_format("{\"alg\":\"%s\",\"typ\":\"JWT\"}", issuer->alg), *pem = issuer->pkey ? to_pem(issuer->pkey) : NULL;
		char *good = token_of(issuer, false, header, "alice", 60), *second = token_of(issuer, false, header, "bob", 60);
		struct issuer confused = {"HS256", NULL, NULL, pem, NULL};

		assert_true(grants(auth, good, "alice"));
		assert_true(grants(auth, second, "bob"));
		assert_true(grants(auth, good, "alice"));
		must_refuse(auth, token_of(issuer, true, header, "alice", 60), issuer->alg, "another's signature");
		must_refuse(auth, token_of(issuer, false, header, "alice", -60), issuer->alg, "an expired token");
		must_refuse(auth, token_of(issuer, false, "{\"alg\":\"none\"}", "alice", 60), issuer->alg, "another alg");
		if (pem) {
			must_refuse(auth, token_of(&confused, false, header, "alice", 60), issuer->alg, "the public key as a secret");
			must_refuse(auth, token_of(&confused, false, "{\"alg\":\"HS256\"}", "alice", 60), issuer->alg, "the same, under its name");
		}
		refuse_signatures(auth, issuer->alg, good);
		auth_destroy(auth);
		free(header);
		free(pem);
		free(good);
		free(second);
	}
}

static struct keys *keys_of_secret(const struct algorithm *algorithm)
{
	struct keys *keys = NULL;
	struct err err = {""};

	assert_int_equal(keys_load(&(struct key_source){.secret = SECRET}, algorithm, &keys, &err), STATUS_OK);
	return keys;
}

/* Only the header of a token that is good in every way, its claims apart. */
static void test_remembered(void **state)
{
	const struct {
		const char *header, *payload, *secret;
		size_t count;
	} cases[] = {
		{"{\"alg\":\"HS256\"}", "{\"sub\":\"a\",\"exp\":9999999999}", SECRET "2", 0},
		{"{\"alg\":\"HS256\"}", "{", SECRET, 0},
		{"{\"alg\":\"HS512\"}", "{\"sub\":\"a\",\"exp\":9999999999}", SECRET, 0},
		{"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", "{\"sub\":\"a\",\"exp\":9999999999}", SECRET, 0},
		{"{\"alg\":\"HS256\",\"crit\":[]}", "{\"sub\":\"a\",\"exp\":9999999999}", SECRET, 0},
		{"{\"alg\":\"HS256\"}", "{\"sub\":\"a\",\"exp\":9999999999}", SECRET, 1},
		{"{\"alg\":\"HS256\",\"kid\":\"k\"}", "{\"sub\":\"a\"}", SECRET, 2},
	};
	const struct jwt_policy policy = {.algorithm = algorithm_find("HS256"), .user_claim = "sub"};
	struct keys *keys = keys_of_secret(policy.algorithm);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = sign(cases[i].header, cases[i].payload, "HS256", NULL, cases[i].secret);

		for (int again = 0; again < 2; again++) {
			struct claims claims = {0};
			bool good = claims_verify(keys, &policy, span_of(token), clock_wall_ms(), &claims);

			if (good != (cases[i].count == 1) || headers_count(keys->headers) != cases[i].count)
				fail_msg("case %zu", i);
			claims_finish(&claims);
		}
		free(token);
	}
	keys_unref(keys);
}

/* A header with the kid of one key does not let in what another has signed; one without a kid is shared by both. */
static void test_set(void **state)
{
	json_t *root = json_pack("{s:[o,o]}", "keys", to_jwk(p256, "one"), to_jwk(other_p256, "two"));
	char *text = json_dumps(root, 0), *path = write_file("set.json", text);
	struct auth *auth = auth_create(&(struct auth_config){.jwt_jwks_file = path, .jwt_algorithm = "ES256"}, NULL);
	const struct issuer *issuer = &issuers[2];
	struct identity first = {.user = NULL}, second = {.user = NULL};
	char *tokens[] = {token_of(issuer, false, "{\"alg\":\"ES256\"}", "alice", 60), token_of(issuer, true, "{\"alg\":\"ES256\"}", "alice", 60)};

	(void)state;
	for (int again = 0; again < 2; again++) {
		char *one = token_of(issuer, false, "{\"alg\":\"ES256\",\"kid\":\"one\"}", "alice", 60);

		assert_true(grants(auth, one, "alice"));
		must_refuse(auth, token_of(issuer, true, "{\"alg\":\"ES256\",\"kid\":\"one\"}", "bob", 60), "ES256", "another key of the set");
		free(one);
	}
	assert_int_equal(auth_check(auth, span_of(tokens[0]), &first), AUTH_GRANTED);
	assert_int_equal(auth_check(auth, span_of(tokens[1]), &second), AUTH_GRANTED);
	assert_int_not_equal(first.voucher, second.voucher);
	free(first.user);
	free(second.user);
	free(tokens[0]);
	free(tokens[1]);
	auth_destroy(auth);
	free(path);
	free(text);
	json_decref(root);
}

/* The same header before and after: what was remembered belonged to the key that is gone. */
static void test_rotated(void **state)
{
	const struct issuer *issuer = &issuers[1];
	struct auth *auth = create(issuer);
	char *pem = to_pem(issuer->other);
	char *old = token_of(issuer, false, "{\"alg\":\"RS256\"}", "alice", 60), *fresh = token_of(issuer, true, "{\"alg\":\"RS256\"}", "alice", 60);

	(void)state;
	assert_true(grants(auth, old, "alice"));
	assert_false(grants(auth, fresh, "alice"));
	free(write_file("key.pem", pem));
	assert_int_equal(auth_reload(auth, NULL, NULL, NULL), STATUS_OK);
	assert_true(grants(auth, fresh, "alice"));
	assert_false(grants(auth, old, "alice"));
	must_refuse(auth, token_of(issuer, false, "{\"alg\":\"RS256\"}", "bob", 60), "RS256", "a new token of the old key");
	auth_destroy(auth);
	free(pem);
	free(old);
	free(fresh);
}

/* -- threads that verify with one key -- */

#define TOKENS 60

struct crowd {
	const struct auth *auth;
	char *tokens[TOKENS], *bad;
	int first;
};

static void *verify_all(void *context)
{
	const struct crowd *crowd = context;

	for (int i = 0; i < TOKENS; i++)
		if (!grants(crowd->auth, crowd->tokens[(crowd->first + i) % TOKENS], "alice") || grants(crowd->auth, crowd->bad, "alice"))
			abort();
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(issuers); i++) {
		struct auth *auth = create(&issuers[i]);
		char *header = mem_format("{\"alg\":\"%s\"}", issuers[i].alg);
		struct crowd crowd = {.auth = auth, .bad = token_of(&issuers[i], true, header, "alice", 60)}, crowds[3];
		pthread_t threads[COUNT(crowds)];

		for (int n = 0; n < TOKENS; n++)
			crowd.tokens[n] = token_of(&issuers[i], false, header, "alice", 60 + n);
		for (int n = 0; n < (int)COUNT(threads); n++) {
			crowds[n] = crowd;
			crowds[n].first = n * 7;
			assert_int_equal(pthread_create(&threads[n], NULL, verify_all, &crowds[n]), 0);
		}
		for (int n = 0; n < 20; n++)
			assert_int_equal(auth_reload(auth, NULL, NULL, NULL), STATUS_OK);
		for (size_t n = 0; n < COUNT(threads); n++)
			pthread_join(threads[n], NULL);
		for (int n = 0; n < TOKENS; n++)
			free(crowd.tokens[n]);
		free(crowd.bad);
		free(header);
		auth_destroy(auth);
	}
}

static int make_keys(void **state)
{
	(void)state;
	rsa = issuers[1].pkey = make_rsa(2048);
	other_rsa = issuers[1].other = make_rsa(2048);
	p256 = issuers[2].pkey = make_ec("P-256");
	other_p256 = issuers[2].other = make_ec("P-256");
	return 0;
}

static int free_keys(void **state)
{
	EVP_PKEY *keys[] = {rsa, other_rsa, p256, other_p256};

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++)
		EVP_PKEY_free(keys[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_remembered),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_rotated),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
