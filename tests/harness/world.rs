//! A cluster of real processes for one test.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
};

use ringfence_client::Client;
use ringfence_cluster::{Builder, Cluster, Node};

use super::{binaries, raw::Raw, tls, wait::until};
use crate::history::agreement::{self, Account};

/// Nodes that run, each with a disk of its own, and end with this value.
#[derive(Debug)]
pub struct World {
    cluster: Cluster,
}

impl Deref for World {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }
}

impl World {
    /// Starts this many nodes with the settings that a user gets, and waits until they have a leader.
    ///
    /// # Panics
    /// If they can't be started.
    pub async fn start(nodes: usize) -> Self {
        Self::of(Cluster::builder().nodes(nodes)).await
    }

    /// Starts the cluster described.
    ///
    /// # Panics
    /// If it can't be started.
    pub async fn of(builder: Builder) -> Self {
        Self::of_program(builder, binaries::server()).await
    }

    /// Writes the files of the cluster described; nothing runs yet.
    ///
    /// # Panics
    /// If they can't be written.
    #[must_use]
    pub fn prepare(builder: Builder) -> Self {
        let cluster = builder.binary(binaries::server()).build();
        Self { cluster: cluster.unwrap_or_else(|error| panic!("{error}")) }
    }

    /// Starts the cluster described, of this program, which must become the server.
    ///
    /// # Panics
    /// If it can't be started.
    pub async fn of_program(builder: Builder, program: &Path) -> Self {
        let cluster = builder.binary(program).start().await;
        Self { cluster: cluster.unwrap_or_else(|error| panic!("{error}")) }
    }

    /// Ids of all nodes.
    #[must_use]
    pub fn ids(&self) -> Vec<u64> {
        self.nodes().iter().map(Node::id).collect()
    }

    /// One node.
    ///
    /// # Panics
    /// If there is none of this id.
    #[must_use]
    pub fn node(&self, id: u64) -> &Node {
        self.cluster.node(id).unwrap_or_else(|error| panic!("{error}"))
    }

    /// One node's process id.
    ///
    /// # Panics
    /// If it doesn't run.
    #[must_use]
    pub fn pid(&self, id: u64) -> i32 {
        self.node(id).process().expect("a process").pid()
    }

    /// A connection to one node.
    #[must_use]
    pub fn raw(&self, id: u64) -> Raw {
        let address = self.node(id).client_address();
        if self.has_tls() { Raw::on(tls::channel(address, tls::group(&self.certs()))) } else { Raw::at(address) }
    }

    /// The node that leads, once a majority follows it.
    ///
    /// # Panics
    /// If none does for a long time.
    pub async fn leader(&self) -> u64 {
        self.cluster.leader().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// A node that follows.
    ///
    /// # Panics
    /// If nobody leads for a long time, or there is one node only.
    pub async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        self.ids().into_iter().find(|id| *id != leader).expect("a second node")
    }

    /// Starts a node that was killed or stopped, and waits until it follows a leader.
    ///
    /// # Panics
    /// If it doesn't.
    pub async fn revive(&self, id: u64) {
        self.start_node(id).await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// A client that knows all nodes.
    ///
    /// # Panics
    /// If no node answers.
    pub async fn client(&self) -> Client {
        if !self.has_tls() {
            return Client::connect(self.endpoints()).await.unwrap_or_else(|error| panic!("{error}"));
        }
        let client = self.client_builder().build().unwrap_or_else(|error| panic!("{error}"));
        client.cluster().members().await.unwrap_or_else(|error| panic!("{error}"));
        client
    }

    /// Waits until all members have applied the same entries, and checks that they came to the same state. Nobody may
    /// be writing, and no session may be open.
    ///
    /// # Panics
    /// If they never get there, or their states differ.
    pub async fn settle(&self) -> Vec<Account> {
        let accounts = until("all members to have applied the same entries", async || {
            let mut accounts = Vec::new();
            for id in self.ids() {
                accounts.push(self.account(id).await?);
            }
            // Whatever was seen along the way must agree, too.
            agreement::check(&accounts).unwrap_or_else(|broken| panic!("{broken}"));
            let same = accounts.windows(2).all(|pair| pair[0].applied == pair[1].applied);
            if same { Ok(accounts) } else { Err(format!("{accounts:?}")) }
        })
        .await;
        let hashes: Vec<u64> = accounts.iter().map(|account| account.hash).collect();
        assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{accounts:?}");
        accounts
    }

    /// Waits until the cluster uses all that its members understand: after that nothing comes into the log by itself, where no session
    /// is open.
    ///
    /// # Panics
    /// If it never does.
    pub async fn level(&self) {
        for id in self.ids() {
            until("the feature level to be raised", async || {
                let status = self.raw(id).status().await.map_err(|status| format!("{status:?}"))?;
                if status.cluster_level == status.level { Ok(()) } else { Err(format!("{status:?}")) }
            })
            .await;
        }
    }

    /// What one member says of its state.
    ///
    /// # Errors
    /// If it doesn't answer.
    pub async fn account(&self, id: u64) -> Result<Account, String> {
        let status = self.raw(id).status().await.map_err(|status| format!("{status:?}"))?;
        Ok(Account { node: id, applied: status.applied_index, revision: status.revision, hash: status.state_hash })
    }
}
