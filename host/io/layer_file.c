/* host/io/layer_file.c: layers and their optimizer are saved and loaded. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mfq/layer_io.h>

#include "file_dtype.h"
#include "io_error.h"

/* A call: what all of its steps need. */
typedef struct layer_file {
  const char *function, *path;
  mfq_layer *const *layers;
  int32_t layer_count;
  const mfq_layers_options *options;
} layer_file;

/* One tensor of a call: of a layer, of the optimizer, or one of the options, where both are NULL. */
typedef struct layer_item {
  char name[MFQ_FILE_MAX_NAME + 1]; /* in the file */
  mfq_layer *layer;
  mfq_optimizer *optimizer;
  int32_t index; /* in one of these */
  mfq_tensor tensor;
  mfq_file_dtype dtype;
  size_t bytes;
} layer_item;

/* Called for each item in turn; `user` is the caller's. */
typedef mfq_status (*visit_fn)(const layer_file *file, const layer_item *item, void *user);

void mfq_layers_options_init(mfq_layers_options *options) {
  if (options != NULL) *options = (mfq_layers_options){.struct_size = sizeof *options, .replace = 1};
}

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

static mfq_status invalid(const layer_file *file, const char *what) {
  return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, file->function, "%s", what);
}

static mfq_status no_memory(const layer_file *file, size_t bytes) {
  return mfq_io_fail(MFQ_ERROR_OUT_OF_MEMORY, file->function, "%s: no memory for %zu bytes", file->path, bytes);
}

/* A failure of the core, with the layer or the tensor that met it. */
static mfq_status of_core(const layer_file *file, mfq_status status, const char *kind, const char *name) {
  if (status == MFQ_OK) return MFQ_OK;
  return mfq_io_fail(status, file->function, "%s: %s '%s': %s", file->path, kind, name, mfq_last_error());
}

static mfq_status check_layers(const layer_file *file) {
  if (file->layer_count < 0)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, file->function, "count is %" PRId32 "; give 0 or more",
                       file->layer_count);
  if (file->layers == NULL && file->layer_count > 0) return invalid(file, "layers is NULL");
  for (int32_t i = 0; i < file->layer_count; ++i) {
    if (file->layers[i] == NULL)
      return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, file->function, "layers[%" PRId32 "] is NULL", i);
    for (int32_t j = 0; j < i; ++j) {
      const char *name = mfq_layer_name(file->layers[i]);
      if (strcmp(mfq_layer_name(file->layers[j]), name) != 0) continue;
      return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, file->function,
                         "layers[%" PRId32 "] and layers[%" PRId32
                         "] are both named '%s'; create each with a name of its own (mfq_layer_options.name)",
                         j, i, name);
    }
  }
  return MFQ_OK;
}

/* Tensors are copied as one run of bytes. */
static mfq_status check_dense(const layer_file *file, const char *name, const mfq_tensor *t, size_t *bytes) {
  mfq_tensor dense;
  const mfq_status status = mfq_tensor_init(t->data, t->dtype, t->rank, t->shape, &dense);
  if (status != MFQ_OK) return of_core(file, status, "tensor", name);
  int is_dense = 1;
  *bytes = mfq_dtype_bytes(t->dtype);
  for (int32_t i = 0; i < t->rank; ++i) {
    *bytes *= (size_t)t->shape[i];
    is_dense = is_dense && (t->strides[i] == dense.strides[i] || t->shape[i] == 1);
  }
  if (*bytes > 0 && !is_dense)
    return mfq_io_fail(MFQ_ERROR_UNSUPPORTED, file->function,
                       "%s: tensor '%s' has strides; give it dense memory, as mfq_tensor_init describes it", file->path,
                       name);
  if (*bytes > 0 && t->data == NULL)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, file->function, "%s: tensor '%s' has no data: NULL", file->path,
                       name);
  return MFQ_OK;
}

static mfq_status check_options(const layer_file *file) {
  const mfq_layers_options *o = file->options;
  if (o->struct_size != sizeof *o) return invalid(file, "options were not filled by mfq_layers_options_init");
  if (o->tensor_count < 0)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, file->function,
                       "options.tensor_count is %" PRId32 "; give 0 or more", o->tensor_count);
  if (o->tensors == NULL && o->tensor_count > 0) return invalid(file, "options.tensors is NULL");
  for (int32_t i = 0; i < o->tensor_count; ++i)
    if (o->tensors[i].name == NULL)
      return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, file->function, "options.tensors[%" PRId32 "].name is NULL", i);
  return MFQ_OK;
}

