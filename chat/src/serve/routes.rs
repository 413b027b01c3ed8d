//! The endpoints.
//!
//! | endpoint | what it is |
//! |---|---|
//! | `GET /` | the page |
//! | `POST /v1/chat/completions` | an answer in a conversation |
//! | `POST /v1/completions` | the continuation of a text |
//! | `GET /v1/models`, `GET /v1/models/{id}` | the one model |
//! | `POST /nanochat/attention` | what a token looked at |
//! | `GET /health`, `GET /metrics` | for whoever watches the server |

use super::answer::Kind;
use super::ask;
use super::attention::Wish;
use super::error::ApiError;
use super::fields::Fields;
use super::guard::guard;
use super::metrics::Metrics;
use super::running::Running;
use super::worker::{Gone, Worker};
use super::{Config, json_response};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The page.
const PAGE: &str = include_str!("page.html");
/// It runs what is in it, talks to this server, and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// How long a client may take to send its request.
const SENDING: Duration = Duration::from_secs(30);
/// Most tokens that a picture of attention is made of.
const MAX_PICTURE: usize = 4_096;

/// What all requests share.
pub struct App {
    pub(super) worker: Worker,
    pub(super) config: Config,
    pub(super) metrics: Metrics,
    next: AtomicU64,
    started: u64,
    closing: AtomicBool,
}

impl App {
    /// Ready to serve.
    pub fn new(worker: Worker, config: Config) -> App {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (next, started) = (AtomicU64::new(now.as_nanos() as u64), now.as_secs());
        App { worker, config, metrics: Metrics::default(), next, started, closing: AtomicBool::new(false) }
    }
    /// A number that no other request of this server has.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
    /// No new requests from now on.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }
    /// After how many seconds a place may have become free.
    pub(super) fn retry_after(&self) -> u64 {
        let stats = self.worker.pulse().stats;
        let rounds = stats.waiting as f64 / stats.running.max(1) as f64;
        (self.metrics.typical() * rounds).ceil().clamp(1.0, 60.0) as u64
    }
    /// The endpoint of a path, for counting.
    pub(super) fn endpoint(&self, path: &str) -> &'static str {
        let known = [
            "/",
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/models",
            "/nanochat/attention",
            "/health",
            "/metrics",
        ];
        known.into_iter().find(|known| *known == path).unwrap_or("other")
    }
    fn model(&self) -> Value {
        let id = &self.config.defaults.model;
        json!({ "id": id, "object": "model", "created": self.started, "owned_by": "nanochat" })
    }
}

/// All endpoints, behind the guard.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completion))
        .route("/v1/models", get(models))
        .route("/v1/models/{id}", get(model))
        .route("/nanochat/attention", post(attention))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(async || ApiError::not_found("nothing is here; the API is under /v1, the page is /"))
        .method_not_allowed_fallback(async || {
            ApiError::invalid("this path is there, but not for this method")
                .status(StatusCode::METHOD_NOT_ALLOWED)
        })
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

