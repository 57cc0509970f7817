# SPDX-License-Identifier: MIT

# Builds a target with the sanitizers of TCPX_SANITIZE, if there are any.
function(tcpx_sanitize target)
  if(NOT TCPX_SANITIZE)
    return()
  endif()
  string(REPLACE ";" "," kinds "${TCPX_SANITIZE}")
  set(flags -fsanitize=${kinds} -fno-omit-frame-pointer)
  if("undefined" IN_LIST TCPX_SANITIZE)
    # A finding must fail the test, not only print a line.
    list(APPEND flags -fno-sanitize-recover=undefined)
  endif()
  target_compile_options(${target} PRIVATE ${flags})
  # Also for what links a static library of ours within this build.
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    target_link_options(${target} INTERFACE $<BUILD_INTERFACE:-fsanitize=${kinds}>)
  else()
    target_link_options(${target} PRIVATE -fsanitize=${kinds})
  endif()
endfunction()
