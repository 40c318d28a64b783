//! Servers that this program is itself when it is started again: what tonic costs, without vedetta's own serving.
//!
//! They stand beside vedetta so that its figures can be taken apart: `echo` does nothing but answer, `service` is the
//! service of vedetta with its embedded store. A way of serving is separate from what is served.
//!
//! Not here: `vedetta serve`, which is measured as it is built.

mod echo;
mod service;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::service::Routes;
use vedetta::drain::Tasks;
use vedetta::grpc::{self, Draining, Hot, Inflight, Listeners, Socket, Workers};

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// An answer that is always the same.
    Echo,
    /// The service of vedetta over its embedded store.
    Service,
}

/// How it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// By tonic's own server, as its documentation shows, on a runtime of one thread.
    Plain,
    /// As vedetta serves.
    Same,
}

/// A server to be.
#[derive(Debug, Clone, Args)]
pub(crate) struct Served {
    /// What is served
    #[arg(value_enum)]
    what: What,
    /// How
    #[arg(long, value_enum, default_value = "plain")]
    way: Way,
    /// Where, on TCP
    #[arg(long)]
    listen: SocketAddr,
    /// Where, as a Unix socket
    #[arg(long)]
    socket: PathBuf,
}

/// Serves until the process is stopped.
///
/// # Errors
/// An address is taken, or a server fails.
pub(crate) fn serve(served: &Served) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("runtime: {error}"))?;
    runtime.block_on(async {
        match (served.way, served.what) {
            (Way::Plain, What::Echo) => plain(Routes::new(echo::echo()), served).await,
            (Way::Plain, What::Service) => plain(Routes::new(service::service()?), served).await,
            (Way::Same, What::Echo) => same(echo::echo(), served).await,
            (Way::Same, What::Service) => same(service::service()?, served).await,
        }
    })
}

/// By vedetta's own serving, on one thread of its own.
async fn same(hot: impl Hot, served: &Served) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot serve: {error}");
    let socket = Socket::bind(&served.socket).map_err(|error| error.to_string())?;
    let listeners = Listeners {
        socket: Some(socket),
        tcp: Some(TcpListener::bind(served.listen).await.map_err(failed)?),
    };
    let draining = Draining {
        grace: Duration::ZERO,
        inflight: Inflight::new(1024),
    };
    let tasks = Tasks::new();
    let workers = Workers::start(1, |serve| serve()).map_err(failed)?;
    let routes = Routes::default();
    let served = grpc::Served { hot, routes };
    grpc::serve_all(listeners, served, (&tasks, workers), draining);
    tasks.failed().await;
    Err("a task has panicked".to_owned())
}

async fn plain(routes: Routes, served: &Served) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot listen: {error}");
    let unix = UnixListener::bind(&served.socket).map_err(failed)?;
    let tcp = TcpListener::bind(served.listen).await.map_err(failed)?;
    let nodelay = tokio_stream::StreamExt::map(TcpListenerStream::new(tcp), |stream| {
        stream.inspect(|stream| drop(stream.set_nodelay(true)))
    });
    let server = tonic::transport::Server::builder;
    let served = tokio::try_join!(
        server()
            .add_routes(routes.clone())
            .serve_with_incoming(UnixListenerStream::new(unix)),
        server().add_routes(routes).serve_with_incoming(nodelay),
    );
    served
        .map(|_| ())
        .map_err(|error| format!("serving failed: {error}"))
}
