"""Ringfence: nodes by `ringfence-cluster`, clients by `ringfence bench`."""

import json
import os
import subprocess

from .common import HOME


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
        status = [*self.tool, "status", "--json"]
        lines = subprocess.run(status, check=True, env=self.environment, capture_output=True, text=True).stdout
        nodes = [json.loads(line) for line in lines.splitlines()]
        self.pids = [node["pid"] for node in nodes]
        self.endpoints = ",".join(node["client_address"] for node in nodes)

    def stop(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*self.tool, "wipe"], check=self.home.exists(), env=self.environment, **quiet)

    def command(self, workload):
        return [self.programs / "ringfence", "--endpoints", self.endpoints, "--json", "bench", workload]

    def version(self):
        said = subprocess.run([self.programs / "ringfenced", "--version"], check=True, capture_output=True, text=True)
        return said.stdout.split()[-1]
