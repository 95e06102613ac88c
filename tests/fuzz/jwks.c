/* A JWK set, read for each family of algorithms: what is accepted gave at least one key, what is
 * not is explained. */
#include "fuzz.h"

#include "auth/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const names[] = {"HS256", "RS256", "ES384"};

	for (size_t i = 0; i < 3; i++) {
		struct span text = fuzz_exact((struct span){(const char *)bytes, size});
		struct keys *keys = calloc(1, sizeof(*keys));
		struct err err = {""};

		atomic_init(&keys->refs, 1);
		if (jwks_read(keys, text, "keys.json", algorithm_find(names[i]), &err) == STATUS_OK)
			MUST(keys->count > 0 && keys->items[0].len > 0);
		else
			MUST(*err.text);
		keys_unref(keys);
		free((char *)(uintptr_t)text.p);
	}
	return 0;
}
