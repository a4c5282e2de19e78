/* host/layer/layer_state.h: what a layer holds: quantizers at their places, products, memory. */
#ifndef MFQ_HOST_LAYER_STATE_H
#define MFQ_HOST_LAYER_STATE_H

#include <mfq/mfq.h>

#include "host/core/check/sizes.h"
#include "recipe_parts.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { NAME_MOST = 128, PRODUCTS = 3, OPERANDS = 3, WHY_MOST = 1024 };

/* The products, in the order of mfq_conv_direction. */
enum { MFQ_FPROP = 0, MFQ_DGRAD = 1, MFQ_WGRAD = 2 };

/* A run: what is in the workspace holds for one. */
typedef enum mfq_pass { MFQ_PASS_FORWARD = 0, MFQ_PASS_BACKWARD = 1, MFQ_PASSES = 2 } mfq_pass;

/* A tensor of the layer. */
typedef enum mfq_role { MFQ_ROLE_X = 0, MFQ_ROLE_W = 1, MFQ_ROLE_DY = 2, MFQ_ROLE_BIAS = 3 } mfq_role;

/* Where memory is, or will be: an offset in one of the layer's buffers. An operand that others write has a buffer of its own,
 * MFQ_HOME_TARGET plus its role: it stays where it is when a phase is planned again. */
typedef enum mfq_home {
  MFQ_HOME_NONE = 0,
  MFQ_HOME_STATE,
  MFQ_HOME_KEPT,
  MFQ_HOME_WORKSPACE,
  MFQ_HOME_TARGET,
  MFQ_HOMES = MFQ_HOME_TARGET + OPERANDS
} mfq_home;
typedef struct mfq_spot {
  mfq_home home;
  size_t offset, bytes;
} mfq_spot;

/* The tensors of a place's state that a file has. */
enum { STATE_COLLECTED, STATE_LOW, STATE_HISTORY, STATE_SCALE, STATE_PARTS };

/* What a place knows from step to step, whatever the phase's plan is. */
typedef struct mfq_place_state {
  const mfq_quantizer *quantizer; /* the recipe's, which is not DYNAMIC; NULL: nothing is known */
  mfq_collection scale, low;      /* COLLECTED, LEARNED; DELAYED: of the history, a step */
  int64_t seen;      /* tensors that were collected, one more once the scales stay; or had by the history */
  mfq_qtensor given; /* the scales, zero points and tensor scale, in the state */
  mfq_spot values, lows, batch, batch_lows, history, gradient;
  mfq_spot parts[3]; /* of `given` */
  char name[16];     /* "fprop.x", or "fprop.x.2" in the second phase */
  char part_names[STATE_PARTS][32];
} mfq_place_state;

/* A quantizer at its place, planned for a phase. */
typedef struct mfq_slot {
  const mfq_quantizer *quantizer; /* NULL: the place is plain, or has another's numbers */
  mfq_place place;                /* whose numbers stand here: its own, or another place */
  mfq_role role;
  mfq_scheme scheme;      /* axis resolved; rule GIVEN unless the scales are measured each time */
  mfq_place_state *state; /* NULL: DYNAMIC */
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  int in_backward;            /* backward needs codes or scales */
  mfq_spot codes[MFQ_PASSES]; /* where the parts of q are: codes, and behind them scales, zero points, tensor scale */
  mfq_spot
      values[MFQ_PASSES]; /* values of all codes, dense in the tensor's own axes; NONE unless a product needs them */
  int64_t filled_step;    /* the step whose codes q has; -1: none */
  int has_values;         /* in this pass */
} mfq_slot;

/* One of the three products. */
typedef struct mfq_layer_product {
  mfq_place places[2];
  int by_values[2]; /* the operand is multiplied as values in place of codes */
  mfq_gemm_plan *gemm;
  mfq_conv_plan *conv;
  size_t workspace_bytes;
} mfq_layer_product;

