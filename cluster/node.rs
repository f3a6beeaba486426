//! One node: its files, and its process.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    error::ClusterError,
    process::{Condition, Process},
    settings::{CLIENT_TLS_CERT, HTTP_LISTEN, MemberSettings, NodeSettings},
};

/// How long a node that was asked to stop is given before it is killed: the server's own bound is 5 s.
pub const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long the system may take until a signal has its effect.
const SYSTEM_LIMIT: Duration = Duration::from_secs(10);
/// How much of a log's end is worth reading.
const TAIL_BYTES: u64 = 16 * 1024;

/// Whose the processes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// This value's: they end with it.
    WithUs,
    /// Their own: they run on, and another process of ours finds them again by their pid files.
    OnTheirOwn,
}

/// A node of a cluster on this machine.
#[derive(Debug)]
pub struct Node {
    settings: NodeSettings,
    config: PathBuf,
    log: PathBuf,
    pid_file: PathBuf,
    binary: PathBuf,
    environment: Vec<(String, String)>,
    keeping: Keeping,
    through: Vec<String>,
    child: Mutex<Option<Child>>,
    ended: Mutex<Option<ExitStatus>>,
}

impl Node {
    /// `directory` is the node's own; it need not exist yet.
    pub(crate) fn new(
        settings: NodeSettings,
        config: PathBuf,
        directory: &Path,
        binary: PathBuf,
        environment: Vec<(String, String)>,
        keeping: Keeping,
    ) -> Self {
        Self {
            settings,
            config,
            log: directory.join("log"),
            pid_file: directory.join("pid"),
            binary,
            environment,
            keeping,
            through: Vec::new(),
            child: Mutex::new(None),
            ended: Mutex::new(None),
        }
    }

    /// Its process is started through this command, which becomes the server.
    pub(crate) fn through(mut self, command: Vec<String>) -> Self {
        self.through = command;
        self
    }

    /// A node of the same cluster with this one's program and settings, that waits to be added; writes its files.
    pub(crate) fn joining(&self, member: &MemberSettings, directory: &Path) -> Result<Self, ClusterError> {
        let own = directory.join(format!("node{}", member.id));
        let mut other = self.settings.other.clone();
        // A port can't be shared.
        other.remove(HTTP_LISTEN);
        let settings = NodeSettings {
            cluster: self.settings.cluster.clone(),
            node_id: member.id,
            data_dir: own.join("data"),
            client_listen: member.client_address.clone(),
            client_address: member.client_address.clone(),
            peer_listen: member.peer_address.clone(),
            peer_address: member.peer_address.clone(),
            join: true,
            other,
            members: Vec::new(),
        };
        fs::create_dir_all(&own).map_err(|error| ClusterError::io("create", &own, error))?;
        let config = own.join("config.toml");
        settings.save(&config)?;
        Ok(Self::new(settings, config, &own, self.binary.clone(), self.environment.clone(), self.keeping))
    }

    /// The node's id.
    pub fn id(&self) -> u64 {
        self.settings.node_id
    }

    /// `host:port` for clients.
    pub fn client_address(&self) -> &str {
        &self.settings.client_address
    }

    /// `http://host:port` for clients, or `https://host:port` where it has TLS for them.
    pub fn endpoint(&self) -> String {
        let scheme = if self.settings.other.contains_key(CLIENT_TLS_CERT) { "https" } else { "http" };
        format!("{scheme}://{}", self.settings.client_address)
    }

    /// `host:port` for members.
    pub fn peer_address(&self) -> &str {
        &self.settings.peer_address
    }

    /// `host:port` of its HTTP side, if it has one.
    pub fn http_address(&self) -> Option<&str> {
        self.settings.other.get(HTTP_LISTEN)?.as_str()
    }

    /// What stands in its configuration.
    pub fn settings(&self) -> &NodeSettings {
        &self.settings
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Where its output goes. Appended to by every start.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.settings.data_dir
    }

    /// The process that it was last started as, if that still runs.
    pub fn process(&self) -> Option<Process> {
        Process::load(&self.pid_file).filter(|process| process.condition() != Condition::Gone)
    }

    /// What its process does.
    pub fn condition(&self) -> Condition {
        self.process().map_or(Condition::Gone, |process| process.condition())
    }

    /// Its process ended, and not because it was told to through this crate.
    pub fn has_died(&self) -> bool {
        self.pid_file.exists() && self.condition() == Condition::Gone
    }

    /// It was started, not ended since, and isn't paused: it must answer sooner or later.
    pub(crate) fn is_to_answer(&self) -> bool {
        self.pid_file.exists() && self.condition() != Condition::Paused
    }

