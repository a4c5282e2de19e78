/* cuda/conv/unfold/unfolded_plan.cu: steps of an unfolded convolution, and their products. */
#include "unfolded_plan.h"

#include "cuda/gemm/expansion.h"

namespace {

int64_t bytes_of(mfq_dtype dtype) { return (int64_t)mfq_dtype_bytes(dtype); }

/* ---- The result as one matrix ------------------------------------------------------------------------------------ */

/* Elements of axes first ... last that lie like one axis, with `*step` elements from one to the next; 0: they do not. */
int64_t merged(const mfq_conv_side *side, int first, int last, int64_t *step) {
  int64_t count = 1;
  for (int i = last; i >= first; --i) {
    if (side->size[i] == 1) continue;
    if (count == 1) *step = side->stride[i];
    if (side->stride[i] != *step * count) return 0;
    count *= side->size[i];
  }
  return count;
}

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

/* A plain operand whose lines are there already. */
int is_in_place(const mfq_conv_problem *p, mfq_dtype dtype) {
  const mfq_conv_side *side = mfq_conv_direct(p);
  if (side->part.kind != MFQ_SIDE_PLAIN || side->part.tensor.dtype != dtype || !mfq_conv_side_is_dense(side)) return 0;
  return p->direction != MFQ_CONV_INPUT_GRADIENT || p->filter[0] * p->filter[1] * p->filter[2] == 1;
}

void fill_shape(const mfq_conv_problem *p, mfq_unfolded_plan *u) {
  const mfq_dtype dtype =
      mfq_cuda_expansion_dtype(&mfq_conv_gathered(p)->part, &mfq_conv_direct(p)->part, p->round_operands);
  u->direction = p->direction;
  u->gathered = mfq_unfolding_of_gathered(p, dtype);
  u->direct = mfq_unfolding_of_direct(p, dtype);
  u->is_in_place = is_in_place(p, dtype);
  u->groups = p->groups;
  u->rows = p->batch * mfq_unfolding_pixels(&u->gathered);
  u->cols = p->direction == MFQ_CONV_INPUT_GRADIENT ? p->in_channels : p->out_channels;
  u->depth = mfq_unfolding_taps(&u->gathered) * u->gathered.channels;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

/* Bytes of the other operand for one of `cols`. */
int64_t direct_col_bytes(const mfq_unfolded_plan *u) {
  const int64_t bytes = bytes_of(u->direct.dtype);
  if (u->is_in_place) return 0;
  if (u->direction == MFQ_CONV_FORWARD) return mfq_unfolding_line(&u->direct, u->direct.channels) * bytes;
  return mfq_unfolded_is_weight_gradient(u) ? bytes : u->depth * bytes;
}

int plan_steps(const mfq_conv_problem *p, mfq_unfolded_plan *u, int writes_d) {
  mfq_unfold_question q = {};
  u->writes_d = writes_d;
  q.is_weight_gradient = mfq_unfolded_is_weight_gradient(u);
  q.rows = u->rows;
  q.period = writes_d || q.is_weight_gradient || p->finish.is_d_quantized ? 0 : p->finish.m;
  q.groups = u->groups;
  q.cols = u->cols;
  q.line_bytes = mfq_unfolding_line(&u->gathered, u->gathered.channels) * bytes_of(u->gathered.dtype);
  q.direct_col_bytes = direct_col_bytes(u);
  q.sum_bytes = writes_d || p->finish.is_d_quantized ? 0 : mfq_unfolded_sum_ld(p, u) * 4;
  q.kept_bytes = mfq_cuda_conv_quantizes(p) ? MFQ_UNFOLD_KEPT_BYTES : 0;
  return mfq_unfold_slabs_of(&q, &u->step);
}

/* Whether the steps let cuBLASLt write the result. */
int may_write(const mfq_conv_problem *p, const mfq_unfolded_plan *u) {
  if (p->finish.has_bias && u->step.groups > 1) return 0; /* a batch has one bias */
  const int is_one = u->step.rows == u->rows;
  return !mfq_unfolded_is_weight_gradient(u) || is_one || p->finish.d.dtype == MFQ_DTYPE_F32;
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

/* The unfolded operand of steps with `rows` pixels. */
mfq_cublaslt_factor gathered_factor(const mfq_unfolded_plan *u) {
  const int64_t line = mfq_unfolding_line(&u->gathered, u->gathered.channels);
  mfq_cublaslt_factor f = {};
  f.type = mfq_cublaslt_type(u->gathered.dtype);
  f.scale_mode = LT_SCALE_TENSOR;
  f.is_depth_last = !mfq_unfolded_is_weight_gradient(u);
  f.ld = u->step.groups * line;
  f.batch_stride = line;
  f.align = mfq_cublaslt_align(NULL, line * bytes_of(u->gathered.dtype));
  return f;
}

/* The other operand where it was expanded, for `cols`. */
void place_direct(const mfq_unfolded_plan *u, int64_t cols, mfq_cublaslt_factor *f) {
  const int is_forward = u->direction == MFQ_CONV_FORWARD;
  const int64_t line = mfq_unfolding_line(&u->direct, is_forward ? u->direct.channels : cols);
  const int64_t lines = is_forward ? cols : u->direct.images * mfq_unfolding_pixels(&u->direct);
  f->ld = mfq_unfolded_is_weight_gradient(u) ? u->step.groups * line : line;
  f->batch_stride = mfq_unfolded_is_weight_gradient(u) ? line : lines * line;
  f->align = mfq_cublaslt_align(NULL, line * bytes_of(u->direct.dtype));
}

mfq_cublaslt_factor direct_factor(const mfq_conv_problem *p, const mfq_unfolded_plan *u, int64_t cols) {
  mfq_cublaslt_factor f = {};
  f.type = mfq_cublaslt_type(u->direct.dtype);
  f.scale_mode = LT_SCALE_TENSOR;
  f.is_depth_last = u->direction == MFQ_CONV_FORWARD;
  if (!u->is_in_place) {
    place_direct(u, cols, &f);
    return f;
  }
  const mfq_unfolded_strides s = mfq_unfolded_in_place(u);
  const int64_t col_step = u->step.cols < u->cols ? u->step.cols * s.col : 0, group = u->groups > 1 ? s.group : 0;
  f.ld = u->direction == MFQ_CONV_FORWARD ? s.col : s.row;
  f.batch_stride = s.group;
  f.align =
      mfq_cublaslt_align(mfq_conv_direct(p)->part.tensor.data, (f.ld | group | col_step) * bytes_of(u->direct.dtype));
  return f;
}

/* Sums, or the result: from one group to the next, and from one step's columns to the next. */
void place_sums(const mfq_unfolded_plan *u, const void *memory, mfq_cublaslt_sum *sums, mfq_dtype dtype) {
  const int64_t col = mfq_unfolded_is_weight_gradient(u) ? sums->ld : 1;
  const int64_t col_step = u->step.cols < u->cols ? u->step.cols * col : 0;
  sums->batch_stride = u->cols * col;
  sums->align =
      mfq_cublaslt_align(memory, (sums->ld | col_step | (u->groups > 1 ? sums->batch_stride : 0)) * bytes_of(dtype));
}

mfq_cublaslt_product product_of(const mfq_conv_problem *p, const mfq_unfolded_plan *u, int64_t rows, int64_t cols) {
  const mfq_cublaslt_factor gathered = gathered_factor(u), direct = direct_factor(p, u, cols);
  const int is_weight_gradient = mfq_unfolded_is_weight_gradient(u);
  mfq_cublaslt_product product = {};
  mfq_finish flat;
  product.m = is_weight_gradient ? cols : rows;
  product.n = is_weight_gradient ? u->depth : cols;
  product.k = is_weight_gradient ? rows : u->depth;
  product.batches = u->step.groups;
  product.a = is_weight_gradient ? direct : gathered;
  product.b = is_weight_gradient ? gathered : direct;
  product.workspace_limit = MFQ_UNFOLD_LIBRARY_BYTES;
  if (u->writes_d && mfq_unfolded_flat(p, &flat)) {
    mfq_cuda_sum_layouts(&flat, &product);
    place_sums(u, flat.d.data, &product.d, flat.d.dtype);
    if (flat.has_bias && (u->groups > 1 || u->step.cols < u->cols))
      product.bias_align = (uint32_t)bytes_of(flat.bias.dtype); /* of parts */
  } else {
    const int64_t ld = mfq_unfolded_sum_ld(p, u);
    product.d = mfq_cuda_sums_layout(ld, 0);
    place_sums(u, NULL, &product.d, MFQ_DTYPE_F32);
  }
  product.c = product.d;
  return product;
}

/* ---- The workspace ----------------------------------------------------------------------------------------------- */

size_t direct_bytes(const mfq_unfolded_plan *u) {
  if (u->is_in_place) return 0;
  const mfq_unfold_slabs *s = &u->step;
  const int is_forward = u->direction == MFQ_CONV_FORWARD;
  const int64_t line = mfq_unfolding_line(&u->direct, is_forward ? u->direct.channels : s->cols);
  const int64_t lines = is_forward                           ? s->cols
                        : mfq_unfolded_is_weight_gradient(u) ? s->rows
                                                             : u->direct.images * mfq_unfolding_pixels(&u->direct);
  return (size_t)(s->groups * lines * line * bytes_of(u->direct.dtype));
}

size_t sum_bytes(const mfq_conv_problem *p, const mfq_unfolded_plan *u) {
  if (p->finish.is_d_quantized) return (size_t)(p->finish.batches * p->finish.m * p->finish.n) * 4;
  if (u->writes_d) return 0;
  const int64_t lines = mfq_unfolded_is_weight_gradient(u) ? u->step.groups * u->step.cols : u->step.rows;
  return (size_t)(lines * mfq_unfolded_sum_ld(p, u)) * 4;
}

void place_all(const mfq_conv_problem *p, mfq_unfolded_plan *u) {
  mfq_unfolded_places *at = &u->at;
  const int64_t line = mfq_unfolding_line(&u->gathered, u->gathered.channels);
  size_t library = 0;
  for (const auto &row : u->plans)
    for (const mfq_cublaslt_plan &plan : row) library = mfq_larger_size(library, plan.workspace_bytes);
  at->end = 0;
  at->operands = mfq_cuda_conv_take(p, &at->end);
  at->unfolded =
      mfq_workspace_take(&at->end, (size_t)(u->step.rows * u->step.groups * line * bytes_of(u->gathered.dtype)));
  at->direct = mfq_workspace_take(&at->end, direct_bytes(u));
  at->sums = mfq_workspace_take(&at->end, sum_bytes(p, u));
  at->library = mfq_workspace_take(&at->end, library);
}

} // namespace

int mfq_unfolded_flat(const mfq_conv_problem *problem, mfq_finish *flat) {
  const mfq_conv_side *result = mfq_conv_result(problem);
  const int first_col = problem->direction == MFQ_CONV_WEIGHT_GRADIENT ? 1 : MFQ_CONV_CHANNELS;
  int64_t col_step = 1, row_step = 0;
  const int64_t cols = merged(result, first_col, MFQ_CONV_CHANNELS, &col_step),
                rows = merged(result, 0, first_col - 1, &row_step);
  if (problem->finish.is_d_quantized || problem->finish.has_c || rows == 0 || cols == 0 || col_step != 1) return 0;
  *flat = problem->finish;
  flat->batches = 1;
  flat->m = rows;
  flat->n = cols;
  flat->d = mfq_matrix{};
  flat->d.data = problem->finish.d.data;
  flat->d.dtype = problem->finish.d.dtype;
  flat->d.rows = rows;
  flat->d.cols = cols;
  flat->d.stride[0] = rows > 1 ? row_step : cols;
  flat->d.stride[1] = 1;
  return 1;
}

int64_t mfq_unfolded_sum_ld(const mfq_conv_problem *problem, const mfq_unfolded_plan *plan) {
  if (mfq_unfolded_is_weight_gradient(plan)) return plan->depth;
  return problem->finish.is_d_quantized ? problem->finish.n : mfq_round_up(problem->finish.n, 4);
}

mfq_unfolded_strides mfq_unfolded_in_place(const mfq_unfolded_plan *plan) {
  const int64_t cols = plan->cols, depth = plan->depth;
  if (plan->direction == MFQ_CONV_FORWARD) return mfq_unfolded_strides{0, depth, cols * depth};
  if (plan->direction == MFQ_CONV_INPUT_GRADIENT) return mfq_unfolded_strides{cols, 1, depth * cols};
  return mfq_unfolded_strides{plan->groups * cols, 1, cols};
}

const char *mfq_unfolded_steps(const mfq_conv_problem *problem, mfq_unfolded_plan *plan) {
  mfq_finish flat;
  if (problem->k == 0) return "there is nothing to sum";
  fill_shape(problem, plan);
  const int32_t type = mfq_cublaslt_type(plan->gathered.dtype);
  if (mfq_unfolded_flat(problem, &flat) && mfq_cuda_writes_d(&flat, type, 0) && plan_steps(problem, plan, 1) &&
      may_write(problem, plan))
    return NULL;
  return plan_steps(problem, plan, 0) ? NULL : "one pixel or channel does not fit into the workspace";
}

mfq_status mfq_unfolded_products(mfq_context *context, const mfq_conv_problem *problem, mfq_unfolded_plan *plan,
                                 mfq_line *reason) {
  const mfq_unfold_slabs *s = &plan->step;
  const int64_t last_rows = mfq_slab_last(s->period, s->rows), last_cols = mfq_slab_last(plan->cols, s->cols);
  for (int i = 0; i <= (last_rows != s->rows); ++i)
    for (int j = 0; j <= (last_cols != s->cols); ++j) {
      const mfq_cublaslt_product product = product_of(problem, plan, i ? last_rows : s->rows, j ? last_cols : s->cols);
      const mfq_status status = mfq_cublaslt_plan_make(context, &product, &plan->plans[i][j], reason);
      if (status != MFQ_OK) return status;
    }
  place_all(problem, plan);
  return MFQ_OK;
}
