//! Sends signed requests to an upstream: HTTP/1.1 with connection reuse, TLS by rustls with ring and
//! Mozilla's roots.
//!
//! Bodies stream; nothing is retried here. The helper calls for small, typed exchanges are in `calls`.

use crate::endpoint::Upstream;
use crate::names;
use crate::sign::{Signer, SigningKeyCache, sign_headers};
use crate::xml::XmlError;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Any error of a body.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A streaming body.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept. Upstreams close theirs after a minute or so.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Makes a body of nothing.
#[must_use]
pub fn empty_body() -> Body {
    Empty::<Bytes>::new().map_err(|never: Infallible| -> BoxError { match never {} }).boxed_unsync()
}

/// Makes a body of bytes in memory.
#[must_use]
pub fn full_body(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| -> BoxError { match never {} }).boxed_unsync()
}

/// What can go wrong with an upstream. The texts are shown to the person who linked the account.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens there, or the name is unknown.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// Host of the endpoint.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// The certificate or the handshake.
    #[error("secure connection to {host} failed: {reason}")]
    Tls {
        /// Host of the endpoint.
        host: String,
        /// What the TLS library said.
        reason: String,
    },
    /// The connection broke, or the request body did.
    #[error("request to {host} broke off: {reason}")]
    Transport {
        /// Host of the endpoint.
        host: String,
        /// What was said.
        reason: String,
    },
    /// No answer.
    #[error("{host} did not answer within {seconds} s")]
    Timeout {
        /// Host of the endpoint.
        host: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The upstream answered with an error.
    #[error("{}", explain(.status, .code, .message))]
    Refused {
        /// HTTP status.
        status: u16,
        /// S3 code, empty when the answer had none.
        code: String,
        /// The upstream's text.
        message: String,
    },
    /// The answer is not what S3 answers.
    #[error("answer of {host} cannot be read: {reason}")]
    Answer {
        /// Host of the endpoint.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The request cannot be written down.
    #[error("request cannot be written: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
}

fn explain(status: &u16, code: &str, message: &str) -> String {
    let hint = match code {
        "InvalidAccessKeyId" => {
            "the storage does not know this access key id; check for a typing error or a deleted key"
        }
        "SignatureDoesNotMatch" => "the secret does not belong to this access key id, or the region is wrong",
        "RequestTimeTooSkewed" => "the clocks of this machine and of the storage differ by more than 15 minutes",
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "IllegalLocationConstraintException" => "the region or the endpoint is not that of the account",
        "AccessDenied" | "AllAccessDisabled" => "the key is valid but has no right to do this",
        "NoSuchBucket" => "the bucket does not exist in this account",
        _ => "the storage refused the request",
    };
    let code = if code.is_empty() { "no code" } else { code };
    if message.is_empty() {
        format!("{hint} (status {status}, {code})")
    } else {
        format!("{hint} (status {status}, {code}: {message})")
    }
}

impl ClientError {
    /// The S3 code of a refusal, or an empty text.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// The status of a refusal, or 0.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Refused { status, .. } => *status,
            _ => 0,
        }
    }

    pub(crate) fn xml(host: &str, error: &XmlError) -> Self {
        Self::Answer { host: host.to_owned(), reason: error.to_string() }
    }
}

/// The chain of causes, with what `io::Error` wraps.
fn causes<'a>(first: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut chain = vec![first];
    let mut current = first;
    for _ in 0..16 {
        let next = match current.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => current.source(),
        };
        let Some(next) = next else { break };
        chain.push(next);
        current = next;
    }
    chain
}

fn transport_error(host: String, error: &legacy::Error) -> ClientError {
    let chain = causes(error);
    let reason = chain.last().map_or_else(|| error.to_string(), |cause| cause.to_string());
    if chain.iter().any(|cause| cause.is::<rustls::Error>()) {
        return ClientError::Tls { host, reason };
    }
    if error.is_connect() { ClientError::Connect { host, reason } } else { ClientError::Transport { host, reason } }
}

/// A request on its way to an upstream.
pub struct Outgoing<'a> {
    /// Method.
    pub method: Method,
    /// Real bucket; empty for the account itself.
    pub bucket: &'a str,
    /// Real key, percent-encoded; empty for the bucket itself.
    pub raw_key: &'a str,
    /// Query in the canonical encoding, without `?`.
    pub query: &'a str,
    /// Headers besides host and signature. Set `content-length` for a streaming body.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
    /// Value of `x-amz-content-sha256`.
    pub payload_hash: &'a str,
    /// Time of the signature, microseconds UTC.
    pub now_us: i64,
}

/// The longest wait for the head of an answer: nothing hangs for ever.
const ANSWER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3_600);

/// What is about to be connected to.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The name, or the address as it was written.
    pub host: &'a str,
    /// Whether by https.
    pub is_https: bool,
    /// Where the name leads at this moment.
    pub addresses: &'a [IpAddr],
}