/* What the call has of an optimizer. */
static mfq_optimizer *optimizer_of(const layer_file *file) {
  return file->options->weights_only ? NULL : file->options->optimizer;
}

static mfq_status check_optimizer(const layer_file *file) {
  if (optimizer_of(file) == NULL) return MFQ_OK;
  const char *name = mfq_optimizer_name(optimizer_of(file));
  for (int32_t i = 0; i < file->layer_count; ++i)
    if (strcmp(mfq_layer_name(file->layers[i]), name) == 0)
      return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, file->function,
                         "layers[%" PRId32
                         "] and the optimizer are both named '%s'; create each with a name of its own "
                         "(mfq_optimizer_options.name)",
                         i, name);
  return MFQ_OK;
}

static mfq_status begin(layer_file *file, mfq_layers_options *defaults) {
  if (file->path == NULL) return invalid(file, "path is NULL");
  mfq_layers_options_init(defaults);
  if (file->options == NULL) file->options = defaults;
  mfq_status status = check_options(file);
  if (status == MFQ_OK) status = check_layers(file);
  return status == MFQ_OK ? check_optimizer(file) : status;
}

/* ---- Tensors ---------------------------------------------------------------------------------------------------- */

static mfq_status name_item(const layer_file *file, const char *prefix, const char *name, layer_item *item) {
  const int length = snprintf(item->name, sizeof item->name, "%s%s%s", prefix, *prefix != '\0' ? "." : "", name);
  if (length < 0 || (size_t)length >= sizeof item->name)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, file->function,
                       "%s: the name of a tensor, '%.40s...', has more than %d bytes", file->path, item->name,
                       MFQ_FILE_MAX_NAME);
  return MFQ_OK;
}

static mfq_status fill_item(const layer_file *file, const char *prefix, const char *name, layer_item *item) {
  const mfq_status status = name_item(file, prefix, name, item);
  if (status != MFQ_OK) return status;
  item->dtype = mfq_file_dtype_from_dtype(item->tensor.dtype);
  return check_dense(file, item->name, &item->tensor, &item->bytes);
}

static int is_parameter(const char *name) { return strcmp(name, "weight") == 0 || strcmp(name, "bias") == 0; }

static mfq_status visit_layer(const layer_file *file, mfq_layer *layer, visit_fn visit, void *user) {
  const int32_t count = mfq_layer_tensor_count(layer);
  mfq_status status = MFQ_OK;
  for (int32_t i = 0; status == MFQ_OK && i < count; ++i) {
    mfq_layer_tensor found;
    layer_item item = {.layer = layer, .index = i};
    status = of_core(file, mfq_layer_tensor_get(layer, i, &found), "layer", mfq_layer_name(layer));
    if (status != MFQ_OK || (file->options->weights_only && !is_parameter(found.name))) continue;
    item.tensor = found.tensor;
    status = fill_item(file, mfq_layer_name(layer), found.name, &item);
    if (status == MFQ_OK) status = visit(file, &item, user);
  }
  return status;
}

/* Quantized moments are bytes. */
static mfq_status visit_optimizer(const layer_file *file, mfq_optimizer *optimizer, visit_fn visit, void *user) {
  const int32_t count = mfq_optimizer_part_count(optimizer);
  const char *name = mfq_optimizer_name(optimizer);
  mfq_status status = MFQ_OK;
  for (int32_t i = 0; status == MFQ_OK && i < count; ++i) {
    mfq_optimizer_part part;
    layer_item item = {.optimizer = optimizer, .index = i};
    status = of_core(file, mfq_optimizer_part_get(optimizer, i, &part), "optimizer", name);
    if (status == MFQ_OK) status = name_item(file, name, part.name, &item);
    if (status != MFQ_OK) break;
    const int is_plain = part.tensor.dtype == MFQ_DTYPE_F32;
    item.tensor = is_plain ? part.tensor : (mfq_tensor){.rank = 1, .shape = {(int64_t)part.bytes}};
    item.dtype = is_plain ? mfq_file_dtype_from_dtype(MFQ_DTYPE_F32) : MFQ_FILE_U8;
    item.bytes = part.bytes;
    status = visit(file, &item, user);
  }
  return status;
}

