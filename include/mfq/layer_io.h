/* mfq/layer_io.h: layers and their optimizer in safetensors files: all that a training needs to go on with the same bits.
 * Library mfq_io.
 *
 *   mfq_layers_save("digits.safetensors", layers, count, NULL)
 *   mfq_layers_load("digits.safetensors", layers, count, NULL)
 *
 * Tensor T of layer L (mfq_layer_tensor_get) is stored as "L.T", such as "conv1.weight" or "conv1.fprop.x.scale", dense
 * and in its own dtype; the line of mfq_layer_state_print is the metadata value of the key L. Part P of an optimizer O
 * (mfq_optimizer_part_get) is stored as "O.P", such as "optimizer.conv1.weight.first", float32 or bytes, and its line under
 * the key O. Layers and optimizer of one file have different names. Every function that fails leaves its sentence in mfq_io_last_error(). */
#ifndef MFQ_LAYER_IO_H
#define MFQ_LAYER_IO_H

#include <mfq/io.h>
#include <mfq/layer.h>
#include <mfq/optimizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A tensor beside those of the layers, such as the momentum of an optimizer: dense memory of the host, stored under its
 * own name. Since 0.1. */
typedef struct mfq_named_tensor {
  const char *name;
  mfq_tensor tensor;
} mfq_named_tensor;

/* Filled by mfq_layers_options_init; change what you need. Since 0.1. */
typedef struct mfq_layers_options {
  size_t struct_size;
  int32_t weights_only;            /* 1: "weight" and "bias" alone, whatever the recipes and shapes of groups are */
  int32_t replace;                 /* save: 1, the default: a regular file of that name is replaced */
  const mfq_named_tensor *tensors; /* what else is saved, or loaded */
  int32_t tensor_count;
  mfq_optimizer *optimizer; /* saved, or loaded, with its moments and counters; NULL, or with weights_only: none is */
} mfq_layers_options;

/* Fills `options` with the defaults: everything that the layers have, and nothing else. Since 0.1. */
MFQ_EXPORT void mfq_layers_options_init(mfq_layers_options *options);

/* Saves layers. The file appears under its name only when it is whole (mfq_writer): a saving that fails or is
 * interrupted leaves what was there.
 * Memory: on the host, the bytes of the largest tensor, while it runs. Waits for the layers' and the optimizer's device.
 * Errors: INVALID_ARGUMENT for NULL, options that were not filled, two layers of one name, a name that files cannot
 *   have, a tensor without data; UNSUPPORTED for a tensor that is not dense; EXISTS without `replace`; IO;
 *   OUT_OF_MEMORY, DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_layers_save(const char *path, mfq_layer *const *layers, int32_t count,
                                   const mfq_layers_options *options);

/* Loads layers of the same names, shapes and recipes, in any order and not necessarily all of the file. With
 * weights_only the recipes do not matter, and nothing but weight and bias changes.
 * Memory: on the host, the bytes of all that is loaded, while it runs: names, shapes, dtypes and states are checked and
 *   the file is read before anything is written. Waits for the layers' device.
 * Errors: INVALID_ARGUMENT as for mfq_layers_save, also for the state of another recipe, and for a bias that the layer
 *   does not have; NOT_FOUND for a file, a tensor or a state that is not there; SHAPE; UNSUPPORTED for a tensor of
 *   another dtype, or that is not dense; PARSE for a state that is none; IO, CORRUPT_FILE, OUT_OF_MEMORY; nothing is
 *   written then. DEVICE: some tensors may be written.
 * Since 0.1. */
MFQ_API mfq_status mfq_layers_load(const char *path, mfq_layer *const *layers, int32_t count,
                                   const mfq_layers_options *options);

#ifdef __cplusplus
}
#endif

#endif
