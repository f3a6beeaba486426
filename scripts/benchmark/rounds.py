"""The systems take turns, several times: A B C A B C. So whatever the machine does meanwhile hits all of them."""

import statistics
import sys
from dataclasses import dataclass

from .measuring import Failed, disk_sync_ms, run
from .systems import SYSTEMS, WORKLOADS

NODES = 3
CLIENTS = 64
# The same work for everybody: so many puts a second, which is what each can do on a small machine. What they remember of it is compared.
SAME_WORK_RATE = 500
FIGURES = ["ops_per_s", "p50_ms", "p99_ms", "max_ms", "cpu_us_per_op", "disk_bytes_per_op", "resident_mib"]


@dataclass(frozen=True)
class Case:
    """A workload with so many clients, on so many connections, with so many others that write, and at a rate if there are such."""

    workload: str
    clients: int
    rate: int | None = None
    connections: int | None = None
    writers: int | None = None

    def __str__(self):
        clients = "" if self.clients == CLIENTS else f", {self.clients} client{'' if self.clients == 1 else 's'}"
        connections = f", {self.connections} connection{'' if self.connections == 1 else 's'}" if self.connections else ""
        writers = f", {self.writers} writers" if self.writers else ""
        return self.workload + clients + writers + connections + (f", {self.rate}/s" if self.rate else "")

    @classmethod
    def of(cls, text, clients):
        """`put`, `put:16`, `put@500`, `put/1`, `put:16/4@500`, `watch+64`."""
        text, _, rate = text.partition("@")
        text, _, connections = text.partition("/")
        text, _, writers = text.partition("+")
        workload, _, own = text.partition(":")
        if workload not in WORKLOADS:
            raise ValueError(f"{workload} isn't known; workloads are {', '.join(WORKLOADS)}")
        rate, connections, writers = (int(number) if number else None for number in (rate, connections, writers))
        return cls(workload, int(own or clients), rate, connections, writers)


# The work that is compared by what is remembered of it comes first, on servers that have done nothing else.
# Clients with a connection each are programs of their own; those that share one are tasks of one program.
SHARED = ["put", "get", "stale-get", "lock", "handoff", "watch"]
USUAL = [
    f"put@{SAME_WORK_RATE}", *[workload for workload in WORKLOADS if workload != "hold"],
    *[f"{workload}/1" for workload in SHARED], "put:1", "lock:1", "watch+64", "watch+64/1",
]  # fmt: skip


def measure(names, cases, rounds, seconds, programs, versus):
    """For each case, as text, the results of each system's rounds; and what a sync of the disk takes, looked at before each turn, since that
    swings too. A case that a system doesn't know is left out."""
    results, syncs = {str(case): {} for case in cases}, []
    for turn in range(rounds):
        for name in names:
            syncs.append(disk_sync_ms())
            system = SYSTEMS[name](programs, versus)
            try:
                system.start(NODES)
                for case in cases:
                    if case.workload in system.workloads:
                        result = attempt(system, case, seconds)
                        results[str(case)].setdefault(name, []).append(result)
                        print(f"round {turn + 1} of {rounds}: {name} {case}: {told(result)}", file=sys.stderr)
            finally:
                system.stop()
    return results, statistics.median(syncs)


def attempt(system, case, seconds):
    try:
        how = {"rate": case.rate, "connections": case.connections, "writers": case.writers}
        return run(system, case.workload, clients=case.clients, seconds=seconds, **how)
    except Failed as failed:
        return {"failed": str(failed)}


def told(result):
    if "failed" in result:
        return f"FAILED: {result['failed']}"
    failures = f", {result['errors']} failed ({result['first_error']})" if result["errors"] else ""
    return f"{result['ops_per_s']:.0f} a second, p50 {result['p50_ms']:.2f} ms, p99 {result['p99_ms']:.2f} ms{failures}"


def medians(results):
    """For each case and system the medians of its rounds that came to a result; `rounds` says how many they were."""
    return {case: {name: middle(all_of) for name, all_of in systems.items()} for case, systems in results.items()}


def middle(results):
    good = [result for result in results if "failed" not in result]
    if not good:
        return {"failed": results[0]["failed"]}
    figures = {figure: statistics.median(result[figure] for result in good) for figure in FIGURES}
    return {**figures, "errors": sum(result["errors"] for result in good), "rounds": len(good)}
