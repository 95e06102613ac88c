/* Prevents: somebody let in whom nobody vouches for (alg none, a public key used as a secret, an
 * expired or foreign token, a header that chooses its own verification), and somebody kept out who
 * should come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "auth/auth.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tokens.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define SECRET "a secret of more than thirty-two bytes"

static EVP_PKEY *rsa, *other_rsa, *small_rsa, *p256, *p384, *p521;

static struct auth *create(struct auth_config config)
{
	struct err err = {""};
	struct auth *auth = auth_create(&config, &err);

	if (!auth)
		fail_msg("%s", err.text);
	return auth;
}

static enum auth_verdict check(
	const struct auth *auth, const char *token, struct identity *identity)
{
	*identity = (struct identity){.user = NULL};
	return auth_check(auth, span_of(token), identity);
}

static bool grants(const struct auth *auth, const char *token, const char *user)
{
	struct identity identity;
	bool good = check(auth, token, &identity) == AUTH_GRANTED &&
		    identity.kind == IDENTITY_USER && strcmp(identity.user, user) == 0;

	free(identity.user);
	return good;
}

static bool refuses(const struct auth *auth, const char *token)
{
	struct identity identity;
	bool good = check(auth, token, &identity) == AUTH_REFUSED && !identity.user;

	free(identity.user);
	return good;
}

/* -- tokens that are not JWTs -- */

static void test_order(void **state)
{
	struct auth *auth = create((struct auth_config){.security_token = "operator",
		.allow_test_token = true,
		.has_table = true,
		.jwt_secret = SECRET});
	struct identity identity;

	(void)state;
	assert_int_equal(check(auth, "operator", &identity), AUTH_GRANTED);
	assert_int_equal(identity.kind, IDENTITY_OPERATOR);
	assert_null(identity.user);
	assert_int_equal(check(auth, "TEST", &identity), AUTH_GRANTED);
	assert_int_equal(identity.kind, IDENTITY_TEST);
	assert_string_equal(identity.user, "-1");
	assert_int_equal(identity.expires, 0);
	free(identity.user);
	assert_int_equal(check(auth, "test", &identity), AUTH_LOOKUP);
	assert_int_equal(check(auth, "a.b", &identity), AUTH_LOOKUP);
	assert_int_equal(
		check(auth, "a.b.c", &identity), AUTH_REFUSED); /* never falls back to the table */
	assert_int_equal(check(auth, "..", &identity), AUTH_REFUSED);
	assert_int_equal(check(auth, "a.b.c.d", &identity), AUTH_LOOKUP);
	assert_int_equal(check(auth, "{\"token\":1}", &identity), AUTH_LOOKUP);
	auth_destroy(auth);
}

static void test_without(void **state)
{
	struct auth *nothing = create((struct auth_config){.security_token = ""});
	struct auth *table = create((struct auth_config){
		.has_table = true, .jwt_secret = "", .jwt_algorithm = "HS256"});
	struct identity identity;

	(void)state;
	assert_true(refuses(nothing, "x"));
	assert_true(refuses(nothing, "TEST"));
	assert_true(refuses(nothing, ""));
	assert_false(auth_has_operator(nothing));
	assert_false(auth_is_operator(nothing, span_of("")));
	assert_int_equal(check(table, "a.b.c", &identity), AUTH_LOOKUP); /* no key: not a JWT */
	assert_int_equal(check(table, "TEST", &identity), AUTH_LOOKUP);
	assert_int_equal(auth_reload(table, NULL, NULL, NULL), STATUS_OK);
	auth_destroy(nothing);
	auth_destroy(table);
	auth_destroy(NULL);
}

static void test_malformed(void **state)
{
	struct auth *auth =
		create((struct auth_config){.security_token = "operator", .has_table = true});
	struct identity identity;
	char *big = malloc(9000);

	(void)state;
	memset(big, 'x', 9000);
	assert_int_equal(auth_check(auth, (struct span){big, 8192}, &identity), AUTH_LOOKUP);
	assert_int_equal(auth_check(auth, (struct span){big, 8193}, &identity), AUTH_REFUSED);
	assert_int_equal(auth_check(auth, (struct span){NULL, 0}, &identity), AUTH_REFUSED);
	assert_int_equal(auth_check(auth, (struct span){"", 0}, &identity), AUTH_REFUSED);
	assert_int_equal(auth_check(auth, (struct span){"a\0b", 3}, &identity), AUTH_REFUSED);
	assert_int_equal(auth_check(auth, (struct span){"operator\0", 9}, &identity), AUTH_REFUSED);
	assert_int_equal(auth_check(auth, (struct span){"\xff", 1}, &identity), AUTH_REFUSED);
	assert_true(auth_is_operator(auth, span_of("operator")));
	assert_false(auth_is_operator(auth, span_of("operato")));
	assert_false(auth_is_operator(auth, span_of("operator ")));
	assert_false(auth_is_operator(auth, (struct span){NULL, 0}));
	free(big);
	auth_destroy(auth);
}

