/* bench/probe: what only a GPU can say, and the library is built on: question by question, the most harmless first. */
#include <popt.h>
#include <regex.h>

#include <cctype>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "probe_device.cuh"
#include "probe_report.h"

namespace {

enum { EXIT_USAGE = 2 };

struct options {
  probe_settings settings;
  const char *only, *json;
  int is_list, keeps_rows;
};

int usage(const char *format, const char *what, const char *why) {
  fprintf(stderr, "probe: ");
  fprintf(stderr, format, what, why);
  fprintf(stderr, "; see --help\n");
  return EXIT_USAGE;
}

int parse(int argc, const char **argv, options *o) {
  int is_quick = 0, is_spoiled = 0;
  const poptOption table[] = {
      {"only", 0, POPT_ARG_STRING, &o->only, 0, "a question by its number, or rows that match", "N|REGEX"},
      {"list", 0, POPT_ARG_NONE, &o->is_list, 0, "print numbers and names of rows, and ask nothing", nullptr},
      {"json", 0, POPT_ARG_STRING, &o->json, 0, "write all answers, anew after each", "FILE"},
      {"keep", 0, POPT_ARG_NONE, &o->keeps_rows, 0, "begin with the rows that FILE has, of another process", nullptr},
      {"quick", 0, POPT_ARG_NONE, &is_quick, 0, "sizes for the emulator: times mean nothing", nullptr},
      {"spoil", 0, POPT_ARG_NONE, &is_spoiled, 0,
       "wrong strides in descriptors, scales in another order: answers must be wrong", nullptr},
      POPT_AUTOHELP POPT_TABLEEND};
  poptContext popt = poptGetContext("probe", argc, argv, table, 0); /* owns the strings: lives until the end */
  const int found = poptGetNextOpt(popt);
  if (found < -1) return usage("%s: %s", poptBadOption(popt, POPT_BADOPTION_NOALIAS), poptStrerror(found));
  if (poptPeekArg(popt) != nullptr) return usage("'%s': no arguments but options%s", poptPeekArg(popt), "");
  o->settings.is_quick = is_quick != 0;
  o->settings.is_spoiled = is_spoiled != 0;
  return 0;
}

/* Keeps the cases that `only` names: all of them without one. Returns an exit code. */
int select(const char *only, probe_cases *cases) {
  if (only == nullptr) return 0;
  const bool is_number = std::all_of(only, only + strlen(only), [](unsigned char c) { return isdigit(c) != 0; });
  regex_t regex;
  const int error = regcomp(&regex, only, REG_EXTENDED | REG_NOSUB);
  if (error != 0) {
    char why[128];
    regerror(error, &regex, why, sizeof why);
    return usage("--only %s: %s", only, why);
  }
  std::erase_if(*cases, [&](const probe_case &c) {
    if (is_number) return c.question != atoi(only);
    return regexec(&regex, c.name.c_str(), 0, nullptr, 0) != 0 &&
           (c.ceiling.empty() || regexec(&regex, c.ceiling.c_str(), 0, nullptr, 0) != 0);
  });
  regfree(&regex);
  return cases->empty() ? usage("--only %s matches no row%s", only, ": --list names them") : 0;
}

/* Answers what the device is, or why there is none. */
void find_device(probe_settings *settings, std::string *name) {
  cudaDeviceProp properties;
  probe_need(cudaSetDevice(0), "cudaSetDevice");
  probe_need(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  settings->capability = 10 * properties.major + properties.minor;
  settings->processors = properties.multiProcessorCount;
  *name = properties.name;
}

probe_answer ask(const probe_case &question, const probe_settings &settings) {
  try {
    probe_answer answer = question.ask(settings);
    probe_need(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    return answer;
  } catch (const probe_failure &failure) {
    (void)cudaGetLastError();
    return {"failed", NAN, "", failure.says};
  }
}

int ask_all(const probe_cases &cases, const probe_settings &settings, probe_report *report) {
  for (size_t i = 0; i < cases.size(); ++i) {
    report->add(cases[i], ask(cases[i], settings));
    const auto is_more = [&](const probe_case &later) { return later.ceiling == cases[i].ceiling; };
    const bool is_lost = cudaDeviceSynchronize() != cudaSuccess;
    if (is_lost || std::none_of(cases.begin() + (ptrdiff_t)i + 1, cases.end(), is_more)) report->add_ceiling(cases[i]);
    if (!is_lost) continue;
    report->lose_device((int)(cases.size() - i - 1), cases[i]);
    break;
  }
  report->finish();
  return report->exit_code();
}

} // namespace

std::string probe_text(const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

int main(int argc, const char **argv) {
  options o = {};
  int code = parse(argc, argv, &o);
  if (code != 0) return code;
  probe_cases cases;
  probe_add_copying(o.settings, &cases);
  probe_add_launching(o.settings, &cases);
  probe_add_descriptors(o.settings, &cases);
  probe_add_multiplying(o.settings, &cases);
  probe_add_cublaslt(o.settings, &cases);
  probe_add_gathering(o.settings, &cases);
  code = select(o.only, &cases);
  if (code != 0) return code;
  if (o.is_list) {
    for (const probe_case &c : cases) printf("%d\t%s\n", c.question, c.name.c_str());
    return 0;
  }
  probe_report report(o.json);
  std::string device;
  try {
    find_device(&o.settings, &device);
  } catch (const probe_failure &failure) {
    fprintf(stderr, "probe: no device to ask: %s\n", failure.says.c_str());
    return EXIT_FAILURE;
  }
  report.begin(device, o.settings, o.keeps_rows != 0);
  return ask_all(cases, o.settings, &report);
}
