//! The state that all pretended members share.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use ringfence_proto::v1;
use tokio::sync::Notify;
use tonic::{Code, Status};

use super::status;

#[derive(Default)]
pub struct World {
    inner: Mutex<Inner>,
    pub changed: Notify,
}

#[derive(Default)]
struct Inner {
    revision: u64,
    compacted: u64,
    keys: BTreeMap<Bytes, v1::KeyValue>,
    history: Vec<v1::Event>,
    sessions: HashMap<u64, u64>,
    opened: u64,
    done: HashMap<(u64, u64), u64>,
    queues: HashMap<Bytes, Vec<v1::Claim>>,
    members: BTreeMap<u64, SocketAddr>,
    leader: u64,
    term: u64,
}

impl World {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn joined(&self, id: u64, address: SocketAddr) {
        self.inner().members.insert(id, address);
    }

    /// From now on this member leads, in a new term.
    pub fn lead(&self, id: u64) {
        let mut inner = self.inner();
        inner.leader = id;
        inner.term += 1;
    }

    pub fn leader(&self) -> u64 {
        self.inner().leader
    }

    pub fn term(&self) -> u64 {
        self.inner().term
    }

    pub fn revision(&self) -> u64 {
        self.inner().revision
    }

    pub fn members(&self) -> Vec<v1::Member> {
        let inner = self.inner();
        let member = |(id, address): (&u64, &SocketAddr)| v1::Member {
            node_id: *id,
            client_address: address.to_string(),
            peer_address: String::new(),
            voter: true,
        };
        inner.members.iter().map(member).collect()
    }

    /// Writes a key. A request id that was seen changes nothing.
    pub fn put(&self, key: &Bytes, value: &Bytes, id: Option<v1::RequestId>) -> u64 {
        let mut inner = self.inner();
        if let Some(id) = id
            && let Some(revision) = inner.done.get(&(id.session_id, id.sequence))
        {
            return *revision;
        }
        let revision = inner.put(key.clone(), value.clone(), 0);
        if let Some(id) = id {
            inner.done.insert((id.session_id, id.sequence), revision);
        }
        drop(inner);
        self.changed.notify_waiters();
        revision
    }

    pub fn get(&self, key: &[u8]) -> Option<v1::KeyValue> {
        self.inner().keys.get(key).cloned()
    }

    pub fn all(&self) -> (u64, Vec<v1::KeyValue>) {
        let inner = self.inner();
        (inner.revision, inner.keys.values().cloned().collect())
    }

    /// Events from this revision on, and the revision after them.
    pub fn since(&self, from: u64) -> Result<(Vec<v1::Event>, u64), u64> {
        let inner = self.inner();
        if from <= inner.compacted {
            return Err(inner.compacted);
        }
        let revision = |event: &&v1::Event| event.kv.as_ref().unwrap().mod_revision >= from;
        let events = inner.history.iter().filter(revision).cloned().collect();
        Ok((events, inner.revision + 1))
    }

    pub fn compact(&self, revision: u64) {
        self.inner().compacted = revision;
    }

    pub fn open(&self, ttl_ms: u64) -> u64 {
        let mut inner = self.inner();
        inner.opened += 1;
        let id = inner.opened;
        inner.sessions.insert(id, ttl_ms);
        id
    }

    pub fn ttl(&self, id: u64) -> Option<u64> {
        self.inner().sessions.get(&id).copied()
    }

    pub fn sessions(&self) -> usize {
        self.inner().sessions.len()
    }

    /// Ends a session and its claims; says how many went.
    pub fn close(&self, id: u64) -> Result<u64, Status> {
        let gone: Vec<(Bytes, u64)> = {
            let mut inner = self.inner();
            if inner.sessions.remove(&id).is_none() {
                return Err(status(Code::NotFound, "SESSION_UNKNOWN"));
            }
            let queues = inner.queues.iter();
            queues
                .flat_map(|(name, claims)| claims.iter().map(|claim| (name.clone(), claim)))
                .filter(|(_, claim)| claim.session_id == id)
                .map(|(name, claim)| (name, claim.token))
                .collect()
        };
        for (name, token) in &gone {
            self.release(name, |claim| claim.token == *token);
        }
        self.changed.notify_waiters();
        Ok(gone.len() as u64)
    }

    /// Joins a queue, or finds the claim there.
    pub fn claim(&self, name: &Bytes, session: u64, suffix: &Bytes, value: &Bytes) -> Result<v1::Claim, Status> {
        let mut inner = self.inner();
        if !inner.sessions.contains_key(&session) {
            return Err(status(Code::FailedPrecondition, "SESSION_UNKNOWN"));
        }
        let queue = inner.queues.entry(name.clone()).or_default();
        let mine = |claim: &&v1::Claim| claim.session_id == session && claim.suffix == *suffix;
        if let Some(claim) = queue.iter().find(mine) {
            return Ok(claim.clone());
        }
        let first = queue.is_empty();
        let key = [name, &b"/"[..], format!("{session:016x}-").as_bytes(), suffix].concat();
        let token = inner.put(Bytes::from(key.clone()), value.clone(), session);
        let claim = v1::Claim {
            name: name.clone(),
            key: Bytes::from(key),
            session_id: session,
            suffix: suffix.clone(),
            token,
            owner: first,
            value: value.clone(),
            ..Default::default()
        };
        inner.queues.entry(name.clone()).or_default().push(claim.clone());
        drop(inner);
        self.changed.notify_waiters();
        Ok(claim)
    }

    pub fn queue(&self, name: &[u8]) -> Vec<v1::Claim> {
        self.inner().queues.get(name).cloned().unwrap_or_default()
    }

    /// Takes the claim that fits out of its queue.
    pub fn release(&self, name: &Bytes, fits: impl Fn(&v1::Claim) -> bool) -> Option<v1::Claim> {
        let mut inner = self.inner();
        let queue = inner.queues.get_mut(name)?;
        let place = queue.iter().position(fits)?;
        let claim = queue.remove(place);
        if let Some(first) = queue.first_mut() {
            first.owner = true;
        }
        inner.delete(&claim.key);
        drop(inner);
        self.changed.notify_waiters();
        Some(claim)
    }

    pub fn proclaim(&self, name: &[u8], token: u64, value: &Bytes) -> bool {
        let mut inner = self.inner();
        let claims = inner.queues.get_mut(name).into_iter().flatten();
        let mut found = false;
        for claim in claims.filter(|claim| claim.token == token && claim.owner) {
            claim.value = value.clone();
            found = true;
        }
        inner.revision += 1;
        drop(inner);
        self.changed.notify_waiters();
        found
    }
}

impl Inner {
    fn put(&mut self, key: Bytes, value: Bytes, session: u64) -> u64 {
        self.revision += 1;
        let before = self.keys.get(&key);
        let kv = v1::KeyValue {
            create_revision: before.map_or(self.revision, |kv| kv.create_revision),
            version: before.map_or(1, |kv| kv.version + 1),
            mod_revision: self.revision,
            session_id: session,
            key: key.clone(),
            value,
            ..Default::default()
        };
        self.keys.insert(key, kv.clone());
        self.history.push(v1::Event { kind: v1::event::Kind::Put.into(), kv: Some(kv), prev_kv: None });
        self.revision
    }

    fn delete(&mut self, key: &Bytes) {
        self.revision += 1;
        self.keys.remove(key);
        self.history.push(v1::Event {
            kind: v1::event::Kind::Delete.into(),
            kv: Some(v1::KeyValue { key: key.clone(), mod_revision: self.revision, ..Default::default() }),
            prev_kv: None,
        });
    }
}
