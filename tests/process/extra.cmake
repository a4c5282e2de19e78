# The tests of fork, threads, floating-point modes and unloading.
if(TARGET process_unload_test)
  target_compile_definitions(process_unload_test PRIVATE MFQ_LIBRARY_FILE="$<TARGET_FILE:mfq>")
  add_dependencies(process_unload_test mfq)
endif()
if(TARGET process_threads_test)
  set_target_properties(process_threads_test PROPERTIES ENABLE_EXPORTS ON) # its pthread_create is for all libraries
endif()
