"""etcd: default settings, but for the ports and the room it has."""

import json
import subprocess
import time
import urllib.request

from .common import Processes, free_ports, until


class Etcd:
    name = "etcd"
    # It has no semaphore.
    workloads = {"put", "get", "stale-get", "mixed", "lock", "handoff", "elect", "watch", "renew", "hold"}

    def __init__(self, _programs, versus):
        self.versus = versus
        self.processes = Processes("etcd")
        self.home = self.processes.home

    def start(self, nodes, tight=False):
        """`tight`: an election begins after a tenth of a second to a fifth, instead of one second to two."""
        self.processes.clear()
        ports = free_ports(2 * nodes)
        clients, peers = ports[:nodes], ports[nodes:]
        everybody = ",".join(f"n{i}=http://127.0.0.1:{port}" for i, port in enumerate(peers))
        for i, (client, peer) in enumerate(zip(clients, peers)):
            arguments = [
                "etcd", "--name", f"n{i}", "--data-dir", str(self.home / f"n{i}"),
                "--listen-client-urls", f"http://127.0.0.1:{client}", "--advertise-client-urls", f"http://127.0.0.1:{client}",
                "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                "--initial-cluster", everybody, "--initial-cluster-state", "new", "--log-level", "error",
                # A million keys of the largest curve are more than it takes by default.
                "--quota-backend-bytes", str(8 * 2**30),
                *(["--heartbeat-interval", "20", "--election-timeout", "100"] if tight else []),
            ]  # fmt: skip
            self.processes.begin(f"n{i}", arguments)
        self.ports = {f"n{i}": client for i, client in enumerate(clients)}
        self.pids = self.processes.pids()
        self.endpoints = ",".join(f"127.0.0.1:{port}" for port in clients)
        until("etcd", lambda: all(healthy(port) for port in clients))

    def restart_one(self):
        """Kills a node, and gives the seconds until it serves again."""
        self.processes.kill("n0")
        begun = time.monotonic()
        self.processes.begin("n0", None)
        until("etcd", lambda: self.serves("n0"))
        self.pids = self.processes.pids()
        return time.monotonic() - begun

    def leader(self):
        """The node that leads, if one says so."""
        return next((node for node, port in self.ports.items() if leads(port)), None)

    def serves(self, node):
        return healthy(self.ports[node])

    def stop(self):
        self.processes.end()

    def command(self, workload):
        return [self.versus / "ringfence-versus", "etcd", workload, "--endpoints", self.endpoints]

    def version(self):
        said = subprocess.run(["etcd", "--version"], check=True, capture_output=True, text=True)
        return said.stdout.splitlines()[0].split()[-1]


def healthy(port):
    """A node's own account: it knows a leader and can write."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return b'"true"' in answer.read()
    except OSError:
        return False


def leads(port):
    """A node says that it leads itself."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v3/maintenance/status", data=b"{}")
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            said = json.load(answer)
    except OSError:
        return False
    return said.get("leader", "0") == said["header"]["member_id"]
