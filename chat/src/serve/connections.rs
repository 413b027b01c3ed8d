//! Connections: each one is served by a task of its own until it ends, or until the server stops.
//!
//! A client has a bounded time to send the head of a request, and as much between two requests on one connection.
//! Otherwise a few hundred that send a byte a minute would take all places (the attack called slowloris). Who is too slow
//! loses the connection, and is counted.

use super::listener::Bounded;
use super::routes::App;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Serve until `stop` is done and every connection has ended; requests that were begun are answered.
pub async fn run(listener: Bounded, app: Arc<App>, router: Router, stop: impl Future<Output = ()>) {
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(app.config.header_timeout);
    let (told, stopping) = watch::channel(());
    let (mut open, mut stop) = (JoinSet::new(), pin!(stop));
    loop {
        let stream = tokio::select! {
            stream = listener.accept() => stream,
            () = &mut stop => break,
        };
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        let (app, mut stopping) = (Arc::clone(&app), stopping.clone());
        open.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                _ = stopping.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if ended.is_err_and(|error| error.is_timeout()) {
                app.metrics.too_slow();
            }
        });
        while open.try_join_next().is_some() {}
    }
    drop((listener, told)); // no new connections; the others hear of it
    while open.join_next().await.is_some() {}
}
