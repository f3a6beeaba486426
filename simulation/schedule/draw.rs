//! A schedule from a seed.
//!
//! Each family has a generator of its own, so that a new kind of fault in one changes nothing in the others. Which families are on,
//! how often their faults come and how long they last is drawn once for each seed, log-uniformly: so some seeds see one rare fault in
//! calm weather, and others a hundred on top of each other, which find different mistakes.

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use ringfence_probes::hooks::Happening;

use super::{Family, Fault, Kept, Ms, Node, Of, Profile, Schedule, Timed, When, Whom};

/// What a simulated run takes if nobody says otherwise.
pub const SECONDS: u32 = 60;
/// The first faults come after the cluster has had time to begin.
const QUIET_MS: u64 = 1500;
/// Two clocks may differ by 1 % in their rates (see the client's allowance): each by less than half of it from true time.
pub const ALLOWED_PPM: i64 = 4_900;
/// How far clocks are out where they may be.
const WILD_PPM: i64 = 300_000;

/// Chance, drawn from a seed.
pub(super) struct Chance(SmallRng);

impl Chance {
    /// One for each purpose of a seed.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        Self(SmallRng::seed_from_u64(xxhash_rust::xxh3::xxh3_64_with_seed(purpose.as_bytes(), seed)))
    }

    /// So many times of a hundred.
    pub(super) fn percent(&mut self, of_hundred: u32) -> bool {
        self.0.random_range(0..100) < of_hundred
    }

    /// Between the two, each octave as likely as another. With whole numbers alone, so that it is the same everywhere.
    pub(super) fn log_uniform(&mut self, least: u64, most: u64) -> u64 {
        let least = least.max(1);
        let octaves = (most.max(least) / least).ilog2();
        let low = least << self.0.random_range(0..=octaves);
        self.0.random_range(low..=(2 * low - 1).min(most.max(low)))
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of.get(self.0.random_range(0..of.len())).copied()).flatten()
    }

    /// In another order.
    pub(super) fn shuffled<T>(&mut self, mut list: Vec<T>) -> Vec<T> {
        for place in (1..list.len()).rev() {
            list.swap(place, self.0.random_range(0..=place));
        }
        list
    }

    fn kept(&mut self) -> Kept {
        match self.0.random_range(0..10) {
            0..5 => Kept::Nothing,
            5..8 => Kept::Writes(self.0.random_range(1..8)),
            _ => Kept::All,
        }
    }

    fn of(&mut self) -> Of {
        self.pick(&[Of::Raft, Of::Raft, Of::Calls, Of::Both]).unwrap_or(Of::Raft)
    }
}

/// How often the faults of a family come, and how long they last.
struct Weather {
    chance: Chance,
    servers: u8,
    clients: u8,
    /// Typical time that one lasts, in milliseconds.
    hold_ms: u64,
    /// How many of a thousand messages are met.
    permille: u64,
    /// The kinds that are on.
    kinds: Vec<&'static str>,
}

impl Schedule {
    /// A world of three servers and five clients without faults.
    #[must_use]
    pub fn quiet(seed: u64, profile: Profile) -> Self {
        Self {
            seed,
            profile,
            servers: 3,
            clients: 5,
            seconds: SECONDS,
            heartbeat_ms: 100,
            election_ms: 300,
            snapshot_entries: 500,
            keep_entries: 100,
            sync_us: 500,
            faults: Vec::new(),
        }
    }

