/* bench/common/subject.h: the frame of a benchmark, and what it asks of its subject: which rows there are, how one is
 * prepared and checked, what it is compared with, what is told of it.
 *
 * Rows stand in groups, which share memory and a peer, and in batches within a group, which are timed in turn with the
 * peer. The frame goes from group to group and from batch to batch, and leaves out rows that nobody wants. */
#ifndef MFQ_BENCH_SUBJECT_H
#define MFQ_BENCH_SUBJECT_H

#include "race.h"
#include "record.h"
#include "slots.h"

enum { BENCH_BATCH = 4 };

/* Functions that return int return exit codes where nothing else is said; NULL stands for nothing to do. */
typedef struct bench_subject {
  const char *name; /* the program is bench_<name> */
  int repetitions;  /* unless the command line says otherwise */
  size_t row_bytes;
  int batch;   /* rows at most, up to BENCH_BATCH, in one race */
  int is_list; /* rows that nobody wants are dropped; else they keep their places in a table */

  int (*parse)(bench_run *run, int argc, char **argv);
  int (*list)(bench_run *run);                   /* makes rows and peers, marks what is wanted; --filter comes later */
  int (*group)(const bench_run *run, int index); /* of a row */
  json_t *(*parameters)(const bench_run *run);   /* more of them for the files */
  int (*open)(bench_run *run);                   /* before the first group */
  void (*close)(bench_run *run);

  int (*begin)(bench_run *run, int group); /* makes memory; 'end' follows in any case */
  /* Names the peer in `about`, sets up its launches if there is one, and checks it: one that fails is not compared. */
  int (*peer)(bench_run *run, char *about, bench_racer *racer);
  void (*end)(bench_run *run);
  int (*prepare)(bench_run *run, int first); /* what the rows of a batch share */
  /* Sets up a row's launches, runs it once and checks the result; `place` counts the rows of a batch that are right. */
  int (*ready)(bench_run *run, bench_row *row, int place, bench_racer *racer);
  void (*forget)(bench_run *run, int place);
  /* Takes the times of the peer beside a row; NULL: the row is told as a multiple of the peer. */
  void (*beside)(bench_run *run, bench_row *row, const bench_quantiles *peer);

  json_t *(*json)(const bench_run *run, const bench_row *row); /* what only these rows have in the files */
  void (*print)(const bench_run *run);
  int (*misses)(const bench_run *run); /* how many rows fall short of their goals; prints them */
} bench_subject;

/* The program: `state` is the subject's. Returns the exit code. */
int bench_main(const bench_subject *subject, void *state, int argc, char **argv);

/* Memory for the rows and for the peers of `groups`. Returns an exit code. */
int bench_make_rows(bench_run *run, int count, int groups);
bench_row *bench_row_at(const bench_run *run, int index);

/* Launches once, with NaN in slot 0 of the result before, and spoils it after if the environment wants the row of this
 * name wrong; `finish`, NULL for nothing, brings a peer's result there. Returns an exit code. */
int bench_try(bench_run *run, const char *name, const bench_slots *result, int (*finish)(bench_run *),
              bench_racer *racer);

#endif
