//! The nodes together: start, stop, and what only all of them can say.

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::join_all;
use ringfence_client::{Client, ClientBuilder};
use ringfence_proto::v1::ClusterStatusResponse;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    ask,
    builder::{Builder, CERTS},
    certs,
    error::ClusterError,
    node::Node,
    ports::{self, ReservedPort},
    process::Condition,
    settings::member_on,
};

/// How long nodes may take to become ready. Far more than they need, so that a busy machine fails no test; a node that
/// has died ends the wait at once.
pub const READY_LIMIT: Duration = Duration::from_secs(60);
/// How often a wait asks again.
const POLL: Duration = Duration::from_millis(50);
/// How much of a dead node's log an error shows.
const TAIL_LINES: usize = 15;

/// A cluster of processes on this machine.
///
/// One that was made by [`Cluster::builder`] ends with the value: its processes are killed, and a temporary directory is
/// deleted, unless the thread is panicking; then it is kept, for its logs.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    directory: PathBuf,
    temporary: Option<TempDir>,
    reserved: Vec<ReservedPort>,
    /// The processes end with this value.
    owned: bool,
    /// The highest number that a node has had: no number is given twice.
    last_id: u64,
}

impl Cluster {
    /// Describes a cluster for a test.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        nodes: Vec<Node>,
        directory: PathBuf,
        temporary: Option<TempDir>,
        reserved: Vec<ReservedPort>,
    ) -> Self {
        let last_id = last(&nodes);
        Self { nodes, directory, temporary, reserved, owned: true, last_id }
    }

    /// A cluster whose processes run on when this value goes.
    pub(crate) fn lasting(nodes: Vec<Node>, directory: PathBuf) -> Self {
        let last_id = last(&nodes);
        Self { nodes, directory, temporary: None, reserved: Vec::new(), owned: false, last_id }
    }

    /// All nodes, by id.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of this id.
    ///
    /// # Errors
    /// If there is none.
    pub fn node(&self, id: u64) -> Result<&Node, ClusterError> {
        let known = || self.nodes.iter().map(Node::id).collect();
        self.nodes.iter().find(|node| node.id() == id).ok_or_else(|| ClusterError::NoSuchNode { id, known: known() })
    }

    /// Where configuration, data and logs are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where its certificates are, if it was made with TLS: see [`crate::certs`].
    pub fn certs(&self) -> PathBuf {
        self.directory.join(CERTS)
    }

    /// `http://host:port` of every node, for a client; with TLS `https://host:port`.
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(Node::endpoint).collect()
    }

    /// Its nodes have TLS on their client ports.
    pub fn has_tls(&self) -> bool {
        self.endpoints().iter().any(|endpoint| endpoint.starts_with("https:"))
    }

    /// A client of all nodes, with the cluster's own certificates if it has TLS. Not connected yet.
    pub fn client_builder(&self) -> ClientBuilder {
        let builder = Client::builder(self.endpoints());
        if self.has_tls() { builder.tls(certs::client_options(&self.certs())) } else { builder }
    }

    /// Makes one node more, with free ports and the next number, that waits to be added to this cluster: its files only,
    /// nothing runs yet. It has the first node's program and settings. Answers its id.
    ///
    /// # Errors
    /// If there are no free ports, a file can't be written, or there is no node whose settings it could have.
    pub fn make_joining(&mut self) -> Result<u64, ClusterError> {
        let id = self.last_id + 1;
        let Some(like) = self.nodes.first() else {
            return Err(ClusterError::NoSuchNode { id, known: Vec::new() });
        };
        let (client, peer) = (ports::reserve_one()?, ports::reserve_one()?);
        let node = like.joining(&member_on(id, client.number(), peer.number()), &self.directory)?;
        self.reserved.extend([client, peer]);
        self.nodes.push(node);
        self.last_id = id;
        Ok(id)
    }

    /// Kills a node if it runs, and counts it among the nodes no more. What it stored stays.
    ///
    /// # Errors
    /// If there is no such node, or the system doesn't end it.
    pub async fn retire(&mut self, id: u64) -> Result<(), ClusterError> {
        match self.node(id)?.kill().await {
            Ok(()) | Err(ClusterError::NotRunning { .. }) => {}
            Err(error) => return Err(error),
        }
        self.nodes.retain(|node| node.id() != id);
        Ok(())
    }

    /// Starts every node that doesn't run, and waits until all that run are ready.
    ///
    /// # Errors
    /// If a process can't be started, dies, or isn't ready within [`READY_LIMIT`].
    pub async fn start(&self) -> Result<(), ClusterError> {
        for node in &self.nodes {
            node.spawn()?;
        }
        self.wait_ready().await
    }

    /// Stops every node that runs (TERM), all at once, and waits until they are gone.
    ///
    /// # Errors
    /// If one is still there after [`crate::STOP_LIMIT`]; the others are stopped all the same.
    pub async fn stop(&self) -> Result<(), ClusterError> {
        self.end_all(Node::stop).await
    }

    /// Kills every node that runs (KILL): first all, then waits.
    ///
    /// # Errors
    /// If the system doesn't end one.
    pub async fn kill_all(&self) -> Result<(), ClusterError> {
        self.end_all(Node::kill).await
    }

    /// Stops a node if it runs, kills it if it is paused, starts it again, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Node::stop`] and [`Cluster::start`].
    pub async fn restart(&self, id: u64) -> Result<(), ClusterError> {
        let node = self.node(id)?;
        match node.condition() {
            Condition::Running => node.stop().await?,
            Condition::Paused => node.kill().await?,
            Condition::Gone => {}
        }
        self.start_node(id).await
    }

    /// Starts a node that was stopped or killed, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_node(&self, id: u64) -> Result<(), ClusterError> {
        self.node(id)?.spawn()?;
        self.wait_node(id).await
    }

    /// Waits until every node that runs and isn't paused answers, and all of them follow the same leader.
    ///
    /// # Errors
    /// If one dies meanwhile, or that takes longer than [`READY_LIMIT`].
    pub async fn wait_ready(&self) -> Result<(), ClusterError> {
        self.until("all running nodes agree on a leader", &self.nodes, || async {
            let mut seen = None;
            for node in self.nodes.iter().filter(|node| node.is_to_answer()) {
                let leader = led(node).await?;
                if *seen.get_or_insert(leader) != leader {
                    return Err(format!("node {} follows {leader}, others another", node.id()));
                }
            }
            Ok(())
        })
        .await
    }

    /// Waits until a node answers and follows a leader, or leads.
    ///
    /// # Errors
    /// If it dies meanwhile, or that takes longer than [`READY_LIMIT`].
    pub async fn wait_node(&self, id: u64) -> Result<(), ClusterError> {
        let node = self.node(id)?;
        let what = format!("node {id} follows a leader");
        self.until(&what, std::slice::from_ref(node), || async { led(node).await.map(drop) }).await
    }

    /// Waits until a majority of the nodes follow a leader who is one of them; answers its id.
    ///
    /// # Errors
    /// If that takes longer than [`READY_LIMIT`].
    pub async fn leader(&self) -> Result<u64, ClusterError> {
        self.until("a majority follows one leader", &[], || async {
            let mut followed = Vec::new();
            for node in self.nodes.iter().filter(|node| node.condition() == Condition::Running) {
                if let Ok(answer) = ask::status(node, true).await {
                    followed.push((node.id(), answer.leader));
                }
            }
            let led_by_itself = followed.iter().find(|(id, leader)| {
                let follow = followed.iter().filter(|(_, other)| other == leader).count();
                id == leader && follow * 2 > self.nodes.len()
            });
            led_by_itself.map(|(id, _)| *id).ok_or_else(|| format!("node and leader: {followed:?}"))
        })
        .await
    }

    /// A node's account of itself and of all members.
    ///
    /// # Errors
    /// If it doesn't answer within a few seconds.
    pub async fn status(&self, id: u64) -> Result<ClusterStatusResponse, ClusterError> {
        ask::status(self.node(id)?, false).await
    }

    /// A node's account of itself alone.
    ///
    /// # Errors
    /// If it doesn't answer within a few seconds.
    pub async fn status_local(&self, id: u64) -> Result<ClusterStatusResponse, ClusterError> {
        ask::status(self.node(id)?, true).await
    }

    /// Asks again and again until the answer is good. The death of one of these nodes ends it at once.
    pub(crate) async fn until<T, F>(
        &self,
        what: &str,
        needed: &[Node],
        mut ask: impl FnMut() -> F,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<T, String>>,
    {
        let begun = Instant::now();
        loop {
            let last = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(last) => last,
            };
            if let Some(node) = needed.iter().find(|node| node.has_died()) {
                return Err(ClusterError::Died {
                    id: node.id(),
                    log: node.log().to_owned(),
                    tail: node.log_tail(TAIL_LINES),
                });
            }
            if begun.elapsed() > READY_LIMIT {
                return Err(ClusterError::TimedOut { what: what.to_owned(), waited: READY_LIMIT, last });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn end_all<'a, F>(&'a self, end: impl Fn(&'a Node) -> F) -> Result<(), ClusterError>
    where
        F: Future<Output = Result<(), ClusterError>>,
    {
        let ends = self.nodes.iter().filter(|node| node.condition() != Condition::Gone).map(end);
        let ended = join_all(ends).await;
        // Gone by itself in the meantime is as good as stopped.
        let failed = ended.into_iter().find(|end| !matches!(end, Ok(()) | Err(ClusterError::NotRunning { .. })));
        failed.unwrap_or(Ok(()))
    }
}

fn last(nodes: &[Node]) -> u64 {
    nodes.iter().map(Node::id).max().unwrap_or(0)
}

/// Whom this node follows, or why it isn't ready.
async fn led(node: &Node) -> Result<u64, String> {
    match ask::status(node, true).await {
        Ok(answer) if answer.leader == 0 => Err(format!("node {} knows no leader", node.id())),
        Ok(answer) => Ok(answer.leader),
        Err(error) => Err(error.to_string()),
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.owned {
            return;
        }
        for node in &self.nodes {
            node.destroy();
        }
        self.reserved.clear();
        if std::thread::panicking()
            && let Some(directory) = self.temporary.take()
        {
            eprintln!("The nodes' logs are kept in {}.", directory.keep().display());
        }
    }
}
