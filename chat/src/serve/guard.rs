//! Who may come in: the token, the host a browser believes to talk to, the origin of other pages, the type of what is sent.
//!
//! A server on this machine without a token can be reached by every page that this machine's browser shows. Two rules
//! keep them out. Requests that change something must say `application/json`, which a browser sends to strangers only
//! if they agree (CORS), and ours does not, by default. And the `Host` must be this machine: a name that an attacker
//! points at it is not.

use super::error::ApiError;
use super::routes::App;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Paths that need no token: they tell nothing.
const OPEN: [&str; 2] = ["/", "/health"];

/// Before and after every request.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let cors = app.config.cors.clone();
    if cors.is_some() && request.method() == Method::OPTIONS {
        return with_cors(Response::new(Body::empty()), cors.as_deref());
    }
    let endpoint = app.endpoint(request.uri().path());
    let response = match admit(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    app.metrics.responded(endpoint, response.status().as_u16());
    with_cors(response, cors.as_deref())
}

fn admit(app: &App, request: &Request) -> Result<(), ApiError> {
    let (headers, config) = (request.headers(), &app.config);
    let host = text(headers, header::HOST);
    if config.local_only && config.api_key.is_none() && !host.is_some_and(is_this_machine) {
        let message = "the Host header does not name this machine; serve with --api-key to be reached under other names";
        return Err(ApiError::invalid(message).status(StatusCode::FORBIDDEN).code("wrong_host"));
    }
    if let Some(key) = &config.api_key
        && !OPEN.contains(&request.uri().path())
    {
        let sent = text(headers, header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if !sent.is_some_and(|sent| same(sent.trim().as_bytes(), key.as_bytes())) {
            return Err(ApiError::unauthorized());
        }
    }
    let kind = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if request.method() == Method::POST && !essence.eq_ignore_ascii_case("application/json") {
        let error = ApiError::invalid("send JSON, with `Content-Type: application/json`");
        return Err(error.status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    Ok(())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// `localhost`, `127.0.0.1` or `[::1]`, with any port.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || literal.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Equality in a time that does not tell where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

fn with_cors(mut response: Response, origin: Option<&str>) -> Response {
    let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) else { return response };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    let allowed = HeaderValue::from_static("authorization, content-type");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "127.1.2.3", "[::1]:8000", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:80", "10.0.0.1", "127.0.0.1.evil.example", "", "[::2]:1"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(same(b"secret", b"secret"));
        assert!(!same(b"secret", b"secreT") && !same(b"secret", b"secre") && !same(b"", b"s"));
    }
}
