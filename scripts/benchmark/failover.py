"""How long clients of the peers wait when the leader is killed, again and again. See scripts/failover, which builds what this runs."""

import argparse
import contextlib
import json
import statistics
import subprocess
import time
from pathlib import Path

from .systems import SYSTEMS, TITLES
from .systems.common import NotReady, end_in_order, until

NODES = 3
# As in the example that does the same on Ringfence: before each time everything goes its way again, and then it is watched.
CALM_S, LOOK_S = 2, 8
KINDS = [("write_ms", "write"), ("grant_ms", "lock granted"), ("event_ms", "change seen")]


class Gone(Exception):
    """The clients have ended by themselves."""


class Clients:
    """The program whose clients write, take locks, and watch."""

    def __init__(self, versus, system):
        command = [versus / "ringfence-versus-failover", system.name, "--endpoints", system.endpoints]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, **pipes)

    def say(self, word):
        try:
            print(word, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise Gone from None

    def told(self):
        self.say("tell")
        line = self.process.stdout.readline()
        if not line:
            raise Gone
        return json.loads(line)

    def end(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def leader(system):
    found = []
    until(f"a leader of {TITLES[system.name]}", lambda: found.append(system.leader()) or found[-1] is not None)
    return found[-1]


def one(system, clients):
    """Kills who leads, and gives the longest times without anything, and who leads then."""
    led = leader(system)
    clients.say("clear")
    system.processes.kill(led)
    time.sleep(LOOK_S)
    took = clients.told()
    system.processes.begin(led, None)
    until(f"{TITLES[system.name]}'s {led}", lambda: system.serves(led))
    return {"leader": led, **took}, leader(system)


def measure(name, times, tight, versus, as_json):
    system = SYSTEMS[name](None, versus)
    settings = "tight" if tight else "default"
    took, moved = [], 0
    try:
        system.start(NODES, tight=tight)
        clients = Clients(versus, system)
        try:
            leads = None
            for number in range(1, times + 1):
                time.sleep(CALM_S)
                moved += leads not in (None, leader(system))
                longest, leads = one(system, clients)
                took.append(longest)
                told = {"system": name, "settings": settings, "time": number, **took[-1]}
                print(json.dumps(told) if as_json else line(number, took[-1]), flush=True)
        finally:
            clients.end()
    finally:
        system.stop()
    if not as_json:
        for key, what in KINDS:
            print(f"{TITLES[name]}, {settings} settings: longest without a {what}, ms: {spread([one[key] for one in took])}", flush=True)
        print(f"the leader changed {moved} times although it hadn't been killed")


def line(number, one):
    longest = ", ".join(f"without a {what} {one[key]:7.1f} ms" for key, what in KINDS)
    return f"{number:>3}: node {one['leader']} led; longest {longest}"


def spread(times):
    times = sorted(times)
    nine_tenths = times[max(0, -(-len(times) * 9 // 10) - 1)]
    return f"least {times[0]:.1f}, p50 {statistics.median(times):.1f}, p90 {nine_tenths:.1f}, most {times[-1]:.1f}"


def main():
    parser = argparse.ArgumentParser(prog="scripts/failover", add_help=False)
    parser.add_argument("versus", type=Path)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--times", type=int, required=True)
    parser.add_argument("--tight", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    end_in_order()
    for name in given.peers.split(","):
        if name not in SYSTEMS or name == "ringfence":
            parser.error(f"{name} isn't known; peers are etcd and zookeeper")
        try:
            measure(name, given.times, given.tight, given.versus, given.json)
        except NotReady as error:
            raise SystemExit(str(error))
        except Gone:
            raise SystemExit(f"the clients of {TITLES[name]} have ended; see above")


if __name__ == "__main__":
    main()
