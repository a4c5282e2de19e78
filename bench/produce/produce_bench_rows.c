/* bench/produce/produce_bench_rows.c: what the benchmark of producers measures, and the calls. */
#include <string.h>

#include "produce_bench.h"

static const made_target targets[] = {
    {"f32", MFQ_DTYPE_F32, NULL, NULL, MFQ_CODES_LOGICAL},
    {"bf16", MFQ_DTYPE_BF16, NULL, NULL, MFQ_CODES_LOGICAL},
    {"mxfp8-row", (mfq_dtype)0, "mxfp8_e4m3_rceil/group:32@1", NULL, MFQ_CODES_LOGICAL},
    {"mxfp8-both", (mfq_dtype)0, "mxfp8_e4m3_rceil/group:32@1", "mxfp8_e4m3_rceil/group:32@0", MFQ_CODES_GROUP_LAST},
    {"mxfp8-square", (mfq_dtype)0, "e4m3fn/block:32x32/ue8m0:rceil", "e4m3fn/block:32x32/ue8m0:rceil",
     MFQ_CODES_TRANSPOSED},
    {"nvfp4-both", (mfq_dtype)0, "nvfp4/group:16@1", "nvfp4/group:16@0", MFQ_CODES_GROUP_LAST},
    {"bf16+mxfp8-both", MFQ_DTYPE_BF16, "mxfp8_e4m3_rceil/group:32@1", "mxfp8_e4m3_rceil/group:32@0",
     MFQ_CODES_GROUP_LAST}};
enum { TARGETS = sizeof targets / sizeof targets[0], GOAL = 40 };

const char *made_kind_name(made_kind kind) {
  static const char *const names[MADE_KINDS] = {"swiglu",  "swiglu-backward",  "gelu",      "gelu-backward",
                                                "rmsnorm", "rmsnorm-backward", "layernorm", "layernorm-backward",
                                                "softmax", "softmax-backward"};
  return names[kind];
}

