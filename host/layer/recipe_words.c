/* host/layer/recipe_words.c: the words of places and of what stands there; parser, printer and sentences share them. */
#include "recipe_parts.h"

enum {
  FPROP_X = 1 << MFQ_PLACE_FPROP_X,
  FPROP_W = 1 << MFQ_PLACE_FPROP_W,
  DGRAD_DY = 1 << MFQ_PLACE_DGRAD_DY,
  DGRAD_W = 1 << MFQ_PLACE_DGRAD_W,
  WGRAD_DY = 1 << MFQ_PLACE_WGRAD_DY,
  WGRAD_X = 1 << MFQ_PLACE_WGRAD_X
};

const mfq_recipe_key mfq_recipe_keys[MFQ_RECIPE_KEYS] = {
    {"fprop.x", FPROP_X},
    {"fprop.w", FPROP_W},
    {"dgrad.dy", DGRAD_DY},
    {"dgrad.w", DGRAD_W},
    {"wgrad.dy", WGRAD_DY},
    {"wgrad.x", WGRAD_X},
    {"y", 1 << MFQ_PLACE_Y},
    {"bias", 1 << MFQ_PLACE_BIAS},
    {"fprop", FPROP_X | FPROP_W},
    {"dgrad", DGRAD_DY | DGRAD_W},
    {"wgrad", WGRAD_DY | WGRAD_X},
    {"x", FPROP_X | WGRAD_X},
    {"w", FPROP_W | DGRAD_W},
    {"dy", DGRAD_DY | WGRAD_DY},
    {"all", FPROP_X | FPROP_W | DGRAD_DY | DGRAD_W | WGRAD_DY | WGRAD_X},
};

const char *const mfq_take_words[4] = {"none", "quantized", "same", "again"};
const char *const mfq_scaling_words[4] = {"dynamic", "delayed", "collected", "learned"};
const char *const mfq_ste_words[3] = {"identity", "clipped", "brevitas"};

const char *mfq_place_name(mfq_place place) {
  const int index = (int)place;
  return index >= 0 && index < (int)MFQ_PLACES ? mfq_recipe_keys[index].word : "unknown place";
}
