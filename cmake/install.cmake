# SPDX-License-Identifier: MIT

# What goes where.  Components: runtime (the shared library), dev (headers, what
# links), tools (programs and their manual).
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tcpx)

# Two sets in two files: a distribution may leave one kind of library out.
if(TCPX_BUILD_SHARED)
  set_target_properties(tcpx_shared PROPERTIES EXPORT_NAME tcpx_shared)
  install(
    TARGETS tcpx_shared
    EXPORT tcpx-shared-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
            COMPONENT runtime
            NAMELINK_COMPONENT dev)
  install(EXPORT tcpx-shared-targets NAMESPACE tcpx:: DESTINATION ${package_dir}
          COMPONENT dev)
endif()
if(TCPX_BUILD_STATIC)
  install(TARGETS tcpx_static EXPORT tcpx-static-targets
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
  install(EXPORT tcpx-static-targets NAMESPACE tcpx:: DESTINATION ${package_dir}
          COMPONENT dev)
endif()

install(FILES include/tcpx.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
install(DIRECTORY include/tcpx DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev
        FILES_MATCHING PATTERN "*.h")

configure_package_config_file(
  cmake/tcpx-config.cmake.in ${PROJECT_BINARY_DIR}/tcpx-config.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# Below 1.0 a minor release may change the API.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tcpx-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tcpx-config.cmake
              ${PROJECT_BINARY_DIR}/tcpx-config-version.cmake
        DESTINATION ${package_dir} COMPONENT dev)

# The prefix is absolute, because only then can pkg-config leave -I/usr/include
# away; it is filled in when it is known for good: "cmake --install --prefix".
# Some distributions give absolute directories, which no prefix goes before.
foreach(dir IN ITEMS LIBDIR INCLUDEDIR)
  string(TOLOWER ${dir} name)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
    set(pc_${name} "${CMAKE_INSTALL_${dir}}")
  else()
    set(pc_${name} "\${prefix}/${CMAKE_INSTALL_${dir}}")
  endif()
endforeach()
set(pc_uring "")
if(TCPX_URING)
  set(pc_uring " -luring")
endif()
set(pc_prefix "@pc_prefix@")
configure_file(cmake/tcpx.pc.in ${PROJECT_BINARY_DIR}/tcpx.pc.in @ONLY)
install(
  CODE "get_filename_component(pc_prefix \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
configure_file(\"${PROJECT_BINARY_DIR}/tcpx.pc.in\" \"${PROJECT_BINARY_DIR}/tcpx.pc\" @ONLY)"
  COMPONENT dev)
install(FILES ${PROJECT_BINARY_DIR}/tcpx.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT dev)
