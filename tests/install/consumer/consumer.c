/* Quantizes 64 floats that MXFP8 holds exactly and reads them back. The argument is the version that is expected. */
#include <mfq/mfq.h>
#ifdef WITH_IO
#include <mfq/io.h>
#endif
#include <stdio.h>
#include <string.h>

enum { COUNT = 64, GROUP = 32 };

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, mfq_last_error());
  return 1;
}

static int round_trip(mfq_context *context) {
  float values[COUNT], restored[COUNT];
  unsigned char codes[COUNT], scales[COUNT / GROUP];
  const int64_t shape[1] = {COUNT};
  for (int i = 0; i < COUNT; ++i) {
    values[i] = (float)(i % 15) * (i < GROUP ? 1.0f : -0.25f);
    restored[i] = -1.0f;
  }
  mfq_scheme scheme;
  mfq_tensor src, dst;
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  if (mfq_scheme_parse("mxfp8_e4m3", &scheme) || mfq_tensor_init(values, MFQ_DTYPE_F32, 1, shape, &src) ||
      mfq_tensor_init(restored, MFQ_DTYPE_F32, 1, shape, &dst) || mfq_qtensor_init(&scheme, 1, shape, NULL, &q) ||
      mfq_qtensor_sizes_get(&q, &sizes))
    return fail("describing");
  if (sizes.codes_bytes != sizeof codes || sizes.scales_bytes != sizeof scales) {
    fprintf(stderr, "%zu bytes of codes and %zu of scales\n", sizes.codes_bytes, sizes.scales_bytes);
    return 1;
  }
  q.codes = codes;
  q.scales = scales;
  if (mfq_quantize(context, &src, &q, NULL) || mfq_dequantize(context, &q, &dst)) return fail("quantizing");
  for (int i = 0; i < COUNT; ++i) {
    if (restored[i] != values[i]) {
      fprintf(stderr, "element %d: %g became %g\n", i, (double)values[i], (double)restored[i]);
      return 1;
    }
  }
  return 0;
}

int main(int argc, char **argv) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  mfq_context *context = NULL;
  if (mfq_context_create(&options, &context)) return fail("creating a context");
  int status = round_trip(context);
  mfq_context_destroy(context);
  printf("mfq %s\n", mfq_version());
  if (argc != 2 || strcmp(mfq_version(), argv[1]) != 0) {
    fprintf(stderr, "expected version %s\n", argc == 2 ? argv[1] : "as the argument");
    status = 1;
  }
#ifdef WITH_IO
  mfq_reader *reader = NULL;
  if (mfq_reader_open("/no/such/file", &reader) != MFQ_ERROR_NOT_FOUND) {
    fprintf(stderr, "a missing file: %s\n", mfq_io_last_error());
    mfq_reader_close(reader);
    status = 1;
  }
#endif
  return status;
}
