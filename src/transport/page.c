/* Which file of the live page a path means, and what a browser lets the page do. The token that is typed into the page, and
 * rows that hold whatever users wrote, are why the policy is as narrow as the page allows: scripts and styles are its own
 * files, connections go to this relay alone ('self' covers ws: and wss:), and the DOM takes no text for markup.
 */
#include "transport/page.h"

const char page_policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
			   "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
			   "require-trusted-types-for 'script'; trusted-types 'none'";

const struct page_file *page_find(struct span path)
{
	for (size_t i = 0; i < page_file_count; i++) {
		if (span_is(path, page_files[i].path))
			return &page_files[i];
	}
	return NULL;
}
