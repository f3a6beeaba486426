//! What people can do now about an error of the client or a refusal of the cluster.

use ringfence_client::Error;

const VERSIONS: &str = "compare `ringfence --version` with the versions in `ringfence cluster status`";
const SESSIONS: &str = "`ringfence session list` shows the sessions that live";
const OWNERS: &str = "`ringfence lock show NAME` shows who holds it now, and who waits";

/// The next step after an error.
pub fn next_step(error: &Error) -> &'static str {
    match error {
        Error::Unavailable { .. } => {
            "is a server running there? `ringfenced --dev` starts one for trying, --endpoints names another, and \
             `ringfence cluster status` shows who answers"
        }
        Error::Timeout { .. } => {
            "give it more time with --timeout, or look at the members with `ringfence cluster status`"
        }
        Error::Untrusted { .. } => {
            "mend what the message names: --cacert is the CA of the members, --cert and --cert-key are this client's own; without TLS \
             leave all three out, and look for RINGFENCE_CACERT in the environment"
        }
        Error::Unknown { .. } => {
            "`ringfence kv get` and `kv history`, `lock show` or `cluster members` show whether it was done"
        }
        Error::AnswerLost { .. } => "`ringfence kv get` and `kv history` show what it left",
        Error::SessionLost { .. } => SESSIONS,
        Error::NotHeld { .. } => OWNERS,
        Error::LockHeld { .. } => "wait for it with --wait, or look who holds it with `ringfence lock show NAME`",
        Error::Compacted { .. } | Error::TooSlow { .. } => {
            "`ringfence watch PREFIX --snapshot` starts from the present state; read without --revision"
        }
        Error::InvalidArgument { .. } => "`ringfence help NOUN VERB` shows what is acceptable",
        Error::Refused { reason, .. } => after_refusal(reason).unwrap_or(VERSIONS),
        _ => VERSIONS,
    }
}

/// The next step after a refusal, by the reason that the protocol lists; `None` for one that it doesn't.
fn after_refusal(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "BACKUPS_RUNNING" => "wait until one is done, or name another member with --endpoints",
        "BACKUP_TOO_SLOW" => "write the file to a faster disk, or nearer to the member",
        "DUPLICATE_KEY" => "write each key once in a list of operations",
        "INVALID_ADDRESS" => "write HOST:PORT, as members and clients can reach it, for example 10.0.0.4:7601",
        "INVALID_ARGUMENT" => "`ringfence help NOUN VERB` shows what is acceptable",
        "INVALID_KEY" => "a key is 1 to 4096 bytes",
        "INVALID_NAME" => {
            "a name is 1 to 1024 bytes of text without control characters, and neither begins nor ends with /"
        }
        "INVALID_RANGE" => "the first key must be below the last; a range to delete can't be everything",
        "KEY_IS_CLAIM" => "change it through `ringfence lock` or `ringfence elect`",
        "KEY_NOT_CLAIM" => "use another name: an ordinary key has the place of the claim; `ringfence kv list` shows it",
        "LAST_VOTER" => "add another member and promote it first",
        "LEARNER_LAGS" => {
            "see that it runs, and wait until `ringfence cluster status` shows that it has caught up, or use --force"
        }
        "LIMIT_EXCEEDED" => "make it smaller, or do it in parts; the message says the limit",
        "MEMBERS_CHANGING" => "wait until `ringfence cluster members` shows the change before it, and try again",
        "MEMBER_EXISTS" => "give the new member a node id that this cluster never had",
        "MEMBER_UNKNOWN" => "`ringfence cluster members` lists the members",
        "MODE_MISMATCH" => "all who use the name must use it alike: plain and --shared, or --permits",
        "NOT_A_VOTER" => {
            "name a voter, as `ringfence cluster members` lists them, or `ringfence cluster promote` it first"
        }
        "PERMITS_MISMATCH" => "all who use the name must give the same --permits",
        "QUORUM_AT_RISK" => {
            "bring those that the message names back, or remove them first if they are dead; --force removes it all the same"
        }
        "REVISION_FUTURE" => "`ringfence cluster status` shows the newest revision",
        "SEQUENCE_REUSED" | "SEQUENCE_TOO_OLD" => "run the command again, after a look at what it left",
        "SESSION_EXISTS" => "run the command again",
        "TTL_OUT_OF_RANGE" => "give a --ttl from 500ms to 1day",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The comments of the protocol, which list the reasons beside the calls.
    const PROTOCOL: &[&str] = &[
        include_str!("../../proto/ringfence/v1/cluster.proto"),
        include_str!("../../proto/ringfence/v1/election.proto"),
        include_str!("../../proto/ringfence/v1/kv.proto"),
        include_str!("../../proto/ringfence/v1/lock.proto"),
        include_str!("../../proto/ringfence/v1/session.proto"),
    ];

    /// Reasons that the client words itself, as an error of another kind; names of gRPC's codes, and of values.
    const NOT_REFUSALS: &[&str] = &[
        "ALREADY_EXISTS",
        "CLAIM_LOST",
        "CONSISTENCY_STALE",
        "DEADLINE_EXCEEDED",
        "FAILED_PRECONDITION",
        "LOCK_HELD",
        "LOCK_MODE_SEMAPHORE",
        "NOT_FOUND",
        "NOT_OWNER",
        "NO_LEADER",
        "OUT_OF_RANGE",
        "REPLY_NOT_KEPT",
        "RESOURCE_EXHAUSTED",
        "REVISION_COMPACTED",
        "SESSION_EXPIRED",
        "SESSION_UNKNOWN",
        "TOKEN_STALE",
        "WAIT_TIMEOUT",
    ];

    #[test]
    fn every_refusal_of_the_protocol_has_a_next_step() {
        let comments = PROTOCOL.iter().flat_map(|file| file.lines()).filter_map(|line| line.split_once("//"));
        let words = comments
            .flat_map(|(_, comment)| comment.split(|letter: char| letter != '_' && !letter.is_ascii_uppercase()));
        let mut reasons: Vec<&str> = words.filter(|word| word.trim_matches('_').contains('_')).collect();
        reasons.sort_unstable();
        reasons.dedup();
        assert!(reasons.contains(&"LIMIT_EXCEEDED"), "the comments are read: {reasons:?}");
        let helpless: Vec<_> = reasons
            .into_iter()
            .filter(|reason| !NOT_REFUSALS.contains(reason) && after_refusal(reason).is_none())
            .collect();
        assert!(helpless.is_empty(), "{helpless:?}");
    }
}
