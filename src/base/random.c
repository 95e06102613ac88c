/* Random bytes, hex digits and url-safe words. OpenSSL's generator takes 7,000 instructions for however few bytes, so each thread
 * keeps some in stock for the ids of its sessions; what was handed out is wiped from there. Nothing here forks. */
#include "base/random.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOCK_BYTES 512
#define SMALL_BYTES 64

static void random_text(char *text, size_t length, const char *alphabet, unsigned mask)
{
	random_bytes(text, length);
	for (size_t i = 0; i < length; i++)
		text[i] = alphabet[(unsigned char)text[i] & mask];
	text[length] = 0;
}

static void generate(void *bytes, size_t len)
{
	if (RAND_bytes(bytes, (int)len) != 1) {
		fputs("esink: no randomness from OpenSSL\n", stderr);
		abort();
	}
}

void random_bytes(void *bytes, size_t len)
{
	static _Thread_local unsigned char stock[STOCK_BYTES];
	static _Thread_local size_t left;

	if (len > SMALL_BYTES) {
		generate(bytes, len);
		return;
	}
	if (left < len) {
		generate(stock, sizeof(stock));
		left = sizeof(stock);
	}
	left -= len;
	memcpy(bytes, stock + left, len);
	OPENSSL_cleanse(stock + left, len);
}

void random_hex(char *text, size_t digits)
{
	random_text(text, digits, "0123456789abcdef", 15);
}

void random_word(char *text, size_t length)
{
	random_text(text, length, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 63);
}
