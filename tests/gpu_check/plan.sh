# What a rehearsal asks of the emulated device: every kind of step of bench/gpu/plan.sh once, small. MFQ_REHEARSE is a
# test program of standins/ that does what it should not.
asked place
caps 60
if [ -z "${MFQ_REHEARSE:-}" ]; then
  asked probe
  probe descriptors 60 --quick --only 1
  probe launches 60 --quick --only 5
fi
asked bytes
tests 40 device_random skips
asked speed
bench cast 60 bench_cast -r 1 --rows 64 --cols 256 --filter '^(quantize|dequantize) bf16 mxfp8_e4m3$'
bench gemm 60 bench_gemm -r 1 --schemes mxfp8_e4m3 --shapes 32x64x128 --filter quantized
if [ -n "${MFQ_REHEARSE:-}" ]; then
  asked trouble
  tests 3 "$MFQ_REHEARSE" passes
fi
asked memory
sanitize 60
asked peer
peer 20
asked rest
bench conv 60 bench_conv -r 1 --schemes mxfp8_e4m3 --shapes 1x16x5x5-16x3x3
asked lost
tests 20 device_api_lost