    /// Starts the process, and does not wait for it. Nothing happens if it runs already.
    ///
    /// # Errors
    /// If the files can't be written or the process can't be started.
    pub fn spawn(&self) -> Result<(), ClusterError> {
        let mut child = self.child();
        if self.process().is_some() {
            return Ok(());
        }
        if let Some(mut ended) = child.take() {
            let _ = ended.wait();
        }
        for directory in self.log.parent().into_iter().chain(self.data().parent()) {
            fs::create_dir_all(directory).map_err(|error| ClusterError::io("create", directory, error))?;
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(|error| ClusterError::io("open", &self.log, error))?;
        let errors = log.try_clone().map_err(|error| ClusterError::io("open", &self.log, error))?;
        let mut words = self.through.iter().map(AsRef::<OsStr>::as_ref).chain([self.binary.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or(self.binary.as_os_str()));
        command.args(words).arg("--config").arg(&self.config).stdin(Stdio::null()).stdout(log).stderr(errors);
        // What stands in the files is what runs, whatever the caller's environment sets for other servers.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RINGFENCE") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.keeping == Keeping::OnTheirOwn {
            // A Ctrl-C at the terminal is not meant for it.
            command.process_group(0);
        }
        let mut started = command.spawn().map_err(|error| ClusterError::io("start", &self.binary, error))?;
        if let Some(process) = Process::of(started.id())
            && let Err(error) = process.save(&self.pid_file)
        {
            // A process that nobody can find again must not run.
            let _ = started.kill();
            let _ = started.wait();
            return Err(error);
        }
        *child = Some(started);
        Ok(())
    }

    /// Ends the process as a crash would (KILL), paused or not, and waits until it is gone.
    ///
    /// # Errors
    /// If it doesn't run, or the system doesn't end it.
    pub async fn kill(&self) -> Result<(), ClusterError> {
        self.end(Signal::KILL, SYSTEM_LIMIT).await
    }

    /// Asks the process to stop (TERM), and waits until it is gone, for [`STOP_LIMIT`] at most. Not for a paused one.
    ///
    /// # Errors
    /// If it doesn't run, or is still there afterwards.
    pub async fn stop(&self) -> Result<(), ClusterError> {
        self.end(Signal::TERM, STOP_LIMIT).await
    }

    /// Halts the process (STOP) until it is resumed, and waits until all of it stands still: it keeps its connections
    /// and says nothing.
    ///
    /// # Errors
    /// If it doesn't run.
    pub async fn pause(&self) -> Result<(), ClusterError> {
        self.bring_to(Signal::STOP, Condition::Paused).await
    }

    /// Lets a paused process go on (CONT).
    ///
    /// # Errors
    /// If it doesn't run.
    pub async fn resume(&self) -> Result<(), ClusterError> {
        self.bring_to(Signal::CONT, Condition::Running).await
    }

    /// Waits until its process ends by itself, for `limit` at most. Cancel safe.
    ///
    /// # Errors
    /// If it doesn't run, or is still there afterwards.
    pub async fn ended(&self, limit: Duration) -> Result<(), ClusterError> {
        let Some(process) = Process::load(&self.pid_file) else {
            return Err(ClusterError::NotRunning { id: self.id() });
        };
        self.gone(&process, limit).await
    }

    /// The exit code with which its last process ended, if [`Node::stop`], [`Node::kill`] or [`Node::ended`] saw the end of
    /// one that this value had started, and no signal ended it.
    pub fn exit_code(&self) -> Option<i32> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.and_then(|status| status.code())
    }

    /// The last lines of its log, for people; empty if there are none.
    pub fn log_tail(&self, lines: usize) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all.split_at(all.len().saturating_sub(lines)).1.join("\n")
    }

    /// Ends what is still running, without a word and without waiting for others. For destructors.
    pub(crate) fn destroy(&self) {
        if let Some(process) = self.process() {
            let _ = process.signal(Signal::KILL);
        }
        if let Some(mut child) = self.child().take() {
            let _ = child.wait();
        }
    }

    async fn end(&self, signal: Signal, limit: Duration) -> Result<(), ClusterError> {
        let process = self.signal(signal)?;
        self.gone(&process, limit).await
    }

    async fn gone(&self, process: &Process, limit: Duration) -> Result<(), ClusterError> {
        if !process.is_within(Condition::Gone, limit).await {
            return Err(ClusterError::TimedOut {
                what: format!("end of node {} (process {})", self.id(), process.pid()),
                waited: limit,
                last: format!("it still runs; `scripts/cluster kill {}` ends it by force", self.id()),
            });
        }
        // Ended processes stay in the system's table until their parent has asked for them.
        if let Some(mut child) = self.child().take() {
            *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = child.wait().ok();
        }
        let _ = fs::remove_file(&self.pid_file);
        Ok(())
    }

    /// Sends a signal, and waits until it has had its effect, which comes a moment after the signal.
    async fn bring_to(&self, signal: Signal, condition: Condition) -> Result<(), ClusterError> {
        let process = self.signal(signal)?;
        if process.is_within(condition, SYSTEM_LIMIT).await {
            return Ok(());
        }
        Err(ClusterError::TimedOut {
            what: format!("effect of signal {signal:?} on node {}", self.id()),
            waited: SYSTEM_LIMIT,
            last: format!("it is {:?}", process.condition()),
        })
    }

    fn signal(&self, signal: Signal) -> Result<Process, ClusterError> {
        let not_running = ClusterError::NotRunning { id: self.id() };
        let Some(process) = self.process() else {
            return Err(not_running);
        };
        match process.signal(signal) {
            Ok(true) => Ok(process),
            Ok(false) => Err(not_running),
            Err(error) => Err(ClusterError::io("signal the process of", &self.pid_file, error)),
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
