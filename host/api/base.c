/* host/api/base.c: what a program asks before it has a context: the version, names of statuses, sizes of structs. */
#include <mfq/mfq.h>

#include <string.h>

#include "host/core/error.h"
#include "host/core/scheme/scheme.h"

const char *mfq_version(void) { return MFQ_VERSION_STRING; }

const char *mfq_status_name(mfq_status status) {
  switch (status) {
    case MFQ_OK: return "MFQ_OK";
    case MFQ_ERROR_INVALID_ARGUMENT: return "MFQ_ERROR_INVALID_ARGUMENT";
    case MFQ_ERROR_SHAPE: return "MFQ_ERROR_SHAPE";
    case MFQ_ERROR_PARSE: return "MFQ_ERROR_PARSE";
    case MFQ_ERROR_UNSUPPORTED: return "MFQ_ERROR_UNSUPPORTED";
    case MFQ_ERROR_OUT_OF_MEMORY: return "MFQ_ERROR_OUT_OF_MEMORY";
    case MFQ_ERROR_DEVICE: return "MFQ_ERROR_DEVICE";
    case MFQ_ERROR_IO: return "MFQ_ERROR_IO";
    case MFQ_ERROR_CORRUPT_FILE: return "MFQ_ERROR_CORRUPT_FILE";
    case MFQ_ERROR_EXISTS: return "MFQ_ERROR_EXISTS";
    case MFQ_ERROR_NOT_FOUND: return "MFQ_ERROR_NOT_FOUND";
    case MFQ_ERROR_CANCELLED: return "MFQ_ERROR_CANCELLED";
    case MFQ_ERROR_INTERNAL: return "MFQ_ERROR_INTERNAL";
  }
  return "unknown status";
}

/* Every struct that a caller makes or reads; tests/c_api/binding.py finds those that are missing here. */
static const struct {
  const char *name;
  size_t bytes;
} structs[] = {{"mfq_format", sizeof(mfq_format)},
               {"mfq_format_info", sizeof(mfq_format_info)},
               {"mfq_scheme", sizeof(mfq_scheme)},
               {"mfq_tensor", sizeof(mfq_tensor)},
               {"mfq_layout", sizeof(mfq_layout)},
               {"mfq_qtensor", sizeof(mfq_qtensor)},
               {"mfq_qtensor_sizes", sizeof(mfq_qtensor_sizes)},
               {"mfq_context_options", sizeof(mfq_context_options)},
               {"mfq_mask", sizeof(mfq_mask)},
               {"mfq_fake_forward", sizeof(mfq_fake_forward)},
               {"mfq_fake_gradient", sizeof(mfq_fake_gradient)},
               {"mfq_search", sizeof(mfq_search)},
               {"mfq_observer", sizeof(mfq_observer)},
               {"mfq_observation", sizeof(mfq_observation)},
               {"mfq_collection", sizeof(mfq_collection)},
               {"mfq_transition", sizeof(mfq_transition)},
               {"mfq_indices", sizeof(mfq_indices)},
               {"mfq_gathering", sizeof(mfq_gathering)},
               {"mfq_scattering", sizeof(mfq_scattering)},
               {"mfq_embedding", sizeof(mfq_embedding)},
               {"mfq_outputs", sizeof(mfq_outputs)},
               {"mfq_norm", sizeof(mfq_norm)},
               {"mfq_norm_gradient", sizeof(mfq_norm_gradient)},
               {"mfq_activating", sizeof(mfq_activating)},
               {"mfq_activating_gradient", sizeof(mfq_activating_gradient)},
               {"mfq_softmaxing", sizeof(mfq_softmaxing)},
               {"mfq_softmaxing_gradient", sizeof(mfq_softmaxing_gradient)},
               {"mfq_rotating", sizeof(mfq_rotating)},
               {"mfq_cross_entropy_loss", sizeof(mfq_cross_entropy_loss)},
               {"mfq_operand", sizeof(mfq_operand)},
               {"mfq_gemm", sizeof(mfq_gemm)},
               {"mfq_conv", sizeof(mfq_conv)},
               {"mfq_quantizer", sizeof(mfq_quantizer)},
               {"mfq_phase", sizeof(mfq_phase)},
               {"mfq_recipe", sizeof(mfq_recipe)},
               {"mfq_layer_options", sizeof(mfq_layer_options)},
               {"mfq_layer_gradients", sizeof(mfq_layer_gradients)},
               {"mfq_layer_target", sizeof(mfq_layer_target)},
               {"mfq_layer_memory", sizeof(mfq_layer_memory)},
               {"mfq_layer_tensor", sizeof(mfq_layer_tensor)},
               {"mfq_optimizer_group", sizeof(mfq_optimizer_group)},
               {"mfq_optimizer_tensor", sizeof(mfq_optimizer_tensor)},
               {"mfq_optimizer_options", sizeof(mfq_optimizer_options)},
               {"mfq_optimizer_report", sizeof(mfq_optimizer_report)},
               {"mfq_optimizer_memory", sizeof(mfq_optimizer_memory)},
               {"mfq_optimizer_part", sizeof(mfq_optimizer_part)}};

mfq_status mfq_struct_bytes(const char *name, size_t *bytes) {
  static const char function[] = "mfq_struct_bytes";
  if (name == NULL || bytes == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", name == NULL ? "name" : "bytes");
  mfq_sentence why = {{0}};
  mfq_nearest nearest = mfq_nearest_start(mfq_span_of(name));
  mfq_sentence_set(&why, "name is \"%s\"; version %s has ", mfq_quoted(mfq_span_of(name), 80).text, mfq_version());
  for (size_t i = 0; i < sizeof structs / sizeof structs[0]; ++i) {
    if (strcmp(name, structs[i].name) == 0) {
      *bytes = structs[i].bytes;
      return MFQ_OK;
    }
    mfq_sentence_add(&why, "%s%s", i == 0 ? "" : ", ", structs[i].name);
    mfq_nearest_offer(&nearest, structs[i].name);
  }
  mfq_nearest_add(&nearest, &why);
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s", why.text);
}
