//! The listener of the API: every connection is bounded in number, size and time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use keyward_net::{
    Acceptor, ConnectionLimit, ConnectionSlot, ListenError, ListenOptions, Tls, listen,
};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::Api;
use crate::caller::Peer;
use crate::problem::Problem;
use crate::{request_id, routes};

/// Where and how the API listens.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Where; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Certificate and key; without, the listener speaks plainly.
    pub tls: Option<Arc<Tls>>,
    /// Open connections at most.
    pub connections: usize,
    /// Time to send the head of a request; an idle connection is closed after it, too.
    pub head: Duration,
    /// Time for a whole request, its body included.
    pub request: Duration,
}

impl ApiSettings {
    /// The usual limits.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            connections: 1_000,
            head: Duration::from_secs(30),
            request: Duration::from_secs(60),
        }
    }
}

/// Bytes of one request's head.
const MAX_HEAD: usize = 32 * 1024;

/// Header fields of one request.
const MAX_HEADERS: usize = 64;

/// A listener that has its port and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: std::net::TcpListener,
    settings: ApiSettings,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// The port is busy, or not ours to take.
    pub fn bind(settings: ApiSettings) -> Result<Self, ListenError> {
        let mut listeners = listen(&ListenOptions {
            address: settings.listen,
            listeners: 1,
            backlog: 128,
        })?;
        Ok(Self {
            listener: listeners.remove(0),
            settings,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system said.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop` becomes true, then lets requests that have begun come to their end.
    ///
    /// # Errors
    /// The runtime has no I/O.
    pub async fn serve(
        self,
        api: Arc<Api>,
        mut stop: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        let limit = ConnectionLimit::new(self.settings.connections);
        let time = self.settings.request;
        let router = routes::router(api).layer(axum::middleware::from_fn(
            move |request: Request, next: Next| within(time, request, next),
        ));
        let router = router.layer(axum::middleware::from_fn(request_id::layer));
        let mut acceptor = Acceptor::new(self.listener)?;
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                (stream, peer) = acceptor.accept() => {
                    // Beyond the limit the connection is closed: a place is free soon.
                    if let Some(slot) = limit.take() {
                        connections.spawn(connection(
                            stream, peer, router.clone(), self.settings.clone(), stop.clone(), slot,
                        ));
                    }
                }
                Some(_) = connections.join_next() => {}
                () = stopped(&mut stop) => break,
            }
        }
        drop(acceptor);
        while connections.join_next().await.is_some() {}
        Ok(())
    }
}

/// Waits until it is time to stop; the end of whoever could say so counts, too.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn within(time: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "the request took too long",
        )
        .into_response(),
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    settings: ApiSettings,
    mut stop: watch::Receiver<bool>,
    _slot: ConnectionSlot,
) {
    let accepting = keyward_net::accepted(settings.tls.as_deref(), stream);
    let Ok(Ok(stream)) = tokio::time::timeout(settings.head, accepting).await else {
        tracing::debug!(%peer, "TLS handshake failed");
        return;
    };
    let peer = Peer::new(peer, stream.transport());
    let address = peer.address;
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        let mut router = router.clone();
        async move { tower_call(&mut router, request).await }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.head)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, peer = %address, "API connection ended");
    }
}

async fn tower_call(
    router: &mut Router,
    request: axum::http::Request<Body>,
) -> Result<Response, std::convert::Infallible> {
    use hyper_util::service::TowerToHyperService;
    hyper::service::Service::call(&TowerToHyperService::new(router.clone()), request).await
}
