//! Which keys: the same for reading, deleting and watching.

use bytes::Bytes;

use crate::txn::copy;

/// Which keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Select {
    Key(Bytes),
    Range { start: Bytes, end: Bytes },
    Prefix(Bytes),
    Children(Bytes),
}

/// As the protocol says it.
pub(crate) struct Wire {
    pub(crate) key: Bytes,
    pub(crate) range_end: Bytes,
    pub(crate) prefix: bool,
    pub(crate) children: bool,
}

impl Select {
    pub(crate) fn key(key: impl AsRef<[u8]>) -> Self {
        Self::Key(copy(key))
    }

    pub(crate) fn range(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Self {
        Self::Range { start: copy(start), end: copy(end) }
    }

    pub(crate) fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        Self::Prefix(copy(prefix))
    }

    pub(crate) fn children(path: impl AsRef<[u8]>) -> Self {
        Self::Children(copy(path))
    }

    pub(crate) fn into_wire(self) -> Wire {
        let (prefix, children) = (matches!(self, Self::Prefix(_)), matches!(self, Self::Children(_)));
        let (key, range_end) = match self {
            Self::Key(key) | Self::Prefix(key) | Self::Children(key) => (key, Bytes::new()),
            Self::Range { start, end } => (start, end),
        };
        Wire { key, range_end, prefix, children }
    }
}
