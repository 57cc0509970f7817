# SPDX-License-Identifier: MIT
"""echo.py - tcpx-echo-server and tcpx-echo-client, as a user runs them."""

import os
import pty
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading

from harness import (
    PATIENCE,
    Server,
    Skip,
    check,
    folder,
    listening,
    main,
    program,
    read_to_end,
    run,
    same,
)

SERVER = "tcpx-echo-server"
CLIENT = "tcpx-echo-client"
ANY = ("--listen", "127.0.0.1:0")
MIB = 1 << 20


def works(server):
    """The server still serves whoever comes next."""
    server.is_alive()
    code, out, err = run(CLIENT, server.address, data=b"still there?\n")
    same((code, out, err), (0, b"still there?\n", ""), "the next client")


def sample(size):
    """Bytes of all values that do not repeat at any power of two."""
    block = bytes(i * 7 % 256 for i in range(257)) * 1021
    return (block * (size // len(block) + 1))[:size]


def serve_one(listener, serve):
    """Serves one client of our own listener in a thread."""

    def body():
        client, _ = listener.accept()
        with client:
            client.settimeout(PATIENCE)
            serve(client)

    thread = threading.Thread(target=body)
    thread.start()
    return thread


# ---- What it is for ---------------------------------------------------------


def test_lines_come_back():
    with Server(SERVER, *ANY) as server:
        code, out, err = run(CLIENT, server.address, data=b"one\n\ntwo\n")
        same((code, out, err), (0, b"one\n\ntwo\n", ""), "client")


def test_empty_input_ends_at_once():
    with Server(SERVER, *ANY) as server:
        same(run(CLIENT, server.address), (0, b"", ""), "client")
        code, out, err = run(CLIENT, server.address, "--check")
        same((code, err), (0, ""), "client --check")
        check(out.startswith(b"0 bytes came back"), out)


def test_binary_data_comes_back():
    data = sample(300001)
    with Server(SERVER, *ANY) as server:
        code, out, err = run(CLIENT, server.address, data=data)
        same((code, err), (0, ""), "client")
        check(out == data, "the data has changed")


def test_64_MiB_of_a_file_come_back():
    with Server(SERVER, *ANY) as server, folder() as path:
        name = os.path.join(path, "data")
        with open(name, "wb") as file:
            file.write(sample(64 * MIB))
        code, out, err = run(CLIENT, server.address, name)
        same((code, err), (0, ""), "client")
        check(out == sample(64 * MIB), "the data has changed")
        code, out, err = run(CLIENT, "--check", server.address, name)
        same((code, err), (0, ""), "client --check")
        check(
            re.fullmatch(
                rb"67108864 bytes came back as they were sent, "
                rb"in [0-9.]+ s, [0-9.]+ MiB/s\n",
                out,
            ),
            out,
        )


def test_64_MiB_of_standard_input_come_back():
    with Server(SERVER, *ANY) as server:
        data = sample(64 * MIB)
        code, out, err = run(CLIENT, server.address, "-", data=data)
        same((code, err), (0, ""), "client")
        check(out == data, "the data has changed")


def test_a_half_close_gets_the_rest_and_the_end():
    with Server(SERVER, *ANY) as server, server.connect() as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        same(read_to_end(sock), b"last words", "after the half-close")


def test_nc_is_a_client():
    if not shutil.which("nc"):
        raise Skip("nc is not installed")
    with Server(SERVER, *ANY) as server:
        done = subprocess.run(
            ["nc", "-N", *server.address.split(":")],
            input=b"hello\n",
            stdout=subprocess.PIPE,
            timeout=PATIENCE,
            check=True,
        )
        same(done.stdout, b"hello\n", "nc")


def test_the_next_client_is_served_when_the_first_has_ended():
    with Server(SERVER, *ANY) as server:
        with server.connect() as first, server.connect() as second:
            second.sendall(b"second")
            first.sendall(b"first")
            same(first.recv(100), b"first", "first client")
            first.shutdown(socket.SHUT_WR)
            same(read_to_end(first), b"", "first client's end")
            same(second.recv(100), b"second", "second client")


# ---- Addresses --------------------------------------------------------------


def test_IPv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError as why:
        raise Skip(f"no IPv6 on the loopback: {why}") from why
    with Server(SERVER, "--listen", "[::1]:0") as server:
        check(re.fullmatch(r"\[::1\]:[1-9]\d*", server.address), server.address)
        works(server)


def test_a_Unix_socket_goes_with_its_server():
    with folder() as path:
        name = os.path.join(path, "echo.sock")
        with Server(SERVER, "--listen", "unix:" + name) as server:
            same(server.address, "unix:" + name, "address")
            works(server)
            check(os.path.exists(name), "there is no socket file")
            server.stop()
            check(not os.path.exists(name), "the socket file stayed")


def test_an_abstract_Unix_socket():
    name = f"unix:@tcpx-test-{os.getpid()}"
    with Server(SERVER, "--listen", name) as server:
        same(server.address, name, "address")
        works(server)


def test_localhost_by_name():
    with Server(SERVER, "--listen", "localhost:0") as server:
        server.address = "localhost:" + server.address.rsplit(":", 1)[1]
        works(server)


# ---- Bad clients ------------------------------------------------------------


def test_a_client_that_resets_harms_nobody():
    with Server(SERVER, *ANY) as server:
        for greeting in (b"", b"x" * MIB):
            with server.connect() as sock:
                at_once = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                sock.setblocking(False)
                if greeting:
                    sock.send(greeting)
            works(server)


def test_a_client_that_never_reads_is_reset_at_the_idle_limit():
    with Server(SERVER, *ANY, "--idle", "0.3") as server:
        with server.connect() as sock:
            try:
                while True:
                    sock.sendall(b"x" * MIB)
            except (ConnectionResetError, BrokenPipeError):
                pass
            works(server)


def test_a_silent_client_is_ended_at_the_idle_limit():
    with Server(SERVER, *ANY, "--idle=0.3", "--verbose") as server:
        with server.connect() as sock:
            same(sock.recv(1), b"", "what a silent client gets")
        works(server)
        errors = server.stop()
        check(re.search(r"127.0.0.1:\d+: 0 bytes in, 0 out", errors), errors)


def test_a_client_that_half_closes_and_stays_blocks_nobody_for_long():
    with Server(SERVER, *ANY, "--idle=0.3") as server:
        with server.connect() as sock:
            sock.sendall(b"bye")
            same(sock.recv(10), b"bye", "answer")
            same(sock.recv(10), b"", "end")
            works(server)  # while sock has not finished its own direction


# ---- Stopping ---------------------------------------------------------------


def test_SIGTERM_stops_a_waiting_server():
    with Server(SERVER, *ANY) as server:
        same(server.stop(signal.SIGTERM), "", "errors")


def test_SIGINT_stops_a_waiting_server():
    with Server(SERVER, *ANY) as server:
        same(server.stop(signal.SIGINT), "", "errors")


def test_SIGTERM_stops_a_serving_server_and_cuts_no_answer_short():
    with Server(SERVER, *ANY, "--drain=0.2") as server, server.connect() as sock:
        sock.sendall(b"hello")
        same(sock.recv(10), b"hello", "answer")
        same(server.stop(), "", "errors")
        # A clean end here would look like a whole answer.
        try:
            same(sock.recv(10), None, "what came after the stop")
        except ConnectionResetError:
            pass


def test_SIGTERM_stops_a_server_whose_client_does_not_read():
    with Server(SERVER, *ANY, "--drain=0.2") as server, server.connect() as sock:
        sock.setblocking(False)
        try:
            while True:
                sock.send(b"x" * MIB)
        except BlockingIOError:
            pass
        same(server.stop(), "", "errors")


# ---- Shortage ---------------------------------------------------------------


def test_a_shortage_of_descriptors_is_waited_for():
    with Server(SERVER, *ANY) as server:
        pid = server.process.pid
        old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        works(server)
        used = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, old[1]))
        with server.connect() as sock:
            sock.sendall(b"patience")
            complaint = server.process.stderr.readline()
            check("too many open files" in complaint, complaint)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
            same(sock.recv(100), b"patience", "answer after the shortage")
        check("accept" not in server.stop(), "it complained twice")


