/* bench/support/race.c: samples, in turn. */
#include "race.h"

static const double sample_seconds = 4e-3;
enum { MAX_LAUNCHES = 200 };

int bench_sample(mfq_context *context, bench_racer *racer, double *seconds) {
  int code = bench_status(mfq_context_synchronize(context), "waiting");
  const double start = bench_seconds();
  for (int i = 0; code == BENCH_OK && i < racer->launches; i++) code = racer->launch(racer->state, racer->turn++);
  if (code == BENCH_OK) code = bench_status(mfq_context_synchronize(context), "waiting");
  *seconds = (bench_seconds() - start) / racer->launches;
  return code;
}

void bench_calibrate(bench_racer *racer, double seconds) {
  const double wanted = seconds > 0 ? sample_seconds / seconds : 1;
  racer->launches = wanted > MAX_LAUNCHES ? MAX_LAUNCHES : wanted < 1 ? 1 : (int)wanted;
}

int bench_race(mfq_context *context, bench_racer *racers, int count, int repetitions) {
  int code = BENCH_OK;
  for (int r = 0; code == BENCH_OK && r < repetitions; r++)
    for (int i = 0; code == BENCH_OK && i < count; i++) {
      if (mfq_context_stream(context) == NULL) bench_rest(); /* on the CPU */
      code = bench_sample(context, &racers[i], &racers[i].samples[r]);
    }
  return code;
}

double bench_share(const bench_racer *peer, const bench_racer *racer, int repetitions, double *scratch) {
  for (int r = 0; r < repetitions; r++) scratch[r] = peer->samples[r] / racer->samples[r];
  return bench_quantiles_of(scratch, repetitions).median;
}
