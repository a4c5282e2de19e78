# The one test of this folder that runs on the emulated device.
if(TEST cli/device)
  set_property(TEST cli/device APPEND PROPERTY LABELS device)
endif()
# What tries to have a planted module opened: a program that links libmfq.so.
mfq_program_of_test(cli_planted_test program)
if(program)
  add_executable(mfq_change_folder cli/change_folder.c)
  target_link_libraries(mfq_change_folder PRIVATE mfq mfq_warnings)
  add_dependencies(${program} mfq_change_folder)
  target_compile_definitions(${program} PRIVATE
    MFQ_CHANGE_FOLDER="$<TARGET_FILE:mfq_change_folder>" MFQ_LIBRARY="$<TARGET_FILE:mfq>")
endif()
# What lets calls of the C library fail in the command.
add_library(mfq_failing_calls MODULE EXCLUDE_FROM_ALL cli/failing_calls.c)
target_link_libraries(mfq_failing_calls PRIVATE mfq_warnings ${CMAKE_DL_LIBS})
target_compile_options(mfq_failing_calls PRIVATE -fno-builtin -fvisibility=default)
foreach(test cli_failing_calls_test cli_files_test)
  mfq_program_of_test(${test} program)
  if(program)
    add_dependencies(${program} mfq_failing_calls)
    target_compile_definitions(${program} PRIVATE MFQ_FAILING_CALLS="$<TARGET_FILE:mfq_failing_calls>")
  endif()
endforeach()
