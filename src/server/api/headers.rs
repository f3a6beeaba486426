//! The header of every answer: which cluster, which member, and from which revision.

use std::sync::Arc;

use ringfence_core::{
    Refusal, Revision,
    query::{Query, Stats},
};
use ringfence_proto::v1::ResponseHeader;

use crate::{proposer::Consensus, replica::Replica};

/// Makes [`ResponseHeader`]s. Cheap to clone.
#[derive(Clone)]
pub struct Headers {
    cluster: u64,
    node_id: u64,
    consensus: Arc<dyn Consensus>,
    replica: Arc<Replica>,
}

impl Headers {
    /// For the member `node_id` of `cluster`.
    pub fn new(cluster: u64, node_id: u64, consensus: Arc<dyn Consensus>, replica: Arc<Replica>) -> Self {
        Self { cluster, node_id, consensus, replica }
    }

    /// For an answer made from this revision.
    pub fn at(&self, revision: Revision) -> ResponseHeader {
        let term = self.consensus.leadership().term;
        ResponseHeader { cluster_id: self.cluster, node_id: self.node_id, revision, term }
    }

    /// For an answer made from what is applied now, and from this revision at least.
    pub fn now(&self, at_least: Revision) -> ResponseHeader {
        self.at(self.replica.revision().max(at_least))
    }

    /// Answers a question from what is applied now, with the header of just that state: a watch from the next revision
    /// on misses nothing and doubles nothing.
    ///
    /// # Errors
    /// The question's [`Refusal`].
    pub fn read<Q: Query>(&self, query: &Q) -> Result<(Q::Answer, ResponseHeader), Refusal> {
        let (_, state) = self.replica.state();
        let answer = state.read(query)?;
        let revision = state.read(&Stats)?.revision;
        Ok((answer, self.at(revision)))
    }
}
