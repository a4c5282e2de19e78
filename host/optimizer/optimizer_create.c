/* host/optimizer/optimizer_create.c: optimizers come and go: memory on the device, and the plans of tensors. */
#include <stdio.h>
#include <string.h>

#include "host/core/error.h"
#include "host/core/integers.h"
#include "host/core/module/context_state.h"
#include "host/core/process/fp_mode.h"
#include "optimizer_parts.h"

void *mfq_optimizer_alloc(mfq_context *context, size_t count, size_t bytes) {
  const size_t all = mfq_size_times(count, bytes);
  void *memory = all < SIZE_MAX ? context->alloc(context->alloc_user, all) : NULL;
  if (memory != NULL) memset(memory, 0, all);
  return memory;
}

/* ---- Parts ------------------------------------------------------------------------------------------------------- */

/* Parts of a buffer are aligned to 256, as buffers are. */
enum { ALIGNMENT = 256 };
static size_t after(size_t at, size_t bytes) {
  const size_t end = mfq_size_plus(at, bytes);
  return end > SIZE_MAX - ALIGNMENT ? SIZE_MAX : (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The stretches of a moment; the first one alone where it is float32. */
typedef struct stretch {
  const char *suffix;
  size_t bytes;
} stretch;
enum { STRETCHES = 4 };

static int stretches_of(const tensor_state *t, int i, stretch *s) {
  const moment_state *m = &t->moments[i];
  const mfq_qtensor_sizes *z = &m->view.sizes;
  if (!m->is_there) return 0;
  if (m->memory.view == NULL) {
    s[0] = (stretch){"", mfq_size_times((size_t)t->flat_value.shape[0], sizeof(float))};
    return 1;
  }
  const stretch all[STRETCHES] = {{".codes", z->codes_bytes},
                                  {".scales", z->scales_bytes},
                                  {".zero_points", z->zero_points_bytes},
                                  {".tensor_scale", z->tensor_scale_bytes}};
  int count = 0;
  for (int k = 0; k < STRETCHES; ++k)
    if (k < 2 || all[k].bytes > 0) s[count++] = all[k];
  return count;
}

static void give(moment_state *m, const char *suffix, void *memory) {
  mfq_qtensor *q = &m->view.q;
  if (suffix[0] == 0) m->memory.plain = memory;
  if (strcmp(suffix, ".codes") == 0) q->codes = memory;
  if (strcmp(suffix, ".scales") == 0) q->scales = memory;
  if (strcmp(suffix, ".zero_points") == 0) q->zero_points = memory;
  if (strcmp(suffix, ".tensor_scale") == 0) q->tensor_scale = memory;
}

/* All stretches in turn: counted where `base` is NULL, and otherwise named and placed. */
static size_t place_parts(mfq_optimizer *o, uint8_t *base, int32_t *count) {
  static const char *const moments[] = {"first", "second"};
  size_t at = 0;
  *count = 0;
  for (int32_t k = 0; k < o->tensor_count; ++k)
    for (int i = 0; i < MOMENTS; ++i) {
      tensor_state *t = &o->tensors[k];
      stretch s[STRETCHES];
      const int n = stretches_of(t, i, s);
      for (int j = 0; j < n; ++j) {
        if (base != NULL) {
          part_state *part = &o->parts[*count];
          *part = (part_state){.tensor = t, .moment = i, .data = base + at, .bytes = s[j].bytes};
          (void)snprintf(part->name, sizeof part->name, "%s.%s%s", t->name, moments[i], s[j].suffix);
          give(&t->moments[i], s[j].suffix, part->data);
        }
        at = after(at, s[j].bytes);
        *count += 1;
      }
    }
  return at;
}

static mfq_status make_moments(mfq_optimizer *o, const char *function) {
  o->moment_bytes = place_parts(o, NULL, &o->part_count);
  o->parts = mfq_optimizer_alloc(o->context, (size_t)o->part_count + 1, sizeof *o->parts);
  if (o->parts == NULL)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for %d parts of the state", (int)o->part_count);
  mfq_status status = mfq_buffer_create(o->context, o->moment_bytes, &o->moments);
  if (status == MFQ_OK) status = mfq_buffer_fill(o->moments, 0, o->moment_bytes, 0);
  if (status == MFQ_OK) (void)place_parts(o, mfq_buffer_data(o->moments), &o->part_count);
  return status;
}

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

static void describe_tensor(mfq_optimizer *o, tensor_state *t, int64_t first_sum) {
  const int32_t group = t->update.group, stochastic = t->update.stochastic;
  const mfq_qview *row = t->update.row, *col = t->update.col;
  t->squares = (mfq_optimizing){.part = MFQ_OPTIMIZING_SQUARES, .kind = (int32_t)o->kind, .sums = o->sums};
  t->update = (mfq_optimizing){.part = MFQ_OPTIMIZING_UPDATE,
                               .kind = (int32_t)o->kind,
                               .state = o->state,
                               .groups = o->device_groups,
                               .group_count = o->group_count,
                               .group = group,
                               .first = t->moments[0].memory,
                               .second = t->moments[1].memory,
                               .stochastic = stochastic,
                               .first_index = (uint64_t)first_sum * MFQN_SQUARES_RUN,
                               .shaped = &t->value,
                               .row = row,
                               .col = col};
  t->squares_cast = (mfq_cast){.op = MFQ_OP_OPTIMIZE,
                               .function = "mfq_optimizer_step",
                               .src = &t->flat_gradient,
                               .dst = &t->flat_value,
                               .optimizing = &t->squares};
  t->update_cast = t->squares_cast;
  t->update_cast.optimizing = &t->update;
}

/* Chooses how tensors are updated; `bytes` is what the most demanding one needs of workspace. */
static mfq_status choose(mfq_optimizer *o, size_t *bytes) {
  const mfq_backend *backend = o->context->backend;
  int64_t first_sum = 0;
  *bytes = 0;
  for (int32_t i = 0; i < o->tensor_count; ++i) {
    tensor_state *t = &o->tensors[i];
    describe_tensor(o, t, first_sum);
    const mfq_status status = backend->plan(o->context, backend->ways[MFQ_OP_OPTIMIZE], &t->update_cast, &t->choice);
    if (status != MFQ_OK) return status;
    *bytes = mfq_larger_size(*bytes, t->choice.workspace_bytes);
    first_sum += mfq_sums_of(t->flat_value.shape[0]);
  }
  o->sum_count = first_sum;
  return MFQ_OK;
}

/* State, groups, sums, workspace. */
static mfq_status make_work(mfq_optimizer *o, size_t workspace) {
  const size_t sums = mfq_size_times((size_t)(o->sum_count + mfq_upper_sums(o->sum_count)) + 1, sizeof(double));
  const size_t groups_at = after(0, sizeof(mfqn_optimizer_state));
  const size_t sums_at = after(groups_at, (size_t)o->group_count * sizeof(mfqn_optimizer_group));
  const size_t workspace_at = after(sums_at, sums);
  o->work_bytes = mfq_size_plus(workspace_at, workspace);
  mfq_status status = mfq_buffer_create(o->context, o->work_bytes, &o->work);
  if (status != MFQ_OK) return status;
  uint8_t *base = mfq_buffer_data(o->work);
  o->state = (mfqn_optimizer_state *)(void *)base;
  o->device_groups = (mfqn_optimizer_group *)(void *)(base + groups_at);
  o->sums = (double *)(void *)(base + sums_at);
  o->workspace = base + workspace_at;
  const mfqn_optimizer_state state = {
      .seed = o->seed, .gradient_scale = 1.0, .factor = 1.0, .clip_norm = (double)o->clip_norm};
  status = mfq_buffer_write(o->work, 0, &state, sizeof state);
  if (status != MFQ_OK) return status;
  return mfq_buffer_write(o->work, groups_at, o->groups, (size_t)o->group_count * sizeof o->groups[0]);
}

mfq_status mfq_optimizer_plan(mfq_optimizer *o, const char *function) {
  size_t workspace = 0;
  mfq_status status = make_moments(o, function);
  if (status == MFQ_OK) status = choose(o, &workspace);
  if (status == MFQ_OK) status = make_work(o, workspace);
  int64_t sum = 0;
  for (int32_t i = 0; status == MFQ_OK && i < o->tensor_count; ++i) {
    tensor_state *t = &o->tensors[i];
    t->squares.sums = o->sums + sum;
    t->update.state = o->state;
    t->update.groups = o->device_groups;
    sum += mfq_sums_of(t->flat_value.shape[0]);
  }
  return status;
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

mfq_status mfq_optimizer_create(mfq_context *context, const mfq_optimizer_options *options, mfq_optimizer **optimizer) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_optimizer_create";
  const mfq_where where = {function, "options"};
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "optimizer"}, optimizer);
  if (status == MFQ_OK) *optimizer = NULL;
  if (status == MFQ_OK) status = mfq_argument_present(where, options);
  if (status == MFQ_OK) status = mfq_argument_struct(where, options, sizeof *options, "mfq_optimizer_options_init");
  if (status != MFQ_OK) return status;
  mfq_optimizer *made = mfq_optimizer_alloc(context, 1, sizeof *made);
  if (made == NULL)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for %zu bytes of an optimizer", sizeof *made);
  made->context = context;
  status = mfq_optimizer_take(made, function, options);
  if (status == MFQ_OK) status = mfq_optimizer_plan(made, function);
  if (status == MFQ_OK)
    *optimizer = made;
  else
    mfq_optimizer_destroy(made);
  return status;
}

