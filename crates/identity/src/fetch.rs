//! Small, guarded exchanges over HTTP/1.1 with addresses that customers named: JSON documents and forms.
//!
//! A name is resolved once, its answers are checked by [`crate::guard`], and a checked address is connected
//! to. No redirects, ten seconds for everything, one MiB of body, one connection for each exchange. TLS by
//! rustls with Mozilla's roots and those the operator adds.

use crate::Rejected;
use crate::guard::{Allowed, Host, Target, check_answers};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// For name, connection, handshake, question and answer together.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Discovery documents have a few KB, key sets of large providers some ten.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// For the head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Answers of a resolver that are tried.
const ADDRESSES_MAX: usize = 4;
/// How long an answer may be kept at most, whatever it says.
const MAX_AGE_S_MAX: u64 = 86_400;

/// Why an exchange failed. The texts are for the person who named the address.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address may not be spoken to, or a value is unfit.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The name is unknown or nothing listens.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// Host of the URL.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// The certificate or the handshake.
    #[error("secure connection to {host} failed: {reason}")]
    Tls {
        /// Host of the URL.
        host: String,
        /// What the TLS library said.
        reason: String,
    },
    /// The connection broke.
    #[error("request to {host} broke off: {reason}")]
    Broke {
        /// Host of the URL.
        host: String,
        /// What was said.
        reason: String,
    },
    /// No answer in time.
    #[error("{host} did not answer within {} s", TIMEOUT.as_secs())]
    Timeout {
        /// Host of the URL.
        host: String,
    },
    /// More than one MiB.
    #[error("the answer of {host} has more than {BODY_BYTES_MAX} bytes")]
    TooLarge {
        /// Host of the URL.
        host: String,
    },
    /// Redirects are not followed: they are a way around the guard.
    #[error("{host} answers with a redirect (status {status}); name the final address")]
    Redirect {
        /// Host of the URL.
        host: String,
        /// HTTP status.
        status: u16,
    },
    /// Another status than the document asks for.
    #[error("{host} answers {path} with status {status}")]
    Status {
        /// Host of the URL.
        host: String,
        /// Path that was asked for.
        path: String,
        /// HTTP status.
        status: u16,
    },
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// HTTP status, never a redirect.
    pub status: u16,
    /// Body of at most one MiB.
    pub body: Bytes,
    /// Seconds that the answer may be kept (RFC 9111 section 5.2.2.1), a day at most; none when it says nothing.
    pub max_age_s: Option<u64>,
}

/// Credentials of a form: name and secret by HTTP Basic.
#[derive(Clone, Copy)]
pub struct Basic<'a> {
    /// Name, already escaped as the protocol wants it.
    pub name: &'a str,
    /// Secret, already escaped as the protocol wants it.
    pub secret: &'a str,
}

/// Makes guarded exchanges.
#[derive(Clone)]
pub struct Fetcher {
    tls: TlsConnector,
    allowed: Allowed,
    timeout: Duration,
}

impl Fetcher {
    /// A fetcher that may speak to public addresses and to what the operator allows. `extra_roots` are DER
    /// certificates of authorities besides Mozilla's.
    ///
    /// # Errors
    /// When an extra root is no certificate.
    pub fn new(allowed: Allowed, extra_roots: &[Vec<u8>]) -> Result<Self, Rejected> {
        let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for root in extra_roots {
            roots
                .add(CertificateDer::from(root.clone()))
                .map_err(|error| Rejected::silent("root certificate", format!("cannot be read: {error}")))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), allowed, timeout: TIMEOUT })
    }

    /// What this fetcher may speak to.
    #[must_use]
    pub fn allowed(&self) -> &Allowed {
        &self.allowed
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// [`FetchError`]; a status other than 2xx and 3xx is an answer.
    pub async fn get(&self, url: &str) -> Result<Fetched, FetchError> {
        self.exchange(Method::GET, &url.parse()?, HeaderMap::new(), Bytes::new()).await
    }

    /// Asks for a document as the holder of an access token (RFC 6750 section 2.1).
    ///
    /// # Errors
    /// [`FetchError`]; a status other than 2xx and 3xx is an answer.
    pub async fn get_as(&self, url: &str, access_token: &str) -> Result<Fetched, FetchError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, secret_header(&format!("Bearer {access_token}"))?);
        self.exchange(Method::GET, &url.parse()?, headers, Bytes::new()).await
    }

    /// Sends a form.
    ///
    /// # Errors
    /// [`FetchError`]; a status other than 2xx and 3xx is an answer.
    pub async fn post_form(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        basic: Option<Basic<'_>>,
    ) -> Result<Fetched, FetchError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(basic) = basic {
            let pair = format!("{}:{}", basic.name, basic.secret);
            let value = format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()));
            headers.insert(AUTHORIZATION, secret_header(&value)?);
        }
        let body = Bytes::from(crate::query::write(fields));
        self.exchange(Method::POST, &url.parse()?, headers, body).await
    }

    async fn exchange(
        &self,
        method: Method,
        target: &Target,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Fetched, FetchError> {
        let work = async {
            let answers = resolve(target).await?;
            self.exchange_with(&answers, method, target, headers, body).await
        };
        match tokio::time::timeout(self.timeout, work).await {
            Ok(done) => done,
            Err(_) => Err(FetchError::Timeout { host: target.host.to_string() }),
        }
    }

    /// The exchange once the name is resolved. It never asks for the name again.
    async fn exchange_with(
        &self,
        answers: &[IpAddr],
        method: Method,
        target: &Target,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Fetched, FetchError> {
        let addresses = check_answers(&target.host, answers, target, &self.allowed)?;
        let stream = connect(target, addresses).await?;
        let unfit = || Rejected::new("url", &target.to_string(), "cannot be written into a request");
        headers.insert(HOST, HeaderValue::from_str(&target.authority()).map_err(|_| unfit())?);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("meterhouse"));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.path.parse().map_err(|_| unfit())?;
        *request.headers_mut() = headers;
        if target.https { self.secure(stream, target, request).await } else { speak(stream, target, request).await }
    }

    async fn secure(
        &self,
        stream: TcpStream,
        target: &Target,
        request: Request<Full<Bytes>>,
    ) -> Result<Fetched, FetchError> {
        let name = match &target.host {
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|error| Rejected::new("host", name, format!("is no name for TLS: {error}")))?,
            Host::Address(address) => ServerName::from(*address),
        };
        let stream = self
            .tls
            .connect(name, stream)
            .await
            .map_err(|error| FetchError::Tls { host: target.host.to_string(), reason: error.to_string() })?;
        speak(stream, target, request).await
    }
}

