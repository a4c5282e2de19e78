/* bench/probe/probe_report.h: answers as lines on standard output, and as a file that is whole after each of them. */
#ifndef MFQ_BENCH_PROBE_REPORT_H
#define MFQ_BENCH_PROBE_REPORT_H

#include <jansson.h>

#include <map>

#include "probe.h"

class probe_report {
public:
  explicit probe_report(const char *path) : path_(path) {} /* NULL: no file */
  ~probe_report() { json_decref(root_); }
  probe_report(const probe_report &) = delete;
  probe_report &operator=(const probe_report &) = delete;

  /* `keeps_rows`: behind those that the file has. */
  void begin(const std::string &device, const probe_settings &settings, bool keeps_rows);
  void add(const probe_case &question, const probe_answer &answer);
  /* The row of a case's ceiling, if it names one. */
  void add_ceiling(const probe_case &question);
  /* `left` cases are not asked any more, as the device takes no work since `last`. */
  void lose_device(int left, const probe_case &last);
  void finish();
  /* 0, or 1 where a row is wrong or failed, or the file could not be written. */
  int exit_code() const { return is_bad_; }

private:
  void add_row(int question, const std::string &name, const probe_answer &answer);
  void write();

  const char *path_;
  json_t *root_ = nullptr;
  int is_bad_ = 0;
  std::map<std::string, probe_answer> best_; /* by ceiling */
};

#endif
