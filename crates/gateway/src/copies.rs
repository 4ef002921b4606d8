//! CopyObject and UploadPartCopy: within an account by the upstream itself, across accounts streamed
//! through the gateway.

use crate::answer::Reply;
use crate::forward::AnswerBody;
use crate::forward::{SmallRequest, read_answer, upstream_headers};
use crate::gateway::{Fault, Gateway};
use crate::inbound::Inbound;
use crate::meter::Meter;
use crate::objects::{PUT_BYTES_MAX, part_of};
use crate::port::{Port, VirtualBucket};
use crate::route::{self, Place};
use crate::stored::{Stored, class_of, object_hash, part_change, put_change, version_of};
use crate::upstream_errors::{Blame, blame, by_status};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use s3::sigv4::UNSIGNED_PAYLOAD;
use s3::{Operation, Outgoing, Query, S3Error, dates, names, xml};

/// Conditions on the source, and what they are called in a GET.
const CONDITIONS: [(&str, &str); 4] = [
    ("x-amz-copy-source-if-match", "if-match"),
    ("x-amz-copy-source-if-none-match", "if-none-match"),
    ("x-amz-copy-source-if-modified-since", "if-modified-since"),
    ("x-amz-copy-source-if-unmodified-since", "if-unmodified-since"),
];

/// Headers that describe the object itself and come from the source unless replaced.
const DESCRIPTION: [&str; 6] =
    ["cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"];

/// What `x-amz-copy-source` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopySource {
    /// Virtual bucket.
    pub bucket: String,
    /// Virtual key, percent-encoded.
    pub raw_key: String,
    /// Version, decoded.
    pub version: Option<String>,
}

impl CopySource {
    /// Reads `[/]bucket/key[?versionId=...]`, percent-encoded as a whole or in part.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (path, version) = match value.split_once("?versionId=") {
            Some((path, version)) => (path, Some(String::from_utf8_lossy(&names::decode(version)).into_owned())),
            None => (value, None),
        };
        let decoded = names::decode(path);
        let path = decoded.strip_prefix(b"/").unwrap_or(&decoded);
        let slash = path.iter().position(|byte| *byte == b'/')?;
        let (bucket, key) = (std::str::from_utf8(&path[..slash]).ok()?, &path[slash + 1..]);
        let named = !bucket.is_empty() && !key.is_empty() && !bucket.starts_with("arn:");
        named.then(|| Self { bucket: bucket.to_owned(), raw_key: names::encode_key(key), version })
    }
}

/// Bytes of `bytes=first-last`, both included.
fn range_size(range: &str) -> Option<u64> {
    let (first, last) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    last.checked_sub(first)?.checked_add(1)
}

/// A source and its destination.
struct Copy<'a> {
    source: Place,
    version: Option<String>,
    destination: &'a Place,
}

impl<P: Port> Gateway<P> {
    /// Serves CopyObject and UploadPartCopy.
    pub(crate) async fn copy(
        &self,
        inbound: &Inbound,
        buckets: &[VirtualBucket],
        destination: &Place,
        meter: &mut Meter<P>,
    ) -> Result<Reply, Fault> {
        let part = part_of(inbound)?;
        let copy = copy_of(inbound, buckets, destination)?;
        let running = self.races.begin(part.is_none().then(|| object_hash(destination)));
        if copy.source.mapping.account != destination.mapping.account {
            let (reply, size_bytes) = self.copy_across(inbound, &copy, meter).await?;
            if reply.error_code.is_empty() && reply.status.is_success() {
                match &part {
                    Some((upload_id, part)) => {
                        meter.change(part_change(&destination.mapping, upload_id, *part, size_bytes));
                    }
                    None => {
                        let version = version_of(&reply.headers);
                        let own =
                            put_change(destination, version, Stored { size_bytes, class: class_of(&inbound.headers) });
                        self.settle(destination, &running, version, Some(own), meter).await;
                    }
                }
            }
            return Ok(reply);
        }
        let reply = self.copy_within(inbound, &copy, meter).await?;
        if !reply.error_code.is_empty() || !reply.status.is_success() {
            return Ok(reply);
        }
        let Some((upload_id, part)) = part else {
            self.note_put(destination, &running, version_of(&reply.headers), meter).await;
            return Ok(reply);
        };
        let size = match inbound.header("x-amz-copy-source-range").and_then(range_size) {
            Some(size) => Some(size),
            None => {
                let version = copy.version.as_deref().unwrap_or_default();
                self.stored(&copy.source, version, meter).await.map(|stored| stored.size_bytes)
            }
        };
        if let Some(size_bytes) = size {
            meter.change(part_change(&destination.mapping, &upload_id, part, size_bytes));
        }
        Ok(reply)
    }