# ---- Failures are told ------------------------------------------------------


def test_a_refused_connect_says_so_and_exits_1():
    with listening() as (_, address):
        pass  # nobody listens there any more
    code, out, err = run(CLIENT, address)
    same((code, out), (1, b""), "client")
    lines = err.splitlines()
    same(
        lines[0],
        f"{CLIENT}: cannot connect to {address}: "
        "connection refused (ECONNREFUSED)",
        "first line",
    )
    check("is the server running" in lines[-1], err)


def test_an_address_in_use_says_so_and_exits_1():
    with Server(SERVER, *ANY) as server:
        code, out, err = run(SERVER, "--listen", server.address)
        same((code, out), (1, b""), "second server")
        check(
            err.startswith(
                f"{SERVER}: cannot listen on {server.address}: "
                "address already in use (EADDRINUSE)\n"
            ),
            err,
        )
        check("ss -ltnp" in err, err)


def test_a_malformed_address_says_where_and_exits_2():
    for name, args in (
        (CLIENT, ["127.0.0.1:70000"]),
        (SERVER, ["--listen", "127.0.0.1:70000"]),
    ):
        code, out, err = run(name, *args)
        same((code, out), (2, b""), name)
        check("malformed address (TCPX_EADDRESS)" in err, err)
        check("column" in err, err)


