"""What is measured. Each system has the same doors: `start`, `stop`, `command`, `version`, and says which workloads it knows."""

from .etcd import Etcd
from .ringfence import Ringfence
from .zookeeper import ZooKeeper

WORKLOADS = ["put", "get", "stale-get", "mixed", "lock", "handoff", "semaphore", "elect", "watch", "renew", "hold"]
SYSTEMS = {"ringfence": Ringfence, "etcd": Etcd, "zookeeper": ZooKeeper}
TITLES = {"ringfence": "Ringfence", "etcd": "etcd", "zookeeper": "ZooKeeper"}
