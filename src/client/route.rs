//! Whom to ask: which members there are, which of them leads, and which had better rest after a failure.
//!
//! Pure bookkeeping, without sockets and without reading a clock, so that its rules can be tested one by one:
//!
//! - Writes go to the leader where one is known. Reads stay with one member, the client's home, so that a client holds few
//!   connections and what it reads doesn't jump between members. Each client draws its home at random.
//! - A member that failed rests for a while that doubles with each failure; meanwhile others are preferred. If all rest,
//!   the one that may return first is asked: resting is advice, never a reason not to ask.
//! - Where several accounts of the leader compete, the one of the higher term is right.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// A member's address as a URI, `http://host:port`; with TLS `https://host:port`.
pub(crate) type Address = Arc<str>;

const REST_MIN: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(5);

/// What a call prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toward {
    Leader,
    Home,
}

#[derive(Clone, Debug)]
struct Node {
    address: Address,
    /// Given by the program: never forgotten.
    seed: bool,
    failures: u32,
    rests_until: Option<Instant>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    nodes: Vec<Node>,
    home: usize,
    leader: Option<Address>,
    term: u64,
}

impl Router {
    /// `seeds` isn't empty; `home` counts among them.
    pub(crate) fn new(seeds: Vec<Address>, home: usize) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        for address in seeds {
            if !nodes.iter().any(|node| node.address == address) {
                nodes.push(Node { address, seed: true, failures: 0, rests_until: None });
            }
        }
        let home = home.checked_rem(nodes.len()).unwrap_or(0);
        Self { nodes, home, leader: None, term: 0 }
    }

    /// Whom to ask next, given who was asked already in this round; `None`: all were.
    pub(crate) fn pick(&self, toward: Toward, tried: &[Address], now: Instant) -> Option<Address> {
        let leader = self.leader.as_ref().filter(|_| toward == Toward::Leader);
        let at_leader = self.nodes.iter().find(|node| Some(&node.address) == leader);
        let ring = self.nodes[self.home..].iter().chain(&self.nodes[..self.home]);
        let open: Vec<&Node> =
            at_leader.into_iter().chain(ring).filter(|node| !tried.contains(&node.address)).collect();
        let awake = open.iter().find(|node| !node.rests(now));
        awake.or_else(|| open.iter().min_by_key(|node| node.rests_until)).map(|node| node.address.clone())
    }

    /// The member answered, whatever it said.
    pub(crate) fn answered(&mut self, address: &Address) {
        if let Some(node) = self.node(address) {
            node.failures = 0;
            node.rests_until = None;
        }
    }

    /// The member could not be reached, or didn't answer in time.
    pub(crate) fn failed(&mut self, address: &Address, now: Instant) {
        if let Some(node) = self.node(address) {
            let rest = (REST_MIN * 2u32.saturating_pow(node.failures.min(16))).min(REST_MAX);
            node.failures += 1;
            node.rests_until = Some(now + rest);
        }
        if self.leader.as_ref() == Some(address) {
            self.leader = None;
        }
        if self.nodes.get(self.home).is_some_and(|node| node.address == *address) {
            self.home = (self.home + 1) % self.nodes.len();
        }
    }

    /// A member named the leader while it refused. Only an address that is known is believed: elsewhere the list of
    /// members comes first.
    pub(crate) fn hint(&mut self, leader: &str) {
        if let Some(node) = self.nodes.iter().find(|node| *node.address == *leader) {
            self.leader = Some(node.address.clone());
        }
    }

    /// A member says that it knows no leader.
    pub(crate) fn no_leader(&mut self) {
        self.leader = None;
    }

    /// A member's account of the members and the leader, as of its term.
    pub(crate) fn learn(&mut self, term: u64, members: Vec<Address>, leader: Option<Address>) {
        if term < self.term || members.is_empty() {
            return;
        }
        self.term = term;
        let home = self.nodes.get(self.home).map(|node| node.address.clone());
        self.nodes.retain(|node| node.seed || members.contains(&node.address));
        for address in members {
            if self.node(&address).is_none() {
                self.nodes.push(Node { address, seed: false, failures: 0, rests_until: None });
            }
        }
        self.home = self.nodes.iter().position(|node| Some(&node.address) == home.as_ref()).unwrap_or(0);
        self.leader = leader;
    }

    /// A reply came from this term: what is known of the leader may be out of date.
    pub(crate) fn outdated(&self, term: u64) -> bool {
        term > self.term
    }

    pub(crate) fn leader(&self) -> Option<&Address> {
        self.leader.as_ref()
    }

    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.nodes.iter().map(|node| node.address.clone()).collect()
    }

    fn node(&mut self, address: &Address) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.address == *address)
    }
}

impl Node {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }
}

