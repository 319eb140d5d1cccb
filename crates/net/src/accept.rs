//! Accepting connections without ever giving up.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// First wait after the system ran out of something.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Accepts connections of one listener.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    wait: Duration,
}

impl Acceptor {
    /// Takes over a non-blocking listener; needs a runtime.
    pub fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
            wait: SHORTEST_WAIT,
        })
    }

    /// The next connection, with the options that every connection has. A connection that broke
    /// before it was accepted is skipped. When file descriptors or memory are exhausted this
    /// waits, longer each time up to a second, and tries again: connections that close give back
    /// what is missing.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.wait = SHORTEST_WAIT;
                    // A connection that is already gone refuses its options.
                    if crate::connect_options(&stream).is_ok() {
                        return (stream, peer);
                    }
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, wait = ?self.wait, "cannot accept connections, trying again");
                    tokio::time::sleep(self.wait).await;
                    self.wait = (self.wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }
}

/// Whether an error of `accept` speaks of the connection and not of the listener or the process.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepts_with_nodelay() {
        let listener = crate::listen(&crate::ListenOptions {
            address: "127.0.0.1:0".parse().unwrap(),
            listeners: 1,
            backlog: 8,
        })
        .unwrap()
        .remove(0);
        let address = listener.local_addr().unwrap();
        let mut acceptor = Acceptor::new(listener).unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let (accepted, peer) = acceptor.accept().await;
        assert!(accepted.nodelay().unwrap());
        assert_eq!(peer, client.local_addr().unwrap());
    }

    #[test]
    fn only_errors_of_one_connection_are_skipped() {
        let cases = [
            (io::ErrorKind::ConnectionAborted, true),
            (io::ErrorKind::ConnectionReset, true),
            (io::ErrorKind::OutOfMemory, false),
            (io::ErrorKind::Other, false),
        ];
        for (kind, expected) in cases {
            assert_eq!(concerns_one_connection(&kind.into()), expected, "{kind:?}");
        }
        let exhausted = io::Error::from_raw_os_error(24); // EMFILE
        assert!(!concerns_one_connection(&exhausted));
    }
}