    /// What a seed is in a profile. The same one each time.
    #[must_use]
    pub fn draw(seed: u64, profile: Profile, seconds: u32) -> Self {
        let mut chance = Chance::new(seed, "world");
        let heartbeat_ms = chance.log_uniform(50, 150);
        let mut schedule = Self {
            servers: if chance.percent(70) { 3 } else { 5 },
            clients: u8::try_from(chance.log_uniform(2, 16)).unwrap_or(2),
            seconds,
            heartbeat_ms,
            election_ms: heartbeat_ms * 3 + chance.log_uniform(1, 200),
            snapshot_entries: chance.log_uniform(50, 2000),
            keep_entries: chance.log_uniform(1, 500) - 1,
            sync_us: chance.log_uniform(100, 5000),
            ..Self::quiet(seed, profile)
        };
        schedule.servers = profile.servers().unwrap_or(schedule.servers);
        if profile == Profile::Calm {
            return schedule;
        }
        let mut faults = Vec::new();
        for family in Family::ALL {
            schedule.family(family, &mut faults);
        }
        if chance.percent(60) {
            schedule.tied(&mut faults);
        }
        schedule.halved_changes(&mut faults);
        // Numbered by time, so that the list reads as a story; those that are tied to an event come last.
        faults.sort_by_key(|(when, _)| match when {
            When::At(ms) => (*ms, 0),
            When::On { nth, .. } => (u64::MAX, *nth),
        });
        let timed = |(id, (when, fault))| Timed { id, when, fault };
        schedule.faults = (1..).zip(faults).map(timed).collect();
        schedule
    }

    fn millis(&self) -> u64 {
        u64::from(self.seconds) * 1000
    }

    /// Faults of one family, if it is on.
    fn family(&self, family: Family, faults: &mut Vec<(When, Fault)>) {
        let mut chance = Chance::new(self.seed, family.name());
        let stressed = self.profile.stresses(family);
        if family == Family::Clocks {
            // Clocks are never quite right; how wrong depends on the seed.
            return self.clocks(chance, faults);
        }
        if family == Family::Disk && self.profile.has_real_disks() {
            return;
        }
        let on = chance.percent(if family == Family::Members { 35 } else { 45 });
        if !(on || stressed) {
            return;
        }
        let longest_gap = if stressed { 4_000 } else { 30_000 };
        let gap_ms = chance.log_uniform(if family == Family::Members { 2_000 } else { 500 }, longest_gap);
        let hold_ms = chance.log_uniform(100, 10_000).min(2 * gap_ms);
        let permille = chance.log_uniform(4, 400);
        let all = Fault::KINDS.iter().filter(|(_, of)| *of == family).map(|(kind, _)| *kind);
        let mut kinds: Vec<&str> = all.clone().filter(|_| chance.percent(60)).collect();
        if kinds.is_empty() {
            kinds = all.collect();
        }
        let mut weather = Weather { chance, servers: self.servers, clients: self.clients, hold_ms, permille, kinds };
        let mut at = QUIET_MS;
        loop {
            at += weather.chance.log_uniform(gap_ms / 4, gap_ms * 4);
            if at >= self.millis() {
                return;
            }
            faults.extend(weather.fault().map(|fault| (When::At(at), fault)));
        }
    }

    fn clocks(&self, mut chance: Chance, faults: &mut Vec<(When, Fault)>) {
        let wild = self.profile == Profile::Drift;
        if !wild && chance.percent(30) {
            return;
        }
        let most = if wild { WILD_PPM } else { ALLOWED_PPM };
        let rate = |chance: &mut Chance| {
            let ppm = chance.log_uniform(if wild { 10_000 } else { 10 }, most.unsigned_abs());
            let ppm = i64::try_from(ppm).unwrap_or(most).min(most);
            if chance.percent(50) { ppm } else { -ppm }
        };
        let servers = (1..=u64::from(self.servers)).map(Node::Server);
        let nodes: Vec<Node> = servers.chain((1..=u32::from(self.clients)).map(Node::Client)).collect();
        for node in &nodes {
            let ppm = rate(&mut chance);
            faults.push((When::At(0), Fault::Clock { node: *node, ppm }));
        }
        // Some change their minds.
        for _ in 0..chance.0.random_range(0..6) {
            let at = chance.0.random_range(0..self.millis().max(1));
            if let Some(node) = chance.pick(&nodes) {
                faults.push((When::At(at), Fault::Clock { node, ppm: rate(&mut chance) }));
            }
        }
    }

