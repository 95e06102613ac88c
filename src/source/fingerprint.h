/* A word for the rules that a relay works by: equal words, equal rules. Relays with different ones must not work on one
 * database at the same time, for the triggers withhold and route by one set of rules only. */
#ifndef ESINK_SOURCE_FINGERPRINT_H
#define ESINK_SOURCE_FINGERPRINT_H

#include "rules/ruleset.h"

#define FINGERPRINT_LEN 16

void fingerprint_rules(const struct ruleset *rules, char word[FINGERPRINT_LEN + 1]);
/* Of any text, the same in every process and version. */
void fingerprint_text(struct span text, char word[FINGERPRINT_LEN + 1]);

#endif
