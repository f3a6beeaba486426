"""What is wanted, and whether it is met. Ratios are of our figure to that of etcd in the same run."""

from statistics import median

from .rounds import CLIENTS, SAME_WORK_RATE

PEER = "etcd"
NOT_MEASURED = "not measured"


class Row:
    """A line of the table: what is wanted, what was measured, and whether that is enough; `met` is None if it wasn't measured."""

    def __init__(self, what, target, measured=NOT_MEASURED, met=None):
        self.what, self.target, self.measured, self.met = what, target, measured, met

    def verdict(self):
        return NOT_MEASURED if self.met is None else "met" if self.met else "NOT met"


def judge(results):
    workloads, curves = results["workloads"], results["curves"]
    rows = [
        *many(workloads, "", f", {CLIENTS} clients"),
        *many(workloads, ", 1 connection", f", {CLIENTS} clients on one connection"),
        *alone(results, "put"),
        *alone(results, "lock"),
        watchers(curves),
        ratio(workloads, f"put, {SAME_WORK_RATE}/s", "resident_mib", "memory after the same work", at_most=1 / 5),
        million_keys(curves),
        restart(curves),
        sessions(curves),
        failover(results),
        planned(results),
        cut_off(results),
        undisturbed(results),
        expiry(results),
        snapshots(results),
    ]
    return rows


def many(workloads, case, clients):
    """What many clients do, on connections of their own or on one."""
    wanted = [
        ("put", "ops_per_s", "put, operations a second", {"at_least": 8}),
        ("put", "p99_ms", "put, p99", {"at_most": 1 / 5}),
        ("lock", "ops_per_s", "lock and release, own locks, pairs a second", {"at_least": 8}),
        ("handoff", "ops_per_s", "one lock, hand-offs a second", {"at_least": 8}),
        ("get", "ops_per_s", "linearizable get, a second", {"at_least": 6}),
        ("stale-get", "ops_per_s", "stale get, a second", {"at_least": 6}),
        ("watch", "ops_per_s", "watch, events a second, 1 writer", {"at_least": 4}),
        ("watch, 64 writers", "ops_per_s", "watch, events a second, 64 writers", {"at_least": 4}),
        ("put", "cpu_us_per_op", "servers' processor time for a put", {"at_most": 1 / 8}),
    ]
    for workload, figure, what, bound in wanted:
        yield ratio(workloads, workload + case, figure, what + clients, **bound)


def figures(workloads, case):
    """Ours and the peer's, or None."""
    systems = workloads.get(case, {})
    pair = systems.get("ringfence"), systems.get(PEER)
    return pair if all(one and "failed" not in one for one in pair) else None


def ratio(workloads, case, figure, what, at_least=None, at_most=None):
    target = f"≥ {at_least}×" if at_least else f"≤ {fraction(at_most)}"
    pair = figures(workloads, case)
    if not pair or not pair[1][figure]:
        return Row(what, target)
    measured = pair[0][figure] / pair[1][figure]
    met = measured >= at_least if at_least else measured <= at_most
    return Row(what, target, f"{measured:.2f}×", met)


def alone(results, workload):
    """One client: half of what the peer takes, and no more than three syncs."""
    case = f"{workload}, 1 client"
    yield ratio(results["workloads"], case, "p50_ms", f"{case}, p50", at_most=1 / 2)
    ours, sync = results["workloads"].get(case, {}).get("ringfence"), results.get("machine", {}).get("sync_ms")
    what, target = f"{case}, p50 against a sync of the disk", "≤ 3×"
    if ours and sync and "failed" not in ours:
        yield Row(what, target, f"{ours['p50_ms'] / sync:.1f}×", ours["p50_ms"] <= 3 * sync)
    else:
        yield Row(what, target)


def fraction(number):
    return f"1/{round(1 / number)}"


def point(curves, name, system, size):
    points = curves.get(name, {}).get("systems", {}).get(system, [])
    return next((one for one in points if one["size"] == size), None)


