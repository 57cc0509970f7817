#!/bin/sh
# SPDX-License-Identifier: MIT
# demo.sh - from nothing to a file sent and echoed: installs the missing tools,
# builds, installs into ./out, compiles programs against that, and runs them.
# Nothing outside this folder is changed but for Debian's packages.
set -eu
cd -- "$(dirname -- "$0")/.."
. scripts/lib.sh

[ $# -eq 0 ] || {
    say "usage: scripts/demo.sh" >&2
    exit 2
}

mib=64
work=build/demo
log=$work/demo.log
server=''

# quietly COMMAND...: prints it and runs it; its output goes to the log.
quietly() {
    show "$@"
    "$@" >>"$log" 2>&1 || failed
}

# The same for configure, which prints its command itself.
quietly_configure() {
    configure "$@" >$work/configure.log 2>&1 || {
        cat $work/configure.log >>"$log"
        failed
    }
    grep '^+' $work/configure.log
    cat $work/configure.log >>"$log"
}

failed() {
    tail -n 20 "$log" >&2
    die "that failed; the whole log is $log"
}

stop_server() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || :
}
trap stop_server EXIT
trap 'exit 1' INT TERM

say "== The tools"
need_build_tools gcc
install_missing

say "== The library, both kinds, into $PWD/out"
mkdir -p $work
: >"$log"
quietly_configure . $work/lib -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DTCPX_BUILD_TESTS=OFF -DCMAKE_INSTALL_LIBDIR=lib
quietly cmake --build $work/lib -j "$jobs"
quietly cmake --install $work/lib --prefix "$PWD/out"
export PKG_CONFIG_PATH="$PWD/out/lib/pkgconfig"

say "== A program, linked in three ways"
program=tests/install/consumer.c
cc=${CC:-cc}
# pkg-config quotes what the shell would split; eval takes that back.
eval "set -- $(pkg-config --cflags --libs tcpx)"
quietly "$cc" $program -o $work/shared "$@" \
    "-Wl,-rpath,$(pkg-config --variable=libdir tcpx)"
run $work/shared
eval "set -- $(pkg-config --static --cflags --libs tcpx)"
quietly "$cc" -static $program -o $work/static "$@"
run $work/static
quietly_configure tests/install/find $work/found \
    "-DCMAKE_PREFIX_PATH=$PWD/out"
quietly cmake --build $work/found
run $work/found/consumer

say "== $mib MiB through the echo server"
[ -f $work/file ] || head -c $((mib * 1048576)) /dev/urandom >$work/file
say "+ out/bin/tcpx-echo-server --listen 127.0.0.1:0 &"
out/bin/tcpx-echo-server --listen 127.0.0.1:0 >$work/server.out &
server=$!
tries=0
until grep -q '^listening on ' $work/server.out; do
    tries=$((tries + 1))
    [ $tries -le 100 ] || die "the server says nothing"
    sleep 0.1
done
cat $work/server.out
address=$(sed -n '1s/^listening on //p' $work/server.out)
begin=$(date +%s%N)
say "+ out/bin/tcpx-echo-client $address $work/file >$work/back"
out/bin/tcpx-echo-client "$address" $work/file >$work/back
ms=$((($(date +%s%N) - begin) / 1000000 + 1))
(cd $work && run sha256sum file back)
cmp $work/file $work/back || die "the file came back different"
say "the same; $((mib * 1000 / ms)) MiB a second each way, in $ms ms"
run out/bin/tcpx-echo-client --check "$address" $work/file
run kill -TERM $server
wait $server || [ $? -eq 143 ] || die "the server ended badly"
server=''
rm -f $work/back

cat <<END
== All of it works. What you can type next:

out/bin/tcpx-echo-server --listen 127.0.0.1:7000      and, in another terminal,
out/bin/tcpx-echo-client 127.0.0.1:7000               lines come back; ^D ends

export PKG_CONFIG_PATH=$PWD/out/lib/pkgconfig
cc program.c -o program \$(pkg-config --cflags --libs tcpx) -Wl,-rpath,$PWD/out/lib
man -M out/share/man tcpx                             the manual
scripts/test.sh                                       the tests
rm -rf out build                                      as if nothing had happened
END
