"""What is said beside the charts, on the page and in the document."""

from .curves import STEADY_RATE
from .rounds import SAME_WORK_RATE
from .systems import TITLES
from .table import COLUMNS, ratios
from .targets import judge


def machine(results):
    m = results.get("machine", {})
    if not m:
        return "The machine isn't known."
    return (
        f"{m['processor']}, {m['cores']} processors, {m['memory_gib']} GiB of memory, {m['system']}, {m['file_system']}; a write of 512 bytes and its sync take "
        f"{m['sync_ms']} ms. Measured on {m['date']}, at {m['commit']}."
    )


def systems(results):
    return ", ".join(f"{TITLES[name]} {version}" for name, version in results.get("versions", {}).items())


def method(results):
    s = results.get("settings", {})
    rounds = f"Figures are medians of {s['rounds']} round{'' if s['rounds'] == 1 else 's'} of {s['seconds']} s each. " if s else ""
    return (
        "Three nodes of each system on this one machine, every write synced, one system at a time, in rounds that take turns; clients on the same machine, each on a connection of "
        "its own unless they share one, as the tasks of one program do, with values of 256 bytes and 1000 keys where nothing else is said; each system through its own Rust client. The clients' own work is part of what is measured, and "
        f"takes processors from the servers. {rounds}Processor time, memory and bytes on disk are those of all servers together. “{SAME_WORK_RATE}/s” is work at a rate, the same for "
        f"all. Watchers are told of the puts of one client, which waits for each, or of 64 (“64 writers”); what is counted is each event at each watcher. With ZooKeeper a linearizable get is sync and get, which its documentation doesn't promise to be linearizable, and locks follow the usual recipe. "
        f"Semaphores are none of etcd's; ZooKeeper's client renews sessions by itself. "
        "Ringfence agrees on renewals, and gathers them for up to half a second before; etcd's leader alone knows of them."
    )


def steady():
    return f"{STEADY_RATE} puts of 256 bytes a second, on 1000 keys, Ringfence alone."


def workload_rows(results):
    """Cells of the table of all workloads: case, system, figures, and the ratio of ours to each peer."""
    for case, by_system in results["workloads"].items():
        ours = by_system.get("ringfence", {"failed": ""})
        for name, figures in by_system.items():
            if "failed" in figures:
                yield [case, TITLES[name], *["no result"] * len(COLUMNS), "–"]
                continue
            yield [case, TITLES[name], *[f"{figures[f]:.{places}f}" for _, f, _, places in COLUMNS], str(figures["errors"])]
            if name != "ringfence" and "failed" not in ours:
                of = ratios(ours, figures)
                cells = ["–" if of[f] is None else f"{of[f]:.2f}×" for _, f, _, _ in COLUMNS]
                yield [case, f"Ringfence to {TITLES[name]}", *cells, ""]


WORKLOAD_HEAD = ["workload", "system", *[title for title, _, _, _ in COLUMNS], "failed"]
TARGET_HEAD = ["what", "target", "measured", "met?"]


def target_rows(results):
    for row in judge(results):
        yield [row.what, row.target, row.measured, row.verdict()]


def lost(results):
    """Where a peer is better than we are, each in a few words."""
    for case, by_system in results["workloads"].items():
        ours = by_system.get("ringfence", {"failed": ""})
        for name, theirs in by_system.items():
            if name == "ringfence" or "failed" in ours or "failed" in theirs:
                continue
            of = ratios(ours, theirs)
            worse = [title for title, figure, _, _ in COLUMNS if of[figure] is not None and (of[figure] < 1 if figure == "ops_per_s" else of[figure] > 1)]
            if worse:
                yield f"{case}: {TITLES[name]} is better in {', '.join(worse)}"
