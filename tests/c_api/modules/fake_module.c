/* tests/c_api/modules/fake_module.c: what libmfq may find in the place of its CUDA module, by FAKE: 1 a module of
 * another version, 2 one of another build, 3 one that serves another copy of libmfq. Whoever opens one leaves a mark: a
 * byte more in the file that MFQ_FAKE_MARK names. */
#include <mfq/base.h>

#include <stdio.h>
#include <stdlib.h>

const void *mfq_cuda_module(const void *services);

__attribute__((constructor)) static void leave_mark(void) {
  const char *name = getenv("MFQ_FAKE_MARK");
  FILE *mark = name != NULL ? fopen(name, "ab") : NULL;
  if (mark == NULL) return;
  (void)fputc('x', mark);
  (void)fclose(mark);
}

/* The beginning of mfq_module, which is the same in every version. */
static const struct {
  const char *version;
  size_t bytes[8];
} fake = {FAKE == 1 ? "0.0.9" : MFQ_VERSION_STRING, {FAKE == 1 ? 0 : 16}};

MFQ_EXPORT const void *mfq_cuda_module(const void *services) {
  (void)services;
  return FAKE == 3 ? NULL : &fake;
}
