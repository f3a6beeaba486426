//! Is a member in touch with the cluster? For calls that stay open.
//!
//! A wait or a watch can sit on a member that hangs, or that was cut off from the others, while the cluster goes on without it. Nothing
//! on the open call tells. So whoever keeps one open asks now and then, with a read that takes a quorum; all of a client
//! share the answers. A member counts as out of touch only if another one isn't: while nobody leads, nobody moves, and
//! waits keep their places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ringfence_proto::v1;
use tokio::time::Instant;

use crate::chance::jitter;
use crate::core::Core;
use crate::route::Address;

/// Between two questions to one member.
const PERIOD: Duration = Duration::from_secs(4);
/// A member that takes longer is out of touch.
const TIMEOUT: Duration = Duration::from_millis(1500);

#[derive(Debug, Default)]
pub(crate) struct Health {
    known: Mutex<BTreeMap<Address, (Instant, bool)>>,
    /// One question at a time.
    asking: tokio::sync::Mutex<()>,
}

impl Core {
    /// Waits until the member at `address` is out of touch and another one is in touch. Cancel safe.
    pub(crate) async fn out_of_touch(&self, address: &Address) {
        loop {
            tokio::time::sleep(jitter(PERIOD)).await;
            if self.in_touch(address).await {
                continue;
            }
            for other in self.addresses() {
                if other != *address && self.in_touch(&other).await {
                    tracing::debug!(%address, %other, "member is out of touch");
                    return;
                }
            }
        }
    }

    async fn in_touch(&self, address: &Address) -> bool {
        let _one_at_a_time = self.health.asking.lock().await;
        let known = self.health.known.lock().get(address).copied();
        if let Some((asked, answer)) = known
            && asked + PERIOD / 2 > Instant::now()
        {
            return answer;
        }
        let answer = self.ask(address).await;
        let mut known = self.health.known.lock();
        known.insert(Arc::clone(address), (Instant::now(), answer));
        answer
    }

    async fn ask(&self, address: &Address) -> bool {
        let Ok(short) = self.pool.short(address) else {
            return false;
        };
        let request = v1::ClusterMembersRequest { consistency: v1::Consistency::Linearizable.into() };
        let mut client = v1::cluster_client::ClusterClient::new(short.channel);
        let answer = tokio::time::timeout(TIMEOUT, client.members(request)).await;
        matches!(answer, Ok(Ok(_)))
    }
}
