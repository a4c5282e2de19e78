/* tests/support/environment.h: variables of the environment; one is as it was again at the end of a scope. */
#ifndef MFQ_TESTS_SUPPORT_ENVIRONMENT_H
#define MFQ_TESTS_SUPPORT_ENVIRONMENT_H

#include <cstdlib>
#include <string>

namespace mfq_test {

class Variable {
public:
  /* `value` NULL: unset. */
  Variable(const char *name, const char *value) : name_(name) {
    const char *before = std::getenv(name);
    was_set_ = before != nullptr;
    if (was_set_) before_ = before;
    set(value);
  }
  ~Variable() { set(was_set_ ? before_.c_str() : nullptr); }
  Variable(const Variable &) = delete;
  Variable &operator=(const Variable &) = delete;

  void set(const char *value) {
    if (value != nullptr)
      setenv(name_.c_str(), value, 1);
    else
      unsetenv(name_.c_str());
  }

private:
  std::string name_, before_;
  bool was_set_;
};

/* The module of oneDNN: that of the environment at the first call, or of the build; "": none. */
inline const std::string &onednn_file() {
#if defined(MFQ_ONEDNN_FILE)
  const char *const built = MFQ_ONEDNN_FILE;
#else
  const char *const built = "";
#endif
  static const char *const named = std::getenv("MFQ_ONEDNN_MODULE");
  static const std::string file = named != nullptr ? named : built;
  return file;
}
inline bool has_onednn() { return !onednn_file().empty(); }
inline void set_onednn(bool is_wanted) { setenv("MFQ_ONEDNN_MODULE", is_wanted ? onednn_file().c_str() : "", 1); }

} // namespace mfq_test

#endif
