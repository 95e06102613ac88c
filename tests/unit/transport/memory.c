/* As the kernel counts it: what malloc() keeps for later counts too. */
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

size_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	if (!file || fscanf(file, "%*u %zu", &pages) != 1)
		abort();
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}