async fn page() -> Response {
    let mut response = Response::new(Body::from(PAGE));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

async fn chat(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    answer(app, request, Kind::Chat).await
}

async fn completion(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    answer(app, request, Kind::Completion).await
}

async fn answer(app: Arc<App>, request: Request, kind: Kind) -> Result<Response, ApiError> {
    let body = body(&app, request).await?;
    if app.closing.load(Ordering::Relaxed) {
        return Err(ApiError::timeout("the server is being stopped"));
    }
    // Every request has a seed of its own, unless it brings one.
    let mut defaults = app.config.defaults.clone();
    defaults.sampling.seed = defaults.sampling.seed.wrapping_add(app.number()) & 0x7fff_ffff;
    let ask = match kind {
        Kind::Chat => ask::chat(&body, &app.worker.tokenizer, &defaults),
        Kind::Completion => ask::completion(&body, &app.worker.tokenizer, &defaults),
    }?;
    let running = Running::begin(&app, kind, &ask).await?;
    if ask.stream { Ok(running.stream(ask.include_usage)) } else { running.whole().await }
}

/// The body as JSON, within its limits of size and time.
async fn body(app: &App, request: Request) -> Result<Value, ApiError> {
    let limit = app.config.body_limit;
    let bytes = tokio::time::timeout(SENDING, to_bytes(request.into_body(), limit)).await;
    let Ok(bytes) = bytes else {
        let error = ApiError::invalid(format!("the request was not complete within {} s", SENDING.as_secs()));
        return Err(error.status(StatusCode::REQUEST_TIMEOUT));
    };
    let too_large = |_| {
        let message = format!("the body is larger than {limit} bytes, or broke off");
        ApiError::invalid(message).status(StatusCode::PAYLOAD_TOO_LARGE)
    };
    let bytes = bytes.map_err(too_large)?;
    serde_json::from_slice(&bytes).map_err(|e| ApiError::invalid(format!("the body is not JSON: {e}")))
}

async fn models(State(app): State<Arc<App>>) -> Response {
    json_response(StatusCode::OK, &json!({ "object": "list", "data": [app.model()] }))
}

async fn model(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    if id == app.config.defaults.model {
        return json_response(StatusCode::OK, &app.model());
    }
    ApiError::not_found(format!("there is no model {id:?} here")).code("model_not_found").into_response()
}

/// `{"prompt_ids", "answer_ids", "layer", "token"}`: the weights with which position `token` of both together looked at
/// those up to it.
async fn attention(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let body = body(&app, request).await?;
    let fields = Fields::of(&body)?;
    let mut ids = Vec::new();
    for field in ["prompt_ids", "answer_ids"] {
        let list = fields.get(field).and_then(Value::as_array);
        let list = list.ok_or_else(|| fields.wrong(field, "must be a list of token ids"))?;
        let one = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
        let all: Option<Vec<u32>> = list.iter().map(one).collect();
        ids.extend(all.ok_or_else(|| fields.wrong(field, "must hold token ids only"))?);
    }
    let most = MAX_PICTURE.min(app.config.defaults.context);
    if ids.is_empty() || ids.len() > most {
        return Err(ApiError::invalid(format!("{} tokens; 1 to {most} can be looked at", ids.len())));
    }
    let layer = fields.count("layer", 0..=usize::MAX)?.unwrap_or(0);
    let position = fields.count("token", 0..=ids.len() - 1)?.unwrap_or(ids.len() - 1);
    let texts: Vec<String> = ids[..=position].iter().map(|&id| shown(&app, id)).collect();
    let picture = app.worker.attention(Wish { ids, layer, position }).await;
    let picture = picture.map_err(|Gone| ApiError::internal("the engine has stopped"))?;
    let mut picture = picture.map_err(ApiError::invalid)?.json();
    picture["tokens"] = json!(texts);
    Ok(json_response(StatusCode::OK, &picture))
}

fn shown(app: &App, id: u32) -> String {
    String::from_utf8_lossy(app.worker.tokenizer.token(id).unwrap_or(&[])).into_owned()
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let (pulse, defaults) = (app.worker.pulse(), &app.config.defaults);
    let ready = !pulse.failed && !app.closing.load(Ordering::Relaxed);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let health = json!({
        "status": if ready { "ok" } else if pulse.failed { "failed" } else { "stopping" }, "ready": ready,
        "model": defaults.model, "context": defaults.context, "max_tokens": defaults.max_tokens,
        "temperature": (f64::from(defaults.sampling.temperature) * 1e4).round() / 1e4, "top_k": defaults.sampling.top_k,
        "running": pulse.stats.running, "waiting": pulse.stats.waiting,
    });
    json_response(status, &health)
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut response = Response::new(Body::from(app.metrics.text(&app.worker.pulse())));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
