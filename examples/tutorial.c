/* Brevitas' tutorial "Minifloat and Groupwise quantization", cell by cell, in C: prints what the notebook prints and
 * checks what it asserts.
 *
 *   Brevitas                                   mfq
 *   a quantizer class, or a subclass of it     mfq_scheme, read from "brevitas:<its name>/<what the subclass sets>"
 *   conv.quant_weight(), conv.input_quant(x)   mfq_quantize, which fills a mfq_qtensor
 *   FloatQuantTensor, Groupwise...QuantTensor  mfq_qtensor; its scheme says which of them it is
 *   .value_, .scale_                           its codes (packed) and scales: compressed shapes
 *   .value, .scale                             mfq_dequantize, mfq_expand_scales: expanded shapes
 *   qnn.QuantConv2d                            mfq_conv: planned once, run often
 *
 *   example_tutorial [device]      cpu, cuda:0, ...; exits with 77 where there is no such device */
#include <mfq/mfq.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 1, SIDE = 8, FILTER = 3, MAX_BUFFERS = 64, SKIPPED = 77 };

/* ---- Errors, memory, random numbers ----------------------------------------------------------------------------- */

static mfq_context *context;
static mfq_buffer *buffers[MAX_BUFFERS]; /* all that is allocated; freed at the end */
static int buffer_count, failures;

static void check(mfq_status status) {
  if (status == MFQ_OK) return;
  fprintf(stderr, "%s\n", mfq_last_error());
  exit(status == MFQ_ERROR_UNSUPPORTED ? SKIPPED : 1);
}

/* The notebook's `assert`. */
static void expect(int is_true, const char *text) {
  if (is_true) return;
  printf("  ASSERTION FAILED: %s\n", text);
  ++failures;
}

/* Memory on the context's device. */
static void *device_memory(size_t bytes) {
  if (buffer_count == MAX_BUFFERS) abort();
  check(mfq_buffer_create(context, bytes, &buffers[buffer_count]));
  return mfq_buffer_data(buffers[buffer_count++]);
}

static int64_t count_of(const mfq_tensor *t) {
  int64_t count = 1;
  for (int i = 0; i < t->rank; ++i) count *= t->shape[i];
  return count;
}

static mfq_tensor empty(int rank, const int64_t *shape) {
  mfq_tensor t;
  check(mfq_tensor_init(NULL, MFQ_DTYPE_F32, rank, shape, &t));
  t.data = device_memory((size_t)count_of(&t) * sizeof(float));
  return t;
}

