/* Whether rows of a shape can be what the shape says, judged by the columns that its table has now. */
#ifndef ESINK_MYSQL_FIT_H
#define ESINK_MYSQL_FIT_H

#include "source/mysql/form.h"

/* What of a row may be told, and the bits of a journal row's kind that say so (triggers/mysql/schema.sql). */
enum my_fit { FIT_WHOLE = 0, FIT_KEY = 4, FIT_NOTHING = 4 | 16 };

/* names: today's, in table order. Marks the columns of then whose names may stand for another column by now; what was marked
 * before stays so. */
enum my_fit my_fit_judge(struct my_form_shape *then, const char *const *names, size_t count);
/* Whether the shape keeps anything back: the others always fit. */
bool my_fit_withholds(const struct my_form_shape *shape);

#endif
