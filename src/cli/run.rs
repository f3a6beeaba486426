//! The command of `lock run` and `elect run`: started, watched, and ended as a whole.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::RunArgs;
use crate::become_command;
use crate::exit;
use crate::failure::Failure;
use crate::signals::{Signals, exit_code};
use crate::terminal::Terminal;

/// How often it is looked whether the last process of a group has ended. The system doesn't say when.
const GROUP_POLL: Duration = Duration::from_millis(20);

/// How a command ended.
pub enum Ended<L> {
    /// By itself, with this exit code.
    Exited(u8),
    /// It was stopped, because what it needed was lost.
    Lost(L),
}

/// Runs a command in a process group of its own until it ends or `lost` is ready, and then sees to it that nothing of the
/// group is left: TERM, and after the grace KILL. Signals that reach this program are passed on to the group.
pub async fn run<L>(
    args: &RunArgs,
    environment: &[(&str, String)],
    signals: &mut Signals,
    lost: impl Future<Output = L>,
) -> Result<Ended<L>, Failure> {
    adopt_orphans();
    let terminal = Terminal::foreground();
    let mut children = signal(SignalKind::child()).map_err(|error| Failure::io("signals", &error))?;
    let (mut child, group) = spawn(args, environment)?;
    if let Some(terminal) = &terminal {
        terminal.lend(group.0);
    }
    let mut lost = pin!(lost);
    let ended = loop {
        tokio::select! {
            biased;
            status = child.wait() => break Ok(Ended::Exited(code(status)?)),
            loss = &mut lost => break Ok(Ended::Lost(loss)),
            signal = signals.next() => group.send(signal),
            _ = children.recv() => if let Some(terminal) = &terminal { terminal.follow_stop(group.0) },
        }
    };
    group.end(&mut child, args.grace).await;
    if let Some(terminal) = &terminal {
        terminal.take_back();
    }
    ended
}

fn spawn(args: &RunArgs, environment: &[(&str, String)]) -> Result<(Child, Group), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(exit::NOT_EXECUTABLE, "COMMAND_NOT_EXECUTABLE", format!("the command can't be started: {error}"))
            .next("check the limits of this user's processes (`ulimit -u`) and that `ringfence` itself can be executed")
    };
    let child = Command::new(this_program().map_err(failed)?)
        .arg0(OsStr::new("ringfence"))
        .arg(become_command::VERB)
        .arg(std::process::id().to_string())
        .args(&args.command)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    match pid {
        Some(pid) => Ok((child, Group(pid))),
        None => Err(Failure::new(exit::INTERNAL, "INTERNAL", "a started command has no process id")),
    }
}

/// Asks that processes whose parents in the group have died fall to this program, which collects them once they are
/// dead. Otherwise they fall to the first process of the system, and in many containers that collects nobody: then the
/// group would never look empty.
fn adopt_orphans() {
    // Where that can't be had, the wait for the group is bounded all the same.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

/// This program's file, on Linux also after it was replaced on disk.
fn this_program() -> std::io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

fn code(status: std::io::Result<ExitStatus>) -> Result<u8, Failure> {
    let status = status.map_err(|error| Failure::io("waiting for the command", &error))?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, Some(signal)) => exit_code(signal),
        (None, None) => exit::INTERNAL,
    })
}

/// A process group, named by its first process.
struct Group(Pid);

impl Group {
    fn send(&self, signal: Signal) {
        // A group that is gone needs no signal.
        let _ = killpg(self.0, signal);
    }

    fn is_empty(&self) -> bool {
        killpg(self.0, None) == Err(Errno::ESRCH)
    }

    /// Collects dead processes of the group that fell to this program.
    fn collect(&self) {
        let all = Pid::from_raw(-self.0.as_raw());
        while let Ok(status) = waitpid(all, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                return;
            }
        }
    }

    /// Ends what is left of the group. Asks first, and makes sure after the grace.
    async fn end(&self, child: &mut Child, grace: Duration) {
        if self.is_empty() {
            return;
        }
        self.send(Signal::SIGTERM);
        // One that is stopped could not obey.
        self.send(Signal::SIGCONT);
        if tokio::time::timeout(grace, self.emptied(child)).await.is_err() {
            self.send(Signal::SIGKILL);
            // Bounded: what the kernel can't end now, a process on a dead disk, must not keep the lock.
            let _ = tokio::time::timeout(Duration::from_secs(1), self.emptied(child)).await;
        }
    }

    async fn emptied(&self, child: &mut Child) {
        // The error says that it was collected before.
        let _ = child.wait().await;
        loop {
            self.collect();
            if self.is_empty() {
                return;
            }
            tokio::time::sleep(GROUP_POLL).await;
        }
    }
}
