# SPDX-License-Identifier: MIT

# What every C file of this project is compiled with.  Private to the target:
# a program that uses the library sees none of it.
function(tcpx_compile target)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON
                                             C_EXTENSIONS OFF)
  if(PROJECT_IS_TOP_LEVEL)
    # Within a parent project that is the parent's to ask for.
    set_target_properties(${target} PROPERTIES EXPORT_COMPILE_COMMANDS ON)
  endif()
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_compile_options(
    ${target}
    PRIVATE -Wall
            -Wextra
            -Wpedantic
            -Wconversion
            -Wshadow
            -Wstrict-prototypes
            -Wmissing-prototypes
            -Wvla)
  if(TCPX_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  tcpx_sanitize(${target})
endfunction()