void mfq_optimizer_destroy(mfq_optimizer *o) {
  if (o == NULL) return;
  mfq_context *context = o->context;
  mfq_buffer_destroy(o->work);
  mfq_buffer_destroy(o->moments);
  for (int32_t i = 0; o->tensors != NULL && i < o->tensor_count; ++i) mfq_choice_free(context, &o->tensors[i].choice);
  if (o->tensors != NULL) context->free(context->alloc_user, o->tensors);
  if (o->parts != NULL) context->free(context->alloc_user, o->parts);
  context->free(context->alloc_user, o);
}

const char *mfq_optimizer_name(const mfq_optimizer *optimizer) { return optimizer != NULL ? optimizer->name : ""; }

const char *mfq_optimizer_describe(const mfq_optimizer *optimizer, int32_t index) {
  const int is_there = optimizer != NULL && index >= 0 && index < optimizer->tensor_count;
  return is_there ? optimizer->tensors[index].choice.description : NULL;
}

mfq_status mfq_optimizer_memory_get(const mfq_optimizer *optimizer, mfq_optimizer_memory *memory) {
  static const char function[] = "mfq_optimizer_memory_get";
  mfq_status status = mfq_argument_present((mfq_where){function, "optimizer"}, optimizer);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "memory"}, memory);
  if (status == MFQ_OK)
    *memory = (mfq_optimizer_memory){.moments = optimizer->moment_bytes, .workspace = optimizer->work_bytes};
  return status;
}
