/* host/optimizer/optimizer_saved.c: what an optimizer has between steps: parts of memory, and a line of text. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/text.h"
#include "optimizer_parts.h"

/* ---- Parts ------------------------------------------------------------------------------------------------------- */

int32_t mfq_optimizer_part_count(const mfq_optimizer *o) { return o != NULL ? o->part_count : 0; }

static mfq_status find_part(const mfq_optimizer *o, const char *function, int32_t index) {
  const mfq_status status = mfq_argument_present((mfq_where){function, "optimizer"}, o);
  if (status != MFQ_OK || (index >= 0 && index < o->part_count)) return status;
  if (o->part_count == 0)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "index is %d; this optimizer has no parts", (int)index);
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "index is %d; this optimizer has parts 0 ... %d", (int)index,
                  (int)o->part_count - 1);
}

mfq_status mfq_optimizer_part_get(const mfq_optimizer *o, int32_t index, mfq_optimizer_part *part) {
  static const char function[] = "mfq_optimizer_part_get";
  mfq_status status = find_part(o, function, index);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "part"}, part);
  if (status != MFQ_OK) return status;
  const part_state *p = &o->parts[index];
  memset(part, 0, sizeof *part);
  part->name = p->name;
  part->bytes = p->bytes;
  part->data = p->data;
  if (p->tensor->moments[p->moment].memory.view != NULL) return MFQ_OK;
  const mfq_tensor *value = &p->tensor->value;
  return mfq_tensor_init(p->data, MFQ_DTYPE_F32, value->rank, value->shape, &part->tensor);
}

static mfq_status check_copy(const mfq_optimizer *o, const char *function, int32_t index, const void *host,
                             size_t bytes) {
  mfq_status status = find_part(o, function, index);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "host"}, host);
  if (status != MFQ_OK || bytes == o->parts[index].bytes) return status;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: bytes is %zu, but %s has %zu", o->name, bytes,
                  o->parts[index].name, o->parts[index].bytes);
}

mfq_status mfq_optimizer_part_read(const mfq_optimizer *o, int32_t index, void *host, size_t bytes) {
  const mfq_status status = check_copy(o, "mfq_optimizer_part_read", index, host, bytes);
  if (status != MFQ_OK || bytes == 0) return status;
  return o->context->backend->buffer_read(o->context, host, o->parts[index].data, bytes);
}

mfq_status mfq_optimizer_part_write(mfq_optimizer *o, int32_t index, const void *host, size_t bytes) {
  const mfq_status status = check_copy(o, "mfq_optimizer_part_write", index, host, bytes);
  if (status != MFQ_OK || bytes == 0) return status;
  return o->context->backend->buffer_write(o->context, o->parts[index].data, host, bytes);
}

/* ---- Writing the line -------------------------------------------------------------------------------------------- */

static const char first_words[] = "mfq-optimizer:1";
static const char *const kinds[] = {"sgd", "adamw"};
enum { GROUP_NUMBERS = 8 };

/* Of a group, in their order in the line. */
static void numbers_of(mfqn_optimizer_group *g, double **numbers) {
  double *const all[] = {&g->rate, &g->beta1, &g->beta2, &g->epsilon, &g->weight_decay, &g->power1, &g->power2};
  memcpy(numbers, all, sizeof all);
}

typedef struct line_text {
  char text[MFQ_OPTIMIZER_STATE_MAX];
  size_t used;
} line_text;

__attribute__((format(printf, 2, 3))) static void add(line_text *line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(line->text + line->used, sizeof line->text - line->used, format, arguments);
  va_end(arguments);
  if (length > 0) line->used += (size_t)length;
}

static mfq_status add_scheme(const mfq_optimizer *o, int moment, line_text *line) {
  char text[MFQ_SCHEME_TEXT_MAX] = "f32";
  const mfq_status status = o->is_coded[moment] ? mfq_scheme_print(&o->schemes[moment], text, sizeof text) : MFQ_OK;
  add(line, " %s=%s", moment == 0 ? "first" : "second", text);
  return status;
}

static void add_group(mfqn_optimizer_group *g, line_text *line) {
  double *numbers[GROUP_NUMBERS - 1];
  numbers_of(g, numbers);
  add(line, " group=");
  for (int i = 0; i < GROUP_NUMBERS - 1; ++i) {
    char text[40];
    mfq_double_write(*numbers[i], text, sizeof text);
    add(line, "%s,", text);
  }
  add(line, "%d", (int)g->nesterov);
}