    /// Lets the upstream copy, naming the real source.
    async fn copy_within(&self, inbound: &Inbound, copy: &Copy<'_>, meter: &Meter<P>) -> Result<Reply, Fault> {
        let mut headers = upstream_headers(inbound);
        let mut source = format!("/{}/{}", copy.source.mapping.real_bucket, copy.source.raw_key);
        if let Some(version) = &copy.version {
            source.push_str("?versionId=");
            source.push_str(&names::encode_value(version.as_bytes()));
        }
        let value = HeaderValue::from_str(&source).map_err(|_| bad_source())?;
        headers.insert("x-amz-copy-source", value);
        let request = SmallRequest {
            method: Method::PUT,
            raw_key: &copy.destination.raw_key,
            query: &inbound.query,
            headers,
            body: Bytes::new(),
        };
        let response = self.send_small(&copy.destination.mapping, request, meter).await?;
        self.pass(inbound, &copy.destination.mapping, response, &[]).await
    }

    /// Reads from one account and writes to the other; gives the size as well.
    async fn copy_across(&self, inbound: &Inbound, copy: &Copy<'_>, meter: &Meter<P>) -> Result<(Reply, u64), Fault> {
        let source = self.read_source(inbound, copy, meter).await?;
        if !source.status().is_success() {
            return Err(source_fault(copy, source).await?.into());
        }
        let length = source.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length: u64 = length.and_then(|text| text.parse().ok()).ok_or_else(S3Error::service_unavailable)?;
        if length > PUT_BYTES_MAX {
            return Err(S3Error::invalid_request()
                .saying(
                    "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120",
                )
                .into());
        }
        let (head, body) = source.into_parts();
        let mut headers = self.copied_headers(inbound, copy, &head.headers, meter).await?;
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        let query = inbound.query.to_raw();
        let outgoing = Outgoing {
            method: Method::PUT,
            bucket: &copy.destination.mapping.real_bucket,
            raw_key: &copy.destination.raw_key,
            query: &query,
            headers,
            body: body.boxed_unsync(),
            payload_hash: UNSIGNED_PAYLOAD,
            now_us: self.world.now_us(),
        };
        meter.count_upstream();
        let response = self.send(&copy.destination.mapping, outgoing, None).await?;
        if !response.status().is_success() {
            return Ok((self.pass(inbound, &copy.destination.mapping, response, &[]).await?, 0));
        }
        let reply = self.copy_result(inbound, response).await?;
        Ok((reply, length))
    }

    async fn read_source(
        &self,
        inbound: &Inbound,
        copy: &Copy<'_>,
        meter: &Meter<P>,
    ) -> Result<Response<AnswerBody>, Fault> {
        let mut headers = HeaderMap::new();
        for (name, plain) in CONDITIONS {
            if let Some(value) = inbound.headers.get(name) {
                headers.insert(plain, value.clone());
            }
        }
        if let Some(range) = inbound.headers.get("x-amz-copy-source-range") {
            headers.insert(header::RANGE, range.clone());
        }
        let mut query = Query::default();
        if let Some(version) = &copy.version {
            query.set("versionId", version.as_bytes());
        }
        let request = SmallRequest {
            method: Method::GET,
            raw_key: &copy.source.raw_key,
            query: &query,
            headers,
            body: Bytes::new(),
        };
        self.send_small(&copy.source.mapping, request, meter).await
    }

    /// The headers of the destination's PUT, by the client's directives.
    async fn copied_headers(
        &self,
        inbound: &Inbound,
        copy: &Copy<'_>,
        source: &HeaderMap,
        meter: &Meter<P>,
    ) -> Result<HeaderMap, Fault> {
        let mut headers = upstream_headers(inbound);
        let replaced = |name: &str| inbound.header(name).is_some_and(|value| value.eq_ignore_ascii_case("REPLACE"));
        let (metadata_replaced, tags_replaced) =
            (replaced("x-amz-metadata-directive"), replaced("x-amz-tagging-directive"));
        let names: Vec<http::HeaderName> = headers.keys().cloned().collect();
        for name in names {
            let text = name.as_str();
            let of_copy = text.starts_with("x-amz-copy-source") || text.ends_with("-directive");
            if of_copy || (!metadata_replaced && is_description(text)) {
                headers.remove(&name);
            }
        }
        if inbound.operation == Operation::UploadPartCopy {
            return Ok(headers);
        }
        if !metadata_replaced {
            for (name, value) in source.iter().filter(|(name, _)| is_description(name.as_str())) {
                headers.append(name, value.clone());
            }
        }
        if !tags_replaced {
            headers.remove("x-amz-tagging");
            if source.contains_key("x-amz-tagging-count")
                && let Some(tags) = self.tags_of(copy, meter).await?
            {
                headers.insert("x-amz-tagging", tags);
            }
        }
        Ok(headers)
    }

