//! What is left to do when nobody waits for it: closing sessions and giving up claims that were dropped.
//!
//! A destructor can't wait, and may run outside of the runtime. So it hands a chore to a task that the client started.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ringfence_proto::v1;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::core::{Core, Plan, Safety};
use crate::session::Session;
use crate::types::{SessionId, Token};

/// No chore is pursued longer: what it is about ends with its session, whose TTL bounds it as well.
const CHORE_TIME_MAX: Duration = Duration::from_secs(60);
/// A claim that was on its way when its wait was given up may arrive after the release: so that is repeated, once.
const SWEEP_AFTER: Duration = Duration::from_secs(3);

/// Something to be done.
#[derive(Clone, Debug)]
pub(crate) enum Chore {
    Close {
        session: SessionId,
        ttl: Duration,
    },
    Release {
        name: Bytes,
        session: SessionId,
        token: Token,
        ttl: Duration,
    },
    /// A wait was given up.
    Withdraw {
        name: Bytes,
        session: SessionId,
        suffix: Bytes,
        ttl: Duration,
    },
}

impl Chore {
    /// Gives up the claim that `session` made, or was about to make, to `name`.
    pub(crate) fn withdraw(name: &Bytes, session: &Session, suffix: &Bytes) -> Self {
        Self::Withdraw { name: name.clone(), session: session.id(), suffix: suffix.clone(), ttl: session.ttl() }
    }
}

/// Does chores until all who could hand in any are gone.
pub(crate) async fn run(core: Arc<Core>, mut chores: mpsc::UnboundedReceiver<Chore>) {
    while let Some(chore) = chores.recv().await {
        let core = core.clone();
        tokio::spawn(async move { attend(&core, chore).await });
    }
}

async fn attend(core: &Arc<Core>, chore: Chore) {
    match chore {
        Chore::Close { session, ttl } => {
            let request = v1::SessionCloseRequest { session_id: session };
            let plan = plan("close session", ttl);
            let done = core.call(plan, request, crate::session::ask_close).await;
            #[cfg(madsim)]
            if let Err(failure) = &done
                && matches!(failure.error, crate::Error::SessionLost { .. })
                && !failure.repeated
            {
                ringfence_probes::hit(ringfence_probes::marks::EXPIRED_WHILE_CUT_OFF);
            }
            log(done.err().map(|failure| failure.error));
        }
        Chore::Release { name, session, token, ttl } => release(core, name, session, token, Bytes::new(), ttl).await,
        Chore::Withdraw { name, session, suffix, ttl } => {
            release(core, name.clone(), session, 0, suffix.clone(), ttl).await;
            tokio::time::sleep(SWEEP_AFTER).await;
            release(core, name, session, 0, suffix, ttl).await;
        }
    }
}

async fn release(core: &Arc<Core>, name: Bytes, session: SessionId, token: Token, suffix: Bytes, ttl: Duration) {
    let request = v1::LockReleaseRequest { name, session_id: session, token, suffix };
    let plan = plan("release", ttl);
    let done = core.ask_pipelined(plan, || request.clone()).await;
    log(done.err().map(|failure| failure.error));
}

fn plan(what: &'static str, ttl: Duration) -> Plan {
    Plan::write(what, Safety::Idempotent, Instant::now() + ttl.min(CHORE_TIME_MAX))
}

fn log(error: Option<crate::Error>) {
    if let Some(error) = error {
        tracing::debug!(%error, "a chore in the background came to nothing");
    }
}