/* -- the claims -- */

/* <+60> becomes the second a minute from now. */
static char *fill_times(const char *template)
{
	char *payload = mem_zero(strlen(template) * 4 + 64, 1), *out = payload;
	long long now = clock_wall_ms() / 1000;

	while (*template) {
		char *end;

		if (*template != '<') {
			*out++ = *template ++;
			continue;
		}
		out += snprintf(out, 24, "%lld", now + strtoll(template + 1, &end, 10));
		template = end + 1;
	}
	return payload;
}

struct claims_case {
	const char *payload; /* as fill_times() reads it */
	const char *user;    /* NULL: refused; #7: numeric */
};

static const struct claims_case claims_cases[] = {
	{"{\"sub\":\"alice\",\"exp\":<+60>}", "alice"},
	{"{\"sub\":\"alice\",\"exp\":<+60>.5}", "alice"},
	{"{\"sub\":\"alice\",\"exp\":1e300}", "alice"},
	{"{\"sub\":\"alice\",\"exp\":<-20>}", "alice"}, /* within the leeway */
	{"{\"sub\":\"alice\",\"exp\":<-31>}", NULL},
	{"{\"sub\":\"alice\"}", NULL},
	{"{\"sub\":\"alice\",\"exp\":0}", NULL},
	{"{\"sub\":\"alice\",\"exp\":-1}", NULL},
	{"{\"sub\":\"alice\",\"exp\":\"<+60>\"}", NULL},
	{"{\"sub\":\"alice\",\"exp\":null}", NULL},
	{"{\"sub\":\"alice\",\"exp\":true}", NULL},
	{"{\"sub\":\"alice\",\"exp\":[1]}", NULL},
	{"{\"sub\":\"alice\",\"exp\":<+60>,\"nbf\":<-60>}", "alice"},
	{"{\"sub\":\"alice\",\"exp\":<+60>,\"nbf\":<+20>}", "alice"},
	{"{\"sub\":\"alice\",\"exp\":<+90>,\"nbf\":<+40>}", NULL},
	{"{\"sub\":\"alice\",\"exp\":<+60>,\"nbf\":\"now\"}", NULL},
	{"{\"sub\":\"alice\",\"exp\":<+90>,\"iat\":<+40>}", NULL},
	{"{\"sub\":\"alice\",\"exp\":<+60>,\"iat\":<-5>}", "alice"},
	{"{\"sub\":7,\"exp\":<+60>}", "#7"},
	{"{\"sub\":-7,\"exp\":<+60>}", "#-7"},
	{"{\"sub\":2147483647,\"exp\":<+60>}", "#2147483647"},
	{"{\"sub\":2147483648,\"exp\":<+60>}", "2147483648"},
	{"{\"sub\":-2147483649,\"exp\":<+60>}", "-2147483649"},
	{"{\"sub\":9223372036854775808,\"exp\":<+60>}", NULL},
	{"{\"sub\":\"7\",\"exp\":<+60>}", "7"},
	{"{\"sub\":7.0,\"exp\":<+60>}", NULL},
	{"{\"sub\":\"\",\"exp\":<+60>}", NULL},
	{"{\"sub\":null,\"exp\":<+60>}", NULL},
	{"{\"sub\":true,\"exp\":<+60>}", NULL},
	{"{\"sub\":{},\"exp\":<+60>}", NULL},
	{"{\"exp\":<+60>}", NULL},
	{"{\"sub\":\"ali\\u0000ce\",\"exp\":<+60>}", NULL},
	{"{\"sub\":\"alice\",\"x\":\"\\u0000\",\"exp\":<+60>}", NULL},
	{"{\"sub\":\"alice\",\"sub\":\"bob\",\"exp\":<+60>}", NULL},
	{"{\"sub\":\"\\u00e9\\ud83d\\ude00\",\"exp\":<+60>}", "\xc3\xa9\xf0\x9f\x98\x80"},
	{"{\"sub\":\"constructor\",\"exp\":<+60>}", "constructor"},
	{"[]", NULL},
	{"\"sub\"", NULL},
	{"", NULL},
	{"{\"sub\":\"alice\",\"exp\":<+60>}x", NULL},
};

