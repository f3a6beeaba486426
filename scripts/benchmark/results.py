"""What was measured, as it is kept in a file, and the machine it was measured on."""

import contextlib
import json
import os
import platform
import subprocess
import time
from pathlib import Path


def machine(sync_ms):
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory.split()[1]) / 2**20, 1),
        "system": f"Linux {platform.release().split('-')[0]}",
        "file_system": file_system(Path(".ringfence")),
        "sync_ms": round(sync_ms, 3),
        "commit": commit(),
    }


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "hardware"))]
    return named[0] if named else platform.machine()


def file_system(path):
    said = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", path], capture_output=True, text=True)
    return said.stdout.strip() or "unknown"


def commit():
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return said.stdout.strip() or "unknown"


# What is measured, of which a later file counts instead of an earlier one.
PARTS = ["workloads", "rounds", "curves", "versions", "failover", "undisturbed", "overload", "snapshots"]


def joined(files):
    """Several files as one: what a later one measured counts instead of what an earlier one did."""
    everything = {part: {} for part in PARTS}
    commits = []
    for file in files:
        one = read(file)
        commits.append(one.get("machine", {}).get("commit"))
        for part in PARTS:
            everything[part] |= one.get(part, {})
        for part in ["machine", "settings"]:
            # The disk's sync is compared with workloads of the same run.
            if one.get(part) and (one.get("workloads") or part not in everything):
                everything[part] = one[part]
    if "machine" in everything:
        everything["machine"]["commit"] = " and ".join(dict.fromkeys(filter(None, commits)))
    return everything


def read(file):
    """What this program has saved; or the lines of `scripts/failover --json`, of whatever systems and settings, of `scripts/overload --json`, or of
    `scripts/snapshots --json`."""
    text = Path(file).read_text()
    with contextlib.suppress(json.JSONDecodeError):
        whole = json.loads(text)
        if "curves" in whole:
            return whole
    failover, undisturbed, overload, snapshots = {}, {}, {}, {}
    for line in text.splitlines():
        one = json.loads(line)
        if "load" in one:
            overload[one["load"]] = one
        elif "elections" in one:
            undisturbed[f"{one['system']}, {one['settings']}"] = one
        elif "snapshots" in one:
            snapshots[str(one["keys"])] = one
        else:
            failover.setdefault(f"{one['system']}, {one['settings']}", []).append(one)
    return {"failover": failover, "undisturbed": undisturbed, "overload": overload, "snapshots": snapshots}


def save(results, file):
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n")