def test_the_hint_on_addresses_fits_what_the_address_is_for():
    code, out, err = run(CLIENT, ":7007")
    same((code, out), (2, b""), "client")
    check("this is an address to listen on only" in err, err)
    hint = err.splitlines()[-1]
    check(hint.startswith("  Addresses look like ") and " :7007" not in hint, err)
    code, out, err = run(SERVER, "--listen", "7007")
    same((code, out), (2, b""), "server")
    hint = err.splitlines()[-1]
    check(hint.startswith("  Addresses look like ") and " :7007 " in hint, err)


def test_a_file_that_cannot_be_opened_exits_2():
    code, out, err = run(CLIENT, "127.0.0.1:1", "/nonexistent/file")
    same((code, out), (2, b""), "client")
    check(
        err.startswith(f"{CLIENT}: cannot open /nonexistent/file: "), err
    )


def test_a_file_that_cannot_be_read_exits_1():
    with Server(SERVER, *ANY) as server:
        code, out, err = run(CLIENT, server.address, "/")
        same((code, out), (1, b""), "client")
        check(err.startswith(f"{CLIENT}: cannot read /: "), err)
        works(server)


def test_a_closed_standard_input_is_an_error_not_a_socket():
    with Server(SERVER, *ANY) as server:
        done = subprocess.run(
            ["sh", "-c", '"$0" "$1" <&-', program(CLIENT), server.address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        same((done.returncode, done.stdout), (1, ""), "client")
        check("cannot read standard input" in done.stderr, done.stderr)


def test_bad_usage_exits_2():
    for name, args in (
        (CLIENT, []),
        (CLIENT, ["a:1", "b", "c"]),
        (CLIENT, ["--nonsense", "a:1"]),
        (CLIENT, ["--timeout", "soon", "a:1"]),
        (CLIENT, ["--timeout", "-1", "a:1"]),
        (CLIENT, ["--timeout", "", "a:1"]),
        (CLIENT, ["--timeout", "1.2.3", "a:1"]),
        (CLIENT, ["--timeout"]),
        (SERVER, ["7007"]),
        (SERVER, ["--listen"]),
        (SERVER, ["--idle", "1e3"]),
        (SERVER, ["--nonsense"]),
    ):
        code, out, err = run(name, *args)
        same((code, out), (2, b""), f"{name} {args}")
        check(f"Try '{name} --help'" in err, err)


def test_help_and_version_go_to_standard_output():
    for name in (CLIENT, SERVER):
        code, out, err = run(name, "--help")
        same((code, err), (0, ""), f"{name} --help")
        check(out.startswith(f"Usage: {name} ".encode()), out)
        check(max(map(len, out.splitlines())) <= 80, "a line is too long")
        code, out, err = run(name, "--version")
        same((code, err), (0, ""), f"{name} --version")
        check(
            re.fullmatch(rb"tcpx-echo-\w+ \(libtcpx\) \d+\.\d+\.\d+\n", out),
            out,
        )


def test_output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "wb") as full:
        for name, args in (
            (SERVER, ANY),
            (CLIENT, ["--help"]),
        ):
            done = subprocess.run(
                [program(name), *args],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            same(done.returncode, 1, name)
            check("cannot write to standard output" in done.stderr, done.stderr)


def test_output_that_nobody_reads_ends_the_client_quietly():
    with Server(SERVER, *ANY) as server:
        client = subprocess.Popen(
            [program(CLIENT), server.address, "/dev/zero"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        same(client.stdout.read(10), bytes(10), "the first bytes")
        client.stdout.close()
        same(client.stderr.read(), b"", "errors")
        same(client.wait(PATIENCE), 1, "exit code")
        client.stderr.close()
        works(server)


# ---- --check, and servers that are none -------------------------------------


def against(serve, *args, data):
    """Runs the client against a server of our own."""
    with listening() as (listener, address):
        thread = serve_one(listener, serve)
        result = run(CLIENT, *args, address, data=data)
        thread.join(PATIENCE)
        return result


def test_check_finds_a_byte_that_changed():
    data = sample(3 * MIB)
    at = 2 * MIB + 12345

    def serve(client):
        position = 0
        try:
            while piece := bytearray(client.recv(65536)):
                if position <= at < position + len(piece):
                    piece[at - position] ^= 0x20
                position += len(piece)
                client.sendall(piece)
        except ConnectionError:
            pass  # the client has seen enough

    code, out, err = against(serve, "--check", data=data)
    same((code, out), (1, b""), "client")
    same(
        err,
        f"{CLIENT}: byte {at} came back as 0x{data[at] ^ 0x20:02x}, "
        f"but was sent as 0x{data[at]:02x}\n",
        "what it says",
    )


def test_check_waits_for_a_server_that_first_takes_all():
    def serve(client):
        client.sendall(read_to_end(client))

    code, out, err = against(serve, "--check", data=sample(40 * MIB))
    same((code, err), (0, ""), "client")
    check(out.startswith(b"41943040 bytes came back as they were sent"), out)


def test_check_finds_bytes_that_are_missing():
    def serve(client):
        client.sendall(read_to_end(client)[:-1])

    code, out, err = against(serve, "--check", data=b"0123456789")
    same((code, out), (1, b""), "client")
    same(err, f"{CLIENT}: only 9 of 10 bytes came back\n", "what it says")


def test_check_finds_bytes_that_are_too_many():
    def serve(client):
        client.sendall(read_to_end(client) + b"!")

    code, out, err = against(serve, "--check", data=b"0123456789")
    same((code, out), (1, b""), "client")
    check("more came back than the 10 bytes that were sent" in err, err)


def test_a_server_that_finishes_early_is_told():
    def serve(client):
        same(client.recv(100), b"x", "request")
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)

    with listening() as (listener, address):
        thread = serve_one(listener, serve)
        client = subprocess.Popen(
            [program(CLIENT), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        client.stdin.write("x")
        client.stdin.flush()  # and no end of input
        client.wait(PATIENCE)
        out, err = client.communicate(timeout=PATIENCE)
        thread.join(PATIENCE)
    same((client.returncode, out), (1, ""), "client")
    check("finished after 0 bytes, before all was sent" in err, err)


def test_a_reset_is_told_after_all_that_came_before_it():
    def serve(client):
        client.sendall(read_to_end(client))
        at_once = struct.pack("ii", 1, 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)

    code, _, err = against(serve, data=b"0123456789")
    same(code, 1, "exit code")
    check("connection reset by the peer (ECONNRESET)" in err, err)


def test_a_server_that_never_answers_exits_3():
    with listening() as (_, address):  # connected by the kernel alone
        code, out, err = run(CLIENT, "--timeout=0.3", address, data=b"hello?")
        same((code, out), (3, b""), "client")
        same(
            err,
            f"{CLIENT}: {address}: nothing moved for 0.3 s, "
            "6 bytes sent, 0 back\n",
            "what it says",
        )


# ---- The progress line ------------------------------------------------------


def test_progress_is_shown_on_a_terminal():
    shown = threading.Event()

    def serve(client):
        data = client.recv(65536)
        check(shown.wait(PATIENCE), "no progress was shown")
        client.sendall(data + read_to_end(client))

    with listening() as (listener, address), folder() as path:
        name = os.path.join(path, "data")
        with open(name, "wb") as file:
            file.write(sample(3 * MIB // 2))
        thread = serve_one(listener, serve)
        outer, inner = pty.openpty()
        client = subprocess.Popen(
            [program(CLIENT), "--check", address, name],
            stdout=subprocess.PIPE,
            stderr=inner,
        )
        os.close(inner)
        text = b""
        try:
            while piece := os.read(outer, 1000):
                text += piece
                if b"MiB/s" in text:
                    shown.set()
        except OSError:  # the terminal's way to say that all have gone
            pass
        os.close(outer)
        out = client.stdout.read()
        client.stdout.close()
        same(client.wait(PATIENCE), 0, f"exit code; {text!r}")
        thread.join(PATIENCE)
    last = text.decode().split("\r")[-2]
    check(re.match(r"1\.5 MiB sent, 1\.5 MiB back, [\d.]+ MiB/s", last), last)
    check(out.startswith(b"1572864 bytes came back"), out)


def test_no_progress_is_shown_where_there_is_no_terminal():
    def serve(client):
        # Longer than the client waits before it shows any.
        answer = read_to_end(client)
        threading.Event().wait(1.5)
        client.sendall(answer)

    code, out, err = against(serve, "--check", data=b"slow")
    same((code, err), (0, ""), "client")


if __name__ == "__main__":
    main(globals())
