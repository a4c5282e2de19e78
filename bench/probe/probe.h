/* bench/probe/probe.h: questions that only a GPU answers, as rows of tables, and what an answer is.
 *
 * Every row can be asked alone, in a process of its own: an error of the device that stays ends the process. */
#ifndef MFQ_BENCH_PROBE_H
#define MFQ_BENCH_PROBE_H

#include <cmath>
#include <functional>
#include <string>
#include <vector>

struct probe_settings {
  bool is_quick;   /* sizes for the emulator, whose times mean nothing */
  bool is_spoiled; /* matrix descriptors have a wrong stride, scales another order: answers must be wrong */
  int capability;  /* of the device: 10 * major + minor */
  int processors;
};

struct probe_answer {
  const char *status; /* "right", "wrong", "measured", "refused", "failed" */
  double value = NAN; /* NaN: none */
  const char *unit = "";
  std::string says = {}; /* a sentence */
};

struct probe_case {
  int question;
  std::string name;
  std::string ceiling; /* a row of that name gets the largest value of the cases that name it; empty: none */
  std::function<probe_answer(const probe_settings &)> ask;
};
typedef std::vector<probe_case> probe_cases;

/* Numbers are those of `--only`. */
enum probe_question {
  PROBE_DESCRIPTORS = 1, /* do matrix descriptors, swizzle and both majors mean what cuda/prim/wgmma.cuh says? */
  PROBE_GATHERING,       /* what do copies by halves of sectors cost, and the proxy fence? */
  PROBE_MULTIPLYING,     /* what do matrix instructions give at best, from shared memory? */
  PROBE_COPYING,         /* and a copy */
  PROBE_LAUNCHING,       /* what does a launch cost, and what the host asks the runtime in every call? */
  PROBE_CUBLASLT         /* what does cuBLASLt take, in which order of scales, and how fast? */
};

void probe_add_descriptors(const probe_settings &settings, probe_cases *cases);
void probe_add_gathering(const probe_settings &settings, probe_cases *cases);
void probe_add_multiplying(const probe_settings &settings, probe_cases *cases);
void probe_add_copying(const probe_settings &settings, probe_cases *cases);
void probe_add_launching(const probe_settings &settings, probe_cases *cases);
void probe_add_cublaslt(const probe_settings &settings, probe_cases *cases);

/* As printf. */
__attribute__((format(printf, 1, 2))) std::string probe_text(const char *format, ...);

/* What the runtime refuses ends the question. */
struct probe_failure {
  std::string says;
};

#endif
