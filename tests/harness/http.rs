//! One question to a node's HTTP side, as `curl` would ask it.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{raw::text, wait::within};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// Lines of the head, in small letters.
    pub head: Vec<String>,
    /// What follows the head.
    pub body: String,
}

/// Asks a node at `host:port`.
///
/// # Errors
/// If the port is closed.
///
/// # Panics
/// If what comes back isn't HTTP, or nothing does.
pub async fn ask(address: &str, method: &str, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    within("the HTTP side's answer", stream.read_to_end(&mut bytes)).await?;
    let told = text(&bytes);
    let (head, body) = told.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {told:?}"));
    let head: Vec<String> = head.lines().map(str::to_lowercase).collect();
    let code = head[0].split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer { code: code.unwrap_or_else(|| panic!("no status code in {told:?}")), head, body: body.to_owned() })
}
