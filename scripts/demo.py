"""What scripts/demo shows, once everything is built. Every line that it prints as true was checked on real output."""

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

USUAL_PORTS = [7601, 7602, 7603, 7611, 7612, 7613]
# Bounds on waits. They are long, so that a slow machine fails nothing; what is shown comes sooner.
PATIENCE_S = 60
# A lock whose holder died is free again after this; the demo's holders live.
TTL = "10s"

BOLD, DIM, GREEN, RED, PLAIN = (
    ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
)


class Failed(Exception):
    """Something that the demo promises did not happen."""


def title(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def tell(text):
    print(f"  {text}", flush=True)


def command_line(words):
    quoted = [word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word + "'" for word in words]
    print(f"  {DIM}$ {' '.join(quoted)}{PLAIN}", flush=True)


def check(holds, text):
    """Prints what is true, or ends the demo."""
    if not holds:
        raise Failed(text)
    print(f"  {GREEN}✓{PLAIN} {text}", flush=True)


def until(what, look):
    """Looks until there is something to see, and gives it back."""
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE_S:
        seen = look()
        if seen:
            return seen
        time.sleep(0.05)
    raise Failed(f"{what}: not within {PATIENCE_S} s")


class Background:
    """A program that runs beside the demo; its lines are read as they come."""

    def __init__(self, demo, *words):
        command_line(["ringfence", *words])
        self.words = words
        self.seen = []
        self.lines = queue.Queue()
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [demo.ringfence, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=demo.environment,
        )
        demo.running.append(self)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.seen.append(line.rstrip("\n"))
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self):
        """The next line of its output."""
        try:
            line = self.lines.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise Failed(f"no output from `ringfence {' '.join(self.words)}` within {PATIENCE_S} s") from None
        if line is None:
            raise Failed(f"`ringfence {' '.join(self.words)}` ended: {self.complaint()}")
        return line

    def alive(self):
        return self.process.poll() is None

    def complaint(self):
        self.errors.seek(0)
        return self.errors.read().strip() or f"exit code {self.process.poll()}"

    def finish(self):
        """Closes its input, which ends the command that it runs; gives back the exit code."""
        self.process.stdin.close()
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"`ringfence {' '.join(self.words)}` does not end") from None

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE_S)

    def destroy(self):
        # A ringfence that dies takes the command with it that it runs.
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()


class Writer(threading.Thread):
    """Writes 1, 2, 3, … under one key, each time on condition that the lock's token still holds."""

    def __init__(self, demo, token):
        super().__init__(daemon=True)
        self.demo, self.token = demo, token
        self.acknowledged, self.unclear, self.refused = [], [], []
        self.times = []
        self.stopping = threading.Event()

    def run(self):
        number = 0
        while not self.stopping.is_set():
            number += 1
            words = ["kv", "put", "demo/journal", str(number), "--holds", f"demo/printer={self.token}"]
            done = self.demo.run(*words)
            if done.returncode == 0:
                self.acknowledged.append(number)
                self.times.append(time.monotonic())
            elif done.returncode in (69, 76):
                # Not known to be done: the demo counts on acknowledged writes alone.
                self.unclear.append(number)
            else:
                self.refused.append(f"{number}: {done.stderr.strip()}")

    def reach(self, count):
        """Waits until so many writes were acknowledged."""
        until(f"{count} acknowledged writes; so far {len(self.acknowledged)}, refused {self.refused[:1]}",
              lambda: len(self.acknowledged) >= count or self.refused)

    def stop(self):
        self.stopping.set()
        self.join()

    def longest_gap(self):
        return max(after - before for before, after in zip(self.times, self.times[1:]))


