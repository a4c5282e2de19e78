/* A static activation quantizer: its scale is collected over batches, saved, loaded, made a scale for good, and used.
 *
 *   example_calibrate FOLDER      leaves FOLDER/calibration.safetensors: the values as a tensor, the rest as its metadata */
#include <mfq/io.h>
#include <mfq/mfq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCHES = 8, TOKENS = 64, FEATURES = 256 };
static const char name[] = "layer0.input";

static void check(mfq_status status) {
  if (status == MFQ_OK) return;
  fprintf(stderr, "%s\n", mfq_last_error());
  exit(1);
}

static void check_io(mfq_status status) {
  if (status == MFQ_OK) return;
  fprintf(stderr, "%s\n", mfq_io_last_error());
  exit(1);
}

/* What a layer would be given: values around 0, now and then one far away. */
static void fill(float *x, int batch) {
  for (int i = 0; i < TOKENS * FEATURES; ++i) {
    const int dice = (i * 7919 + batch * 104729) % 1009;
    x[i] = (float)(dice - 504) / 252.0f;
    if (dice == 0 && i % 5 == 0) x[i] *= 40.0f;
  }
}

/* ---- A file ------------------------------------------------------------------------------------------------------- */

static void save(const char *path, const mfq_collection *c) {
  char text[MFQ_COLLECTION_TEXT_MAX];
  mfq_writer_options options;
  mfq_writer *writer;
  int64_t index;
  mfq_writer_options_init(&options);
  options.replace = 1;
  check(mfq_collection_print(c, text, sizeof text));
  check_io(mfq_writer_create(path, &options, &writer));
  check_io(mfq_writer_add_metadata(writer, name, text));
  check_io(mfq_writer_add_tensor(writer, name, MFQ_FILE_F32, c->scale_rank, c->scale_shape, &index));
  check_io(mfq_writer_begin(writer));
  check_io(mfq_writer_write(writer, index, c->values, (size_t)c->scale_count * sizeof(float)));
  check_io(mfq_writer_finish(writer));
  mfq_writer_destroy(writer);
}

static void load(const char *path, mfq_collection *c) {
  mfq_reader *reader;
  check_io(mfq_reader_open(path, &reader));
  const char *text = mfq_reader_metadata_find(reader, name);
  if (text == NULL) {
    fprintf(stderr, "%s: no collection of %s\n", path, name);
    exit(1);
  }
  check(mfq_collection_parse(text, c));
  c->values = malloc((size_t)c->scale_count * sizeof(float));
  check_io(
      mfq_reader_read(reader, mfq_reader_find(reader, name), 0, (size_t)c->scale_count * sizeof(float), c->values));
  mfq_reader_close(reader);
}

/* ---- The quantizer ------------------------------------------------------------------------------------------------ */

int main(int argc, char **argv) {
  static float x[TOKENS * FEATURES], y[TOKENS * FEATURES];
  char path[4096];
  snprintf(path, sizeof path, "%s/calibration.safetensors", argc > 1 ? argv[1] : ".");
  mfq_context_options options;
  mfq_context *context;
  mfq_context_options_init(&options);
  check(mfq_context_create(&options, &context));

  /* Calibration: the mean of each batch's 99.9th percentile. */
  mfq_scheme scheme;
  mfq_observer observer;
  mfq_collection collection;
  mfq_tensor batch, result;
  const int64_t shape[] = {TOKENS, FEATURES};
  float value = 0;
  check(mfq_scheme_parse("brevitas:Int8ActPerTensorFloat", &scheme)); /* its rule is given */
  check(mfq_observer_parse("percentile:99.9", &observer));
  check(mfq_collection_init(&scheme, &observer, 2, shape, &collection));
  collection.running = MFQ_RUNNING_MEAN;
  collection.limit = BATCHES;
  collection.values = &value;
  check(mfq_tensor_init(x, MFQ_DTYPE_F32, 2, shape, &batch));
  for (int i = 0; i < BATCHES; ++i) {
    fill(x, i);
    check(mfq_collect(context, &collection, &batch, 1));
  }
  save(path, &collection);

  /* Later, perhaps in another program: scales for good. */
  mfq_collection loaded;
  mfq_qtensor q;
  mfq_transition transition;
  float scale = 0;
  load(path, &loaded);
  check(mfq_qtensor_init(&loaded.scheme, 2, shape, NULL, &q));
  q.scales = &scale;
  mfq_transition_init(&transition);
  transition.scale = &loaded;
  transition.to = &q;
  check(mfq_collection_scales(context, &transition));

  /* As often as there is input. */
  check(mfq_tensor_init(y, MFQ_DTYPE_F32, 2, shape, &result));
  fill(x, BATCHES);
  check(mfq_fake_quantize_given(context, &q, &batch, &result));
  float largest = 0, worst = 0;
  for (int i = 0; i < TOKENS * FEATURES; ++i) {
    const float magnitude = x[i] < 0 ? -x[i] : x[i], error = x[i] < y[i] ? y[i] - x[i] : x[i] - y[i];
    largest = magnitude > largest ? magnitude : largest;
    if (magnitude < 127 * scale && error > worst) worst = error;
  }
  printf("%lld batches: scale %g; elements up to %g, those in range off by at most %.2f steps\n",
         (long long)loaded.steps, (double)scale, (double)largest, (double)(worst / scale));
  free(loaded.values);
  mfq_context_destroy(context);
}
