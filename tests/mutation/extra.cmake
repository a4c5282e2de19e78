# Planted faults must turn tests red: one test each, and one that everything is green without them.
if(CMAKE_CROSSCOMPILING OR MFQ_SANITIZE)
  return()
endif()
set(mutation_dir "${CMAKE_CURRENT_LIST_DIR}")
find_program(MFQ_BASH bash REQUIRED)
execute_process(COMMAND "${MFQ_BASH}" "${mutation_dir}/mutate.sh" --list OUTPUT_VARIABLE mutation_faults
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" mutation_faults "${mutation_faults}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${mutation_dir}/faults.txt")

set_target_properties(mfq_core_objects PROPERTIES EXPORT_COMPILE_COMMANDS ON)

set(mutation_objects "${CMAKE_CURRENT_BINARY_DIR}/mutation_objects.txt")
if(TARGET mfq_cuda_simt)
  # What the emulated module precompiles, once more for faults, which are compiled without optimization.
  if(MFQ_TEST_PRECOMPILE)
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/mutation_headers.cc" "")
    add_library(mfq_mutation_headers OBJECT "${CMAKE_CURRENT_BINARY_DIR}/mutation_headers.cc")
    foreach(property COMPILE_DEFINITIONS COMPILE_OPTIONS INCLUDE_DIRECTORIES LINK_LIBRARIES PRECOMPILE_HEADERS
                     CXX_STANDARD CXX_VISIBILITY_PRESET)
      get_target_property(value mfq_cuda_simt ${property})
      set_target_properties(mfq_mutation_headers PROPERTIES ${property} "${value}")
    endforeach()
    target_compile_options(mfq_mutation_headers PRIVATE -O0)
  endif()
  file(GENERATE OUTPUT "${mutation_objects}" CONTENT "$<JOIN:$<TARGET_OBJECTS:mfq_cuda_simt>,\n>\n")
endif()
file(STRINGS "${mutation_dir}/faults.txt" mutation_device_faults REGEX "^[^@#]*@ *device/")
list(TRANSFORM mutation_device_faults REPLACE " *@.*" "")

foreach(fault IN LISTS mutation_faults)
  if(fault IN_LIST mutation_device_faults AND NOT TARGET mfq_cuda_simt)
    continue()
  endif()
  add_test(NAME mutation/${fault} COMMAND "${MFQ_BASH}" "${mutation_dir}/mutate.sh" ${fault}
                                          "${CMAKE_CURRENT_BINARY_DIR}/mutation")
  set_tests_properties(mutation/${fault} PROPERTIES LABELS mutation TIMEOUT 300
                       ENVIRONMENT "CC=${CMAKE_C_COMPILER};CXX=${CMAKE_CXX_COMPILER};\
MFQ_TEST_BUILD=${CMAKE_CURRENT_BINARY_DIR};MFQ_SIMT_OBJECTS=${mutation_objects}")
endforeach()
