# SPDX-License-Identifier: MIT
#
# What a message may cost, and a client of a server, counted and not timed.

function(tcpx_cost what why_not)
  add_test(NAME cost.${what} COMMAND ${PROJECT_SOURCE_DIR}/bench/cost.sh ${what}
                                     $<TARGET_FILE_DIR:bench_roundtrip> ${why_not})
  set_tests_properties(cost.${what} PROPERTIES LABELS cost TIMEOUT 120
                                               SKIP_RETURN_CODE 77)
endfunction()

# Instructions are promised where the compiler saves them and the kernel is asked
# directly, see lib/base/kernel.h.
set(why_not "")
if(NOT CMAKE_BUILD_TYPE MATCHES "^Rel")
  set(why_not "the library is not built with optimisation")
elseif(NOT TCPX_DIRECT_CALLS)
  set(why_not "TCPX_DIRECT_CALLS is off")
elseif(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|aarch64)$")
  set(why_not "the kernel is asked directly on x86-64 and aarch64 only")
endif()

tcpx_cost(calls "")
tcpx_cost(connections "")
tcpx_cost(instructions "${why_not}")