static void check_claims(const struct auth *auth, const struct claims_case *c, const char *header)
{
	char *payload = fill_times(c->payload),
	     *token = sign(header, payload, "HS256", NULL, SECRET);
	struct identity identity;
	enum auth_verdict verdict = check(auth, token, &identity);
	bool numeric = c->user && *c->user == '#';

	if (verdict != (c->user ? AUTH_GRANTED : AUTH_REFUSED))
		fail_msg("%s %s: verdict %d", header, payload, (int)verdict);
	if (c->user &&
		(strcmp(identity.user, c->user + numeric) != 0 || identity.numeric != numeric))
		fail_msg("%s: %s", payload, identity.user);
	free(identity.user);
	free(payload);
	free(token);
}

static void test_claims(void **state)
{
	struct auth *auth =
		create((struct auth_config){.jwt_secret = SECRET, .jwt_algorithm = "HS256"});

	(void)state;
	for (size_t i = 0; i < COUNT(claims_cases); i++)
		for (int again = 0; again < 2; again++) /* the second time from the cache */
			check_claims(auth, &claims_cases[i], "{\"alg\":\"HS256\",\"typ\":\"JWT\"}");
	auth_destroy(auth);
}

/* jansson reads over a NUL behind a number, where libjwt ends. */
static void test_raw_nul(void **state)
{
	struct auth *auth = create((struct auth_config){.jwt_secret = SECRET});

	(void)state;
	for (int with_nul = 0; with_nul < 2; with_nul++) {
		char *payload = fill_times("{\"sub\":\"alice\",\"exp\":<+60> ,\"x\":1}"), *token;
		size_t len = strlen(payload);

		if (with_nul)
			*strchr(payload, ' ') = 0;
		token = sign_span(
			"{\"alg\":\"HS256\"}", (struct span){payload, len}, "HS256", NULL, SECRET);
		assert_true(with_nul ? refuses(auth, token) : grants(auth, token, "alice"));
		free(token);
		free(payload);
	}
	auth_destroy(auth);
}

static void test_headers(void **state)
{
	static const struct claims_case good = {"{\"sub\":\"alice\",\"exp\":<+60>}", "alice"};
	static const struct claims_case bad = {"{\"sub\":\"alice\",\"exp\":<+60>}", NULL};
	const struct {
		const char *header;
		bool good;
	} cases[] = {
		{"{\"alg\":\"HS256\"}", true},
		{"{\"alg\":\"HS256\",\"kid\":\"x\"}", true},
		{"{\"alg\":\"none\"}", false},
		{"{\"alg\":\"None\"}", false},
		{"{\"alg\":\"NONE\"}", false},
		{"{\"alg\":\"hs256\"}", false},
		{"{\"alg\":\"HS512\"}", false},
		{"{\"alg\":\"RS256\"}", false},
		{"{\"alg\":null}", false},
		{"{\"alg\":[\"HS256\"]}", false},
		{"{}", false},
		{"[\"alg\",\"HS256\"]", false},
		{"{\"alg\":\"HS256\",\"alg\":\"none\"}", false},
		{"{\"alg\":\"none\",\"alg\":\"HS256\"}", false},
		{"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", false},
		{"{\"alg\":\"HS256\",\"kid\":7}", false},
		{"{\"alg\":\"HS256\"", false},
		{"", false},
	};
	struct auth *auth = create((struct auth_config){.jwt_secret = SECRET});

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		check_claims(auth, cases[i].good ? &good : &bad, cases[i].header);
	auth_destroy(auth);
}

static void test_issuer_audience(void **state)
{
	const struct claims_case cases[] = {
		{"{\"user\":\"a\",\"exp\":<+60>,\"iss\":\"https://id\",\"aud\":\"esink\"}", "a"},
		{"{\"user\":\"a\",\"exp\":<+60>,\"iss\":\"https://id\",\"aud\":[\"x\",\"esink\"]}",
			"a"},
		{"{\"user\":\"a\",\"exp\":<+60>,\"iss\":\"https://id\",\"aud\":[]}", NULL},
		{"{\"user\":\"a\",\"exp\":<+60>,\"iss\":\"https://id\",\"aud\":[\"x\",7]}", NULL},
		{"{\"user\":\"a\",\"exp\":<+60>,\"iss\":\"https://id\",\"aud\":\"esink2\"}", NULL},
		{"{\"user\":\"a\",\"exp\":<+60>,\"iss\":\"https://id\",\"aud\":{\"esink\":1}}",
			NULL},
		{"{\"user\":\"a\",\"exp\":<+60>,\"iss\":\"https://id\"}", NULL},
		{"{\"user\":\"a\",\"exp\":<+60>,\"iss\":\"https://id/\",\"aud\":\"esink\"}", NULL},
		{"{\"user\":\"a\",\"exp\":<+60>,\"iss\":[\"https://id\"],\"aud\":\"esink\"}", NULL},
		{"{\"user\":\"a\",\"exp\":<+60>,\"aud\":\"esink\"}", NULL},
		{"{\"sub\":\"a\",\"exp\":<+60>,\"iss\":\"https://id\",\"aud\":\"esink\"}", NULL},
	};
	struct auth *auth = create((struct auth_config){.jwt_secret = SECRET,
		.jwt_issuer = "https://id",
		.jwt_audience = "esink",
		.jwt_user_claim = "user"});

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		check_claims(auth, &cases[i], "{\"alg\":\"HS256\"}");
	auth_destroy(auth);
}

