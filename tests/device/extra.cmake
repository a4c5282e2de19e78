# The cases of convolutions once more, on a device without the matrix instructions of warpgroups.
if(TARGET mfq_cuda_simt AND TARGET device_conv_cases_test AND NOT MFQ_SANITIZE)
  add_test(NAME device/conv_cases_80 COMMAND device_conv_cases_test --gtest_brief=1 --gtest_filter=*own_kernels*)
  set_tests_properties(device/conv_cases_80 PROPERTIES LABELS device TIMEOUT 300
    ENVIRONMENT "OMP_WAIT_POLICY=passive;MFQ_SIMT_CAPABILITY=80;MFQ_CUDA_MODULE=$<TARGET_FILE:mfq_cuda_simt>")
endif()
