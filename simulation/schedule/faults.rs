//! What can go wrong.

use super::fields::{Field, Kept, Ms, Node, Of, Whom};

/// Faults that belong together, and are switched on and off together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Links that are cut or slow.
    Network,
    /// Messages that get lost, late, twice or out of order.
    Messages,
    /// Processes that end, hang, and come back.
    Process,
    /// Disks that are slow, full, failing or rotten.
    Disk,
    /// Clocks that run fast or slow.
    Clocks,
    /// Members that come and go, and leadership that is handed over.
    Members,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 6] =
        [Family::Network, Family::Messages, Family::Process, Family::Disk, Family::Clocks, Family::Members];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::Network => "network",
            Family::Messages => "messages",
            Family::Process => "process",
            Family::Disk => "disk",
            Family::Clocks => "clocks",
            Family::Members => "members",
        }
    }
}

/// Makes the enum, its names and its text from one list.
macro_rules! faults {
    ($(
        $(#[$doc:meta])*
        $fault:ident = $name:literal in $family:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }
    )*) => {
        /// A fault, with how long it lasts where it lasts.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $fault { $($(#[$field_doc])* $field: $kind,)* },)* }

        impl Fault {
            /// Names of all kinds, with their families.
            pub const KINDS: &[(&str, Family)] = &[$(($name, Family::$family),)*];

            /// Its kind.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self { $(Fault::$fault { .. } => $name,)* }
            }

            /// Its family.
            #[must_use]
            pub fn family(&self) -> Family {
                match self { $(Fault::$fault { .. } => Family::$family,)* }
            }

            /// Its parts, with their names.
            pub(super) fn parts(&self) -> Vec<(&'static str, String)> {
                match self {
                    $(Fault::$fault { $($field,)* } => vec![$((stringify!($field), $field.show()),)*],)*
                }
            }

            /// From its kind and its parts, which it takes out of `parts`.
            pub(super) fn from_parts(kind: &str, parts: &mut Parts<'_>) -> Result<Self, String> {
                match kind {
                    $($name => Ok(Fault::$fault { $($field: parts.take(stringify!($field))?,)* }),)*
                    _ => Err(format!("`{kind}` is no fault")),
                }
            }

            /// Faults that do less, each in one respect.
            #[must_use]
            pub fn smaller(&self) -> Vec<Fault> {
                let mut all = Vec::new();
                match self {
                    $(Fault::$fault { $($field,)* } => {
                        // A fault without parts has nothing to say here.
                        let _ = &mut all;
                        $(if let Some(less) = $field.smaller() {
                            let mut fault = self.clone();
                            if let Fault::$fault { $field, .. } = &mut fault {
                                *$field = less;
                            }
                            all.push(fault);
                        })*
                    })*
                }
                all
            }
        }
    };
}

/// Parts of a fault on the way in.
pub(super) struct Parts<'a>(pub Vec<(&'a str, &'a str)>);

impl Parts<'_> {
    fn take<T: Field>(&mut self, name: &str) -> Result<T, String> {
        let place = self.0.iter().position(|(found, _)| *found == name);
        let (_, word) = self.0.remove(place.ok_or_else(|| format!("no `{name}=`"))?);
        T::read(word).map_err(|why| format!("{name}: {why}"))
    }
}

