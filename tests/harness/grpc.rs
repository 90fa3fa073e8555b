//! gRPC servers on loopback, by `tonic`, with its service of health.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::{Router, TcpIncoming};
use tonic::transport::{Identity as TlsIdentity, Server, ServerTlsConfig};
use tonic::{Request, Status};
use tonic_health::ServingStatus;

use crate::certificates::Identity;
use crate::ports::LOOPBACK;

/// Metadata wanted by a server that is locked, as name and value.
pub const GRPC_KEY: (&str, &str) = ("x-api-key", "s3cret-k3y");

/// A server that serves, as its service `up` does; its service `down` does not.
pub struct GrpcServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl GrpcServer {
    /// Starts it over plain HTTP/2.
    pub async fn start() -> Self {
        let routes = health(|_request| Ok(())).await;
        Self::serve(Server::builder().add_routes(routes)).await
    }

    /// Starts it over TLS, with that certificate.
    pub async fn start_tls(identity: &Identity) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let identity = TlsIdentity::from_pem(&identity.certificate, &identity.key);
        let tls = ServerTlsConfig::new().identity(identity);
        let mut server = Server::builder()
            .tls_config(tls)
            .expect("the certificate is good");
        let routes = health(|_request| Ok(())).await;
        Self::serve(server.add_routes(routes)).await
    }

    /// Starts one that wants [`GRPC_KEY`].
    pub async fn start_locked() -> Self {
        let (name, value) = GRPC_KEY;
        let check = move |request: &Request<()>| {
            let found = request.metadata().get(name);
            if found.is_some_and(|found| found.as_bytes() == value.as_bytes()) {
                Ok(())
            } else {
                Err(Status::unauthenticated("who are you?"))
            }
        };
        Self::serve(Server::builder().add_routes(health(check).await)).await
    }

    /// Starts one without any service.
    pub async fn start_empty() -> Self {
        Self::serve(Server::builder().add_routes(Routes::default())).await
    }

    async fn serve(router: Router) -> Self {
        let listener = TcpListener::bind((LOOPBACK, 0))
            .await
            .expect("a port can be opened");
        let address = listener.local_addr().expect("it listens");
        let task = tokio::spawn(async move {
            let _ = router
                .serve_with_incoming(TcpIncoming::from(listener))
                .await;
        });
        Self { address, task }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The service of health, for callers that pass the check.
async fn health<F>(check: F) -> Routes
where
    F: Fn(&Request<()>) -> Result<(), Status> + Clone + Send + Sync + 'static,
{
    let (reporter, service) = tonic_health::server::health_reporter();
    for (name, status) in [
        ("up", ServingStatus::Serving),
        ("down", ServingStatus::NotServing),
    ] {
        reporter.set_service_status(name, status).await;
    }
    Routes::new(InterceptedService::new(service, move |request| {
        check(&request).map(|()| request)
    }))
}