/* torch.randn(shape) * scale: SplitMix64 and the Box-Muller transform. */
static mfq_tensor randn(int rank, const int64_t *shape, double scale) {
  static uint64_t state = 1;
  mfq_tensor t = empty(rank, shape);
  const int64_t count = count_of(&t);
  float *host = calloc((size_t)count, sizeof *host);
  if (host == NULL) abort();
  for (int64_t i = 0; i < count; ++i) {
    uint64_t x = state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    const double u = ((double)(x >> 32) + 0.5) * 0x1p-32, v = (double)(x & 0xffffffffu) * 0x1p-32;
    host[i] = (float)(scale * sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
  }
  check(mfq_buffer_write(buffers[buffer_count - 1], 0, host, (size_t)count * sizeof *host)); /* empty's */
  free(host);
  return t;
}

/* The values of a dense tensor, in the order of its axes; to be freed. */
static float *values_of(const mfq_tensor *t) {
  const size_t bytes = (size_t)count_of(t) * sizeof(float);
  float *host = malloc(bytes);
  for (int i = 0; host != NULL && i < buffer_count; ++i)
    if (mfq_buffer_data(buffers[i]) == t->data) check(mfq_buffer_read(buffers[i], 0, host, bytes));
  if (host == NULL) abort();
  return host;
}

/* ---- Quantized tensors ------------------------------------------------------------------------------------------ */

static mfq_scheme quantizer(const char *text) {
  mfq_scheme scheme;
  check(mfq_scheme_parse(text, &scheme));
  return scheme;
}

/* quantizer(t). A quantizer of activations that collects its scale over many batches (rule "given") takes it from
 * `given_scale`; all others compute theirs. */
static mfq_qtensor quantize(const mfq_tensor *t, const mfq_scheme *scheme, float given_scale) {
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  check(mfq_qtensor_init(scheme, t->rank, t->shape, NULL, &q));
  check(mfq_qtensor_sizes_get(&q, &sizes));
  q.codes = device_memory(sizes.codes_bytes);
  q.scales = device_memory(sizes.scales_bytes);
  if (scheme->rule == MFQ_RULE_GIVEN)
    check(mfq_buffer_write(buffers[buffer_count - 1], 0, &given_scale, sizeof given_scale));
  check(mfq_quantize(context, t, &q, NULL));
  return q;
}

/* Brevitas' class of a quantized tensor. */
static const char *class_of(const mfq_qtensor *q) {
  const int is_int = q->scheme.element.kind == MFQ_KIND_INTEGER;
  if (q->scheme.granularity == MFQ_GRANULARITY_GROUP)
    return is_int ? "GroupwiseIntQuantTensor" : "GroupwiseFloatQuantTensor";
  return is_int ? "IntQuantTensor" : "FloatQuantTensor";
}
static int is_instance(const mfq_qtensor *q, const char *class_name) { return strcmp(class_of(q), class_name) == 0; }

static void print_shape(const char *before, int rank, const int64_t *shape) {
  printf("%s[", before);
  for (int i = 0; i < rank; ++i) printf("%s%" PRId64, i > 0 ? ", " : "", shape[i]);
  printf("]");
}

static void print_quantized(const char *name, const mfq_qtensor *q, const char *quantizer_text) {
  mfq_qtensor_sizes sizes;
  check(mfq_qtensor_sizes_get(q, &sizes));
  printf("  %-19s  %s by %s\n  %19s ", name, class_of(q), quantizer_text, "");
  print_shape(" value ", q->rank, q->shape);
  print_shape(", scale_ ", sizes.scale_rank, sizes.scale_shape);
  printf(", %zu bytes with scales\n", sizes.codes_bytes + sizes.scales_bytes);
}

/* ---- qnn.QuantConv2d(in_channels, out_channels, 3, weight_quant=, input_quant=) --------------------------------- */

typedef struct quant_conv2d {
  const char *weight_text, *input_text; /* the quantizers */
  mfq_tensor weight, bias;              /* float32, as a training leaves them; the bias is not quantized */
  mfq_scheme input_quant;
  mfq_qtensor quant_weight; /* conv.quant_weight() */
} quant_conv2d;

static quant_conv2d quant_conv2d_create(int64_t in_channels, int64_t out_channels, const char *weight_quant,
                                        const char *input_quant) {
  const int64_t shape[] = {out_channels, in_channels, FILTER, FILTER};
  const double scale = 1 / sqrt((double)(in_channels * FILTER * FILTER));
  quant_conv2d conv = {.weight_text = weight_quant,
                       .input_text = input_quant,
                       .weight = randn(4, shape, scale),
                       .bias = randn(1, shape, scale)};
  const mfq_scheme scheme = quantizer(weight_quant);
  conv.input_quant = quantizer(input_quant);
  conv.quant_weight = quantize(&conv.weight, &scheme, 0);
  return conv;
}

/* The layer's forward pass with any operands: plain, quantized, or quantized on the way in. */
static mfq_tensor forward(const quant_conv2d *layer, mfq_operand input, mfq_operand weight) {
  int32_t rank;
  int64_t shape[MFQ_MAX_RANK];
  mfq_conv conv;
  mfq_conv_plan *plan;
  mfq_conv_init(&conv); /* stride 1, no padding, as PyTorch */
  conv.input = input;
  conv.weight = weight;
  conv.bias = &layer->bias;
  conv.own_workspace = 1;
  check(mfq_conv_output_shape(&conv, &rank, shape));
  const mfq_tensor output = empty(rank, shape);
  conv.result = &output;
  check(mfq_conv_plan_create(context, &conv, &plan)); /* once for each shape */
  check(mfq_conv_run(context, plan, &conv, NULL, 0)); /* as often as there is input */
  check(mfq_context_synchronize(context));
  mfq_conv_plan_destroy(plan);
  return output;
}

/* model(x): the input is quantized by the convolution itself, and no codes of it are kept. */
static mfq_tensor call(const quant_conv2d *layer, const mfq_tensor *x) {
  const mfq_operand input = {.plain = x, .quantize_to = &layer->input_quant};
  const mfq_operand weight = {.quantized = &layer->quant_weight};
  return forward(layer, input, weight);
}

/* The output beside that of the same layer in float32, which the notebook leaves out: SQNR is the squared values over
 * the squared differences. */
static void print_output(const quant_conv2d *layer, const mfq_tensor *x, const mfq_tensor *o) {
  const mfq_tensor exact = forward(layer, (mfq_operand){.plain = x}, (mfq_operand){.plain = &layer->weight});
  float *want = values_of(&exact), *got = values_of(o);
  double signal = 0, noise = 0;
  for (int64_t i = 0; i < count_of(o); ++i) {
    const double difference = (double)want[i] - (double)got[i];
    signal += (double)want[i] * (double)want[i];
    noise += difference * difference;
  }
  free(want);
  free(got);
  printf("  %-19s", "o");
  print_shape("  ", o->rank, o->shape);
  printf(", SQNR %.1f dB against the layer in float32\n", 10 * log10(signal / noise));
}

/* ---- The cells -------------------------------------------------------------------------------------------------- */

static void cell_fp8(void) {
  printf("OCP FP8, one scale a tensor\n");
  const int64_t shape[] = {BATCH, 32, SIDE, SIDE};
  quant_conv2d conv =
      quant_conv2d_create(32, 64, "brevitas:Fp8e4m3OCPWeightPerTensorFloat", "brevitas:Fp8e4m3OCPActPerTensorFloat");
  const mfq_tensor x = randn(4, shape, 1);
  /* This quantizer's scale is collected during training or calibration. Nothing was collected yet, so that the scale is
   * what Brevitas starts with, 1 / 448: values beyond 1 saturate. */
  const mfq_qtensor input = quantize(&x, &conv.input_quant, 1.0f / 448);
  const mfq_tensor o =
      forward(&conv, (mfq_operand){.quantized = &input}, (mfq_operand){.quantized = &conv.quant_weight});
  print_quantized("conv.input_quant(x)", &input, conv.input_text);
  print_quantized("conv.quant_weight()", &conv.quant_weight, conv.weight_text);
  print_output(&conv, &x, &o);
  expect(is_instance(&input, "FloatQuantTensor"), "isinstance(intermediate_input, FloatQuantTensor)");
  expect(is_instance(&conv.quant_weight, "FloatQuantTensor"), "isinstance(conv.quant_weight(), FloatQuantTensor)");
}

/* Groups of 32 along the channels. Brevitas finds that axis from the layer; so does `quantize_to`, while a tensor that is
 * quantized by itself needs it in the text: 32@1. */
static void cell_groups(const char *title, const char *weight_quant, const char *input_quant, const char *class_name) {
  printf("\n%s\n", title);
  const int64_t shape[] = {BATCH, 32, SIDE, SIDE};
  const quant_conv2d conv = quant_conv2d_create(32, 64, weight_quant, input_quant);
  const mfq_tensor x = randn(4, shape, 1);
  const mfq_tensor o = call(&conv, &x);
  const mfq_qtensor input = quantize(&x, &conv.input_quant, 0);
  print_quantized("conv.input_quant(x)", &input, conv.input_text);
  print_quantized("conv.quant_weight()", &conv.quant_weight, conv.weight_text);
  print_output(&conv, &x, &o);
  expect(is_instance(&input, class_name), "isinstance(intermediate_input, Groupwise...QuantTensor)");
  expect(is_instance(&conv.quant_weight, class_name), "isinstance(conv.quant_weight(), Groupwise...QuantTensor)");
}

/* torch.allclose(a, b) */
static int all_close(const mfq_tensor *a, const mfq_tensor *b) {
  float *x = values_of(a), *y = values_of(b);
  int is_close = count_of(a) == count_of(b);
  for (int64_t i = 0; is_close && i < count_of(a); ++i)
    is_close = fabs((double)x[i] - (double)y[i]) <= 1e-8 + 1e-5 * fabs((double)y[i]);
  free(x);
  free(y);
  return is_close;
}

/* 8 channels do not fill a group of 32. Brevitas pads the tensor; mfq stores the short group as it is, and offers the
 * padded shape to those who want to see it (mfq_dequantize writes either). */
static void cell_padding(void) {
  printf("\nMXFP8, 8 channels: groups of 8 and of 32\n");
  const int64_t shape[] = {BATCH, 8, SIDE, SIDE};
  quant_conv2d padded =
      quant_conv2d_create(8, 64, "brevitas:MXFloat8e4m3Weight", "brevitas:MXFloat8e4m3Act/group:32@1");
  quant_conv2d no_padding = padded; /* load_state_dict: the same weights, quantized by other classes */
  const mfq_scheme weight_quant = quantizer("brevitas:MXFloat8e4m3Weight/group:8@1");
  no_padding.input_quant = quantizer("brevitas:MXFloat8e4m3Act/group:8@1");
  no_padding.quant_weight = quantize(&no_padding.weight, &weight_quant, 0);
  const mfq_tensor x = randn(4, shape, 1);
  const mfq_tensor o_no_padding = call(&no_padding, &x), o = call(&padded, &x);
  mfq_qtensor_sizes with, without;
  check(mfq_qtensor_sizes_get(&no_padding.quant_weight, &without));
  check(mfq_qtensor_sizes_get(&padded.quant_weight, &with));
  print_shape("Non padding weights shape ", 4, without.padded_shape);
  print_shape("\nPadded weights shape ", 4, with.padded_shape);
  printf("\n");
  print_output(&padded, &x, &o);
  expect(all_close(&o, &o_no_padding), "torch.allclose(o, o_no_padding)");
}

/* The weight by the search that the class is named after: of 19 scales of a group the one with the least squared error. */
static void cell_search(void) {
  printf("\nMXFP8, weights by a search for the least squared error\n");
  const int64_t shape[] = {BATCH, 32, SIDE, SIDE};
  quant_conv2d conv = quant_conv2d_create(32, 64, "brevitas:MXFloat8e4m3Weight", "brevitas:MXFloat8e4m3Act/group:32@1");
  const mfq_tensor x = randn(4, shape, 1);
  mfq_search search;
  mfq_search_init(&search, MFQ_SEARCH_MSE);
  search.src = &conv.weight;
  search.q = &conv.quant_weight; /* which stays a tensor like any other */
  check(mfq_search_scales(context, &search));
  const mfq_tensor o = call(&conv, &x);
  print_quantized("conv.quant_weight()", &conv.quant_weight, "brevitas:MXFloat8e4m3Weight and mse");
  print_output(&conv, &x, &o);
  expect(is_instance(&conv.quant_weight, "GroupwiseFloatQuantTensor"),
         "isinstance(conv.quant_weight(), GroupwiseFloatQuantTensor)");
}

int main(int argc, char **argv) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  if (argc > 1) options.device = argv[1];
  check(mfq_context_create(&options, &context));

  cell_fp8();
  cell_groups("MXFP8, groups of 32 with a power of two each", "brevitas:MXFloat8e4m3Weight",
              "brevitas:MXFloat8e4m3Act/group:32@1", "GroupwiseFloatQuantTensor");
  cell_padding();
  /* As Brevitas ships it, this class computes the scale of the one above: no search takes place, nor does here. The cell
   * behind it has what the name says. */
  cell_groups("MXFP8, weights by the class named MSE", "brevitas:MXFloat8e4m3WeightMSE",
              "brevitas:MXFloat8e4m3Act/group:32@1", "GroupwiseFloatQuantTensor");
  cell_search();
  /* Without the lowest code and with a scale that is rounded down, 8-bit integers clip: the floor rule, as specified. */
  cell_groups("MXINT8", "brevitas:MXInt8Weight", "brevitas:MXInt8Act/group:32@1", "GroupwiseIntQuantTensor");

  printf("\n%s\n", failures == 0 ? "All assertions of the notebook hold." : "Some assertions of the notebook fail.");
  for (int i = 0; i < buffer_count; ++i) mfq_buffer_destroy(buffers[i]);
  mfq_context_destroy(context);
  return failures > 0;
}
