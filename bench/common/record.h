/* bench/common/record.h: what becomes of each row, the same for every benchmark, and the files that tell it.
 *
 * A wrong or failing row is marked and the next goes on. The JSON is written anew after every row, beside and then
 * renamed, so that it is whole at any time; "complete" is false until the end, and "stopped" says what ended a run
 * before. The CSV, the same rows, is written once a run ends. MFQ_BENCH_SPOIL, an extended regular
 * expression of rows' names, damages their results before they are checked: a benchmark of a benchmark. */
#ifndef MFQ_BENCH_RECORD_H
#define MFQ_BENCH_RECORD_H

#include "settings.h"

/* What this machine reaches at most, measured in the same run; 0: not measured. */
typedef struct bench_ceilings {
  double copy;      /* bytes a second, read and written */
  double bf16, fp8; /* operations of products a second */
  char how[512];
} bench_ceilings;

enum { BENCH_NAME = 2 * MFQ_SCHEME_TEXT_MAX + 160, BENCH_ABOUT = 1024, BENCH_WHY = 512 };

typedef enum bench_verdict { BENCH_WAITS, BENCH_ROW_RIGHT, BENCH_ROW_WRONG, BENCH_ROW_FAILED } bench_verdict;

typedef struct bench_row {
  char name[BENCH_NAME];   /* what --filter sees, the same for no other row */
  char about[BENCH_ABOUT]; /* how it is computed */
  int is_wanted;           /* else nothing becomes of it */
  const char *peer;        /* what it is compared with, or why there is nothing */
  bench_verdict verdict;
  char why[BENCH_WHY];          /* it is wrong or failed */
  bench_quantiles seconds;      /* all 0: not timed */
  bench_quantiles peer_seconds; /* of the peer between the runs of this row; all 0 without one */
  double share;                 /* speed as a multiple of the peer's: median of neighbouring runs; 0 without one */
  const char *timing;           /* see race.h; NULL: not timed */
  int launches;                 /* that a time is the mean of */
  double rotated;               /* bytes of the slots that runs go through in turn; 0: not told */
  double bytes, flops;          /* that it must move, each operand and result once, and do, at least */
  double weight_bytes;          /* codes and scales of a product's B */
  int is_fp8;                   /* its operands fit tensor cores of FP8 */
  double limit_seconds;         /* by the ceilings; 0 where one is missing */
  const char *limit;            /* which one */
} bench_row;

/* A run of a benchmark: what it is made with, its rows, and what has become of them. */
typedef struct bench_run {
  const struct bench_subject *subject; /* subject.h */
  void *state;                         /* the subject's */
  bench_settings settings;
  mfq_context *context;
  void *rows; /* `count` of them, as long as the subject says; each begins with a bench_row */
  int count, wanted, done, bad;
  char (*peers)[BENCH_ABOUT]; /* of each group of rows: the peer, or why there is none */
  bench_ceilings ceilings;
  json_t *root;
  int tells; /* progress */
} bench_run;

/* `more` joins the parameters and is taken over; NULL: nothing. Returns an exit code. */
int bench_record_open(bench_run *run, json_t *more);
/* Shows on a terminal what is being done. */
void bench_record_tell(const bench_run *run, const char *name);
/* Ends a row: `code` is that of its checks and times, `own` (taken over) joins what all rows have in the files. Returns
 * BENCH_OK unless nothing can go on: the device is lost, or a file cannot be written. */
int bench_record_row(bench_run *run, bench_row *row, int code, json_t *own);
/* Lists the rows that are wrong or failed, if any. */
void bench_record_print_bad(const bench_run *run);
/* Completes the files if `code` is BENCH_OK, tells there why not otherwise, and frees. Returns `code`, BENCH_FAILED
 * where a row is wrong or failed. */
int bench_record_close(bench_run *run, int code);

/* Write files that are whole at any time: beside, then renamed; of rows a line each, in which an object has a column for
 * each of its members, and an array none; all have the same keys. `path` NULL: nothing. Return exit codes. */
int bench_write_json(const json_t *root, const char *path);
int bench_write_csv(const json_t *rows, const char *path);

/* Flips a bit of a byte of a result if the environment wants this row wrong. */
mfq_status bench_spoil(const char *name, mfq_buffer *result, size_t byte);

/* For rows in JSON: null for 0 and what is no number; an object of times, null for none; the command line that measures
 * a row again, with options before the one that names it, each with a space behind it, and options after it, each with
 * one before it. */
json_t *bench_number_json(double number);
json_t *bench_quantiles_json(const bench_quantiles *quantiles);
json_t *bench_again_json(const bench_run *run, const bench_row *row, const char *before, const char *after);
/* For tables: the machine, what is measured, and how; the command line that measures a row again, after its device. */
void bench_print_conditions(const bench_run *run, const char *what);
void bench_print_again(const bench_run *run, const char *options);
/* A thing of which a row does `amount`, in billions a second; 0 without a time. */
double bench_giga(const bench_row *row, double amount);

#endif
