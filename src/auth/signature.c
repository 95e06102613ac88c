/* Signatures, checked by OpenSSL with what it made of each key once, when the key was loaded.
 *
 * libjwt has no place to keep that: it reads a public key's PEM text again for every token, which
 * takes ten times as long as the check itself (RS256: 500 of 530 us), and looks up HMAC by its name.
 * A relay that has just started meets all its clients at once, each with a token that it has not
 * seen. What is kept is never changed: any number of threads copy it at the same time.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "auth/keys.h"

static bool prepare_secret(struct key *key, const struct algorithm *algorithm)
{
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
			OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)algorithm->digest, 0),
		OSSL_PARAM_construct_end()};

	key->hmac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac);
	return key->hmac && key->len &&
	       EVP_MAC_init(key->hmac, (const unsigned char *)key->bytes, key->len, params) == 1;
}

static bool prepare_public(struct key *key, const struct algorithm *algorithm)
{
	EVP_PKEY *pkey = pem_read((struct span){key->bytes, key->len});
	bool good;

	key->verifier = EVP_MD_CTX_new();
	good = pkey && key->verifier &&
	       EVP_DigestVerifyInit_ex(
		       key->verifier, NULL, algorithm->digest, NULL, NULL, pkey, NULL) == 1;
	EVP_PKEY_free(pkey);
	return good;
}

bool signature_prepare(struct key *key, const struct algorithm *algorithm)
{
	return algorithm->family == FAMILY_HMAC ? prepare_secret(key, algorithm)
						: prepare_public(key, algorithm);
}

void signature_forget(struct key *key)
{
	EVP_MAC_CTX_free(key->hmac); /* wipes the secret */
	EVP_MD_CTX_free(key->verifier);
	key->hmac = NULL;
	key->verifier = NULL;
}

static bool hmac_good(const struct key *key, struct span text, struct span signature)
{
	EVP_MAC_CTX *hmac = EVP_MAC_CTX_dup(key->hmac);
	unsigned char own[EVP_MAX_MD_SIZE];
	size_t len = 0;
	bool good = hmac && EVP_MAC_update(hmac, (const unsigned char *)text.p, text.len) == 1 &&
		    EVP_MAC_final(hmac, own, &len, sizeof(own)) == 1 && len == signature.len &&
		    CRYPTO_memcmp(own, signature.p, len) == 0;

	EVP_MAC_CTX_free(hmac);
	OPENSSL_cleanse(own, sizeof(own)); /* the right signature of somebody's forgery */
	return good;
}

static bool verifies(const struct key *key, struct span text, const unsigned char *bytes, size_t len)
{
	EVP_MD_CTX *verifier = EVP_MD_CTX_new();
	bool good = verifier && EVP_MD_CTX_copy_ex(verifier, key->verifier) == 1 &&
		    EVP_DigestVerify(verifier, bytes, len, (const unsigned char *)text.p,
			    text.len) == 1;

	EVP_MD_CTX_free(verifier);
	return good;
}

/* RFC 7518 section 3.4 has r and s one behind the other, each as long as the curve's coordinates;
 * OpenSSL wants them in DER. NULL: not that. */
static unsigned char *to_der(struct span signature, size_t coordinate, int *len)
{
	const unsigned char *bytes = (const unsigned char *)signature.p;
	ECDSA_SIG *pair = signature.len == 2 * coordinate ? ECDSA_SIG_new() : NULL;
	BIGNUM *r = pair ? BN_bin2bn(bytes, (int)coordinate, NULL) : NULL;
	BIGNUM *s = pair ? BN_bin2bn(bytes + coordinate, (int)coordinate, NULL) : NULL;
	unsigned char *der = NULL;

	if (r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
		*len = i2d_ECDSA_SIG(pair, &der);
	} else {
		BN_free(r);
		BN_free(s);
	}
	ECDSA_SIG_free(pair);
	return der;
}

static bool ecdsa_good(
	const struct key *key, size_t coordinate, struct span text, struct span signature)
{
	int len = 0;
	unsigned char *der = to_der(signature, coordinate, &len);
	bool good = der && len > 0 && verifies(key, text, der, (size_t)len);

	OPENSSL_free(der);
	return good;
}

bool signature_good(const struct key *key, const struct algorithm *algorithm, struct span text,
	struct span signature)
{
	if (!signature.len)
		return false;
	if (algorithm->family == FAMILY_HMAC)
		return hmac_good(key, text, signature);
	if (algorithm->family == FAMILY_EC)
		return ecdsa_good(key, algorithm->coordinate, text, signature);
	return verifies(key, text, (const unsigned char *)signature.p, signature.len);
}