faults! {
    /// A server is cut off from all others, in both directions; and from all clients but those on its side.
    Alone = "alone" in Network {
        /// The server.
        whom: Whom,
        /// Clients that still reach it, and nobody else.
        clients: Vec<u32>,
        /// How long.
        ms: Ms,
    }
    /// A server hears nothing from anybody, and is heard.
    Deaf = "deaf" in Network {
        /// The server.
        whom: Whom,
        /// How long.
        ms: Ms,
    }
    /// A server is heard by nobody, and hears.
    Mute = "mute" in Network {
        /// The server.
        whom: Whom,
        /// How long.
        ms: Ms,
    }
    /// A set of servers with some clients is cut off from all others.
    Split = "split" in Network {
        /// The servers on the one side.
        side: Vec<Whom>,
        /// The clients on that side.
        clients: Vec<u32>,
        /// How long.
        ms: Ms,
    }
    /// One server sees all; the others are two halves that don't see each other.
    Bridge = "bridge" in Network {
        /// Who sees all.
        middle: Whom,
        /// How long.
        ms: Ms,
    }
    /// A server's links to the other servers are cut and mended again and again.
    Flap = "flap" in Network {
        /// The server.
        whom: Whom,
        /// How long they are mended each time.
        up_ms: Ms,
        /// How long they are cut each time.
        down_ms: Ms,
        /// How long in all.
        ms: Ms,
    }
    /// Everything that a server sends takes longer.
    Slow = "slow" in Network {
        /// The server.
        whom: Whom,
        /// By how much.
        by_ms: Ms,
        /// How long.
        ms: Ms,
    }
    /// Servers are cut off one by one, and mended one by one in another order.
    Swizzle = "swizzle" in Network {
        /// In which order they are cut off.
        cut: Vec<u64>,
        /// In which order they are mended.
        mend: Vec<u64>,
        /// Between two of them.
        step_ms: Ms,
        /// Between the last cut and the first mending.
        ms: Ms,
    }
    /// A client is cut off from all servers.
    Stranded = "stranded" in Network {
        /// The client.
        client: u32,
        /// How long.
        ms: Ms,
    }

    /// Some messages arrive late; what is sent later may overtake them.
    Late = "late" in Messages {
        /// Whose.
        of: Of,
        /// How many of a thousand.
        permille: u32,
        /// By how much at most.
        by_ms: Ms,
        /// How long this goes on.
        ms: Ms,
    }
    /// All messages arrive a little late, each by another time, so that their order is another.
    Shuffled = "shuffled" in Messages {
        /// Whose.
        of: Of,
        /// By how much at most.
        by_ms: Ms,
        /// How long this goes on.
        ms: Ms,
    }
    /// Some messages arrive twice.
    Twice = "twice" in Messages {
        /// Whose.
        of: Of,
        /// How many of a thousand.
        permille: u32,
        /// How much later the second at most.
        by_ms: Ms,
        /// How long this goes on.
        ms: Ms,
    }
    /// Some messages never arrive.
    Lost = "lost" in Messages {
        /// Whose.
        of: Of,
        /// How many of a thousand.
        permille: u32,
        /// How long this goes on.
        ms: Ms,
    }
    /// Some messages arrive and are done, and their answers never come.
    Unanswered = "unanswered" in Messages {
        /// Whose.
        of: Of,
        /// How many of a thousand.
        permille: u32,
        /// How long this goes on.
        ms: Ms,
    }
    /// Some messages never arrive, and the sender waits to its deadline.
    Hanging = "hanging" in Messages {
        /// Whose.
        of: Of,
        /// How many of a thousand.
        permille: u32,
        /// How long this goes on.
        ms: Ms,
    }

    /// Power of a server is cut: what it had not synced is lost, or a part of it.
    Kill = "kill" in Process {
        /// The server.
        whom: Whom,
        /// What is left of the writes that were not synced.
        kept: Kept,
        /// After how long it is started again.
        down_ms: Ms,
    }
    /// A server is asked to stop, and does.
    Stop = "stop" in Process {
        /// The server.
        whom: Whom,
        /// After how long it is started again.
        down_ms: Ms,
    }
    /// A server stands still, and goes on as if nothing were.
    Pause = "pause" in Process {
        /// The server.
        whom: Whom,
        /// How long.
        ms: Ms,
    }
    /// A client's machine stands still, and goes on as if nothing were.
    Frozen = "frozen" in Process {
        /// The client.
        client: u32,
        /// How long.
        ms: Ms,
    }
    /// A server that crashes again and again.
    Storm = "storm" in Process {
        /// The server.
        whom: Whom,
        /// How often.
        times: u32,
        /// What is left each time of the writes that were not synced.
        kept: Kept,
        /// How long it runs each time.
        up_ms: Ms,
        /// How long it is down each time.
        down_ms: Ms,
    }
    /// Power of all servers is cut at once.
    Blackout = "blackout" in Process {
        /// What is left on each of the writes that were not synced.
        kept: Kept,
        /// After how long they are started again, one after the other.
        down_ms: Ms,
    }
    /// All servers are stopped, one after the other, and started again with a version that understands the next feature level.
    Rolling = "rolling" in Process {
        /// How long each is down.
        down_ms: Ms,
        /// How long until the next.
        gap_ms: Ms,
    }
    /// A server and its disk are gone for good; another takes its place, with a new id and an empty disk.
    LostDisk = "lost-disk" in Process {
        /// The server.
        whom: Whom,
        /// After how long it is replaced.
        down_ms: Ms,
    }

    /// Syncs take longer.
    SlowSync = "slow-sync" in Disk {
        /// Whose.
        whom: Whom,
        /// So long at most.
        by_ms: Ms,
        /// How long this goes on.
        ms: Ms,
    }
    /// Syncs fail. A server that meets one stops; it is started again when they work.
    FailingSync = "failing-sync" in Disk {
        /// Whose.
        whom: Whom,
        /// How long this goes on.
        ms: Ms,
    }
    /// Nothing more can be written. A server that meets this stops; it is started again when there is room.
    FullDisk = "full-disk" in Disk {
        /// Whose.
        whom: Whom,
        /// How long this goes on.
        ms: Ms,
    }
    /// A record of the log has rotted while the server was down. The server is told to start, may refuse, and is replaced in the end.
    Rot = "rot" in Disk {
        /// Whose.
        whom: Whom,
        /// How many records stand behind it in the log.
        back: u64,
        /// How long it is down.
        down_ms: Ms,
        /// How long after that it is replaced.
        ms: Ms,
    }

    /// A clock's rate changes, until another change.
    Clock = "clock" in Clocks {
        /// Whose.
        node: Node,
        /// Parts per million more than true time; less, if negative.
        ppm: i64,
    }

    /// A new server joins, and becomes a voter.
    Grow = "grow" in Members {
        /// How long it only learns.
        learns_ms: Ms,
    }
    /// A new server joins, and only learns.
    Add = "add" in Members {}
    /// A server that only learns becomes a voter.
    Promote = "promote" in Members {}
    /// A server leaves the cluster; no more than are above the founding number, or three.
    Remove = "remove" in Members {
        /// The server.
        whom: Whom,
    }
    /// A server leaves the cluster, and a new one takes its place.
    Replace = "replace" in Members {
        /// The server.
        whom: Whom,
    }
    /// Leadership is handed over.
    Transfer = "transfer" in Members {
        /// To whom.
        to: Whom,
    }
}
