# examples/<name>.c -> example_<name>, examples/support/ is shared by them; the sources of bench/<name>/ -> bench_<name>,
# bench/common/ is shared by them.
add_custom_target(demo COMMENT "Everything that the demo needs is built")
add_custom_target(bench COMMENT "The benchmarks are built")
add_custom_target(bench_peers COMMENT "What bench/peers calls is built")
add_dependencies(demo mfq mfq_static)
add_dependencies(bench_peers mfq) # by name: with Ninja the target mfq is the command
foreach(target mfq_command mfq_cuda mfq_onednn)
  if(TARGET ${target})
    add_dependencies(bench ${target})
    if(NOT target STREQUAL mfq_cuda) # most of what there is to compile, and the demo runs on the CPU
      add_dependencies(demo ${target})
    endif()
  endif()
endforeach()

function(mfq_add_program target sources)
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE mfq_numerics mfq_warnings ${ARGN} m)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/${mfq_program_folder}"
                        CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON BUILD_RPATH "${PROJECT_BINARY_DIR}") # libmfq_cuda
  add_dependencies(${mfq_program_group} ${target})
endfunction()

if(MFQ_BUILD_PROGRAMS)
  file(GLOB example_sources CONFIGURE_DEPENDS examples/*.c)
  file(GLOB example_support_sources CONFIGURE_DEPENDS examples/support/*.c)
  file(GLOB bench_sources CONFIGURE_DEPENDS bench/*/*.c)

  set(mfq_program_folder examples)
  set(mfq_program_group demo)
  if(example_support_sources AND TARGET mfq_io_static AND POPT_FOUND)
    add_library(mfq_example_support STATIC ${example_support_sources})
    target_link_libraries(mfq_example_support PUBLIC mfq_io_static PkgConfig::JANSSON PkgConfig::POPT
                          PRIVATE mfq_numerics mfq_warnings)
    # Loops of plain C that run beside the layers of a training: in vectors.
    set_source_files_properties(examples/support/train_ops.c PROPERTIES COMPILE_OPTIONS "-O3;-fno-math-errno")
  endif()
  foreach(source IN LISTS example_sources)
    get_filename_component(name "${source}" NAME_WE)
    file(STRINGS "${source}" uses_io REGEX "#include <mfq/io\\.h>")
    file(STRINGS "${source}" uses_support REGEX "#include \"support/")
    if(uses_support AND TARGET mfq_example_support)
      mfq_add_program(example_${name} ${source} mfq_example_support)
    elseif(uses_support)
      mfq_leave_out("${source}" "it needs libmfq_io and popt")
    elseif(NOT uses_io)
      mfq_add_program(example_${name} ${source} mfq_static)
    elseif(TARGET mfq_io_static)
      mfq_add_program(example_${name} ${source} mfq_io_static)
    else()
      mfq_leave_out("${source}" "it needs libmfq_io")
    endif()
  endforeach()

  set(mfq_program_folder bench)
  set(mfq_program_group bench)
  if(NOT JANSSON_FOUND OR NOT POPT_FOUND)
    mfq_leave_out("the benchmarks" "pkg-config does not find jansson and popt")
    set(bench_sources "")
  endif()
  set(bench_folders "")
  foreach(source IN LISTS bench_sources)
    get_filename_component(folder "${source}" DIRECTORY)
    get_filename_component(folder "${folder}" NAME)
    list(APPEND bench_folders ${folder})
    list(APPEND bench_sources_of_${folder} ${source})
  endforeach()
  if(bench_sources)
    list(REMOVE_DUPLICATES bench_folders)
    list(REMOVE_ITEM bench_folders common)
    add_library(mfq_bench_common STATIC ${bench_sources_of_common})
    target_include_directories(mfq_bench_common PUBLIC "${PROJECT_SOURCE_DIR}")
    target_link_libraries(mfq_bench_common PUBLIC mfq_static PkgConfig::JANSSON PkgConfig::POPT mfq_openmp
                          PRIVATE mfq_numerics mfq_warnings)
    if(TARGET mfq_dnnl) # what products are compared with
      target_link_libraries(mfq_bench_common PUBLIC mfq_dnnl)
      target_compile_definitions(mfq_bench_common PUBLIC MFQ_BENCH_ONEDNN)
    endif()
  endif()
  foreach(folder IN LISTS bench_folders)
    mfq_add_program(bench_${folder} "${bench_sources_of_${folder}}" mfq_bench_common)
  endforeach()

  # bench/probe/*.cu is one program, bench/probe: device code of the library that it asks about, but no library.
  file(GLOB mfq_probe_sources CONFIGURE_DEPENDS bench/probe/*.cu) # tests/examples compiles them for the CPU, too
  if(TARGET mfq_cuda AND JANSSON_FOUND AND POPT_FOUND)
    add_executable(bench_probe ${mfq_probe_sources})
    get_target_property(architectures mfq_cuda CUDA_ARCHITECTURES)
    set_target_properties(bench_probe PROPERTIES OUTPUT_NAME probe CUDA_ARCHITECTURES "${architectures}"
                          CUDA_RUNTIME_LIBRARY Static RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
    target_compile_options(bench_probe PRIVATE -std=c++20)
    target_include_directories(bench_probe PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
    target_link_libraries(bench_probe PRIVATE mfq_numerics mfq_warnings PkgConfig::JANSSON PkgConfig::POPT
                                              ${CMAKE_DL_LIBS})
    add_dependencies(bench bench_probe)
  endif()
endif()