class Demo:
    def __init__(self, binaries):
        binaries = os.path.abspath(binaries)
        self.ringfence = os.path.join(binaries, "ringfence")
        self.tool = os.path.join(binaries, "ringfence-cluster")
        self.directory = tempfile.mkdtemp(prefix="ringfence-demo-")
        # What a user has set for other clusters must not lead the demo astray.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE")}
        self.running = []

    # The programs.

    def run(self, *words):
        return subprocess.run(
            [self.ringfence, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=self.environment,
        )

    def ask(self, *words, show=True):
        """Runs one command that must succeed, and gives back the object that it prints."""
        if show:
            command_line(["ringfence", *words])
        done = self.run("--json", *words)
        if done.returncode != 0:
            raise Failed(f"`ringfence {' '.join(words)}`: {done.stderr.strip()}")
        return json.loads(done.stdout.splitlines()[0])

    def cluster(self, *words, capture=False):
        done = subprocess.run(
            [self.tool, "--directory", self.directory, *words],
            stdin=subprocess.DEVNULL, text=True, env=self.environment, stdout=subprocess.PIPE if capture else None,
        )
        if done.returncode != 0:
            raise Failed(f"`scripts/cluster {' '.join(words)}` failed; logs are in {self.directory}")
        return done.stdout

    def nodes(self):
        return [json.loads(line) for line in self.cluster("status", "--json", capture=True).splitlines()]

    # The story.

    def start(self):
        title("1. Three nodes")
        busy = [port for port in USUAL_PORTS if not is_free(port)]
        if busy:
            tell(f"Port {busy[0]} is in use, perhaps by your own cluster; this one takes free ports and leaves that alone.")
        self.cluster("up", *(["--free-ports"] if busy else []))
        nodes = self.nodes()
        addresses = [node["client_address"] for node in nodes]
        self.environment["RINGFENCE_ENDPOINTS"] = ",".join(f"http://{address}" for address in addresses)
        status = self.ask("cluster", "status")
        reachable = [member["id"] for member in status["members"] if member["reachable"]]
        check(len(nodes) == 3 and len(reachable) == 3, "three processes run, each with its own data, and all answer")
        check(status["leader"] in reachable, f"they have agreed on a leader: node {status['leader']}")

    def lock(self):
        title("2. A fenced lock: two contenders, one owner, and tokens that only grow")
        tell("Each contender runs a command under the lock `demo/printer`; the command prints its fencing token.")
        ada = self.contender("ada")
        ada_token = int(ada.line())
        check(ada_token > 0, f"ada holds the lock with token {ada_token}")
        bert = self.contender("bert")
        shown = self.wait_for_queue(1)
        check(shown["owners"][0]["token"] == ada_token and shown["waiters"][0]["value"] == "bert" and not bert.seen,
              "bert waits in the queue, and his command has not started")
        tell("Ada's command ends, and with it her lock.")
        check(ada.finish() == 0, "ada's command ended, and its exit code came through: 0")
        bert_token = int(bert.line())
        check(bert_token > ada_token, f"bert holds the lock now, with a greater token: {bert_token} > {ada_token}")
        return ada_token, bert, bert_token

    def fence(self, old, new):
        title("3. The fence: a write with an old token is refused")
        tell("Say that ada was only asleep, and wakes up believing that she still holds the lock.")
        words = ["kv", "txn", "--if", f"holds(demo/printer)={old}", "--then", "put demo/page by-ada"]
        command_line(["ringfence", *words])
        done = self.run("--json", *words)
        answer = json.loads(done.stdout or "{}")
        check(done.returncode == 3 and answer.get("succeeded") is False, "refused: exit code 3, the token is no owner's")
        check(self.run("kv", "get", "demo/page").returncode == 3, "nothing was written")
        answer = self.ask("kv", "txn", "--if", f"holds(demo/printer)={new}", "--then", "put demo/page by-bert")
        page = self.ask("kv", "get", "demo/page")
        check(answer["succeeded"] and page["value"] == "by-bert", f"the same with bert's token {new} goes through")

    def elect(self):
        title("4. An election between two processes")
        carla = self.candidate("carla")
        carla_token = int(carla.line())
        dan = self.candidate("dan")
        view = until("dan stands for election", lambda: self.view_if(lambda view: view["waiting"] == 1))
        check(view["leader"]["value"] == "carla" and not dan.seen,
              f"carla leads with token {carla_token}; dan stands ready, and his command has not started")
        return carla, carla_token, dan

    def watch(self):
        title("5. A watch")
        watch = Background(self, "--json", "watch", "demo/journal", "--snapshot")
        while json.loads(watch.line())["event"] != "snapshot_end":
            pass
        tell("It follows the key `demo/journal`. Bert now writes 1, 2, 3, … there, each time only if his token still holds.")
        return watch

    def crash(self, bert, bert_token, carla, carla_token):
        title("6. Kill -9 of the leader, while the lock is held")
        writer = Writer(self, bert_token)
        writer.start()
        writer.reach(20)
        emil = self.contender("emil")
        self.wait_for_queue(1)
        tell("Emil has joined the queue for the lock, behind bert. Bert writes on while this happens:")
        status = self.ask("cluster", "status", show=False)
        leader = status["leader"]
        pid = next(node["pid"] for node in self.nodes() if node["node"] == leader)
        command_line(["kill", "-9", str(pid)])
        os.kill(pid, signal.SIGKILL)
        before = len(writer.acknowledged)
        until("the process is gone", lambda: self.condition(leader) == "died")
        check(True, f"node {leader}, which led, is gone")
        writer.reach(before + 20)
        new = until("a new leader", lambda: self.leader_other_than(leader))
        check(new["leader"] != leader and new["term"] > status["term"],
              f"node {new['leader']} leads now, in term {new['term']} after {status['term']}")
        check(not writer.refused,
              f"bert's writes go on, and his token is still good; the longest pause was {writer.longest_gap():.2f} s")
        shown = self.wait_for_queue(1)
        check(bert.alive() and shown["owners"][0]["token"] == bert_token, f"bert still holds the lock with token {bert_token}")
        check(shown["waiters"][0]["value"] == "emil" and emil.alive() and not emil.seen, "emil has kept his place in the queue")
        view = self.ask("elect", "leader", "demo/scheduler")
        check(carla.alive() and view["leader"]["token"] == carla_token, f"carla still leads her election with token {carla_token}")
        return leader, writer, emil

    def go_on(self, bert, bert_token, emil, carla, carla_token, dan):
        title("7. Two nodes of three are enough: lock and election change hands")
        check(bert.finish() == 0, "bert's command ends")
        emil_token = int(emil.line())
        check(emil_token > bert_token, f"emil holds the lock, with a greater token: {emil_token} > {bert_token}")
        check(carla.finish() == 0, "carla's command ends")
        dan_token = int(dan.line())
        view = self.ask("elect", "leader", "demo/scheduler")
        check(view["leader"]["value"] == "dan" and dan_token > carla_token, f"dan leads, with a greater token: {dan_token} > {carla_token}")

    def return_of(self, dead):
        title("8. The killed node comes back from its disk")
        tell(f"Node {dead} is started again, on what it had on its disk when it was killed.")
        self.cluster("restart", str(dead))
        check(until("equal states", self.states_agree), "all three have applied the same, and the hashes of their states are equal")

    def count(self, writer, watch):
        title("9. Nothing was lost")
        versions = self.history()
        written = [version["value"] for version in versions]
        acknowledged = [str(number) for number in writer.acknowledged]
        lost = [number for number in acknowledged if number not in set(written)]
        check(not lost, f"all {len(acknowledged)} acknowledged writes are there")
        if writer.unclear:
            tell(f"({len(writer.unclear)} write(s) in the moment of the crash got no answer, and were not counted on.)")
        events = until("the watch has seen the last write", lambda: self.events_up_to(watch, versions[-1]["mod_revision"]))
        check(events == [(version["mod_revision"], version["value"]) for version in versions],
              f"the watch, open all the time, saw each of the {len(events)} versions once and in order")
        watch.interrupt()

    def stop(self):
        title("10. The end")
        self.cluster("down", capture=True)
        check(all(node["condition"] == "stopped" for node in self.nodes()), "all nodes have stopped in good order")

    def tell_all(self):
        self.start()
        ada_token, bert, bert_token = self.lock()
        self.fence(ada_token, bert_token)
        carla, carla_token, dan = self.elect()
        watch = self.watch()
        leader, writer, emil = self.crash(bert, bert_token, carla, carla_token)
        writer.stop()
        self.go_on(bert, bert_token, emil, carla, carla_token, dan)
        self.return_of(leader)
        self.count(writer, watch)
        check(emil.finish() == 0 and dan.finish() == 0, "emil and dan end, too")
        self.stop()

    # What the story looks at.

    def condition(self, node):
        return next(one["condition"] for one in self.nodes() if one["node"] == node)

    def contender(self, name):
        words = ["lock", "run", "demo/printer", "--ttl", TTL, "--value", name]
        return Background(self, *words, "--", "sh", "-c", "echo $RINGFENCE_TOKEN; cat")

    def candidate(self, name):
        words = ["elect", "run", "demo/scheduler", "--ttl", TTL, "--value", name]
        return Background(self, *words, "--", "sh", "-c", "echo $RINGFENCE_TOKEN; cat")

    def wait_for_queue(self, waiting):
        def look():
            shown = self.ask("lock", "show", "demo/printer", show=False)
            return shown if shown["waiting"] == waiting and shown["owners"] else None

        return until(f"{waiting} in the queue", look)

    def view_if(self, wanted):
        view = self.ask("elect", "leader", "demo/scheduler", show=False)
        return view if wanted(view) else None

    def leader_other_than(self, old):
        status = self.ask("cluster", "status", show=False)
        return status if status["leader"] not in (None, old) else None

    def states_agree(self):
        members = self.ask("cluster", "status", show=False)["members"]
        states = {(member.get("applied_index"), member.get("state_hash")) for member in members}
        return len(states) == 1 and all(member["reachable"] for member in members)

    def history(self):
        done = self.run("--json", "kv", "history", "demo/journal")
        if done.returncode != 0:
            raise Failed(done.stderr.strip())
        return sorted(map(json.loads, done.stdout.splitlines()), key=lambda version: version["mod_revision"])

    def events_up_to(self, watch, revision):
        events = [json.loads(line) for line in watch.seen]
        events = [(event["revision"], event["value"]) for event in events if event["event"] == "put"]
        return events if events and events[-1][0] >= revision else None

    def clean_up(self, keep):
        for program in self.running:
            program.destroy()
        with contextlib.suppress(Failed):
            if keep:
                self.cluster("down", capture=True)
            else:
                self.cluster("wipe", capture=True)
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)


def is_free(port):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def interrupted(_signal, _frame):
    raise KeyboardInterrupt


def main():
    # A shell that starts this in the background may have SIGINT ignored, which every program started here would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, interrupted)
    begun = time.monotonic()
    demo = Demo(sys.argv[1])
    keep = False
    try:
        demo.tell_all()
        print(f"\n{GREEN}All of it happened{PLAIN}, in {time.monotonic() - begun:.1f} s. "
              "`scripts/cluster up` starts a cluster to play with.")
        return 0
    except Failed as failure:
        keep = True
        print(f"\n{RED}✗ This did not happen:{PLAIN} {failure}\n  The nodes' logs are kept in {demo.directory}.", flush=True)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; cleaning up.", flush=True)
        return 130
    finally:
        # A second Ctrl-C must not leave nodes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        demo.clean_up(keep)


if __name__ == "__main__":
    sys.exit(main())
