# NVIDIA's header, behind the emulator's own.
if(TARGET simt_cublaslt_header_test AND MFQ_CUDA_INCLUDE)
  target_include_directories(simt_cublaslt_header_test SYSTEM PRIVATE "${MFQ_CUDA_INCLUDE}")
endif()
# Contexts of the module, whose plans these tests change.
foreach(subject batch_steps expanded_steps implicit_steps native_steps unfolded_steps)
  if(TARGET simt_${subject}_test)
    add_dependencies(simt_${subject}_test mfq_cuda_simt)
    set_property(TEST simt/${subject} APPEND PROPERTY ENVIRONMENT "MFQ_CUDA_MODULE=$<TARGET_FILE:mfq_cuda_simt>")
  endif()
endforeach()
