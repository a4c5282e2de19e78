// tests/cli/tensor_file.h: small safetensors files with known tensors, and reading them back, by jansson alone.
#ifndef MFQ_TESTS_CLI_TENSOR_FILE_H
#define MFQ_TESTS_CLI_TENSOR_FILE_H

#include <jansson.h>

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "support/file_fixture.h"

namespace fixture {

struct Tensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::string data;
};

inline bool operator==(const Tensor &a, const Tensor &b) {
  return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.data == b.data;
}

inline std::string json_quote(const std::string &text) {
  json_t *value = json_string(text.c_str());
  char *quoted = json_dumps(value, JSON_ENCODE_ANY);
  std::string result = quoted;
  free(quoted);
  json_decref(value);
  return result;
}

inline std::string file_of(const std::vector<Tensor> &tensors,
                           const std::map<std::string, std::string> &metadata = {}) {
  std::string header = "{", data, comma;
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto &[key, value] : metadata) {
      header += comma + json_quote(key) + ":" + json_quote(value);
      comma = ",";
    }
    header += "}";
  }
  for (const Tensor &t : tensors) {
    std::string shape;
    for (int64_t size : t.shape) shape += (shape.empty() ? "" : ",") + std::to_string(size);
    header += comma + json_quote(t.name) + ":{\"dtype\":\"" + t.dtype + "\",\"shape\":[" + shape +
              "],\"data_offsets\":[" + std::to_string(data.size()) + "," + std::to_string(data.size() + t.data.size()) +
              "]}";
    data += t.data;
    comma = ",";
  }
  return safetensors(header + "}", data);
}

// Tensors in file order.
inline std::vector<Tensor> tensors_of(const std::string &path) {
  const std::string bytes = read_file(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  json_t *root = json_loadb(bytes.data() + 8, length, JSON_REJECT_DUPLICATES, nullptr);
  std::map<std::pair<json_int_t, size_t>, Tensor> found;
  const char *name;
  json_t *entry;
  size_t position = 0;
  json_object_foreach(root, name, entry) {
    if (std::string(name) == "__metadata__") continue;
    Tensor t;
    t.name = name;
    t.dtype = json_string_value(json_object_get(entry, "dtype"));
    size_t i;
    json_t *size;
    json_array_foreach(json_object_get(entry, "shape"), i, size) t.shape.push_back(json_integer_value(size));
    json_t *offsets = json_object_get(entry, "data_offsets");
    json_int_t begin = json_integer_value(json_array_get(offsets, 0)),
               end = json_integer_value(json_array_get(offsets, 1));
    t.data = bytes.substr(8 + length + static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    found[{begin, position++}] = t;
  }
  json_decref(root);
  std::vector<Tensor> result;
  for (auto &[key, t] : found) result.push_back(t);
  return result;
}

inline std::string f32_data(const std::vector<float> &values) {
  std::string data(values.size() * 4, '\0');
  if (!values.empty()) std::memcpy(data.data(), values.data(), data.size());
  return data;
}

inline std::vector<float> f32_values(const std::string &data) {
  std::vector<float> values(data.size() / 4);
  if (!values.empty()) std::memcpy(values.data(), data.data(), data.size());
  return values;
}

inline std::vector<float> gaussian(size_t count, unsigned seed) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &value : values) value = normal(bits);
  return values;
}

inline std::string bf16_data(const std::vector<float> &values) {
  const std::string wide = f32_data(values);
  std::string data;
  for (size_t i = 0; i < values.size(); ++i) data += wide.substr(4 * i + 2, 2);
  return data;
}

// A tensor of a dtype and shape whose values do not matter: every byte is the same.
inline Tensor filled(const std::string &name, const std::string &dtype, const std::vector<int64_t> &shape,
                     char byte = '\x38') {
  size_t bits = 8;
  for (const auto &[word, wide] : std::map<std::string, size_t>{{"16", 16}, {"32", 32}, {"64", 64}, {"F4", 4}})
    if (dtype.find(word) != std::string::npos) bits = wide;
  size_t count = 1;
  for (int64_t size : shape) count *= static_cast<size_t>(size);
  return {name, dtype, shape, std::string(count * bits / 8, byte)};
}

// What models hold: weights, a vector, a scalar, an empty tensor, indices, in no special order.
inline std::vector<Tensor> model() {
  return {{"z.weight", "F32", {24, 70}, f32_data(gaussian(24 * 70, 1))},
          {"z.bias", "F32", {24}, f32_data(gaussian(24, 2))},
          {"a.conv", "BF16", {8, 5, 3, 3}, bf16_data(gaussian(360, 3))},
          {"ids", "I64", {3}, std::string(24, '\x05')},
          {"empty", "F32", {0, 7}, ""},
          {"scale", "F16", {}, std::string("\x00\x3c", 2)}};
}

} // namespace fixture

#endif
