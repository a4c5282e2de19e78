# Compiler flags by purpose. Nothing here changes a result: no flag of the -ffast-math family is ever added.
include(CheckCCompilerFlag)

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_C_FLAGS_RELEASE "-O2 -g0")
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g0")
endif()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# Every target that computes, library or test, links this: a * b + c is two roundings unless the source says otherwise,
# and on a GPU division and square root are rounded and subnormals kept as IEEE 754 wants it.
add_library(mfq_numerics INTERFACE)
target_compile_options(mfq_numerics INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-ffp-contract=off>
  "$<$<COMPILE_LANGUAGE:CUDA>:-fmad=false;-prec-div=true;-prec-sqrt=true;-ftz=false;-Xcompiler=-ffp-contract=off>")

add_library(mfq_warnings INTERFACE)
# C++ is tests only, and GoogleTest's macros hide names of their own (`info`) behind what one writes inside them.
# -Wpedantic would complain of what nvcc itself hands to the host compiler.
target_compile_options(mfq_warnings INTERFACE
  "$<$<COMPILE_LANGUAGE:C,CXX>:-Wall;-Wextra;-Wpedantic;$<$<BOOL:${MFQ_WERROR}>:-Werror>>"
  "$<$<COMPILE_LANGUAGE:C>:-Wshadow;-Wstrict-prototypes>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra;$<$<BOOL:${MFQ_WERROR}>:-Werror=all-warnings>>")

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# Not for libmfq, which has threads of its own: for oneDNN's module, and what tests and benchmarks compare with.
add_library(mfq_openmp INTERFACE)
find_package(OpenMP QUIET COMPONENTS C)
if(OpenMP_C_FOUND)
  target_link_libraries(mfq_openmp INTERFACE OpenMP::OpenMP_C)
else()
  target_compile_options(mfq_openmp INTERFACE -Wno-unknown-pragmas)
endif()

# What every shipped object is hardened with: addresses of functions read-only before main, canaries around arrays on the
# stack, checked string functions, a stack that cannot be run. Left out one by one where the compiler lacks it.
add_library(mfq_hardening INTERFACE)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C) # executables are linked as position-independent, too
check_c_compiler_flag(-fstack-protector-strong MFQ_CC_STACK_PROTECTOR)
set(hardened "")
if(MFQ_CC_STACK_PROTECTOR)
  list(APPEND hardened -fstack-protector-strong)
endif()
# Checked string functions need optimization. Sanitizers check more; a packager's own choice stays.
string(TOUPPER "CMAKE_C_FLAGS_${CMAKE_BUILD_TYPE}" flags_of_type)
set(MFQ_FORTIFIED OFF)
if(CMAKE_BUILD_TYPE MATCHES "^(Release|RelWithDebInfo|MinSizeRel)$" AND NOT MFQ_SANITIZE
   AND NOT "${CMAKE_C_FLAGS} ${${flags_of_type}}" MATCHES "_FORTIFY_SOURCE")
  set(MFQ_FORTIFIED ON)
  list(APPEND hardened -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
foreach(flag IN LISTS hardened)
  target_compile_options(mfq_hardening INTERFACE $<$<COMPILE_LANGUAGE:C>:${flag}>
                                                 $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${flag}>)
endforeach()
include(CheckLinkerFlag)
foreach(flag relro now noexecstack)
  check_linker_flag(C "-Wl,-z,${flag}" MFQ_LD_${flag})
  if(MFQ_LD_${flag})
    target_link_options(mfq_hardening INTERFACE "-Wl,-z,${flag}")
  endif()
endforeach()

if(MFQ_SANITIZE)
  add_compile_options(-fsanitize=${MFQ_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer) # C and C++ only
  add_link_options(-fsanitize=${MFQ_SANITIZE})
  message(STATUS "mfq: sanitizers: ${MFQ_SANITIZE}")
endif()

# What computes is small functions of values inlined into each other. To mark where each of their locals begins and ends is
# two thirds of its compilation under the address sanitizer, and finds pointers to a local that outlives its block, of which
# this code keeps none: -Wdangling-pointer (of -Wall) looks there, and so do the long runs of the fuzz targets. Checks in
# functions of their own, not in line, are the same checks in half the code.
add_library(mfq_sanitized_kernels INTERFACE)
if(MFQ_SANITIZE MATCHES "address" AND NOT MFQ_SANITIZE MATCHES "fuzzer")
  target_compile_options(mfq_sanitized_kernels INTERFACE -fno-sanitize-address-use-after-scope
    "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:SHELL:--param asan-instrumentation-with-call-threshold=0>")
endif()

# Reports a part that is left out, or stops where everything is required.
function(mfq_leave_out what why)
  if(MFQ_REQUIRE_ALL)
    message(FATAL_ERROR "mfq: cannot build ${what}: ${why}")
  endif()
  message(STATUS "mfq: leaving out ${what}: ${why}")
endfunction()
