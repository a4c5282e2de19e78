# The one test of this folder that runs on the emulated device.
if(TEST cli/device)
  set_property(TEST cli/device APPEND PROPERTY LABELS device)
endif()
# What tries to have a planted module opened: a program that links libmfq.so.
if(TARGET cli_planted_test)
  add_executable(mfq_change_folder cli/change_folder.c)
  target_link_libraries(mfq_change_folder PRIVATE mfq mfq_warnings)
  add_dependencies(cli_planted_test mfq_change_folder)
  target_compile_definitions(cli_planted_test PRIVATE
    MFQ_CHANGE_FOLDER="$<TARGET_FILE:mfq_change_folder>" MFQ_LIBRARY="$<TARGET_FILE:mfq>"
    MFQ_FAKES="${PROJECT_BINARY_DIR}/fakes")
endif()
# What lets calls of the C library fail in the command.
add_library(mfq_failing_calls MODULE EXCLUDE_FROM_ALL cli/failing_calls.c)
target_link_libraries(mfq_failing_calls PRIVATE mfq_warnings ${CMAKE_DL_LIBS})
target_compile_options(mfq_failing_calls PRIVATE -fno-builtin -fvisibility=default)
foreach(test cli_failing_calls_test cli_files_test)
  if(TARGET ${test})
    add_dependencies(${test} mfq_failing_calls)
    target_compile_definitions(${test} PRIVATE MFQ_FAILING_CALLS="$<TARGET_FILE:mfq_failing_calls>")
  endif()
endforeach()
