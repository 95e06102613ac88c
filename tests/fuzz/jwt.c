/* Tokens. An input that begins with S is a header and a payload (two fields), which are encoded and
 * signed with the right secret, so that the claims are reached; any other input is a token as it
 * came, and must never be let in: to be so it would have to be signed. */
#include "fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/auth.h"
#include "base/buf.h"
#include "base/utf8.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static void add_encoded(struct buf *out, const void *bytes, size_t len)
{
	char *text = malloc(len * 4 / 3 + 8);
	int n = EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);

	while (n && text[n - 1] == '=')
		n--;
	for (int i = 0; i < n; i++)
		text[i] = (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
	buf_bytes(out, text, (size_t)n);
	free(text);
}

static struct buf sign(struct span input)
{
	struct buf token = buf_init(BUF_NO_MAX);
	struct span header = fuzz_field(&input), payload = input;
	unsigned char signature[EVP_MAX_MD_SIZE];
	unsigned len;

	add_encoded(&token, header.p, header.len);
	buf_text(&token, ".");
	add_encoded(&token, payload.p, payload.len);
	HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, (unsigned char *)token.bytes, token.len,
		signature, &len);
	buf_text(&token, ".");
	add_encoded(&token, signature, len);
	return token;
}

static struct auth *create(void)
{
	struct err err;
	struct auth *auth = auth_create(&(struct auth_config){.jwt_secret = SECRET,
						.jwt_algorithm = "HS256",
						.jwt_audience = "esink",
						.security_token = "the operator's",
						.has_table = true},
		&err);

	MUST(auth);
	return auth;
}

static void check(const struct auth *auth, struct span token, bool is_signed)
{
	struct span exact = fuzz_exact(token);
	struct identity identity = {.user = NULL};
	enum auth_verdict verdict = auth_check(auth, exact, &identity);

	MUST(verdict != AUTH_GRANTED || is_signed);
	if (verdict == AUTH_GRANTED)
		MUST(identity.kind == IDENTITY_USER && *identity.user && identity.expires > 0 &&
			utf8_valid(identity.user, strlen(identity.user)));
	free(identity.user);
	free((char *)(uintptr_t)exact.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct auth *auth;
	struct span input = {(const char *)bytes, size};
	struct buf token;

	if (!auth)
		auth = create();
	if (!size || *bytes != 'S') {
		check(auth, input, false);
		return 0;
	}
	token = sign((struct span){input.p + 1, size - 1});
	check(auth, buf_as_span(&token), true);
	buf_finish(&token);
	return 0;
}
