"""Runs one workload, and looks at the servers while it counts."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from statistics import median

from .systems.common import HOME

TICKS = os.sysconf("SC_CLK_TCK")
# What comes before and after the part that counts may take so long: writing a million keys, opening and closing 100 000 sessions.
AROUND_S = 1800


class Failed(Exception):
    """A workload came to no result."""


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


def kept(directory):
    """Bytes that all files below take on the disk."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                # It was deleted meanwhile.
                pass
    return total


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
    return median(took)


def run(system, workload, *, clients, seconds, warmup=None, rate=None, keys=None, value_bytes=None, connections=None, writers=None, keep=False, each_second=None):
    """One run. Its result is that of the program, and what the servers used between the moments when it began and ended to count."""
    warmup = min(2, seconds) if warmup is None else warmup
    command = [*system.command(workload), "--clients", clients, "--duration", f"{seconds}s", "--warmup", f"{warmup}s"]
    given = {"--rate": rate, "--keys": keys, "--value-size": value_bytes, "--connections": connections, "--writers": writers}
    for name, value in given.items():
        command += [name, value] if value is not None else []
    command += ["--keep"] if keep else []
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # Its complaints are read beside, so that it never waits for somebody to read them.
    complaints = []
    listening = threading.Thread(target=lambda: complaints.append(process.stderr.read()))
    listening.start()
    alarm = threading.Timer(AROUND_S + warmup + seconds, process.kill)
    alarm.start()
    looks, done, last = [], 0, None
    try:
        for line in process.stdout:
            last = json.loads(line)
            if "at_s" in last:
                done += last["ops_per_s"] if looks else 0
                looks.append(used(system.pids))
                if each_second:
                    each_second(last["at_s"], looks[-1])
    finally:
        alarm.cancel()
        if process.poll() is None and not looks:
            process.kill()
        process.wait()
        listening.join()
    if process.returncode != 0 or not last or "workload" not in last:
        raise Failed(f"{system.name} {workload}: {complaints[0].strip() or 'no result in time'}")
    return {**last, **servers(looks, max(1, done), seconds)}


def servers(looks, operations, seconds):
    (cpu, written, _), (cpu_then, written_then, resident) = looks[0], looks[-1]
    return {
        "cpu_us_per_op": (cpu_then - cpu) * 1e6 / operations,
        "cpu_cores": (cpu_then - cpu) / seconds,
        "disk_bytes_per_op": (written_then - written) / operations,
        "resident_mib": resident / 2**20,
    }
