/* Private to src/auth: a JWT, verified, to what it says of its bearer. */
#ifndef ESINK_AUTH_CLAIMS_H
#define ESINK_AUTH_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/keys.h"
#include "esink/span.h"

#define JWT_LEEWAY_MS 30000

struct jwt_policy {
	const struct algorithm *algorithm;
	const char *user_claim;
	const char *issuer, *audience; /* NULL: not checked */
};

struct claims {
	char *user;
	bool numeric;
	int64_t expires; /* ms since 1970: exp, without leeway */
	uint64_t key;    /* number of the one that verified it */
};

/* False: not ours, not well-formed, not for us, or not valid at now (ms). claims is the caller's to
 * finish. */
bool claims_verify(const struct keys *keys, const struct jwt_policy *policy, struct span token,
	int64_t now, struct claims *claims);
void claims_finish(struct claims *claims);

#endif
