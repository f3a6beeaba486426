"""Ringfence: nodes by `ringfence-cluster`, clients by `ringfence bench`."""

import json
import os
import subprocess
import time

from .common import HOME, NotReady, gone, until


class Ringfence:
    name = "ringfence"
    workloads = {"put", "get", "stale-get", "mixed", "lock", "handoff", "semaphore", "elect", "watch", "renew", "hold"}

    def __init__(self, programs, _versus):
        self.programs = programs
        self.home = HOME / "ringfence"
        self.environment = {**os.environ, "RINGFENCED": str(programs / "ringfenced")}
        self.tool = [programs / "ringfence-cluster", "--directory", self.home, "--configuration", "nowhere"]

    def start(self, nodes):
        # What an earlier run left that was broken off.
        self.stop()
        up = [*self.tool, "up", "--nodes", str(nodes), "--free-ports"]
        subprocess.run(up, check=True, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.look()

    def look(self):
        """Learns where the nodes are."""
        status = [*self.tool, "status", "--json"]
        lines = subprocess.run(status, check=True, env=self.environment, capture_output=True, text=True).stdout
        nodes = [json.loads(line) for line in lines.splitlines()]
        self.pids = [node["pid"] for node in nodes]
        self.endpoints = ",".join(node["client_address"] for node in nodes)

    def restart_one(self):
        """Kills a node, and gives the seconds until it serves again."""
        quiet = {"env": self.environment, "capture_output": True, "text": True}
        subprocess.run([*self.tool, "kill", "1"], check=True, **quiet)
        # Its memory is given back first, which takes a while if that is much, and its ports are held meanwhile.
        until("the end of node 1 of Ringfence", lambda: gone(self.pids[0]))
        begun = time.monotonic()
        done = subprocess.run([*self.tool, "restart", "1"], **quiet)
        took = time.monotonic() - begun
        if done.returncode != 0:
            raise NotReady(f"node 1 of Ringfence: {done.stderr.strip()}")
        self.look()
        return took

    def stop(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*self.tool, "wipe"], check=self.home.exists(), env=self.environment, **quiet)

    def command(self, workload):
        return [self.programs / "ringfence", "--endpoints", self.endpoints, "--json", "bench", workload]

    def version(self):
        said = subprocess.run([self.programs / "ringfenced", "--version"], check=True, capture_output=True, text=True)
        return said.stdout.split()[-1]
