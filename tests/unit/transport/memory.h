/* What this process holds of the machine's memory. */
#ifndef ESINK_TEST_MEMORY_H
#define ESINK_TEST_MEMORY_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RESIDENT_IS_TRUE 0 /* what was freed is kept for a while */
#else
#define RESIDENT_IS_TRUE 1
#endif

size_t resident_bytes(void);

static inline long resident_mb(void)
{
	return (long)(resident_bytes() >> 20);
}

#endif
