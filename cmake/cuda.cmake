# libmfq_cuda, the CUDA backend: a shared object that libmfq opens at run time. Building it needs nvcc, but no GPU.
# The tests compile the same sources once more, for the CPU (tests/CMakeLists.txt).
set(MFQ_CUDA AUTO CACHE STRING "Build libmfq_cuda: ON, OFF, or AUTO (where nvcc is found)")
set_property(CACHE MFQ_CUDA PROPERTY STRINGS AUTO ON OFF)
# Machine code of the "a" architectures runs on exactly that one: 120-virtual serves what comes after 12.0, and
# 90-virtual what lies between (10.3, 11.0), both compiled by the driver at first use.
set(MFQ_CUDA_ARCHITECTURES "80-real;86-real;89-real;90a-real;100a-real;120a-real;90-virtual;120-virtual"
    CACHE STRING "GPU architectures of libmfq_cuda, as in CMake's CUDA_ARCHITECTURES")

find_program(MFQ_NVCC nvcc PATHS ENV CUDA_PATH ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
file(GLOB_RECURSE mfq_cuda_sources CONFIGURE_DEPENDS cuda/*.cu)
# The module links no part of libmfq. What it shares with the core, and has no state, it compiles into itself and keeps to
# itself: cuda.map hides what the public headers mark as exported.
set(mfq_cuda_core_sources check/overlap check/sizes module/loader problem/cast_problem problem/choose problem/conv_by_product problem/grid
    problem/regroup problem/side problem/walk scheme/equal scheme/lower scheme/lower_observer)
list(TRANSFORM mfq_cuda_core_sources REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/host/core/\\1.c")
set(mfq_cuda_link_options -Wl,--no-undefined "-Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/cuda.map")

# Sets `out` to why libmfq_cuda cannot be built here, or to nothing.
function(mfq_cuda_obstacle out)
  set(why "")
  if(NOT MFQ_CUDA)
    set(why "MFQ_CUDA is OFF")
  elseif(NOT mfq_cuda_sources)
    set(why "cuda has no sources")
  elseif(CMAKE_CROSSCOMPILING)
    set(why "nvcc is not set up for cross builds")
  elseif(MFQ_SANITIZE)
    set(why "nvcc takes no sanitizers; its kernels are tested on the CPU")
  elseif(NOT MFQ_NVCC)
    set(why "no nvcc (CUDA toolkit; -DMFQ_NVCC=<path> names it)")
  else()
    include(CheckLanguage)
    set(ENV{CUDACXX} "${MFQ_NVCC}")
    check_language(CUDA)
    if(NOT CMAKE_CUDA_COMPILER)
      set(why "${MFQ_NVCC} does not work with this host compiler (see CMakeFiles/CMakeError.log)")
    endif()
  endif()
  set(${out} "${why}" PARENT_SCOPE)
endfunction()

# Keeps the architectures that this nvcc knows.
function(mfq_cuda_known_architectures out)
  set(known "")
  foreach(architecture IN LISTS MFQ_CUDA_ARCHITECTURES)
    string(REGEX REPLACE "-.*" "" number "${architecture}")
    execute_process(COMMAND "${MFQ_NVCC}" -gencode arch=compute_${number},code=sm_${number} -dryrun -x cu -c /dev/null
                            -o /dev/null RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    if(result EQUAL 0)
      list(APPEND known "${architecture}")
    else()
      message(STATUS "mfq: libmfq_cuda without ${architecture}: ${MFQ_NVCC} does not know it")
    endif()
  endforeach()
  if(NOT known)
    message(FATAL_ERROR "mfq: ${MFQ_NVCC} knows none of MFQ_CUDA_ARCHITECTURES (${MFQ_CUDA_ARCHITECTURES})")
  endif()
  set(${out} "${known}" PARENT_SCOPE)
endfunction()

# Adds a library that nvcc compiles, as C++20: CMake 3.25 does not know nvcc's option for that, and would add that of the
# C++ standard of the surroundings behind it.
function(mfq_add_cuda_library name)
  foreach(part STANDARD STANDARD_REQUIRED EXTENSIONS)
    unset(CMAKE_CXX_${part})
  endforeach()
  add_library(${name} ${ARGN})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
  target_link_libraries(${name} PRIVATE mfq_numerics mfq_warnings mfq_hardening)
  # No exceptions, no guards of local statics: then nothing is needed of libstdc++, and C links it.
  target_compile_options(${name} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>"
    "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-fno-exceptions,-fno-rtti,-fno-threadsafe-statics>")
endfunction()

mfq_cuda_obstacle(why)
if(NOT why)
  mfq_cuda_known_architectures(architectures)
  list(GET architectures 0 CMAKE_CUDA_ARCHITECTURES) # for CMake's own checks
  enable_language(CUDA)
  set(CMAKE_CUDA_FLAGS_RELEASE "-O2")

  mfq_add_cuda_library(mfq_cuda SHARED ${mfq_cuda_sources} ${mfq_cuda_core_sources})
  set_target_properties(mfq_cuda PROPERTIES CUDA_ARCHITECTURES "${architectures}" CUDA_RUNTIME_LIBRARY Static
                        CUDA_VISIBILITY_PRESET hidden LINKER_LANGUAGE C
                        VERSION ${PROJECT_VERSION} SOVERSION ${MFQ_SOVERSION})
  target_link_options(mfq_cuda PRIVATE -Wl,--as-needed ${mfq_cuda_link_options})
  string(REPLACE ";" " " architectures "${architectures}")
  message(STATUS "mfq: libmfq_cuda: nvcc ${CMAKE_CUDA_COMPILER_VERSION}, ${architectures}")
elseif(MFQ_CUDA STREQUAL ON)
  message(FATAL_ERROR "mfq: cannot build libmfq_cuda: ${why}")
else()
  message(STATUS "mfq: leaving out libmfq_cuda: ${why}") # even where everything is required: CI may lack nvcc
endif()
