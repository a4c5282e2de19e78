// tests/cli/device_test.cc: --device cuda:0 on the emulated device writes the files that the CPU writes; without a
// device the library's sentence comes out. CTest runs it with the label device.
#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

#if defined(MFQ_SIMT_MODULE)
const std::string module_path = MFQ_SIMT_MODULE;
#else
const std::string module_path; // left out of this build
#endif

class Device : public testing::Test {
protected:
  Folder folder;
  std::string in = folder.file("in");

  void SetUp() override {
    if (module_path.empty()) GTEST_SKIP() << "the emulated CUDA backend is left out of this build";
    write_file(in, file_of(model(), {{"format", "pt"}}));
  }
  // Runs mfq with the emulated device and more of the environment.
  static Result mfq(const std::vector<std::string> &words, const std::vector<std::string> &environment = {}) {
    std::vector<std::string> all = {"env", "MFQ_CUDA_MODULE=" + module_path};
    all.insert(all.end(), environment.begin(), environment.end());
    all.push_back(MFQ_COMMAND);
    all.insert(all.end(), words.begin(), words.end());
    return run(all);
  }
};

const char *const schemes[] = {"mxfp8_e4m3",       "nvfp4",
                               "mxfp6_e2m3",       "int4/group:16/f32/zp",
                               "int8_channel",     "e5m2/block:4x4/bf16",
                               "e3m4/tensor/none", "brevitas:MXFloat8e4m3Weight",
                               "int3/group:5/f16", "mxfp4_e2m1/round:stochastic"};

TEST_F(Device, FilesHaveTheBytesOfTheCpu) {
  const std::string here = folder.file("here"), there = folder.file("there");
  for (const char *scheme : schemes) {
    SCOPED_TRACE(scheme);
    ASSERT_TRUE(exits(mfq({"quantize", in, "-o", here, "-f", "-s", scheme, "--seed", "7"}), 0));
    ASSERT_TRUE(exits(mfq({"quantize", in, "-o", there, "-f", "-s", scheme, "--seed", "7", "--device", "cuda:0"}), 0));
    EXPECT_EQ(read_file(there), read_file(here));
    for (const char *dtype : {"f32", "bf16", "f16"}) {
      const std::string x = folder.file("x"), y = folder.file("y");
      ASSERT_TRUE(exits(mfq({"dequantize", here, "-o", x, "-f", "--dtype", dtype}), 0));
      ASSERT_TRUE(exits(mfq({"dequantize", here, "-o", y, "-f", "--dtype", dtype, "--device", "cuda"}), 0));
      EXPECT_EQ(read_file(y), read_file(x)) << dtype;
    }
    Result on_cpu = mfq({"compare", in, here, "--json"});
    EXPECT_TRUE(exits(on_cpu, 0));
    EXPECT_EQ(mfq({"compare", in, here, "--json", "--device", "cuda:0"}).out, on_cpu.out);
  }
}

TEST_F(Device, CalibratesAsTheCpu) {
  const std::string here = folder.file("here"), there = folder.file("there"), batches = folder.file("batches");
  write_file(batches, file_of({{"z.weight.0", "F32", {3, 70}, f32_data(gaussian(210, 8))},
                               {"z.weight.1", "F32", {5, 70}, f32_data(gaussian(350, 9))}}));
  std::vector<std::string> words = {"quantize", in, "-o", here, "-r", "z.weight=int8/channel@1/f32/zp", "--calibrate"};
  words.insert(words.end(), {batches, "--observer", "interval:10:90", "--save-calibration", folder.file("saved")});
  ASSERT_TRUE(exits(mfq(words), 0));
  words[3] = there;
  words.back() = folder.file("saved_there");
  words.insert(words.end(), {"--device", "cuda:0"});
  ASSERT_TRUE(exits(mfq(words), 0));
  EXPECT_EQ(read_file(there), read_file(here));
  EXPECT_EQ(read_file(folder.file("saved_there")), read_file(folder.file("saved")));
}

