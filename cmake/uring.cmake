# SPDX-License-Identifier: MIT

# Sets TCPX_URING, and makes PkgConfig::LIBURING, by what TCPX_WITH_URING asks.
set(TCPX_URING OFF)
if(TCPX_WITH_URING)
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(LIBURING IMPORTED_TARGET liburing>=2.3)
  endif()
  if(LIBURING_FOUND)
    set(TCPX_URING ON)
  elseif(NOT TCPX_WITH_URING STREQUAL "AUTO")
    message(FATAL_ERROR "TCPX_WITH_URING is ${TCPX_WITH_URING}, and liburing 2.3 "
                        "or newer was not found by pkg-config")
  endif()
endif()
