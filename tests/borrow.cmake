# The sanitizers look at the library, not at what calls it: with MFQ_BORROWED_TESTS the tests of libmfq.so are programs of
# another build, and find this build's libmfq.so (and emulator) loaded before their own.
set(MFQ_BORROWED_TESTS "" CACHE PATH "Build folder of which to run tests on this build's library, not to compile them again")
if(MFQ_BORROWED_TESTS AND NOT CMAKE_C_COMPILER_ID STREQUAL GNU)
  message(STATUS "mfq: compiling all tests: how to load the sanitizer of ${CMAKE_C_COMPILER_ID} first is not known here")
elseif(MFQ_BORROWED_TESTS)
  execute_process(COMMAND "${CMAKE_C_COMPILER}" -print-file-name=libasan.so OUTPUT_VARIABLE mfq_asan
                  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(mfq_borrowed_environment "MFQ_TEST_FEW=1;MFQ_ONEDNN_MODULE=;LD_PRELOAD=${mfq_asan}:$<TARGET_FILE:mfq>")
  if(TARGET mfq_simt)
    string(APPEND mfq_borrowed_environment ":$<TARGET_FILE:mfq_simt>")
  endif()
endif()

# Makes a test program of the other build a target of this one, where it can be borrowed.
function(mfq_borrow_test name folder)
  if(NOT mfq_borrowed_environment OR NOT folder MATCHES "${mfq_lent_folders}" OR name MATCHES "_allocation_test$")
    return()
  endif()
  add_executable(${name} IMPORTED)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${MFQ_BORROWED_TESTS}/tests/${name}")
endfunction()
