#!/bin/sh
# SPDX-License-Identifier: MIT
# gates.sh - gives each gate something that it must refuse.
set -eu
scripts=$(cd -- "$(dirname -- "$0")/../scripts" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# refuses WHAT EXPECTED COMMAND...
refuses() {
    what=$1
    expected=$2
    shift 2
    if out=$("$@" 2>&1); then
        echo "let pass: $what"
        exit 1
    fi
    case $out in
    *"$expected"*) echo "refused: $what" ;;
    *) echo "refused $what without saying \"$expected\": $out" && exit 1 ;;
    esac
}

begin() {
    rm -rf "$work/t"
    mkdir -p "$work/t/lib/base" "$work/t/lib/net"
    printf '#include "base/ok.h"\nint f(void)\n{\n    return 0;\n}\n' \
        >"$work/t/lib/net/ok.c"
}

begin
"$scripts/check-layers" "$work/t"
echo '#include "net/conn.h"' >"$work/t/lib/base/bad.c"
refuses "an include upwards" "goes against" "$scripts/check-layers" "$work/t"
begin
echo '#include "ok.h"' >"$work/t/lib/base/bad.c"
refuses "an include without folder" "no folder" "$scripts/check-layers" \
    "$work/t"

begin
"$scripts/check-functions" "$work/t"
{
    printf 'int g(void)\n{\n'
    yes '    g();' | head -n 59
    printf '}\n'
} >"$work/t/lib/base/bad.c"
refuses "a function of 61 lines" "61 lines: int g" \
    "$scripts/check-functions" "$work/t"
begin
yes '/* long */' | head -n 501 >"$work/t/lib/base/bad.h"
refuses "a file of 501 lines" "more than 500" "$scripts/check-functions" \
    "$work/t"

begin
cc=${CC:-cc}
echo 'int g(void) { return 0; }' >"$work/t/lib/base/sys.c"
(cd "$work/t/lib" && mkdir -p o/base && "$cc" -c base/sys.c -o o/base/sys.c.o &&
    echo 'int g(void); int main(void) { return g(); }' >base/main.c &&
    "$cc" -c base/main.c -o o/base/main.c.o)
objects="$work/t/lib/o/base/sys.c.o $work/t/lib/o/base/main.c.o"
# shellcheck disable=SC2086 # two words
refuses "a call of who knows what" "calls g" "$scripts/check-syscalls" $objects
echo 'int recv(int); int main(void) { return recv(0); }' >"$work/t/lib/base/b.c"
"$cc" -fno-builtin -c "$work/t/lib/base/b.c" -o "$work/t/lib/o/base/main.c.o"
# shellcheck disable=SC2086
refuses "a system call" "calls recv" "$scripts/check-syscalls" $objects
