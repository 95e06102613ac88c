/* A JWK set (RFC 7517) to keys: RSA and EC become PEM by way of OpenSSL's EVP_PKEY_fromdata, oct
 * becomes a secret.
 *
 * What is for another purpose is passed over: another kty, curve or alg, use other than sig,
 * key_ops without verify. What is meant for us and malformed is an error that names the key: a set
 * that silently lost a key would lock users out. Private members of a key are not read.
 */
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "auth/base64url.h"
#include "auth/keys.h"
#include "base/mem.h"

#define KEYS_MAX 100 /* each is tried when a token names none */
#define MEMBER_MAX 4096

static bool is_text(const json_t *jwk, const char *name, const char *expected)
{
	const char *text = json_string_value(json_object_get(jwk, name));

	return text && strcmp(text, expected) == 0;
}

static bool may_verify(const json_t *jwk)
{
	const json_t *ops = json_object_get(jwk, "key_ops");

	if (json_object_get(jwk, "use") && !is_text(jwk, "use", "sig"))
		return false;
	for (size_t i = 0; i < json_array_size(ops); i++) {
		const char *op = json_string_value(json_array_get(ops, i));

		if (op && strcmp(op, "verify") == 0)
			return true;
	}
	return !ops;
}

static bool is_meant(const json_t *jwk, const struct algorithm *algorithm)
{
	static const char *const types[] = {
		[FAMILY_HMAC] = "oct", [FAMILY_RSA] = "RSA", [FAMILY_EC] = "EC"};

	return is_text(jwk, "kty", types[algorithm->family]) && may_verify(jwk) &&
	       (!json_object_get(jwk, "alg") || is_text(jwk, "alg", algorithm->name)) &&
	       (!algorithm->jwk_curve || is_text(jwk, "crv", algorithm->jwk_curve));
}

static bool get_bytes(const json_t *jwk, const char *name, struct buf *out)
{
	const char *text = json_string_value(json_object_get(jwk, name));

	return text && base64url_decode(span_of(text), out) && out->len;
}

static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD *builder)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	if (!params || !context || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_free(params);
	return pkey;
}

static EVP_PKEY *build_rsa(struct span n, struct span e)
{
	BIGNUM *modulus = BN_bin2bn((const unsigned char *)n.p, (int)n.len, NULL);
	BIGNUM *exponent = BN_bin2bn((const unsigned char *)e.p, (int)e.len, NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;

	if (builder && modulus && exponent &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
		pkey = build("RSA", builder);
	OSSL_PARAM_BLD_free(builder);
	BN_free(modulus);
	BN_free(exponent);
	return pkey;
}

static EVP_PKEY *build_ec(const char *curve, struct span point)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;

	if (builder &&
		OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) &&
		OSSL_PARAM_BLD_push_octet_string(
			builder, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.len))
		pkey = build("EC", builder);
	OSSL_PARAM_BLD_free(builder);
	return pkey;
}

static const char *read_rsa(const json_t *jwk, EVP_PKEY **pkey)
{
	AUTO_BUF struct buf n = buf_init(MEMBER_MAX);
	AUTO_BUF struct buf e = buf_init(MEMBER_MAX);

	if (!get_bytes(jwk, "n", &n) || !get_bytes(jwk, "e", &e))
		return "n or e is not base64url";
	*pkey = build_rsa(buf_as_span(&n), buf_as_span(&e));
	return *pkey ? NULL : "n and e are no RSA key";
}

static const char *read_ec(const json_t *jwk, const struct algorithm *algorithm, EVP_PKEY **pkey)
{
	AUTO_BUF struct buf point = buf_init(MEMBER_MAX);
	size_t x;

	buf_bytes(&point, "\x04", 1); /* uncompressed */
	if (!get_bytes(jwk, "x", &point))
		return "x is not base64url";
	x = point.len - 1;
	if (!get_bytes(jwk, "y", &point))
		return "y is not base64url";
	if (x != algorithm->coordinate || point.len != 1 + 2 * x)
		return "x or y has the wrong length for its curve";
	*pkey = build_ec(algorithm->curve, buf_as_span(&point));
	return *pkey ? NULL : "x and y are no point of the curve";
}

static const char *add_public(
	struct keys *keys, const json_t *jwk, const struct algorithm *algorithm)
{
	EVP_PKEY *pkey = NULL;
	const char *wrong = algorithm->family == FAMILY_RSA ? read_rsa(jwk, &pkey)
							    : read_ec(jwk, algorithm, &pkey);
	char *pem = NULL;

	if (!wrong)
		wrong = pem_unfit(pkey, algorithm);
	if (!wrong) {
		pem = pem_write(pkey);
		wrong = pem ? NULL : "OpenSSL refuses it";
	}
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	if (!wrong)
		keys_add(keys, json_string_value(json_object_get(jwk, "kid")), pem, strlen(pem));
	return wrong;
}

static const char *add_secret(struct keys *keys, const json_t *jwk)
{
	AUTO_BUF struct buf secret = buf_init(MEMBER_MAX);
	size_t len;

	if (!get_bytes(jwk, "k", &secret))
		return "k is not base64url";
	if (looks_like_pem(buf_as_span(&secret)))
		return "k holds a PEM key, not a secret";
	len = secret.len;
	keys_add(keys, json_string_value(json_object_get(jwk, "kid")), buf_take(&secret), len);
	return NULL;
}

static enum status add(struct keys *keys, const json_t *jwk, size_t number, const char *path,
	const struct algorithm *algorithm, struct err *err)
{
	const char *wrong;

	if (!is_meant(jwk, algorithm))
		return STATUS_OK;
	if (keys->count == KEYS_MAX)
		return err_set(err, STATUS_INVALID,
			"JWT_JWKS_FILE: \"%s\" holds more than %d keys for %s", path, KEYS_MAX,
			algorithm->name);
	wrong = algorithm->family == FAMILY_HMAC ? add_secret(keys, jwk)
						 : add_public(keys, jwk, algorithm);
	if (wrong)
		return err_set(err, STATUS_INVALID, "JWT_JWKS_FILE: \"%s\", key %zu: %s", path,
			number, wrong);
	return STATUS_OK;
}

static enum status add_all(struct keys *keys, const json_t *list, const char *path,
	const struct algorithm *algorithm, struct err *err)
{
	if (!json_is_array(list))
		return err_set(err, STATUS_INVALID,
			"JWT_JWKS_FILE: \"%s\" is not a JWK set: no list \"keys\"", path);
	for (size_t i = 0; i < json_array_size(list); i++) {
		enum status status =
			add(keys, json_array_get(list, i), i + 1, path, algorithm, err);

		if (status != STATUS_OK)
			return status;
	}
	if (!keys->count)
		return err_set(err, STATUS_INVALID,
			"JWT_JWKS_FILE: \"%s\" holds no key for JWT_ALGORITHM %s", path,
			algorithm->name);
	return STATUS_OK;
}

enum status jwks_read(struct keys *keys, struct span text, const char *path,
	const struct algorithm *algorithm, struct err *err)
{
	json_error_t error;
	json_t *root = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, &error);
	enum status status;

	if (!root)
		return err_set(err, STATUS_INVALID,
			"JWT_JWKS_FILE: \"%s\" is not JSON: %s (line %d)", path, error.text,
			error.line);
	status = add_all(keys, json_object_get(root, "keys"), path, algorithm, err);
	json_decref(root);
	return status;
}
