//! The servers: processes that are started, killed, stopped and halted, one thing after the other at each; and whether one ended by itself.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use ringfence_cluster::{Cluster, Condition as Process, Node};
use ringfence_simulation::{
    checkers::Broken,
    history::{Condition, Machine, Recorder},
};
use tokio::sync::Mutex as Turns;

/// How long a process that ended may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(2);
/// Lines of its log that are shown where a server ended by itself.
const LOG_LINES: usize = 12;

/// All servers of a round; a clone is the same ones.
#[derive(Clone, Debug)]
pub struct Servers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    recorder: Recorder,
    lives: BTreeMap<u64, Life>,
    wrong: Mutex<Vec<Broken>>,
    notes: Mutex<Vec<String>>,
}

/// What is known of one server.
#[derive(Debug, Default)]
struct Life {
    /// Whoever does something to it.
    turn: Turns<()>,
    /// How often it was started.
    number: AtomicU32,
    /// It is to run.
    up: AtomicBool,
    /// Its disk was full or failed in this life: it may end by itself.
    excused: AtomicBool,
}

impl Servers {
    /// Of this cluster, none of which runs.
    #[must_use]
    pub fn new(cluster: Cluster, recorder: Recorder) -> Self {
        let lives = cluster.nodes().iter().map(|node| (node.id(), Life::default())).collect();
        let inner = Inner { cluster, recorder, lives, wrong: Mutex::default(), notes: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Their ids.
    #[must_use]
    pub fn ids(&self) -> Vec<u64> {
        self.inner.lives.keys().copied().collect()
    }

    /// Where clients find each, as an URL.
    #[must_use]
    pub fn endpoints(&self) -> BTreeMap<u64, String> {
        self.inner.cluster.nodes().iter().map(|node| (node.id(), node.endpoint())).collect()
    }

    /// It is to run, or stands still.
    #[must_use]
    pub fn is_up(&self, id: u64) -> bool {
        self.inner.lives.get(&id).is_some_and(|life| life.up.load(Ordering::Relaxed))
    }

    /// How often it was started.
    #[must_use]
    pub fn life(&self, id: u64) -> u32 {
        self.inner.lives.get(&id).map_or(0, |life| life.number.load(Ordering::Relaxed))
    }

    /// All lives of all servers.
    #[must_use]
    pub fn lives(&self) -> u64 {
        self.inner.lives.values().map(|life| u64::from(life.number.load(Ordering::Relaxed))).sum()
    }

    /// Starts it, if it doesn't run and may. True if it was started.
    ///
    /// Whether it may is asked in its turn, after its former life was judged and that life's excuse taken back: what befalls its disk is either
    /// seen by that, or excuses the new life.
    pub async fn boot(&self, id: u64, may: impl FnOnce() -> bool) -> bool {
        let Some((node, life)) = self.of(id) else { return false };
        let _turn = life.turn.lock().await;
        if node.condition() != Process::Gone {
            return false;
        }
        self.judge(id, node, life).await;
        life.excused.store(false, Ordering::SeqCst);
        if !may() {
            return false;
        }
        life.number.fetch_add(1, Ordering::Relaxed);
        life.up.store(true, Ordering::Relaxed);
        self.tell(Condition::Up(Machine::Server(id)));
        if let Err(error) = node.spawn() {
            self.broken("start", format!("server {id} can't be started: {error}"));
        }
        true
    }

    /// Ends it with KILL, halted or not. True if it ran.
    pub async fn kill(&self, id: u64) -> bool {
        self.end_surely(id, false).await
    }

    /// Asks it to stop, with TERM, and kills it if it doesn't. True if it ran, and wasn't halted.
    pub async fn stop(&self, id: u64) -> bool {
        self.end_surely(id, true).await
    }

    /// Whoever waits for it may be dropped meanwhile.
    async fn end_surely(&self, id: u64, asks: bool) -> bool {
        let servers = self.clone();
        tokio::spawn(async move { servers.end(id, asks).await }).await.unwrap_or(false)
    }

    async fn end(&self, id: u64, asks: bool) -> bool {
        let Some((node, life)) = self.of(id) else { return false };
        let _turn = life.turn.lock().await;
        let before = node.condition();
        if before == Process::Gone || !life.up.load(Ordering::Relaxed) || (asks && before == Process::Paused) {
            return false;
        }
        life.up.store(false, Ordering::Relaxed);
        let ended = match asks {
            true => node.stop().await,
            false => node.kill().await,
        };
        if let Err(error) = ended
            && node.condition() != Process::Gone
        {
            self.note(format!("server {id}: {error}"));
            // What remains is force.
            if let Err(error) = node.kill().await {
                self.note(format!("server {id}: {error}"));
            }
        }
        self.tell(Condition::Down(Machine::Server(id)));
        true
    }

    /// Halts it, with STOP. True if it ran.
    pub async fn pause(&self, id: u64) -> bool {
        let Some((node, life)) = self.of(id) else { return false };
        let _turn = life.turn.lock().await;
        let paused = node.condition() == Process::Running && node.pause().await.is_ok();
        if paused {
            self.tell(Condition::Paused(Machine::Server(id)));
        }
        paused
    }

    /// It goes on, with CONT.
    pub async fn resume(&self, id: u64) -> bool {
        let Some((node, life)) = self.of(id) else { return false };
        let _turn = life.turn.lock().await;
        let resumed = node.condition() == Process::Paused && node.resume().await.is_ok();
        if resumed {
            self.tell(Condition::Up(Machine::Server(id)));
        }
        resumed
    }

    /// Its disk is full or fails, or did: whether it goes on or stops, it may.
    pub fn excuse(&self, id: u64) {
        if let Some(life) = self.inner.lives.get(&id) {
            life.excused.store(true, Ordering::SeqCst);
        }
    }

    /// Looks whether a server has ended by itself, which none may.
    pub async fn look(&self) {
        for (id, life) in &self.inner.lives {
            let Some((node, _)) = self.of(*id) else { continue };
            let Ok(_turn) = life.turn.try_lock() else { continue };
            self.judge(*id, node, life).await;
        }
    }

    /// If it ended by itself and that wasn't noticed yet, whether it may have. Whoever asks has its turn.
    async fn judge(&self, id: u64, node: &Node, life: &Life) {
        if !life.up.load(Ordering::Relaxed) || node.condition() != Process::Gone {
            return;
        }
        drop(node.ended(GONE_WITHIN).await);
        life.up.store(false, Ordering::Relaxed);
        self.tell(Condition::Down(Machine::Server(id)));
        let code = node.exit_code().map_or("no exit code".to_owned(), |code| format!("exit code {code}"));
        match life.excused.load(Ordering::SeqCst) {
            true => self.note(format!("server {id} ended by itself, {code}, as its disk was full or failed")),
            false => self.broken(
                "no end of its own",
                format!("server {id} ended by itself, {code}; its log ends:\n{}", node.log_tail(LOG_LINES)),
            ),
        }
    }

    /// What is wrong so far, apart from what the history shows; and panics in the servers' logs.
    #[must_use]
    pub fn wrong(&self) -> Vec<Broken> {
        let mut wrong = self.inner.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for node in self.inner.cluster.nodes() {
            let log = std::fs::read_to_string(node.log()).unwrap_or_default();
            let panic = log.lines().find(|line| line.contains("panicked at"));
            let at = self.inner.recorder.now();
            let what = |line: &str| Broken { checker: "no panic", at, what: format!("server {}: {line}", node.id()) };
            wrong.extend(panic.map(what));
        }
        wrong
    }

    /// What is worth to be told, and isn't wrong.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.inner.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills all.
    pub async fn end_all(&self) {
        for id in self.ids() {
            self.kill(id).await;
        }
    }

    /// Something went wrong that the history doesn't show.
    pub fn broken(&self, checker: &'static str, what: String) {
        let broken = Broken { checker, at: self.inner.recorder.now(), what };
        self.inner.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(broken);
    }

    fn note(&self, note: String) {
        self.inner.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    fn of(&self, id: u64) -> Option<(&Node, &Life)> {
        Some((self.inner.cluster.node(id).ok()?, self.inner.lives.get(&id)?))
    }

    fn tell(&self, now: Condition) {
        self.inner.recorder.condition(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One server that ends by itself as soon as it starts.
    fn short_lived() -> Result<(tempfile::TempDir, Servers), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let cluster = Cluster::builder().nodes(1).directory(directory.path()).binary("/bin/false").build()?;
        Ok((directory, Servers::new(cluster, Recorder::new(|| 0))))
    }

    async fn gone(servers: &Servers) -> Result<(), Box<dyn std::error::Error>> {
        let (node, _) = servers.of(1).ok_or("no server")?;
        Ok(node.ended(GONE_WITHIN).await?)
    }

    #[tokio::test]
    async fn an_end_by_itself_is_judged_by_what_befell_that_life() -> Result<(), Box<dyn std::error::Error>> {
        let (_directory, servers) = short_lived()?;
        assert!(servers.boot(1, || true).await);
        servers.excuse(1);
        gone(&servers).await?;
        // Nobody has looked yet when another fault of its disk is over, and this one isn't.
        assert!(!servers.boot(1, || false).await);
        servers.look().await;
        assert_eq!((servers.notes().len(), servers.wrong()), (1, Vec::new()));

        // The next life has no excuse of its own, also if nobody looks before one more begins.
        assert!(servers.boot(1, || true).await);
        gone(&servers).await?;
        assert!(servers.boot(1, || true).await);
        assert_eq!(servers.wrong().iter().map(|wrong| wrong.checker).collect::<Vec<_>>(), ["no end of its own"]);
        Ok(())
    }
}
