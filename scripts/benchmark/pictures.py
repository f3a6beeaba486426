"""Which charts are made of what was measured."""

from .charts import bars, lines, marks
from .curves import STEADY
from .systems import TITLES

BARS = [
    ("ops", "Operations a second", "More is better. Each workload has a scale of its own.", "ops_per_s", ""),
    ("p50", "Half of all took at most", "Less is better. Each workload has a scale of its own.", "p50_ms", " ms"),
    ("p99", "99 of 100 took at most", "Less is better. Each workload has a scale of its own.", "p99_ms", " ms"),
    ("cpu", "Servers' processor time for an operation", "Less is better. All nodes together.", "cpu_us_per_op", " µs"),
    ("memory", "Servers' memory at the end of the workload", "Less is better. All nodes together, which have done all workloads above.", "resident_mib", " MiB"),
]  # fmt: skip
OPS, P99 = ("ops", "operations a second", "ops_per_s"), ("p99", "p99 in ms", "p99_ms")
CORES, MEMORY = ("cores", "servers' processor cores", "cpu_cores"), ("memory", "servers' memory in MiB", "resident_mib")
RESTART = ("restart", "seconds until a killed node serves again", "restart_s")
# What is shown of a curve; of all others operations and p99.
FIGURES = {"keys": [OPS, P99, MEMORY, RESTART], "sessions": [CORES, MEMORY]}


def of_workloads(results):
    found = []
    for name, title, note, figure, unit in BARS:
        groups = {case: {one: m.get(figure) for one, m in systems.items()} for case, systems in results["workloads"].items()}
        if groups:
            found.append(bars(f"workloads-{name}", title, note, groups, TITLES, unit))
    return found


def of_curve(name, curve):
    if name == STEADY:
        return of_steady(curve)
    found = []
    for workload in curve["workloads"]:
        for short, words, figure in FIGURES.get(name, [OPS, P99]):
            series = {one: [(p["size"], p[workload].get(figure)) for p in points] for one, points in curve["systems"].items()}
            series = {one: points for one, points in series.items() if points}
            if series:
                found.append(lines(f"{name}-{workload}-{short}", f"{workload}: {words}", curve["axis"], series, TITLES))
    return found


WAITS = [("write_ms", "a write"), ("grant_ms", "a lock granted"), ("event_ms", "a change seen")]


def of_failover(results):
    """A row for each system and its settings; a mark for each time that the leader was lost: killed, or what the settings say."""
    found = []
    for key, what in WAITS:
        rows = {label(one): (one.split(",")[0], [time[key] for time in times]) for one, times in results.get("failover", {}).items()}
        if rows:
            title = f"Leader lost: longest time without {what}, ms"
            found.append(marks(f"failover-{key.partition('_')[0]}", title, "Less is better. Killed, where nothing else is said. A mark for each time; the upright line is their middle.", rows))
    return found


def label(one):
    """`etcd, tight` as it is shown."""
    system, _, settings = one.partition(", ")
    return f"{TITLES[system]}, {settings}"


def of_steady(curve):
    found = []
    for short, words in [("resident", "memory"), ("disk", "disk")]:
        points = [(look["at_s"] / 60, look[f"{short}_mib"]) for look in curve["looks"]]
        if points:
            title = f"{words} of the servers in MiB"
            found.append(lines(f"steady-{words}", title, "minutes", {"ringfence": points}, TITLES, logarithmic=False))
    return found