/// Makes a URI of what people write: `host:port` or `http://host:port`, with TLS `https://host:port` too. It gets the scheme given, which says
/// whether there is TLS.
pub(crate) fn address(endpoint: &str, own: &str) -> Result<Address, String> {
    let endpoint = endpoint.trim().trim_end_matches('/');
    let authority = match endpoint.split_once("://") {
        None => endpoint,
        Some(("http", authority)) => authority,
        Some(("https", authority)) if own == "https" => authority,
        Some(("https", _)) => {
            return Err(format!("endpoint {endpoint}: https needs TLS to be switched on, with the CA of the members"));
        }
        Some((scheme, _)) => {
            return Err(format!("endpoint {endpoint}: scheme {scheme} is not supported, only http and https are"));
        }
    };
    let port = authority.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if authority.is_empty() || authority.contains('/') || !matches!(port, Some(Ok(1..))) {
        return Err(format!("endpoint {endpoint:?} is not of the form http://host:port"));
    }
    Ok(Arc::from(format!("{own}://{authority}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(names: &[&str]) -> Vec<Address> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    fn router() -> Router {
        Router::new(addresses(&["a", "b", "c"]), 1)
    }

    fn pick(router: &Router, toward: Toward, tried: &[&str], now: Instant) -> Option<String> {
        router.pick(toward, &addresses(tried), now).map(|address| address.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn reads_stay_at_home_and_writes_go_to_the_leader() {
        let now = Instant::now();
        let mut router = router();
        assert_eq!(pick(&router, Toward::Leader, &[], now).as_deref(), Some("b"));
        router.learn(3, addresses(&["a", "b", "c"]), Some(Arc::from("c")));
        assert_eq!(pick(&router, Toward::Leader, &[], now).as_deref(), Some("c"));
        assert_eq!(pick(&router, Toward::Home, &[], now).as_deref(), Some("b"));
        assert_eq!(pick(&router, Toward::Leader, &["c"], now).as_deref(), Some("b"));
        assert_eq!(pick(&router, Toward::Leader, &["a", "b", "c"], now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_failed_rests_longer_each_time_and_is_asked_if_all_rest() {
        let now = Instant::now();
        let mut router = router();
        router.failed(&Arc::from("b"), now);
        assert_eq!(pick(&router, Toward::Home, &[], now).as_deref(), Some("c"), "home moved on");
        let later = now + REST_MIN;
        assert_eq!(pick(&router, Toward::Home, &["a", "c"], later).as_deref(), Some("b"));
        router.failed(&Arc::from("b"), later);
        router.failed(&Arc::from("a"), later);
        router.failed(&Arc::from("c"), later + Duration::from_millis(1));
        assert_eq!(pick(&router, Toward::Home, &[], later).as_deref(), Some("a"), "the first to return");
        router.answered(&Arc::from("b"));
        assert_eq!(pick(&router, Toward::Home, &[], later).as_deref(), Some("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_of_an_older_term_is_not_believed() {
        let now = Instant::now();
        let mut router = router();
        router.learn(5, addresses(&["a", "b", "c"]), Some(Arc::from("a")));
        router.learn(4, addresses(&["a", "b", "c"]), Some(Arc::from("b")));
        assert_eq!(pick(&router, Toward::Leader, &[], now).as_deref(), Some("a"));
        assert!(router.outdated(6) && !router.outdated(5));
        router.failed(&Arc::from("a"), now);
        assert_eq!(router.leader(), None);
    }

    #[test]
    fn members_are_learnt_and_forgotten_but_seeds_stay() {
        let mut router = router();
        router.learn(1, addresses(&["a", "d"]), None);
        assert_eq!(router.addresses(), addresses(&["a", "b", "c", "d"]));
        router.learn(2, addresses(&["a", "e"]), Some(Arc::from("e")));
        assert_eq!(router.addresses(), addresses(&["a", "b", "c", "e"]));
        router.hint("nowhere");
        assert_eq!(router.leader().map(|leader| leader.to_string()).as_deref(), Some("e"));
    }

    #[test]
    fn endpoints_are_host_and_port() {
        assert_eq!(address("127.0.0.1:7601", "http").as_deref(), Ok("http://127.0.0.1:7601"));
        assert_eq!(address("http://node-1:7601/", "http").as_deref(), Ok("http://node-1:7601"));
        assert_eq!(address("http://[::1]:7601", "http").as_deref(), Ok("http://[::1]:7601"));
        for written in ["node-1:7601", "http://node-1:7601", "https://node-1:7601/"] {
            assert_eq!(address(written, "https").as_deref(), Ok("https://node-1:7601"), "{written}");
        }
        assert!(address("https://node-1:7601", "http").is_err_and(|why| why.contains("https needs TLS")));
        for bad in ["", "node-1", "https://a:1", "http://:x", "a:0", "http://a:1/path", "a:99999"] {
            assert!(address(bad, "http").is_err(), "{bad}");
        }
    }
}
