/* From JWT_SECRET, JWT_PUBLIC_KEY_FILE or JWT_JWKS_FILE to a set of keys that fit JWT_ALGORITHM.
 *
 * A secret shorter than the hash (RFC 7518 section 3.2 asks for at least 32 bytes with HS256) is
 * accepted: refusing it here would only break what works elsewhere. docs/ tell to use a long one.
 */
#include "auth/keys.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/cache.h"
#include "auth/headers.h"
#include "base/buf.h"
#include "base/mem.h"

#define FILE_MAX (1024 * 1024)

bool looks_like_pem(struct span text)
{
	return text.p && memmem(text.p, text.len, "-----BEGIN", 10) != NULL;
}

void keys_add(struct keys *keys, const char *kid, char *bytes, size_t len)
{
	mem_grow(&keys->items, &keys->room, keys->count, sizeof(*keys->items));
	keys->items[keys->count++] = (struct key){.kid = mem_text(kid), .bytes = bytes, .len = len};
}

static enum status read_file(
	const char *variable, const char *path, struct buf *out, struct err *err)
{
	FILE *file = fopen(path, "rbe");
	char chunk[4096];
	size_t n;
	bool failed;

	if (!file)
		return err_set(err, STATUS_INVALID, "%s: cannot open \"%s\": %s", variable, path,
			strerror(errno));
	while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0 && buf_bytes(out, chunk, n))
		;
	failed = ferror(file);
	fclose(file);
	OPENSSL_cleanse(chunk, sizeof(chunk));
	if (failed)
		return err_set(err, STATUS_INVALID, "%s: cannot read \"%s\"", variable, path);
	if (out->full)
		return err_set(err, STATUS_INVALID,
			"%s: \"%s\" is larger than 1 MB: not a key file", variable, path);
	return STATUS_OK;
}

static enum status load_secret(struct keys *keys, const char *secret, struct err *err)
{
	if (looks_like_pem(span_of(secret)))
		return err_set(err, STATUS_INVALID,
			"JWT_SECRET: holds a PEM key, not a secret; a public key goes into the "
			"file that "
			"JWT_PUBLIC_KEY_FILE names, with JWT_ALGORITHM RS256 or ES256");
	keys_add(keys, NULL, mem_text(secret), strlen(secret));
	return STATUS_OK;
}

static enum status load_pem(struct keys *keys, struct span text, const char *path,
	const struct algorithm *algorithm, struct err *err)
{
	EVP_PKEY *pkey = pem_read(text);
	const char *unfit;
	char *pem = NULL;

	if (!pkey)
		return err_set(err, STATUS_INVALID,
			"JWT_PUBLIC_KEY_FILE: \"%s\" holds no public key in PEM form (-----BEGIN "
			"PUBLIC KEY----- or a "
			"certificate)",
			path);
	unfit = pem_unfit(pkey, algorithm);
	if (!unfit) {
		pem = pem_write(pkey);
		unfit = pem ? NULL : "is refused by OpenSSL";
	}
	EVP_PKEY_free(pkey);
	if (unfit)
		return err_set(err, STATUS_INVALID,
			"JWT_PUBLIC_KEY_FILE: \"%s\" %s, which JWT_ALGORITHM %s needs", path, unfit,
			algorithm->name);
	keys_add(keys, NULL, pem, strlen(pem));
	return STATUS_OK;
}

static enum status load_file(struct keys *keys, const struct key_source *source,
	const struct algorithm *algorithm, struct err *err)
{
	const char *variable = source->jwks_file ? "JWT_JWKS_FILE" : "JWT_PUBLIC_KEY_FILE";
	const char *path = source->jwks_file ? source->jwks_file : source->public_key_file;
	AUTO_BUF struct buf text = buf_init(FILE_MAX);
	enum status status = read_file(variable, path, &text, err);

	if (status != STATUS_OK)
		return status;
	status = source->jwks_file ? jwks_read(keys, buf_as_span(&text), path, algorithm, err)
				   : load_pem(keys, buf_as_span(&text), path, algorithm, err);
	if (text.bytes)
		OPENSSL_cleanse(text.bytes, text.len);
	return status;
}

static enum status prepare(struct keys *keys, const struct algorithm *algorithm, struct err *err)
{
	for (size_t i = 0; i < keys->count; i++)
		if (!signature_prepare(&keys->items[i], algorithm)) {
			ERR_clear_error();
			return err_set(err, STATUS_INVALID,
				"JWT_ALGORITHM: OpenSSL cannot verify %s with key %zu of those "
				"configured",
				algorithm->name, i + 1);
		}
	return STATUS_OK;
}

enum status keys_load(const struct key_source *source, const struct algorithm *algorithm,
	struct keys **ret, struct err *err)
{
	struct keys *keys = mem_zero(1, sizeof(*keys));
	enum status status;

	atomic_init(&keys->refs, 1);
	keys->cache = cache_create(CACHE_MAX);
	keys->headers = headers_create();
	status = source->secret ? load_secret(keys, source->secret, err)
				: load_file(keys, source, algorithm, err);
	if (status == STATUS_OK)
		status = prepare(keys, algorithm, err);
	if (status != STATUS_OK) {
		keys_unref(keys);
		return status;
	}
	*ret = keys;
	return STATUS_OK;
}

static uint64_t number_of(const struct key *key, const struct key *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (items[i].len == key->len && memcmp(items[i].bytes, key->bytes, key->len) == 0)
			return items[i].number;
	return 0;
}

void keys_number(struct keys *keys, const struct keys *old, uint64_t *last)
{
	for (size_t i = 0; i < keys->count; i++) {
		struct key *key = &keys->items[i];

		key->number = old ? number_of(key, old->items, old->count) : 0;
		if (!key->number)
			key->number = number_of(key, keys->items, i);
		if (!key->number)
			key->number = ++*last;
	}
}

bool keys_have(const struct keys *keys, uint64_t number)
{
	for (size_t i = 0; keys && i < keys->count; i++)
		if (keys->items[i].number == number)
			return true;
	return false;
}

struct keys *keys_ref(struct keys *keys)
{
	atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
	return keys;
}

void keys_unref(struct keys *keys)
{
	if (!keys || atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < keys->count; i++) {
		signature_forget(&keys->items[i]);
		OPENSSL_cleanse(keys->items[i].bytes, keys->items[i].len);
		free(keys->items[i].bytes);
		free(keys->items[i].kid);
	}
	free(keys->items);
	cache_destroy(keys->cache);
	headers_destroy(keys->headers);
	free(keys);
}