/* Those of the layers, of the optimizer, then those of the options. */
static mfq_status visit_all(const layer_file *file, visit_fn visit, void *user) {
  mfq_status status = MFQ_OK;
  for (int32_t i = 0; status == MFQ_OK && i < file->layer_count; ++i)
    status = visit_layer(file, file->layers[i], visit, user);
  if (status == MFQ_OK) status = visit_optimizer(file, optimizer_of(file), visit, user);
  for (int32_t i = 0; status == MFQ_OK && i < file->options->tensor_count; ++i) {
    layer_item item = {.index = i, .tensor = file->options->tensors[i].tensor};
    status = fill_item(file, "", file->options->tensors[i].name, &item);
    if (status == MFQ_OK) status = visit(file, &item, user);
  }
  return status;
}

/* ---- Saving ----------------------------------------------------------------------------------------------------- */

typedef struct saving {
  mfq_writer *writer;
  int64_t next; /* tensor of the file */
  uint8_t *scratch;
  size_t largest;
} saving;

static mfq_status add_state(const layer_file *file, mfq_layer *layer, mfq_writer *writer) {
  char line[MFQ_LAYER_STATE_MAX];
  mfq_status status = of_core(file, mfq_layer_state_print(layer, line, sizeof line), "layer", mfq_layer_name(layer));
  return status == MFQ_OK ? mfq_writer_add_metadata(writer, mfq_layer_name(layer), line) : status;
}

static mfq_status add_optimizer(const layer_file *file, mfq_writer *writer) {
  static const size_t bytes = MFQ_OPTIMIZER_STATE_MAX;
  const mfq_optimizer *optimizer = optimizer_of(file);
  if (optimizer == NULL) return MFQ_OK;
  char *line = malloc(bytes);
  if (line == NULL) return no_memory(file, bytes);
  mfq_status status =
      of_core(file, mfq_optimizer_state_print(optimizer, line, bytes), "optimizer", mfq_optimizer_name(optimizer));
  if (status == MFQ_OK) status = mfq_writer_add_metadata(writer, mfq_optimizer_name(optimizer), line);
  free(line);
  return status;
}

static mfq_status add_item(const layer_file *file, const layer_item *item, void *user) {
  saving *s = user;
  (void)file;
  if (item->bytes > s->largest) s->largest = item->bytes;
  return mfq_writer_add_tensor(s->writer, item->name, item->dtype, item->tensor.rank, item->tensor.shape, NULL);
}

static mfq_status write_item(const layer_file *file, const layer_item *item, void *user) {
  saving *s = user;
  const void *data = item->tensor.data;
  mfq_status status = MFQ_OK;
  if (item->layer != NULL) {
    data = s->scratch;
    status =
        of_core(file, mfq_layer_tensor_read(item->layer, item->index, s->scratch, item->bytes), "tensor", item->name);
  }
  if (item->optimizer != NULL) {
    data = s->scratch;
    status = of_core(file, mfq_optimizer_part_read(item->optimizer, item->index, s->scratch, item->bytes), "tensor",
                     item->name);
  }
  return status == MFQ_OK ? mfq_writer_write(s->writer, s->next++, data, item->bytes) : status;
}

static mfq_status save(const layer_file *file, saving *s) {
  mfq_status status = MFQ_OK;
  for (int32_t i = 0; status == MFQ_OK && i < file->layer_count && !file->options->weights_only; ++i)
    status = add_state(file, file->layers[i], s->writer);
  if (status == MFQ_OK) status = add_optimizer(file, s->writer);
  if (status == MFQ_OK) status = visit_all(file, add_item, s);
  if (status != MFQ_OK) return status;
  s->scratch = malloc(s->largest + 1);
  if (s->scratch == NULL) return no_memory(file, s->largest);
  status = mfq_writer_begin(s->writer);
  if (status == MFQ_OK) status = visit_all(file, write_item, s);
  return status == MFQ_OK ? mfq_writer_finish(s->writer) : status;
}