static int64_t expiry_of(const struct auth *auth, int offset)
{
	char *payload = mem_format(
		"{\"sub\":\"a\",\"exp\":%lld}", (long long)clock_wall_ms() / 1000 + offset);
	char *token = sign("{\"alg\":\"HS256\"}", payload, "HS256", NULL, SECRET);
	struct identity identity;

	assert_int_equal(check(auth, token, &identity), AUTH_GRANTED);
	free(identity.user);
	free(token);
	free(payload);
	return identity.expires - clock_wall_ms();
}

static void test_expires(void **state)
{
	struct auth *auth = create((struct auth_config){.jwt_secret = SECRET});

	(void)state;
	assert_int_equal(expiry_of(auth, 100), 100000);
	assert_int_equal(expiry_of(auth, -10), 20000); /* until the leeway is over */
	auth_destroy(auth);
}

/* A token that was good when it was remembered must not stay good: here it has 2 s of its leeway
 * left. */
static void test_expires_in_cache(void **state)
{
	struct auth *auth = create((struct auth_config){.jwt_secret = SECRET});
	char *payload = fill_times("{\"sub\":\"a\",\"exp\":<-28>}");
	char *token = sign("{\"alg\":\"HS256\"}", payload, "HS256", NULL, SECRET);

	(void)state;
	assert_true(grants(auth, token, "a"));
	pause_ms(1900);
	assert_true(grants(auth, token, "a"));
	pause_ms(100);
	assert_true(refuses(auth, token));
	free(token);
	free(payload);
	auth_destroy(auth);
}

/* -- signatures and keys -- */

static char *user_token(const char *alg, const char *kid, EVP_PKEY *pkey, const char *secret)
{
	char *header = kid ? mem_format("{\"alg\":\"%s\",\"kid\":\"%s\"}", alg, kid)
			   : mem_format("{\"alg\":\"%s\"}", alg);
	char *payload = fill_times("{\"sub\":\"alice\",\"exp\":<+60>}");
	char *token = sign(header, payload, alg, pkey, secret);

	free(header);
	free(payload);
	return token;
}

static void test_algorithms(void **state)
{
	const struct {
		const char *alg;
		EVP_PKEY *pkey;
	} cases[] = {
		{"HS256", NULL},
		{"HS384", NULL},
		{"HS512", NULL},
		{"RS256", rsa},
		{"RS384", rsa},
		{"RS512", rsa},
		{"ES256", p256},
		{"ES384", p384},
		{"ES512", p521},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *pem = cases[i].pkey ? to_pem(cases[i].pkey) : NULL,
		     *path = pem ? write_file("key.pem", pem) : NULL;
		struct auth *auth = create((struct auth_config){.jwt_secret = path ? NULL : SECRET,
			.jwt_public_key_file = path,
			.jwt_algorithm = cases[i].alg});

		for (size_t j = 0; j < COUNT(cases); j++) {
			char *token = user_token(
				cases[j].alg, NULL, cases[j].pkey, cases[j].pkey ? NULL : SECRET);

			if (grants(auth, token, "alice") != (i == j) ||
				refuses(auth, token) != (i != j))
				fail_msg("%s against %s", cases[j].alg, cases[i].alg);
			free(token);
		}
		auth_destroy(auth);
		free(pem);
		free(path);
	}
}

