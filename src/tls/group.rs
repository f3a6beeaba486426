//! The files that belong together, and their contents.

use std::{fmt, fs::File, io::Read, path::PathBuf};

use crate::error::TlsError;

/// Bytes of one file at most. A bundle of all public CAs has a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where PEM comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, which is looked at again.
    File(PathBuf),
    /// Bytes, which stay as they are.
    Given {
        /// What they are called in messages, such as "the given CA".
        name: &'static str,
        /// The PEM.
        pem: Vec<u8>,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Given { name, .. } => f.write_str(name),
        }
    }
}

/// Shows the name alone: the bytes may be a key.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

impl Source {
    fn read(&self) -> Result<Vec<u8>, TlsError> {
        let path = match self {
            Self::Given { pem, .. } => return Ok(pem.clone()),
            Self::File(path) => path,
        };
        let unreadable = |why: String| TlsError::Unreadable { file: self.to_string(), why };
        // A pipe would keep whoever opens it waiting.
        let kind = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
        if !kind.is_file() {
            return Err(unreadable("it is no file".to_owned()));
        }
        let mut bytes = Vec::new();
        let opened = File::open(path).map_err(|error| unreadable(error.to_string()))?;
        opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(unreadable(format!("it has more than {FILE_BYTES_MAX} bytes, which no certificate needs")));
        }
        Ok(bytes)
    }
}

/// What belongs together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// This side's certificate, with the intermediate ones after it, and its key.
    pub identity: Option<(Source, Source)>,
    /// The CAs that sign the other side's certificates. A server without them asks its clients for none.
    pub ca: Option<Source>,
    /// Set for a member of a cluster: the host under which the others find it. Its certificate is held against its own CAs then, for
    /// this name and in both directions, as the others will do.
    pub member: Option<String>,
}

/// What is in the files.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) cert: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) ca: Vec<u8>,
}

impl Group {
    /// Reads the files and holds them to what [`Acceptor::new`](crate::Acceptor::new) and [`Connector::new`](crate::Connector::new) need.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), TlsError> {
        crate::material::make(self, &self.read()?).map(drop)
    }

    pub(crate) fn read(&self) -> Result<Contents, TlsError> {
        let read = |source: Option<&Source>| source.map_or_else(|| Ok(Vec::new()), Source::read);
        Ok(Contents {
            cert: read(self.identity.as_ref().map(|(cert, _)| cert))?,
            key: read(self.identity.as_ref().map(|(_, key)| key))?,
            ca: read(self.ca.as_ref())?,
        })
    }

    /// Whether looking again can find anything new.
    pub(crate) fn can_change(&self) -> bool {
        let identity = self.identity.iter().flat_map(|(cert, key)| [cert, key]);
        identity.chain(&self.ca).any(|source| matches!(source, Source::File(_)))
    }

    /// What the CAs are called in messages.
    pub(crate) fn ca_name(&self) -> String {
        self.ca.as_ref().map_or_else(|| "the CAs".to_owned(), ToString::to_string)
    }
}
