# SPDX-License-Identifier: MIT
# Asks a test program for its cases and writes the file that tells CTest.
# cmake -DPROGRAM= -DOUT= -DLABELS= -DTIMEOUT= -DWRAPPER= -P discover.cmake
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
  string(
    APPEND
    text
    "add_test([==[${suite}.${case}]==]${command})\n"
    "set_tests_properties([==[${suite}.${case}]==] PROPERTIES "
    "ENVIRONMENT [==[CK_RUN_SUITE=${suite};CK_RUN_CASE=${case}]==] "
    "LABELS [==[${labels}]==] TIMEOUT ${TIMEOUT} SKIP_RETURN_CODE 77)\n")
endforeach()
file(WRITE ${OUT} "${text}")
