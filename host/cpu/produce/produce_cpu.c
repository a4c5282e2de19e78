/* host/cpu/produce/produce_cpu.c: the ways of producers. */
#include "host/core/problem/produce_problem.h"
#include "host/cpu/cpu_state.h"

static mfq_status plan_nothing(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  (void)context;
  (void)problem;
  (void)choice;
  return mfq_refuse(why, "producers are not offered on this device");
}

static const mfq_way general = {"reference", plan_nothing, NULL, NULL};

const mfq_ways mfq_cpu_producers = {.create = "mfq_norm_forward", .ways = {&general}};
