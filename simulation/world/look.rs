//! Clients, and waits for what they see.

use std::time::Duration;

use ringfence_client::{Client, MemberStatus};

use super::{CLIENT_PORT, address};

/// How often a wait looks again, in simulated time.
const POLL: Duration = Duration::from_millis(50);
/// How long a wait may take, in simulated time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that knows these servers. On a machine of its own only: see [`super::World::spawn_on_client`].
///
/// # Errors
/// If the client can't be made.
pub fn client(servers: &[u64], deadline: Duration) -> Result<Client, String> {
    let endpoints = servers.iter().map(|id| format!("http://{}", address(*id, CLIENT_PORT)));
    Client::builder(endpoints).deadline(deadline).build().map_err(|error| error.to_string())
}

/// What a server says of itself.
///
/// # Errors
/// If it doesn't answer.
pub async fn status(id: u64) -> Result<MemberStatus, String> {
    let asked = client(&[id], Duration::from_secs(2))?.cluster().status(true).await;
    let status = asked.map_err(|error| error.to_string())?;
    status.members.into_iter().next().ok_or_else(|| "a status without a member".to_owned())
}

/// Looks again and again, until `look` gives something.
///
/// # Errors
/// After a minute of simulated time, with what the last look said.
pub async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
{
    let time = madsim::time::TimeHandle::current();
    let begun = time.elapsed();
    loop {
        let last = match look().await {
            Ok(found) => return Ok(found),
            Err(last) => last,
        };
        if time.elapsed() - begun > PATIENCE {
            return Err(format!("waited {PATIENCE:?} for {what}; the last look said: {last}"));
        }
        madsim::time::sleep(POLL).await;
    }
}
