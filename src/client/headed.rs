//! Answers carry a header, by which a client follows the cluster.

use ringfence_proto::v1;

/// An answer with a header.
pub(crate) trait Headed {
    fn header(&self) -> Option<&v1::ResponseHeader>;

    /// The revision of the state that the answer was made from.
    fn revision(&self) -> u64 {
        self.header().map(|header| header.revision).unwrap_or_default()
    }
}

macro_rules! headed {
    ($($answer:ident),* $(,)?) => {
        $(impl Headed for v1::$answer {
            fn header(&self) -> Option<&v1::ResponseHeader> {
                self.header.as_ref()
            }
        })*
    };
}

headed!(
    RangeResponse,
    PutResponse,
    DeleteResponse,
    TxnResponse,
    CompactResponse,
    HistoryResponse,
    SessionOpenResponse,
    SessionRenewResponse,
    SessionCloseResponse,
    SessionDescribeResponse,
    SessionListResponse,
    LockAcquireResponse,
    LockReleaseResponse,
    LockValidateResponse,
    LockDescribeResponse,
    LockListResponse,
    ElectionCampaignResponse,
    ElectionProclaimResponse,
    ElectionLeaderResponse,
    WatchResponse,
    ClusterStatusResponse,
    ClusterMembersResponse,
    ClusterTransferLeaderResponse,
    ClusterBackupResponse,
);