static void test_forged(void **state)
{
	char *pem = to_pem(rsa), *path = write_file("rsa.pem", pem);
	struct auth *auth =
		create((struct auth_config){.jwt_public_key_file = path, .jwt_algorithm = "RS256"});
	char *good = user_token("RS256", NULL, rsa, NULL);
	char *forged[] = {
		user_token("HS256", NULL, NULL, pem), /* the public key as a secret */
		user_token("RS256", NULL, NULL, pem), /* the same, under the right name */
		user_token("RS256", NULL, other_rsa, NULL),
		user_token("ES256", NULL, p256, NULL),
		user_token("RS256", NULL, p256, NULL),
		user_token("RS256", NULL, NULL, NULL), /* no signature */
		user_token("none", NULL, NULL, NULL),
		mem_format("%sA", good),
		mem_format("%s==", good),
		mem_format("%.*s", (int)strlen(good) - 4, good),
		mem_format("e30%s", strchr(good, '.')),
	};

	(void)state;
	assert_true(grants(auth, good, "alice"));
	for (size_t i = 0; i < COUNT(forged); i++) {
		if (!refuses(auth, forged[i]))
			fail_msg("forgery %zu passed", i);
		free(forged[i]);
	}
	for (size_t i = 0; i < strlen(good); i += 7) {
		char kept = good[i];

		good[i] = kept == 'A' ? 'B' : 'A';
		if (!refuses(auth, good))
			fail_msg("character %zu changed: passed", i);
		good[i] = kept;
	}
	free(good);
	free(pem);
	free(path);
	auth_destroy(auth);
}

static char *write_set(const char *name, json_t *keys)
{
	json_t *root = json_pack("{s:o}", "keys", keys);
	char *text = json_dumps(root, 0), *path = write_file(name, text);

	free(text);
	json_decref(root);
	return path;
}

static json_t *with(json_t *jwk, const char *name, const char *value)
{
	json_object_set_new(jwk, name, json_string(value));
	return jwk;
}

static json_t *make_oct(const char *secret, const char *kid)
{
	char *text = encode(secret, strlen(secret));
	json_t *jwk = json_pack("{s:s,s:s*,s:s}", "kty", "oct", "kid", kid, "k", text);

	free(text);
	return jwk;
}

static void test_jwks(void **state)
{
	json_t *list = json_array();
	char *path;
	struct auth *rs, *es, *hs;
	struct {
		const char *alg, *kid;
		EVP_PKEY *pkey;
		const char *secret;
		bool good;
	} cases[] = {
		{"RS256", "one", rsa, NULL, true},
		{"RS256", "one", other_rsa, NULL, false}, /* another key's kid */
		{"RS256", "two", other_rsa, NULL, true},
		{"RS256", NULL, other_rsa, NULL, true}, /* no kid: any */
		{"RS256", "unknown", rsa, NULL, true}, {"RS256", "small", small_rsa, NULL, false},
		{"ES256", "ec", p256, NULL, true}, {"ES256", NULL, p256, NULL, true},
		{"ES256", "ec384", p384, NULL, false}, {"HS256", "oct", NULL, SECRET, true},
		{"HS256", NULL, NULL, SECRET "2", false}, /* for encryption */
	};

	(void)state;
	json_array_append_new(list, to_jwk(rsa, "one"));
	json_array_append_new(
		list, with(with(to_jwk(other_rsa, "two"), "use", "sig"), "alg", "RS256"));
	json_array_append_new(list, with(to_jwk(small_rsa, "small"), "use", "enc"));
	json_array_append_new(list, to_jwk(p256, "ec"));
	json_array_append_new(list, to_jwk(p384, "ec384"));
	json_array_append_new(list, make_oct(SECRET, "oct"));
	json_array_append_new(list, with(make_oct(SECRET "2", NULL), "use", "enc"));
	json_array_append_new(list, json_pack("{s:s}", "kty", "OKP"));
	json_array_append_new(list, json_integer(7));
	path = write_set("set.json", list);
	rs = create((struct auth_config){.jwt_jwks_file = path, .jwt_algorithm = "RS256"});
	es = create((struct auth_config){.jwt_jwks_file = path, .jwt_algorithm = "ES256"});
	hs = create((struct auth_config){.jwt_jwks_file = path, .jwt_algorithm = "HS256"});
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token =
			user_token(cases[i].alg, cases[i].kid, cases[i].pkey, cases[i].secret);
		struct auth *auth = cases[i].alg[0] == 'R' ? rs : cases[i].alg[0] == 'E' ? es : hs;

		if (grants(auth, token, "alice") != cases[i].good)
			fail_msg("case %zu: %s %s", i, cases[i].alg, cases[i].kid);
		free(token);
	}
	auth_destroy(rs);
	auth_destroy(es);
	auth_destroy(hs);
	free(path);
}

