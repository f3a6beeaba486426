//! Backups: the cluster's state at one revision, as the bytes of a file.

use std::time::Duration;

use bytes::Bytes;
use ringfence_proto::v1;
use ringfence_proto::v1::cluster_client::ClusterClient;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt as _;
use tonic::Streaming;

use crate::backoff::Backoff;
use crate::client::Client;
use crate::core::MESSAGE_BYTES_MAX;
use crate::error::{Error, Result};
use crate::pool::Place;
use crate::route::{Address, Toward};
use crate::types::Revision;
use crate::verdict::{Distrust, NO_ANSWER, Subject, Trouble, Verdict, judge};

/// A member that gives nothing for so long is left: it takes milliseconds for the next part.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A backup that is being given, by one member. From [`Cluster::backup`](crate::Cluster::backup). Dropping it ends it.
///
/// It is whole only once [`Backup::next`] gave `None`: write it under another name until then.
#[derive(Debug)]
pub struct Backup {
    parts: Streaming<v1::ClusterBackupResponse>,
    /// Held as long as the call is open.
    _place: Place,
    address: Address,
    /// All that was acknowledged before the backup was asked for is in the state at this revision.
    pub revision: Revision,
    /// Keys in it, claims included.
    pub keys: u64,
    /// Sessions in it.
    pub sessions: u64,
    /// Records in the parts so far.
    pub records: u64,
    complete: bool,
}

impl Backup {
    pub(crate) async fn start(client: &Client) -> Result<Self> {
        let (core, deadline) = (client.core(), client.out_of_time());
        let mut backoff = Backoff::new(&core.retry);
        let mut tried: Vec<Address> = Vec::new();
        let mut last = "no member was asked before the deadline".to_owned();
        let mut distrust = Distrust::default();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Unavailable { message: format!("backup: {last}") });
            }
            let Some(address) = core.pick(Toward::Home, &tried) else {
                tried.clear();
                if let Some(error) = distrust.of_all() {
                    return Err(error);
                }
                sleep(backoff.pause().min(left)).await;
                continue;
            };
            tried.push(address.clone());
            let began = match timeout(left, Self::begin(client, &address)).await {
                Ok(began) => began,
                Err(_) => Err(Verdict::NotDone(Trouble::member(NO_ANSWER))),
            };
            match began {
                Ok(backup) => return Ok(backup),
                Err(Verdict::Final(error)) => return Err(error),
                Err(Verdict::NotDone(trouble) | Verdict::Unknown(trouble)) => {
                    last = format!("{address}: {}", trouble.message);
                    distrust.note(&address, &trouble);
                    core.trouble(&address, &trouble);
                }
            }
        }
    }

    /// Asks one member, and waits for its first answer.
    async fn begin(client: &Client, address: &Address) -> Result<Self, Verdict> {
        let place = client.core().pool.long(address).map_err(Verdict::Final)?;
        let mut asked = ClusterClient::new(place.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let answer = asked.backup(v1::ClusterBackupRequest {}).await;
        let mut parts = answer.map_err(|status| judge(&status, Subject::default()))?.into_inner();
        let first = match parts.next().await {
            Some(Ok(first)) => first,
            Some(Err(status)) => return Err(judge(&status, Subject::default())),
            None => return Err(Verdict::NotDone(Trouble::member("the backup ended before it began"))),
        };
        client.core().heard(address, &first).map_err(Verdict::Final)?;
        Ok(Self {
            parts,
            _place: place,
            address: address.clone(),
            revision: first.header.map(|header| header.revision).unwrap_or_default(),
            keys: first.keys,
            sessions: first.sessions,
            records: 0,
            complete: false,
        })
    }

    /// The next bytes of the file; `None` once it is whole.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the member goes or says nothing: what was given so far is no backup, begin anew. Refusal
    /// `BACKUP_TOO_SLOW`.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.complete {
            let part = match timeout(SILENCE_MAX, self.parts.next()).await {
                Ok(Some(Ok(part))) => part,
                Ok(Some(Err(status))) => {
                    return Err(match judge(&status, Subject::default()) {
                        Verdict::Final(error) => error,
                        Verdict::NotDone(trouble) | Verdict::Unknown(trouble) => self.cut_off(&trouble.message),
                    });
                }
                Ok(None) => return Err(self.cut_off("the stream ended")),
                Err(_) => return Err(self.cut_off(NO_ANSWER)),
            };
            self.records = part.records;
            self.complete = part.complete;
            if !part.chunk.is_empty() {
                return Ok(Some(part.chunk));
            }
        }
        Ok(None)
    }

    fn cut_off(&self, why: &str) -> Error {
        Error::Unavailable { message: format!("the backup from {} was cut off: {why}", self.address) }
    }
}

/// What a backup file says of itself, all of it read and checked.
#[cfg(feature = "backup-files")]
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BackupSummary {
    /// Version of the file's layout.
    pub format: u32,
    /// The cluster's id.
    pub cluster_id: u64,
    /// The cluster's name.
    pub cluster: String,
    /// The member that gave it.
    pub node: u64,
    /// Its version.
    pub version: String,
    /// The state's revision.
    pub revision: Revision,
    /// That member's wall clock, for people.
    pub taken_wall_ms: u64,
    /// Keys, claims included.
    pub keys: u64,
    /// Sessions.
    pub sessions: u64,
    /// Names that somebody claims: locks and elections.
    pub locks: u64,
    /// Claims under them.
    pub claims: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// CRC-32 of the whole file.
    pub checksum: u32,
}

/// Reads all of a backup file and checks each part of it. Blocks.
///
/// # Errors
/// [`std::io::ErrorKind::Unsupported`] for a format that isn't known here; [`std::io::ErrorKind::InvalidData`] or
/// [`std::io::ErrorKind::UnexpectedEof`] if it is damaged or cut off, with the place; else what the disk says.
#[cfg(feature = "backup-files")]
pub fn inspect_backup(input: impl std::io::Read) -> std::io::Result<BackupSummary> {
    let ringfence_proto::backup::Summary { header, bytes, claims, checksum } = ringfence_proto::backup::inspect(input)?;
    Ok(BackupSummary {
        format: header.format,
        cluster_id: header.cluster,
        cluster: header.cluster_name,
        node: header.node,
        version: header.version,
        revision: header.revision,
        taken_wall_ms: header.taken_wall_ms,
        keys: header.keys,
        sessions: header.sessions,
        locks: header.queues,
        claims,
        bytes,
        checksum,
    })
}