fn secret_header(text: &str) -> Result<HeaderValue, Rejected> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| Rejected::silent("credential", "has characters no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn resolve(target: &Target) -> Result<Vec<IpAddr>, FetchError> {
    match &target.host {
        Host::Address(address) => Ok(vec![*address]),
        Host::Name(name) => {
            let answers = tokio::net::lookup_host((name.as_str(), target.port))
                .await
                .map_err(|error| FetchError::Connect { host: name.clone(), reason: error.to_string() })?;
            Ok(answers.map(|answer| answer.ip()).collect())
        }
    }
}

async fn connect(target: &Target, addresses: &[IpAddr]) -> Result<TcpStream, FetchError> {
    let mut reason = "it has no address".to_owned();
    for address in addresses.iter().take(ADDRESSES_MAX) {
        match TcpStream::connect(SocketAddr::new(*address, target.port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(FetchError::Connect { host: target.host.to_string(), reason })
}

async fn speak<S>(stream: S, target: &Target, request: Request<Full<Bytes>>) -> Result<Fetched, FetchError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let host = target.host.to_string();
    let broke = |error: hyper::Error| FetchError::Broke { host: host.clone(), reason: error.to_string() };
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await.map_err(broke)?;
    // Aborted when this function ends, however it ends.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let answer = sender.send_request(request).await.map_err(broke)?;
    let status = answer.status();
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return Err(FetchError::Redirect { host, status: status.as_u16() });
    }
    let max_age_s = max_age_s(answer.headers());
    let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return FetchError::TooLarge { host: host.clone() };
        }
        FetchError::Broke { host: host.clone(), reason: error.to_string() }
    })?;
    Ok(Fetched { status: status.as_u16(), body: body.to_bytes(), max_age_s })
}

