/* tests/support/environment.h: a variable of the environment, as it was again at the end of a scope. */
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

} // namespace mfq_test

#endif
