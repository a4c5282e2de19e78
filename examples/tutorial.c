/* Brevitas' tutorial "Minifloat and Groupwise quantization", cell by cell, in C: prints what the notebook prints and
 * checks what it asserts.
 *
 *   Brevitas                                   mfq
 *   a quantizer class, or a subclass of it     mfq_scheme, read from "brevitas:<its name>/<what the subclass sets>"
 *   qnn.QuantConv2d(weight_quant=, ...)        mfq_layer, whose recipe says "fprop.w=<the class>;fprop.x=..."
 *   conv.quant_weight(), conv.input_quant(x)   mfq_layer_quant_weight, mfq_layer_input_quant, which show a mfq_qtensor
 *   FloatQuantTensor, Groupwise...QuantTensor  mfq_qtensor; its scheme says which of them it is
 *   .value_, .scale_                           its codes (packed) and scales: compressed shapes
 *   .value, .scale                             mfq_dequantize, mfq_expand_scales: expanded shapes
 *
 *   example_tutorial [device]      cpu, cuda:0, ...; exits with 77 where there is no such device */
#include <mfq/mfq.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 1, SIDE = 8, FILTER = 3, MAX_BUFFERS = 64, MAX_LAYERS = 16, SKIPPED = 77 };

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

/* A layer keeps codes with the axis of the groups last, and scales have the order of the codes; here that of the tensor. */
static void print_scale_shape(const mfq_qtensor *q, const mfq_qtensor_sizes *sizes) {
  int64_t shape[MFQ_MAX_RANK];
  const int is_moved = q->layout.codes == MFQ_CODES_GROUP_LAST && sizes->axis >= 0;
  for (int i = 0; i < sizes->scale_rank; ++i) {
    const int last = sizes->scale_rank - 1, from = !is_moved || i < sizes->axis ? i : i == sizes->axis ? last : i - 1;
    shape[i] = sizes->scale_shape[from];
  }
  print_shape(", scale_ ", sizes->scale_rank, shape);
}

static void print_quantized(const char *name, const mfq_qtensor *q, const char *quantizer_text) {
  mfq_qtensor_sizes sizes;
  check(mfq_qtensor_sizes_get(q, &sizes));
  printf("  %-19s  %s by %s\n  %19s ", name, class_of(q), quantizer_text, "");
  print_shape(" value ", q->rank, q->shape);
  print_scale_shape(q, &sizes);
  printf(", %zu bytes with scales\n", sizes.codes_bytes + sizes.scales_bytes);
}

/* ---- qnn.QuantConv2d(in_channels, out_channels, 3, weight_quant=, input_quant=) --------------------------------- */

static mfq_layer *layers[MAX_LAYERS]; /* likewise freed at the end */
static int layer_count;

typedef struct quant_conv2d {
  const char *weight_text, *input_text; /* the quantizers */
  mfq_tensor weight, bias;              /* float32, as a training leaves them; the bias is not quantized */
  mfq_tensor output;
  mfq_layer *layer;
} quant_conv2d;

/* A layer over the weight and bias of `conv`; recipe "all=none": in float32. */
static mfq_layer *layer_of(const quant_conv2d *conv, const char *recipe_text) {
  const int64_t shape[] = {BATCH, conv->weight.shape[1], SIDE, SIDE};
  mfq_tensor x;
  mfq_recipe recipe;
  mfq_layer_options options;
  check(mfq_tensor_init(NULL, MFQ_DTYPE_F32, 4, shape, &x));
  check(mfq_recipe_parse(recipe_text, &recipe));
  mfq_layer_options_init(&options);
  options.kind = MFQ_LAYER_CONV; /* stride 1, no padding, as PyTorch */
  options.recipe = &recipe;
  options.x = &x;
  options.y = &conv->output;
  options.weight = &conv->weight;
  options.bias = &conv->bias;
  if (layer_count == MAX_LAYERS) abort();
  check(mfq_layer_create(context, &options, &layers[layer_count]));
  return layers[layer_count++];
}

/* Quantizers of a layer over given weights. Groups lie along the channels: Brevitas finds that axis from the layer, and so
 * does mfq_layer. */
static void set_quantizers(quant_conv2d *conv, const char *weight_quant, const char *input_quant) {
  char recipe[256];
  snprintf(recipe, sizeof recipe, "fprop.w=%s;fprop.x=%s;ste=brevitas", weight_quant, input_quant);
  conv->weight_text = weight_quant;
  conv->input_text = input_quant;
  conv->layer = layer_of(conv, recipe);
}

static quant_conv2d quant_conv2d_create(int64_t in_channels, int64_t out_channels, const char *weight_quant,
                                        const char *input_quant) {
  const int64_t shape[] = {out_channels, in_channels, FILTER, FILTER};
  const int64_t out_shape[] = {BATCH, out_channels, SIDE - FILTER + 1, SIDE - FILTER + 1};
  const double scale = 1 / sqrt((double)(in_channels * FILTER * FILTER));
  quant_conv2d conv = {.weight = randn(4, shape, scale), .bias = randn(1, shape, scale), .output = empty(4, out_shape)};
  set_quantizers(&conv, weight_quant, input_quant);
  return conv;
}

