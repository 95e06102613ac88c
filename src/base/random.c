/* Random bytes, hex digits and url-safe words. */
#include "base/random.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

static void random_text(char *text, size_t length, const char *alphabet, unsigned mask)
{
	random_bytes(text, length);
	for (size_t i = 0; i < length; i++)
		text[i] = alphabet[(unsigned char)text[i] & mask];
	text[length] = 0;
}

void random_bytes(void *bytes, size_t len)
{
	if (RAND_bytes(bytes, (int)len) != 1) {
		fputs("esink: no randomness from OpenSSL\n", stderr);
		abort();
	}
}

void random_hex(char *text, size_t digits)
{
	random_text(text, digits, "0123456789abcdef", 15);
}

void random_word(char *text, size_t length)
{
	random_text(text, length, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 63);
}
