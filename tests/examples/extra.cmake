# The examples and benchmarks are run, not only built. Left out where programs are (sanitizers, cross builds).
function(mfq_add_program_test name)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  string(REGEX REPLACE "/.*" "" label "${name}")
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 120 ENVIRONMENT "OMP_WAIT_POLICY=passive")
endfunction()

set(sh sh "${CMAKE_CURRENT_LIST_DIR}")

if(TARGET example_round_trip)
  mfq_add_program_test(examples/round_trip example_round_trip)
  # By hand: 64 codes of 4 bits and 2 scales; 5 lies between 4 and 6, and ties go to the even code.
  set_tests_properties(examples/round_trip PROPERTIES PASS_REGULAR_EXPRESSION
                       "^256 bytes became 34, largest error 1\n$")
endif()

if(TARGET example_calibrate)
  # Rounding to the nearest code is off by half a step at most.
  mfq_add_program_test(examples/calibrate example_calibrate "${CMAKE_CURRENT_BINARY_DIR}")
  set_tests_properties(examples/calibrate PROPERTIES PASS_REGULAR_EXPRESSION
                       "^8 batches: scale 0\\.[0-9]+; elements up to [0-9.]+, those in range off by at most 0\\.50 steps\n$")
endif()

if(TARGET example_sweep AND TARGET mfq_command)
  set(model examples/data/digits_cnn.safetensors)
  mfq_add_program_test(examples/sweep ${sh}/sweep.sh $<TARGET_FILE:example_sweep> $<TARGET_FILE:mfq_command> ${model})
  mfq_add_program_test(examples/sweep_bad_scheme example_sweep ${model} --scheme mxfp9)
  set_tests_properties(examples/sweep_bad_scheme PROPERTIES PASS_REGULAR_EXPRESSION "^sweep: mxfp9: mfq_scheme_parse: ")
  mfq_add_program_test(examples/labels ${sh}/labels.sh)
endif()

if(TARGET example_digits_net)
  set(net sh "${CMAKE_CURRENT_LIST_DIR}/digits_net.sh" $<TARGET_FILE:example_digits_net> examples/data)
  mfq_add_program_test(examples/digits_net ${net})
  mfq_add_program_test(examples/digits_net_reproducible ${net} --reproducible --only Brevitas)
endif()

if(TARGET example_train_digits)
  foreach(what accuracy resume full)
    mfq_add_program_test(examples/train_digits_${what} ${sh}/train_digits.sh $<TARGET_FILE:example_train_digits>
                         $<TARGET_FILE:example_digits_net> examples/data ${what})
  endforeach()
  set_tests_properties(examples/train_digits_full PROPERTIES LABELS "examples;slow" TIMEOUT 1200 SKIP_RETURN_CODE 77)
endif()

if(TARGET example_train_text)
  foreach(what learns resume)
    mfq_add_program_test(examples/train_text_${what} ${sh}/train_text.sh $<TARGET_FILE:example_train_text>
                         examples/data/pentateuch.txt ${what})
  endforeach()
endif()

if(TARGET bench_gemm)
  mfq_add_program_test(bench/gemm sh "${CMAKE_CURRENT_LIST_DIR}/gemm_bench.sh" $<TARGET_FILE:bench_gemm>)
endif()

if(TARGET bench_conv)
  mfq_add_program_test(bench/conv sh "${CMAKE_CURRENT_LIST_DIR}/conv_bench.sh" $<TARGET_FILE:bench_conv>)
endif()

# What all of them do with their rows.
set(bench_rows python3 -B "${CMAKE_CURRENT_LIST_DIR}/bench_rows.py")
set(bench_rows_cast --rows 64 --cols 96 --filter "^(quantize|dequantize) (f32|bf16) mx(fp8_e4m3|int8)$")
set(bench_rows_gemm --shapes 4x48x64,8x16x32 --schemes bf16,mxfp4_e2m1)
set(bench_rows_conv --shapes 1x32x6x6-16x3x3 --schemes mxfp4_e2m1,bf16)
set(bench_rows_layer --blocks 33x64-48,1x32x5x5-16x1x1/16x3x3 --recipes none,mxfp8)
foreach(name cast gemm conv layer)
  if(TARGET bench_${name})
    mfq_add_program_test(bench/rows_${name} ${bench_rows} $<TARGET_FILE:bench_${name}> ${bench_rows_${name}})
  endif()
endforeach()