    /// Faults at the worst of moments.
    fn tied(&self, faults: &mut Vec<(When, Fault)>) {
        let mut chance = Chance::new(self.seed, "tied");
        for _ in 0..chance.log_uniform(1, 24) {
            let Some(happening) = chance.pick(super::text::HAPPENINGS) else { return };
            // What is rare is met early, or not at all.
            let most = match happening {
                Happening::EntriesWritten | Happening::EntriesSynced => 2000,
                Happening::Granted => 300,
                Happening::VoteWritten | Happening::Led => 12,
                _ => 5,
            };
            let nth = chance.log_uniform(1, most);
            let delay_ms = if chance.percent(70) { 0 } else { chance.log_uniform(1, 500) };
            let down_ms = Ms(chance.log_uniform(50, 8000));
            let whom = if chance.percent(75) { Whom::There } else { Whom::Leader };
            let fault = match chance.0.random_range(0..12) {
                0..5 => Fault::Kill { whom, kept: chance.kept(), down_ms },
                5 => Fault::Blackout { kept: chance.kept(), down_ms },
                6 => Fault::Pause { whom, ms: down_ms },
                7 => Fault::FailingSync { whom, ms: down_ms },
                8 => Fault::Transfer {
                    to: chance.pick(&[Whom::Follower(1), Whom::Follower(2), Whom::There]).unwrap_or(Whom::There),
                },
                9 => Fault::Mute { whom, ms: down_ms },
                _ => Fault::Alone { whom, clients: some_clients(&mut chance, self.clients), ms: down_ms },
            };
            faults.push((When::On { happening, nth, delay_ms }, fault));
        }
    }

    /// Where members change: leaders that die between the two steps of a change of voters. By luck alone that is met in one seed of a
    /// hundred.
    fn halved_changes(&self, faults: &mut Vec<(When, Fault)>) {
        let mut chance = Chance::new(self.seed, "halved changes");
        let changes = faults.iter().any(|(_, fault)| fault.family() == Family::Members);
        if !changes || chance.percent(30) {
            return;
        }
        for _ in 0..chance.log_uniform(1, 2) {
            let happening = Happening::VotersHalfChanged;
            let when = When::On { happening, nth: chance.log_uniform(1, 2), delay_ms: chance.log_uniform(1, 2) - 1 };
            let down_ms = Ms(chance.log_uniform(500, 8000));
            faults.push((when, Fault::Kill { whom: Whom::Leader, kept: chance.kept(), down_ms }));
        }
    }
}

fn some_clients(chance: &mut Chance, clients: u8) -> Vec<u32> {
    (1..=u32::from(clients)).filter(|_| chance.percent(30)).collect()
}

impl Weather {
    /// How long something lasts.
    fn hold(&mut self) -> Ms {
        Ms(self.chance.log_uniform((self.hold_ms / 8).max(20), self.hold_ms * 2))
    }

    /// A time much shorter than a hold.
    fn short(&mut self) -> Ms {
        Ms(self.chance.log_uniform(5, (self.hold_ms / 4).clamp(10, 1000)))
    }

    fn whom(&mut self) -> Whom {
        match self.chance.0.random_range(0..10) {
            0..4 => Whom::Leader,
            4..6 => Whom::Follower(self.chance.0.random_range(1..self.servers.max(2))),
            _ => Whom::Server(self.chance.0.random_range(1..=u64::from(self.servers))),
        }
    }

    fn client(&mut self) -> u32 {
        self.chance.0.random_range(1..=u32::from(self.clients))
    }

    fn clients(&mut self) -> Vec<u32> {
        some_clients(&mut self.chance, self.clients)
    }

    fn ids(&mut self) -> Vec<u64> {
        self.chance.shuffled((1..=u64::from(self.servers)).collect())
    }

    fn per_thousand(&mut self) -> u32 {
        let permille = self.chance.log_uniform((self.permille / 4).max(1), self.permille * 2);
        u32::try_from(permille).unwrap_or(1000).min(1000)
    }

    /// The next fault, of a kind that is on.
    fn fault(&mut self) -> Option<Fault> {
        let kind = self.chance.pick(&self.kinds)?;
        self.network(kind).or_else(|| self.messages(kind)).or_else(|| self.process(kind)).or_else(|| self.rest(kind))
    }

