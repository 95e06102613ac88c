/* Randomness from OpenSSL; a failure of the generator ends the process: nothing may go on with a guessable id. */
#ifndef ESINK_RANDOM_H
#define ESINK_RANDOM_H

#include <stddef.h>

void random_bytes(void *bytes, size_t len);
void random_hex(char *text, size_t digits);  /* writes digits + NUL */
void random_word(char *text, size_t length); /* A-Z a-z 0-9 _ -: 6 bits each, + NUL: session ids */

#endif