/// Says whether a destination may be connected to; the text says why not.
pub type AddressCheck = Arc<dyn Fn(&Destination<'_>) -> Result<(), String> + Send + Sync>;

/// Resolves names and has the answers checked: what is checked is what is connected to. Hosts that are
/// addresses never come here; `Client::check_literal` looks at those.
#[derive(Clone)]
struct CheckedResolver {
    check: AddressCheck,
    is_https: bool,
}

impl tower::Service<Name> for CheckedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { check, is_https } = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let addresses: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
            check(&Destination { host: name.as_str(), is_https, addresses: &addresses })?;
            Ok(found.into_iter())
        })
    }
}

type Connections = legacy::Client<HttpsConnector<HttpConnector<CheckedResolver>>, Body>;

/// A client for any number of upstreams.
pub struct Client {
    https: Connections,
    http: Connections,
    keys: Arc<SigningKeyCache>,
    check: AddressCheck,
}

impl Client {
    /// Makes a client with an empty pool of connections that connects anywhere.
    pub fn new() -> Result<Self, ClientError> {
        Self::checked(Arc::new(|_| Ok(())))
    }

    /// Makes a client that connects only where `check` lets it.
    pub fn checked(check: AddressCheck) -> Result<Self, ClientError> {
        Self::with_keys(check, Arc::default())
    }

    /// Makes a client with a pool of its own and the same check, to be used in another runtime.
    pub fn with_own_connections(&self) -> Result<Self, ClientError> {
        Self::with_keys(Arc::clone(&self.check), Arc::clone(&self.keys))
    }

    fn with_keys(check: AddressCheck, keys: Arc<SigningKeyCache>) -> Result<Self, ClientError> {
        let connections = |is_https| Self::connections(CheckedResolver { check: Arc::clone(&check), is_https });
        Ok(Self { https: connections(true)?, http: connections(false)?, keys, check })
    }

    fn connections(resolver: CheckedResolver) -> Result<Connections, ClientError> {
        let mut http = HttpConnector::new_with_resolver(resolver);
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        http.set_keepalive(Some(IDLE_TIMEOUT));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| ClientError::Request { reason: error.to_string() })?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Ok(legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(https))
    }

    /// Signs and sends a request, giving the answer as soon as its head is there.
    ///
    /// Any status is an answer; only what prevents one is an error.
    pub async fn send(&self, upstream: &Upstream, outgoing: Outgoing<'_>) -> Result<Response<Incoming>, ClientError> {
        let host = upstream.host(outgoing.bucket);
        self.check_literal(&host, upstream.https)?;
        let request = self.sign(upstream, &host, outgoing)?;
        let connections = if upstream.https { &self.https } else { &self.http };
        // Counted from the start of the body, so it leaves room for a slow upload of the largest part.
        match tokio::time::timeout(ANSWER_TIMEOUT, connections.request(request)).await {
            Ok(answer) => answer.map_err(|error| transport_error(host, &error)),
            Err(_) => Err(ClientError::Answer { host, reason: "it did not answer within an hour".to_owned() }),
        }
    }

    /// Checks a host that is an address, also one that bucket and endpoint spell only together.
    fn check_literal(&self, host: &str, is_https: bool) -> Result<(), ClientError> {
        let refused = |reason: String| ClientError::Connect { host: host.to_owned(), reason };
        let authority: http::uri::Authority = host.parse().map_err(|_| refused("is no host".to_owned()))?;
        match authority.host().trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => (self.check)(&Destination { host, is_https, addresses: &[address] }).map_err(refused),
            Err(_) => Ok(()),
        }
    }

    /// Forgets the derived keys of an account whose secret changed.
    pub fn forget(&self, access_key_id: &str) {
        self.keys.forget(access_key_id);
    }

    fn sign(&self, upstream: &Upstream, host: &str, outgoing: Outgoing<'_>) -> Result<Request<Body>, ClientError> {
        let unfit = |reason: String| ClientError::Request { reason };
        let mut path = upstream.path(outgoing.bucket, &names::canonical_path(outgoing.raw_key));
        if !outgoing.query.is_empty() {
            path.push('?');
            path.push_str(outgoing.query);
        }
        let scheme = if upstream.https { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{host}{path}")
            .parse()
            .map_err(|error: http::uri::InvalidUri| unfit(error.to_string()))?;
        let mut headers = outgoing.headers;
        let host_value = HeaderValue::from_str(host).map_err(|error| unfit(error.to_string()))?;
        headers.insert(http::header::HOST, host_value);
        let signer = Signer {
            access_key_id: &upstream.access_key_id,
            secret: &upstream.secret,
            region: &upstream.region,
            now_us: outgoing.now_us,
            cache: &self.keys,
        };
        sign_headers(&signer, outgoing.method.as_str(), &path, &mut headers, outgoing.payload_hash)
            .map_err(|error| unfit(error.to_string()))?;
        let mut request = Request::new(outgoing.body);
        *request.method_mut() = outgoing.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_cause() {
        let refused = |code: &str| {
            ClientError::Refused { status: 403, code: code.to_owned(), message: "no".to_owned() }.to_string()
        };
        assert!(refused("SignatureDoesNotMatch").starts_with("the secret does not belong"));
        assert!(refused("InvalidAccessKeyId").contains("does not know this access key id"));
        assert!(refused("Odd").ends_with("(status 403, Odd: no)"));
    }
}
