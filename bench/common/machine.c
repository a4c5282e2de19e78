/* bench/common/machine.c: what a result was measured on. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench.h"

void bench_cpu_model(char *text, size_t capacity) {
  char line[512];
  FILE *file = fopen("/proc/cpuinfo", "r");
  (void)snprintf(text, capacity, "unknown");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    const char *colon = strchr(line, ':');
    if (colon == NULL || strncmp(line, "model name", 10) != 0) continue;
    line[strcspn(line, "\n")] = '\0';
    (void)snprintf(text, capacity, "%s", colon + 2);
    break;
  }
  if (file != NULL) fclose(file);
}

int bench_is_emulated(const mfq_context *context) { return strstr(mfq_context_describe(context), "emulator") != NULL; }

static const char *compiler(void) {
#if defined(__clang__)
  return __VERSION__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "unknown";
#endif
}

json_t *bench_machine_json(const mfq_context *context, int threads, const char *commit) {
  char model[256];
  struct utsname system;
  bench_cpu_model(model, sizeof model);
  if (uname(&system) != 0) memset(&system, 0, sizeof system);
  return json_pack("{s:s, s:s, s:s, s:i, s:s, s:b, s:s, s:s, s:s?}", "cpu", model, "architecture", system.machine,
                   "kernel", system.release, "threads", threads, "context", mfq_context_describe(context), "emulated",
                   bench_is_emulated(context), "compiler", compiler(), "mfq", mfq_version(), "commit", commit);
}
