#!/bin/sh
# SPDX-License-Identifier: MIT
# test.sh BUILD CASE - installs what BUILD made and uses it as others would.
#
# setup installs into BUILD/tests/install/prefix; every other case makes a
# folder of its own beside it, consumes the library in one way, and starts the
# result.
set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd)
source=$(cd -- "$here/../.." && pwd)
build=$(cd -- "$1" && pwd)
name=$2
prefix=$build/tests/install/prefix
work=$build/tests/install/$name
rm -rf "$work"
mkdir -p "$work"
cd "$work"
lib=$(sed -n 's/^CMAKE_INSTALL_LIBDIR:[A-Z]*=//p' "$build/CMakeCache.txt")
export PKG_CONFIG_PATH="$prefix/$lib/pkgconfig"
cc=${CC:-cc}
warnings='-Wall -Wextra -Wpedantic -Werror'

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# Starts a consumer; $2 is yes if it must need libtcpx.so, no if it must not.
starts() {
    if ldd "$1" 2>/dev/null | grep -q libtcpx; then
        [ "$2" = yes ] || fail "$1 needs libtcpx.so"
    else
        [ "$2" = no ] || fail "$1 does not need libtcpx.so"
    fi
    "$1"
}

# find PREFIX OPTION...: builds the consumer that calls find_package.
find_it() {
    where=$1
    shift
    cmake -S "$here/find" -B found -DCMAKE_PREFIX_PATH="$where" "$@"
    cmake --build found
}

# refused EXPECTED OPTION...: configuring must fail and say so.
refused() {
    expected=$1
    shift
    if cmake -S "$here/find" -B found -DCMAKE_PREFIX_PATH="$prefix" "$@" \
        >log 2>&1; then
        fail "was not refused: $*"
    fi
    tr -s ' \n' ' ' <log >line
    grep -q "$expected" line || fail "no \"$expected\" in: $(cat log)"
    tail -n 12 log
}

# compile PKG-CONFIG-OPTIONS OPTION...: builds the consumer without CMake.
# pkg-config quotes blanks in a path for the shell; eval takes that back.
compile() {
    flags=$(eval "pkg-config $1 --cflags --libs tcpx")
    printf 'pkg-config %s: %s\n' "$1" "$flags"
    shift
    # shellcheck disable=SC2086 # a list of options
    eval "\"\$cc\" $warnings \"\$here/consumer.c\" -o consumer $flags \"\$@\""
}

# library OPTION...: builds and installs the library by itself, into ./alone.
library() {
    cmake -S "$source" -B lib -DTCPX_BUILD_TESTS=OFF -DTCPX_BUILD_EXAMPLES=OFF \
        -DCMAKE_INSTALL_PREFIX="$work/alone" "$@"
    cmake --build lib
    cmake --install lib
}

# embed HOW BUILD_SHARED_LIBS: the library within a parent project.
embed() {
    cmake -S "$here/embed" -B "b-$2" -DTCPX_SOURCE="$source" -DHOW="$1" \
        -DBUILD_SHARED_LIBS="$2" -DCMAKE_INSTALL_PREFIX="$work/out-$2"
    cmake --build "b-$2"
    if [ "$2" = ON ]; then
        starts "b-$2/consumer" yes
    else
        starts "b-$2/consumer" no
    fi
    [ ! -e "b-$2/compile_commands.json" ] || fail "compile_commands.json"
    (cd "b-$2" && ctest -N | tee /dev/stderr | grep -q 'Total Tests: 1$') ||
        fail "tests leaked"
    cmake --install "b-$2"
    files=$(find "out-$2" -type f)
    [ "$files" = "out-$2/bin/consumer" ] || fail "installed: $files"
}

case $name in
setup)
    rm -rf "$prefix"
    cmake --install "$build" --prefix "$prefix"
    ;;
find-shared)
    find_it "$prefix"
    starts found/consumer yes
    ;;
find-static)
    find_it "$prefix" -DCOMPONENT=static
    starts found/consumer no
    ;;
find-unknown-component) refused 'no component gadget' -DCOMPONENT=gadget ;;
find-wrong-version)
    refused 'tcpx' -DVERSION=9.9
    refused 'tcpx' -DVERSION=0.0.1
    ;;
no-libcheck)
    # Where the tests cannot be built, what to do is said, and works.
    mkdir none
    export PKG_CONFIG_LIBDIR="$work/none"
    unset PKG_CONFIG_PATH
    for hidden in -DTCPX_WITH_URING=AUTO -DPKG_CONFIG_EXECUTABLE="$work/none"; do
        rm -rf lib
        if cmake -S "$source" -B lib "$hidden" >log 2>&1; then
            fail "it was configured without libcheck: $hidden"
        fi
        tr -s ' \n' ' ' <log >line
        grep -q 'the tests need pkg-config and libcheck (Debian: .*configure with -DTCPX_BUILD_TESTS=OFF' line ||
            fail "it does not say what to do: $(cat log)"
        cmake -S "$source" -B lib "$hidden" -DTCPX_BUILD_TESTS=OFF
    done
    ;;