    async fn tags_of(&self, copy: &Copy<'_>, meter: &Meter<P>) -> Result<Option<HeaderValue>, Fault> {
        let mut query = Query::default();
        query.flag("tagging");
        if let Some(version) = &copy.version {
            query.set("versionId", version.as_bytes());
        }
        let request = SmallRequest {
            method: Method::GET,
            raw_key: &copy.source.raw_key,
            query: &query,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        let response = self.send_small(&copy.source.mapping, request, meter).await?;
        if !response.status().is_success() {
            return Ok(None);
        }
        let document = read_answer(response.into_body()).await?;
        let root = xml::parse(&document).map_err(|error| {
            tracing::error!(%error, "tags of a copy source cannot be read");
            S3Error::service_unavailable()
        })?;
        let mut tags = Query::default();
        for tag in root.child("TagSet").into_iter().flat_map(|set| set.children.iter()) {
            tags.set(tag.text_of("Key"), tag.text_of("Value").as_bytes());
        }
        Ok(HeaderValue::from_str(&tags.to_raw()).ok().filter(|_| !tags.is_empty()))
    }

    /// Writes the answer that the upstream would have given to a copy.
    async fn copy_result(&self, inbound: &Inbound, response: Response<AnswerBody>) -> Result<Reply, Fault> {
        let (head, body) = response.into_parts();
        read_answer(body).await?;
        let etag = head.headers.get(header::ETAG).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let root = if inbound.operation == Operation::UploadPartCopy { "CopyPartResult" } else { "CopyObjectResult" };
        let mut out = format!("{}<{root} xmlns=\"{}\">", xml::DECLARATION, xml::NAMESPACE);
        xml::push_element(&mut out, "LastModified", &dates::format_iso(self.world.now_us()));
        xml::push_element(&mut out, "ETag", &etag.unwrap_or_default());
        out.push_str(&format!("</{root}>"));
        let mut reply = Reply::xml(out);
        if let Some(version) = head.headers.get("x-amz-version-id") {
            reply.headers.insert("x-amz-version-id", version.clone());
        }
        Ok(reply)
    }
}

/// What the tenant is told of a source that cannot be read: no names, and nothing of our own rights.
async fn source_fault(copy: &Copy<'_>, source: Response<AnswerBody>) -> Result<S3Error, Fault> {
    let status = source.status();
    if status == StatusCode::NOT_MODIFIED {
        return Ok(S3Error::precondition_failed());
    }
    let document = read_answer(source.into_body()).await?;
    let (code, message) = s3::read_error(&document);
    if blame(status.as_u16(), &code, Operation::GetObject) == Blame::Operator {
        tracing::error!(account = %copy.source.mapping.account, status = status.as_u16(), code, message, "the upstream refuses to read a copy source");
        return Ok(S3Error::service_unavailable());
    }
    Ok(by_status(status.as_u16()))
}

fn is_description(name: &str) -> bool {
    DESCRIPTION.contains(&name) || name.starts_with("x-amz-meta-")
}

fn bad_source() -> S3Error {
    S3Error::invalid_argument()
        .saying("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
        .with("ArgumentName", "x-amz-copy-source")
}

fn copy_of<'a>(inbound: &Inbound, buckets: &[VirtualBucket], destination: &'a Place) -> Result<Copy<'a>, S3Error> {
    let value = inbound.headers.get("x-amz-copy-source").ok_or_else(bad_source)?;
    let named = CopySource::parse(&String::from_utf8_lossy(value.as_bytes())).ok_or_else(bad_source)?;
    let bucket = buckets.iter().find(|bucket| bucket.name == named.bucket).ok_or_else(S3Error::no_such_bucket)?;
    let source = route::place(bucket, &named.raw_key, Operation::GetObject)?;
    Ok(Copy { source, version: named.version, destination })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_sources() {
        let check =
            |value: &str| CopySource::parse(value).map(|source| (source.bucket, source.raw_key, source.version));
        let some = |bucket: &str, key: &str, version: Option<&str>| {
            Some((bucket.to_owned(), key.to_owned(), version.map(str::to_owned)))
        };
        assert_eq!(check("b/k"), some("b", "k", None));
        assert_eq!(check("/b/k%20+/%C3%A9"), some("b", "k%20%2B/%C3%A9", None));
        assert_eq!(check("b%2Fk%2Fl"), some("b", "k/l", None));
        assert_eq!(check("/b/k?versionId=3%2FL"), some("b", "k", Some("3/L")));
        assert_eq!(check("/b/what?"), some("b", "what%3F", None));
        for bad in ["", "b", "/b", "b/", "arn:aws:s3:::b/k"] {
            assert_eq!(check(bad), None, "{bad}");
        }
    }

    #[test]
    fn range_sizes() {
        assert_eq!(range_size("bytes=0-0"), Some(1));
        assert_eq!(range_size("bytes=5-14"), Some(10));
        for bad in ["", "bytes=5-4", "bytes=-5", "bytes=5-", "0-1"] {
            assert_eq!(range_size(bad), None, "{bad}");
        }
    }
}