mfq_status mfq_layers_save(const char *path, mfq_layer *const *layers, int32_t count,
                           const mfq_layers_options *options) {
  layer_file file = {"mfq_layers_save", path, layers, count, options};
  mfq_layers_options defaults;
  mfq_writer_options how;
  saving s = {.writer = NULL};
  mfq_status status = begin(&file, &defaults);
  if (status != MFQ_OK) return status;
  mfq_writer_options_init(&how);
  how.replace = file.options->replace;
  status = mfq_writer_create(path, &how, &s.writer);
  if (status == MFQ_OK) status = save(&file, &s);
  mfq_writer_destroy(s.writer);
  free(s.scratch);
  return status;
}

/* ---- Loading ---------------------------------------------------------------------------------------------------- */

typedef struct loading {
  mfq_reader *reader;
  uint8_t *data; /* of all items, one after the other; NULL until all are checked */
  size_t bytes;
  char (*lines)[MFQ_LAYER_STATE_MAX]; /* of the layers, as they were */
} loading;

/* "[3, 4]", cut where it is long. */
static const char *shape_text(int32_t rank, const int64_t *shape, char *text, size_t capacity) {
  size_t used = (size_t)snprintf(text, capacity, "[");
  for (int32_t i = 0; i < rank && used < capacity; ++i)
    used += (size_t)snprintf(text + used, capacity - used, "%s%" PRId64, i > 0 ? ", " : "", shape[i]);
  if (used < capacity) (void)snprintf(text + used, capacity - used, "]");
  return text;
}

static mfq_status check_item(const layer_file *file, const layer_item *item, void *user) {
  loading *l = user;
  mfq_file_tensor found;
  const mfq_tensor *t = &item->tensor;
  char here[128], there[128];
  const int64_t index = mfq_reader_find(l->reader, item->name);
  if (index < 0)
    return mfq_io_fail(MFQ_ERROR_NOT_FOUND, file->function, "%s: there is no tensor '%s'", file->path, item->name);
  mfq_status status = mfq_reader_tensor(l->reader, index, &found);
  if (status != MFQ_OK) return status;
  if (found.rank != t->rank || (t->rank > 0 && memcmp(found.shape, t->shape, (size_t)t->rank * sizeof *t->shape) != 0))
    return mfq_io_fail(MFQ_ERROR_SHAPE, file->function, "%s: tensor '%s' has shape %s in the file, and %s here",
                       file->path, item->name, shape_text(found.rank, found.shape, there, sizeof there),
                       shape_text(t->rank, t->shape, here, sizeof here));
  if (found.dtype != item->dtype)
    return mfq_io_fail(MFQ_ERROR_UNSUPPORTED, file->function,
                       "%s: tensor '%s' is %s in the file, and %s here; loading converts nothing", file->path,
                       item->name, mfq_file_dtype_name(found.dtype), mfq_file_dtype_name(item->dtype));
  if (__builtin_add_overflow(l->bytes, item->bytes, &l->bytes)) return no_memory(file, SIZE_MAX);
  return MFQ_OK;
}

/* A bias that the layer would do without is not left out in silence. */
static mfq_status check_bias(const layer_file *file, mfq_layer *layer, const mfq_reader *reader) {
  char name[MFQ_FILE_MAX_NAME + 8];
  mfq_layer_tensor found;
  const int32_t count = mfq_layer_tensor_count(layer);
  for (int32_t i = 0; i < count; ++i)
    if (mfq_layer_tensor_get(layer, i, &found) == MFQ_OK && strcmp(found.name, "bias") == 0) return MFQ_OK;
  (void)snprintf(name, sizeof name, "%s.bias", mfq_layer_name(layer));
  if (mfq_reader_find(reader, name) < 0) return MFQ_OK;
  return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, file->function,
                     "%s: there is a tensor '%s', but the layer has no bias", file->path, name);
}

static mfq_status read_item(const layer_file *file, const layer_item *item, void *user) {
  loading *l = user;
  (void)file;
  uint8_t *at = l->data + l->bytes;
  l->bytes += item->bytes;
  return mfq_reader_read(l->reader, mfq_reader_find(l->reader, item->name), 0, item->bytes, at);
}

