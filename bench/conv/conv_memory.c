/* bench/conv/conv_memory.c: the operands of convolutions, and the calls that use them. */
#include "conv_bench.h"

enum { CACHES = 1 }; /* of each tensor: what goes by before one comes back is that of all three */

void conv_tensor_shape(const conv_shape *s, int which, int64_t size[4]) {
  const int64_t sizes[CONV_TENSORS][4] = {{s->batch, s->in[0], s->in[1], s->in_channels},
                                          {s->out_channels, s->filter[0], s->filter[1], s->in_channels / s->groups},
                                          {s->batch, conv_out(s, 0), conv_out(s, 1), s->out_channels}};
  for (int i = 0; i < 4; ++i) size[i] = sizes[which][i];
}

int64_t conv_tensor_count(const conv_shape *shape, int which) {
  int64_t size[4];
  conv_tensor_shape(shape, which, size);
  return size[0] * size[1] * size[2] * size[3];
}

conv_roles conv_roles_of(mfq_conv_direction direction) {
  static const conv_roles roles[CONV_DIRECTIONS] = {
      {{CONV_X, CONV_W}, CONV_Y}, {{CONV_Y, CONV_W}, CONV_X}, {{CONV_X, CONV_Y}, CONV_W}};
  return roles[direction];
}

mfq_scheme conv_operand_scheme(const conv_memory *memory, int which) {
  enum { NEVER, BATCH = 0, FILTERS = 0, WIDTH = 2, CHANNELS = 3 };
  static const int summed[CONV_DIRECTIONS][CONV_TENSORS] = {
      {CHANNELS, CHANNELS, NEVER}, {NEVER, FILTERS, CHANNELS}, {WIDTH, NEVER, WIDTH}};
  static const int others[CONV_DIRECTIONS][CONV_TENSORS] = {
      {BATCH, FILTERS, NEVER}, {NEVER, CHANNELS, BATCH}, {CHANNELS, NEVER, CHANNELS}};
  mfq_scheme scheme = memory->scheme->scheme;
  if (scheme.granularity == MFQ_GRANULARITY_GROUP) scheme.axis = summed[memory->direction][which];
  if (scheme.granularity == MFQ_GRANULARITY_CHANNEL) scheme.axis = others[memory->direction][which];
  return scheme;
}

int conv_memory_create(const bench_run *run, const conv_shape *shape, mfq_conv_direction direction,
                       conv_memory *memory) {
  const conv_roles roles = conv_roles_of(direction);
  const bench_settings *s = &run->settings;
  int code = BENCH_OK;
  *memory = (conv_memory){.run = run, .shape = shape, .direction = direction};
  for (int i = 0; code == BENCH_OK && i < 2; ++i) {
    const int which = roles.operand[i];
    bench_slots *slots = &memory->tensors[which];
    code = bench_slots_create(run->context, 2 * (size_t)conv_tensor_count(shape, which), CACHES, slots);
    if (code == BENCH_OK) code = bench_slots_random(run->context, s->seed + which, s->threads, slots);
  }
  const size_t bytes = mfq_dtype_bytes(s->out_type) * (size_t)conv_tensor_count(shape, roles.result);
  return code == BENCH_OK ? bench_slots_create(run->context, bytes, CACHES, &memory->tensors[roles.result]) : code;
}

void conv_memory_destroy(conv_memory *memory) {
  for (int i = 0; i < CONV_TENSORS; ++i) bench_slots_destroy(&memory->tensors[i]);
  bench_slots_destroy(&memory->weights);
  mfq_buffer_destroy(memory->workspace);
  memory->workspace = NULL;
}

int conv_memory_scheme(conv_memory *memory, const bench_scheme *scheme) {
  int64_t size[4];
  mfq_tensor source;
  memory->scheme = scheme;
  bench_slots_destroy(&memory->weights);
  if (scheme->is_plain || memory->direction == MFQ_CONV_WEIGHT_GRADIENT) return BENCH_OK;
  const mfq_scheme along = conv_operand_scheme(memory, CONV_W);
  conv_tensor_shape(memory->shape, CONV_W, size);
  const mfq_status status = mfq_tensor_init(bench_slot(&memory->tensors[CONV_W], 0), MFQ_DTYPE_BF16, 4, size, &source);
  if (status != MFQ_OK) return bench_status(status, scheme->text);
  return bench_slots_quantized(memory->run->context, &source, &along, CACHES, &memory->weights);
}

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

static void describe_layer(const conv_memory *memory, conv_call *call) {
  const conv_shape *s = memory->shape;
  mfq_conv_init(&call->conv);
  call->conv.direction = memory->direction;
  call->conv.layout = MFQ_CONV_CHANNELS_LAST;
  call->conv.groups = s->groups;
  for (int i = 0; i < 2; ++i) {
    call->conv.stride[i] = s->stride;
    call->conv.padding[i] = s->padding;
  }
}

mfq_status conv_call_make(const conv_memory *memory, int turn, conv_call *call) {
  const conv_roles roles = conv_roles_of(memory->direction);
  mfq_status status = MFQ_OK;
  describe_layer(memory, call);
  mfq_operand *operands[CONV_TENSORS] = {&call->conv.input, &call->conv.weight, &call->conv.output_gradient};
  for (int which = 0; status == MFQ_OK && which < CONV_TENSORS; ++which) {
    const int is_result = which == roles.result;
    int64_t size[4];
    conv_tensor_shape(memory->shape, which, size);
    status =
        mfq_tensor_init(bench_slot(&memory->tensors[which], turn),
                        is_result ? memory->run->settings.out_type : MFQ_DTYPE_BF16, 4, size, &call->tensors[which]);
    if (is_result) continue;
    operands[which]->plain = &call->tensors[which];
    if (memory->scheme->is_plain) continue;
    call->schemes[which] = conv_operand_scheme(memory, which);
    operands[which]->quantize_to = &call->schemes[which];
    if (which != CONV_W || status != MFQ_OK) continue;
    size_t used;
    status = bench_place(&call->schemes[which], 4, size, bench_slot(&memory->weights, turn), &call->weight, &used);
    *operands[which] = (mfq_operand){.quantized = &call->weight};
  }
  call->conv.result = &call->tensors[roles.result];
  return status;
}
