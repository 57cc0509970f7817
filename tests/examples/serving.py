# SPDX-License-Identifier: MIT
"""serving.py - the example servers by every model, and the relay."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

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
RELAY = "tcpx-relay"
ANY = ("--listen", "127.0.0.1:0")
MODELS = ("iterative", "fork", "thread", "pool", "fiber")


def echo(address, data=b"hello\n"):
    code, out, err = run(CLIENT, address, data=data)
    same((code, out, err), (0, data, ""), "echo")


def test_every_model_echoes_and_stops():
    for model in MODELS:
        with Server(SERVER, *ANY, "--model", model) as server:
            for _ in range(3):
                echo(server.address)
            same(server.stop(), "", f"errors of {model}")


def test_clients_are_served_side_by_side_but_by_the_iterative_model():
    for model in MODELS[1:]:
        with Server(SERVER, *ANY, "--model", model) as server:
            with server.connect() as first:
                first.sendall(b"a")
                same(first.recv(1), b"a", model)
                echo(server.address)


def test_stats_are_a_line_at_SIGUSR1_and_at_the_end():
    with Server(SERVER, *ANY, "--stats") as server:
        echo(server.address, b"12345")
        server.process.send_signal(signal.SIGUSR1)
        line = server.process.stderr.readline()
        check("accepted 1," in line and "5 bytes in, 5 out" in line, line)
        errors = server.stop()
        check(re.search(r"accepted 1, active 0, closing 0, closed 1,", errors), errors)


def test_more_than_the_limit_per_client_is_refused():
    with Server(SERVER, *ANY, "--per-client=1", "--stats") as server:
        with server.connect() as first:
            first.sendall(b"x")
            same(first.recv(1), b"x", "first client")
            with server.connect() as second:
                same(read_to_end(second), b"", "a refused client")
        check("refused 1," in server.stop(), "the count of the refused")


def test_more_than_the_limit_in_all_waits():
    with Server(SERVER, *ANY, "--max-connections=1") as server:
        first = server.connect()
        first.sendall(b"x")
        same(first.recv(1), b"x", "first client")
        with server.connect() as second:
            second.sendall(b"patience")
            first.close()
            same(second.recv(8), b"patience", "the one who waited")


def test_a_stop_lets_clients_finish():
    for model in MODELS:
        with Server(SERVER, *ANY, "--model", model) as server:
            with server.connect() as sock:
                sock.sendall(b"one")
                same(sock.recv(3), b"one", model)
                server.process.send_signal(signal.SIGTERM)
                sock.sendall(b"two")
                same(sock.recv(3), b"two", model)
                sock.shutdown(socket.SHUT_WR)
                same(sock.recv(1), b"", model)
            server.process.wait(PATIENCE)
            same(server.process.returncode, 0, f"exit code of {model}")


def test_a_second_signal_ends_who_is_left():
    with Server(SERVER, *ANY, "--drain=0") as server, server.connect() as sock:
        sock.sendall(b"x")
        same(sock.recv(1), b"x", "answer")
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGINT)
        server.process.wait(PATIENCE)
        same(server.process.returncode, 0, "exit code")


def test_bad_usage_exits_2():
    for args in (
        ["--model", "green"],
        ["--workers", "0"],
        ["--max-connections", "-1"],
        ["--per-client", "many"],
        ["--drain", "soon"],
    ):
        code, out, err = run(SERVER, *args)
        same((code, out), (2, b""), f"{args}: {err}")
        check(err.startswith(f"{SERVER}: "), err)


def test_workers_are_for_models_that_have_them():
    for model in (None, "thread", "iterative", "fork"):
        args = ["--workers", "3"] + (["--model", model] if model else [])
        code, out, err = run(SERVER, *args)
        same((code, out), (2, b""), f"{args}: {err}")
        same(
            err,
            f"{SERVER}: --workers: only --model=pool and --model=fiber have "
            f"workers\nTry '{SERVER} --help' for more.\n",
            args,
        )
    for model in ("pool", "fiber"):
        with Server(SERVER, "-w", "1", "-m", model, *ANY) as server:
            echo(server.address)


# ---- The relay --------------------------------------------------------------


def test_the_relay_passes_both_ways_and_both_ends():
    for model in MODELS:
        with Server(SERVER, *ANY) as target:
            with Server(RELAY, "-m", model, "127.0.0.1:0", target.address) as relay:
                for _ in range(3):
                    echo(relay.address)
                echo(relay.address, os.urandom(3 << 20))
                relay.stop()


def test_the_relay_speaks_Unix_and_IPv6():
    with folder() as path:
        address = f"unix:{path}/target"
        with Server(SERVER, "--listen", address):
            try:
                relay = Server(RELAY, "[::1]:0", address)
            except AssertionError as why:
                raise Skip("no IPv6") from why
            with relay:
                echo(relay.address)


def test_a_target_that_can_never_work_is_bad_usage():
    for target, why in (
        (":80", "this is an address to listen on only"),
        ("*:80", "this is an address to listen on only"),
        ("fd:3", "this is an address to listen on only"),
        ("systemd:", "this is an address to listen on only"),
        ("localhost:0", "port 0 can only be listened on"),
        ("[::1]:0", "port 0 can only be listened on"),
    ):
        code, out, err = run(RELAY, "127.0.0.1:0", target)
        same((code, out), (2, b""), f"{target}: {err}")
        check(err.startswith(f"{RELAY}: {target}: {why}\nTry "), err)
    code, out, err = run(RELAY, "127.0.0.1:0", "localhost")
    same((code, out), (2, b""), err)
    for target in ("unix:/nobody", "unix:@nobody", "name.invalid:http"):
        with Server(RELAY, "127.0.0.1:0", target) as relay:
            relay.is_alive()


def test_the_relay_says_which_target_it_cannot_reach():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = "127.0.0.1:%d" % taken.getsockname()[1]
        with Server(RELAY, "127.0.0.1:0", target) as relay:
            try:  # the reset may come before connect has returned
                with relay.connect() as sock:
                    same(sock.recv(1), None, "what a client gets")
            except ConnectionResetError:
                pass
            errors = relay.process.stderr.readline() + relay.stop()
            check(f"connect {target}" in errors and "refused" in errors, errors)


def test_the_relay_ends_an_idle_pair():
    with Server(SERVER, *ANY) as target:
        with Server(RELAY, "--idle=0.2", "127.0.0.1:0", target.address) as relay:
            with relay.connect() as sock:
                sock.sendall(b"x")
                same(sock.recv(1), b"x", "answer")
                try:
                    same(sock.recv(1), None, "what comes at the limit")
                except ConnectionResetError:
                    pass


def test_the_relay_carries_iperf3():
    iperf3 = shutil.which("iperf3")
    if not iperf3:
        raise Skip("no iperf3")
    with listening() as (probe, address):
        port = address.rsplit(":", 1)[1]
        probe.close()
        server = subprocess.Popen(
            [iperf3, "-s", "-1", "--forceflush", "-p", port],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with server:
            while "listening" not in server.stdout.readline():
                check(server.poll() is None, "iperf3 has ended")
            with Server(RELAY, "127.0.0.1:0", address) as relay:
                done = subprocess.run(
                    [iperf3, "-c", "127.0.0.1", "-p", relay.address.rsplit(":", 1)[1]]
                    + ["-n", "64M", "-P", "2"],
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                )
                same(done.returncode, 0, done.stdout + done.stderr)
                threading.Thread(target=server.stdout.read).start()
                server.wait(PATIENCE)


NGINX = """
daemon off; master_process off; error_log stderr; pid %(path)s/pid;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path %(path)s; proxy_temp_path %(path)s;
    fastcgi_temp_path %(path)s; uwsgi_temp_path %(path)s;
    scgi_temp_path %(path)s;
    server { listen 127.0.0.1:%(port)s; root %(path)s; }
}
"""

HAPROXY = """
defaults
    mode http
    timeout client 30s
    timeout connect 30s
    timeout server 30s
