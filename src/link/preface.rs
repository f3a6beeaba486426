//! What both sides of a link begin with: a name, a version, and the kind. HTTP begins with another first byte.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Kind, Wire};

/// Its bytes.
pub const BYTES: usize = 8;

/// The first of them.
const BEGINNING: u8 = b'R';

const ALL: [Kind; 4] = [Kind::Log, Kind::Asks, Kind::Calls, Kind::Watches];

impl Kind {
    /// What a link of the kind begins with.
    pub fn preface(self) -> [u8; BYTES] {
        match self {
            Self::Log => *b"RFLINK\x01L",
            Self::Asks => *b"RFLINK\x01A",
            Self::Calls => *b"RFLINK\x01C",
            Self::Watches => *b"RFLINK\x01W",
        }
    }
}

/// Whether a connection begins as a link does: waits for its first byte, and leaves it where it is. Cancel safe.
///
/// # Errors
/// What the system says.
pub async fn begins(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? > 0 && first == [BEGINNING])
}

/// Asks for a link on a connection that was made. `None` if the other side speaks something else.
///
/// # Errors
/// What the system says; an end before the other side has said which.
pub async fn ask<W: Wire>(mut wire: W, kind: Kind) -> io::Result<Option<W>> {
    let wanted = kind.preface();
    wire.write_all(&wanted).await?;
    wire.flush().await?;
    let (mut answer, mut heard) = ([0; BYTES], 0);
    while heard < answer.len() {
        let (_, rest) = answer.split_at_mut(heard);
        heard += match wire.read(rest).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        // What else it has to say may be shorter.
        if !answer.iter().zip(&wanted).take(heard).all(|(heard, wanted)| heard == wanted) {
            return Ok(None);
        }
    }
    Ok(Some(wire))
}

/// Agrees to a link of one of these kinds on a connection that came. `None` if it is none of them: then nothing was said.
///
/// # Errors
/// What the system says; an end before the other side has said which.
pub async fn agree<W: Wire>(wire: &mut W, kinds: &[Kind]) -> io::Result<Option<Kind>> {
    let mut preface = [0; BYTES];
    wire.read_exact(&mut preface).await?;
    let Some(kind) = ALL.into_iter().find(|kind| kind.preface() == preface && kinds.contains(kind)) else {
        return Ok(None);
    };
    wire.write_all(&preface).await?;
    wire.flush().await?;
    Ok(Some(kind))
}
