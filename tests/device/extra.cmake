# Tests once more on another emulated device, or with the device taken for a lesser one: device/<subject>@<name>. Of what
# is sampled few points: most of a kernel is the same there.
function(mfq_add_other_device subject name filter)
  if(NOT TARGET device_${subject}_test OR NOT TARGET mfq_cuda_simt OR MFQ_SANITIZE)
    return()
  endif()
  set(test device/${subject}@${name})
  mfq_command_of_test(device_${subject}_test command)
  add_test(NAME ${test} COMMAND ${command} --gtest_brief=1 --gtest_filter=${filter})
  set_tests_properties(${test} PROPERTIES LABELS device TIMEOUT 300
    ENVIRONMENT
    "OMP_WAIT_POLICY=passive;MFQ_CUDA_MODULE=$<TARGET_FILE:mfq_cuda_simt>;MFQ_ONEDNN_MODULE=;MFQ_TEST_FEW=1;${ARGN}")
endfunction()

# Of compute capability 8.0, without the matrix instructions of warpgroups and with less shared memory, and of 10.0.
mfq_add_other_device(conv_cases sm_80 *own_kernels* MFQ_SIMT_CAPABILITY=80)
mfq_add_other_device(conv_implicit sm_80 *Sizes:*PartsOfTheDepth MFQ_SIMT_CAPABILITY=80)
mfq_add_other_device(random_products sm_100 *Fast MFQ_SIMT_CAPABILITY=100)
mfq_add_other_device(huge_sizes sm_100 *Fast MFQ_SIMT_CAPABILITY=100)
# Taken for 8.0 and 8.9, as a GPU that has more may be.
foreach(capability 8.0 8.9)
  mfq_add_other_device(gemm_cases ${capability} * MFQ_CUDA_CAPABILITY=${capability})
  mfq_add_other_device(paths_of_calls ${capability} * MFQ_CUDA_CAPABILITY=${capability})
endforeach()
# In the arena that real devices have.
mfq_add_other_device(quantize_row arena * MFQ_TEST_ARENA=1)
mfq_add_other_device(gemm_cases arena * MFQ_TEST_ARENA=1)
mfq_add_other_device(conv_depthwise arena *OtherOrders:*Finishes MFQ_TEST_ARENA=1)
# With as many multiprocessors as an H200, which more blocks and parts of sums follow from.
foreach(subject gemm_weight_rows shared_scales conv_depthwise conv_general)
  mfq_add_other_device(${subject} p132 * MFQ_SIMT_PROCESSORS=132)
endforeach()
mfq_add_other_device(conv_implicit p132 *PartsOfTheDepth MFQ_SIMT_PROCESSORS=132)
mfq_add_other_device(conv_wgmma p132 *PartsOfTheDepth MFQ_SIMT_PROCESSORS=132)
