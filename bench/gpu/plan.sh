# bench/gpu/plan.sh, sourced by check.sh: what is asked of a GPU, in the order of what an answer is worth for its time.
# A step's limit is for a hang or a fault. What each group takes by estimate, on 16 processors and an H200, stands at it
# in seconds: a wait 20 us, a launch 5 us, an allocation 0.2 ms, the start of a process 2 s, and what the host computes,
# as counted on the emulated device (MFQ_SIMT_REPORT=1); 480 in all.

# Which ways does the library see here? 3
asked place
caps 20

# What no emulator can say. 25
asked probe
probe descriptors 20 --only 1
probe copies 20 --only 4
probe cublaslt 60 --only 6
probe ceilings 30 --only 3
probe gathering 20 --only 2
probe launches 20 --only 5

# The right bytes, by a program for each family of kernels. 10
asked bytes
tests 60 device_values device_quantize_row device_quantize_col device_quantize_both device_quantize_square \
  device_shared_scales device_rotation device_scale_settings device_dequantize device_repack device_fake_quantize \
  device_fake_gradient device_mask device_expand device_search device_observe device_collect device_embedding \
  device_produce device_gemm_native device_gemm_folded device_gemm_weight_rows device_gemm_expanded device_gemm_tile \
  device_gemm_groups device_gemm_general device_conv_wgmma device_conv_implicit device_conv_depthwise \
  device_conv_unfolded device_conv_general device_layer device_optimizer

# How fast, a family a process: a wrong row or a fault costs no other family. 110
asked speed
casts='^(quantize|quantize-axis0|quantize-both|dequantize) (bf16|f32)'
bench cast_mx 25 bench_cast -r 7 --filter "$casts (mxfp8_e4m3|mxfp4_e2m1)\$"
bench cast_tensors 25 bench_cast -r 7 --filter "$casts (nvfp4|fp8_e4m3_tensor|int8_channel)\$"
products=1x8192x8192,16x8192x8192,512x8192x8192,8192x8192x8192
bench gemm_fp8_tensor 25 bench_gemm -r 7 --shapes "$products" --schemes bf16,fp8_e4m3_tensor
bench gemm_fp8_channel 25 bench_gemm -r 7 --shapes "$products" --schemes fp8_e4m3_channel
bench gemm_mxfp8 25 bench_gemm -r 7 --shapes "$products" --schemes mxfp8_e4m3
bench gemm_mxfp4 25 bench_gemm -r 7 --shapes "$products" --schemes mxfp4_e2m1
bench gemm_nvfp4 25 bench_gemm -r 7 --shapes "$products" --schemes nvfp4
bench gemm_int4 25 bench_gemm -r 7 --shapes "$products" --schemes int4_group128
bench conv_64x56 25 bench_conv -r 7 --shapes 64x64x56x56-64x3x3
bench conv_256x14 25 bench_conv -r 7 --shapes 64x256x14x14-256x3x3
bench conv_1x1 25 bench_conv -r 7 --shapes 64x512x28x28-128x1x1
bench conv_depthwise 25 bench_conv -r 7 --shapes 64x96x56x56-96x7x7g96
bench conv_320x64 25 bench_conv -r 7 --shapes 8x320x64x64-320x3x3
bench optimizer 25 bench_optimizer -r 7 --filter '^adamw f32 (f32|int8) (none|both|square)$'
bench layer_linear 25 bench_layer -r 5 --out bf16 --blocks 4096x4096-4096
bench layer_bottleneck 25 bench_layer -r 5 --out bf16 --blocks 32x1024x14x14-256x1x1/256x3x3/1024x1x1

# The peer of Python. 25
asked peers
peer 40

# Accesses outside of buffers, races, reads of what nothing wrote. 60
asked memory
sanitize 60

# Everything else that has right bytes, and once more as the GPUs that this one can stand in for. 20
asked rest
tests 60 device_arena device_brevitas device_strides device_random device_random_calls device_random_products \
  device_top_binade device_run_twice device_streams device_paths_of_calls device_produce_paths device_produce_slow \
  device_huge_sizes device_large_slow device_gemm_cases device_gemm_capture device_conv_cases device_conv_capture \
  device_conv_workspace device_api_capability device_api_context device_api_cublaslt device_api_memory \
  device_gemm_cases@8.0 device_gemm_cases@8.9 device_conv_cases@8.0
tests 30 device_graph_capture # alone: it counts the free memory of the GPU

# Every scheme, product and layer, as far as time goes. 225
asked all
reserve=12 # for what stands behind
bench cast_all 80 bench_cast -r 5
bench gemm_all 80 bench_gemm -r 5
bench conv_all 85 bench_conv -r 5

# The test after which the process has no device. 3
asked lost
reserve=0
tests 10 device_api_lost
