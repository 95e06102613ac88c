/* Choices: from the bytes of the input as long as there are any, so that libFuzzer can change one of them and keep the others, then from a
 * generator that was seeded by the whole input. */
#ifndef ESINK_TESTS_FUZZ_DICE_H
#define ESINK_TESTS_FUZZ_DICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dice {
	const uint8_t *at, *end;
	uint64_t state;
};

static inline struct dice dice_of(const uint8_t *bytes, size_t size)
{
	struct dice dice = {bytes, bytes + size, UINT64_C(0x9e3779b97f4a7c15)};

	for (size_t i = 0; i < size; i++)
		dice.state = (dice.state ^ bytes[i]) * UINT64_C(0x100000001b3);
	return dice;
}

/* 0 to n - 1; n at most 256. */
static inline unsigned roll(struct dice *dice, unsigned n)
{
	if (dice->at < dice->end)
		return *dice->at++ % n;
	dice->state ^= dice->state << 13;
	dice->state ^= dice->state >> 7;
	dice->state ^= dice->state << 17;
	return (unsigned)(dice->state >> 33) % n;
}

static inline bool chance(struct dice *dice, unsigned percent)
{
	return roll(dice, 100) < percent;
}

#endif
