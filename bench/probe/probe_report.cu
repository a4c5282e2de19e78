/* bench/probe/probe_report.cu: the two forms of a row. */
#include "probe_report.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

void probe_report::begin(const std::string &device, const probe_settings &settings, bool keeps_rows) {
  json_t *before = keeps_rows && path_ != nullptr ? json_load_file(path_, 0, nullptr) : nullptr;
  json_t *rows = json_object_get(before, "rows");
  root_ =
      json_pack("{s:i, s:s, s:b, s:s, s:b, s:o}", "version", 1, "benchmark", "probe", "complete", 0, "device",
                device.c_str(), "quick", settings.is_quick, "rows", rows != nullptr ? json_incref(rows) : json_array());
  json_decref(before);
  write();
  printf("%s, compute capability %d.%d, %d multiprocessors%s\n", device.c_str(), settings.capability / 10,
         settings.capability % 10, settings.processors, settings.is_quick ? ": QUICK, TIMES MEAN NOTHING" : "");
  fflush(stdout);
}

void probe_report::add_row(int question, const std::string &name, const probe_answer &answer) {
  const bool has_value = std::isfinite(answer.value);
  if (strcmp(answer.status, "wrong") == 0 || strcmp(answer.status, "failed") == 0) is_bad_ = 1;
  json_t *row = json_pack("{s:s, s:i, s:s, s:o, s:s, s:s}", "name", name.c_str(), "question", question, "status",
                          answer.status, "value", has_value ? json_real(answer.value) : json_null(), "unit",
                          answer.unit, "says", answer.says.c_str());
  json_array_append_new(json_object_get(root_, "rows"), row);
  write();
  printf("%d  %-44s %-8s %s\n", question, name.c_str(), answer.status,
         ((has_value ? probe_text("%.4g %s, ", answer.value, answer.unit) : "") + answer.says).c_str());
  fflush(stdout);
}

void probe_report::add(const probe_case &question, const probe_answer &answer) {
  add_row(question.question, question.name, answer);
  if (question.ceiling.empty()) return;
  const probe_answer none = {"failed", NAN, "", "none of its rows was measured"};
  probe_answer &best = best_.try_emplace(question.ceiling, none).first->second;
  if (strcmp(answer.status, "measured") == 0 && !(best.value >= answer.value))
    best = {"measured", answer.value, answer.unit, "by " + question.name};
  else if (strcmp(answer.status, "refused") == 0 && std::isnan(best.value))
    best = {"refused", NAN, "", answer.says};
}

void probe_report::add_ceiling(const probe_case &question) {
  if (!question.ceiling.empty()) add_row(question.question, question.ceiling, best_.at(question.ceiling));
}

void probe_report::lose_device(int left, const probe_case &last) {
  add_row(
      last.question, "device",
      {"failed", NAN, "",
       probe_text("the device takes no more work since '%s'; rows not asked: %d; ask them by --only in another process",
                  last.name.c_str(), left)});
}

void probe_report::finish() {
  json_object_set_new(root_, "complete", json_true());
  write();
}

/* Beside the file and then in its place: whoever ends this process finds a whole one. */
void probe_report::write() {
  if (path_ == nullptr) return;
  const std::string fresh = std::string(path_) + ".new";
  if (json_dump_file(root_, fresh.c_str(), JSON_INDENT(1)) == 0 && rename(fresh.c_str(), path_) == 0) return;
  fprintf(stderr, "probe: %s: cannot write: %s\n", path_, strerror(errno));
  is_bad_ = 1;
}
