# bench/gpu/check.sh rehearsed on the emulated device.
if(TARGET mfq_cuda_simt AND TARGET bench_cast AND TARGET mfq_command AND NOT CMAKE_CROSSCOMPILING AND NOT MFQ_SANITIZE)
  foreach(scenario well hang crash lost little_time interrupted no_gpu old_driver no_space no_folder packed
          foreign_pack)
    add_test(NAME gpu_check/${scenario}
             COMMAND sh "${CMAKE_CURRENT_LIST_DIR}/rehearsal.sh" "${PROJECT_BINARY_DIR}" ${scenario})
    set_tests_properties(gpu_check/${scenario} PROPERTIES LABELS gpu_check TIMEOUT 120
                         ENVIRONMENT "OMP_WAIT_POLICY=passive")
  endforeach()
  add_test(NAME gpu_check/places
           COMMAND sh "${CMAKE_CURRENT_LIST_DIR}/places.sh" "${PROJECT_BINARY_DIR}/tests/rehearsal/places")
  set_tests_properties(gpu_check/places PROPERTIES LABELS gpu_check)
  if(TARGET gpu_tests)
    find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
    add_test(NAME gpu_check/plan
             COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/plan_test.py" "${PROJECT_BINARY_DIR}")
    set_tests_properties(gpu_check/plan PROPERTIES LABELS gpu_check)
  endif()
endif()
