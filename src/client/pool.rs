//! Connections to the members.
//!
//! Short calls to one member share one connection, on which most of them share a stream, with waits. Calls that stay open by
//! themselves (watches, observers, waits beyond those) have connections of their own, a bounded number on each: a server
//! bounds the streams of a connection, and a stream that isn't read takes a part of its connection's window. So neither
//! can keep a short call or a renewal waiting.
//!
//! The stream of short calls and the first watches have links: connections without gRPC.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
#[cfg(not(madsim))]
use ringfence_link::Port;
use tonic::transport::{Channel, Endpoint};

use crate::error::{Error, Result};
#[cfg(not(madsim))]
use crate::link::{self, Links};
#[cfg(not(madsim))]
use crate::pipeline::{Member, Pipeline};
use crate::route::Address;

/// Calls that stay open on one connection: half of what a gRPC server customarily allows.
const LONG_CALLS_MAX: usize = 100;
/// Watches of one member that have links of their own.
#[cfg(not(madsim))]
const LINKED_WATCHES_MAX: usize = 2;
/// Notices a peer that is gone without a word, also on a connection on which nothing else is sent.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes on their way of one long call: few against the connection's, so that streams that aren't read stall only
/// themselves.
const LONG_WINDOW_BYTES: u32 = 128 * 1024;
/// Bytes on their way of one short call: the largest usual answer, so that it doesn't wait for far members to hear that
/// there is room.
const SHORT_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Pool {
    connect_timeout: Duration,
    members: Mutex<BTreeMap<Address, Connections>>,
    #[cfg(not(madsim))]
    tls: Option<ringfence_tls::Connector>,
}

#[derive(Debug, Default)]
struct Connections {
    short: Option<Short>,
    long: Vec<Lane>,
    #[cfg(not(madsim))]
    links: Option<Arc<Links>>,
    /// Watches on links.
    #[cfg(not(madsim))]
    linked: Arc<AtomicUsize>,
}

/// The connection for short calls, and the pipeline that is on it.
#[derive(Clone, Debug)]
pub(crate) struct Short {
    pub(crate) channel: Channel,
    #[cfg(not(madsim))]
    pub(crate) pipeline: Arc<Pipeline>,
}

#[derive(Debug)]
struct Lane {
    channel: Channel,
    open: Arc<AtomicUsize>,
}

impl Lane {
    fn place(&self) -> Place {
        Place { channel: self.channel.clone(), _taken: Taken::one_of(&self.open) }
    }
}

/// A place for one long call. Giving it up frees the place.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) channel: Channel,
    _taken: Taken,
}

/// A place for one watch on a link. Giving it up frees the place.
#[cfg(not(madsim))]
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) links: Arc<Links>,
    _taken: Taken,
}

/// One of those that are counted.
#[derive(Debug)]
struct Taken(Arc<AtomicUsize>);

impl Taken {
    fn one_of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        Self {
            connect_timeout,
            members: Mutex::new(BTreeMap::new()),
            #[cfg(not(madsim))]
            tls: None,
        }
    }

    /// The same, which connects with TLS alone.
    #[cfg(not(madsim))]
    pub(crate) fn with_tls(self, connector: ringfence_tls::Connector) -> Self {
        Self { tls: Some(connector), ..self }
    }

    /// The scheme of the members' addresses.
    pub(crate) fn scheme(&self) -> &'static str {
        #[cfg(not(madsim))]
        if self.tls.is_some() {
            return "https";
        }
        "http"
    }

    /// The connection for short calls. It connects when it is first used, and again when it broke.
    pub(crate) fn short(&self, address: &Address) -> Result<Short> {
        let mut members = self.members.lock();
        let connections = members.entry(address.clone()).or_default();
        if let Some(short) = &connections.short {
            return Ok(short.clone());
        }
        let channel = self.channel(address, SHORT_WINDOW_BYTES)?;
        let short = Short {
            #[cfg(not(madsim))]
            pipeline: Arc::new(Pipeline::new(Member {
                links: self.links(address, connections),
                channel: channel.clone(),
            })),
            channel,
        };
        connections.short = Some(short.clone());
        Ok(short)
    }

    /// A place for a call that stays open.
    pub(crate) fn long(&self, address: &Address) -> Result<Place> {
        let mut members = self.members.lock();
        let lanes = &mut members.entry(address.clone()).or_default().long;
        let free = lanes.iter().find(|lane| lane.open.load(Ordering::Relaxed) < LONG_CALLS_MAX);
        if let Some(lane) = free {
            return Ok(lane.place());
        }
        let lane = Lane { channel: self.channel(address, LONG_WINDOW_BYTES)?, open: Arc::default() };
        let place = lane.place();
        lanes.push(lane);
        Ok(place)
    }

    /// A place for a watch on a link, if there is one. A watch that isn't read must not hold up others, so each has a link of its own, and
    /// there are few; more watches share connections of gRPC.
    #[cfg(not(madsim))]
    pub(crate) fn linked(&self, address: &Address) -> Option<Linked> {
        let mut members = self.members.lock();
        let connections = members.entry(address.clone()).or_default();
        let links = self.links(address, connections);
        let free = connections.linked.load(Ordering::Relaxed) < LINKED_WATCHES_MAX;
        free.then(|| Linked { links, _taken: Taken::one_of(&connections.linked) })
    }

    /// Forgets connections to members that are no more.
    pub(crate) fn keep_only(&self, addresses: &[Address]) {
        self.members.lock().retain(|address, _| addresses.contains(address));
    }

    #[cfg(not(madsim))]
    fn links(&self, address: &Address, connections: &mut Connections) -> Arc<Links> {
        let new = || {
            let address = address.split_once("://").map_or(&**address, |(_, address)| address);
            Arc::new(Links::new(Port {
                address: address.to_owned(),
                tls: self.tls.clone(),
                connect_timeout: self.connect_timeout,
                answer_timeout: link::ANSWER_TIMEOUT,
                // Whoever reads a link asks whether the member is there.
                silence_max: None,
            }))
        };
        connections.links.get_or_insert_with(new).clone()
    }

    fn channel(&self, address: &Address, window: u32) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(address.to_string())
            .map_err(|error| Error::InvalidArgument { message: format!("endpoint {address}: {error}") })?;
        let endpoint = endpoint
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(window)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        #[cfg(not(madsim))]
        if let Some(connector) = &self.tls {
            return Ok(endpoint.connect_with_connector_lazy(connector.clone()));
        }
        Ok(endpoint.connect_lazy())
    }
}
