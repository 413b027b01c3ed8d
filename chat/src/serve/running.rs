//! A request that was accepted: waiting for its turn, then for its tokens, within its time; as one answer or as a
//! stream of server-sent events.

use super::answer::{Answer, Kind};
use super::ask::Ask;
use super::error::ApiError;
use super::routes::App;
use super::worker::{Gone, Step, Ticket};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_core::Stream;
use serde_json::Value;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use train::engine::{Finish, What};

/// While nothing is to be said, this often a comment says that the connection is alive.
const STILL_THERE: Duration = Duration::from_secs(10);
/// Pieces that may wait for a slow reader before the pieces behind them stay in the engine's channel.
const AHEAD: usize = 16;

/// A request on its way.
pub struct Running {
    app: Arc<App>,
    tickets: Vec<Ticket>,
    answer: Answer,
    begun: Instant,
    /// Has any prompt been begun, any token come?
    started: bool,
    first: bool,
}

impl Running {
    /// Hand in what is asked. A request for several prompts is accepted whole or not at all.
    pub async fn begin(app: &Arc<App>, kind: Kind, ask: &Ask) -> Result<Running, ApiError> {
        let mut tickets = Vec::with_capacity(ask.requests.len());
        for request in &ask.requests {
            let ticket = app.worker.submit(request.clone()).await.map_err(|Gone| gone())?;
            tickets.push(ticket.map_err(|refusal| ApiError::refused(&refusal, app.retry_after()))?);
        }
        let answer = Answer::new(kind, app.number(), &app.config.defaults.model, &app.worker.tokenizer, ask);
        Ok(Running {
            app: Arc::clone(app),
            tickets,
            answer,
            begun: Instant::now(),
            started: false,
            first: false,
        })
    }
    /// The next event of any prompt; `None` if the engine has gone.
    async fn event(&mut self) -> Option<(usize, Step)> {
        let tickets = &mut self.tickets;
        poll_fn(|cx| {
            let mut open = false;
            for (i, ticket) in tickets.iter_mut().enumerate() {
                match ticket.events.poll_recv(cx) {
                    Poll::Ready(Some(step)) => return Poll::Ready(Some((i, step))),
                    Poll::Ready(None) => {}
                    Poll::Pending => open = true,
                }
            }
            if open { Poll::Pending } else { Poll::Ready(None) }
        })
        .await
    }
    /// Until when the next event may come.
    fn deadline(&self) -> Instant {
        let config = &self.app.config;
        self.begun + if self.started { config.timeout } else { config.queue_timeout.min(config.timeout) }
    }
    /// Wait for the next things to say. None: something happened that nobody is told of.
    async fn next(&mut self) -> Result<Vec<Value>, ApiError> {
        let deadline = tokio::time::Instant::from_std(self.deadline());
        let Ok(event) = tokio::time::timeout_at(deadline, self.event()).await else {
            let (waiting, config) = (!self.started, &self.app.config);
            return Err(ApiError::timeout(match waiting {
                true => format!("no place became free within {} s", config.queue_timeout.as_secs()),
                false => format!("the answer was not complete within {} s", config.timeout.as_secs()),
            }));
        };
        let (prompt, (sample, what)) = event.ok_or_else(gone)?;
        self.started = true;
        if matches!(what, What::Token(_)) && !std::mem::replace(&mut self.first, true) {
            self.app.metrics.first_token(self.begun.elapsed());
        }
        if what == What::Finished(Finish::Damaged) {
            return Err(ApiError::internal(
                "the model produced logits that are not finite; its weights are damaged",
            ));
        }
        let said = self.answer.add(prompt, sample, what);
        if self.answer.is_over() {
            self.app.metrics.whole(self.begun.elapsed());
        }
        Ok(said)
    }
    /// The answer as a whole.
    pub async fn whole(mut self) -> Result<Response, ApiError> {
        while !self.answer.is_over() {
            self.next().await?;
        }
        Ok(super::json_response(StatusCode::OK, &self.answer.whole()))
    }
    /// The answer in pieces, as they come. It ends when the client goes away.
    pub fn stream(self, include_usage: bool) -> Response {
        let (out, pieces) = mpsc::channel(AHEAD);
        tokio::spawn(self.pump(include_usage, out));
        let mut response = Response::new(Body::from_stream(Pieces(pieces)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
    async fn pump(mut self, include_usage: bool, out: mpsc::Sender<Bytes>) {
        let deadline = tokio::time::Instant::from_std(self.begun + self.app.config.timeout);
        let gone = out.clone();
        let tell = async {
            for opening in self.answer.openings() {
                out.send(event(&opening)).await.ok()?;
            }
            while !self.answer.is_over() {
                let piece = match tokio::time::timeout(STILL_THERE, self.next()).await {
                    Err(_) => Bytes::from_static(b": still there\n\n"),
                    Ok(Ok(said)) => Bytes::from_iter(said.iter().flat_map(event)),
                    Ok(Err(error)) => {
                        out.send(event(&error.json())).await.ok()?;
                        break;
                    }
                };
                if !piece.is_empty() {
                    out.send(piece).await.ok()?;
                }
            }
            if include_usage && self.answer.is_over() {
                out.send(event(&self.answer.closing())).await.ok()?;
            }
            out.send(Bytes::from_static(b"data: [DONE]\n\n")).await.ok()
        };
        // A reader that has gone, or that reads nothing, ends it too; the tickets are dropped then.
        tokio::select! {
            _ = tell => {}
            () = gone.closed() => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

fn gone() -> ApiError {
    ApiError::internal("the engine has stopped; start the server again")
}

/// One server-sent event.
fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

/// What a response's body is read from.
struct Pieces(mpsc::Receiver<Bytes>);

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|piece| piece.map(Ok))
    }
}
