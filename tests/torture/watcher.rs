//! Watches the servers: asks each what it has applied and whom it follows, again and again; and looks whether one ended.

use std::{sync::Arc, time::Duration};

use ringfence_client::{Client, MemberStatus};
use ringfence_simulation::{history::Applied, place::Ground, schedule::Happening};

use crate::field::Field;

/// How often each server is asked.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How long it may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(1000);

/// Watches one server for as long as it is polled. On the watcher's machine.
pub async fn watch(field: Arc<Field>, id: u64) {
    let new = || Client::builder([field.endpoint(id)]).deadline(ANSWER_WITHIN).build().ok();
    let mut client = new();
    let mut answered_in = 0;
    loop {
        let life = field.servers.life(id);
        let status = match &client {
            Some(client) => ask(client, id).await,
            None => None,
        };
        if status.is_none() {
            // A client that has gone elsewhere stays there; a new one knows this server alone.
            client = new();
        }
        if let Some(status) = status
            && field.servers.life(id) == life
            && field.servers.is_up(id)
        {
            heard(&field, id, life, &status);
            if life > 1 && answered_in < life {
                // It may have been brought up to date by a snapshot. Nobody outside knows for certain.
                field.happened(id, Happening::SnapshotReceived);
            }
            answered_in = life;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn ask(client: &Client, id: u64) -> Option<MemberStatus> {
    let asked = tokio::time::timeout(ANSWER_WITHIN, client.cluster().status(true)).await;
    let status = asked.ok()?.ok()?;
    // The client may have gone to another server in the end.
    status.members.into_iter().find(|status| status.member.id == id)
}

fn heard(field: &Field, id: u64, life: u32, status: &MemberStatus) {
    let (index, hash, revision) = (status.applied_index, status.state_hash, status.revision);
    let at = field.recorder.now();
    // What lies between two answers isn't known: it comes to an index at once, as with a snapshot.
    let applied = Applied { server: id, life, at, index, hash, revision, installed: true };
    let last = field.recorder.read(|history| history.applied.iter().rev().find(|last| last.server == id).copied());
    if index > 0 && last.is_none_or(|last| (last.life, last.index, last.hash) != (life, index, hash)) {
        field.recorder.applied(applied);
    }
    if status.leader == Some(id) {
        field.leads(id, status.term);
    }
}

/// Looks, again and again, whether a server ended by itself.
pub async fn look(field: Arc<Field>) {
    loop {
        field.servers.look().await;
        tokio::time::sleep(ASK_EVERY).await;
    }
}
