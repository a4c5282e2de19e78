// MFQ_CUDA_CAPABILITY: contexts take their device for a lesser one.
#include "support/device.h"
#include "support/environment.h"
#include "support/expect_failure.h"

namespace {

using namespace mfq_test;

constexpr const char *kVariable = "MFQ_CUDA_CAPABILITY";
const char *const levels[] = {"8.0", "8.6", "8.9", "9.0", "10.0", "12.0"};

mfq_status create() {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.device = device_name();
  mfq_context *context = nullptr;
  const mfq_status status = mfq_context_create(&options, &context);
  mfq_context_destroy(context);
  return status;
}

/* "9.0" as 90. */
int number_of(const std::string &level) { return std::stoi(level) * 10 + level.back() - '0'; }

class Capability : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (device() == nullptr) return;
    const Variable unset(kVariable, nullptr);
    whole_ = make_device_context();
    ASSERT_NE(whole_, nullptr) << mfq_last_error();
    const std::string text = described();
    own = std::stoi(text.substr(text.find(", sm_") + 5));
  }
  std::string described() const { return mfq_context_describe(whole_.get()); }
  /* The implementation of a convolution that every device from 8.0 on has a kernel of its own for. */
  static std::string convolves_by(mfq_context *context) {
    const mfq_scheme scheme = parse("mxfp8_e4m3");
    const int64_t shapes[3][4] = {{1, 8, 8, 64}, {64, 3, 3, 64}, {1, 8, 8, 64}};
    mfq_tensor tensors[3];
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(mfq_tensor_init(nullptr, MFQ_DTYPE_BF16, 4, shapes[i], &tensors[i]), MFQ_OK) << mfq_last_error();
    mfq_conv conv;
    mfq_conv_init(&conv);
    conv.layout = MFQ_CONV_CHANNELS_LAST;
    conv.padding[0] = conv.padding[1] = 1;
    conv.input.plain = &tensors[0];
    conv.input.quantize_to = &scheme;
    conv.weight.plain = &tensors[1];
    conv.result = &tensors[2];
    mfq_conv_plan *plan = nullptr;
    EXPECT_EQ(mfq_conv_plan_create(context, &conv, &plan), MFQ_OK) << mfq_last_error();
    const std::string text = mfq_conv_plan_describe(plan);
    mfq_conv_plan_destroy(plan);
    return text.substr(0, text.find(':'));
  }

  int own = 0; /* of the device */

private:
  Context whole_;
};

TEST_F(Capability, UnsetOrEmptyIsTheDevice) {
  EXPECT_EQ(described().find("taken as"), std::string::npos) << described();
  const Variable empty(kVariable, "");
  const Context context = make_device_context();
  ASSERT_NE(context, nullptr) << mfq_last_error();
  EXPECT_EQ(mfq_context_describe(context.get()), described());
}

TEST_F(Capability, LimitsTheDevice) {
  for (const char *level : levels) {
    if (number_of(level) > own) continue;
    const Variable limit(kVariable, level);
    const Context context = make_device_context();
    ASSERT_NE(context, nullptr) << mfq_last_error();
    EXPECT_EQ(mfq_context_describe(context.get()), described() + ", taken as " + level);
    EXPECT_EQ(convolves_by(context.get()), std::strcmp(level, "9.0") == 0 ? "warpgroups" : "implicit") << level;
  }
}

TEST_F(Capability, RefusesWhatIsNotThere) {
  std::vector<std::string> words = {"8", "8.00", " 8.0", "8.0 ", "7.5", "8.7", "80", "sm_80", "9.0a"};
  std::string allowed = "may be taken as:";
  for (const char *level : levels)
    if (number_of(level) > own)
      words.push_back(level);
    else
      allowed += std::string(" ") + level;
  for (const std::string &word : words) {
    const Variable limit(kVariable, word.c_str());
    EXPECT_TRUE(fails(create(), invalid,
                      {"mfq_context_create: the environment variable MFQ_CUDA_CAPABILITY is '" + word + "'; cuda:0",
                       allowed + "; unset it"}));
  }
}

// Contexts keep what they were made with.
TEST_F(Capability, CountsWhenAContextIsMade) {
  Context lesser;
  {
    const Variable limit(kVariable, "8.0");
    lesser = make_device_context();
  }
  ASSERT_NE(lesser, nullptr) << mfq_last_error();
  EXPECT_EQ(convolves_by(lesser.get()), "implicit");
}

} // namespace
