// Statistics on a device: the bits of the CPU.
#include "support/device.h"
#include "support/observed.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class Observe : public OnDevice {};

const char *const schemes[] = {"e4m3fn/f32",
                               "int8/channel@0/f32",
                               "e4m3fn/channel@-1/f32:given",
                               "mxfp8_e4m3/group:5",
                               "e2m1/group:4@0/bf16",
                               "e2m1/block:2x3/ue8m0",
                               "uint8/channel@1/f32/zp",
                               "brevitas:MXFloat8e4m3Act/group:7",
                               "int8/group:300/f32/stat:minmax/arith:brevitas"};
const Shape shapes[] = {{6, 40}, {3, 5, 7}, {2, 700}, {2, 3, 4, 5}, {64, 3}};

/* mfq_observe of operands on a device. */
std::vector<float> observed_on_device(mfq_context *context, const mfq_scheme &scheme, const mfq_observer &observer,
                                      const std::vector<Operand *> &operands, uint64_t *nans) {
  std::vector<std::unique_ptr<DeviceMemory>> memory;
  std::vector<mfq_tensor> sources;
  for (const Operand *o : operands) {
    memory.push_back(std::make_unique<DeviceMemory>(context, o->bytes.data(), o->bytes.size()));
    sources.push_back(o->at(memory.back()->data()));
  }
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  EXPECT_EQ(mfq_qtensor_init(&scheme, sources[0].rank, sources[0].shape, nullptr, &q), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_qtensor_sizes_get(&q, &sizes), MFQ_OK);
  const Shape shape(sizes.scale_shape, sizes.scale_shape + sizes.scale_rank);
  Operand values(MFQ_DTYPE_F32, shape);
  DeviceMemory to(context, nullptr, values.bytes.size()), count(context, nans, sizeof *nans);
  const mfq_tensor target = values.at(to.data());
  mfq_observation o;
  mfq_observation_init(&o);
  o.scheme = &scheme;
  o.observer = &observer;
  o.sources = sources.data();
  o.count = (int32_t)sources.size();
  o.values = &target;
  o.nans = static_cast<uint64_t *>(count.data());
  EXPECT_EQ(mfq_observe(context, &o), MFQ_OK) << mfq_last_error();
  std::vector<uint8_t> got = to.read(), counted = count.read();
  std::memcpy(nans, counted.data(), sizeof *nans);
  std::vector<float> result((size_t)sizes.scale_count);
  if (!result.empty()) std::memcpy(result.data(), got.data(), result.size() * sizeof(float));
  return result;
}

void compare(mfq_context *device, mfq_context *cpu, const mfq_scheme &scheme, const mfq_observer &observer,
             const std::vector<Operand *> &operands) {
  std::vector<mfq_tensor> here;
  for (Operand *o : operands) here.push_back(o->here());
  uint64_t nans = 7, nans_here = 7;
  const std::vector<float> want = observed(cpu, scheme, observer, here, &nans_here);
  const std::vector<float> got = observed_on_device(device, scheme, observer, operands, &nans);
  EXPECT_EQ(got.size(), want.size());
  EXPECT_EQ(std::memcmp(got.data(), want.data(), got.size() * sizeof(float)), 0)
      << testing::PrintToString(got) << " and on the CPU " << testing::PrintToString(want);
  EXPECT_EQ(nans, nans_here);
}

TEST_F(Observe, EveryStatisticOfEveryKindOfScale) {
  sample_between(
      {std::size(schemes), std::size(kObservers), std::size(shapes), 3, 3}, 80, 200,
      [&](const std::vector<size_t> &at) {
        const mfq_scheme scheme = parse(schemes[at[0]]);
        const Shape &shape = shapes[at[2]];
        SCOPED_TRACE(std::string(schemes[at[0]]) + ", " + kObservers[at[1]] + ", shape " +
                     testing::PrintToString(shape));
        Shape strides = dense_strides(shape);
        for (int64_t &s : strides) s *= at[3] == 1 ? -3 : 1;
        if (at[3] == 2) strides[0] = 0;
        Operand x(kDtypes[at[4]], shape, strides);
        x.fill_awkward((uint32_t)(at[0] + 31 * at[1] + 7 * at[2]), at[3] == 1);
        compare(device(), cpu(), scheme, observer_of(kObservers[at[1]]), {&x});
      });
}

/* Groups whose elements a few lanes share, the last one of a row cut short. */
TEST_F(Observe, GroupsAlongRows) {
  const char *const groups[] = {"int8/group:16/f32", "mxfp4_e2m1", "uint4/group:128/f32/zp",
                                "int8/group:512/f32:given"};
  const Shape rows[] = {{3, 160}, {2, 1045}, {2, 3, 33}, {1, 7}};
  sample({std::size(groups), std::size(kObservers), std::size(rows), 3}, 60, [&](const std::vector<size_t> &at) {
    const mfq_scheme scheme = parse(groups[at[0]]);
    SCOPED_TRACE(std::string(groups[at[0]]) + ", " + kObservers[at[1]] + ", shape " +
                 testing::PrintToString(rows[at[2]]));
    Operand x(kDtypes[at[3]], rows[at[2]]);
    x.fill_awkward((uint32_t)(at[0] + 31 * at[1] + 7 * at[2]), at[3] != 1);
    compare(device(), cpu(), scheme, observer_of(kObservers[at[1]]), {&x});
  });
}

TEST_F(Observe, TensorsThatShareTheirScales) {
  for (const char *const text : kObservers)
    for (const char *const scheme : {"int8/f32", "int8/channel@0/f32"}) {
      SCOPED_TRACE(std::string(text) + ", " + scheme);
      Operand a(MFQ_DTYPE_F32, {4, 6}), b(MFQ_DTYPE_BF16, {4, 700}), c(MFQ_DTYPE_F16, {4, 1});
      a.fill_awkward(1, true);
      b.fill_awkward(2, true);
      c.fill_awkward(3, true);
      compare(device(), cpu(), parse(scheme), observer_of(text), {&a, &b, &c});
    }
}

/* More scales than find room at once, all of them long. */
TEST_F(Observe, ManyLongScales) {
  const struct {
    const char *statistic;
    int64_t scales;
  } rows[] = {{"percentile:90", 5100}, {"sigma:2", 1300}};
  for (const auto &row : rows) {
    SCOPED_TRACE(row.statistic);
    Operand x(MFQ_DTYPE_BF16, {row.scales, 257});
    x.fill_awkward(4, true);
    if (is_set("MFQ_TEST_FEW")) continue;
    compare(device(), cpu(), parse("int8/channel@0/f32"), observer_of(row.statistic), {&x});
  }
}

} // namespace
