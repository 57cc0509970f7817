# SPDX-License-Identifier: MIT
"""harness.py - runs the example programs as a user would.

A test file imports this, defines functions test_NAME, and ends with main().
`FILE --bin FOLDER NAME` runs one of them.  Nothing here sleeps to be in time:
a server is there when its first line is.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile

# Far enough for a loaded machine under a sanitizer.
PATIENCE = 60

binaries = ""


class Skip(Exception):
    """The test cannot run here; says why."""


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def same(got, expected, what):
    check(got == expected, f"{what}: {got!r:.500} instead of {expected!r:.500}")


def program(name):
    return os.path.join(binaries, name)


class Server:
    """A program whose first line of output is 'listening on ADDRESS'."""

    def __init__(self, name, *args, **options):
        self.process = subprocess.Popen(
            [program(name), *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        first = self.process.stdout.readline()
        if not first.startswith("listening on "):
            _, errors = self.process.communicate(timeout=PATIENCE)
            raise AssertionError(f"{name} began with {first!r}; {errors}")
        self.address = first[len("listening on ") : -1]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            if kind is None:
                self.stop()
            else:
                self.process.kill()
        # Else it has been stopped, or is_alive() would have told.
        self.process.communicate()

    def is_alive(self):
        check(self.process.poll() is None, "the server has ended")

    def stop(self, number=signal.SIGTERM):
        """Ends it by a signal; returns what it wrote to standard error."""
        self.is_alive()
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE)
        same(self.process.returncode, 0, f"exit code; {errors}")
        return errors

    def connect(self):
        """A plain socket connected to it."""
        host, port = self.address.rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=PATIENCE)


def run(name, *args, data=b"", **options):
    """Runs a program to its end; returns code, output, errors."""
    done = subprocess.run(
        [program(name), *args],
        input=data,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
        **options,
    )
    return done.returncode, done.stdout, done.stderr.decode()


def read_to_end(sock):
    pieces = []
    while piece := sock.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


@contextlib.contextmanager
def listening():
    """A listening socket of our own, and its address as text."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        yield listener, f"127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="tcpx-") as path:
        yield path


def main(tests):
    global binaries
    if len(sys.argv) != 4 or sys.argv[1] != "--bin":
        sys.exit(f"usage: {sys.argv[0]} --bin FOLDER NAME")
    binaries = sys.argv[2]
    name = sys.argv[3]
    try:
        tests["test_" + name]()
    except Skip as why:
        print(f"SKIPPED {name}: {why}")
        sys.exit(77)
