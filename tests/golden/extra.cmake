# tests/golden/conv_test.cc on a device: emulated, and the machine's own where that is tested.
if(TARGET golden_conv_test AND TARGET mfq_cuda_simt)
  add_dependencies(golden_conv_test mfq_cuda_simt)
  mfq_command_of_test(golden_conv_test command)
  add_test(NAME device/conv_golden COMMAND ${command} --gtest_brief=1 --gtest_filter=*OnTheDevice*)
  set_tests_properties(device/conv_golden PROPERTIES LABELS "device;golden" TIMEOUT 300
                       ENVIRONMENT "MFQ_CUDA_MODULE=$<TARGET_FILE:mfq_cuda_simt>")
endif()
if(TARGET golden_conv_test AND MFQ_TEST_GPU AND TARGET mfq_cuda)
  add_dependencies(golden_conv_test mfq_cuda)
  add_dependencies(gpu_tests golden_conv_test)
  mfq_command_of_test(golden_conv_test command)
  add_test(NAME gpu/conv_golden COMMAND ${command} --gtest_brief=1 --gtest_filter=*OnTheDevice*)
  set_tests_properties(gpu/conv_golden PROPERTIES LABELS gpu TIMEOUT 120 RESOURCE_LOCK gpu
                       ENVIRONMENT "MFQ_CUDA_MODULE=$<TARGET_FILE:mfq_cuda>")
endif()
