//! Machines of clients: a thread each, with a network of its own where there are networks, and all tasks of the client on it.

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// How long a machine's tasks may take to end.
const END_MAX: Duration = Duration::from_secs(2);
/// No machine stands still for longer, whatever becomes of who stopped it.
const FROZEN_MAX: Duration = Duration::from_secs(120);

/// A machine, until it is ended, or the value goes.
#[derive(Debug)]
pub struct Machine {
    handle: Handle,
    ice: Arc<Ice>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    end: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

/// Holds a thread that gets onto it.
#[derive(Debug, Default)]
struct Ice {
    frozen: Mutex<bool>,
    melted: Condvar,
}

impl Machine {
    /// Starts one, in the network of this file, or in that of the caller.
    ///
    /// # Errors
    /// If there is no such network, or no thread.
    pub fn start(name: &str, network: Option<&Path>) -> io::Result<Self> {
        let network = network.map(File::open).transpose()?;
        let (end, ended) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let work = move || {
            if let Some(network) = network
                && let Err(error) = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
            {
                drop(tell.send(Err(io::Error::from(error))));
                return;
            }
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            drop(tell.send(Ok(runtime.handle().clone())));
            drop(runtime.block_on(ended));
            runtime.shutdown_timeout(END_MAX);
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        let handle = told.recv().map_err(|_| io::Error::other("the machine's thread ended at once"))??;
        Ok(Self { handle, ice: Arc::default(), running: Mutex::new(Some(Running { end, thread })) })
    }

    /// Where its tasks run.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// It stands still from now on, all of it. True if it didn't already.
    pub fn freeze(&self) -> bool {
        let before = std::mem::replace(&mut *self.ice.frozen.lock().unwrap_or_else(PoisonError::into_inner), true);
        if !before {
            let ice = self.ice.clone();
            self.handle.spawn(async move { ice.hold() });
        }
        !before
    }

    /// It goes on, as if nothing had been.
    pub fn thaw(&self) {
        *self.ice.frozen.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.ice.melted.notify_all();
    }

    /// Ends all of its tasks, and the machine.
    pub fn end(&self) {
        self.thaw();
        let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // It may have ended already.
        let _ = running.end.send(());
        // The last who knows a machine may be one of its own tasks.
        if running.thread.thread().id() != thread::current().id() {
            // It fails only if it panicked, which was told by then.
            drop(running.thread.join());
        }
    }
}

impl Ice {
    fn hold(&self) {
        let frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.melted.wait_timeout_while(frozen, FROZEN_MAX, |frozen| *frozen));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_frozen_machine_does_nothing_until_it_thaws() {
        let machine = Machine::start("machine", None).expect("a thread");
        assert!(machine.freeze());
        assert!(!machine.freeze());
        let (tell, told) = mpsc::channel();
        machine.handle().spawn(async move { tell.send(Instant::now()) });
        thread::sleep(Duration::from_millis(50));
        assert!(told.try_recv().is_err(), "it did something");
        machine.thaw();
        assert!(told.recv_timeout(Duration::from_secs(5)).is_ok());
    }
}
