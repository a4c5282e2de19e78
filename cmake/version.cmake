# Reads the version out of include/mfq/base.h, the one place that holds it.
set(mfq_base_h "${CMAKE_CURRENT_LIST_DIR}/../include/mfq/base.h")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${mfq_base_h}")

foreach(part MAJOR MINOR PATCH STRING)
  file(STRINGS "${mfq_base_h}" line REGEX "^#define MFQ_VERSION_${part} ")
  string(REGEX REPLACE "^#define MFQ_VERSION_${part} +\"?([0-9.]+)\"?.*" "\\1" MFQ_VERSION_${part} "${line}")
endforeach()

set(MFQ_VERSION "${MFQ_VERSION_MAJOR}.${MFQ_VERSION_MINOR}.${MFQ_VERSION_PATCH}")
if(NOT MFQ_VERSION STREQUAL MFQ_VERSION_STRING)
  message(FATAL_ERROR "include/mfq/base.h: MFQ_VERSION_STRING is \"${MFQ_VERSION_STRING}\", the numbers say "
                      "\"${MFQ_VERSION}\"; make them equal")
endif()
