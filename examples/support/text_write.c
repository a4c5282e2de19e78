/* examples/support/text_write.c: a trained transformer writes a text of its own. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text_training.h"

/* Copies to a layer of another batch what this one has collected, and how far it is. */
static mfq_status copy_state(mfq_layer *from, mfq_layer *to) {
  char state[MFQ_LAYER_STATE_MAX];
  mfq_status status = mfq_layer_state_print(from, state, sizeof state);
  if (status == MFQ_OK) status = mfq_layer_state_parse(to, state);
  for (int32_t i = 1; status == MFQ_OK && i < mfq_layer_tensor_count(from); ++i) { /* 0: the weight, which both read */
    mfq_layer_tensor tensor;
    status = mfq_layer_tensor_get(from, i, &tensor);
    if (status != MFQ_OK) return status;
    const size_t bytes = train_elements(&tensor.tensor) * mfq_dtype_bytes(tensor.tensor.dtype);
    void *values = malloc(bytes);
    if (values == NULL) return MFQ_ERROR_OUT_OF_MEMORY;
    status = mfq_layer_tensor_read(from, i, values, bytes);
    if (status == MFQ_OK) status = mfq_layer_tensor_write(to, i, values, bytes);
    free(values);
  }
  return status;
}

/* A character by the chances that the logits give it. */
static int draw_letter(const float *logits, int count, uint64_t *random) {
  double top = (double)logits[0], sum = 0;
  for (int i = 1; i < count; ++i) top = fmax(top, (double)logits[i]);
  for (int i = 0; i < count; ++i) sum += exp((double)logits[i] - top);
  double left = sum * (double)(train_random(random) >> 11) * 0x1p-53;
  for (int i = 0; i < count - 1; ++i)
    if ((left -= exp((double)logits[i] - top)) < 0) return i;
  return count - 1;
}

/* The window that ends with the last of `count` characters; what is behind it changes nothing before it. */
static int fill_window(const text_data *data, text_model *m, const char *sample, int count) {
  const int length = m->shape.length, first = count > length ? count - length : 0, last = count - 1 - first;
  for (int i = 0; i < length; ++i) m->tokens[i] = i <= last ? data->numbers[(unsigned char)sample[first + i]] : 0;
  return last;
}

mfq_status text_write(const text_data *data, const text_model *trained, text_model *m, int letters, uint64_t seed,
                      char *sample) {
  mfq_status status = MFQ_OK;
  int count = (int)strlen(sample);
  for (int i = 0; status == MFQ_OK && i < text_layer_count(m); ++i)
    status = copy_state(text_layer(trained, i), text_layer(m, i));
  if (status == MFQ_OK) status = text_set_mode(m, MFQ_LAYER_EVAL);
  for (const int end = count + letters; status == MFQ_OK && count < end; ++count) {
    const int last = fill_window(data, m, sample, count);
    status = text_forward(m);
    if (status != MFQ_OK) break;
    const float *logits = (const float *)m->logits.data + (int64_t)last * m->shape.vocabulary;
    sample[count] = (char)data->letters[draw_letter(logits, m->shape.vocabulary, &seed)];
    sample[count + 1] = '\0';
  }
  return status;
}