/* What the device has, of the kernel that wrote last. */
static mfq_status read_device(const mfq_optimizer *o, mfqn_optimizer_state *state, mfqn_optimizer_group *groups) {
  const mfq_backend *backend = o->context->backend;
  const mfq_status status = backend->buffer_read(o->context, state, o->state, sizeof *state);
  if (status != MFQ_OK) return status;
  return backend->buffer_read(o->context, groups, o->device_groups, (size_t)o->group_count * sizeof *groups);
}

mfq_status mfq_optimizer_state_print(const mfq_optimizer *o, char *text, size_t capacity) {
  static const char function[] = "mfq_optimizer_state_print";
  mfqn_optimizer_state state;
  mfqn_optimizer_group groups[MFQ_OPTIMIZER_GROUPS];
  line_text line = {.used = 0};
  mfq_status status = mfq_argument_present((mfq_where){function, "optimizer"}, o);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "text"}, text);
  if (status == MFQ_OK) status = read_device(o, &state, groups);
  if (status != MFQ_OK) return status;
  char scale[40];
  mfq_double_write(state.gradient_scale, scale, sizeof scale);
  add(&line, "%s kind=%s steps=%" PRIu64 " skipped=%" PRIu64 " seed=%" PRIu64 " scale=%s", first_words, kinds[o->kind],
      state.steps, state.skipped, o->seed, scale);
  for (int i = 0; i < MOMENTS && status == MFQ_OK; ++i) status = add_scheme(o, i, &line);
  for (int32_t i = 0; i < o->group_count && status == MFQ_OK; ++i) add_group(&groups[i], &line);
  if (status == MFQ_OK && line.used >= capacity)
    status = mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "capacity is %zu, but the text needs %zu bytes", capacity,
                      line.used + 1);
  if (status == MFQ_OK) memcpy(text, line.text, line.used + 1);
  return status;
}

/* ---- Reading the line -------------------------------------------------------------------------------------------- */

/* What a line says, before anything is changed. */
typedef struct line_state {
  uint64_t steps, skipped, seed;
  double scale;
  mfqn_optimizer_group groups[MFQ_OPTIMIZER_GROUPS];
} line_state;

/* A line as it is read; `expected` is what should be at `at`. */
typedef struct line_reader {
  const mfq_optimizer *optimizer;
  const char *function, *text, *at, *expected;
} line_reader;

static mfq_status refuse(const line_reader *r) {
  return mfq_fail(MFQ_ERROR_PARSE, r->function, "%s: at column %zu there should be \" %s=\" and what belongs to it",
                  r->optimizer->name, (size_t)(r->at - r->text) + 1, r->expected);
}

/* Reads " name=word" and moves behind it; 0 where something else is there. */
static int read_word(line_reader *r, const char *name, mfq_span *word) {
  const size_t length = strlen(name);
  r->expected = name;
  if (r->at[0] != ' ' || strncmp(r->at + 1, name, length) != 0 || r->at[1 + length] != '=') return 0;
  const char *first = r->at + 2 + length;
  *word = (mfq_span){first, strcspn(first, " ")};
  r->at = first + word->length;
  return 1;
}

static int read_natural(line_reader *r, const char *name, uint64_t most, uint64_t *number) {
  const char *before = r->at;
  mfq_span word;
  if (read_word(r, name, &word) && mfq_span_natural(word, number) && *number <= most) return 1;
  r->at = before;
  return 0;
}

/* A word that must be what this optimizer has. */
static mfq_status read_equal(line_reader *r, const char *name, const char *own) {
  const char *before = r->at;
  mfq_span word;
  if (!read_word(r, name, &word)) {
    r->at = before;
    return refuse(r);
  }
  if (mfq_span_equal(word, own)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, r->function,
                  "%s: the state has %s=%s, but the optimizer %s; make the optimizer as that one was, or start anew",
                  r->optimizer->name, name, mfq_quoted(word, 120).text, own);
}

static mfq_status read_scheme(line_reader *r, int moment) {
  char own[MFQ_SCHEME_TEXT_MAX] = "f32";
  const mfq_optimizer *o = r->optimizer;
  const mfq_status status = o->is_coded[moment] ? mfq_scheme_print(&o->schemes[moment], own, sizeof own) : MFQ_OK;
  return status == MFQ_OK ? read_equal(r, moment == 0 ? "first" : "second", own) : status;
}