frontend web
    bind 127.0.0.1:%(port)s
    http-request return status 200 content-type text/plain file %(path)s/page
"""


@contextlib.contextmanager
def web_server(path):
    """A real web server that has the file `page` of the folder; its address."""
    programs = {
        "nginx": (NGINX, ["-p", path, "-c", f"{path}/conf"]),
        "haproxy": (HAPROXY, ["-db", "-f", f"{path}/conf"]),
    }
    # They are where only root has a path to.
    where = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    for name, (conf, args) in programs.items():
        found = shutil.which(name, path=where)
        if found:
            break
    else:
        raise Skip("neither nginx nor haproxy")
    with listening() as (probe, address):
        port = address.rsplit(":", 1)[1]
        probe.close()
    with open(f"{path}/conf", "w", encoding="ascii") as file:
        file.write(conf % {"path": path, "port": port})
    with subprocess.Popen([found, *args], stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                check(process.poll() is None, f"{name} has ended")
                try:
                    socket.create_connection(("127.0.0.1", int(port))).close()
                    break
                except ConnectionRefusedError:
                    pass
            yield address
        finally:
            process.kill()


def get(address, path, times=1):
    """The bodies of so many requests over one connection."""
    host, port = address.rsplit(":", 1)
    http = HTTPConnection(host, int(port), timeout=PATIENCE)
    bodies = []
    for _ in range(times):
        http.request("GET", path)
        response = http.getresponse()
        bodies.append((response.status, response.read()))
    http.close()
    return bodies


def test_the_relay_stands_before_a_web_server():
    page = os.urandom(6000).hex().encode()
    with folder() as path:
        os.chmod(path, 0o755)  # nginx, begun by root, reads as somebody else
        with open(f"{path}/page", "wb") as file:
            file.write(page)
        with web_server(path) as target:
            for model in MODELS[1:]:
                with Server(RELAY, "-m", model, "127.0.0.1:0", target) as relay:
                    with ThreadPoolExecutor(8) as clients:
                        answers = clients.map(
                            lambda _, a=relay.address: get(a, "/page", 20), range(8)
                        )
                        for bodies in answers:
                            same(bodies, [(200, page)] * 20, model)
                    same(relay.stop(), "", f"errors of {model}")


if __name__ == "__main__":
    main(globals())
