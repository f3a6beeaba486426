"""See scripts/bench, which builds what this runs."""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

WORKLOADS = ["put", "get", "stale-get", "mixed", "lock", "handoff", "watch"]
NODES = 3
HOME = Path(".ringfence/bench")
TICKS = os.sysconf("SC_CLK_TCK")
READY_WITHIN_S = 60


class Ringfence:
    def __init__(self, programs, _versus):
        self.programs = programs
        self.environment = {**os.environ, "RINGFENCED": str(programs / "ringfenced")}
        self.tool = [programs / "ringfence-cluster", "--directory", HOME / "ringfence", "--configuration", "nowhere"]

    def start(self):
        subprocess.run([*self.tool, "up", "--nodes", str(NODES), "--free-ports"], check=True, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lines = subprocess.run([*self.tool, "status", "--json"], check=True, env=self.environment, capture_output=True, text=True).stdout
        nodes = [json.loads(line) for line in lines.splitlines()]
        self.pids = [node["pid"] for node in nodes]
        self.endpoints = ",".join(node["client_address"] for node in nodes)

    def stop(self):
        subprocess.run([*self.tool, "wipe"], check=True, env=self.environment, stdout=subprocess.DEVNULL)

    def command(self, workload):
        return [self.programs / "ringfence", "--endpoints", self.endpoints, "--json", "bench", workload]


class Etcd:
    def __init__(self, _programs, versus):
        self.versus = versus
        self.processes = []

    def start(self):
        home = HOME / "etcd"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        ports = free_ports(2 * NODES)
        clients, peers = ports[:NODES], ports[NODES:]
        everybody = ",".join(f"n{i}=http://127.0.0.1:{port}" for i, port in enumerate(peers))
        for i, (client, peer) in enumerate(zip(clients, peers)):
            arguments = [
                "etcd", "--name", f"n{i}", "--data-dir", str(home / f"n{i}"),
                "--listen-client-urls", f"http://127.0.0.1:{client}", "--advertise-client-urls", f"http://127.0.0.1:{client}",
                "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                "--initial-cluster", everybody, "--initial-cluster-state", "new", "--log-level", "error",
            ]  # fmt: skip
            log = open(home / f"n{i}.log", "w")
            self.processes.append(subprocess.Popen(arguments, stdout=log, stderr=log))
        self.pids = [process.pid for process in self.processes]
        self.endpoints = ",".join(f"127.0.0.1:{port}" for port in clients)
        deadline = time.monotonic() + READY_WITHIN_S
        health = ["etcdctl", "--endpoints", self.endpoints, "endpoint", "health"]
        while subprocess.run(health, capture_output=True, env={**os.environ, "ETCDCTL_API": "3"}).returncode != 0:
            if time.monotonic() > deadline:
                raise SystemExit(f"etcd isn't ready after {READY_WITHIN_S} s; its logs are in {home}")
            time.sleep(0.2)

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(timeout=30)
        shutil.rmtree(HOME / "etcd", ignore_errors=True)

    def command(self, workload):
        return [self.versus / "ringfence-versus", "etcd", workload, "--endpoints", self.endpoints]


SYSTEMS = {"ringfence": Ringfence, "etcd": Etcd}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def used(pids):
    """Processor seconds, bytes written to disk, and resident bytes, of all servers together."""
    cpu = written = resident = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        cpu += (int(fields[11]) + int(fields[12])) / TICKS
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("write_bytes:"):
                written += int(line.split()[1])
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                resident += int(line.split()[1]) * 1024
    return cpu, written, resident


def disk_sync_ms():
    """What a small write and its sync take here, at half of all tries: what a write can't be faster than."""
    HOME.mkdir(parents=True, exist_ok=True)
    path = HOME / "sync"
    took = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(300):
            begun = time.perf_counter()
            file.write(b"x" * 512)
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begun) * 1000)
    path.unlink()
    return statistics.median(took)


