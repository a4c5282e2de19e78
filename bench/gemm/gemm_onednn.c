/* bench/gemm/gemm_onednn.c: the peer on the CPU: oneDNN's product. */
#include "bench/common/onednn_peer.h"
#include "gemm_bench.h"

#if !defined(MFQ_BENCH_ONEDNN)

void *gemm_onednn_create(const gemm_memory *memory, char *about) {
  (void)memory;
  return bench_onednn_missing(about);
}

#else

enum { SRC, WEIGHTS, DST };

static dnnl_status_t choose(const void *what, onednn_request *r) {
  (void)what;
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_matmul_primitive_desc_create(&r->implementation, r->engine, r->tensors[SRC], r->tensors[WEIGHTS], NULL,
                                           r->tensors[DST], NULL);
#else
  dnnl_matmul_desc_t operation;
  const dnnl_status_t status =
      dnnl_matmul_desc_init(&operation, r->tensors[SRC], r->tensors[WEIGHTS], NULL, r->tensors[DST]);
  return status == dnnl_success ? dnnl_primitive_desc_create(&r->implementation, &operation, NULL, r->engine, NULL)
                                : status;
#endif
}

/* B lies as n rows of k. */
void *gemm_onednn_create(const gemm_memory *m, char *about) {
  const gemm_size *s = &m->size;
  const onednn_problem problem = {
      .run = m->run,
      .tensors = {{&m->a, 2, {s->m, s->k}, {s->k, 1}, DNNL_ARG_SRC, dnnl_query_src_md, 0},
                  {&m->b, 2, {s->k, s->n}, {1, s->k}, DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 1},
                  {&m->d, 2, {s->m, s->n}, {s->n, 1}, DNNL_ARG_DST, dnnl_query_dst_md, 0}},
      .out = DST,
      .variants = 1,
      .told = {"B packed"},
      .types = {"bf16 x bf16", "f32 x f32"},
      .choose = choose};
  return bench_onednn_create(&problem, about);
}

#endif
