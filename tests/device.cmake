# The CUDA backend's sources compiled as C++ for the CPU, and the tests that run on a device, emulated or real.
option(MFQ_TEST_GPU "Run the tests of device/ and device_api/ on the machine's GPU too" OFF)

file(GLOB simt_sources CONFIGURE_DEPENDS simt/*.cc)
list(FILTER simt_sources EXCLUDE REGEX "_test\\.cc$")
find_path(MFQ_BOOST_CONTEXT boost/context/detail/fcontext.hpp)
set(why "")
if(CMAKE_CROSSCOMPILING)
  set(why "not emulated in a cross build")
elseif(NOT MFQ_BOOST_CONTEXT)
  set(why "no Boost.Context (Debian: libboost-context-dev)")
endif()
if(NOT simt_sources)
  message(STATUS "mfq: leaving out the emulated CUDA backend: tests/simt has no sources")
elseif(NOT why)
  include(simt/simt.cmake)
elseif(CMAKE_CROSSCOMPILING OR MFQ_TEST_GPU)
  message(STATUS "mfq: leaving out the emulated CUDA backend: ${why}")
else()
  mfq_leave_out("the emulated CUDA backend" "${why}")
endif()

if(TARGET mfq_simt AND mfq_cuda_sources)
  # This folder's own view of the sources: cmake/cuda.cmake gives the same files to nvcc.
  set_source_files_properties(${mfq_cuda_sources} PROPERTIES LANGUAGE CXX)
  add_library(mfq_cuda_simt MODULE ${mfq_cuda_sources} ${mfq_cuda_core_sources})
  target_include_directories(mfq_cuda_simt BEFORE PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/simt/toolkit"
                             "${PROJECT_SOURCE_DIR}/include")
  # The emulator is its cuBLASLt too (simt/cublaslt_standin.h).
  target_compile_definitions(mfq_cuda_simt PRIVATE MFQ_SIMT MFQ_CUBLASLT_FILES="$<TARGET_FILE:mfq_simt>")
  # `#pragma unroll`; sizes made of constants of several enumerations, as in C and in nvcc.
  target_compile_options(mfq_cuda_simt PRIVATE -Wno-unknown-pragmas
                         $<$<COMPILE_LANGUAGE:CXX>:-Wno-deprecated-enum-enum-conversion>)
  target_link_libraries(mfq_cuda_simt PRIVATE mfq_numerics mfq_warnings mfq_simt)
  set_target_properties(mfq_cuda_simt PROPERTIES CXX_STANDARD 20 CXX_VISIBILITY_PRESET hidden)
  if(MFQ_SANITIZE) # whose symbols the program brings
    list(REMOVE_ITEM mfq_cuda_link_options -Wl,--no-undefined)
  endif()
  target_link_options(mfq_cuda_simt PRIVATE ${mfq_cuda_link_options})
endif()

# CTest `device/<subject>` runs on the emulated device; `gpu/<subject>`, if asked for, on the real one, from the same
# source compiled with the real toolkit's headers.
function(mfq_add_device_gtest folder subject source)
  if(TARGET mfq_cuda_simt)
    mfq_add_gtest(${folder} ${subject} ${source} target)
    target_link_libraries(${target} PRIVATE mfq_simt)
    set_target_properties(${target} PROPERTIES CXX_STANDARD 20)
    add_dependencies(${target} mfq_cuda_simt)
    set_property(TEST ${folder}/${subject} APPEND PROPERTY ENVIRONMENT
                 "MFQ_CUDA_MODULE=$<TARGET_FILE:mfq_cuda_simt>")
    set_property(TEST ${folder}/${subject} APPEND PROPERTY LABELS device)
    set_tests_properties(${folder}/${subject} PROPERTIES TIMEOUT 300)
  else()
    message(STATUS "mfq: not testing ${source} on the emulated device: it was left out")
  endif()
  if(MFQ_TEST_GPU AND TARGET mfq_cuda)
    string(REGEX REPLACE "^device" "gpu" gpu_folder ${folder})
    set(name ${gpu_folder}_${subject}_test)
    mfq_add_test_program(${name} ${folder} ${source})
    target_link_libraries(${name} PRIVATE CUDA::cudart_static)
    set_target_properties(${name} PROPERTIES CXX_STANDARD 20)
    add_dependencies(${name} mfq_cuda)
    add_dependencies(gpu_tests ${name})
    add_test(NAME ${gpu_folder}/${subject} COMMAND ${name} --gtest_brief=1)
    set_tests_properties(${gpu_folder}/${subject} PROPERTIES LABELS gpu TIMEOUT 120 RESOURCE_LOCK gpu
                         ENVIRONMENT "OMP_WAIT_POLICY=passive;MFQ_CUDA_MODULE=$<TARGET_FILE:mfq_cuda>")
  elseif(MFQ_TEST_GPU)
    message(FATAL_ERROR "mfq: MFQ_TEST_GPU needs libmfq_cuda, which was left out")
  endif()
endfunction()

if(MFQ_TEST_GPU)
  find_package(CUDAToolkit REQUIRED)
  add_custom_target(gpu_tests COMMENT "The tests of the GPU are built")
endif()
