/* tools/calibration.h: `mfq quantize --calibrate`: tensors of other files are steps of a collection for each tensor that is
 * quantized, and its scales follow from what was collected. */
#ifndef MFQ_TOOLS_CALIBRATION_H
#define MFQ_TOOLS_CALIBRATION_H

#include "quantize_plan.h"
#include "stream.h"

typedef struct calibration_options {
  const char **files;                    /* NULL: no calibration; ended by NULL */
  const char *observer, *running, *save; /* NULL: not given */
} calibration_options;

/* A batch, or a collection that was saved. */
typedef struct calibration_source {
  int64_t item; /* of the plan */
  int32_t file;
  int32_t is_state;
  int64_t entry;
  const char *name;
} calibration_source;

/* What is to be saved. */
typedef struct calibration_kept {
  mfq_collection collection; /* its values are here: memory of the host */
  int64_t item;
  int32_t is_low; /* for zero points */
} calibration_kept;

typedef struct calibration {
  const calibration_options *options;
  mfq_observer observer; /* where the options name one */
  mfq_running running;
  double momentum;
  int32_t file_count;
  mfq_reader **readers;
  mfq_catalog **catalogs;
  calibration_source *sources; /* by item, file, name */
  int64_t count, next;         /* `next`: the first one of the items to come */
  stream_slot values[2], merged[2];
  mfq_writer *writer; /* NULL: nothing is saved */
  calibration_kept *kept;
  int64_t kept_count;
} calibration;

/* Reads the words of the options. Returns an exit code, as everything here does. */
int calibration_read(const calibration_options *o, calibration *c);
/* Opens the files, finds what belongs to each quantized tensor of the plan, and checks it; counts steps and bytes in the
 * plan. Free the calibration in any case. */
int calibration_open(calibration *c, plan *p);
void calibration_free(calibration *c);

/* Adds the files to `inputs`, which has room for them; returns how many there are then. */
int calibration_inputs(const calibration *c, const mfq_reader **inputs, int count);
/* Starts the file of --save-calibration, where there is one. */
int calibration_create(calibration *c, const mfq_writer_options *options);

/* Collects the steps of item `index`, makes scales and zero points of `q` of them, and sets its rule to given. `slot` is
 * used for batches. Items come in their order. */
int calibration_scales(calibration *c, stream *s, const plan_item *item, int64_t index, stream_slot *slot,
                       mfq_qtensor *q);
/* Frees memory of the context, which goes away before the rest. */
void calibration_free_slots(calibration *c);

/* Writes what was collected; the file appears with calibration_finish. */
int calibration_write(calibration *c, const plan *p);
int calibration_finish(calibration *c);

/* ---- Between the files of this folder ----------------------------------------------------------------------------- */

/* Begins the collection of a quantized tensor, for its scales (`is_low` 0) or zero points (1). */
mfq_status calibration_begin(const calibration *c, const mfq_qtensor *q, int is_low, mfq_collection *collection);
/* Writes the name of the saved one: "w", "w:zero_point". */
void calibration_name(const char *tensor, int is_low, char *name, size_t capacity);
/* Returns the text of a saved one, or NULL, and its entry. */
const char *calibration_state_text(const calibration *c, const calibration_source *source, int is_low, int64_t *entry);

#endif
