//! Stories with a known course, where a schedule drawn from a seed would meet their moment too seldom.
//!
//! A [`Scenario`] is told in a world of its own, from a seed that draws what its story leaves open: latencies, timeouts, who leads. It fails
//! if its story says so, or if a checker finds a promise broken in what was recorded.

use std::{future::Future, pin::Pin, time::Duration};

use madsim::{Config, runtime::Runtime};
use ringfence_probes::{Bug, bugs};

use crate::{
    checkers,
    history::Recorder,
    workload::whole_keyspace,
    world::{Plan, World, client, status, until},
};

mod change_left_behind;
mod leader_cut_off;
mod quorum_of_both;
mod replication_goes_on;

/// Whole time of a call.
const DEADLINE: Duration = Duration::from_secs(10);
/// No story takes longer, in simulated time.
const LONGEST: Duration = Duration::from_secs(1800);
/// Machine from which a story looks at all servers; its links are never cut.
const ABOVE: u32 = 3;

type Told = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// One of them.
pub struct Scenario {
    /// Its name, as `--scenario` takes it.
    pub name: &'static str,
    /// What happens in it, in a line.
    pub about: &'static str,
    plan: fn() -> Plan,
    story: fn(World) -> Told,
}

/// All of them.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "leader-cut-off",
        about: "the leader is cut off with a client, the others elect, and later it comes back",
        plan: leader_cut_off::plan,
        story: |world| Box::pin(leader_cut_off::story(world)),
    },
    Scenario {
        name: "quorum-of-both",
        about: "a voter is removed while half of the voters are cut off: nothing is done without majorities of old and new (openraft 1802)",
        plan: quorum_of_both::plan,
        story: |world| Box::pin(quorum_of_both::story(world)),
    },
    Scenario {
        name: "replication-goes-on",
        about: "followers are cut off and come back, again and again, and always catch up (openraft 1828)",
        plan: replication_goes_on::plan,
        story: |world| Box::pin(replication_goes_on::story(world)),
    },
    Scenario {
        name: "change-left-behind",
        about: "the leader dies in the middle of a change of voters, and the next one finishes it",
        plan: change_left_behind::plan,
        story: |world| Box::pin(change_left_behind::story(world)),
    },
];

/// The one with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// Tells it, on a thread of its own, with a mistake if that is wanted.
    ///
    /// # Errors
    /// What went wrong: the story's own words, the first promise that a checker found broken, or a panic.
    pub fn run(&'static self, seed: u64, bug: Option<Bug>) -> Result<(), String> {
        let told = move || {
            bugs::switch(bug);
            let mut runtime = Runtime::with_seed_and_config(seed, Config::default());
            runtime.set_time_limit(LONGEST);
            runtime.block_on(async move {
                let world = World::start(&Plan { seed, ..(self.plan)() }, Recorder::simulated());
                let mut told = (self.story)(world.clone()).await;
                if told.is_ok() {
                    told = look_at_all(&world).await;
                }
                world.record_logs();
                let history = world.recorder().finish();
                world.end().await;
                told?;
                let verdict = checkers::check(&history);
                match verdict.broken.first() {
                    Some(broken) => Err(format!("{}: {}", broken.checker, broken.what)),
                    None => Ok(()),
                }
            })
        };
        let thread = std::thread::Builder::new().stack_size(crate::run::STACK).spawn(told);
        let ended = thread.map_err(|error| error.to_string())?.join();
        ended.unwrap_or_else(|_| Err("it panicked".to_owned()))
    }
}

/// Records what is there at the end.
async fn look_at_all(world: &World) -> Result<(), String> {
    let servers = world.servers();
    let looking = async move { whole_keyspace(&client(&servers, DEADLINE)?).await };
    let (found, revision) = world.on_client(ABOVE, looking).await?;
    world.recorder().last(found, revision);
    Ok(())
}

/// Whom all of these follow, as soon as it is one and the same, and not `not`.
async fn agreed(servers: Vec<u64>, not: u64) -> Result<u64, String> {
    until("a leader", || one_leader(servers.clone(), not)).await
}

async fn one_leader(servers: Vec<u64>, not: u64) -> Result<u64, String> {
    let mut leaders = Vec::new();
    for id in servers {
        leaders.push(status(id).await?.leader);
    }
    match leaders.first() {
        Some(Some(leader)) if *leader != not && leaders.iter().all(|other| *other == Some(*leader)) => Ok(*leader),
        _ => Err(format!("they follow {leaders:?}")),
    }
}

/// All servers have applied the same, and came to the same state.
async fn same_state(servers: Vec<u64>) -> Result<(), String> {
    let states = until("the same applied index on all", || same_index(servers.clone())).await?;
    let Some(&(index, hash)) = states.first() else { return Err("there are no servers".to_owned()) };
    if states.iter().any(|state| *state != (index, hash)) {
        return Err(format!("states differ after the same entries: {states:?}"));
    }
    Ok(())
}

/// Applied index and hash of each server, once the indexes are the same.
async fn same_index(servers: Vec<u64>) -> Result<Vec<(u64, u64)>, String> {
    let mut states = Vec::new();
    for id in servers {
        let status = status(id).await?;
        states.push((status.applied_index, status.state_hash));
    }
    let same = states.windows(2).all(|pair| pair[0].0 == pair[1].0);
    if same { Ok(states) } else { Err(format!("{states:?}")) }
}

fn said(error: ringfence_client::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_end_well() {
        for scenario in ALL {
            for seed in 1..=3 {
                scenario.run(seed, None).unwrap_or_else(|why| panic!("{}, seed {seed}: {why}", scenario.name));
            }
        }
    }

    #[test]
    fn the_manual_has_all_of_them() {
        let manual = include_str!("../../docs/simulation.md");
        let missing: Vec<&str> = ALL
            .iter()
            .map(|scenario| scenario.name)
            .filter(|name| !manual.contains(&format!("| `{name}` | ")))
            .collect();
        assert_eq!(missing, [""; 0], "docs/simulation.md tells of each");
    }
}