/* model(x) */
static mfq_tensor call(const quant_conv2d *conv, mfq_layer *layer, const mfq_tensor *x) {
  const mfq_tensor o = empty(4, conv->output.shape);
  check(mfq_layer_forward(layer, x, &o));
  check(mfq_context_synchronize(context));
  return o;
}

/* The output beside that of the same layer in float32, which the notebook leaves out: SQNR is the squared values over
 * the squared differences. */
static void print_output(const quant_conv2d *conv, const mfq_tensor *x, const mfq_tensor *o) {
  const mfq_tensor exact = call(conv, layer_of(conv, "all=none"), x);
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

/* A layer and its operands as the notebook prints them; what a layer shows is good until its next call. */
static void cell(const char *title, const char *weight_quant, const char *input_quant, const char *class_name) {
  printf("%s\n", title);
  const int64_t shape[] = {BATCH, 32, SIDE, SIDE};
  const quant_conv2d conv = quant_conv2d_create(32, 64, weight_quant, input_quant);
  const mfq_tensor x = randn(4, shape, 1);
  const mfq_tensor o = call(&conv, conv.layer, &x);
  mfq_qtensor input, weight;
  check(mfq_layer_input_quant(conv.layer, &x, &input));
  print_quantized("conv.input_quant(x)", &input, conv.input_text);
  expect(is_instance(&input, class_name), "isinstance(intermediate_input, ...QuantTensor)");
  check(mfq_layer_quant_weight(conv.layer, &weight));
  print_quantized("conv.quant_weight()", &weight, conv.weight_text);
  expect(is_instance(&weight, class_name), "isinstance(conv.quant_weight(), ...QuantTensor)");
  print_output(&conv, &x, &o);
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
  quant_conv2d padded = quant_conv2d_create(8, 64, "brevitas:MXFloat8e4m3Weight", "brevitas:MXFloat8e4m3Act");
  quant_conv2d no_padding = padded; /* load_state_dict: the same weights, quantized by other classes */
  set_quantizers(&no_padding, "brevitas:MXFloat8e4m3Weight/group:8", "brevitas:MXFloat8e4m3Act/group:8");
  const mfq_tensor x = randn(4, shape, 1);
  const mfq_tensor o_no_padding = call(&no_padding, no_padding.layer, &x), o = call(&padded, padded.layer, &x);
  mfq_qtensor with, without;
  mfq_qtensor_sizes with_sizes, without_sizes;
  check(mfq_layer_quant_weight(no_padding.layer, &without));
  check(mfq_layer_quant_weight(padded.layer, &with));
  check(mfq_qtensor_sizes_get(&without, &without_sizes));
  check(mfq_qtensor_sizes_get(&with, &with_sizes));
  print_shape("Non padding weights shape ", 4, without_sizes.padded_shape);
  print_shape("\nPadded weights shape ", 4, with_sizes.padded_shape);
  printf("\n");
  print_output(&padded, &x, &o);
  expect(all_close(&o, &o_no_padding), "torch.allclose(o, o_no_padding)");
}

int main(int argc, char **argv) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  if (argc > 1) options.device = argv[1];
  check(mfq_context_create(&options, &context));

  /* This class of inputs collects its scale for 300 steps, and learns it then; so far it is that of the step. */
  cell("OCP FP8, one scale a tensor", "brevitas:Fp8e4m3OCPWeightPerTensorFloat",
       "learned:300|brevitas:Fp8e4m3OCPActPerTensorFloat/f32", "FloatQuantTensor");
  cell("\nMXFP8, groups of 32 with a power of two each", "brevitas:MXFloat8e4m3Weight", "brevitas:MXFloat8e4m3Act",
       "GroupwiseFloatQuantTensor");
  cell_padding();
  /* As Brevitas ships it, this class computes the scale of the one above: no search takes place, nor does here. The cell
   * behind it has what the name says: of 19 scales of a group the one with the least squared error. */
  cell("\nMXFP8, weights by the class named MSE", "brevitas:MXFloat8e4m3WeightMSE", "brevitas:MXFloat8e4m3Act",
       "GroupwiseFloatQuantTensor");
  cell("\nMXFP8, weights by a search for the least squared error", "search:mse|brevitas:MXFloat8e4m3Weight",
       "brevitas:MXFloat8e4m3Act", "GroupwiseFloatQuantTensor");
  /* Without the lowest code and with a scale that is rounded down, 8-bit integers clip: the floor rule, as specified. */
  cell("\nMXINT8", "brevitas:MXInt8Weight", "brevitas:MXInt8Act", "GroupwiseIntQuantTensor");

  printf("\n%s\n", failures == 0 ? "All assertions of the notebook hold." : "Some assertions of the notebook fail.");
  for (int i = 0; i < layer_count; ++i) mfq_layer_destroy(layers[i]);
  for (int i = 0; i < buffer_count; ++i) mfq_buffer_destroy(buffers[i]);
  mfq_context_destroy(context);
  return failures > 0;
}
