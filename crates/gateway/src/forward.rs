//! Passing requests on and answers back.

use crate::answer::{self, Reply};
use crate::gateway::{Fault, Gateway};
use crate::inbound::Inbound;
use crate::meter::Meter;
use crate::port::{Mapping, Port};
use crate::upload::UploadState;
use crate::upstream_errors::{Blame, blame, by_status};
use crate::{tokens, upload};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use s3::payload::ChecksumsOf;
use s3::rewrite::{Rewrite, rewrite_xml};
use s3::xml::{self, XmlError};
use s3::{Body, Operation, Outgoing, PayloadDecoder, PayloadMode, Query, S3Error, empty_body, full_body, names};
use serving::idle::IdleBody;
use std::pin::pin;

/// Largest request body that is read into memory: XML only.
const REQUEST_BYTES_MAX: u64 = 2 * 1_024 * 1_024;

/// Largest answer that is read into memory: XML only.
const ANSWER_BYTES_MAX: usize = 20 * 1_024 * 1_024;

/// Headers of the client that stay with the gateway.
const OWN: [&str; 28] = [
    "authorization",
    "connection",
    "content-length",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-request-payer",
    "x-amz-security-token",
    "x-amz-source-expected-bucket-owner",
    "x-amz-trailer",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Headers that make some store do more than the request says: unpack an archive over the whole bucket, move
/// or copy from a place that was not mapped, open an object to others.
pub(crate) fn check_headers(inbound: &Inbound) -> Result<(), S3Error> {
    let vendor =
        ["x-amz-meta-snowball-", "x-amz-meta-minio-snowball-", "x-minio-", "x-goog-", "x-oss-", "x-obs-", "x-cos-"];
    for (name, value) in &inbound.headers {
        let name = name.as_str();
        let foreign_source = name.contains("copy-source") && !name.starts_with("x-amz-copy-source");
        let moves = name.contains("rename-source") || foreign_source;
        if moves || vendor.iter().any(|prefix| name.starts_with(prefix)) {
            return Err(S3Error::not_implemented().saying(format!("The header {name} is not supported.")));
        }
        let private = ["private", "bucket-owner-full-control"].iter().any(|acl| value.as_bytes() == acl.as_bytes());
        if name.starts_with("x-amz-grant-") || (name == "x-amz-acl" && !private) {
            return Err(
                S3Error::access_denied().saying(format!("{name}: rights are given by the gateway, not by ACLs."))
            );
        }
    }
    if inbound.query.has("renameObject") || (inbound.query.has("select") && inbound.query.has("restore")) {
        return Err(S3Error::not_implemented());
    }
    Ok(())
}

/// Gives the client's headers as the upstream may see them.
pub(crate) fn upstream_headers(inbound: &Inbound) -> HeaderMap {
    let named_by_connection = connection_options(&inbound.headers);
    let trailing = matches!(inbound.verified.payload, PayloadMode::SignedChunksTrailer | PayloadMode::UnsignedTrailer);
    let mut headers = HeaderMap::with_capacity(inbound.headers.len());
    for (name, value) in &inbound.headers {
        let text = name.as_str();
        // A checksum that came as a trailer was verified here and is not sent on; announcing its
        // algorithm without its value would be refused.
        let without_value = trailing && text == "x-amz-sdk-checksum-algorithm";
        if OWN.contains(&text) || without_value || named_by_connection.iter().any(|option| option == text) {
            continue;
        }
        if *name == header::CONTENT_ENCODING {
            if let Some(value) = without_aws_chunked(value) {
                headers.append(name, value);
            }
            continue;
        }
        headers.append(name, value.clone());
    }
    headers
}

fn connection_options(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|option| option.trim().to_ascii_lowercase()).collect()
}

/// Removes `aws-chunked` from a `Content-Encoding`; none when nothing stays.
fn without_aws_chunked(value: &HeaderValue) -> Option<HeaderValue> {
    let Ok(text) = value.to_str() else { return Some(value.clone()) };
    let kept: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    if kept.is_empty() { None } else { HeaderValue::from_str(&kept.join(",")).ok() }
}

/// The body of an upstream's answer.
pub(crate) type AnswerBody = IdleBody<Incoming>;

/// Reads an upstream's answer into memory.
pub(crate) async fn read_answer(body: AnswerBody) -> Result<Bytes, Fault> {
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| {
        tracing::error!(%error, "answer of the upstream cannot be read");
        S3Error::service_unavailable()
    })?;
    Ok(collected.to_bytes())
}