double made_row_bandwidth(const made_row *row) { return (row->read + row->written) / row->common.seconds.median; }
double made_row_copy(const made_row *row) { return row->copied / row->copy_seconds.median; }
double made_row_share(const made_row *row) { return 100.0 * made_row_bandwidth(row) / made_row_copy(row); }
int made_row_misses(const made_row *row) {
  return row->common.seconds.median > 0 && made_row_share(row) < (double)row->goal;
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

/* The tensors of a call while they are placed. */
typedef struct made_tensors {
  const made_row *row;
  made_memory *memory;
  mfq_tensor in[3], gain, shift, mean, scale, sum, columns[2], plain;
  mfq_qtensor codes[2];
  int64_t shape[2];
  mfq_status status;
} made_tensors;

static size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

static const mfq_tensor *place(made_tensors *t, mfq_tensor *tensor, mfq_dtype dtype, int is_input, int64_t rows,
                               int64_t cols) {
  made_memory *m = t->memory;
  const int64_t shape[] = {rows, cols};
  const size_t bytes = mfq_dtype_bytes(dtype) * (size_t)(rows * cols);
  size_t *used = is_input ? &m->input_bytes : &m->output_bytes;
  uint8_t *base = is_input ? m->inputs : m->outputs;
  const int is_vector = rows == 1;
  if (t->status == MFQ_OK)
    t->status =
        mfq_tensor_init(base ? base + *used : NULL, dtype, is_vector ? 1 : 2, is_vector ? shape + 1 : shape, tensor);
  *used += whole_lines(bytes);
  *(is_input ? &m->read : &m->written) += (double)bytes;
  return tensor;
}

static const mfq_qtensor *place_codes(made_tensors *t, int index, const char *text, mfq_code_order order) {
  made_memory *m = t->memory;
  const mfq_layout layout = {.codes = order};
  mfq_qtensor *q = &t->codes[index];
  mfq_qtensor_sizes sizes;
  mfq_scheme scheme;
  if (t->status == MFQ_OK) t->status = mfq_scheme_parse(text, &scheme);
  if (t->status == MFQ_OK) t->status = mfq_qtensor_init(&scheme, 2, t->shape, &layout, q);
  if (t->status == MFQ_OK) t->status = bench_place_parts(q, m->outputs, &m->output_bytes, &sizes);
  if (t->status == MFQ_OK) m->written += (double)(sizes.codes_bytes + sizes.scales_bytes);
  m->output_bytes = whole_lines(m->output_bytes);
  return q;
}

static mfq_outputs place_outputs(made_tensors *t, int64_t rows, int64_t cols) {
  const made_target *to = t->row->target;
  mfq_outputs o = {NULL, NULL, NULL};
  t->shape[0] = rows;
  t->shape[1] = cols;
  if (to->plain != 0) o.plain = place(t, &t->plain, to->plain, 0, rows, cols);
  if (to->row) o.row = place_codes(t, 0, to->row, MFQ_CODES_LOGICAL);
  if (to->col) o.col = place_codes(t, 1, to->col, to->order);
  return o;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static mfq_status call_norm(mfq_context *context, made_tensors *t, int64_t rows, int64_t cols) {
  mfq_norm n;
  mfq_norm_init(&n);
  const mfq_dtype dtype = t->row->dtype;
  n.kind = t->row->kind == MADE_LAYERNORM ? MFQ_NORM_LAYER : MFQ_NORM_RMS;
  n.x = place(t, &t->in[0], dtype, 1, rows, cols);
  n.gain = place(t, &t->gain, MFQ_DTYPE_F32, 1, 1, cols);
  n.scale = place(t, &t->scale, MFQ_DTYPE_F32, 0, 1, rows);
  if (n.kind == MFQ_NORM_RMS) {
    n.residual = place(t, &t->in[1], dtype, 1, rows, cols);
    n.sum = place(t, &t->sum, dtype, 0, rows, cols);
  } else {
    n.shift = place(t, &t->shift, MFQ_DTYPE_F32, 1, 1, cols);
    n.mean = place(t, &t->mean, MFQ_DTYPE_F32, 0, 1, rows);
  }
  n.y = place_outputs(t, rows, cols);
  return t->status == MFQ_OK && context ? mfq_norm_forward(context, &n) : t->status;
}

static mfq_status call_norm_backward(mfq_context *context, made_tensors *t, int64_t rows, int64_t cols) {
  mfq_norm_gradient n;
  mfq_norm_gradient_init(&n);
  const mfq_dtype dtype = t->row->dtype;
  n.kind = t->row->kind == MADE_LAYERNORM_BACKWARD ? MFQ_NORM_LAYER : MFQ_NORM_RMS;
  n.dy = place(t, &t->in[0], dtype, 1, rows, cols);
  n.h = place(t, &t->in[1], dtype, 1, rows, cols);
  n.gain = place(t, &t->gain, MFQ_DTYPE_F32, 1, 1, cols);
  n.scale = place(t, &t->scale, MFQ_DTYPE_F32, 1, 1, rows);
  n.dgain = place(t, &t->columns[0], MFQ_DTYPE_F32, 0, 1, cols);
  if (n.kind == MFQ_NORM_RMS) {
    n.dresidual = place(t, &t->in[2], dtype, 1, rows, cols);
  } else {
    n.mean = place(t, &t->mean, MFQ_DTYPE_F32, 1, 1, rows);
    n.dshift = place(t, &t->columns[1], MFQ_DTYPE_F32, 0, 1, cols);
  }
  n.dx = place_outputs(t, rows, cols);
  return t->status == MFQ_OK && context ? mfq_norm_backward(context, &n) : t->status;
}

static mfq_status call_activation(mfq_context *context, made_tensors *t, int64_t rows, int64_t cols) {
  mfq_activating a;
  mfq_activating_init(&a);
  const int is_gated = t->row->kind == MADE_SWIGLU;
  a.activation = is_gated ? MFQ_ACTIVATION_SILU : MFQ_ACTIVATION_GELU;
  a.gate = is_gated ? MFQ_GATE_HALVES : MFQ_GATE_NONE;
  a.x = place(t, &t->in[0], t->row->dtype, 1, rows, is_gated ? 2 * cols : cols);
  a.y = place_outputs(t, rows, cols);
  return t->status == MFQ_OK && context ? mfq_activation_forward(context, &a) : t->status;
}

static mfq_status call_activation_backward(mfq_context *context, made_tensors *t, int64_t rows, int64_t cols) {
  mfq_activating_gradient a;
  mfq_activating_gradient_init(&a);
  const int is_gated = t->row->kind == MADE_SWIGLU_BACKWARD;
  const int64_t width = is_gated ? 2 * cols : cols;
  a.activation = is_gated ? MFQ_ACTIVATION_SILU : MFQ_ACTIVATION_GELU;
  a.gate = is_gated ? MFQ_GATE_HALVES : MFQ_GATE_NONE;
  a.x = place(t, &t->in[0], t->row->dtype, 1, rows, width);
  a.dy = place(t, &t->in[1], t->row->dtype, 1, rows, cols);
  a.dx = place_outputs(t, rows, width);
  return t->status == MFQ_OK && context ? mfq_activation_backward(context, &a) : t->status;
}

static mfq_status call_softmax(mfq_context *context, made_tensors *t, int64_t rows, int64_t cols) {
  mfq_softmaxing s;
  mfq_softmaxing_init(&s);
  s.x = place(t, &t->in[0], t->row->dtype, 1, rows, cols);
  s.y = place_outputs(t, rows, cols);
  return t->status == MFQ_OK && context ? mfq_softmax_forward(context, &s) : t->status;
}

static mfq_status call_softmax_backward(mfq_context *context, made_tensors *t, int64_t rows, int64_t cols) {
  mfq_softmaxing_gradient s;
  mfq_softmaxing_gradient_init(&s);
  s.y = place(t, &t->in[0], t->row->dtype, 1, rows, cols);
  s.dy = place(t, &t->in[1], t->row->dtype, 1, rows, cols);
  s.dx = place_outputs(t, rows, cols);
  return t->status == MFQ_OK && context ? mfq_softmax_backward(context, &s) : t->status;
}

mfq_status made_call(mfq_context *context, const made_row *row, int64_t rows, int64_t cols, made_memory *memory) {
  made_tensors t = {.row = row, .memory = memory, .status = MFQ_OK};
  memory->input_bytes = memory->output_bytes = 0;
  memory->read = memory->written = 0;
  switch (row->kind) {
    case MADE_SWIGLU:
    case MADE_GELU: return call_activation(context, &t, rows, cols);
    case MADE_SWIGLU_BACKWARD:
    case MADE_GELU_BACKWARD: return call_activation_backward(context, &t, rows, cols);
    case MADE_RMSNORM:
    case MADE_LAYERNORM: return call_norm(context, &t, rows, cols);
    case MADE_RMSNORM_BACKWARD:
    case MADE_LAYERNORM_BACKWARD: return call_norm_backward(context, &t, rows, cols);
    case MADE_SOFTMAX: return call_softmax(context, &t, rows, cols);
    default: return call_softmax_backward(context, &t, rows, cols);
  }
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static int add_row(bench_run *run, made_kind kind, mfq_dtype dtype, const made_target *target) {
  const produce_bench *b = run->state;
  made_row *row = (made_row *)bench_row_at(run, run->count);
  made_memory memory = {.inputs = NULL};
  *row = (made_row){.kind = kind, .dtype = dtype, .target = target, .goal = GOAL};
  row->rows = b->height;
  row->cols = b->width;
  (void)snprintf(row->common.name, sizeof row->common.name, "%s %s %s", made_kind_name(kind), mfq_dtype_name(dtype),
                 target->name);
  const int code = bench_status(made_call(NULL, row, row->rows, row->cols, &memory), row->common.name);
  if (code != BENCH_OK) return code;
  row->read = memory.read;
  row->written = memory.written;
  row->input_bytes = memory.input_bytes;
  row->output_bytes = memory.output_bytes;
  row->common.bytes = row->read + row->written;
  row->common.is_wanted = 1;
  ++run->count;
  return BENCH_OK;
}

int made_list(bench_run *run) {
  static const mfq_dtype dtypes[] = {MFQ_DTYPE_F32, MFQ_DTYPE_BF16};
  int code = bench_make_rows(run, MADE_KINDS * 2 * TARGETS, 1);
  run->count = 0;
  for (int kind = 0; code == BENCH_OK && kind < MADE_KINDS; ++kind)
    for (int d = 0; code == BENCH_OK && d < 2; ++d)
      for (int i = 0; code == BENCH_OK && i < TARGETS; ++i)
        code = add_row(run, (made_kind)kind, dtypes[d], &targets[i]);
  return code;
}