# Beside peers in f32: with AVX2 oneDNN has no bf16.
function(mfq_add_avx2_test name)
  mfq_add_program_test(${name} ${ARGN})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "OMP_WAIT_POLICY=passive;MFQ_CPU_ISA=avx2" LABELS "bench;isa"
                       SKIP_REGULAR_EXPRESSION "MFQ_CPU_ISA is 'avx2'; this machine and build have")
endfunction()
if(TARGET bench_gemm AND TARGET mfq_dnnl AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  mfq_add_avx2_test(bench/gemm@avx2 bench_gemm --shapes 40x70x96 --schemes mxfp8_e4m3 --out bf16 --repetitions 3)
  set_tests_properties(bench/gemm@avx2 PROPERTIES PASS_REGULAR_EXPRESSION
                       "Peer: oneDNN [^\n]* f32 x f32 \\(it has no bf16 here\\)[^\n]*: [0-9.]+ ms")
  mfq_add_avx2_test(bench/conv@avx2 bench_conv --verify --shapes 1x16x5x5-16x3x3 --schemes mxfp8_e4m3)
  set_tests_properties(bench/conv@avx2 PROPERTIES FAIL_REGULAR_EXPRESSION "not compared" PASS_REGULAR_EXPRESSION
                       "Peers\n  A oneDNN [^\n]*, f32 \\(it has no bf16 here\\), ")
endif()

if(TARGET bench_produce)
  mfq_add_program_test(bench/produce bench_produce --verify --filter "(f32|bf16) (bf16|mxfp8-both|nvfp4-both)\$")
endif()
if(TARGET bench_cast)
  mfq_add_program_test(bench/torch_peer ${sh}/torch_peer.sh bench/peers/torch_peer.py)
  mfq_add_program_test(bench/fake_peers python3 -B "${CMAKE_CURRENT_LIST_DIR}/fake_peers.py" $<TARGET_FILE:mfq>
                       bench/peers/fake_quantize.py)
  # Both names of ggml's shared objects are one file: it is loaded once.
  set(fake_ggml "${CMAKE_CURRENT_BINARY_DIR}/fake_ggml")
  add_library(fake_ggml MODULE "${CMAKE_CURRENT_LIST_DIR}/fake_ggml.c")
  set_target_properties(fake_ggml PROPERTIES OUTPUT_NAME ggml-base LIBRARY_OUTPUT_DIRECTORY "${fake_ggml}"
                                             C_VISIBILITY_PRESET default)
  add_custom_command(TARGET fake_ggml POST_BUILD COMMAND ${CMAKE_COMMAND} -E create_symlink libggml-base.so
                                                         "${fake_ggml}/libggml-cpu.so")
  mfq_add_program_test(bench/race_peers python3 -B "${CMAKE_CURRENT_LIST_DIR}/race_peers.py" $<TARGET_FILE:mfq> bench/peers
                       "${fake_ggml}")
  # Full size for nothing: only the comparison of both paths is wanted here.
  mfq_add_program_test(bench/cast bench_cast --verify --filter "f32|dequantize|both")
  mfq_add_program_test(bench/cast_gate sh "${CMAKE_CURRENT_LIST_DIR}/gate.sh" $<TARGET_FILE:bench_cast>)
endif()

if(TARGET bench_optimizer)
  mfq_add_program_test(bench/optimizer bench_optimizer --verify)
endif()

# The probe on the emulated device, compiled as the module is (device.cmake).
if(TARGET mfq_simt AND MFQ_BUILD_PROGRAMS AND JANSSON_FOUND AND POPT_FOUND)
  set_source_files_properties(${mfq_probe_sources} PROPERTIES LANGUAGE CXX)
  add_executable(bench_probe_simt ${mfq_probe_sources})
  target_include_directories(bench_probe_simt BEFORE PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/simt/toolkit"
                             "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
  target_compile_definitions(bench_probe_simt PRIVATE MFQ_CUBLASLT_FILES="$<TARGET_FILE:mfq_simt>")
  target_compile_options(bench_probe_simt PRIVATE -Wno-unknown-pragmas)
  target_link_libraries(bench_probe_simt PRIVATE mfq_numerics mfq_warnings mfq_simt PkgConfig::JANSSON PkgConfig::POPT)
  set_target_properties(bench_probe_simt PROPERTIES CXX_STANDARD 20)
  find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
  mfq_add_program_test(bench/probe Python3::Interpreter -B "${CMAKE_CURRENT_LIST_DIR}/probe.py"
                       $<TARGET_FILE:bench_probe_simt> "${CMAKE_CURRENT_BINARY_DIR}")
  set_tests_properties(bench/probe PROPERTIES LABELS "bench;device")
endif()

# On the emulated device. Without one the example says why and exits with 77: an empty name leaves CUDA out.
if(TARGET mfq_cuda_simt)
  set(emulated "OMP_WAIT_POLICY=passive;MFQ_CUDA_MODULE=$<TARGET_FILE:mfq_cuda_simt>")
  if(TARGET example_cuda_quantize)
    mfq_add_program_test(examples/cuda_quantize example_cuda_quantize)
    set_tests_properties(examples/cuda_quantize PROPERTIES ENVIRONMENT "${emulated}" LABELS "examples;device"
                         PASS_REGULAR_EXPRESSION "^cuda:0, [^\n]*\n32768 bytes became 16896, largest error [0-9.]+\n$")
  endif()
  if(TARGET bench_cast)
    mfq_add_program_test(bench/cast_device sh "${CMAKE_CURRENT_LIST_DIR}/bench_device.sh" $<TARGET_FILE:bench_cast>)
    set_tests_properties(bench/cast_device PROPERTIES ENVIRONMENT "${emulated}" LABELS "bench;device")
  endif()
  foreach(name cast gemm conv layer)
    if(TARGET bench_${name})
      mfq_add_program_test(bench/rows_${name}_device ${bench_rows} $<TARGET_FILE:bench_${name}> --device cuda:0
                           ${bench_rows_${name}})
      set_tests_properties(bench/rows_${name}_device PROPERTIES LABELS "bench;device" ENVIRONMENT
                           "${emulated};MFQ_CUDA_DRIVER=$<TARGET_FILE:mfq_simt>;MFQ_CUDNN=$<TARGET_FILE:mfq_simt>")
    endif()
  endforeach()
  if(TARGET example_digits_net)
    mfq_add_program_test(examples/digits_net_device ${net} --device cuda:0 --digits 60 --only Brevitas)
    mfq_add_program_test(examples/digits_net_device_schemes ${net} --device cuda:0 --digits 3)
    set_tests_properties(examples/digits_net_device examples/digits_net_device_schemes
                         PROPERTIES ENVIRONMENT "${emulated}" LABELS "examples;device")
  endif()
  if(TARGET bench_conv)
    mfq_add_program_test(bench/conv_device sh "${CMAKE_CURRENT_LIST_DIR}/conv_bench.sh" $<TARGET_FILE:bench_conv>
                         --device cuda:0)
    set_tests_properties(bench/conv_device PROPERTIES ENVIRONMENT "${emulated}" LABELS "bench;device")
  endif()
  if(TARGET bench_gemm)
    mfq_add_program_test(bench/gemm_device sh "${CMAKE_CURRENT_LIST_DIR}/gemm_bench.sh" $<TARGET_FILE:bench_gemm>
                         --device cuda:0)
    set_tests_properties(bench/gemm_device PROPERTIES ENVIRONMENT "${emulated}" LABELS "bench;device")
  endif()
endif()
if(TARGET example_cuda_quantize)
  mfq_add_program_test(examples/cuda_quantize_without sh -c "'$<TARGET_FILE:example_cuda_quantize>' && exit 1 || test $? -eq 77")
  set_tests_properties(examples/cuda_quantize_without PROPERTIES ENVIRONMENT "MFQ_CUDA_MODULE=")
endif()

if(TARGET example_linear)
  mfq_add_program_test(examples/linear example_linear)
  set_tests_properties(examples/linear PROPERTIES PASS_REGULAR_EXPRESSION "\ny\\[0\\]\\[0\\] = 0\\.109, y\\[7\\]\\[63\\] = 1\\.286\n$")
  if(TARGET mfq_cuda_simt)
    mfq_add_program_test(examples/linear_device example_linear cuda:0)
    set_tests_properties(examples/linear_device PROPERTIES ENVIRONMENT "${emulated}" LABELS "examples;device"
                         PASS_REGULAR_EXPRESSION "\ny\\[0\\]\\[0\\] = 0\\.109, y\\[7\\]\\[63\\] = 1\\.286\n$")
  endif()
endif()

if(TARGET example_tutorial)
  set(tutorial sh "${CMAKE_CURRENT_LIST_DIR}/tutorial.sh" $<TARGET_FILE:example_tutorial>)
  mfq_add_program_test(examples/tutorial ${tutorial})
  if(TARGET mfq_cuda_simt)
    mfq_add_program_test(examples/tutorial_device ${tutorial} cuda:0)
    set_tests_properties(examples/tutorial_device PROPERTIES ENVIRONMENT "${emulated}" LABELS "examples;device")
  endif()
endif()
