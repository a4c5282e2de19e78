/* bench/common/race.c: samples, in turn. */
#include "race.h"

static const double sample_seconds = 4e-3;
enum { MAX_LAUNCHES = 200 };

int bench_sample(mfq_context *context, bench_racer *racer, double *seconds) {
  bench_launches *all = &racer->launches;
  int code = bench_status(mfq_context_synchronize(context), "waiting");
  if (racer->before != NULL) racer->before(all->state);
  const double start = bench_seconds();
  if (code == BENCH_OK && racer->graph != NULL) {
    code = bench_graph_replay(racer->graph, seconds);
    *seconds /= all->count;
    return code;
  }
  for (int i = 0; code == BENCH_OK && i < all->count; ++i) code = all->launch(all->state, all->first++);
  if (code == BENCH_OK) code = bench_status(mfq_context_synchronize(context), "waiting");
  *seconds = (bench_seconds() - start) / all->count;
  return code;
}

void bench_calibrate(bench_racer *racer, double seconds) {
  const double wanted = seconds > 0 ? sample_seconds / seconds : 1;
  const int most = racer->most > 0 ? racer->most : MAX_LAUNCHES;
  racer->launches.count = wanted > most ? most : wanted < 1 ? 1 : (int)wanted;
}

int bench_warm(mfq_context *context, bench_racer *racer) {
  double seconds = 0;
  int code = bench_sample(context, racer, &seconds);
  if (code == BENCH_OK) code = bench_sample(context, racer, &seconds);
  bench_calibrate(racer, seconds);
  return code;
}

static void destroy_graphs(bench_racer *racers, int count) {
  for (int i = 0; i < count; ++i) {
    bench_graph_destroy(racers[i].graph);
    racers[i].graph = NULL;
  }
}

/* All or none: like is compared with like. */
static int capture(mfq_context *context, bench_racer *racers, int count) {
  int is_captured = 1;
  for (int i = 0; is_captured && i < count; ++i) {
    racers[i].graph = bench_graph_create(context, &racers[i].launches);
    is_captured = racers[i].graph != NULL;
  }
  if (!is_captured) destroy_graphs(racers, count);
  return is_captured;
}

int bench_race(mfq_context *context, bench_racer *racers, int count, int repetitions) {
  const int is_device = mfq_context_stream(context) != NULL;
  const char *timing = !is_device ? "host" : capture(context, racers, count) ? "graph" : "queue";
  int code = BENCH_OK, is_restless = !is_device;
  for (int i = 0; i < count; ++i) racers[i].timing = timing;
  for (int r = 0; code == BENCH_OK && r < repetitions; ++r)
    for (int i = 0; code == BENCH_OK && i < count; ++i) {
      if (is_restless) bench_rest();
      code = bench_sample(context, &racers[i], &racers[i].samples[r]);
      is_restless = !is_device && !racers[i].is_quiet;
    }
  destroy_graphs(racers, count);
  return code;
}

double bench_share(const bench_racer *peer, const bench_racer *racer, int repetitions, double *scratch) {
  for (int r = 0; r < repetitions; ++r) scratch[r] = peer->samples[r] / racer->samples[r];
  return bench_quantiles_of(scratch, repetitions).median;
}
