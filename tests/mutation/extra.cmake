# Planted faults must turn tests red: one CTest test each, mutation/<fault>. All faults are compiled at once, each behind a
# switch (plant.py): the tests of num/ once more with the planted headers, the emulated module and libmfq with planted
# objects in place of some of their own.
if(CMAKE_CROSSCOMPILING OR MFQ_SANITIZE OR MFQ_TEST_GPU)
  return()
endif()
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
set(mutation_dir "${CMAKE_CURRENT_LIST_DIR}")
set(plant "${Python3_EXECUTABLE}" -B "${mutation_dir}/plant.py")
execute_process(COMMAND ${plant} --list "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE faults OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" faults "${faults}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${mutation_dir}/faults.txt" "${mutation_dir}/plant.py")

# The copy of the sources.
set(planted "${CMAKE_CURRENT_BINARY_DIR}/planted")
set(planted_parts include cuda host)
list(TRANSFORM planted_parts REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/\\1/*" OUTPUT_VARIABLE globs)
file(GLOB_RECURSE originals CONFIGURE_DEPENDS ${globs})
list(TRANSFORM originals REPLACE "^${PROJECT_SOURCE_DIR}" "${planted}" OUTPUT_VARIABLE copies)
add_custom_command(OUTPUT "${planted}/stamp" BYPRODUCTS ${copies} "${planted}/include/mfq_fault.h"
                   COMMAND ${plant} "${PROJECT_SOURCE_DIR}" "${planted}" ${planted_parts}
                   COMMAND "${CMAKE_COMMAND}" -E touch "${planted}/stamp"
                   DEPENDS ${originals} "${mutation_dir}/faults.txt" "${mutation_dir}/plant.py" VERBATIM)
add_custom_target(mfq_planted_sources DEPENDS "${planted}/stamp")

# What a planted target reads: the copy, and behind it what is not copied. Optimization is most of a compilation.
function(mfq_read_planted name level)
  add_dependencies(${name} mfq_planted_sources)
  target_include_directories(${name} BEFORE PRIVATE "${planted}" "${planted}/include" "${PROJECT_SOURCE_DIR}")
  target_compile_options(${name} PRIVATE ${level} -w) # a fault may look odd
endfunction()

# Adds a library of planted units, and of objects but for those that the units are in place of.
function(mfq_add_planted_library name type units objects)
  list(REMOVE_DUPLICATES units)
  string(REGEX REPLACE "[.]" "[.]" replaced "${units}")
  list(JOIN replaced "|" replaced)
  list(TRANSFORM units PREPEND "${planted}/")
  add_library(${name} ${type} ${units} "$<FILTER:${objects},EXCLUDE,/(${replaced})[.]o$|[.]gch$>")
  mfq_read_planted(${name} -O0)
endfunction()

# Adds the test program of a subject of num/ once more.
function(mfq_add_planted_num name subject)
  if(NOT TARGET mfq_planted_lower) # what these tests call of libmfq
    add_library(mfq_planted_lower OBJECT "${PROJECT_SOURCE_DIR}/host/core/scheme/lower.c")
    target_link_libraries(mfq_planted_lower PRIVATE mfq_numerics)
    mfq_read_planted(mfq_planted_lower -O1)
  endif()
  add_executable(${name} "num/${subject}_test.cc" $<TARGET_OBJECTS:mfq_planted_lower>)
  mfq_read_planted(${name} -O1) # they loop over many values
  target_link_libraries(${name} PRIVATE mfq_test_flags GTest::gtest_main)
  set_target_properties(${name} PROPERTIES CXX_STANDARD 17)
  mfq_share_headers(${name} op 17) # whose flags are these
endfunction()

set(device_units "")
set(op_units "")
set(number 0)
foreach(fault IN LISTS faults)
  math(EXPR number "${number} + 1")
  string(REGEX MATCH "^(.*)[|](.*)/(.*)[|](.*)[|](.*)$" matched "${fault}")
  set(fault ${CMAKE_MATCH_1})
  set(folder ${CMAKE_MATCH_2})
  set(subject ${CMAKE_MATCH_3})
  set(test ${CMAKE_MATCH_4})
  set(unit ${CMAKE_MATCH_5})
  set(program ${folder}_${subject}_test)
  if(TARGET emulated_${program})
    set(program emulated_${program})
  endif()
  if(NOT TARGET ${program} OR folder STREQUAL device AND NOT TARGET mfq_cuda_simt)
    continue()
  endif()
  set(variable "")
  if(folder STREQUAL num)
    set(program planted_${program})
    if(NOT TARGET ${program})
      mfq_add_planted_num(${program} ${subject})
    endif()
  elseif(folder STREQUAL device)
    list(APPEND device_units "cuda/${unit}")
    set(variable "MFQ_CUDA_MODULE=$<TARGET_FILE:mfq_planted_simt>")
  else()
    list(APPEND op_units "host/${unit}")
    set(variable "LD_PRELOAD=$<TARGET_FILE:mfq_planted>")
  endif()
  mfq_command_of_test(${program} command)
  if(TARGET ${command})
    set(command "$<TARGET_FILE:${command}>")
  endif()
  add_test(NAME mutation/${fault} COMMAND sh "${mutation_dir}/notice.sh" ${number} ${command} "${test}" ${variable})
  set_tests_properties(mutation/${fault} PROPERTIES LABELS mutation TIMEOUT 300
                       ENVIRONMENT "OMP_WAIT_POLICY=passive;MFQ_CUDA_MODULE=;MFQ_ONEDNN_MODULE=")
endforeach()

if(device_units)
  mfq_add_planted_library(mfq_planted_simt MODULE "${device_units}" "$<TARGET_OBJECTS:mfq_cuda_simt>")
  list(TRANSFORM device_units PREPEND "${planted}/")
  set_source_files_properties(${device_units} PROPERTIES LANGUAGE CXX)
  target_include_directories(mfq_planted_simt BEFORE PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/simt/toolkit")
  get_target_property(definitions mfq_cuda_simt COMPILE_DEFINITIONS)
  target_compile_definitions(mfq_planted_simt PRIVATE ${definitions})
  target_link_libraries(mfq_planted_simt PRIVATE mfq_numerics mfq_simt)
  target_link_options(mfq_planted_simt PRIVATE ${mfq_cuda_link_options})
  target_precompile_headers(mfq_planted_simt PRIVATE <cuda_runtime.h>)
  set_target_properties(mfq_planted_simt PROPERTIES CXX_STANDARD 20 CXX_VISIBILITY_PRESET hidden)
endif()
# Loaded before the libmfq.so that tests link, under its name.
if(op_units)
  mfq_add_planted_library(mfq_planted SHARED "${op_units}" "${mfq_objects}")
  target_compile_definitions(mfq_planted PRIVATE ${mfq_isa_defines})
  target_link_libraries(mfq_planted PRIVATE mfq_numerics Threads::Threads m ${CMAKE_DL_LIBS})
  set_target_properties(mfq_planted PROPERTIES OUTPUT_NAME mfq SOVERSION ${MFQ_SOVERSION}
                        LIBRARY_OUTPUT_DIRECTORY "${planted}")
endif()
