/* The one error law: a function that can fail in one way returns bool, any other returns enum status; its outputs
 * are untouched on failure, its result must be looked at, and a sentence for a person goes into the caller's struct err.
 * A function logs or returns an error, never both. */
#ifndef ESINK_STATUS_H
#define ESINK_STATUS_H

/* name, text for people */
#define STATUS_LIST(X)                                                                                       \
	X(STATUS_OK, "ok")                                                                                   \
	X(STATUS_INVALID, "invalid")           /* malformed input: the sender's fault */                     \
	X(STATUS_UNAUTHORIZED, "unauthorized") /* no such token, or not for this */                          \
	X(STATUS_NOT_FOUND, "not found")                                                                     \
	X(STATUS_DENIED, "permission denied") /* a right that the database refuses */                        \
	X(STATUS_TOO_MANY, "too many")        /* a bound is reached: later */                                \
	X(STATUS_UNAVAILABLE, "unavailable")  /* the database is away, or not yet ready */                   \
	X(STATUS_TIMEOUT, "timed out")                                                                       \
	X(STATUS_GONE, "gone")      /* the journal no longer reaches, or is another one */                   \
	X(STATUS_CONFLICT, "conflict")                                                                       \
	X(STATUS_STOPPED, "stopped") /* we were asked to end */                                              \
	X(STATUS_FAILED, "failed")   /* anything else; struct err tells */

enum status {
#define X(name, text) name,
	STATUS_LIST(X)
#undef X
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Owned by the caller, on its stack; text is always terminated, "" when nothing was said. */
struct err {
	char text[512];
};

const char *status_text(enum status status);

/* Writes the sentence (cut at the end of the array) and returns status, so that `return err_set(...)` reads well.
 * err may be NULL. */
enum status err_set(struct err *err, enum status status, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
