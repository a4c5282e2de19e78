# What is chosen depends on the processor, and MFQ_CPU_ISA makes this one a lesser one: the tests, or the instances of
# them, that see another choice there run once more as <folder>/<subject>@<level>, so that every machine tests all choices
# up to its own. Where it has less than the level, libmfq says so, and they are skipped.
function(mfq_add_lesser_machine level subject filter)
  if(NOT TARGET op_${subject}_test OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    return()
  endif()
  set(name op/${subject}@${level})
  get_test_property(op/${subject} ENVIRONMENT environment)
  mfq_command_of_test(op_${subject}_test command)
  add_test(NAME ${name} COMMAND ${command} --gtest_brief=1 --gtest_filter=${filter})
  set_tests_properties(${name} PROPERTIES LABELS "op;isa" TIMEOUT 120 ENVIRONMENT "${environment};MFQ_CPU_ISA=${level}"
                       SKIP_REGULAR_EXPRESSION "MFQ_CPU_ISA is '${level}'; this machine and build have")
endfunction()

foreach(subject product_engines conv_engines)
  # AVX-512 without AVX512_BF16 has loops for bf16 of its own.
  mfq_add_lesser_machine(avx512 ${subject} "*/own_avx512:*IsTheOneThatIsMeant*")
  mfq_add_lesser_machine(avx2 ${subject} "*/onednn:*IsTheOneThatIsMeant*")
  mfq_add_lesser_machine(baseline ${subject} "*/onednn:*IsTheOneThatIsMeant*")
endforeach()
mfq_add_lesser_machine(avx512 gemm_paths "GemmPaths.*:*/avx512:-*SlabsOfRows")
mfq_add_lesser_machine(avx2 gemm_paths "GemmPaths.*:-*SlabsOfRows")
mfq_add_lesser_machine(baseline gemm_paths "GemmPaths.*:-*SlabsOfRows")
mfq_add_lesser_machine(avx512 random_products "*/own_avx512:*/onednn_*")
mfq_add_lesser_machine(avx2 random_products "*/onednn_*")
mfq_add_lesser_machine(avx512 gemm_expansion "*FewRows/mxfp4_e2m1:*FewRows/nvfp4")