TEST_F(Device, CapsListsDevicesAndAnswersForOne) {
  Result r = mfq({"caps", "--device", "cuda:0", "--json"}, {"MFQ_SIMT_DEVICES=2"});
  ASSERT_TRUE(exits(r, 0));
  json_t *root = json_loads(r.out.c_str(), JSON_REJECT_DUPLICATES, nullptr);
  ASSERT_NE(root, nullptr) << r.out;
  const json_t *devices = json_object_get(root, "devices");
  ASSERT_EQ(json_array_size(devices), 3u);
  const char *const names[] = {"cpu", "cuda:0", "cuda:1"};
  for (size_t i = 0; i < 3; ++i) {
    const json_t *row = json_array_get(devices, i);
    EXPECT_STREQ(json_string_value(json_object_get(row, "name")), names[i]);
    EXPECT_GT(json_string_length(json_object_get(row, "about")), 8u);
  }
  EXPECT_TRUE(json_is_null(json_object_get(root, "cuda_missing")));
  EXPECT_EQ(std::string(json_string_value(json_object_get(root, "context"))).rfind("cuda:0", 0), 0u);
  size_t i;
  json_t *row;
  json_array_foreach(json_object_get(root, "schemes"), i, row) {
    for (const char *op : {"quantize", "dequantize", "repack", "fake-quantize"}) {
      const json_t *answer = json_object_get(json_object_get(row, "operations"), op);
      const std::string support = json_string_value(json_object_get(answer, "support"));
      const std::string scheme = json_string_value(json_object_get(row, "scheme"));
      EXPECT_GT(json_string_length(json_object_get(answer, "reason")), 5u) << scheme << ' ' << op;
      // What the CPU runs the device runs as well: "no" is only for fake quantization with given scales.
      if (support == "no") EXPECT_STREQ(op, "fake-quantize") << scheme;
    }
  }
  EXPECT_EQ(mfq_scheme_name(static_cast<int32_t>(i), nullptr), nullptr);
  json_decref(root);
}

TEST_F(Device, WithoutAGpuTheReasonIsSaid) {
  const std::string out = folder.file("out");
  const struct {
    const char *environment, *says;
  } rows[] = {{"MFQ_SIMT_DRIVER=none", "driver"},
              {"MFQ_SIMT_DEVICES=0", "device"},
              {"MFQ_SIMT_DRIVER=old", "driver"},
              {"MFQ_CUDA_MODULE=/nowhere/libmfq_cuda.so", "/nowhere/libmfq_cuda.so"}};
  for (const auto &row : rows) {
    SCOPED_TRACE(row.environment);
    const std::vector<std::string> says = {"cuda:0", row.says, "cpu"};
    EXPECT_TRUE(
        exits(mfq({"quantize", in, "-o", out, "-s", "int8_tensor", "--device", "cuda:0"}, {row.environment}), 4, says));
    EXPECT_TRUE(exits(mfq({"compare", in, in, "--device", "cuda:0"}, {row.environment}), 4, says));
    EXPECT_TRUE(exits(mfq({"caps", "--device", "cuda:0"}, {row.environment}), 4, says));
    Result caps = mfq({"caps"}, {row.environment}); // the CPU's own table, and why there is no other
    EXPECT_TRUE(exits(caps, 0));
    EXPECT_NE(caps.out.find("not here: "), std::string::npos) << caps.out.substr(0, 600);
    EXPECT_NE(caps.out.find(row.says), std::string::npos) << caps.out.substr(0, 600);
  }
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
}

TEST_F(Device, WrongNamesAreUsageErrors) {
  const std::string out = folder.file("out");
  for (const char *name : {"cuda:9", "cuda:", "gpu"})
    EXPECT_TRUE(exits(mfq({"quantize", in, "-o", out, "-s", "int8_tensor", "--device", name}), 2, {name})) << name;
}

TEST_F(Device, TooLittleMemoryNamesTheDevice) {
  const std::string out = folder.file("out");
  Result r = mfq({"quantize", in, "-o", out, "-s", "int8_tensor", "--device", "cuda:0"}, {"MFQ_SIMT_MEMORY=2100000"});
  EXPECT_TRUE(exits(r, 1, {"memory", "cuda:0"}));
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
}

} // namespace
