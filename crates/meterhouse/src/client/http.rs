//! The HTTP client of the commands: HTTP/1.1, TLS by rustls with ring and Mozilla's roots.
//!
//! Changes carry an Idempotency-Key, so that what is tried again happens once. No redirect is followed:
//! the token goes to the named server only.

use crate::Exit;
use app::MachineWorld;
use base::World;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::error::Error;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Closing a month and sweeping an account take their time.
const SLOW_TIMEOUT: Duration = Duration::from_secs(900);
const TRIES_MAX: u32 = 3;
/// Longest wait between two tries, whatever the server asks for.
const WAIT_S_MAX: u64 = 10;
/// The largest answer.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A request to make.
pub(super) struct Call {
    method: Method,
    target: String,
    body: Bytes,
    media: String,
    timeout: Duration,
    again: bool,
}

/// What was answered.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) bytes: Bytes,
}

/// A server, and the token to show it.
pub(super) struct Api {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    token: Option<String>,
}

impl Call {
    /// A request with any body.
    pub(super) fn new(method: Method, target: impl Into<String>, media: &str, body: Bytes) -> Self {
        Self { method, target: target.into(), body, media: media.to_owned(), timeout: TIMEOUT, again: true }
    }

    /// Asks.
    pub(super) fn get(target: impl Into<String>) -> Self {
        Self::new(Method::GET, target, "", Bytes::new())
    }

    /// Adds or does.
    pub(super) fn post(target: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::POST, target, "application/json", Bytes::from(body.to_string()))
    }

    /// Sets.
    pub(super) fn put(target: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::PUT, target, "application/json", Bytes::from(body.to_string()))
    }

    /// Changes a part.
    pub(super) fn patch(target: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::PATCH, target, "application/json", Bytes::from(body.to_string()))
    }

    /// Takes away.
    pub(super) fn delete(target: impl Into<String>) -> Self {
        Self::new(Method::DELETE, target, "", Bytes::new())
    }

    /// Waits long for the answer.
    pub(super) fn slow(self) -> Self {
        Self { timeout: SLOW_TIMEOUT, ..self }
    }

    /// Is never tried again.
    pub(super) fn only_once(self) -> Self {
        Self { again: false, ..self }
    }
}

impl Reply {
    /// The answer as JSON; nothing is `null`.
    pub(super) fn json(&self) -> Result<Value, Exit> {
        if self.bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.bytes).map_err(|error| Exit::failed(format!("the answer cannot be read: {error}")))
    }

    /// The exit code of its status.
    pub(super) fn code(&self) -> u8 {
        match self.status.as_u16() {
            200..=299 => 0,
            400 | 405 | 406 | 411 | 413 | 414 | 415 | 422 => 2,
            404 | 410 => 3,
            401 | 403 | 407 => 4,
            409 | 412 | 428 => 5,
            402 | 429 | 503 => 6,
            408 | 504 => 8,
            _ => 1,
        }
    }

    /// What is not a success is a failure with the server's own words.
    pub(super) fn or_refusal(self) -> Result<Self, Exit> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal()) }
    }

    /// Whether a sign-in was refused only because a second factor is missing.
    pub(super) fn wants_code(&self) -> bool {
        let problem: Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        self.status == StatusCode::UNAUTHORIZED && problem["code"] == "mfa_required"
    }

    fn refusal(&self) -> Exit {
        let problem: Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        let text = match problem["detail"].as_str() {
            Some(detail) => detail.to_owned(),
            None => format!("the server answered {}", self.status),
        };
        let hint = if self.status == StatusCode::UNAUTHORIZED { "; try meterhouse login" } else { "" };
        Exit { code: self.code(), text: format!("{text}{hint}") }
    }

    fn wait(&self) -> Duration {
        let asked = self.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait_s: u64 = asked.and_then(|text| text.parse().ok()).unwrap_or(1);
        Duration::from_secs(wait_s.min(WAIT_S_MAX))
    }

    fn may_work_later(&self) -> bool {
        matches!(self.status.as_u16(), 429 | 503 | 504)
    }
}

