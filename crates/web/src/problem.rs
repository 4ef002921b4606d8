//! Failures as answers: problem+json (RFC 9457) for programs, a page for people.

use app::{Failure, Kind};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

/// The one place where kinds become statuses.
pub(crate) fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Unauthenticated | Kind::StepUp => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Gone => StatusCode::GONE,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::Upstream => StatusCode::BAD_GATEWAY,
        Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn code_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "invalid_value",
        Kind::Unauthenticated => "unauthenticated",
        Kind::StepUp => "step_up_required",
        Kind::Forbidden => "forbidden",
        Kind::NotFound => "not_found",
        Kind::Conflict => "conflict",
        Kind::Gone => "gone",
        Kind::TooMany => "too_many_requests",
        Kind::Upstream => "upstream_failed",
        Kind::Busy => "busy",
        Kind::Internal => "internal",
    }
}

fn log(failure: &Failure) {
    if failure.kind == Kind::Internal {
        let cause = std::error::Error::source(failure).map(ToString::to_string).unwrap_or_default();
        tracing::error!(%failure, cause, "a request failed");
    }
}

/// A failure of the API.
pub(crate) struct Problem(pub(crate) Failure);

impl<E: Into<Failure>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let failure = self.0;
        log(&failure);
        let (status, code) = (status_of(failure.kind), failure.code.unwrap_or_else(|| code_of(failure.kind)));
        let mut body = serde_json::json!({
            "type": format!("/docs/errors#{code}"),
            "title": status.canonical_reason().unwrap_or("error"),
            "status": status.as_u16(),
            "detail": failure.text,
            "code": code,
            "retryable": matches!(failure.kind, Kind::Busy | Kind::TooMany | Kind::Upstream),
        });
        if !failure.field.is_empty() {
            body["errors"] = serde_json::json!([{ "pointer": failure.field, "code": code, "detail": failure.text }]);
        }
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(failure.kind, Kind::Busy | Kind::TooMany) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(failure.wait_s.unwrap_or(1)));
        }
        response
    }
}

/// Marks an answer that sends somebody to prove once more who he is: the frame adds where he was.
#[derive(Clone, Copy)]
pub(crate) struct WantsProof;

/// Marks an answer that sends somebody to sign in: the frame keeps where they wanted to go.
#[derive(Clone, Copy)]
pub(crate) struct WantsSignIn;

/// Marks a page that says what went wrong: the frame puts the navigation of whoever asked around it.
#[derive(Clone)]
pub(crate) struct Failed {
    pub(crate) title: &'static str,
    pub(crate) text: String,
}

/// A failure of the console.
pub(crate) struct PageFailure(pub(crate) Failure);

impl<E: Into<Failure>> From<E> for PageFailure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for PageFailure {
    fn into_response(self) -> Response {
        let failure = self.0;
        if failure.kind == Kind::Unauthenticated {
            let mut response = Redirect::to("/sign-in").into_response();
            response.extensions_mut().insert(WantsSignIn);
            return response;
        }
        if failure.kind == Kind::StepUp {
            let mut response = Redirect::to("/prove").into_response();
            response.extensions_mut().insert(WantsProof);
            return response;
        }
        if failure.code == Some("mfa_required") {
            return Redirect::to("/me/factors").into_response();
        }
        log(&failure);
        let status = status_of(failure.kind);
        let title = match failure.kind {
            Kind::NotFound => "Not found",
            Kind::Forbidden => "Not allowed",
            Kind::Invalid => "Please check your entry",
            Kind::Conflict | Kind::Gone => "This cannot be done",
            Kind::Upstream => "The other side did not answer as it should",
            _ => "Something went wrong",
        };
        let text = failure.words.map_or(failure.text, String::from);
        let mut response = (status, text.clone()).into_response();
        response.extensions_mut().insert(Failed { title, text });
        response
    }
}
