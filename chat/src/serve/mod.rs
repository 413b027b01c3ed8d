//! The server: one model, a web page, and the API that programs written for OpenAI's expect.
//!
//! Two threads. One owns the model and does nothing but rounds of the engine (`worker.rs`); the other speaks HTTP to
//! everyone at once (`connections.rs`, `routes.rs`). A request goes through `ask.rs` (what is wanted, within limits), waits in the
//! engine's queue or is sent away (`error.rs`), and what the engine reports becomes JSON in `answer.rs`, sent whole or
//! piece by piece by `running.rs`. `page.html` is the page, `attention.rs` what it can show beyond text, `metrics.rs`
//! what an operator can watch.

mod answer;
mod ask;
mod attention;
mod connections;
mod error;
mod fields;
mod guard;
mod listener;
mod metrics;
mod routes;
mod running;
mod worker;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use ask::Defaults;
pub use routes::App;
pub use worker::Worker;

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is answered with.
    pub defaults: Defaults,
    /// Only who sends this token is served.
    pub api_key: Option<String>,
    /// Pages of this origin (`*`: of any) may use the API from a browser.
    pub cors: Option<String>,
    /// Most bytes of a request's body.
    pub body_limit: usize,
    /// Most connections at a time.
    pub connections: usize,
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// How long a request may wait for its turn.
    pub queue_timeout: Duration,
    /// How long a request may take altogether.
    pub timeout: Duration,
    /// How long answers may go on after the server was told to stop.
    pub grace: Duration,
    /// Refuse requests whose `Host` is not this machine: another site's page cannot pretend to be ours then.
    pub local_only: bool,
}

/// Serve on `listener` until `stop` is done: then finish what goes on, or call it off when the time of grace is over.
pub async fn serve(
    listener: tokio::net::TcpListener,
    worker: Worker,
    config: Config,
    stop: impl Future<Output = ()>,
) {
    let (grace, places) = (config.grace, config.connections);
    let app = Arc::new(App::new(worker.clone(), config));
    let (told, stopping) = tokio::sync::oneshot::channel();
    let state = Arc::clone(&app);
    let stop = async move {
        stop.await;
        state.close();
        let _ = told.send(());
    };
    let router = routes::router(Arc::clone(&app));
    let server = connections::run(listener::Bounded::new(listener, places), app, router, stop);
    let deadline = async {
        // If nobody tells, the server ends by itself.
        if stopping.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(grace).await;
        worker.cancel_all();
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        () = server => {}
        () = deadline => {}
    }
}

/// For sending what is left after everything was called off.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Is this an address that only this machine reaches?
pub fn is_local(address: &SocketAddr) -> bool {
    address.ip().is_loopback()
}

/// JSON as a response.
fn json_response(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
