//! The terminal, lent to the command of a `run`.
//!
//! The command has a process group of its own, so that all of it can be ended. A terminal lets only one group read from it
//! and sends Ctrl-C and Ctrl-Z only to that one: so that `ringfence lock run NAME -- bash` works, the command's group
//! gets it, and it is taken back afterwards.

use std::io::IsTerminal;

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// A terminal that this program had in the foreground when it started the command.
pub struct Terminal {
    group: Pid,
}

impl Terminal {
    /// The terminal on standard input, if there is one and this program may read from it.
    pub fn foreground() -> Option<Self> {
        let stdin = std::io::stdin();
        (stdin.is_terminal() && tcgetpgrp(&stdin) == Ok(getpgrp())).then_some(Self { group: getpgrp() })
    }

    /// Lends it to a group. The group is woken, should it have asked for the terminal too early.
    pub fn lend(&self, group: Pid) {
        let stdin = std::io::stdin();
        if tcgetpgrp(&stdin) == Ok(self.group) {
            // Without a terminal the command still runs, it only can't read from it.
            let _ = tcsetpgrp(&stdin, group);
        }
        let _ = killpg(group, Signal::SIGCONT);
    }

    /// Takes it back.
    pub fn take_back(&self) {
        // Who takes a terminal from the background is stopped by SIGTTOU, unless it is blocked.
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGTTOU);
        if mask.thread_block().is_ok() {
            let _ = tcsetpgrp(std::io::stdin(), self.group);
            let _ = mask.thread_unblock();
        }
    }

    /// If the command was stopped (Ctrl-Z), stops this program as well, so that the shell can go on, and resumes both
    /// when the shell says so. Meanwhile nobody renews: after the TTL the lock is lost, and the command is told so.
    pub fn follow_stop(&self, command: Pid) {
        let stopped = waitid(Id::Pid(command), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG);
        if matches!(stopped, Ok(WaitStatus::Stopped(..))) {
            self.take_back();
            // Comes back when continued.
            let _ = killpg(self.group, Signal::SIGTSTP);
            self.lend(command);
        }
    }
}
