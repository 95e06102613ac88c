/* Prevents: a relay that is killed while it notes how far it has told, or two that do so at once, leaving an id with the time of another
 * event, which the next start takes for an older state of the file, and begins a new journal. Whatever part of a word or two was
 * written by whom, what is read must be one of the notes, whole.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "source/sqlite/note.h"

#define BYTES_MAX 1024
#define WORDS_MAX 16

static char folder[] = "/tmp/esink-note-XXXXXX", database[64], path[80];

struct image {
	uint64_t words[BYTES_MAX / 8];
	size_t len;
};

static void take(const struct note *note, struct image *image)
{
	ssize_t n = pread(note->fd, image->words, sizeof(image->words), 0);

	assert_true(n > 0 && n < BYTES_MAX && n % 8 == 0);
	image->len = (size_t)n;
}

static void put(const struct note *note, const struct image *image)
{
	assert_int_equal(pwrite(note->fd, image->words, image->len, 0), image->len);
}

static void begin(struct note *note, uint64_t head)
{
	struct note_state state = {.journal = "0123456789abcdef", .head = head, .at = (double)head};
	struct err err;

	*note = (struct note){.fd = -1};
	assert_int_equal(lite_note_claim(note, database, "word", &err), STATUS_OK);
	lite_note_begin(note, database, &state);
	lite_note_share(note);
}

static void test_told(void **unused)
{
	struct note note;
	struct note_state state;

	(void)unused;
	begin(&note, 5);
	assert_int_equal(lite_note_told(&note).head, 5);
	for (uint64_t head = 6; head < 20; head++) {
		lite_note_tell(&note, head, (double)head);
		lite_note_tell(&note, head - 1, 0); /* another relay, that is behind */
		state = lite_note_told(&note);
		assert_int_equal(state.head, head);
		assert_true(state.at == (double)head);
	}
	lite_note_close(&note);
}

/* Each word that one of two relays changes is as before, the one's or the other's. */
static void test_torn(void **unused)
{
	struct image before, one, other, mixed;
	size_t changed[WORDS_MAX], count = 0, ways = 1;
	struct note note;

	(void)unused;
	begin(&note, 5);
	lite_note_tell(&note, 6, 6);
	take(&note, &before);
	lite_note_tell(&note, 7, 7);
	take(&note, &one);
	put(&note, &before);
	lite_note_tell(&note, 8, 8);
	take(&note, &other);
	for (size_t i = 0; i < before.len / 8; i++)
		if (before.words[i] != one.words[i] || before.words[i] != other.words[i]) {
			assert_true(count < WORDS_MAX);
			changed[count++] = i;
			ways *= 3;
		}
	assert_true(count > 1);
	for (size_t way = 0; way < ways; way++) {
		struct note_state state;
		size_t rest = way;

		mixed = before;
		for (size_t i = 0; i < count; i++, rest /= 3)
			mixed.words[changed[i]] = (rest % 3 == 0 ? &before : rest % 3 == 1 ? &one : &other)->words[changed[i]];
		put(&note, &mixed);
		state = lite_note_told(&note);
		assert_in_range(state.head, 6, 8);
		assert_true(state.at == (double)state.head);
		lite_note_tell(&note, 9, 9); /* and it can be gone on with */
		assert_int_equal(lite_note_told(&note).head, 9);
	}
	lite_note_close(&note);
}

/* What the build before this one left is gone on with: no sum, and one slot. */
static void test_a_former_one(void **unused)
{
	struct note note;
	struct image image;
	struct err err;

	(void)unused;
	begin(&note, 5);
	take(&note, &image);
	lite_note_close(&note);
	memcpy(image.words, "esink 1", 8);
	image.words[image.len / 8 - 6] = 6; /* where the newest id lies, .. */
	memcpy(&image.words[image.len / 8 - 5], &(double){6}, 8); /* .. and its time; then a sum and the other slot, which it has not */
	image.len -= 4 * 8;
	assert_int_equal(truncate(path, 0), 0);
	note = (struct note){.fd = -1};
	assert_int_equal(lite_note_claim(&note, database, "word", &err), STATUS_OK);
	put(&note, &image);
	assert_null(lite_note_doubt(&note, database, "0123456789abcdef"));
	assert_int_equal(lite_note_told(&note).head, 6);
	assert_true(lite_note_told(&note).at == 6);
	lite_note_close(&note);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_told), cmocka_unit_test(test_torn), cmocka_unit_test(test_a_former_one)};
	FILE *file;
	int failed;

	if (!mkdtemp(folder))
		return 1;
	snprintf(database, sizeof(database), "%s/shop.db", folder);
	snprintf(path, sizeof(path), "%s-esink", database);
	file = fopen(database, "w");
	if (!file || fclose(file) != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	unlink(database);
	rmdir(folder);
	return failed;
}
