//! The status of a node for Prometheus, over HTTP: `GET /metrics` answers with OpenMetrics text
//! that is made from the status of that moment. Nothing is counted here.

mod text;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::sync::oneshot;

use super::live::Status;

pub use text::open_metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} for metrics: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Answers until it is dropped.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Listens on `address` (port 0: any that is free). `status` is asked at every scrape, on the
    /// server's own thread.
    ///
    /// # Errors
    /// The address is taken or is not this machine's; the system gives no thread.
    pub fn start(
        address: SocketAddr,
        status: impl Fn() -> Status + Send + Sync + 'static,
    ) -> Result<Self, MetricsError> {
        let refuse = |source| MetricsError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(refuse)?;
        listener.set_nonblocking(true).map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refuse)?;
        let (stop, stopped) = oneshot::channel();
        let status = Arc::new(status);
        let answer = move || {
            let status = Arc::clone(&status);
            async move { ([(CONTENT_TYPE, OPEN_METRICS)], open_metrics(&status())) }
        };
        let router = Router::new().route("/metrics", get(answer));
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            // A connection that is kept open does not keep the node from ending.
            tokio::select! {
                ended = async { axum::serve(listener, router).await } => ended,
                _ = stopped => Ok(()),
            }
        };
        let thread = thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(serve) {
                tracing::error!("no metrics any more: {error}");
            }
        });
        Ok(Self { address, stop: Some(stop), thread: Some(thread.map_err(refuse)?) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the metrics panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::text::tests::status;
    use super::*;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn every_scrape_sees_the_status_of_its_moment_until_the_end() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let scrapes = std::sync::atomic::AtomicU64::new(0);
        let server = MetricsServer::start(address, move || {
            let mut status = status();
            status.prompts.version = scrapes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            status
        })
        .unwrap();
        let address = server.address();
        assert!(address.ip().is_loopback());
        for version in 0..2 {
            let answer = get(address, "/metrics");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.to_lowercase().contains(&format!("content-type: {OPEN_METRICS}")));
            assert!(
                answer.contains(&format!("owlet_prompts_version{{}} {version}.0\n")),
                "{answer}"
            );
        }
        assert!(get(address, "/").starts_with("HTTP/1.1 404"));

        let taken = MetricsServer::start(address, status).unwrap_err().to_string();
        assert!(taken.starts_with(&format!("cannot listen on {address} for metrics: ")), "{taken}");
        let _kept_open = TcpStream::connect(address).unwrap();
        drop(server);
        assert!(TcpStream::connect(address).is_err());
    }
}
