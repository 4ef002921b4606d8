//! Answers: cleaned of everything that is the upstream's, with the gateway's own ids.

use crate::forward::AnswerBody;
use crate::gateway::Fault;
use crate::inbound::{Inbound, Target};
use base::RequestId;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use s3::{Body, S3Error, empty_body, full_body};

/// An answer before it is metered and sent.
pub(crate) struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers, still without the gateway's own.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
    /// S3 code of an error, for the event.
    pub error_code: String,
}

impl Reply {
    /// Makes an answer without a body.
    pub(crate) fn empty(status: StatusCode, headers: HeaderMap) -> Self {
        Self { status, headers, body: empty_body(), error_code: String::new() }
    }

    /// Makes an answer of bytes; `Content-Length` is set by the server.
    pub(crate) fn bytes(status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Self {
        headers.remove(header::CONTENT_LENGTH);
        Self { status, headers, body: full_body(body), error_code: String::new() }
    }

    /// Makes an answer of XML.
    pub(crate) fn xml(body: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        Self::bytes(StatusCode::OK, headers, Bytes::from(body))
    }

    /// Makes an answer that streams.
    pub(crate) fn stream(status: StatusCode, headers: HeaderMap, body: AnswerBody) -> Self {
        Self { status, headers, body: body.boxed_unsync(), error_code: String::new() }
    }

    /// The size of a body in memory.
    pub(crate) fn known_size(&self) -> u64 {
        self.body.size_hint().exact().unwrap_or(0)
    }
}

/// Makes the answer of an error.
pub(crate) fn of_error(error: &S3Error, target: &Target, is_head: bool, request_id: RequestId) -> Reply {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::new();
    if error.status == 503 {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    let mut reply = if is_head {
        Reply::empty(status, headers)
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        let body = error.to_xml(&target.resource(), &target.bucket, &target.key_text(), &request_id.to_string());
        Reply::bytes(status, headers, Bytes::from(body))
    };
    error.code.clone_into(&mut reply.error_code);
    reply
}

/// Makes the answer of a request that is not served.
pub(crate) fn of_fault(fault: Fault, inbound: &Inbound) -> Reply {
    let error = match fault {
        Fault::Refused(error) => error,
        Fault::ClientSilent => S3Error::request_timeout(),
        // Nobody reads it.
        Fault::ClientGone => S3Error::incomplete_body(),
    };
    of_error(&error, &inbound.target, inbound.method == Method::HEAD, inbound.request_id)
}

/// Makes a whole response of an error.
pub(crate) fn refusal(error: &S3Error, target: &Target, is_head: bool, request_id: RequestId) -> Response<Body> {
    finish(of_error(error, target, is_head, request_id), request_id)
}

/// Puts the gateway's own headers on.
pub(crate) fn finish(reply: Reply, request_id: RequestId) -> Response<Body> {
    let mut response = Response::new(reply.body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    let id = HeaderValue::from_str(&request_id.to_string()).expect("ids are ASCII");
    response.headers_mut().insert("x-amz-request-id", id.clone());
    response.headers_mut().insert("x-amz-id-2", id);
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("Meterhouse"));
    response
}

/// Headers of an upstream's answer that stay with the gateway.
const OWN: [&str; 20] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "server",
    "date",
    "via",
    "alt-svc",
    "x-amz-request-id",
    "x-amz-id-2",
    "x-amz-bucket-region",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-expiration",
    "x-amz-abort-rule-id",
    "bucket",
    "location",
];

/// Copies an upstream's headers without those that are hop-by-hop or tell of the upstream.
pub(crate) fn clean_headers(upstream: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(upstream.len());
    for (name, value) in upstream {
        let vendor = ["x-rgw-", "x-minio-", "x-goog-", "x-oss-"].iter().any(|prefix| name.as_str().starts_with(prefix));
        if !OWN.contains(&name.as_str()) && !vendor {
            headers.append(name, value.clone());
        }
    }
    headers
}