/* All that is planned for a phase. */
typedef struct mfq_layer_plan {
  const mfq_phase *phase;
  mfq_slot slots[MFQ_PLACES];
  mfq_layer_product products[PRODUCTS];
  mfq_layer_product sum; /* of dbias */
  mfq_tensor dweight, dbias;
  int accumulate;
  uintptr_t alignment[MFQ_PASSES][2]; /* of x and y that the products were planned for */
  mfq_spot y_before, dy_behind, bias, product[MFQ_PASSES];
  size_t kept_bytes, workspace_bytes; /* of the two buffers */
  int is_target[OPERANDS];            /* of each role: others write it */
  size_t target_bytes[OPERANDS];
} mfq_layer_plan;

/* The slot whose numbers stand at a place. */
static inline mfq_slot *mfq_slot_at(mfq_layer_plan *plan, mfq_place place) {
  return &plan->slots[plan->slots[place].place];
}

struct mfq_layer {
  mfq_context *context;
  char name[NAME_MOST];
  mfq_layer_kind kind;
  mfq_conv conv; /* geometry */
  mfq_recipe recipe;
  mfq_tensor x, y, weight, bias; /* as planned; bias.data NULL: none */
  mfq_keep keep;
  uint64_t seed;
  int watch;
  mfq_layer_mode mode;
  int64_t step;
  int64_t forward_step; /* whose backward may be run; -1: none */
  int weight_is_ready;  /* EVAL: quantized since mfq_layer_set_mode */
  /* Of each role: codes that others wrote are to be taken: of x by the next forward, of dy by the backwards before it, of the
   * weight until they are not those of the weight any more. */
  int is_written[OPERANDS];
  mfq_place_state states[MFQ_RECIPE_PHASES][MFQ_PLACES];
  mfq_spot one, found; /* 1.0f; what watching found */
  size_t state_bytes;
  int planned_phase;
  mfq_layer_plan plan;
  mfq_buffer *state, *kept, *workspace, *targets[OPERANDS];
  char description[8192];
};

/* Memory by its place. */
void *mfq_layer_at(const mfq_layer *layer, mfq_spot spot);
/* Room for `bytes` in a buffer in the making. */
mfq_spot mfq_spot_take(mfq_home home, size_t *used, size_t bytes);

/* "<name>: <what>: <why>", `why` being this thread's last error, with its own status. */
mfq_status mfq_layer_failed(const mfq_layer *layer, const char *function, const char *what, mfq_status status);

/* ---- layer_places.c: how quantizers see tensors ------------------------------------------------------------------ */

/* The tensor of a role as products have it: of a linear layer a matrix of rows. 0 where its axes do not merge. */
int mfq_layer_as_operand(const mfq_layer *layer, mfq_role role, const mfq_tensor *tensor, mfq_tensor *operand);
/* The operand as a quantizer has it: of a convolution by blocks with pixels or taps merged. */
int mfq_layer_seen(const mfq_layer *layer, mfq_role role, const mfq_scheme *scheme, const mfq_tensor *operand,
                   mfq_tensor *seen);
/* Resolves the axis of a place's scheme for an operand of this rank. */
mfq_status mfq_layer_axis(const mfq_layer *layer, const char *function, mfq_place place, int32_t rank,
                          mfq_scheme *scheme);
/* The role of a place, and the place whose numbers SAME and AGAIN stand for: the place itself where there is none. */
mfq_role mfq_place_role(mfq_place place);
mfq_place mfq_place_before(mfq_place place);
/* The planned tensor of a role. */
const mfq_tensor *mfq_layer_tensor_of(const mfq_layer *layer, mfq_role role);

/* ---- layer_plan.c ------------------------------------------------------------------------------------------------ */

/* Plans a phase unless it is planned, and allocates what it needs. */
mfq_status mfq_layer_plan_phase(mfq_layer *layer, const char *function, int phase);
/* Remembers the worst alignment of what stands where a planned tensor does. */
void mfq_layer_meet(mfq_tensor *planned, const mfq_tensor *given);
/* Plans the products of backward unless they are planned for such gradients. */
mfq_status mfq_layer_plan_gradients(mfq_layer *layer, const char *function, const mfq_layer_gradients *gradients);
void mfq_layer_plan_free(mfq_layer *layer);
/* Gives the operands of a plan their memory anew, since others write one of them: dy's is not that of what is kept. */
mfq_status mfq_layer_place_memory(mfq_layer *layer, const char *function);
/* 1 when gradients change on their way through the quantizer of a slot. */
int mfq_slot_bends(const mfq_layer_plan *plan, const mfq_slot *slot);

