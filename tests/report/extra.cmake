# bench/report: Python alone, once, on the machine's own build, as tests/lint.
if(CMAKE_CROSSCOMPILING OR MFQ_SANITIZE OR MFQ_TEST_GPU)
  return()
endif()
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
file(GLOB report_tests CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/*_test.py")
foreach(source IN LISTS report_tests)
  get_filename_component(subject "${source}" NAME)
  string(REPLACE "_test.py" "" subject "${subject}")
  add_test(NAME report/${subject} COMMAND Python3::Interpreter -B "${source}")
  set_tests_properties(report/${subject} PROPERTIES LABELS report TIMEOUT 60)
endforeach()
# The document and the committed results.
add_test(NAME report/hardware_ledger COMMAND Python3::Interpreter -B "${PROJECT_SOURCE_DIR}/bench/report/report.py" ledger
                                             --check)
set_tests_properties(report/hardware_ledger PROPERTIES LABELS "report;lint" TIMEOUT 60)