fn max_age_s(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CACHE_CONTROL)?.to_str().ok()?.to_ascii_lowercase();
    let parts = || text.split(',').map(str::trim);
    if parts().any(|part| part == "no-store" || part == "no-cache") {
        return Some(0);
    }
    let age: u64 = parts().find_map(|part| part.strip_prefix("max-age="))?.trim_matches('"').parse().ok()?;
    Some(age.min(MAX_AGE_S_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers one connection with these bytes and gives what was asked.
    async fn server(answer: Vec<u8>) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4_096];
            let length = stream.read(&mut asked).await.unwrap();
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        (port, task)
    }

    fn local() -> Fetcher {
        Fetcher::new(Allowed { loopback: true, ..Allowed::default() }, &[]).unwrap()
    }

    #[tokio::test]
    async fn a_document_is_fetched() {
        let (port, asked) =
            server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: Max-Age=600, public\r\n\r\n{}".to_vec())
                .await;
        let got = local().get(&format!("http://127.0.0.1:{port}/a?b=c")).await.unwrap();
        assert_eq!((got.status, &got.body[..], got.max_age_s), (200, &b"{}"[..], Some(600)));
        let asked = asked.await.unwrap().to_lowercase();
        assert!(asked.starts_with("get /a?b=c http/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{asked}");
    }

    #[tokio::test]
    async fn a_form_is_sent() {
        let (port, asked) = server(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
        let basic = Basic { name: "id", secret: "se%3Acret" };
        let url = format!("http://127.0.0.1:{port}/token");
        let got = local().post_form(&url, &[("code", "a b&c=d"), ("x", "ü")], Some(basic)).await.unwrap();
        assert_eq!(got.status, 400);
        let asked = asked.await.unwrap();
        assert!(asked.contains("Basic aWQ6c2UlM0FjcmV0\r\n"), "{asked}");
        assert!(asked.ends_with("\r\n\r\ncode=a%20b%26c%3Dd&x=%C3%BC"), "{asked}");
    }

    /// The checked address is connected to: this name exists nowhere.
    #[tokio::test]
    async fn a_name_is_never_asked_for_twice() {
        let (port, _asked) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
        let target: Target = format!("http://name.invalid:{port}/").parse().unwrap();
        let answers = ["127.0.0.1".parse().unwrap()];
        let got = local().exchange_with(&answers, Method::GET, &target, HeaderMap::new(), Bytes::new()).await;
        assert_eq!(got.unwrap().status, 200);
    }

    #[tokio::test]
    async fn bad_answers_of_a_resolver_are_not_connected_to() {
        let target: Target = "https://name.invalid/".parse().unwrap();
        let strict = Fetcher::new(Allowed::default(), &[]).unwrap();
        for answers in [vec!["127.0.0.1"], vec!["8.8.8.8", "127.0.0.1"], vec!["::ffff:10.0.0.1"], vec![]] {
            let answers: Vec<IpAddr> = answers.into_iter().map(|text| text.parse().unwrap()).collect();
            let got = strict.exchange_with(&answers, Method::GET, &target, HeaderMap::new(), Bytes::new()).await;
            assert!(matches!(got, Err(FetchError::Rejected(_))), "{answers:?}");
        }
        for url in ["http://127.0.0.1:1/", "https://localhost/", "https://169.254.169.254/", "https://[::1]/"] {
            assert!(matches!(strict.get(url).await, Err(FetchError::Rejected(_))), "{url}");
        }
    }

    #[tokio::test]
    async fn redirects_and_large_answers_are_errors() {
        let (port, _asked) =
            server(b"HTTP/1.1 302 Found\r\nlocation: https://x.example/\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
        let got = local().get(&format!("http://127.0.0.1:{port}/")).await;
        assert!(matches!(got, Err(FetchError::Redirect { status: 302, .. })), "{got:?}");
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BODY_BYTES_MAX + 1).into_bytes();
        let (port, _asked) = server([head, vec![b' '; BODY_BYTES_MAX + 1]].concat()).await;
        let got = local().get(&format!("http://127.0.0.1:{port}/")).await;
        assert!(matches!(got, Err(FetchError::TooLarge { .. })), "{got:?}");
        let (port, _asked) = server(b"hello\r\n\r\n".to_vec()).await;
        let got = local().get(&format!("http://127.0.0.1:{port}/")).await;
        assert!(matches!(got, Err(FetchError::Broke { .. })), "{got:?}");
    }

    #[tokio::test]
    async fn a_silent_peer_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fetcher = Fetcher { timeout: Duration::from_millis(20), ..local() };
        let got = fetcher.get(&format!("http://127.0.0.1:{port}/")).await;
        assert!(matches!(got, Err(FetchError::Timeout { .. })), "{got:?}");
    }

    /// Host that is asked for, whether the root is known.
    #[tokio::test]
    async fn certificates_are_checked() {
        let root = include_bytes!("../tests/it/fixtures/ca.der").to_vec();
        let chain = vec![CertificateDer::from(&include_bytes!("../tests/it/fixtures/leaf.der")[..])];
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(&include_bytes!("../tests/it/fixtures/leaf.pk8")[..]);
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key.into())
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let _server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut asked = [0; 1_024];
                    let _ = stream.read(&mut asked).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                }
            }
        });
        let allowed = Allowed { loopback: true, ..Allowed::default() };
        let (trusting, plain) = (Fetcher::new(allowed.clone(), &[root]).unwrap(), Fetcher::new(allowed, &[]).unwrap());
        for (host, fetcher, good) in [
            ("idp.test", &trusting, true),
            ("127.0.0.1", &trusting, true),
            ("other.test", &trusting, false),
            ("idp.test", &plain, false),
        ] {
            let target: Target = format!("https://{host}:{port}/").parse().unwrap();
            let answers = ["127.0.0.1".parse().unwrap()];
            let got = fetcher.exchange_with(&answers, Method::GET, &target, HeaderMap::new(), Bytes::new()).await;
            match got {
                Ok(got) => assert!(good && got.status == 200, "{host}"),
                Err(error) => assert!(!good && matches!(error, FetchError::Tls { .. }), "{host}: {error}"),
            }
        }
    }
}
