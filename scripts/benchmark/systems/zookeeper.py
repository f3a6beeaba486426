"""ZooKeeper, as of the Debian package: the settings of its sample, with every write synced (`forceSync`, its default)."""

import os
import re
import socket
import subprocess

from .common import Processes, free_ports, until

JAR = os.environ.get("ZOOKEEPER_JAR", "/usr/share/java/zookeeper.jar")
# As its own start script sets.
HEAP = "-Xmx1000m"
LOGGING = """\
log4j.rootLogger=WARN, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d %p %c: %m%n
"""


class ZooKeeper:
    name = "zookeeper"
    # Its client renews sessions by itself, each on a connection of its own.
    workloads = {"put", "get", "stale-get", "mixed", "lock", "handoff", "semaphore", "elect", "watch"}

    def __init__(self, _programs, versus):
        self.versus = versus
        self.processes = Processes("zookeeper")
        self.home = self.processes.home

    def start(self, nodes, tight=False):
        """`tight`: followers wait for four fifths of a second, instead of ten, for a leader that is silent; one that is dead they notice at once."""
        self.processes.clear()
        (self.home / "log4j.properties").write_text(LOGGING)
        ports = free_ports(3 * nodes)
        self.ports, peers, elections = ports[:nodes], ports[nodes : 2 * nodes], ports[2 * nodes :]
        everybody = "".join(f"server.{i + 1}=127.0.0.1:{peers[i]}:{elections[i]}\n" for i in range(nodes))
        for i, port in enumerate(self.ports):
            data = (self.home / f"n{i}").resolve()
            data.mkdir()
            (data / "myid").write_text(f"{i + 1}\n")
            settings = "tickTime=200\ninitLimit=50\nsyncLimit=4\n" if tight else "tickTime=2000\ninitLimit=10\nsyncLimit=5\n"
            settings += f"maxSessionTimeout=40000\ndataDir={data}\nclientPort={port}\nclientPortAddress=127.0.0.1\n"
            # All clients come from one address here, and nobody looks at the pages of its administrator.
            settings += f"maxClientCnxns=0\nadmin.enableServer=false\n{everybody if nodes > 1 else ''}"
            (self.home / f"n{i}.cfg").write_text(settings)
            main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
            classes = f"{self.home.resolve()}:{JAR}"
            self.processes.begin(f"n{i}", ["java", HEAP, "-cp", classes, main, str(self.home / f"n{i}.cfg")])
        self.pids = self.processes.pids()
        self.endpoints = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        until("ZooKeeper", lambda: all("Mode: " in asked(port) for port in self.ports))

    def leader(self):
        """The node that leads, if one says so."""
        return next((f"n{i}" for i, port in enumerate(self.ports) if "Mode: leader" in asked(port)), None)

    def serves(self, node):
        return "Mode: " in asked(self.ports[int(node[1:])])

    def stop(self):
        self.processes.end()

    def command(self, workload):
        return [self.versus / "ringfence-versus", "zookeeper", workload, "--endpoints", self.endpoints]

    def version(self):
        found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "zookeeper"], capture_output=True, text=True).stdout
        return re.split("[-+]", found)[0] or "of unknown version"


def asked(port):
    """A node's own account; nothing while it doesn't answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.settimeout(1)
            connection.sendall(b"srvr")
            said = b""
            while part := connection.recv(4096):
                said += part
            return said.decode()
    except OSError:
        return ""