static mfq_status store_item(const layer_file *file, const layer_item *item, void *user) {
  loading *l = user;
  const uint8_t *at = l->data + l->bytes;
  l->bytes += item->bytes;
  if (item->layer != NULL)
    return of_core(file, mfq_layer_tensor_write(item->layer, item->index, at, item->bytes), "tensor", item->name);
  if (item->optimizer != NULL)
    return of_core(file, mfq_optimizer_part_write(item->optimizer, item->index, at, item->bytes), "tensor", item->name);
  if (item->bytes > 0) memcpy(item->tensor.data, at, item->bytes);
  return MFQ_OK;
}

/* The line of the optimizer, which is unchanged where it is not taken. */
static mfq_status set_optimizer(const layer_file *file, const mfq_reader *reader) {
  mfq_optimizer *optimizer = optimizer_of(file);
  if (optimizer == NULL) return MFQ_OK;
  const char *name = mfq_optimizer_name(optimizer), *line = mfq_reader_metadata_find(reader, name);
  if (line == NULL)
    return mfq_io_fail(MFQ_ERROR_NOT_FOUND, file->function, "%s: there is no state of optimizer '%s' in the metadata",
                       file->path, name);
  return of_core(file, mfq_optimizer_state_parse(optimizer, line), "optimizer", name);
}

/* Whatever was read takes effect, or every layer has its old line again. */
static mfq_status set_states(const layer_file *file, loading *l) {
  mfq_status status = MFQ_OK;
  int32_t done = 0;
  for (; status == MFQ_OK && done < file->layer_count; ++done) {
    mfq_layer *layer = file->layers[done];
    const char *name = mfq_layer_name(layer), *line = mfq_reader_metadata_find(l->reader, name);
    if (line == NULL) {
      status = mfq_io_fail(MFQ_ERROR_NOT_FOUND, file->function,
                           "%s: there is no state of layer '%s' in the metadata; with weights_only none is needed",
                           file->path, name);
      break;
    }
    status = of_core(file, mfq_layer_state_print(layer, l->lines[done], sizeof l->lines[done]), "layer", name);
    if (status == MFQ_OK) status = of_core(file, mfq_layer_state_parse(layer, line), "layer", name);
    if (status != MFQ_OK) break;
  }
  if (status == MFQ_OK) status = set_optimizer(file, l->reader);
  for (int32_t i = 0; status != MFQ_OK && i < done; ++i)
    if (mfq_layer_state_parse(file->layers[i], l->lines[i]) != MFQ_OK) /* it came from there */
      return mfq_io_fail(MFQ_ERROR_INTERNAL, file->function, "%s: layer '%s' does not take its own state: %s",
                         file->path, mfq_layer_name(file->layers[i]), mfq_last_error());
  return status;
}

static mfq_status load(const layer_file *file, loading *l) {
  mfq_status status = MFQ_OK;
  for (int32_t i = 0; status == MFQ_OK && i < file->layer_count; ++i)
    status = check_bias(file, file->layers[i], l->reader);
  if (status == MFQ_OK) status = visit_all(file, check_item, l);
  if (status != MFQ_OK) return status;
  l->data = malloc(l->bytes + 1);
  l->lines = calloc((size_t)file->layer_count + 1, sizeof *l->lines);
  if (l->data == NULL || l->lines == NULL) return no_memory(file, l->bytes);
  l->bytes = 0;
  status = visit_all(file, read_item, l);
  if (status == MFQ_OK && !file->options->weights_only) status = set_states(file, l);
  l->bytes = 0;
  return status == MFQ_OK ? visit_all(file, store_item, l) : status;
}

mfq_status mfq_layers_load(const char *path, mfq_layer *const *layers, int32_t count,
                           const mfq_layers_options *options) {
  layer_file file = {"mfq_layers_load", path, layers, count, options};
  mfq_layers_options defaults;
  loading l = {.reader = NULL};
  mfq_status status = begin(&file, &defaults);
  if (status == MFQ_OK) status = mfq_reader_open(path, &l.reader);
  if (status == MFQ_OK) status = load(&file, &l);
  mfq_reader_close(l.reader);
  free(l.data);
  free(l.lines);
  return status;
}
