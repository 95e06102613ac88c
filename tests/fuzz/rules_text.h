/* A meaning, chosen and spelt out as the variables that a user would write: in one of the ways that the documentation allows. */
#ifndef ESINK_TESTS_FUZZ_RULES_TEXT_H
#define ESINK_TESTS_FUZZ_RULES_TEXT_H

#include "dice.h"
#include "model.h"

void meaning_choose(struct dice *dice, struct meaning *meaning);
/* The ruleset of it; NULL is a failure: what the documentation allows was refused. */
struct ruleset *meaning_spell(struct dice *dice, const struct meaning *meaning);

#endif
