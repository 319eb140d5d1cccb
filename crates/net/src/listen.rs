//! Opening listeners, and the options of every socket.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Silence on a connection after which the kernel asks whether the peer is still there.
///
/// Source: the `tcp-keepalive` default of Valkey and Redis.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// How listeners are opened.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// Where; port 0 lets the system choose one port for all listeners.
    pub address: SocketAddr,
    /// How many listeners share the port, one a worker.
    pub listeners: usize,
    /// Connections that wait to be accepted, for each listener.
    pub backlog: u32,
}

/// Why listeners could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another process listens there.
    #[error("port {} of `{}` is in use by another process: stop it, or choose another port", .address.port(), .address.ip())]
    Busy {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The system does not let this process listen there.
    #[error("this process may not listen on `{address}`: ports below 1024 need a privilege")]
    Forbidden {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The machine has no such address.
    #[error("`{address}` is no address of this machine")]
    NotOurs {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("could not listen on `{address}`")]
    Io {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Opens `options.listeners` non-blocking listeners that share one port. The kernel spreads
/// connections over them.
pub fn listen(options: &ListenOptions) -> Result<Vec<TcpListener>, ListenError> {
    let failed = |source: io::Error| describe(options.address, source);
    if options.address.port() != 0 {
        // Sockets that share a port never collide, not even with another process of the same
        // user. A socket that does not share it shows whether somebody is there.
        bind(options.address, options.backlog, false).map_err(failed)?;
    }
    let first = bind(options.address, options.backlog, true).map_err(failed)?;
    let address = first.local_addr().map_err(failed)?;
    let mut listeners = vec![first];
    while listeners.len() < options.listeners {
        listeners.push(bind(address, options.backlog, true).map_err(failed)?);
    }
    Ok(listeners)
}

fn bind(address: SocketAddr, backlog: u32, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    }
    Ok(socket.into())
}

fn describe(address: SocketAddr, source: io::Error) -> ListenError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Busy { address },
        io::ErrorKind::PermissionDenied => ListenError::Forbidden { address },
        io::ErrorKind::AddrNotAvailable => ListenError::NotOurs { address },
        _ => ListenError::Io { address, source },
    }
}

/// Sets what every connection of ours has: small writes leave at once, and a peer that vanished
/// is noticed.
pub fn connect_options(stream: &tokio::net::TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(address: SocketAddr, listeners: usize) -> ListenOptions {
        ListenOptions {
            address,
            listeners,
            backlog: 16,
        }
    }

    #[test]
    fn listeners_share_one_port() {
        let listeners = listen(&options("127.0.0.1:0".parse().unwrap(), 3)).unwrap();
        let ports: std::collections::HashSet<_> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        assert_eq!(listeners.len(), 3);
        assert_eq!(ports.len(), 1);
    }

    #[test]
    fn a_busy_port_is_an_error_even_if_its_owner_shares_it() {
        let first = listen(&options("127.0.0.1:0".parse().unwrap(), 2)).unwrap();
        let address = first[0].local_addr().unwrap();
        let error = listen(&options(address, 2)).unwrap_err();
        assert!(matches!(error, ListenError::Busy { .. }), "{error:?}");
        assert!(error.to_string().contains(&address.port().to_string()));
        drop(first);
        listen(&options(address, 2)).unwrap();
    }

    #[test]
    fn a_strange_address_is_an_error_that_says_so() {
        let error = listen(&options("192.0.2.1:0".parse().unwrap(), 1)).unwrap_err();
        assert!(matches!(error, ListenError::NotOurs { .. }), "{error:?}");
    }
}