def once(name, system, workload, arguments):
    warmup = min(2, arguments.seconds)
    before = used(system.pids)
    command = [*system.command(workload), "--clients", str(arguments.clients), "--duration", f"{arguments.seconds}s"]
    command += ["--warmup", f"{warmup}s"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{name} {workload}: {done.stderr.strip()}")
    after = used(system.pids)
    result = json.loads(done.stdout.splitlines()[-1])
    # The warm-up is in what the servers used, so it is in the number of operations, too.
    operations = max(1, result["ops"] * (1 + warmup / result["seconds"]))
    result["cpu_us_per_op"] = (after[0] - before[0]) * 1e6 / operations
    result["disk_bytes_per_op"] = (after[1] - before[1]) / operations
    result["resident_mib"] = after[2] / 2**20
    return result


FIGURES = ["ops_per_s", "p50_ms", "p99_ms", "max_ms", "cpu_us_per_op", "disk_bytes_per_op", "resident_mib"]


def median(results):
    figures = {figure: statistics.median(result[figure] for result in results) for figure in FIGURES}
    return {**figures, "errors": sum(result["errors"] for result in results)}


def table(medians, systems, workloads):
    header = f"{'':<11}{'':<11}{'ops/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'CPU µs/op':>11}{'disk B/op':>11}{'MiB':>7}{'failed':>8}"
    lines = [header]
    for workload in workloads:
        for system in systems:
            m = medians[workload][system]
            lines.append(
                f"{workload if system == systems[0] else '':<11}{system:<11}{m['ops_per_s']:>10.0f}{m['p50_ms']:>9.2f}{m['p99_ms']:>9.2f}"
                f"{m['max_ms']:>9.1f}{m['cpu_us_per_op']:>11.0f}{m['disk_bytes_per_op']:>11.0f}{m['resident_mib']:>7.0f}{m['errors']:>8}"
            )
        ours = medians[workload]["ringfence"]
        for peer in systems[1:]:
            theirs = medians[workload][peer]
            ratio = {figure: ours[figure] / theirs[figure] if theirs[figure] else float("nan") for figure in FIGURES}
            lines.append(
                f"{'':<11}{'ratio':<11}{ratio['ops_per_s']:>10.2f}{ratio['p50_ms']:>9.2f}{ratio['p99_ms']:>9.2f}{ratio['max_ms']:>9.2f}"
                f"{ratio['cpu_us_per_op']:>11.2f}{ratio['disk_bytes_per_op']:>11.2f}{ratio['resident_mib']:>7.2f}"
            )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--peers", default="etcd", help="etcd, or none")
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, help="all results, too")
    arguments = parser.parse_args(sys.argv[3:])
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 3)
    arguments.seconds = arguments.seconds or (3 if arguments.quick else 10)
    workloads = arguments.workloads.split(",")
    peers = [] if arguments.peers == "none" else arguments.peers.split(",")
    unknown = [peer for peer in peers if peer not in SYSTEMS] + [w for w in workloads if w not in WORKLOADS]
    if unknown:
        parser.error(f"not known: {', '.join(unknown)}; workloads are {', '.join(WORKLOADS)}")
    programs, versus = Path(sys.argv[1]), Path(sys.argv[2])
    names = ["ringfence", *peers]
    results = {workload: {name: [] for name in names} for workload in workloads}
    sync_ms = disk_sync_ms()
    print(f"A sync of this disk takes {sync_ms:.2f} ms. {arguments.clients} clients, {arguments.rounds} rounds of {arguments.seconds} s.", file=sys.stderr)
    for turn in range(arguments.rounds):
        for name in names:
            system = SYSTEMS[name](programs, versus)
            try:
                system.start()
                for workload in workloads:
                    result = once(name, system, workload, arguments)
                    results[workload][name].append(result)
                    print(f"round {turn + 1}: {name} {workload}: {result['ops_per_s']:.0f} a second, p99 {result['p99_ms']:.1f} ms", file=sys.stderr)
            finally:
                system.stop()
    medians = {workload: {name: median(results[workload][name]) for name in names} for workload in workloads}
    print(table(medians, names, workloads))
    if arguments.json:
        everything = {"sync_ms": sync_ms, "clients": arguments.clients, "medians": medians, "rounds": results}
        arguments.json.write_text(json.dumps(everything, indent=1) + "\n")


main()
