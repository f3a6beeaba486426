"""How figures change with a size: of the load, of what is stored, of the cluster; and with time."""

import sys
from dataclasses import dataclass, field

from .measuring import Failed, kept, run
from .rounds import CLIENTS, NODES, told
from .systems import SYSTEMS
from .systems.common import NotReady

SECONDS = 5
# Sessions renew themselves every third of ten seconds: three turns of all of them.
HOLD_SECONDS = 10
STEADY_RATE = 500
STEADY_CLIENTS = 16
STEADY_KEYS = 1000
# Looks at memory and disk over the whole time.
STEADY_LOOKS = 60


@dataclass(frozen=True)
class Curve:
    title: str
    # What the sizes are of, and the argument of `run` that they are given as; `nodes` is how many are started.
    axis: str
    argument: str
    sizes: list
    workloads: list
    systems: tuple = ("ringfence", "etcd")
    others: dict = field(default_factory=dict)
    # At the end a node is killed, and it is measured how long it takes until it serves again.
    restarts: bool = False


EVERYBODY = ("ringfence", "etcd", "zookeeper")
CURVES = {
    "clients": Curve("More clients", "clients", "clients", [1, 4, 16, 64, 256, 1024], ["put", "get"], EVERYBODY),
    "keys": Curve("More keys", "keys", "keys", [1000, 10_000, 100_000, 1_000_000], ["mixed"], others={"keep": True}, restarts=True),
    "sessions": Curve("More sessions", "sessions", "clients", [10, 100, 1000, 10_000, 100_000], ["hold"], others={"seconds": HOLD_SECONDS}),
    "watchers": Curve("More watchers", "watchers", "clients", [1, 10, 100, 1000, 10_000], ["watch"]),
    "values": Curve("Larger values", "bytes of a value", "value_bytes", [16, 256, 1024, 4096, 16_384, 65_536], ["put", "get"], EVERYBODY),
    "nodes": Curve("More nodes", "nodes", "nodes", [1, 3, 5], ["put", "get"]),
}
STEADY = "steady"
NAMES = [*CURVES, STEADY]


def measure(name, names, programs, versus, minutes):
    """The curve for each of the systems that it is for."""
    if name == STEADY:
        return steady(programs, versus, minutes)
    curve = CURVES[name]
    systems = {one: points(curve, one, programs, versus) for one in names if one in curve.systems}
    return {"title": curve.title, "axis": curve.axis, "workloads": curve.workloads, "systems": systems}


def points(curve, name, programs, versus):
    """On servers that are started once, or for each point if it is about them or about what they store."""
    found, system = [], SYSTEMS[name](programs, versus)
    anew = curve.argument in ("nodes", "keys")
    try:
        for size in curve.sizes:
            if anew or not found:
                system.stop()
                system.start(size if curve.argument == "nodes" else NODES)
            found.append({"size": size, **{workload: point(system, workload, curve, size) for workload in curve.workloads}})
    finally:
        system.stop()
    return found


def point(system, workload, curve, size):
    given = {"clients": CLIENTS, "seconds": SECONDS, "warmup": 2, **curve.others}
    if curve.argument != "nodes":
        given[curve.argument] = size
    try:
        result = run(system, workload, **given)
    except Failed as failed:
        result = {"failed": str(failed)}
    if curve.restarts and "failed" not in result:
        try:
            result["restart_s"] = system.restart_one()
        except NotReady as failed:
            print(f"{curve.title}, {size}: {failed}", file=sys.stderr)
    print(f"{curve.title}, {size}: {system.name} {workload}: {told(result)}", file=sys.stderr)
    return result


def steady(programs, versus, minutes):
    """Growth of memory and disk under a load that stays the same."""
    seconds = round(minutes * 60)
    system, looks = SYSTEMS["ringfence"](programs, versus), []
    every = max(1, seconds // STEADY_LOOKS)

    def look(at_s, servers):
        if at_s % every == 0 or at_s == seconds:
            looks.append({"at_s": at_s, "resident_mib": servers[2] / 2**20, "disk_mib": kept(system.home) / 2**20})

    try:
        system.start(NODES)
        given = {"clients": STEADY_CLIENTS, "rate": STEADY_RATE, "keys": STEADY_KEYS, "seconds": seconds}
        result = run(system, "put", each_second=look, **given)
    except Failed as failed:
        result = {"failed": str(failed)}
    finally:
        system.stop()
    print(f"steady load, {minutes:g} minutes: {told(result)}", file=sys.stderr)
    title = f"{minutes:g} minutes of {STEADY_RATE} puts a second"
    return {"title": title, "axis": "minutes", "looks": looks, "workloads": ["put"], "systems": {"ringfence": [{"size": seconds, "put": result}]}}
