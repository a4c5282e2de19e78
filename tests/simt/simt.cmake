# The emulator of a GPU, libmfq_simt. One shared object, because tests and the module with the kernels both use it.
add_library(mfq_simt SHARED ${simt_sources})
target_include_directories(mfq_simt PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}/simt/toolkit" "${PROJECT_SOURCE_DIR}/include"
                           PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}")
target_compile_definitions(mfq_simt PUBLIC MFQ_SIMT)
target_compile_options(mfq_simt PRIVATE -O2) # under sanitizers too: every emulated thread goes through it
target_link_libraries(mfq_simt PRIVATE mfq_numerics mfq_warnings boost_context Threads::Threads ${CMAKE_DL_LIBS})
if(MFQ_TEST_PRECOMPILE)
  target_precompile_headers(mfq_simt PRIVATE <cuda_runtime.h> <algorithm> <atomic> <mutex> <string> <thread> <vector>)
endif()
set_target_properties(mfq_simt PROPERTIES CXX_STANDARD 20 CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
