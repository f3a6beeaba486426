//! Why certificates can't be used, in words that say what would do.

/// Why a group of files can't be used. Each names the file, what is wrong with it, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// It isn't there, or may not be read.
    #[error("{file} can't be read: {why}")]
    Unreadable {
        /// Its name.
        file: String,
        /// What the system says.
        why: String,
    },
    /// It is no PEM of the kind that is wanted.
    #[error("{file} {why}")]
    Form {
        /// Its name.
        file: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// Certificate and key are of different pairs.
    #[error("the key in {key} does not belong to the first certificate in {cert}; take the one that was made with it")]
    Mismatch {
        /// The certificate's file.
        cert: String,
        /// The key's file.
        key: String,
    },
    /// The certificate's time is over.
    #[error("the certificate in {file} expired at {at}; renew it")]
    Expired {
        /// Its file.
        file: String,
        /// When, in UTC.
        at: String,
    },
    /// The certificate's time hasn't begun.
    #[error("the certificate in {file} is not valid before {at}; is this machine's clock right?")]
    TooEarly {
        /// Its file.
        file: String,
        /// From when on, in UTC.
        at: String,
    },
    /// The others would refuse it, since they hold it against the same CAs.
    #[error("the certificate in {file} {why}")]
    Refused {
        /// Its file.
        file: String,
        /// Why, and what would be right.
        why: String,
    },
}
