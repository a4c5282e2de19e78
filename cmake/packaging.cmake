# install(): headers, libraries, command, CMake package, pkg-config files. All paths are relative: the tree may be moved.
include(CMakePackageConfigHelpers)

set(libraries mfq mfq_static)
set(pkgconfig_files mfq)
set(no_io PATTERN io.h EXCLUDE PATTERN layer_io.h EXCLUDE)
if(TARGET mfq_io)
  list(APPEND libraries mfq_io mfq_io_static)
  list(APPEND pkgconfig_files mfq_io)
  set(no_io "")
endif()

install(TARGETS ${libraries} EXPORT mfq_targets)
if(TARGET mfq_command)
  install(TARGETS mfq_command)
endif()
foreach(module mfq_cuda mfq_onednn) # opened by their names, beside libmfq; nobody links them
  if(TARGET ${module})
    install(TARGETS ${module})
  endif()
endforeach()
install(DIRECTORY include/mfq DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h" PATTERN "*.def" ${no_io})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mfq)
write_basic_package_version_file(mfqConfigVersion.cmake VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(EXPORT mfq_targets NAMESPACE mfq:: FILE mfqTargets.cmake DESTINATION ${package_dir})
install(FILES cmake/mfqConfig.cmake "${PROJECT_BINARY_DIR}/mfqConfigVersion.cmake" DESTINATION ${package_dir})

# ${pcfiledir} is where pkg-config found the file, so that the prefix follows the tree.
file(RELATIVE_PATH to_prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" MFQ_PC_TO_PREFIX "${to_prefix}")
set(MFQ_PC_DL "")
if(CMAKE_DL_LIBS)
  set(MFQ_PC_DL "-l${CMAKE_DL_LIBS}")
endif()
foreach(name IN LISTS pkgconfig_files)
  configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