static void test_reload(void **state)
{
	char *first = to_pem(rsa), *second = to_pem(other_rsa),
	     *path = write_file("turn.pem", first);
	struct auth *auth =
		create((struct auth_config){.jwt_public_key_file = path, .jwt_algorithm = "RS256"});
	char *old_token = user_token("RS256", NULL, rsa, NULL),
	     *new_token = user_token("RS256", NULL, other_rsa, NULL);
	struct err err = {""};

	(void)state;
	assert_true(grants(auth, old_token, "alice"));
	free(write_file("turn.pem", "nonsense"));
	assert_int_equal(auth_reload(auth, NULL, NULL, &err), STATUS_INVALID);
	assert_non_null(strstr(err.text, "JWT_PUBLIC_KEY_FILE: \""));
	assert_true(grants(auth, old_token, "alice")); /* the old keys stay */
	free(write_file("turn.pem", second));
	assert_true(refuses(auth, new_token));
	assert_int_equal(auth_reload(auth, NULL, NULL, &err), STATUS_OK);
	assert_true(grants(auth, new_token, "alice"));
	assert_true(refuses(auth, old_token)); /* although it was remembered */
	auth_destroy(auth);
	free(first);
	free(second);
	free(path);
	free(old_token);
	free(new_token);
}

/* A rotated operator's token or HMAC secret must end the old one, and a reload that brings none
 * must change nothing. */
static void test_reload_secrets(void **state)
{
	static const char other[] = "another-secret-of-thirty-two-bytes-and-more";
	struct auth *auth = create(
		(struct auth_config){.jwt_secret = SECRET, .security_token = "first-operator"});
	char *old_token = user_token("HS256", NULL, NULL, SECRET),
	     *new_token = user_token("HS256", NULL, NULL, other);
	struct err err = {""};

	(void)state;
	assert_true(grants(auth, old_token, "alice"));
	assert_int_equal(auth_reload(auth, NULL, NULL, &err), STATUS_OK);
	assert_true(grants(auth, old_token, "alice"));
	assert_true(auth_is_operator(auth, span_of("first-operator")));
	assert_int_equal(auth_reload(auth, "second-operator", other, &err), STATUS_OK);
	assert_true(refuses(auth, old_token));
	assert_true(grants(auth, new_token, "alice"));
	assert_false(auth_is_operator(auth, span_of("first-operator")));
	assert_true(auth_is_operator(auth, span_of("second-operator")));
	auth_destroy(auth);
	free(old_token);
	free(new_token);
}

/* Who vouched for the bearer; 0: nobody that a reload can take away. */
static uint64_t voucher_of(const struct auth *auth, const char *token)
{
	struct identity identity;

	assert_int_equal(check(auth, token, &identity), AUTH_GRANTED);
	free(identity.user);
	return identity.voucher;
}

static void reload(struct auth *auth, const char *operator, const char *secret)
{
	struct err err = {""};

	assert_int_equal(auth_reload(auth, operator, secret, &err), STATUS_OK);
}

/* Whoever a replaced secret or operator's token let in must be known afterwards, and nobody else;
 * what is remembered of a token must say the same as its first look. */
static void test_vouchers(void **state)
{
	struct auth *auth = create((struct auth_config){
		.jwt_secret = SECRET, .security_token = "first-operator", .allow_test_token = true});
	char *token = user_token("HS256", NULL, NULL, SECRET);
	uint64_t jwt = voucher_of(auth, token), operator = voucher_of(auth, "first-operator");

	(void)state;
	assert_true(jwt && operator && jwt != operator);
	assert_int_equal(voucher_of(auth, token), jwt);
	assert_int_equal(voucher_of(auth, "TEST"), 0);
	reload(auth, NULL, NULL);
	reload(auth, "first-operator", SECRET);
	assert_int_equal(voucher_of(auth, token), jwt);
	assert_int_equal(voucher_of(auth, "first-operator"), operator);
	assert_true(auth_vouches(auth, jwt) && auth_vouches(auth, operator));
	reload(auth, "second-operator", NULL);
	assert_true(auth_vouches(auth, jwt));
	assert_false(auth_vouches(auth, operator));
	reload(auth, "first-operator", SECRET "2");
	assert_false(auth_vouches(auth, jwt));
	assert_false(auth_vouches(auth, operator)); /* it was gone in between */
	assert_true(auth_vouches(auth, 0));
	assert_true(auth_vouches(auth, voucher_of(auth, "first-operator")));
	auth_destroy(auth);
	free(token);
}

