# SPDX-License-Identifier: MIT
#
# What a message may cost, counted and not timed.

function(tcpx_cost what)
  add_test(NAME cost.${what} COMMAND ${PROJECT_SOURCE_DIR}/bench/cost.sh ${what}
                                     $<TARGET_FILE:bench_roundtrip>)
  set_tests_properties(cost.${what} PROPERTIES LABELS cost TIMEOUT 120
                                               SKIP_RETURN_CODE 77)
endfunction()

tcpx_cost(calls)
