"""What the command line asks for. See scripts/bench."""

import argparse
import sys
from pathlib import Path

from . import curves, page, results, rounds, table
from .measuring import disk_sync_ms
from .publish import DOCUMENT, publish
from .systems import SYSTEMS
from .systems.common import HOME, NotReady, end_in_order

RESULTS, PAGE = HOME / "results.json", HOME / "page.html"


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", add_help=False)
    parser.add_argument("--peers", default="etcd,zookeeper")
    parser.add_argument("--workloads")
    parser.add_argument("--clients", type=int, default=rounds.CLIENTS)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--curves", nargs="?", const=",".join(curves.NAMES))
    parser.add_argument("--hours", type=float, default=1)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--from", dest="files", metavar="FILE,…")
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--publish", action="store_true")
    given = parser.parse_args(sys.argv[3:])
    given.programs, given.versus = Path(sys.argv[1]), Path(sys.argv[2])
    given.rounds = given.rounds or (1 if given.quick else 3)
    given.seconds = given.seconds or (3 if given.quick else 10)
    given.minutes = given.minutes or given.hours * 60
    given.names = ["ringfence", *(peer for peer in given.peers.split(",") if peer != "none")]
    given.curves = given.curves.split(",") if given.curves else []
    unknown = [name for name in given.names if name not in SYSTEMS] + [name for name in given.curves if name not in curves.NAMES]
    if unknown:
        parser.error(f"not known: {', '.join(unknown)}; peers are etcd and zookeeper, or none; curves are {', '.join(curves.NAMES)}")
    try:
        given.cases = [rounds.Case.of(text, given.clients) for text in (given.workloads.split(",") if given.workloads else rounds.USUAL)]
    except ValueError as error:
        parser.error(str(error))
    return given


def measure(given):
    """Curves, if they are asked for; else workloads. What was measured is saved as it comes, so that what is broken off isn't lost."""
    sync_ms = disk_sync_ms()
    found = {"machine": results.machine(sync_ms), "settings": {"rounds": given.rounds, "seconds": given.seconds}}
    found |= {"versions": {name: SYSTEMS[name](given.programs, given.versus).version() for name in given.names}}
    found |= {"workloads": {}, "rounds": {}, "curves": {}}
    print(f"A sync of this disk takes {sync_ms:.2f} ms.", file=sys.stderr)
    if given.curves:
        del found["settings"]
        for name in given.curves:
            found["curves"][name] = curves.measure(name, given.names, given.programs, given.versus, given.minutes)
            results.save(found, given.json)
    else:
        of_rounds = rounds.measure(given.names, given.cases, given.rounds, given.seconds, given.programs, given.versus)
        found["rounds"], sync_ms = of_rounds
        found["machine"] = results.machine(sync_ms)
        found["workloads"] = rounds.medians(found["rounds"])
        results.save(found, given.json)


def main():
    given = arguments()
    end_in_order()
    if not given.files:
        try:
            measure(given)
        except NotReady as error:
            raise SystemExit(str(error))
    everything = results.joined(given.files.split(",") if given.files else [given.json])
    if everything["workloads"]:
        print(table.workloads(everything["workloads"]))
    if everything["curves"]:
        print(table.curves(everything["curves"]))
    print("\n" + table.targets(everything))
    given.page.parent.mkdir(parents=True, exist_ok=True)
    given.page.write_text(page.html(everything))
    print(f"\nThe page is {given.page}.", file=sys.stderr)
    if given.publish:
        publish(everything)
        print(f"Published in {DOCUMENT}.", file=sys.stderr)


main()
