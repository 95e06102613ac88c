/* The live page at `/` and its parts: files of src/web, in the binary since the build. */
#ifndef ESINK_PAGE_H
#define ESINK_PAGE_H

#include <stddef.h>

#include "esink/span.h"

struct page_file {
	const char *path, *type;
	const char *etag; /* with its quotes */
	struct span bytes;
};

extern const struct page_file page_files[]; /* made by src/web/embed.py */
extern const size_t page_file_count;

/* The file of a decoded path; NULL: there is none. */
const struct page_file *page_find(struct span path);

/* Content-Security-Policy of every part: its own files and its own relay, nothing inline, nothing foreign. */
extern const char page_policy[];

#endif