static void change_set(struct auth *auth, json_t *first, json_t *second)
{
	json_t *list = json_array();

	json_array_append_new(list, first);
	if (second)
		json_array_append_new(list, second);
	free(write_set("vouchers.json", list));
	if (auth)
		reload(auth, NULL, NULL);
}

/* A key is its bytes: another place in the set or another kid is the same key. */
static void test_vouchers_of_a_set(void **state)
{
	char *one = user_token("RS256", "one", rsa, NULL), *two = user_token("RS256", "two", other_rsa, NULL),
	     *any = user_token("RS256", NULL, other_rsa, NULL);
	char *path = write_file("vouchers.json", "");
	struct auth *auth;
	struct err err = {""};
	uint64_t first, second;

	(void)state;
	change_set(NULL, to_jwk(rsa, "one"), to_jwk(other_rsa, "two"));
	auth = create((struct auth_config){.jwt_jwks_file = path, .jwt_algorithm = "RS256"});
	first = voucher_of(auth, one);
	second = voucher_of(auth, two);
	assert_int_not_equal(first, second);
	assert_int_equal(voucher_of(auth, any), second);
	change_set(auth, to_jwk(other_rsa, "three"), to_jwk(rsa, NULL));
	assert_true(auth_vouches(auth, first) && auth_vouches(auth, second));
	change_set(auth, to_jwk(other_rsa, "one"), to_jwk(other_rsa, "two"));
	assert_false(auth_vouches(auth, first)); /* although its kid is there */
	assert_int_equal(voucher_of(auth, any), second);
	assert_int_equal(voucher_of(auth, two), second);
	free(write_file("vouchers.json", "{"));
	assert_int_equal(auth_reload(auth, NULL, NULL, &err), STATUS_INVALID);
	assert_true(auth_vouches(auth, second));
	change_set(auth, to_jwk(rsa, "one"), NULL);
	assert_false(auth_vouches(auth, second));
	assert_false(auth_vouches(auth, first));
	assert_true(auth_vouches(auth, voucher_of(auth, one)));
	auth_destroy(auth);
	free(one);
	free(two);
	free(any);
	free(path);
}

struct crowd {
	const struct auth *auth;
	const char *token;
};

static void *keep_asking(void *context)
{
	const struct crowd *crowd = context;

	for (int i = 0; i < 3000; i++)
		if (!grants(crowd->auth, crowd->token, "alice"))
			abort();
	return NULL;
}

static void test_threads(void **state)
{
	struct auth *auth = create((struct auth_config){.jwt_secret = SECRET});
	char *token = user_token("HS256", NULL, NULL, SECRET);
	struct crowd crowd = {auth, token};
	pthread_t threads[3];

	(void)state;
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_asking, &crowd), 0);
	for (int i = 0; i < 300; i++)
		assert_int_equal(auth_reload(auth, NULL, NULL, NULL), STATUS_OK);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	free(token);
	auth_destroy(auth);
}

/* -- bad configuration -- */

static void expect_refusal(struct auth_config config, const char *begins)
{
	struct err err = {""};
	struct auth *auth = auth_create(&config, &err);

	if (auth || strncmp(err.text, begins, strlen(begins)) != 0)
		fail_msg("expected: %s\n     got: %s", begins, auth ? "no error" : err.text);
	assert_null(strstr(err.text, "BEGIN PUBLIC KEY-----\n"));
}