/// Whose checksums the request's checksum headers are.
pub(crate) fn checksums_of(operation: Operation) -> ChecksumsOf {
    match operation {
        Operation::CompleteMultipartUpload | Operation::CreateMultipartUpload => ChecksumsOf::Object,
        _ => ChecksumsOf::Body,
    }
}

/// A request to an upstream whose body is in memory.
pub(crate) struct SmallRequest<'a> {
    /// Method.
    pub method: Method,
    /// Real key, percent-encoded; empty for the bucket.
    pub raw_key: &'a str,
    /// Query.
    pub query: &'a Query,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl<P: Port> Gateway<P> {
    /// Sends a request whose body is in memory.
    pub(crate) async fn send_small(
        &self,
        mapping: &Mapping,
        request: SmallRequest<'_>,
        meter: &Meter<P>,
    ) -> Result<Response<AnswerBody>, Fault> {
        let payload_hash = names::sha256_hex(&request.body);
        let mut headers = request.headers;
        if matches!(request.method, Method::PUT | Method::POST) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(request.body.len()));
        }
        let body: Body = if request.body.is_empty() { empty_body() } else { full_body(request.body) };
        let query = request.query.to_raw();
        let outgoing = Outgoing {
            method: request.method,
            bucket: &mapping.real_bucket,
            raw_key: request.raw_key,
            query: &query,
            headers,
            body,
            payload_hash: &payload_hash,
            now_us: self.world.now_us(),
        };
        meter.count_upstream();
        self.send(mapping, outgoing, None).await
    }

    /// Sends a request. An upstream that takes or says nothing for too long fails it.
    pub(crate) async fn send(
        &self,
        mapping: &Mapping,
        outgoing: Outgoing<'_>,
        upload: Option<&UploadState>,
    ) -> Result<Response<AnswerBody>, Fault> {
        let mut sending = pin!(self.client.send(&mapping.upstream, outgoing));
        loop {
            let (handed, limit) = match upload {
                Some(upload) if !upload.is_over() => (upload.handed(), self.settings.upstream_idle_max),
                _ => (0, self.settings.answer_max),
            };
            if let Ok(answer) = tokio::time::timeout(limit, sending.as_mut()).await {
                return Ok(answer?.map(|body| IdleBody::new(body, self.settings.upstream_idle_max)));
            }
            // The client's silence ends the body by itself.
            let goes_on = |upload: &UploadState| upload.handed() != handed || upload.waits_for_client();
            if !upload.is_some_and(goes_on) {
                tracing::error!(account = %mapping.account, "the upstream is silent");
                return Err(S3Error::service_unavailable().into());
            }
        }
    }

    /// Reads and verifies the client's body where it is XML; other methods have none.
    pub(crate) async fn small_body(&self, inbound: &Inbound, body: Incoming, meter: &Meter<P>) -> Result<Bytes, Fault> {
        if !matches!(inbound.method, Method::PUT | Method::POST) {
            return Ok(Bytes::new());
        }
        let decoder = PayloadDecoder::new(&inbound.verified, &inbound.headers, checksums_of(inbound.operation))?;
        let counters = meter.counters();
        let body = IdleBody::new(body, self.settings.client_idle_max);
        let read = upload::collect(body, decoder, REQUEST_BYTES_MAX, &counters).await;
        // What a request says is no byte of an object.
        counters.object_in.store(0, std::sync::atomic::Ordering::Relaxed);
        read
    }

    /// Passes a request with a small body on and its answer back.
    pub(crate) async fn forward_small(
        &self,
        inbound: &Inbound,
        mapping: &Mapping,
        raw_key: &str,
        body: Incoming,
        meter: &Meter<P>,
    ) -> Result<Reply, Fault> {
        let body = self.small_body(inbound, body, meter).await?;
        let names_a_place = body.windows(14).any(|part| part == b"OutputLocation");
        if inbound.operation == Operation::RestoreObject && names_a_place {
            return Err(S3Error::not_implemented().saying("A restore into another place is not supported.").into());
        }
        let request = SmallRequest {
            method: inbound.method.clone(),
            raw_key,
            query: &inbound.query,
            headers: upstream_headers(inbound),
            body,
        };
        let response = self.send_small(mapping, request, meter).await?;
        self.pass(inbound, mapping, response, &[]).await
    }

    /// Turns an upstream's answer into ours: errors judged, names rewritten, reads streamed.
    pub(crate) async fn pass(
        &self,
        inbound: &Inbound,
        mapping: &Mapping,
        response: Response<AnswerBody>,
        echoes: &[(&str, String)],
    ) -> Result<Reply, Fault> {
        let (head, body) = response.into_parts();
        let headers = without_names(answer::clean_headers(&head.headers), mapping);
        let redirected = head.status.is_redirection() && head.status != StatusCode::NOT_MODIFIED;
        if redirected || head.status.is_client_error() || head.status.is_server_error() {
            return self.pass_error(inbound, mapping, head.status, headers, body).await;
        }
        if rewritten(inbound.operation) {
            let whole = read_answer(body).await?;
            let (code, message) = s3::read_error(&whole);
            check_blame(inbound, mapping, 200, &code, &message)?;
            if !code.is_empty() {
                // A copy or a completion that failed after its status had gone out.
                return Ok(failed_late(inbound, mapping, headers, &whole, (&code, &message)));
            }
            if !is_known(&whole) {
                tracing::error!(account = %mapping.account, "answer of the upstream is no document of S3");
                return Err(S3Error::service_unavailable().into());
            }
            let whole = self.rewrite(inbound, mapping, &whole, echoes).map_err(|error| unreadable(mapping, &error))?;
            return Ok(Reply::bytes(head.status, headers, Bytes::from(whole)));
        }
        if inbound.operation.is_write() {
            let whole = read_answer(body).await?;
            let (code, message) = s3::read_error(&whole);
            check_blame(inbound, mapping, 200, &code, &message)?;
            if !code.is_empty() {
                return Ok(failed_late(inbound, mapping, headers, &whole, (&code, &message)));
            }
            // Other writes are answered with nothing: whatever a store adds is not the client's.
            let mut headers = headers;
            headers.remove(header::CONTENT_LENGTH);
            return Ok(Reply::empty(head.status, headers));
        }
        Ok(Reply::stream(head.status, headers, body))
    }

    async fn pass_error(
        &self,
        inbound: &Inbound,
        mapping: &Mapping,
        status: StatusCode,
        mut headers: HeaderMap,
        body: AnswerBody,
    ) -> Result<Reply, Fault> {
        let whole = read_answer(body).await?;
        let (code, message) = s3::read_error(&whole);
        check_blame(inbound, mapping, status.as_u16(), &code, &message)?;
        let stand_in = by_status(status.as_u16());
        if inbound.method == Method::HEAD {
            headers.remove(header::CONTENT_LENGTH);
            let mut reply = Reply::empty(status, headers);
            stand_in.code.clone_into(&mut reply.error_code);
            return Ok(reply);
        }
        if code.is_empty() {
            return Err(S3Error { status: status.as_u16(), ..stand_in }.into());
        }
        let text = safe_message(&message, mapping, &stand_in.message);
        let whole = error_document(&whole, &code, &text, inbound);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        let mut reply = Reply::bytes(status, headers, Bytes::from(whole));
        reply.error_code = code;
        Ok(reply)
    }

    fn rewrite(
        &self,
        inbound: &Inbound,
        mapping: &Mapping,
        document: &[u8],
        echoes: &[(&str, String)],
    ) -> Result<Vec<u8>, XmlError> {
        let context = mapping.mapping.to_string();
        let wrap = |token: &str| tokens::seal(&self.settings.token_key, &context, token);
        let rewrite = Rewrite {
            bucket: &inbound.target.bucket,
            prefix: &mapping.prefix,
            folder: &mapping.folder,
            owner_id: &inbound.owner_id(),
            owner_name: &inbound.owner_id(),
            key: &inbound.target.key_text(),
            location: &inbound.location(),
            resource: &inbound.target.resource(),
            request_id: &inbound.request_id.to_string(),
            echoes,
            wrap_token: &wrap,
        };
        rewrite_xml(document, &rewrite)
    }
}