def watchers(curves):
    one = point(curves, "watchers", "ringfence", 10_000)
    what, target = "10 000 watchers", "served"
    if not one:
        return Row(what, target)
    figure = one.get("watch", {})
    served = "failed" not in figure and figure["errors"] == 0 and figure["ops"] > 0
    return Row(what, target, f"{figure['ops_per_s']:.0f} events a second" if served else "not served", served)


def million_keys(curves):
    what, target = "memory with 1 000 000 keys of 256 B", "≤ 1/2"
    pair = [(point(curves, "keys", system, 1_000_000) or {}).get("mixed", {}) for system in ("ringfence", PEER)]
    if not all("resident_mib" in one for one in pair):
        return Row(what, target)
    measured = pair[0]["resident_mib"] / pair[1]["resident_mib"]
    return Row(what, target, f"{measured:.2f}×", measured <= 1 / 2)


def restart(curves):
    figure = (point(curves, "keys", "ringfence", 1_000_000) or {}).get("mixed", {}).get("restart_s")
    what, target = "restart with 1 000 000 keys, until it serves", "≤ 3 s"
    return Row(what, target) if figure is None else Row(what, target, f"{figure:.1f} s", figure <= 3)


def failover(results):
    what, target = "leader killed, default settings, longest without a write", "median ≤ 0.3 s"
    return middle(what, target, waits(results, "default"), 300)


def cut_off(results):
    what, target = "leader cut off by a partition, longest without a write", "median ≤ 1 s"
    return middle(what, target, waits(results, "partition"), 1000)


def lost(results, settings):
    return results.get("failover", {}).get(f"ringfence, {settings}", [])


def waits(results, settings):
    return [one["write_ms"] for one in lost(results, settings)]


def middle(what, target, times, at_most):
    if not times:
        return Row(what, target)
    return Row(what, target, f"{median(times) / 1000:.2f} s of {len(times)}", median(times) <= at_most)


def undisturbed(results):
    what, target = "an hour of full load, false elections", "none"
    found = results.get("undisturbed", {}).get("ringfence, default")
    if not found or found["minutes"] < 60:
        return Row(what, target)
    return Row(what, target, f"{found['elections']} in {found['minutes']} minutes", found["elections"] == 0)


def planned(results):
    what, target = "leader asked to stop, longest without a write", "≤ 50 ms"
    found = lost(results, "asked to stop")
    if not found:
        return Row(what, target)
    most = max(waits(results, "asked to stop"))
    # A file of the measurement's own was synced beside. Servers can make it slow, too, so that it explains a pause, and excuses none.
    rest = max(one["write_ms"] - one.get("write_disk_ms", 0) for one in found)
    beside = "" if rest == most else f", {rest:.0f} but for slow syncs of the disk"
    return Row(what, target, f"{most:.0f} ms of {len(found)}{beside}", most <= 50)


def expiry(results):
    what, target = "100 000 sessions expire together, p99 of others", "< 50 ms"
    storm = results.get("overload", {}).get("expiry-storm")
    if not storm or storm["done"] < 100_000:
        return Row(what, target)
    worst = max(storm["lock_p99_ms"], storm["put_p99_ms"], storm["get_p99_ms"])
    return Row(what, target, f"{worst:.0f} ms", worst < 50 and not storm["broken"])


def snapshots(results):
    what, target = "snapshot while writing, 1 000 000 keys, longer wait of a write", "≤ 10 ms"
    found = results.get("snapshots", {}).get("1000000")
    if not found:
        return Row(what, target)
    longer, failed = found["longer_ms"], found["failed"]
    measured = f"{longer:.1f} ms of {found['times']}" + (f", {failed} failed" if failed else "")
    return Row(what, target, measured, longer <= 10 and not failed)


def sessions(curves):
    what, target = "100 000 sessions of 10 s kept, cores of the whole cluster", "< 1, none lost"
    figure = (point(curves, "sessions", "ringfence", 100_000) or {}).get("hold")
    if not figure:
        return Row(what, target)
    if "failed" in figure:
        return Row(what, target, "failed", False)
    measured = f"{figure['cpu_cores']:.2f}, {figure['errors']} lost"
    return Row(what, target, measured, figure["cpu_cores"] < 1 and figure["errors"] == 0)
