// mfq_struct_bytes: what the library says of a struct is what C and C++ make of its declaration.
#include <mfq/mfq.h>

#include <string>

#include "support/expect_failure.h"

extern "C" const size_t struct_bytes_in_c[]; // struct_bytes_c.c

namespace {

struct Declared {
  const char *name;
  size_t bytes;
};

#define STRUCT(name) {#name, sizeof(name)},
const Declared declared[] = {
#include "struct_bytes.def"
};

TEST(StructBytes, AreThoseOfCAndOfCxx) {
  size_t i = 0;
  for (const Declared &d : declared) {
    size_t bytes = 0;
    ASSERT_EQ(mfq_struct_bytes(d.name, &bytes), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(bytes, d.bytes) << d.name;
    EXPECT_EQ(bytes, struct_bytes_in_c[i++]) << d.name;
  }
}

TEST(StructBytes, Misuse) {
  size_t bytes = 77;
  EXPECT_TRUE(fails(mfq_struct_bytes(nullptr, &bytes), invalid, {"mfq_struct_bytes: name is NULL"}));
  EXPECT_TRUE(fails(mfq_struct_bytes("mfq_tensor", nullptr), invalid, {"bytes is NULL"}));
  EXPECT_TRUE(fails(mfq_struct_bytes("mfq_tenser", &bytes), invalid,
                    {"name is \"mfq_tenser\"; version " MFQ_VERSION_STRING " has mfq_format, mfq_format_info, ",
                     ", mfq_optimizer_memory, mfq_optimizer_part; did you mean \"mfq_tensor\"?"}));
  EXPECT_TRUE(fails(mfq_struct_bytes("", &bytes), invalid, {"name is \"\"; "}));
  EXPECT_TRUE(fails(mfq_struct_bytes(std::string(5000, 'x').c_str(), &bytes), invalid, {"xxx", "mfq_conv"}));
  EXPECT_EQ(bytes, 77u);
}

} // namespace
