# SPDX-License-Identifier: MIT
# Asks a test program for its cases and writes the file that tells CTest.
# cmake -DPROGRAM= -DOUT= -DLABELS= -DTIMEOUT= -DWRAPPER=
# -DWORLDS= -P discover.cmake
execute_process(COMMAND ${PROGRAM} --list OUTPUT_VARIABLE list RESULT_VARIABLE rc)
if(NOT rc EQUAL 0 OR list STREQUAL "")
  message(FATAL_ERROR "${PROGRAM} --list: ${rc}")
endif()
string(REPLACE "," ";" labels "${LABELS}")
string(REPLACE "|" ";" wrapper "${WRAPPER}")
string(REGEX MATCHALL "[^\n]+" rows "${list}")
set(text "")
foreach(row IN LISTS rows)
  string(REGEX REPLACE "\t.*" "" suite "${row}")
  string(REGEX REPLACE ".*\t" "" case "${row}")
  set(command "")
  foreach(word IN LISTS wrapper ITEMS "${PROGRAM}")
    string(APPEND command " [==[${word}]==]")
  endforeach()
  foreach(world IN LISTS WORLDS ITEMS thread)
    set(name "${suite}.${case}")
    set(labels_here "${labels}")
    if(NOT world STREQUAL "thread")
      string(APPEND name "@${world}")
      list(TRANSFORM labels_here REPLACE "^api$" "fiber")
    endif()
    string(
      APPEND
      text
      "add_test([==[${name}]==]${command})\n"
      "set_tests_properties([==[${name}]==] PROPERTIES ENVIRONMENT "
      "[==[CK_RUN_SUITE=${suite};CK_RUN_CASE=${case};TCPX_TEST_WORLD=${world}]==] "
      "LABELS [==[${labels_here}]==] TIMEOUT ${TIMEOUT} SKIP_RETURN_CODE 77)\n")
  endforeach()
endforeach()
file(WRITE ${OUT} "${text}")
