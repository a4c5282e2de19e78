/* bench/support/device_graph.c: the few functions of the CUDA driver that capture, replay and time. */
#define _POSIX_C_SOURCE 200809L
#include "device_graph.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { DRIVER_SUCCESS = 0, CAPTURE_RELAXED = 2 }; /* CUresult, CUstreamCaptureMode */

/* Contexts, graphs and events are opaque pointers. */
typedef struct driver_calls {
  int (*stream_context)(mfq_stream stream, void **context);
  int (*set_context)(void *context);
  int (*begin)(mfq_stream stream, int mode);
  int (*end)(mfq_stream stream, void **graph);
  int (*instantiate)(void **exec, void *graph, unsigned long long flags);
  int (*launch)(void *exec, mfq_stream stream);
  int (*destroy_exec)(void *exec);
  int (*destroy_graph)(void *graph);
  int (*create_event)(void **event, unsigned flags);
  int (*record)(void *event, mfq_stream stream);
  int (*wait)(void *event);
  int (*elapsed)(float *milliseconds, void *start, void *end);
  int (*destroy_event)(void *event);
} driver_calls;

struct bench_graph {
  const driver_calls *driver;
  mfq_stream stream;
  void *exec, *start, *end;
};

/* Opened once, never closed. NULL where it is not there. An emulated device's streams are not the real driver's. */
static const driver_calls *open_driver(const mfq_context *context) {
  static driver_calls calls;
  static int is_open = -1;
  const struct {
    const char *name;
    void *function;
  } all[] = {{"cuStreamGetCtx", &calls.stream_context},
             {"cuCtxSetCurrent", &calls.set_context},
             {"cuStreamBeginCapture_v2", &calls.begin},
             {"cuStreamEndCapture", &calls.end},
             {"cuGraphInstantiateWithFlags", &calls.instantiate},
             {"cuGraphLaunch", &calls.launch},
             {"cuGraphExecDestroy", &calls.destroy_exec},
             {"cuGraphDestroy", &calls.destroy_graph},
             {"cuEventCreate", &calls.create_event},
             {"cuEventRecord", &calls.record},
             {"cuEventSynchronize", &calls.wait},
             {"cuEventElapsedTime", &calls.elapsed},
             {"cuEventDestroy_v2", &calls.destroy_event}};
  if (is_open >= 0) return is_open ? &calls : NULL;
  const char *file = getenv("MFQ_CUDA_DRIVER");
  const int is_wanted = file != NULL || !bench_is_emulated(context);
  void *library = is_wanted ? dlopen(file != NULL ? file : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL) : NULL;
  is_open = library != NULL;
  for (size_t i = 0; is_open && i < sizeof all / sizeof all[0]; i++) {
    void *symbol = dlsym(library, all[i].name);
    memcpy(all[i].function, &symbol, sizeof symbol);
    is_open = symbol != NULL;
  }
  return is_open ? &calls : NULL;
}

/* NULL where a launch fails or cannot be captured. The capture ends in any case. */
static void *capture(const driver_calls *d, mfq_stream stream, const bench_launches *launches) {
  void *graph = NULL;
  int code = BENCH_OK;
  if (d->begin(stream, CAPTURE_RELAXED) != DRIVER_SUCCESS) return NULL;
  for (int i = 0; code == BENCH_OK && i < launches->count; i++)
    code = launches->launch(launches->state, launches->first + i);
  if (d->end(stream, &graph) != DRIVER_SUCCESS) return NULL;
  if (code == BENCH_OK) return graph;
  (void)d->destroy_graph(graph);
  return NULL;
}

bench_graph *bench_graph_create(mfq_context *context, const bench_launches *launches) {
  const driver_calls *d = open_driver(context);
  void *graph = NULL, *current = NULL;
  double unused;
  bench_graph *g = d != NULL ? calloc(1, sizeof *g) : NULL;
  if (g == NULL) return NULL;
  g->driver = d;
  g->stream = mfq_context_stream(context);
  int is_made = d->stream_context(g->stream, &current) == DRIVER_SUCCESS && d->set_context(current) == DRIVER_SUCCESS;
  if (is_made) graph = capture(d, g->stream, launches);
  is_made = graph != NULL && d->instantiate(&g->exec, graph, 0) == DRIVER_SUCCESS &&
            d->create_event(&g->start, 0) == DRIVER_SUCCESS && d->create_event(&g->end, 0) == DRIVER_SUCCESS;
  if (graph != NULL) (void)d->destroy_graph(graph);
  if (is_made && bench_graph_replay(g, &unused) == BENCH_OK) return g;
  bench_graph_destroy(g);
  return NULL;
}

int bench_graph_replay(bench_graph *g, double *seconds) {
  const driver_calls *d = g->driver;
  float milliseconds = 0;
  int status = d->record(g->start, g->stream);
  if (status == DRIVER_SUCCESS) status = d->launch(g->exec, g->stream);
  if (status == DRIVER_SUCCESS) status = d->record(g->end, g->stream);
  if (status == DRIVER_SUCCESS) status = d->wait(g->end);
  if (status == DRIVER_SUCCESS) status = d->elapsed(&milliseconds, g->start, g->end);
  *seconds = 1e-3 * (double)milliseconds;
  if (status == DRIVER_SUCCESS) return BENCH_OK;
  return bench_error(BENCH_FAILED, "replaying launches as a graph: the driver answers with its error %d", status);
}

void bench_graph_destroy(bench_graph *g) {
  if (g == NULL) return;
  if (g->exec != NULL) (void)g->driver->destroy_exec(g->exec);
  if (g->start != NULL) (void)g->driver->destroy_event(g->start);
  if (g->end != NULL) (void)g->driver->destroy_event(g->end);
  free(g);
}
