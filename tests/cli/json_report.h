// tests/cli/json_report.h: what a command prints with --json.
#ifndef MFQ_TESTS_CLI_JSON_REPORT_H
#define MFQ_TESTS_CLI_JSON_REPORT_H

#include <gtest/gtest.h>
#include <jansson.h>

#include <string>

namespace fixture {

struct Json {
  json_t *root;
  explicit Json(const std::string &text) : root(json_loads(text.c_str(), JSON_REJECT_DUPLICATES, nullptr)) {
    EXPECT_NE(root, nullptr) << text;
  }
  ~Json() { json_decref(root); }
  Json(const Json &) = delete;
  Json &operator=(const Json &) = delete;
  json_int_t integer(const char *key) const { return json_integer_value(json_object_get(root, key)); }
  json_t *tensor(const std::string &name) const {
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(root, "tensors"), i, t) {
      if (name == json_string_value(json_object_get(t, "name"))) return t;
    }
    return nullptr;
  }
};

inline std::string text(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_string(value) ? json_string_value(value) : "";
}

} // namespace fixture

#endif