pkg-config-shared)
    compile '' "-Wl,-rpath,$(pkg-config --variable=libdir tcpx)"
    starts ./consumer yes
    ;;
pkg-config-static)
    compile --static -static
    starts ./consumer no
    compile --static -static-pie -fPIE
    starts ./consumer no
    ;;
plugin)
    # shellcheck disable=SC2086
    "$cc" $warnings -shared -fPIC "$here/plugin/plugin.c" -o libplugin.so \
        "-I$prefix/include" "$prefix/$lib/libtcpx.a" -pthread
    # shellcheck disable=SC2086
    "$cc" $warnings "$here/plugin/main.c" -o main -L. -lplugin \
        "-Wl,-rpath,$work"
    starts ./main no
    ;;
moved)
    cp -a "$prefix" "$work/elsewhere"
    # Whoever looks at the old place must not find it by chance.
    ! grep -rlF "$prefix" "elsewhere/$lib/cmake" || fail "an absolute path"
    find_it "$work/elsewhere"
    starts found/consumer yes
    export PKG_CONFIG_PATH="$work/elsewhere/$lib/pkgconfig"
    compile "--define-variable=prefix='$work/elsewhere'" \
        "-Wl,-rpath,$work/elsewhere/$lib"
    starts ./consumer yes
    for tool in elsewhere/bin/*; do
        [ ! -e "$tool" ] || "$tool" --version
    done
    ;;
absolute-libdir)
    # Outside the sources: CMake refuses absolute header folders within them.
    outside=$(mktemp -d)
    trap 'rm -rf "$outside"' EXIT
    library -DCMAKE_INSTALL_LIBDIR="$outside/lib64" \
        -DCMAKE_INSTALL_INCLUDEDIR="$outside/headers"
    export PKG_CONFIG_PATH="$outside/lib64/pkgconfig"
    [ "$(pkg-config --variable=libdir tcpx)" = "$outside/lib64" ]
    [ "$(pkg-config --variable=includedir tcpx)" = "$outside/headers" ]
    compile '' "-Wl,-rpath,$outside/lib64"
    starts ./consumer yes
    find_it "$outside/lib64/cmake"
    starts found/consumer yes
    ;;
static-only)
    library -DTCPX_BUILD_SHARED=OFF
    find_it "$work/alone"
    starts found/consumer no
    prefix=$work/alone
    refused 'without its shared library' -DCOMPONENT=shared
    ;;
shared-only)
    library -DTCPX_BUILD_STATIC=OFF
    find_it "$work/alone"
    starts found/consumer yes
    prefix=$work/alone
    refused 'without its static library' -DCOMPONENT=static
    ;;
add-subdirectory | FetchContent)
    embed "$name" ON
    embed "$name" OFF
    ;;
destdir)
    DESTDIR="$work/stage" cmake --install "$build" --prefix /usr >/dev/null
    # One page for each function, whatever else there is.
    sed -n 's/^ *\(tcpx_[a-z0-9_]*\);$/\1/p' "$source/lib/libtcpx.map" |
        while read -r function; do
            [ -f "stage/usr/share/man/man3/$function.3" ] ||
                fail "no page $function(3)"
        done
    (cd stage && find . ! -type d ! -path '*/man/man3/*' | 
        sed "s|^./usr/$lib/|./usr/lib/|
             s|-targets-[a-z]*\.cmake|-targets-CONFIG.cmake|" | sort) >files
    grep -qx 'prefix=/usr' "stage/usr/$lib/pkgconfig/tcpx.pc"
    diff -u "$here/files.txt" files
    ;;
readme)
    case $source in
    *' '*)
        echo "SKIPPED install.readme: \$(pkg-config) splits a path with blanks"
        exit 77
        ;;
    esac
    # The README's two servers by the README's own words, but for the port.
    command -v nc >/dev/null || {
        echo "SKIPPED install.readme: nc is not installed"
        exit 77
    }
    block() {
        awk -v kind="$1" -v wanted="$2" '
            /^```/ && inside {exit}
            inside {print}
            $0 == "```" kind && ++n == wanted {inside = 1}' "$source/README.md"
    }
    block sh 2 | sed 's|/out/lib|/out/'"$lib|g; /^\.\/server/d" >words
    cat words
    ln -s "$prefix" out
    for program in 1 2; do
        block c $program | sed 's/127\.0\.0\.1:7000/127.0.0.1:0/' >server.c
        # shellcheck disable=SC1091 # made just above
        . ./words
        : >said
        ./server 2>said &
        server=$!
        trap 'kill $server' EXIT
        tries=0
        until grep -q '^listening on ' said; do
            tries=$((tries + 1))
            [ $tries -le 100 ] || fail "server $program says nothing"
            sleep 0.1
        done
        port=$(sed -n 's/^listening on .*://p' said)
        printf 'one\r\ntwo\n' | timeout 20 nc -N 127.0.0.1 "$port" >answer
        printf 'you said: one\r\nyou said: two\r\n' | cmp - answer
        kill $server
        wait $server || [ $program = 1 ] || fail "server 2 did not stop well"
        trap - EXIT
    done
    ;;
*) fail "no such case" ;;
esac
