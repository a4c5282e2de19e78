/* host/layer/recipe_phase.c: what a recipe says for a step, and of gradients on their way back through a quantizer. */
#include "recipe_parts.h"

int mfq_recipe_phase_of(const mfq_recipe *recipe, int64_t step) {
  return recipe->switch_step > 0 && step >= recipe->switch_step;
}

mfq_ste mfq_place_ste(const mfq_phase *phase, mfq_place place) {
  const mfq_quantizer *q = &phase->places[place];
  const int is_parameter = place == MFQ_PLACE_FPROP_W || place == MFQ_PLACE_BIAS;
  const int is_wide = phase->ste == MFQ_STE_BREVITAS && is_parameter && q->scheme.element.kind == MFQ_KIND_INTEGER &&
                      q->scaling != MFQ_SCALING_LEARNED;
  return is_wide ? MFQ_STE_IDENTITY : phase->ste;
}

int mfq_place_bends(const mfq_phase *phase, mfq_place place) {
  const mfq_quantizer *q = &phase->places[place];
  const int has_path = place == MFQ_PLACE_FPROP_X || place == MFQ_PLACE_FPROP_W || place >= MFQ_PLACE_Y;
  if (q->take != MFQ_TAKE_QUANTIZED || !has_path) return 0;
  const int is_measured = q->scaling == MFQ_SCALING_DYNAMIC && q->scheme.scale != MFQ_SCALE_NONE;
  return mfq_place_ste(phase, place) != MFQ_STE_IDENTITY || q->scaling == MFQ_SCALING_LEARNED ||
         (phase->through_scale && is_measured);
}
