# Most of a test's compilation is templates and helpers that its neighbours compile as well: the tests of these folders
# share one program a folder, <folder>_tests. Under the name <folder>_<subject>_test, a link, it is the test of that
# subject alone (main.cc). Its sources are compiled several at once, each in a namespace of its own (units.cmake).
set(mfq_joined_folders "^(op|device|device_api|golden|io|c_api|cli)$")
# What a static object does to the environment, or the linker to a program, concerns every test of a program; and one has a
# source in C.
set(mfq_lone_tests "^(device/(arena|conv_implicit|gemm_tile)|c_api/struct_bytes|.*/allocation)$")
set(mfq_sources_of_unit 10)

# Sets `target` to the program that a test is in, which is the test's own name if it is alone, else the folder's, with a
# suffix if one is given. The caller adds it if it is not there.
function(mfq_join_test_program name folder subject source target)
  if(NOT folder MATCHES "${mfq_joined_folders}" OR "${folder}/${subject}" MATCHES "${mfq_lone_tests}")
    set(${target} ${name} PARENT_SCOPE)
    return()
  endif()
  string(REGEX REPLACE "_${subject}_test$" "${ARGN}_tests" joined ${name})
  set_property(GLOBAL APPEND PROPERTY mfq_joined ${joined})
  set_property(GLOBAL APPEND PROPERTY mfq_sources_of_${joined} ${source})
  set_property(GLOBAL APPEND PROPERTY mfq_links_to_${joined} ${name})
  add_custom_target(${name})
  set_target_properties(${name} PROPERTIES MFQ_PROGRAM ${joined})
  add_dependencies(${name} ${joined})
  if(folder MATCHES "${mfq_lent_folders}")
    add_dependencies(lent_tests ${name})
  endif()
  set(${target} ${joined} PARENT_SCOPE)
endfunction()

# Sets `program` to the target that the test of a name is compiled into, or to nothing.
function(mfq_program_of_test name program)
  set(found "")
  if(TARGET ${name})
    get_target_property(found ${name} MFQ_PROGRAM)
    if(NOT found)
      set(found ${name})
    endif()
  endif()
  set(${program} "${found}" PARENT_SCOPE)
endfunction()

# Sets `command` to what add_test takes for a program: its target, or the link that a target makes, which CMake does not
# know to be a program.
function(mfq_command_of_test name command)
  get_target_property(type ${name} TYPE)
  if(type STREQUAL UTILITY)
    set(name ${CMAKE_CROSSCOMPILING_EMULATOR} "${CMAKE_CURRENT_BINARY_DIR}/${name}")
  endif()
  set(${command} "${name}" PARENT_SCOPE)
endfunction()

# Gives the joined programs their units and their links, when all tests are known.
function(mfq_write_units)
  get_property(programs GLOBAL PROPERTY mfq_joined)
  list(REMOVE_DUPLICATES programs)
  foreach(program IN LISTS programs)
    get_property(sources GLOBAL PROPERTY mfq_sources_of_${program})
    get_property(links GLOBAL PROPERTY mfq_links_to_${program})
    foreach(link IN LISTS links)
      add_custom_command(TARGET ${program} POST_BUILD COMMAND "${CMAKE_COMMAND}" -E create_symlink ${program} ${link} VERBATIM)
    endforeach()
    set(number 0)
    while(sources)
      list(SUBLIST sources 0 ${mfq_sources_of_unit} some)
      list(REMOVE_ITEM sources ${some})
      math(EXPR number "${number} + 1")
      set(unit "${CMAKE_CURRENT_BINARY_DIR}/units/${program}_${number}.cc")
      list(TRANSFORM some PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" OUTPUT_VARIABLE files)
      add_custom_command(OUTPUT "${unit}" DEPENDS ${files} "${CMAKE_CURRENT_SOURCE_DIR}/join/units.cmake" VERBATIM
                         COMMAND "${CMAKE_COMMAND}" "-DTESTS=${CMAKE_CURRENT_SOURCE_DIR}" "-DUNIT=${unit}"
                                 "-DSOURCES=${some}" -P "${CMAKE_CURRENT_SOURCE_DIR}/join/units.cmake")
      target_sources(${program} PRIVATE "${unit}")
    endwhile()
  endforeach()
endfunction()
