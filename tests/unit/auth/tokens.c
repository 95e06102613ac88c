/* Keys and tokens for the tests; see tokens.h. */
#include "tokens.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

static void must(int good)
{
	if (!good)
		abort();
}

EVP_PKEY *make_rsa(unsigned bits)
{
	EVP_PKEY *pkey = EVP_RSA_gen(bits);

	must(pkey != NULL);
	return pkey;
}

EVP_PKEY *make_ec(const char *curve)
{
	EVP_PKEY *pkey = EVP_EC_gen(curve);

	must(pkey != NULL);
	return pkey;
}

static char *take_bio(BIO *bio)
{
	char *data, *text;
	long len = BIO_get_mem_data(bio, &data);

	text = mem_text_n(data, (size_t)len);
	BIO_free(bio);
	return text;
}

char *to_pem(EVP_PKEY *pkey)
{
	BIO *bio = BIO_new(BIO_s_mem());

	must(PEM_write_bio_PUBKEY(bio, pkey));
	return take_bio(bio);
}

char *to_private_pem(EVP_PKEY *pkey)
{
	BIO *bio = BIO_new(BIO_s_mem());

	must(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL));
	return take_bio(bio);
}

char *encode(const void *bytes, size_t len)
{
	char *text = mem_alloc(len * 4 / 3 + 8);
	int n = EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);

	while (n && text[n - 1] == '=')
		text[--n] = 0;
	for (char *c = text; *c; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	return text;
}

static void set_number(json_t *jwk, EVP_PKEY *pkey, const char *name, const char *param, int len)
{
	BIGNUM *number = NULL;
	unsigned char bytes[1024];
	char *text;

	must(EVP_PKEY_get_bn_param(pkey, param, &number));
	len = len ? len : BN_num_bytes(number);
	must(BN_bn2binpad(number, bytes, len) == len);
	text = encode(bytes, (size_t)len);
	json_object_set_new(jwk, name, json_string(text));
	free(text);
	BN_free(number);
}

json_t *to_jwk(EVP_PKEY *pkey, const char *kid)
{
	json_t *jwk = json_object();
	int len = (EVP_PKEY_get_bits(pkey) + 7) / 8;

	if (kid)
		json_object_set_new(jwk, "kid", json_string(kid));
	if (EVP_PKEY_is_a(pkey, "RSA")) {
		json_object_set_new(jwk, "kty", json_string("RSA"));
		set_number(jwk, pkey, "n", OSSL_PKEY_PARAM_RSA_N, 0);
		set_number(jwk, pkey, "e", OSSL_PKEY_PARAM_RSA_E, 0);
		return jwk;
	}
	json_object_set_new(jwk, "kty", json_string("EC"));
	json_object_set_new(jwk, "crv",
		json_string(len == 32   ? "P-256"
			    : len == 48 ? "P-384"
					: "P-521"));
	set_number(jwk, pkey, "x", OSSL_PKEY_PARAM_EC_PUB_X, len);
	set_number(jwk, pkey, "y", OSSL_PKEY_PARAM_EC_PUB_Y, len);
	return jwk;
}

static char folder[] = "/tmp/esink-auth-XXXXXX";

static void remove_folder(void)
{
	char *command = mem_format("rm -r '%s'", folder);

	if (system(command) != 0)
		fprintf(stderr, "left behind: %s\n", folder);
	free(command);
}

char *write_file(const char *name, const char *text)
{
	static int made;
	char *path;
	FILE *file;

	if (!made++) {
		must(mkdtemp(folder) != NULL);
		atexit(remove_folder);
	}
	path = mem_format("%s/%s", folder, name);
	file = fopen(path, "w");
	must(file && fputs(text, file) >= 0 && fclose(file) == 0);
	return path;
}

static const EVP_MD *hash_of(const char *alg)
{
	return strstr(alg, "256") ? EVP_sha256() : strstr(alg, "384") ? EVP_sha384() : EVP_sha512();
}

/* OpenSSL signs in DER; a JWT carries r and s side by side, each as long as the curve. */
static size_t to_raw(unsigned char *signature, size_t len, int half)
{
	const unsigned char *p = signature;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);

	must(sig != NULL);
	must(BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, half) == half);
	must(BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + half, half) == half);
	ECDSA_SIG_free(sig);
	return 2 * (size_t)half;
}

static size_t sign_bytes(const struct buf *text, const char *alg, EVP_PKEY *pkey,
	const char *secret, unsigned char *out)
{
	size_t len = 1024;
	unsigned hmac_len;
	EVP_MD_CTX *context;

	if (secret) {
		must(HMAC(hash_of(alg), secret, (int)strlen(secret),
			     (const unsigned char *)text->bytes, text->len, out,
			     &hmac_len) != NULL);
		return hmac_len;
	}
	context = EVP_MD_CTX_new();
	must(EVP_DigestSignInit(context, NULL, hash_of(alg), NULL, pkey) == 1);
	must(EVP_DigestSign(context, out, &len, (const unsigned char *)text->bytes, text->len) ==
		1);
	EVP_MD_CTX_free(context);
	return EVP_PKEY_is_a(pkey, "EC") ? to_raw(out, len, (EVP_PKEY_get_bits(pkey) + 7) / 8)
					 : len;
}

char *sign_span(
	const char *header, struct span payload, const char *alg, EVP_PKEY *pkey, const char *secret)
{
	struct buf text = buf_init(BUF_NO_MAX);
	unsigned char signature[1024];
	char *first = encode(header, strlen(header)), *second = encode(payload.p, payload.len);
	char *third;

	buf_printf(&text, "%s.%s", first, second);
	third = pkey || secret ? encode(signature, sign_bytes(&text, alg, pkey, secret, signature))
			       : mem_text("");
	buf_printf(&text, ".%s", third);
	free(first);
	free(second);
	free(third);
	return buf_take(&text);
}

char *sign(const char *header, const char *payload, const char *alg, EVP_PKEY *pkey,
	const char *secret)
{
	return sign_span(header, span_of(payload), alg, pkey, secret);
}
