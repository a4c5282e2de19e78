/* How a fault is reported: one line on stderr, then abort(). */
#include <cxxabi.h>
#include <dlfcn.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "block.h"

namespace simt {

static char *next_text(size_t *capacity) {
  static thread_local std::unique_ptr<char[]> texts; /* little thread-local memory: the library is opened at run time */
  static thread_local unsigned turn;
  if (!texts) texts = std::make_unique<char[]>(8 * 192);
  *capacity = 192;
  return texts.get() + turn++ % 8 * 192;
}

const char *text_of(uint3 index) {
  size_t capacity;
  char *text = next_text(&capacity);
  snprintf(text, capacity, "(%u,%u,%u)", index.x, index.y, index.z);
  return text;
}

const char *text_of(const site &at) {
  size_t capacity;
  char *text = next_text(&capacity);
  const char *name = strrchr(at.file_name(), '/');
  snprintf(text, capacity, "%s:%u", name ? name + 1 : at.file_name(), static_cast<unsigned>(at.line()));
  return text;
}

bool same_site(const site &a, const site &b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || strcmp(a.file_name(), b.file_name()) == 0);
}

/* The kernel's own name where the linker kept it, else its parameters' ("... [with P = copy_params; ...]"). */
static std::string kernel_name(const launch &work) {
  Dl_info info;
  if (dladdr(work.kernel, &info) && info.dli_sname && info.dli_saddr == work.kernel) {
    int status = 0;
    char *plain = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
    std::string name = status == 0 ? plain : info.dli_sname;
    free(plain);
    return name.substr(0, name.find('('));
  }
  const std::string text = work.params;
  const size_t first = text.find("P = ");
  if (first == std::string::npos) return "(unknown)";
  return "of " + text.substr(first + 4, text.find_first_of(";]", first) - first - 4);
}

void fail(const site &at, const char *format, ...) {
  block_state &b = block();
  char sentence[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(sentence, sizeof sentence, format, list);
  va_end(list);
  if (b.work) {
    fprintf(stderr, "simt: kernel %s, block %s, thread %s: %s (%s in %s)\n", kernel_name(*b.work).c_str(),
            text_of(blockIdx), text_of(threadIdx), sentence, text_of(at), at.function_name());
  } else {
    fprintf(stderr, "simt: outside a kernel: %s (%s)\n", sentence, text_of(at));
  }
  abort();
}

void fail_host(const char *format, ...) {
  va_list list;
  va_start(list, format);
  fputs("simt: ", stderr);
  vfprintf(stderr, format, list);
  fputs("\n", stderr);
  va_end(list);
  abort();
}

void stop(const site &at, const char *sentence) { fail(at, "%s", sentence); }

} // namespace simt
