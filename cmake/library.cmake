# libmfq, shared and static, from one set of objects.

file(GLOB_RECURSE mfq_core_sources CONFIGURE_DEPENDS host/api/*.c host/core/*.c)
file(GLOB_RECURSE mfq_cpu_sources CONFIGURE_DEPENDS host/cpu/*.c)
list(FILTER mfq_cpu_sources EXCLUDE REGEX "/kernels/")
file(GLOB mfq_kernel_sources CONFIGURE_DEPENDS host/cpu/kernels/*.c)
set(mfq_objects "")

function(mfq_add_objects name)
  if(NOT ARGN)
    message(STATUS "mfq: ${name}: no sources yet")
    return()
  endif()
  add_library(${name} OBJECT ${ARGN})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
  target_link_libraries(${name} PRIVATE mfq_numerics mfq_warnings mfq_hardening Threads::Threads)
  set(mfq_objects ${mfq_objects} $<TARGET_OBJECTS:${name}> PARENT_SCOPE)
endfunction()

# Compiles every file of host/cpu/kernels once more, as MFQ_ISA=<isa>, with the flags that follow.
function(mfq_add_isa isa)
  foreach(flag IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER "MFQ_CC${flag}" has)
    check_c_compiler_flag(${flag} ${has})
    if(NOT ${has})
      message(STATUS "mfq: no ${isa} kernels: the compiler has no ${flag}")
      return()
    endif()
  endforeach()
  set(optimize -O3 -fno-trapping-math -fno-math-errno)
  if(MFQ_SANITIZE)
    set(optimize "")
  endif()
  mfq_add_objects(mfq_kernels_${isa} ${mfq_kernel_sources})
  target_compile_definitions(mfq_kernels_${isa} PRIVATE MFQ_ISA=${isa})
  target_compile_options(mfq_kernels_${isa} PRIVATE ${optimize} ${ARGN})
  if(MFQ_CC_STACK_PROTECTOR) # loops over whole panels, whose arrays have fixed sizes: canaries there cost about 1 %
    target_compile_options(mfq_kernels_${isa} PRIVATE -fno-stack-protector)
  endif()
  string(TOUPPER "MFQ_HAVE_ISA_${isa}" define)
  set(mfq_isa_defines ${mfq_isa_defines} ${define} PARENT_SCOPE)
  set(mfq_objects ${mfq_objects} PARENT_SCOPE)
endfunction()

# Fused multiply-add is welcome in the loops of fast products, whose bits nobody promises.
set_source_files_properties(host/cpu/kernels/product_kernels.c PROPERTIES COMPILE_OPTIONS -ffp-contract=fast)

mfq_add_objects(mfq_core_objects ${mfq_core_sources})
mfq_add_objects(mfq_cpu_objects ${mfq_cpu_sources})
set(mfq_isa_defines "") # host/cpu/*.c learns from these which tables of kernels exist
if(mfq_kernel_sources)
  mfq_add_isa(baseline)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
    mfq_add_isa(avx2 -march=x86-64-v3)
    mfq_add_isa(avx512 -march=x86-64-v4 -mprefer-vector-width=512)
  endif()
endif()
if(TARGET mfq_cpu_objects)
  target_compile_definitions(mfq_cpu_objects PRIVATE ${mfq_isa_defines})
endif()

add_library(mfq SHARED ${mfq_objects})
add_library(mfq_static STATIC ${mfq_objects})
foreach(target mfq mfq_static)
  add_library(mfq::${target} ALIAS ${target})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME mfq)
endforeach()

# While the major version is 0 each minor version may break the binary interface.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(MFQ_SOVERSION "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}")
else()
  set(MFQ_SOVERSION "${PROJECT_VERSION_MAJOR}")
endif()
set_target_properties(mfq PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${MFQ_SOVERSION})
target_link_libraries(mfq PRIVATE mfq_hardening Threads::Threads m ${CMAKE_DL_LIBS}) # dlopen, of libmfq_cuda
if(NOT MFQ_SANITIZE)
  target_link_options(mfq PRIVATE -Wl,--no-undefined)
endif()
# Installed, the static library names plain libraries, so that its users need not find threads the same way.
target_link_libraries(mfq_static PRIVATE $<BUILD_INTERFACE:Threads::Threads> $<INSTALL_INTERFACE:-pthread> m
                                          ${CMAKE_DL_LIBS})
