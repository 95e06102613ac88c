/* UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF. */
#ifndef ESINK_UTF8_H
#define ESINK_UTF8_H

#include <stdbool.h>
#include <stddef.h>

size_t utf8_sequence(const char *text, size_t len); /* bytes of the valid sequence at text, 0: invalid */
bool utf8_valid(const char *text, size_t len);
size_t utf8_shown(const char *text, size_t len, size_t max); /* bytes of the whole valid sequences that begin text, max at most */

#endif