static void test_configuration(void **state)
{
	char *pem = to_pem(rsa), *rsa_path = write_file("c-rsa.pem", pem), *text = to_pem(p384);
	char *ec_path = write_file("c-ec.pem", text);

	(void)state;
	expect_refusal((struct auth_config){.jwt_secret = pem}, "JWT_SECRET: holds a PEM key");
	expect_refusal((struct auth_config){.jwt_secret = "x", .jwt_algorithm = "none"},
		"JWT_ALGORITHM: \"none\" is not one of HS256, HS384, HS512, RS256,");
	expect_refusal((struct auth_config){.jwt_secret = "x", .jwt_algorithm = "hs256"},
		"JWT_ALGORITHM: \"hs256\" is not");
	expect_refusal((struct auth_config){.jwt_secret = "x", .jwt_algorithm = "RS256"},
		"JWT_ALGORITHM: RS256 takes a public key");
	expect_refusal((struct auth_config){.jwt_public_key_file = rsa_path},
		"JWT_ALGORITHM: HS256 takes a secret");
	expect_refusal((struct auth_config){.jwt_public_key_file = rsa_path, .jwt_secret = "x"},
		"JWT_SECRET and JWT_PUBLIC_KEY_FILE are both set");
	expect_refusal((struct auth_config){.jwt_public_key_file = rsa_path, .jwt_jwks_file = "x"},
		"JWT_PUBLIC_KEY_FILE and JWT_JWKS_FILE are both set");
	expect_refusal(
		(struct auth_config){.jwt_public_key_file = rsa_path, .jwt_algorithm = "ES256"},
		"JWT_PUBLIC_KEY_FILE: \"");
	expect_refusal(
		(struct auth_config){.jwt_public_key_file = ec_path, .jwt_algorithm = "ES256"},
		"JWT_PUBLIC_KEY_FILE: \"");
	expect_refusal(
		(struct auth_config){.jwt_public_key_file = "/nowhere", .jwt_algorithm = "RS256"},
		"JWT_PUBLIC_KEY_FILE: cannot open \"/nowhere\": No such file");
	expect_refusal((struct auth_config){.jwt_public_key_file = "/", .jwt_algorithm = "RS256"},
		"JWT_PUBLIC_KEY_FILE: cannot read \"/\"");
	expect_refusal(
		(struct auth_config){.jwt_public_key_file = "/dev/zero", .jwt_algorithm = "RS256"},
		"JWT_PUBLIC_KEY_FILE: \"/dev/zero\" is larger than 1 MB");
	free(pem);
	free(text);
	free(rsa_path);
	free(ec_path);
}

static void expect_set_refused(const char *alg, json_t *keys, const char *says)
{
	char *path = write_set("bad.json", keys);
	struct auth_config config = {.jwt_jwks_file = path, .jwt_algorithm = alg};
	struct err err = {""};
	struct auth *auth = auth_create(&config, &err);

	if (auth || !strstr(err.text, "JWT_JWKS_FILE: \"") || !strstr(err.text, says))
		fail_msg("expected: %s\n     got: %s", says, auth ? "no error" : err.text);
	free(path);
}

static void test_bad_sets(void **state)
{
	char *path = write_file("not.json", "{");
	json_t *many = json_array();

	(void)state;
	expect_refusal((struct auth_config){.jwt_jwks_file = path, .jwt_algorithm = "RS256"},
		"JWT_JWKS_FILE: \"");
	expect_set_refused("RS256", json_object(), "not a JWK set");
	expect_set_refused("RS256", json_array(), "holds no key for JWT_ALGORITHM RS256");
	expect_set_refused("ES256", json_pack("[o]", to_jwk(p384, "x")),
		"holds no key for JWT_ALGORITHM ES256");
	expect_set_refused(
		"RS256", json_pack("[o]", with(to_jwk(rsa, "x"), "use", "enc")), "holds no key");
	expect_set_refused(
		"RS256", json_pack("[o]", with(to_jwk(rsa, "x"), "alg", "RS512")), "holds no key");
	expect_set_refused("RS256", json_pack("[o]", with(to_jwk(rsa, "x"), "n", "!")),
		"key 1: n or e is not base64url");
	expect_set_refused("RS256", json_pack("[o]", to_jwk(small_rsa, "x")),
		"key 1: is an RSA key of fewer than 2048");
	expect_set_refused("ES256", json_pack("[o]", with(to_jwk(p256, "x"), "x", "AAAA")),
		"key 1: x or y has the wrong");
	expect_set_refused("ES256",
		json_pack("[o]", with(to_jwk(p256, "x"), "x",
					 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
		"key 1: x and y are no point");
	expect_set_refused("HS256", json_pack("[o]", make_oct("-----BEGIN PUBLIC KEY-----", NULL)),
		"key 1: k holds a PEM");
	for (int i = 0; i < 101; i++)
		json_array_append_new(many, make_oct(SECRET, NULL));
	expect_set_refused("HS256", many, "more than 100 keys");
	free(path);
}

static int make_keys(void **state)
{
	(void)state;
	rsa = make_rsa(2048);
	other_rsa = make_rsa(2048);
	small_rsa = make_rsa(1024);
	p256 = make_ec("P-256");
	p384 = make_ec("P-384");
	p521 = make_ec("P-521");
	return 0;
}

static int free_keys(void **state)
{
	EVP_PKEY *keys[] = {rsa, other_rsa, small_rsa, p256, p384, p521};

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++)
		EVP_PKEY_free(keys[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_raw_nul),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_issuer_audience),
		cmocka_unit_test(test_expires),
		cmocka_unit_test(test_expires_in_cache),
		cmocka_unit_test(test_algorithms),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_jwks),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_reload_secrets),
		cmocka_unit_test(test_vouchers),
		cmocka_unit_test(test_vouchers_of_a_set),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_bad_sets),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
