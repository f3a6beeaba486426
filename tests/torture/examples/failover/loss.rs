//! What befalls whoever leads, and how it comes back.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use ringfence_cluster::Cluster;
use ringfence_simulation::history::Machine;
use ringfence_torture::firewall::{Firewall, Link, Wanted};

use crate::arguments::How;

/// Does it to the nodes of a cluster.
pub struct Loss {
    how: How,
    cluster: Cluster,
    /// Between the servers, where they have networks of their own.
    firewall: Option<Firewall>,
}

impl Loss {
    pub fn new(how: How, cluster: Cluster, firewall: Option<Firewall>) -> Self {
        Self { how, cluster, firewall }
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The node is gone for the others, or begins to go.
    pub async fn strike(&self, id: u64) -> Result<()> {
        let node = self.cluster.node(id)?;
        match (self.how, &self.firewall) {
            (How::Killed, _) => node.kill().await?,
            (How::Stopped, _) => node.stop().await?,
            (How::CutOff, Some(firewall)) => firewall.set(&Wanted { cut: self.links(id), lost: Vec::new() }).await?,
            (How::CutOff, None) => bail!("nodes without networks of their own can't be cut off"),
        }
        Ok(())
    }

    /// It is back, and all of them follow the same leader.
    ///
    /// # Errors
    /// If it doesn't come back, or what was done to it had no effect.
    pub async fn mend(&self, id: u64) -> Result<()> {
        let Some(firewall) = &self.firewall else {
            return Ok(self.cluster.start_node(id).await?);
        };
        let dropped = firewall.dropped().await?;
        firewall.set(&Wanted::default()).await?;
        let through: Vec<Link> = self.links(id).into_iter().filter(|link| dropped.on(&[*link]) == 0).collect();
        if !through.is_empty() {
            bail!("not one packet was dropped on {through:?}, which were cut");
        }
        Ok(self.cluster.wait_ready().await?)
    }

    /// Between a node and all others, in both directions.
    fn links(&self, id: u64) -> BTreeSet<Link> {
        let others = self.cluster.nodes().iter().map(|node| node.id()).filter(|other| *other != id);
        let pair =
            |other| [(Machine::Server(id), Machine::Server(other)), (Machine::Server(other), Machine::Server(id))];
        others.flat_map(pair).collect()
    }
}
