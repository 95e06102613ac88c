/* Public keys between OpenSSL and PEM text, and the question whether a key fits an algorithm.
 *
 * libjwt takes PEM text and does not compare curves: an ES256 token would pass with a P-384 key. So
 * every key is looked at once, here, when it is loaded.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <limits.h>
#include <string.h>

#include "auth/keys.h"
#include "base/mem.h"

#define RSA_MIN_BITS 2048 /* RFC 7518 section 3.3 */

static EVP_PKEY *read_certificate(BIO *bio)
{
	X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	EVP_PKEY *pkey = certificate ? X509_get_pubkey(certificate) : NULL;

	X509_free(certificate);
	return pkey;
}

EVP_PKEY *pem_read(struct span text)
{
	BIO *bio = text.len <= INT_MAX ? BIO_new_mem_buf(text.p, (int)text.len) : NULL;
	EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;

	if (bio && !pkey && BIO_reset(bio) == 1)
		pkey = read_certificate(bio);
	BIO_free(bio);
	ERR_clear_error(); /* TLS on this thread must not find what was only a try */
	return pkey;
}

static const char *rsa_unfit(const EVP_PKEY *pkey)
{
	if (!EVP_PKEY_is_a(pkey, "RSA"))
		return "is not an RSA key";
	return EVP_PKEY_get_bits(pkey) < RSA_MIN_BITS ? "is an RSA key of fewer than 2048 bits"
						      : NULL;
}

static const char *ec_unfit(const EVP_PKEY *pkey, const struct algorithm *algorithm)
{
	char group[64];
	size_t len;

	if (!EVP_PKEY_is_a(pkey, "EC"))
		return "is not an EC key";
	if (!EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) ||
		strcmp(group, algorithm->curve) != 0)
		return "is a key on another curve than the algorithm's";
	return NULL;
}

const char *pem_unfit(const EVP_PKEY *pkey, const struct algorithm *algorithm)
{
	return algorithm->family == FAMILY_RSA ? rsa_unfit(pkey) : ec_unfit(pkey, algorithm);
}

char *pem_write(const EVP_PKEY *pkey)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL, *data;
	long len;

	if (bio && PEM_write_bio_PUBKEY(bio, (EVP_PKEY *)(uintptr_t)pkey)) {
		len = BIO_get_mem_data(bio, &data);
		text = len > 0 ? mem_text_n(data, (size_t)len) : NULL;
	}
	BIO_free(bio);
	ERR_clear_error();
	return text;
}
