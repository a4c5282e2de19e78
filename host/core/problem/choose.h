/* host/core/problem/choose.h: ordered lists of ways to run a problem, and the choice among them.
 *
 * A backend has a list for each operation, the fastest way first. The first way that does not refuse a problem runs it, and
 * the reasons of those before it are part of the choice's description. A way may hand the problem, or another one that it
 * makes of it, to another list: its state is the choice made there. Products and convolutions are planned once and run
 * often, casts (cast_problem.h) are planned for the call that runs them. */
#ifndef MFQ_HOST_CORE_CHOOSE_H
#define MFQ_HOST_CORE_CHOOSE_H

#include <mfq/mfq.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A short text. */
typedef struct mfq_line {
  char text[400];
} mfq_line;

struct mfq_way;

/* Memory that a choice's state is placed in. */
typedef struct mfq_room {
  void *memory; /* NULL: none, states come from the context's allocator */
  size_t bytes;
} mfq_room;

/* How a problem is run. */
typedef struct mfq_choice {
  const struct mfq_way *way;
  void *state; /* the way's own */
  mfq_room room;
  size_t workspace_bytes; /* of each run */
  int32_t is_general;     /* correct for everything, and slower */
  int32_t is_quiet;       /* nothing is described */
  char description[640];
} mfq_choice;

typedef struct mfq_way {
  const char *name; /* "expanded"; empty for one that says nothing of itself */
  /* Returns OK with `choice` filled, whose description is what follows the name: "bf16 by oneDNN 2.6.3"; UNSUPPORTED by
   * mfq_refuse, when the next way is to be asked; anything else, with a sentence, ends the planning. `why` is NULL where
   * nobody wants to know. */
  mfq_status (*plan)(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why);
  /* `problem` equals the planned one, with memory. Several threads may run one plan: nothing of the context is written. */
  mfq_status (*run)(mfq_context *context, const void *state, const void *problem, uint8_t *workspace);
  /* Frees what `state` points at, as far as it was made, but not `state`; NULL: it points at nothing. */
  void (*free)(mfq_context *context, void *state);
} mfq_way;

enum { MFQ_MOST_WAYS = 8 };

typedef struct mfq_ways {
  const char *create; /* the public function that plans */
  /* Why nothing but the last way is asked where results must be reproducible; NULL: the others say it themselves. */
  const char *reproducible;
  int32_t nearest_first;                  /* the order in which refusals are told: the last one first */
  const mfq_way *ways[MFQ_MOST_WAYS + 1]; /* the fastest first; the last takes everything; NULL behind it */
} mfq_ways;

/* Asks one way after the other, and describes the choice: "<name>: <how>; not <faster>: <why>". With a failure nothing is
 * left behind. */
mfq_status mfq_choose(mfq_context *context, const mfq_ways *ways, const void *problem, mfq_choice *choice);
/* The same in memory of the caller's, which is freed by nobody; `is_quiet` 1: without a word, as fast as plans are made. */
mfq_status mfq_choose_in(mfq_context *context, const mfq_ways *ways, const void *problem, mfq_room room,
                         int32_t is_quiet, mfq_choice *choice);
mfq_status mfq_choice_run(mfq_context *context, const mfq_choice *choice, const void *problem, uint8_t *workspace);
/* Also of a choice that was never made, and is all 0. */
void mfq_choice_free(mfq_context *context, mfq_choice *choice);

/* For ways. */

/* Says why a way does not take a problem, and returns UNSUPPORTED; empty: its refusal is not told. */
__attribute__((format(printf, 2, 3))) mfq_status mfq_refuse(mfq_line *why, const char *format, ...);
/* Says how a way runs a problem. */
__attribute__((format(printf, 2, 3))) void mfq_choice_describe(mfq_choice *choice, const char *format, ...);
/* Gives a choice its state: `bytes` of zeros in its room, or from the context's allocator; these are freed with it, by
 * mfq_choose too where planning fails later. */
mfq_status mfq_choice_state(mfq_context *context, const char *function, size_t bytes, mfq_choice *choice);
/* The plan of a way that takes everything as it comes, element by element. */
mfq_status mfq_plan_general(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why);
/* Takes over what is said of the choice that `choice` hands its problem to. */
void mfq_choice_hand_on(mfq_choice *choice, const mfq_choice *to);

#ifdef __cplusplus
}
#endif

#endif
