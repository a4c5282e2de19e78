/* bench/common/device_graph.c: launches as a CUDA graph, by the driver, which is opened at run time (libcuda.so.1;
 * MFQ_CUDA_DRIVER names another file). The few functions that capture, replay and time are declared here: its header is
 * rarely installed where only the library is used. */
#define _POSIX_C_SOURCE 200809L
#include "race.h"

#include <dlfcn.h>
#include <stdlib.h>

enum { DRIVER_SUCCESS = 0, DRIVER_UNKNOWN = 999 }; /* CUresult */
enum { CAPTURE_RELAXED = 2 };                      /* CUstreamCaptureMode */

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

/* Opened once, never closed. */
static int open_driver(driver_calls *calls) {
  const bench_function all[] = {{"cuStreamGetCtx", &calls->stream_context},
                                {"cuCtxSetCurrent", &calls->set_context},
                                {"cuStreamBeginCapture_v2", &calls->begin},
                                {"cuStreamEndCapture", &calls->end},
                                {"cuGraphInstantiateWithFlags", &calls->instantiate},
                                {"cuGraphLaunch", &calls->launch},
                                {"cuGraphExecDestroy", &calls->destroy_exec},
                                {"cuGraphDestroy", &calls->destroy_graph},
                                {"cuEventCreate", &calls->create_event},
                                {"cuEventRecord", &calls->record},
                                {"cuEventSynchronize", &calls->wait},
                                {"cuEventElapsedTime", &calls->elapsed},
                                {"cuEventDestroy_v2", &calls->destroy_event}};
  const char *file = getenv("MFQ_CUDA_DRIVER");
  void *library = dlopen(file != NULL ? file : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  const int has_all = library != NULL && bench_take_functions(library, all, (int)(sizeof all / sizeof all[0]));
  if (!has_all) (void)bench_error(BENCH_FAILED, "launches are queued, not captured into graphs: %s", dlerror());
  return has_all;
}

/* NULL where it is not there. An emulated device's streams are not the real driver's. */
static const driver_calls *driver_for(const mfq_context *context) {
  static driver_calls calls;
  static int is_open = -1;
  if (is_open < 0) is_open = (getenv("MFQ_CUDA_DRIVER") != NULL || !bench_is_emulated(context)) && open_driver(&calls);
  return is_open ? &calls : NULL;
}

/* The capture ends in any case. */
static int capture(const bench_graph *g, const bench_launches *launches, void **graph) {
  const driver_calls *d = g->driver;
  int code = BENCH_OK, status = d->begin(g->stream, CAPTURE_RELAXED);
  if (status != DRIVER_SUCCESS) return status;
  for (int i = 0; code == BENCH_OK && i < launches->count; ++i)
    code = launches->launch(launches->state, launches->first + i);
  status = d->end(g->stream, graph);
  return status == DRIVER_SUCCESS && code != BENCH_OK ? DRIVER_UNKNOWN : status;
}

bench_graph *bench_graph_create(mfq_context *context, const bench_launches *launches) {
  const driver_calls *d = driver_for(context);
  void *graph = NULL, *current = NULL;
  double unused;
  bench_graph *g = d != NULL ? calloc(1, sizeof *g) : NULL;
  if (g == NULL) return NULL;
  *g = (bench_graph){.driver = d, .stream = mfq_context_stream(context)};
  int status = d->stream_context(g->stream, &current);
  if (status == DRIVER_SUCCESS) status = d->set_context(current);
  if (status == DRIVER_SUCCESS) status = capture(g, launches, &graph);
  if (status == DRIVER_SUCCESS) status = d->instantiate(&g->exec, graph, 0);
  if (status == DRIVER_SUCCESS) status = d->create_event(&g->start, 0);
  if (status == DRIVER_SUCCESS) status = d->create_event(&g->end, 0);
  if (graph != NULL) (void)d->destroy_graph(graph);
  if (status == DRIVER_SUCCESS && bench_graph_replay(g, &unused) == BENCH_OK) return g;
  (void)bench_error(BENCH_FAILED, "launches are queued, they cannot be captured into a graph: CUresult %d", status);
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
