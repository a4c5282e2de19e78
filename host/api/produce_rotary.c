/* host/api/produce_rotary.c: checks rotary position embeddings. */
#include <mfq/produce.h>

#include <string.h>

#include "host/core/check/indexed.h"
#include "host/core/check/operands.h"
#include "host/core/check/produced.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"

void mfq_rotating_init(mfq_rotating *rotating) {
  if (rotating == NULL) return;
  memset(rotating, 0, sizeof *rotating);
  rotating->struct_size = sizeof *rotating;
}

static mfq_status check_rotating(mfq_where where, const mfq_rotating *r) {
  mfq_status status = mfq_argument_present(where, r);
  if (status == MFQ_OK) status = mfq_argument_struct(where, r, sizeof *r, "mfq_rotating_init");
  if (status != MFQ_OK) return status;
  const mfq_range ranges[] = {{"interleaved", r->interleaved, 0, 1}, {"inverse", r->inverse, 0, 1}};
  status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  return status == MFQ_OK ? mfq_argument_present((mfq_where){where.function, "rotating->y"}, r->y) : status;
}

/* x, as the first and the second ones of all pairs. */
static mfq_status take_pairs(mfq_making *m, const mfq_rotating *r) {
  mfq_made *made = &m->made;
  const mfq_status status = mfq_making_first(m, "rotating->x", r->x, &made->in[0]);
  if (status != MFQ_OK) return status;
  const int32_t rank = m->shape.rank;
  const int64_t cols = m->shape.shape[rank - 1];
  if (rank < 3 || cols % 2 != 0)
    return mfq_fail(MFQ_ERROR_SHAPE, m->function,
                    "rotating->x: shape is %s; allowed is [..., tokens, heads, an even number of elements]",
                    mfq_shape_write(rank, m->shape.shape).text);
  const int64_t bytes = (int64_t)mfq_dtype_bytes(made->in[0].dtype), stride = made->in[0].col_stride;
  made->make.op = MFQN_MAKE_ROTARY;
  made->make.pairs = r->interleaved ? MFQN_PAIRS_INTERLEAVED : MFQN_PAIRS_HALVES;
  made->is_inverse = r->inverse;
  made->cols = cols;
  made->units = cols / 2;
  made->make.count = (float)made->units;
  made->heads = m->shape.shape[rank - 2];
  made->tokens = m->shape.shape[rank - 3];
  made->in[1] = made->in[0];
  if (cols > 0) made->in[1].data += (r->interleaved ? stride : made->units * stride) * bytes;
  if (r->interleaved) made->in[0].col_stride = made->in[1].col_stride = 2 * stride;
  return MFQ_OK;
}

/* Cosines or sines. */
static mfq_status take_table(mfq_making *m, const char *name, const mfq_tensor *given, mfq_made_side *side) {
  mfq_tensor table;
  const mfq_status status = mfq_argument_tensor((mfq_where){m->function, name}, given, 0, &m->parts, &table);
  if (status != MFQ_OK) return status;
  if (table.dtype != MFQ_DTYPE_F32)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, m->function, "%s: dtype is %s; allowed is f32", name,
                    mfq_dtype_name(table.dtype));
  if (table.rank != 2 || table.shape[1] != m->made.units)
    return mfq_fail(MFQ_ERROR_SHAPE, m->function,
                    "%s: shape is %s; allowed is [positions, %lld], a column for each pair of rotating->x", name,
                    mfq_shape_write(table.rank, table.shape).text, (long long)m->made.units);
  if (m->made.gain.data != NULL && table.shape[0] != m->made.index_end)
    return mfq_fail(MFQ_ERROR_SHAPE, m->function, "%s: shape is %s, but rotating->cosines has %lld rows", name,
                    mfq_shape_write(table.rank, table.shape).text, (long long)m->made.index_end);
  static uint8_t empty;
  side->data = table.data != NULL ? table.data : &empty;
  side->dtype = table.dtype;
  side->row_strides[0] = table.strides[0];
  side->col_stride = table.strides[1];
  m->made.index_end = table.shape[0];
  return MFQ_OK;
}

static mfq_status take_positions(mfq_making *m, const mfq_indices *positions) {
  static const char name[] = "rotating->positions";
  mfq_made *made = &m->made;
  const int64_t all = made->heads > 0 ? made->rows / made->heads : 0;
  made->argument = name;
  if (positions->data == NULL && positions->count == 0) {
    if (made->rows == 0 || made->tokens <= made->index_end) return MFQ_OK;
    return mfq_fail(MFQ_ERROR_SHAPE, m->function,
                    "rotating->cosines: there are %lld positions, but rotating->x has %lld tokens",
                    (long long)made->index_end, (long long)made->tokens);
  }
  const mfq_status status = mfq_take_indices((mfq_where){m->function, name}, positions, &m->parts);
  if (status != MFQ_OK) return status;
  made->indices = *positions;
  if (positions->count == made->tokens || positions->count == all) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, m->function,
                  "%s: count is %lld; allowed is 0, for none, %lld, one a token, and %lld, one a token of each batch",
                  name, (long long)positions->count, (long long)made->tokens, (long long)all);
}

mfq_status mfq_rotary(mfq_context *context, const mfq_rotating *r) {
  MFQ_USUAL_FP_MODE;
  mfq_making m = {.function = "mfq_rotary"};
  mfq_status status = mfq_argument_present((mfq_where){m.function, "context"}, context);
  if (status == MFQ_OK) status = check_rotating((mfq_where){m.function, "rotating"}, r);
  if (status == MFQ_OK) status = take_pairs(&m, r);
  if (status == MFQ_OK) status = take_table(&m, "rotating->cosines", r->cosines, &m.made.gain);
  if (status == MFQ_OK) status = take_table(&m, "rotating->sines", r->sines, &m.made.shift);
  if (status == MFQ_OK) status = take_positions(&m, &r->positions);
  if (status != MFQ_OK) return status;
  const mfq_made_argument y = {"rotating->y", r->y, MFQ_OF_ELEMENTS, 1, m.made.cols};
  status = mfq_making_take(&m, y, &m.made.plain);
  if (status == MFQ_OK) m.made.is_in_place = mfq_making_share(&m);
  return status == MFQ_OK ? mfq_making_run(&m, context) : status;
}