impl Api {
    /// A client of the server at `url`.
    pub(super) fn new(url: &str, token: Option<String>) -> Result<Self, Exit> {
        let url = checked(url)?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let https = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| Exit::failed(format!("TLS cannot be set up: {error}")))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(https), url, token })
    }

    /// Makes the call; what is not a success is a failure with the server's own words.
    pub(super) async fn send(&self, call: Call) -> Result<Reply, Exit> {
        self.exchange(&call).await?.or_refusal()
    }

    /// Makes the call; any status is an answer.
    pub(super) async fn exchange(&self, call: &Call) -> Result<Reply, Exit> {
        let key = if call.method == Method::GET || !call.again { None } else { Some(random_key()) };
        let mut tries = 1;
        loop {
            let tried = tokio::time::timeout(call.timeout, self.try_once(call, key.as_deref())).await;
            let Ok(tried) = tried else {
                let text = format!("{} did not answer within {} s", self.url, call.timeout.as_secs());
                return Err(Exit { code: 8, text });
            };
            let reply = tried?;
            if !call.again || tries >= TRIES_MAX || !reply.may_work_later() {
                return Ok(reply);
            }
            tokio::time::sleep(reply.wait()).await;
            tries += 1;
        }
    }

    async fn try_once(&self, call: &Call, key: Option<&str>) -> Result<Reply, Exit> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.url, call.target))
            .header(header::USER_AGENT, concat!("meterhouse/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/json, */*");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if !call.media.is_empty() {
            request = request.header(header::CONTENT_TYPE, &call.media);
        }
        let unfit = |error: http::Error| Exit::usage(format!("{}{}: {error}", self.url, call.target));
        let request = request.body(Full::new(call.body.clone())).map_err(unfit)?;
        let broken = |error: &dyn Error| Exit::failed(format!("{}: {}", self.url, innermost(error)));
        let response = self.client.request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let bytes = body.map_err(|error| broken(&*error))?.to_bytes();
        Ok(Reply { status: head.status, headers: head.headers, bytes })
    }
}

fn checked(url: &str) -> Result<String, Exit> {
    let url = url.trim().trim_end_matches('/');
    let wrong = || Exit::usage(format!("{url:?} is not an address such as http://127.0.0.1:8080"));
    let parsed: Uri = url.parse().map_err(|_| wrong())?;
    let scheme = parsed.scheme_str().unwrap_or_default();
    let plain = parsed.query().is_none() && parsed.authority().is_some_and(|host| !host.as_str().contains('@'));
    if plain && (scheme == "http" || scheme == "https") { Ok(url.to_owned()) } else { Err(wrong()) }
}

/// The cause that says most.
fn innermost(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn random_key() -> String {
    let mut random = [0_u8; 16];
    MachineWorld::default().fill_random(&mut random);
    format!("{:032x}", u128::from_le_bytes(random))
}

/// A text as part of a path or a query.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        assert_eq!(checked("http://127.0.0.1:8080/").ok().as_deref(), Some("http://127.0.0.1:8080"));
        assert_eq!(checked("https://bill.example.net/sub").ok().as_deref(), Some("https://bill.example.net/sub"));
        for text in ["", "127.0.0.1:8080", "ftp://x", "http://", "http://a?b", "http://me:pw@host"] {
            assert!(checked(text).is_err(), "{text}");
        }
    }

    #[test]
    fn statuses_become_exit_codes() {
        let code = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            Reply { status, headers: HeaderMap::new(), bytes: Bytes::new() }.code()
        };
        let pairs =
            [(204, 0), (422, 2), (404, 3), (401, 4), (403, 4), (409, 5), (429, 6), (504, 8), (500, 1), (502, 1)];
        for (status, want) in pairs {
            assert_eq!(code(status), want, "{status}");
        }
    }

    #[test]
    fn texts_are_encoded() {
        assert_eq!(encode("a b/ü?"), "a%20b%2F%C3%BC%3F");
        assert_eq!(encode("org_01-x.~"), "org_01-x.~");
    }
}
