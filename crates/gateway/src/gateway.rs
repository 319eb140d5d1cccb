//! Starting and stopping a gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keyward_net::{Acceptor, ConnectionLimit, ListenError, ListenOptions, listen};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::metrics::{GatewayMetrics, WorkerMetrics};
use crate::settings::GatewaySettings;
use crate::shared::Shared;
use crate::worker::Worker;

/// Connections that wait to be accepted, for each worker.
const BACKLOG: u32 = 511;

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its port could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A thread or its runtime could not be made.
    #[error("a worker of the gateway could not be started")]
    Worker(#[source] std::io::Error),
}

/// The RESP gateway.
#[derive(Debug)]
pub struct Gateway;

/// A gateway that runs. Dropping it stops it without waiting for anybody.
#[derive(Debug)]
pub struct GatewayHandle {
    address: SocketAddr,
    stop: watch::Sender<Option<Instant>>,
    stopped: Vec<oneshot::Receiver<()>>,
    metrics: Vec<Arc<WorkerMetrics>>,
    limit: ConnectionLimit,
}

impl Gateway {
    /// Opens the port and serves from threads of its own. `revision` wakes connections that wait
    /// for something whenever the directory has changed.
    ///
    /// # Errors
    ///
    /// If the port could not be opened or a thread not be started.
    pub fn start(
        shared: Arc<Shared>,
        settings: GatewaySettings,
        revision: watch::Receiver<u64>,
    ) -> Result<GatewayHandle, StartError> {
        let workers = match settings.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let options = ListenOptions {
            address: settings.listen,
            listeners: workers,
            backlog: BACKLOG,
        };
        let listeners = listen(&options)?;
        let mut address = settings.listen;
        if let Some(first) = listeners.first() {
            address = first.local_addr().map_err(StartError::Worker)?;
        }
        let settings = Arc::new(settings);
        let limit = ConnectionLimit::new(settings.limits.connections);
        let (stop, _) = watch::channel(None);
        let mut handle = GatewayHandle {
            address,
            stop,
            stopped: Vec::new(),
            metrics: Vec::new(),
            limit,
        };
        for (number, listener) in listeners.into_iter().enumerate() {
            let metrics = Arc::new(WorkerMetrics::default());
            handle.metrics.push(Arc::clone(&metrics));
            let worker = Arc::new(Worker::new(
                Arc::clone(&shared),
                Arc::clone(&settings),
                metrics,
                handle.limit.clone(),
            ));
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(StartError::Worker)?;
            let acceptor = {
                let _inside = runtime.enter();
                Acceptor::new(listener).map_err(StartError::Worker)?
            };
            let (revision, stop) = (revision.clone(), handle.stop.subscribe());
            let (done, stopped) = oneshot::channel();
            handle.stopped.push(stopped);
            std::thread::Builder::new()
                .name(format!("gateway-{number}"))
                .spawn(move || {
                    runtime.block_on(worker.run(acceptor, revision, stop, number == 0));
                    runtime.shutdown_background();
                    let _ = done.send(()); // nobody waits any more
                })
                .map_err(StartError::Worker)?;
        }
        Ok(handle)
    }
}

impl GatewayHandle {
    /// Where clients connect.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What was counted so far.
    #[must_use]
    pub fn metrics(&self) -> GatewayMetrics {
        let mut sum = GatewayMetrics {
            connections_open: self.limit.open() as u64,
            ..GatewayMetrics::default()
        };
        self.metrics.iter().for_each(|worker| sum.add(worker));
        sum
    }

    /// Accepts nothing more, finishes what was read, and closes every connection, at the latest
    /// after `drain`.
    pub async fn shutdown(self, drain: Duration) {
        self.stop.send_replace(Some(Instant::now() + drain));
        for stopped in self.stopped {
            let _ = stopped.await; // an error means that the worker is gone, too
        }
    }
}
