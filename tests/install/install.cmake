# SPDX-License-Identifier: MIT
#
# The installed library, used in every way that it offers; see test.sh.

function(tcpx_install_test name)
  add_test(NAME install.${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/install/test.sh
                                        ${PROJECT_BINARY_DIR} ${name})
  set_tests_properties(
    install.${name} PROPERTIES LABELS install TIMEOUT 300 SKIP_RETURN_CODE 77 ENVIRONMENT
                               "CC=${CMAKE_C_COMPILER};CMAKE_GENERATOR=${CMAKE_GENERATOR}")
  if(name STREQUAL "setup")
    set_tests_properties(install.${name} PROPERTIES FIXTURES_SETUP prefix)
  else()
    set_tests_properties(install.${name} PROPERTIES FIXTURES_REQUIRED prefix)
  endif()
endfunction()

foreach(
  name IN
  ITEMS setup
        absolute-libdir
        add-subdirectory
        destdir
        FetchContent
        find-shared
        find-static
        find-unknown-component
        find-wrong-version
        moved
        no-libcheck
        pkg-config-shared
        pkg-config-static
        plugin
        readme
        shared-only
        static-only)
  tcpx_install_test(${name})
endforeach()