/* ---- layer_targets.c --------------------------------------------------------------------------------------------- */

/* Whether codes of a role are there that others wrote. */
static inline int mfq_layer_is_written(const mfq_layer *layer, mfq_role role) {
  return layer->plan.is_target[role] && layer->is_written[role];
}
/* Refuses x, or dy, that is NULL although a run reads it. */
mfq_status mfq_layer_check_absent(const mfq_layer *layer, mfq_where where, mfq_role role);
/* What others wrote so far is not taken, but for the weight. */
void mfq_layer_forget_targets(mfq_layer *layer);

/* ---- layer_product.c --------------------------------------------------------------------------------------------- */

/* What a product reads and writes in a run. */
typedef struct mfq_layer_io {
  const mfq_tensor *operands[2]; /* of plain places, as products have them */
  const mfq_tensor *result, *bias;
  int accumulate;
} mfq_layer_io;
mfq_status mfq_layer_product_plan(mfq_layer *layer, int which, const mfq_layer_io *io);
mfq_status mfq_layer_product_run(mfq_layer *layer, int which, const mfq_layer_io *io, mfq_pass pass);
/* The same of the sum over rows or pixels. */
mfq_status mfq_layer_sum_plan(mfq_layer *layer, const mfq_tensor *dy, const mfq_tensor *dbias, int accumulate);
mfq_status mfq_layer_sum_run(mfq_layer *layer, const mfq_tensor *dy, const mfq_tensor *dbias, int accumulate);
void mfq_layer_product_free(mfq_layer_product *product);

/* A tensor of a run, checked: like the planned one. */
struct mfq_parts;
mfq_status mfq_layer_take(mfq_where where, const mfq_tensor *given, const mfq_tensor *planned, int is_written,
                          struct mfq_parts *parts);

/* ---- layer_quantize.c -------------------------------------------------------------------------------------------- */

/* The room that its codes take, and scales that are measured each time. */
size_t mfq_slot_bytes(const mfq_slot *slot);
/* What an operand is quantized again from: the place whose values it has; NULL where it is the tensor itself. */
mfq_slot *mfq_slot_source(mfq_layer_plan *plan, const mfq_slot *slot);
/* Points q at its memory of a pass. */
void mfq_slot_bind(const mfq_layer *layer, mfq_slot *slot, mfq_pass pass);
/* Sets the context's random bits for a place and step; mfq_layer_seed_end gives it its own back. */
typedef struct mfq_seeds {
  uint64_t seed, offset;
} mfq_seeds;
mfq_seeds mfq_layer_seed(const mfq_layer *layer, mfq_place place, int64_t step);
void mfq_layer_seed_end(const mfq_layer *layer, mfq_seeds before);

/* Quantizes an operand at its place, and where `also` is not NULL at that place too, for a step. */
mfq_status mfq_slot_fill(mfq_layer *layer, mfq_slot *slot, mfq_slot *also, const mfq_tensor *operand, int64_t step);
/* The values of its codes, dense: made once a pass. */
mfq_status mfq_slot_values(mfq_layer *layer, mfq_slot *slot, mfq_pass pass, mfq_tensor *values);

/* ---- layer_scales.c: scales that are not measured each time ------------------------------------------------------- */

mfq_status mfq_layer_states_make(mfq_layer *layer, const char *function);
/* The largest magnitude of a tensor; where `nans` is not NULL, the number of NaN is added to it. */
mfq_status mfq_layer_largest(mfq_layer *layer, const mfq_tensor *source, float *value, uint64_t *nans);
/* Makes the scales of a place for a tensor; in training collects it. */
mfq_status mfq_place_scales(mfq_layer *layer, mfq_place_state *state, const mfq_tensor *seen);
/* Goes on with tensors that were read from a file, `seen` having been this. */
void mfq_place_resume(mfq_place_state *state, int64_t seen);

#ifdef __cplusplus
}
#endif

#endif
