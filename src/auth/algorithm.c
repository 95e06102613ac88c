/* The algorithms of RFC 7518 that are on offer, with what each demands of its key. */
#include <stdio.h>
#include <string.h>

#include "auth/keys.h"

static const struct algorithm algorithms[] = {
	{"HS256", "SHA256", FAMILY_HMAC, NULL, NULL, 0},
	{"HS384", "SHA384", FAMILY_HMAC, NULL, NULL, 0},
	{"HS512", "SHA512", FAMILY_HMAC, NULL, NULL, 0},
	{"RS256", "SHA256", FAMILY_RSA, NULL, NULL, 0},
	{"RS384", "SHA384", FAMILY_RSA, NULL, NULL, 0},
	{"RS512", "SHA512", FAMILY_RSA, NULL, NULL, 0},
	{"ES256", "SHA256", FAMILY_EC, "prime256v1", "P-256", 32},
	{"ES384", "SHA384", FAMILY_EC, "secp384r1", "P-384", 48},
	{"ES512", "SHA512", FAMILY_EC, "secp521r1", "P-521", 66},
};

#define COUNT (sizeof(algorithms) / sizeof(*algorithms))

const struct algorithm *algorithm_find(const char *name)
{
	for (size_t i = 0; i < COUNT; i++)
		if (strcmp(algorithms[i].name, name) == 0)
			return &algorithms[i];
	return NULL;
}

void algorithm_list(char *text, size_t room)
{
	size_t at = 0;

	for (size_t i = 0; i < COUNT && at < room; i++)
		at += (size_t)snprintf(
			text + at, room - at, "%s%s", i ? ", " : "", algorithms[i].name);
}
