//! Certificates that are looked at again.
//!
//! Files are compared by what is in them, so that it doesn't matter how they were replaced. A certificate and its key are two files: whoever
//! looks between the two replacements finds a pair that doesn't fit. So what can't be used is complained about only when the
//! next look finds it as it was.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustls::pki_types::UnixTime;

use crate::{
    error::TlsError,
    group::{Contents, Group},
    material::{self, Material, date},
};

/// How long a look holds. Handshakes in between use what it found.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// A server that has no handshakes looks so often.
const LOOK_TICK: Duration = Duration::from_secs(5);
/// So long before a certificate's end its server begins to warn.
const EXPIRY_NEAR: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often it warns.
const EXPIRY_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// What is made of a group's files, as they are now.
pub(crate) struct Renewed<T> {
    group: Group,
    make: fn(&Material) -> Result<T, TlsError>,
    state: Mutex<State<T>>,
}

struct State<T> {
    current: Arc<T>,
    contents: Contents,
    expires: Option<UnixTime>,
    looked: Instant,
    /// Why the files of the last look can't be used, and whether that was said.
    broken: Option<(TlsError, bool)>,
    warned: Option<Instant>,
}

impl<T: Send + Sync + 'static> Renewed<T> {
    /// Reads the files for the first time.
    pub(crate) fn new(group: Group, make: fn(&Material) -> Result<T, TlsError>) -> Result<Self, TlsError> {
        let contents = group.read()?;
        let material = material::make(&group, &contents)?;
        let state = State {
            current: Arc::new(make(&material)?),
            contents,
            expires: material.expires,
            looked: Instant::now(),
            broken: None,
            warned: None,
        };
        Ok(Self { group, make, state: Mutex::new(state) })
    }

    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    /// What is in force now. Looks at the files first, if the last look was a while ago.
    pub(crate) async fn current(self: &Arc<Self>) -> Arc<T> {
        if self.is_due() {
            let this = self.clone();
            // A disk that hangs must not hold up a thread that serves. The look itself can't fail.
            let _ = tokio::task::spawn_blocking(move || this.look()).await;
        }
        self.now()
    }

    /// What was in force at the last look.
    pub(crate) fn now(&self) -> Arc<T> {
        self.state.lock().current.clone()
    }

    /// One of those who ask at once looks.
    fn is_due(&self) -> bool {
        if !self.group.can_change() {
            return false;
        }
        let mut state = self.state.lock();
        let due = state.looked.elapsed() >= LOOK_PAUSE;
        if due {
            state.looked = Instant::now();
        }
        due
    }

    /// Looks at the files, and takes over what is new and can be used.
    pub(crate) fn look(&self) {
        let contents = match self.group.read() {
            Ok(contents) if contents == self.state.lock().contents => {
                self.state.lock().broken = None;
                return;
            }
            Ok(contents) => contents,
            Err(error) => return self.complain(error),
        };
        let made = material::make(&self.group, &contents);
        match made.and_then(|material| Ok(((self.make)(&material)?, material.expires))) {
            Ok((made, expires)) => {
                let mut state = self.state.lock();
                state.current = Arc::new(made);
                state.contents = contents;
                state.expires = expires;
                state.broken = None;
                state.warned = None;
                drop(state);
                let expires = expires.map_or_else(|| "never".to_owned(), date);
                tracing::info!(
                    ca = self.group.ca_name(),
                    expires,
                    "certificates were renewed; new connections use them"
                );
            }
            Err(error) => self.complain(error),
        }
    }

    fn complain(&self, error: TlsError) {
        let mut state = self.state.lock();
        let before = state.broken.take().filter(|(before, _)| *before == error);
        if let Some((_, false)) = &before {
            tracing::error!(%error, "the new certificates can't be used; those from before are kept");
        }
        state.broken = Some((error, before.is_some()));
    }

    /// Looks again and again, and warns before the end of this side's certificate. Never ends; cancel safe.
    pub(crate) async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_TICK).await;
            self.current().await;
            self.warn_of_expiry();
        }
    }

    fn warn_of_expiry(&self) {
        let mut state = self.state.lock();
        let Some(expires) = state.expires else { return };
        let left = expires.as_secs().saturating_sub(UnixTime::now().as_secs());
        let lately = state.warned.is_some_and(|warned| warned.elapsed() < EXPIRY_PAUSE);
        if lately || left >= EXPIRY_NEAR.as_secs() {
            return;
        }
        state.warned = Some(Instant::now());
        drop(state);
        let file = self.group.identity.as_ref().map(|(cert, _)| cert.to_string()).unwrap_or_default();
        let at = date(expires);
        if left == 0 {
            tracing::error!(
                file,
                at,
                "the certificate has expired: the other side refuses new connections until it is renewed"
            );
        } else {
            tracing::warn!(file, at, "the certificate expires soon; renew it");
        }
    }
}
