# The CUDA backend's sources compiled as C++ for the CPU, and the tests that run on a device, emulated or real.
option(MFQ_TEST_PRECOMPILE "Compile the headers that tests share once" ON)
option(MFQ_TEST_GPU "Run the tests of device/ and device_api/ on the machine's GPU, not on the emulated one" OFF)

file(GLOB simt_sources CONFIGURE_DEPENDS simt/*/*.cc)
list(FILTER simt_sources EXCLUDE REGEX "_test\\.cc$")
find_path(MFQ_BOOST_CONTEXT boost/context/detail/fcontext.hpp)
set(why "")
if(CMAKE_CROSSCOMPILING)
  set(why "not emulated in a cross build")
elseif(MFQ_TEST_GPU)
  set(why "the tests run on a real device (MFQ_TEST_GPU)")
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
                             "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
  # The emulator is its cuBLASLt too (simt/cublaslt/cublaslt_standin.h).
  target_compile_definitions(mfq_cuda_simt PRIVATE MFQ_SIMT MFQ_CUBLASLT_FILES="$<TARGET_FILE:mfq_simt>")
  # `#pragma unroll`; sizes made of constants of several enumerations, as in C and in nvcc.
  target_compile_options(mfq_cuda_simt PRIVATE -Wno-unknown-pragmas
                         $<$<COMPILE_LANGUAGE:CXX>:-Wno-deprecated-enum-enum-conversion>)
  target_compile_options(mfq_cuda_simt PRIVATE -O1) # kernels run once, on small shapes: compiling them costs more
  target_link_libraries(mfq_cuda_simt PRIVATE mfq_numerics mfq_warnings mfq_sanitized_kernels mfq_simt)
  if(MFQ_TEST_PRECOMPILE) # half of what there is to read
    target_precompile_headers(mfq_cuda_simt PRIVATE $<$<COMPILE_LANGUAGE:CXX>:<cuda_runtime.h$<ANGLE-R>>)
  endif()
  if(MFQ_SANITIZE MATCHES "undefined") # wrong pointers end in the emulator's reports, or in the address sanitizer's
    target_compile_options(mfq_cuda_simt PRIVATE -fno-sanitize=null,alignment,object-size,pointer-overflow,vptr)
  endif()
  set_target_properties(mfq_cuda_simt PROPERTIES CXX_STANDARD 20 CXX_VISIBILITY_PRESET hidden)
  if(MFQ_SANITIZE) # whose symbols the program brings
    list(REMOVE_ITEM mfq_cuda_link_options -Wl,--no-undefined)
  endif()
  target_link_options(mfq_cuda_simt PRIVATE ${mfq_cuda_link_options})
endif()

# Every program that a real device can run is device_<subject>_test or device_api_<subject>_test. It uses the public API
# only, so that one program serves both devices: MFQ_CUDA_MODULE names the module. What calls CUDA's runtime, or reads
# the emulator's records (MFQ_SIMT), is compiled twice: emulated_<...>_test by the emulator's headers, device_<...>_test by
# the toolkit's. What includes the emulator whatever MFQ_SIMT says is for the emulated device alone.
if(TARGET mfq_cuda)
  find_package(CUDAToolkit REQUIRED)
  add_custom_target(gpu_tests COMMENT "The tests of the GPU are built")
  add_dependencies(gpu_tests mfq_cuda)
elseif(MFQ_TEST_GPU)
  message(FATAL_ERROR "mfq: MFQ_TEST_GPU needs libmfq_cuda, which was left out")
endif()

# CTest `device/<subject>`.
function(mfq_add_emulated_test folder subject source prefix)
  mfq_add_gtest(${folder} ${subject} ${source} target ${prefix})
  add_dependencies(${target} mfq_cuda_simt)
  if(prefix AND NOT mfq_borrowed_environment)
    target_link_libraries(${target} PRIVATE mfq_simt)
  endif()
  set_property(TEST ${folder}/${subject} APPEND PROPERTY ENVIRONMENT
               "MFQ_CUDA_MODULE=$<TARGET_FILE:mfq_cuda_simt>;MFQ_ONEDNN_MODULE=")
  set_property(TEST ${folder}/${subject} APPEND PROPERTY LABELS device)
  set_tests_properties(${folder}/${subject} PROPERTIES TIMEOUT 300)
endfunction()

# CTest `gpu/<subject>`.
function(mfq_add_gpu_test folder subject name)
  string(REGEX REPLACE "^device" "gpu" gpu_folder ${folder})
  mfq_command_of_test(${name} command)
  add_test(NAME ${gpu_folder}/${subject} COMMAND ${command} --gtest_brief=1)
  set_tests_properties(${gpu_folder}/${subject} PROPERTIES LABELS gpu TIMEOUT 120 RESOURCE_LOCK gpu
                       ENVIRONMENT "OMP_WAIT_POLICY=passive;MFQ_CUDA_MODULE=$<TARGET_FILE:mfq_cuda>")
endfunction()

function(mfq_add_device_gtest folder subject source)
  file(STRINGS "${source}" asks_simt REGEX "MFQ_SIMT")
  file(STRINGS "${source}" emulator REGEX "#include \"simt/")
  file(STRINGS "${source}" runtime REGEX "#include (<cuda_runtime\\.h>|\"capture\\.h\")")
  set(name ${folder}_${subject}_test)
  set(prefix "")
  if(asks_simt OR emulator OR runtime)
    set(prefix emulated_)
  endif()
  if(TARGET mfq_cuda_simt)
    mfq_add_emulated_test(${folder} ${subject} ${source} "${prefix}")
  elseif(NOT MFQ_TEST_GPU)
    message(STATUS "mfq: not testing ${source} on the emulated device: it was left out")
  endif()
  if(NOT TARGET mfq_cuda OR (emulator AND NOT asks_simt))
    return()
  endif()
  if(NOT TARGET ${name})
    if(prefix)
      mfq_add_program_of_test(${name} ${folder} ${subject} ${source} program _runtime)
      target_link_libraries(${program} PRIVATE CUDA::cudart_static)
    else()
      mfq_add_program_of_test(${name} ${folder} ${subject} ${source} program)
    endif()
  endif()
  add_dependencies(gpu_tests ${name})
  if(MFQ_TEST_GPU)
    mfq_add_gpu_test(${folder} ${subject} ${name})
  endif()
endfunction()
