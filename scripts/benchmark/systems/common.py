"""What all systems need: a place for their data, ports, and processes that end."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(".ringfence/bench")
READY_WITHIN_S = 60
STOPPED_WITHIN_S = 30


class NotReady(Exception):
    """A system didn't start in time."""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def until(what, ready):
    """Waits until it is so."""
    deadline = time.monotonic() + READY_WITHIN_S
    while not ready():
        if time.monotonic() > deadline:
            raise NotReady(f"{what} isn't ready after {READY_WITHIN_S} s; its logs are below {HOME}")
        time.sleep(0.05)


def gone(pid):
    """A process has ended with all of its threads, so that its ports are free; its parent may not have looked yet."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return fields[0] == "Z" and int(fields[17]) <= 1


def end_in_order():
    """Whoever is asked to stop stops what it has started, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Processes:
    """A peer's nodes, each a process with a log, and all of their data below one directory."""

    def __init__(self, name):
        self.home = HOME / name
        self.running = {}
        self.commands = {}

    def clear(self):
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)

    def begin(self, node, command):
        """Begins it; with no command as it was begun the last time."""
        self.commands[node] = command or self.commands[node]
        with open(self.home / f"{node}.log", "ab") as log:
            self.running[node] = subprocess.Popen(self.commands[node], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def pids(self):
        return [process.pid for process in self.running.values()]

    def kill(self, node):
        self.running[node].kill()
        self.running[node].wait()

    def end(self):
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(timeout=STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()
        shutil.rmtree(self.home, ignore_errors=True)
