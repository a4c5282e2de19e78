/* examples/support/text_data.c: a text as numbers, and windows of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text_training.h"

enum { CHUNK = 1 << 16 };

/* All bytes of a file, `-` for the standard input. */
static int read_bytes(const char *path, unsigned char **bytes, size_t *count) {
  FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
  if (file == NULL) return digits_error(DIGITS_FAILED, "%s: cannot open: %s", path, strerror(errno));
  size_t room = 0;
  int code = DIGITS_OK;
  *bytes = NULL;
  for (*count = 0; code == DIGITS_OK && !feof(file) && !ferror(file);) {
    if (room - *count < CHUNK) {
      unsigned char *more = realloc(*bytes, room = 2 * room + CHUNK);
      if (more == NULL) code = digits_error(DIGITS_FAILED, "%s: no memory for the text", path);
      if (more != NULL) *bytes = more;
    }
    if (code == DIGITS_OK) *count += fread(*bytes + *count, 1, CHUNK, file);
  }
  if (code == DIGITS_OK && ferror(file))
    code = digits_error(DIGITS_FAILED, "%s: cannot read: %s", path, strerror(errno));
  if (file != stdin) (void)fclose(file);
  return code;
}

/* Numbers in the order of the characters' codes. */
static void number_letters(const unsigned char *bytes, size_t count, text_data *data) {
  for (int c = 0; c < 256; ++c) data->numbers[c] = -1;
  for (size_t i = 0; i < count; ++i) data->numbers[bytes[i]] = 0;
  for (int c = 0; c < 256; ++c)
    if (data->numbers[c] == 0) {
      data->letters[data->vocabulary] = (unsigned char)c;
      data->numbers[c] = data->vocabulary++;
    }
}

int text_read(const char *path, int length, text_data *data) {
  unsigned char *bytes = NULL;
  size_t count = 0;
  *data = (text_data){.vocabulary = 0};
  int code = read_bytes(path, &bytes, &count);
  data->count = (int64_t)count;
  data->trained = data->count - data->count / 10;
  if (code == DIGITS_OK && data->count - data->trained <= length)
    code =
        digits_error(DIGITS_FAILED,
                     "%s: it has %zu characters; windows of %d and their next one, in the last tenth too, need %d at "
                     "least: give a longer text, or a smaller --length",
                     path, count, length, 10 * (length + 1));
  if (code == DIGITS_OK) number_letters(bytes, count, data);
  if (code == DIGITS_OK && data->vocabulary < 2)
    code = digits_error(DIGITS_FAILED, "%s: it has one character, over and over; nothing is to be learned", path);
  if (code == DIGITS_OK && (data->tokens = malloc(count * sizeof *data->tokens)) == NULL)
    code = digits_error(DIGITS_FAILED, "%s: no memory for the text", path);
  for (size_t i = 0; code == DIGITS_OK && i < count; ++i) data->tokens[i] = data->numbers[bytes[i]];
  free(bytes);
  return code;
}

void text_free(text_data *data) { free(data->tokens); }

static void copy_window(const text_data *data, int64_t from, int length, int32_t *tokens, int32_t *targets) {
  memcpy(tokens, data->tokens + from, (size_t)length * sizeof *tokens);
  memcpy(targets, data->tokens + from + 1, (size_t)length * sizeof *targets);
}

void text_draw(const text_data *data, int batch, int length, uint64_t seed, int32_t *tokens, int32_t *targets) {
  const uint64_t starts = (uint64_t)(data->trained - length);
  for (int i = 0; i < batch; ++i)
    copy_window(data, (int64_t)(train_random(&seed) % starts), length, tokens + i * length, targets + i * length);
}

void text_unseen(const text_data *data, int batch, int length, int first, int32_t *tokens, int32_t *targets) {
  const int64_t windows = (data->count - data->trained - 1) / length;
  for (int i = 0; i < batch; ++i)
    copy_window(data, data->trained + (first + i) % windows * length, length, tokens + i * length,
                targets + i * length);
}