    fn network(&mut self, kind: &str) -> Option<Fault> {
        Some(match kind {
            "alone" => Fault::Alone { whom: self.whom(), clients: self.clients(), ms: self.hold() },
            "deaf" => Fault::Deaf { whom: self.whom(), ms: self.hold() },
            "mute" => Fault::Mute { whom: self.whom(), ms: self.hold() },
            "split" => {
                let mut side: Vec<Whom> = self.ids().into_iter().map(Whom::Server).collect();
                side.truncate(self.chance.0.random_range(1..usize::from(self.servers).max(2)));
                if self.chance.percent(50) {
                    side[0] = Whom::Leader;
                }
                Fault::Split { side, clients: self.clients(), ms: self.hold() }
            }
            "bridge" => Fault::Bridge { middle: self.whom(), ms: self.hold() },
            "flap" => Fault::Flap { whom: self.whom(), up_ms: self.short(), down_ms: self.short(), ms: self.hold() },
            "slow" => Fault::Slow { whom: self.whom(), by_ms: self.short(), ms: self.hold() },
            "swizzle" => {
                let mut cut = self.ids();
                cut.truncate(self.chance.0.random_range(1..=usize::from(self.servers)));
                let mend = self.chance.shuffled(cut.clone());
                Fault::Swizzle { cut, mend, step_ms: self.short(), ms: self.short() }
            }
            "stranded" => Fault::Stranded { client: self.client(), ms: self.hold() },
            _ => return None,
        })
    }

    fn messages(&mut self, kind: &str) -> Option<Fault> {
        let of = self.chance.of();
        let (permille, by_ms, ms) = (self.per_thousand(), self.short(), self.hold());
        Some(match kind {
            "late" => Fault::Late { of, permille, by_ms, ms },
            "shuffled" => Fault::Shuffled { of, by_ms: Ms(by_ms.0.min(100)), ms },
            "twice" => Fault::Twice { of, permille, by_ms, ms },
            "lost" => Fault::Lost { of, permille, ms },
            "unanswered" => Fault::Unanswered { of, permille, ms },
            "hanging" => Fault::Hanging { of, permille, ms },
            _ => return None,
        })
    }

    fn process(&mut self, kind: &str) -> Option<Fault> {
        let kept = self.chance.kept();
        Some(match kind {
            "kill" => Fault::Kill { whom: self.whom(), kept, down_ms: self.hold() },
            "stop" => Fault::Stop { whom: self.whom(), down_ms: self.hold() },
            "pause" => Fault::Pause { whom: self.whom(), ms: self.hold() },
            "frozen" => Fault::Frozen { client: self.client(), ms: self.hold() },
            "storm" => {
                let times = self.chance.0.random_range(2..8);
                Fault::Storm { whom: self.whom(), times, kept, up_ms: self.short(), down_ms: self.short() }
            }
            "blackout" => Fault::Blackout { kept, down_ms: self.hold() },
            "rolling" => Fault::Rolling { down_ms: self.short(), gap_ms: self.hold() },
            "lost-disk" => Fault::LostDisk { whom: self.whom(), down_ms: self.hold() },
            _ => return None,
        })
    }

    fn rest(&mut self, kind: &str) -> Option<Fault> {
        Some(match kind {
            "slow-sync" => Fault::SlowSync { whom: self.whom(), by_ms: self.short(), ms: self.hold() },
            "failing-sync" => Fault::FailingSync { whom: self.whom(), ms: self.hold() },
            "full-disk" => Fault::FullDisk { whom: self.whom(), ms: self.hold() },
            "rot" => {
                let back = self.chance.log_uniform(1, 200) - 1;
                Fault::Rot { whom: self.whom(), back, down_ms: self.hold(), ms: self.hold() }
            }
            "grow" => Fault::Grow { learns_ms: self.hold() },
            "add" => Fault::Add {},
            "promote" => Fault::Promote {},
            "remove" => Fault::Remove { whom: self.whom() },
            "replace" => Fault::Replace { whom: self.whom() },
            "transfer" => Fault::Transfer { to: Whom::Follower(self.chance.0.random_range(1..self.servers.max(2))) },
            _ => return None,
        })
    }
}
