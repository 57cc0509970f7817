# SPDX-License-Identifier: MIT
#
# What the sources must keep to, each by a script in scripts/ that also works by
# hand.  Only in a plain build: sanitizers change the symbols.

function(tcpx_gate name)
  add_test(NAME gate.${name} COMMAND ${ARGN} COMMAND_EXPAND_LISTS)
  set_tests_properties(
    gate.${name}
    PROPERTIES LABELS gates TIMEOUT 120 SKIP_RETURN_CODE 77 ENVIRONMENT
               "CC=${CMAKE_C_COMPILER}")
endfunction()

set(scripts ${PROJECT_SOURCE_DIR}/scripts)
if(TCPX_BUILD_SHARED)
  tcpx_gate(abi ${scripts}/check-abi $<TARGET_FILE:tcpx_shared>)
endif()
tcpx_gate(format ${scripts}/check-format)
tcpx_gate(functions ${scripts}/check-functions)
tcpx_gate(headers ${scripts}/check-headers)
tcpx_gate(layers ${scripts}/check-layers)
tcpx_gate(man ${scripts}/check-man ${PROJECT_BINARY_DIR}/docs/man)
if(TCPX_BUILD_SHARED)
  set(linked $<TARGET_FILE:tcpx_shared>)
endif()
tcpx_gate(man-examples ${scripts}/check-man-examples ${linked})
tcpx_gate(man-lint ${scripts}/check-man --lint)
if(TARGET tcpx-echo-server)
  tcpx_gate(man-programs ${scripts}/check-man-programs
            $<TARGET_FILE:tcpx-echo-client> $<TARGET_FILE:tcpx-echo-server>
            $<TARGET_FILE:tcpx-relay>)
endif()
tcpx_gate(refuse ${CMAKE_CURRENT_SOURCE_DIR}/gates.sh)
tcpx_gate(refuse-man ${CMAKE_CURRENT_SOURCE_DIR}/gates_man.sh)
tcpx_gate(shell ${scripts}/check-shell)
if(TCPX_BUILD_SHARED AND TCPX_BUILD_STATIC)
  tcpx_gate(symbols ${scripts}/check-symbols $<TARGET_FILE:tcpx_shared>
            $<TARGET_FILE:tcpx_static>)
endif()
tcpx_gate(syscalls ${scripts}/check-syscalls $<TARGET_OBJECTS:tcpx_objects>)

add_test(NAME gate.tidy COMMAND ${scripts}/check-tidy ${PROJECT_BINARY_DIR})
set_tests_properties(gate.tidy PROPERTIES LABELS "tidy;slow" TIMEOUT 900
                                          SKIP_RETURN_CODE 77)
