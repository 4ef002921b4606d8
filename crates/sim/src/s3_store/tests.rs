//! The store over loopback, through a signed client of its own.

use super::{S3Store, signature};
use base::World;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;

const DATE: &str = "20261001T000000Z";
const SCOPE: &str = "20261001/us-east-1/s3/aws4_request";

/// Stands still at the start of October 2026.
struct StillWorld;

impl World for StillWorld {
    fn now_us(&self) -> i64 {
        1_790_812_800_000_000
    }

    fn fill_random(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

struct Bench {
    store: S3Store,
    client: Client<HttpConnector, Full<Bytes>>,
    dir: PathBuf,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Bench {
    async fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("meterhouse-sim-{}-{name}", std::process::id()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let credentials = vec![("KEY".to_owned(), "secret".to_owned())];
        let store = S3Store::start(listener, credentials, dir.clone(), Arc::new(StillWorld));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { store, client, dir }
    }

    /// Sends a request signed with `secret`; `hash` stands for the body's own unless given.
    async fn send_as(
        &self,
        secret: &str,
        line: &str,
        headers: &[(&'static str, &str)],
        body: &str,
        hash: Option<&str>,
    ) -> Result<Reply, String> {
        let (method, target) = line.split_once(' ').unwrap();
        let hash = hash.map_or_else(|| hex::encode(Sha256::digest(body.as_bytes())), str::to_owned);
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("http://{}{target}", self.store.addr()))
            .header("host", self.store.addr().to_string())
            .header("x-amz-date", DATE)
            .header("x-amz-content-sha256", &hash);
        let mut request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        for &(name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let (mut parts, body) = request.into_parts();
        let mut signed: Vec<String> = parts.headers.keys().map(|name| name.as_str().to_owned()).collect();
        signed.sort();
        let signed = signed.join(";");
        let canonical = signature::canonical_request(&parts, &signed, &hash);
        let signature = signature::sign(secret, DATE, SCOPE, &canonical);
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential=KEY/{SCOPE}, SignedHeaders={signed}, Signature={signature}");
        parts.headers.insert("authorization", HeaderValue::from_str(&authorization).unwrap());
        let response = self.client.request(Request::from_parts(parts, body)).await;
        let (parts, body) = response.map_err(|error| error.to_string())?.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    async fn send(&self, line: &str, headers: &[(&'static str, &str)], body: &str) -> Reply {
        self.send_as("secret", line, headers, body, None).await.unwrap()
    }

    /// Sends a request and expects a status and a text in the answer.
    async fn check(&self, line: &str, body: &str, status: u16, text: &str) -> Reply {
        let reply = self.send(line, &[], body).await;
        assert_eq!(reply.status, status, "{line}: {}", reply.body);
        assert!(reply.body.contains(text), "{line}: {} lacks {text}", reply.body);
        reply
    }

    async fn end(self) {
        self.store.stop().await;
        let left = std::fs::read_dir(&self.dir).map_or(0, |files| files.count());
        assert_eq!(left, 0, "every file goes with the store");
        if self.dir.exists() {
            std::fs::remove_dir(&self.dir).unwrap();
        }
    }
}

#[tokio::test]
async fn keeps_objects() {
    let bench = Bench::new("objects").await;
    bench.check("PUT /box/k", "x", 404, "NoSuchBucket").await;
    bench.check("PUT /box", "", 200, "").await;
    bench.check("PUT /box", "", 409, "BucketAlreadyOwnedByYou").await;
    bench.check("GET /", "", 200, "<Name>box</Name>").await;
    let stored =
        bench.send("PUT /box/a%20b", &[("x-amz-meta-note", "hi"), ("content-type", "text/plain")], "hello").await;
    assert_eq!((stored.status, stored.header("etag")), (200, "\"5d41402abc4b2a76b9719d911017c592\""));
    let got = bench.check("GET /box/a%20b", "", 200, "hello").await;
    assert_eq!((got.header("x-amz-meta-note"), got.header("content-type")), ("hi", "text/plain"));
    assert_eq!(got.header("last-modified"), "Thu, 01 Oct 2026 00:00:00 GMT");
    let part = bench.send("GET /box/a%20b", &[("range", "bytes=1-2")], "").await;
    assert_eq!((part.status, part.body.as_str(), part.header("content-range")), (206, "el", "bytes 1-2/5"));
    let beyond = bench.send("GET /box/a%20b", &[("range", "bytes=5-")], "").await;
    assert_eq!(beyond.status, 416);
    let known = bench.send("GET /box/a%20b", &[("if-none-match", stored.header("etag"))], "").await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    let head = bench.send("HEAD /box/a%20b", &[], "").await;
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, "5", ""));
    let copied = bench.send("PUT /box/copy", &[("x-amz-copy-source", "/box/a%20b")], "").await;
    assert_eq!(copied.status, 200, "{}", copied.body);
    bench.check("DELETE /box/a%20b", "", 204, "").await;
    bench.check("GET /box/a%20b", "", 404, "NoSuchKey").await;
    bench.check("GET /box/copy", "", 200, "hello").await;
    bench.check("DELETE /box", "", 409, "BucketNotEmpty").await;
    let keys = "<Delete><Object><Key>copy</Key></Object><Object><Key>none</Key></Object></Delete>";
    bench.check("POST /box?delete", keys, 200, "<Key>none</Key>").await;
    bench.check("DELETE /box", "", 204, "").await;
    bench.end().await;
}

#[tokio::test]
async fn refuses_what_does_not_fit() {
    let bench = Bench::new("refusals").await;
    bench.check("PUT /box", "", 200, "").await;
    let wrong = Some("0000000000000000000000000000000000000000000000000000000000000000");
    let reply = bench.send_as("secret", "PUT /box/k", &[], "x", wrong).await.unwrap();
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("XAmzContentSHA256Mismatch"), "{}", reply.body);
    bench.check("GET /box/k", "", 404, "NoSuchKey").await;
    let reply = bench.send_as("other", "GET /box/k", &[], "", None).await.unwrap();
    assert!(reply.body.contains("SignatureDoesNotMatch"), "{}", reply.body);
    bench.check("GET /box?acl", "", 501, "NotImplemented").await;
    bench.end().await;
}

#[tokio::test]
async fn lists_in_pages() {
    let bench = Bench::new("lists").await;
    bench.check("PUT /box", "", 200, "").await;
    for key in ["a/1", "a/2", "b", "c/%26", "d"] {
        bench.check(&format!("PUT /box/{key}"), key, 200, "").await;
    }
    let first = bench.check("GET /box?list-type=2&delimiter=%2F&max-keys=2", "", 200, "<IsTruncated>true").await;
    assert!(first.body.contains("<CommonPrefixes><Prefix>a/</Prefix>"), "{}", first.body);
    let (_, token) = first.body.split_once("<NextContinuationToken>").unwrap();
    let (token, _) = token.split_once('<').unwrap();
    let line = format!("GET /box?continuation-token={token}&delimiter=%2F&list-type=2");
    let second = bench.check(&line, "", 200, "<KeyCount>2</KeyCount>").await;
    assert!(second.body.contains("<Prefix>c/</Prefix>") && second.body.contains("<Key>d</Key>"), "{}", second.body);
    assert!(!second.body.contains("<Key>b</Key>") && !second.body.contains("a/"), "{}", second.body);
    bench.check("GET /box?prefix=c%2F", "", 200, "<Key>c/&amp;</Key>").await;
    bench.check("GET /box?encoding-type=url&marker=b", "", 200, "<Key>c/%26</Key>").await;
    bench.end().await;
}

#[tokio::test]
async fn joins_parts() {
    let bench = Bench::new("parts").await;
    bench.check("PUT /box", "", 200, "").await;
    let started = bench.check("POST /box/k?uploads", "", 200, "<UploadId>").await;
    let (_, id) = started.body.split_once("<UploadId>").unwrap();
    let (id, _) = id.split_once('<').unwrap();
    let mut named = String::new();
    for (number, text) in [(1, "hello "), (3, "world")] {
        let reply = bench.check(&format!("PUT /box/k?partNumber={number}&uploadId={id}"), text, 200, "").await;
        let etag = reply.header("etag");
        named.push_str(&format!("<Part><ETag>{etag}</ETag><PartNumber>{number}</PartNumber></Part>"));
    }
    bench.check("GET /box?uploads", "", 200, id).await;
    bench.check(&format!("GET /box/k?uploadId={id}"), "", 200, "<PartNumber>3</PartNumber>").await;
    bench.check("GET /box/k", "", 404, "NoSuchKey").await;
    let document = format!("<CompleteMultipartUpload>{named}</CompleteMultipartUpload>");
    bench.check(&format!("POST /box/k?uploadId={id}"), &document, 200, "-2&quot;</ETag>").await;
    bench.check("GET /box/k", "", 200, "hello world").await;
    bench.check(&format!("DELETE /box/k?uploadId={id}"), "", 404, "NoSuchUpload").await;
    bench.end().await;
}

#[tokio::test]
async fn fails_on_order() {
    let bench = Bench::new("faults").await;
    bench.check("PUT /box", "", 200, "").await;
    bench.check("PUT /box/k", "hello", 200, "").await;
    let faults = bench.store.faults();
    faults.fail_next(503, "SlowDown", 2);
    bench.check("GET /box/k", "", 503, "SlowDown").await;
    bench.check("GET /box/k", "", 503, "SlowDown").await;
    bench.check("GET /box/k", "", 200, "hello").await;
    faults.refuse_all_with_403(true);
    bench.check("GET /box/k", "", 403, "AccessDenied").await;
    faults.refuse_all_with_403(false);
    faults.cut_next_download(2);
    assert!(bench.send_as("secret", "GET /box/k", &[], "", None).await.is_err());
    bench.check("GET /box/k", "", 200, "hello").await;
    assert_eq!(bench.store.requests_seen(), 8);
    bench.end().await;
}