/* The numbers of a group; 0 where these are none, or some that no group has. */
static int read_group(line_reader *r, mfqn_optimizer_group *g) {
  const char *before = r->at;
  mfq_span word;
  double *numbers[GROUP_NUMBERS - 1];
  numbers_of(g, numbers);
  int is_good = read_word(r, "group", &word);
  for (int i = 0; is_good && i < GROUP_NUMBERS - 1; ++i) {
    const size_t length = mfq_span_find(word, ',');
    is_good = length < word.length && mfq_span_double((mfq_span){word.text, length}, numbers[i]);
    if (is_good) word = mfq_span_from(word, length + 1);
  }
  is_good = is_good && word.length == 1 && (word.text[0] == '0' || word.text[0] == '1');
  if (is_good) g->nesterov = word.text[0] - '0';
  const mfq_optimizer_group numbers_read = {.struct_size = sizeof numbers_read,
                                            .rate = g->rate,
                                            .beta1 = g->beta1,
                                            .beta2 = g->beta2,
                                            .epsilon = g->epsilon,
                                            .weight_decay = g->weight_decay,
                                            .nesterov = (int32_t)g->nesterov};
  is_good = is_good &&
            mfq_optimizer_take_group((mfq_where){r->function, "group"}, r->optimizer->kind, &numbers_read, g) == MFQ_OK;
  is_good = is_good && g->power1 >= 0.0 && g->power1 <= 1.0 && g->power2 >= 0.0 && g->power2 <= 1.0;
  if (!is_good) r->at = before;
  return is_good;
}

static mfq_status read_groups(line_reader *r, line_state *s) {
  const mfq_optimizer *o = r->optimizer;
  int32_t count = 0;
  for (; count < o->group_count; ++count) {
    s->groups[count] = o->groups[count];
    if (*r->at == 0) break;
    if (!read_group(r, &s->groups[count])) return refuse(r);
    if (s->groups[count].beta1 > 0.0 && !o->has_momentum[count])
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, r->function,
                      "%s: group %d of the state has a momentum, but that of the optimizer was made without", o->name,
                      (int)count);
  }
  if (count == o->group_count && *r->at == 0) return MFQ_OK;
  if (count == o->group_count && strncmp(r->at, " group=", 7) != 0) return refuse(r);
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, r->function,
                  "%s: the state is of %s groups than the %d that the optimizer has", o->name,
                  *r->at != 0 ? "more" : "fewer", (int)o->group_count);
}

static mfq_status read_line(line_reader *r, line_state *s) {
  const mfq_optimizer *o = r->optimizer;
  if (strncmp(r->text, first_words, strlen(first_words)) != 0)
    return mfq_fail(MFQ_ERROR_PARSE, r->function,
                    "%s: this is no state of an optimizer, or one of another version: it begins \"%.24s\", not \"%s\"",
                    o->name, r->text, first_words);
  r->at = r->text + strlen(first_words);
  mfq_status status = read_equal(r, "kind", kinds[o->kind]);
  if (status != MFQ_OK) return status;
  if (!read_natural(r, "steps", INT64_MAX, &s->steps) || !read_natural(r, "skipped", INT64_MAX, &s->skipped) ||
      !read_natural(r, "seed", UINT64_MAX, &s->seed))
    return refuse(r);
  const char *before = r->at;
  mfq_span word;
  if (!read_word(r, "scale", &word) || !mfq_span_double(word, &s->scale) || !(s->scale > 0.0) ||
      !((double)(float)s->scale == s->scale)) {
    r->at = before;
    return refuse(r);
  }
  for (int i = 0; i < MOMENTS && status == MFQ_OK; ++i) status = read_scheme(r, i);
  return status == MFQ_OK ? read_groups(r, s) : status;
}

static void take_line(mfq_optimizer *o, const line_state *s) {
  o->seed = s->seed;
  o->gradient_scale = (float)s->scale;
  memcpy(o->groups, s->groups, (size_t)o->group_count * sizeof o->groups[0]);
}

mfq_status mfq_optimizer_state_parse(mfq_optimizer *o, const char *text) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_optimizer_state_parse";
  line_state read = {.steps = 0};
  line_reader reader = {.optimizer = o, .function = function, .text = text};
  mfq_status status = mfq_argument_present((mfq_where){function, "optimizer"}, o);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "text"}, text);
  if (status == MFQ_OK) status = read_line(&reader, &read);
  if (status != MFQ_OK) return status;
  const mfq_backend *backend = o->context->backend;
  const mfqn_optimizer_state state = {.steps = read.steps,
                                      .skipped = read.skipped,
                                      .seed = read.seed,
                                      .gradient_scale = read.scale,
                                      .factor = read.scale,
                                      .clip_norm = (double)o->clip_norm};
  status = backend->buffer_write(o->context, o->state, &state, sizeof state);
  if (status == MFQ_OK)
    status = backend->buffer_write(o->context, o->device_groups, read.groups,
                                   (size_t)o->group_count * sizeof read.groups[0]);
  if (status == MFQ_OK) take_line(o, &read);
  return status;
}