/// Whether a text names what the tenant must not see.
fn tells(text: &str, mapping: &Mapping) -> bool {
    // A word that is long enough tells without its slash.
    let word = mapping.prefix.trim_end_matches('/');
    let prefix = if word.len() > 5 { word } else { mapping.prefix.as_str() };
    let hidden = [mapping.real_bucket.as_str(), prefix, mapping.upstream.access_key_id.as_str(), "arn:"];
    hidden.iter().any(|part| !part.is_empty() && text.contains(part))
}

/// The upstream's words, unless they name what the tenant must not see.
pub(crate) fn safe_message(message: &str, mapping: &Mapping, instead: &str) -> String {
    if tells(message, mapping) { instead.to_owned() } else { message.to_owned() }
}

/// Headers without those that name what the tenant must not see. What the tenant said themselves comes back.
fn without_names(headers: HeaderMap, mapping: &Mapping) -> HeaderMap {
    const SAID: [&str; 8] = [
        "content-type",
        "content-disposition",
        "content-encoding",
        "content-language",
        "cache-control",
        "etag",
        "expires",
        "last-modified",
    ];
    let is_said = |name: &str| name.starts_with("x-amz-meta-") || SAID.contains(&name);
    let shown = headers
        .iter()
        .filter(|(name, value)| is_said(name.as_str()) || !tells(&String::from_utf8_lossy(value.as_bytes()), mapping));
    shown.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether a document is one of those whose names are known and rewritten.
fn is_known(document: &[u8]) -> bool {
    const ROOTS: [&str; 10] = [
        "ListBucketResult",
        "ListVersionsResult",
        "ListMultipartUploadsResult",
        "ListPartsResult",
        "InitiateMultipartUploadResult",
        "CompleteMultipartUploadResult",
        "CopyObjectResult",
        "CopyPartResult",
        "AccessControlPolicy",
        "Error",
    ];
    xml::parse(document).is_ok_and(|root| ROOTS.contains(&root.name.as_str()))
}

/// The answer of a write whose failure came with a status of 200.
fn failed_late(
    inbound: &Inbound,
    mapping: &Mapping,
    mut headers: HeaderMap,
    document: &[u8],
    (code, message): (&str, &str),
) -> Reply {
    let text = safe_message(message, mapping, "The request could not be completed.");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    let whole = error_document(document, code, &text, inbound);
    let mut reply = Reply::bytes(StatusCode::OK, headers, Bytes::from(whole));
    code.clone_into(&mut reply.error_code);
    reply
}

/// An error made anew: code, message, virtual names, and the few figures that clients read.
fn error_document(upstream: &[u8], code: &str, message: &str, inbound: &Inbound) -> String {
    const FIGURES: [&str; 7] = [
        "ActualObjectSize",
        "RangeRequested",
        "MaxSizeAllowed",
        "ProposedSize",
        "MinSizeAllowed",
        "PartNumber",
        "Condition",
    ];
    let root = xml::parse(upstream).ok();
    let mut out = format!("{}<Error>", xml::DECLARATION);
    xml::push_element(&mut out, "Code", code);
    xml::push_element(&mut out, "Message", message);
    for name in FIGURES {
        let figure = root.as_ref().map(|root| root.text_of(name)).unwrap_or_default();
        if !figure.is_empty() {
            xml::push_element(&mut out, name, figure);
        }
    }
    if !inbound.target.raw_key.is_empty() {
        xml::push_element(&mut out, "Key", &inbound.target.key_text());
    }
    xml::push_element(&mut out, "BucketName", &inbound.target.bucket);
    xml::push_element(&mut out, "Resource", &inbound.target.resource());
    xml::push_element(&mut out, "RequestId", &inbound.request_id.to_string());
    out.push_str("</Error>");
    out
}

/// Refuses with 503 and an alarm what is our own trouble with the upstream.
fn check_blame(inbound: &Inbound, mapping: &Mapping, status: u16, code: &str, message: &str) -> Result<(), Fault> {
    let fine = status == 200 && code.is_empty();
    if fine || blame(status, code, inbound.operation) == Blame::Tenant {
        return Ok(());
    }
    tracing::error!(
        request_id = %inbound.request_id,
        account = %mapping.account,
        bucket = mapping.real_bucket,
        status,
        code,
        message,
        "the upstream refuses the account's key or address"
    );
    Err(S3Error::service_unavailable().into())
}

fn unreadable(mapping: &Mapping, error: &XmlError) -> Fault {
    tracing::error!(account = %mapping.account, bucket = mapping.real_bucket, %error, "answer of the upstream not passed on");
    S3Error::service_unavailable().into()
}

/// Operations whose answers name buckets, keys, owners or positions.
fn rewritten(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::ListObjects
            | Operation::ListObjectsV2
            | Operation::ListObjectVersions
            | Operation::ListMultipartUploads
            | Operation::ListParts
            | Operation::CreateMultipartUpload
            | Operation::CompleteMultipartUpload
            | Operation::CopyObject
            | Operation::UploadPartCopy
            | Operation::BucketProperty("GetBucketAcl", _)
            | Operation::ObjectProperty("GetObjectAcl", _)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_chunked_never_reaches_the_object() {
        let check = |text: &str| {
            without_aws_chunked(&HeaderValue::from_str(text).unwrap()).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(check("aws-chunked"), None);
        assert_eq!(check("gzip, aws-chunked").as_deref(), Some("gzip"));
        assert_eq!(check("AWS-Chunked,gzip,br").as_deref(), Some("gzip,br"));
        assert_eq!(check("gzip").as_deref(), Some("gzip"));
        assert_eq!(check(""), None);
    }
}
