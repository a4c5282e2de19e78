/* cuda/conv/unfold/conv_unfolded.cu: pixels unfolded into a bounded workspace, and multiplied by cuBLASLt with sums in f32.
 *
 * For what our own kernels leave: operands that bf16 does not hold. */
#include <stdio.h>

#include "host/core/integers.h"
#include "cuda/gemm/cublaslt/direct.h"
#include "cuda/launch.cuh"
#include "cuda/conv/conv_cuda.h"
#include "unfolded_plan.h"

namespace {

/* One run. */
struct run_state {
  mfq_context *context; /* with scratch memory of this run */
  const mfq_unfolded_plan *u;
  mfq_conv_problem p; /* operands that were quantized on the way lie in the workspace */
  mfq_finish flat;    /* where cuBLASLt writes the result */
  uint8_t *workspace;
};

/* What a step multiplies. */
struct step_at {
  int64_t row, rows, group, col, cols;
};

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

int64_t steps_of(const mfq_unfolded_plan *u) {
  const mfq_unfold_slabs *s = &u->step;
  return u->rows / s->period * mfq_ceil_div(s->period, s->rows) * (u->groups / s->groups) *
         mfq_ceil_div(u->cols, s->cols);
}

void describe(mfq_context *context, const mfq_unfolded_plan *u, mfq_choice *choice) {
  const int64_t count = steps_of(u);
  char text[64] = "";
  if (count > 1) (void)snprintf(text, sizeof text, ", in %lld steps", (long long)count);
  mfq_choice_describe(choice, "%s by %s%s%s", mfq_dtype_name(u->gathered.dtype),
                      mfq_cuda_state_of(context)->cublaslt->name, u->writes_d ? "" : " and an epilogue", text);
}

mfq_status plan(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_conv_problem *p = (const mfq_conv_problem *)of;
  if (mfq_cublaslt_open(context, reason) == NULL) return MFQ_ERROR_UNSUPPORTED;
  mfq_status status = mfq_choice_state(context, "mfq_conv_plan_create", sizeof(mfq_unfolded_plan), choice);
  if (status != MFQ_OK) return status;
  mfq_unfolded_plan *u = (mfq_unfolded_plan *)choice->state;
  const char *why = mfq_unfolded_steps(p, u);
  if (why != NULL) return mfq_refuse(reason, "%s", why);
  status = mfq_unfolded_products(context, p, u, reason);
  if (status == MFQ_OK) describe(context, u, choice);
  choice->workspace_bytes = u->at.end;
  return status;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

mfq_status unfold(const run_state *r, const step_at &s) {
  const mfq_unfolded_plan *u = r->u;
  const mfq_unfold_part part = {s.row, s.rows, s.group, u->step.groups, 0, u->gathered.channels};
  return mfq_cuda_unfold(r->context, mfq_conv_gathered(&r->p), &u->gathered, &part, r->workspace + u->at.unfolded);
}

/* The other operand of a step, unless it lies there. */
mfq_status expand(const run_state *r, const step_at &s) {
  const mfq_unfolded_plan *u = r->u;
  const int64_t groups = u->step.groups, lines = u->direct.images * mfq_unfolding_pixels(&u->direct);
  mfq_unfold_part part = {0, lines, s.group, groups, s.col, s.cols};
  if (u->is_in_place) return MFQ_OK;
  if (u->direction == MFQ_CONV_FORWARD) part = {s.col, s.cols, s.group, groups, 0, u->direct.channels};
  if (mfq_unfolded_is_weight_gradient(u)) part = {s.row, s.rows, s.group, groups, s.col, s.cols};
  return mfq_cuda_unfold(r->context, mfq_conv_direct(&r->p), &u->direct, &part, r->workspace + u->at.direct);
}

const void *direct_at(const run_state *r, const step_at &s) {
  const mfq_unfolded_plan *u = r->u;
  if (!u->is_in_place) return r->workspace + u->at.direct;
  const mfq_unfolded_strides at = mfq_unfolded_in_place(u);
  const int64_t row = mfq_unfolded_is_weight_gradient(u) ? s.row * at.row : 0;
  const int64_t elements = row + s.group * at.group + s.col * at.col;
  return (const uint8_t *)mfq_conv_direct(&r->p)->part.tensor.data +
         elements * (int64_t)mfq_dtype_bytes(u->direct.dtype);
}

/* The row and the column of all sums where a step's begin: rows are pixels, or channels of w. */
struct sum_place {
  int64_t row, col;
};
sum_place sum_place_of(const run_state *r, const step_at &s) {
  const int64_t channel = s.group * r->u->cols + s.col;
  return mfq_unfolded_is_weight_gradient(r->u) ? sum_place{channel, 0} : sum_place{s.row, channel};
}

/* Sums of the step: of a quantized result all are kept. */
float *sums_at(const run_state *r, const step_at &s) {
  const sum_place at = sum_place_of(r, s);
  const int64_t row = r->p.finish.is_d_quantized ? at.row : 0;
  return (float *)(void *)(r->workspace + r->u->at.sums) + row * mfq_unfolded_sum_ld(&r->p, r->u) + at.col;
}

mfq_status multiply(const run_state *r, const step_at &s) {
  const mfq_unfolded_plan *u = r->u;
  const int is_weight_gradient = mfq_unfolded_is_weight_gradient(u);
  const void *gathered = r->workspace + u->at.unfolded, *direct = direct_at(r, s);
  mfq_cublaslt_call call = {};
  call.a = is_weight_gradient ? direct : gathered;
  call.b = is_weight_gradient ? gathered : direct;
  call.alpha = 1.0f;
  call.workspace = r->workspace + u->at.library;
  call.function = r->p.finish.function;
  if (u->writes_d) {
    const sum_place at = sum_place_of(r, s);
    mfq_cuda_direct_call(&r->flat, 0, at.row, at.col, &call);
  } else {
    call.d = sums_at(r, s);
  }
  call.c = call.d;
  call.beta = is_weight_gradient && s.row > 0 ? 1.0f : 0.0f; /* to the sums of the pixels before */
  return mfq_cublaslt_run(r->context, &u->plans[s.rows != u->step.rows][s.cols != u->step.cols], &call);
}

/* ---- The finish -------------------------------------------------------------------------------------------------- */

mfq_status finish(const run_state *r, const mfq_cuda_sums &sums) {
  return mfq_cuda_finish(r->context, &r->p.finish, mfq_conv_factor_views(&r->p), &sums, sums.data);
}

/* Sums of pixels. */
mfq_status finish_rows(const run_state *r, const step_at &s) {
  const int64_t m = r->p.finish.m, ld = mfq_unfolded_sum_ld(&r->p, r->u);
  const int is_whole = s.row % m == 0 && s.rows % m == 0;
  mfq_cuda_sums sums = {(float *)(void *)(r->workspace + r->u->at.sums), m * ld, ld, s.row / m, 1, s.row % m, s.rows};
  if (is_whole) {
    sums.batches = s.rows / m;
    sums.rows = m;
  }
  return finish(r, sums);
}

/* Sums of w's output channels. */
mfq_status finish_channels(const run_state *r, int64_t channel, int64_t channels) {
  const mfq_finish *f = &r->p.finish;
  const int64_t each = f->batches / (r->u->groups * r->u->cols);
  return finish(r, mfq_cuda_sums{(float *)(void *)(r->workspace + r->u->at.sums), f->m * f->n, f->n, channel * each,
                                 channels * each, 0, f->m});
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

/* All channels of some pixels. */
mfq_status run_pixels(const run_state *r, step_at s) {
  const mfq_unfolded_plan *u = r->u;
  mfq_status status = MFQ_OK;
  for (s.group = 0; s.group < u->groups && status == MFQ_OK; s.group += u->step.groups) {
    status = unfold(r, s);
    for (s.col = 0; s.col < u->cols && status == MFQ_OK; s.col += u->step.cols) {
      s.cols = u->cols - s.col < u->step.cols ? u->cols - s.col : u->step.cols;
      if (!u->step.direct_is_whole) status = expand(r, s);
      if (status == MFQ_OK) status = multiply(r, s);
    }
  }
  return status;
}

mfq_status run_by_pixels(const run_state *r) {
  const mfq_unfolded_plan *u = r->u;
  const int finishes = !u->writes_d && !r->p.finish.is_d_quantized;
  mfq_status status = MFQ_OK;
  if (u->step.direct_is_whole) status = expand(r, step_at{0, 0, 0, 0, u->cols});
  step_at s = {};
  for (s.row = 0; s.row < u->rows && status == MFQ_OK; s.row += s.rows) {
    s.rows = mfq_unfold_rows_at(&u->step, s.row);
    status = run_pixels(r, s);
    if (status == MFQ_OK && finishes) status = finish_rows(r, s);
  }
  return status;
}

/* All pixels for some channels of w. */
mfq_status run_channels(const run_state *r, step_at s) {
  const mfq_unfolded_plan *u = r->u;
  const int finishes = !u->writes_d && !r->p.finish.is_d_quantized;
  mfq_status status = MFQ_OK;
  for (s.row = 0; s.row < u->rows && status == MFQ_OK; s.row += s.rows) {
    s.rows = mfq_unfold_rows_at(&u->step, s.row);
    status = unfold(r, s);
    if (status == MFQ_OK) status = expand(r, s);
    if (status == MFQ_OK) status = multiply(r, s);
  }
  if (status != MFQ_OK || !finishes) return status;
  return finish_channels(r, s.group * u->cols + s.col, u->step.groups * s.cols);
}

mfq_status run_by_channels(const run_state *r) {
  const mfq_unfolded_plan *u = r->u;
  mfq_status status = MFQ_OK;
  step_at s = {};
  for (s.group = 0; s.group < u->groups && status == MFQ_OK; s.group += u->step.groups)
    for (s.col = 0; s.col < u->cols && status == MFQ_OK; s.col += u->step.cols) {
      s.cols = u->cols - s.col < u->step.cols ? u->cols - s.col : u->step.cols;
      status = run_channels(r, s);
    }
  return status;
}

mfq_status run_ready(const run_state *r) {
  const mfq_status status = mfq_unfolded_is_weight_gradient(r->u) ? run_by_channels(r) : run_by_pixels(r);
  if (status != MFQ_OK || !r->p.finish.is_d_quantized) return status;
  return mfq_cuda_conv_finish(r->context, &r->p, (float *)(void *)(r->workspace + r->u->at.sums));
}

mfq_status run(mfq_context *context, const void *state, const void *of, uint8_t *workspace) {
  const mfq_conv_problem *problem = (const mfq_conv_problem *)of;
  const mfq_unfolded_plan *u = (const mfq_unfolded_plan *)state;
  return mfq_cuda_conv_run(context, problem, u->at.operands, workspace,
                           [&](mfq_context *own, const mfq_conv_problem *p) {
                             run_state r = {own, u, *p, {}, workspace};
                             if (u->writes_d) (void)mfq_unfolded_flat(p, &r.flat);
                             return run_ready(&r);
                           });
}

} // namespace

const mfq_way mfq_cuda_conv_unfolded = {"unfolded", plan, run, NULL};
