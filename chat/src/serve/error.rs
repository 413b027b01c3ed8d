//! Errors in the shape that clients of the API expect: `{"error": {"message", "type", "param", "code"}}` and a status.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use train::engine::Refusal;

/// A refused or failed request.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    /// The field at fault.
    param: Option<String>,
    code: Option<&'static str>,
    /// Seconds after which it is worth another try.
    retry_after: Option<u64>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status, kind, message: message.into(), param: None, code: None, retry_after: None }
    }
    /// The request makes no sense; `message` says what would.
    pub fn invalid(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }
    /// A field has a value that it must not have.
    pub fn field(param: impl Into<String>, message: impl std::fmt::Display) -> ApiError {
        let param = param.into();
        ApiError { param: Some(param.clone()), ..ApiError::invalid(format!("{param}: {message}")) }
    }
    /// With a word for programs.
    pub fn code(self, code: &'static str) -> ApiError {
        ApiError { code: Some(code), ..self }
    }
    /// With another status.
    pub fn status(self, status: StatusCode) -> ApiError {
        ApiError { status, ..self }
    }
    /// Nothing here has this name.
    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::invalid(message).status(StatusCode::NOT_FOUND)
    }
    /// No token, or a wrong one.
    pub fn unauthorized() -> ApiError {
        let message = "the server wants a token: send it as `Authorization: Bearer TOKEN`";
        ApiError::new(StatusCode::UNAUTHORIZED, "authentication_error", message).code("invalid_api_key")
    }
    /// Too much to do.
    pub fn busy(message: impl Into<String>, retry_after: u64) -> ApiError {
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message);
        ApiError { retry_after: Some(retry_after), ..error.code("queue_full") }
    }
    /// It took too long.
    pub fn timeout(message: impl Into<String>) -> ApiError {
        let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "timeout_error", message);
        ApiError { retry_after: Some(5), ..error.code("timeout") }
    }
    /// Our fault.
    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }
    /// What the engine refused.
    pub fn refused(refusal: &Refusal, retry_after: u64) -> ApiError {
        let message = refusal.to_string();
        match refusal {
            Refusal::Full(_) => ApiError::busy(message, retry_after),
            Refusal::TooLong { .. } | Refusal::TooLarge { .. } => {
                ApiError::invalid(message).code("context_length_exceeded")
            }
            Refusal::Sampling { field, .. } => {
                ApiError { param: Some(field.to_string()), ..ApiError::invalid(message) }
            }
            _ => ApiError::invalid(message),
        }
    }
    /// As clients read it.
    pub fn json(&self) -> Value {
        json!({ "error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        }})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = super::json_response(self.status, &self.json());
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
