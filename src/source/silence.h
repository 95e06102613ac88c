/* Consumers that are silent for longer than CONSUMER_MAX_SILENCE: how often drivers look for them, and what is said of one. */
#ifndef ESINK_SOURCE_SILENCE_H
#define ESINK_SOURCE_SILENCE_H

#include <stdint.h>

int64_t silence_look_ms(int64_t max_ms);  /* between two looks */
int64_t silence_grace_ms(int64_t max_ms); /* before the first one: while no relay served them they could not be heard of */
void silence_dropped(const char *domain, const char *name, int64_t silent_ms, int64_t max_ms);

#endif
