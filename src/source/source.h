/* The drivers that this build has, by name. */
#ifndef ESINK_SOURCE_REGISTRY_H
#define ESINK_SOURCE_REGISTRY_H

#include "esink/source.h"

const struct source_ops *source_by_name(
	const char *name); /* NULL: this build has none of that name */

#endif
