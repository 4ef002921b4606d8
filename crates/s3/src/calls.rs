//! Small typed exchanges with an upstream: what the connection test, the daily sweep, the simulator
//! and the gateway's own look-ups need. Every call has a time limit and a size limit.

use crate::client::{Client, ClientError, Outgoing, empty_body, full_body};
use crate::endpoint::Upstream;
use crate::names;
use crate::query::Query;
use crate::xml::{self, Element};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use std::time::Duration;

/// How long a small call may take.
const CALL_SECONDS: u64 = 60;

/// Largest answer read into memory.
const ANSWER_BYTES_MAX: usize = 20 * 1_024 * 1_024;

/// An object as a list names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Real key.
    pub key: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Entity tag with its quotes.
    pub etag: String,
    /// As the upstream wrote it.
    pub last_modified: String,
    /// Empty when the upstream gave none.
    pub storage_class: String,
}

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Objects in the order of keys.
    pub objects: Vec<ListedObject>,
    /// Groups, when a delimiter was given.
    pub common_prefixes: Vec<String>,
    /// Where the next page starts; none on the last page.
    pub next_token: Option<String>,
}

/// A version of an object, or a delete marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVersion {
    /// Real key.
    pub key: String,
    /// Its id; `null` without versioning.
    pub version: String,
    /// A delete marker, which has no bytes.
    pub is_marker: bool,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Empty when the upstream gave none.
    pub storage_class: String,
}

/// A page of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionsPage {
    /// Versions and markers.
    pub versions: Vec<ListedVersion>,
    /// Groups, when a delimiter was given.
    pub common_prefixes: Vec<String>,
    /// Key and version that the next page starts after.
    pub next: Option<(String, String)>,
    /// The store walks folder by folder and its markers pass by versions between pages (SeaweedFS 4.48): only a list
    /// that fits on one page is whole.
    pub by_folder: bool,
}

/// An unfinished multipart upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUpload {
    /// Real key.
    pub key: String,
    /// Upload id.
    pub upload_id: String,
    /// As the upstream wrote it.
    pub initiated: String,
    /// Empty when the upstream gave none.
    pub storage_class: String,
}

/// A page of unfinished uploads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadsPage {
    /// Uploads in the order of keys.
    pub uploads: Vec<ListedUpload>,
    /// Key and upload id that the next page starts after.
    pub next: Option<(String, String)>,
}

/// A part of an unfinished upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPart {
    /// Part number.
    pub part: u32,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Entity tag with its quotes.
    pub etag: String,
}

/// A page of parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartsPage {
    /// Parts in order.
    pub parts: Vec<ListedPart>,
    /// Part number that the next page starts after.
    pub next: Option<u32>,
}

/// What HEAD says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Entity tag with its quotes.
    pub etag: String,
    /// All headers.
    pub headers: HeaderMap,
}

/// What a list is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListQuery<'a> {
    /// Real prefix.
    pub prefix: &'a str,
    /// Groups keys; none when empty.
    pub delimiter: &'a str,
    /// Keys after this one; from the start when empty.
    pub start_after: &'a str,
    /// The upstream's token; it wins over `start_after`.
    pub token: Option<&'a str>,
    /// Most entries, 1 to 1000.
    pub keys_max: u32,
}

/// Reads the error of an answer's body: code and message.
#[must_use]
pub fn read_error(body: &[u8]) -> (String, String) {
    match xml::parse(body) {
        Ok(root) if root.name == "Error" => (root.text_of("Code").to_owned(), root.text_of("Message").to_owned()),
        _ => (String::new(), String::new()),
    }
}

fn number(element: &Element, name: &str) -> u64 {
    element.text_of(name).trim().parse().unwrap_or(0)
}

fn decoded(root: &Element, text: &str) -> String {
    if root.text_of("EncodingType") == "url" {
        return String::from_utf8_lossy(&names::decode_plus(text)).into_owned();
    }
    text.to_owned()
}

fn truncated(root: &Element) -> bool {
    root.text_of("IsTruncated") == "true"
}

/// Where the next page of two markers starts. One that starts where this one did would never end.
fn next_page(
    root: &Element,
    next: (String, String),
    after: Option<(&str, &str)>,
    host: String,
) -> Result<Option<(String, String)>, ClientError> {
    if !truncated(root) || (next.0.is_empty() && next.1.is_empty()) {
        return Ok(None);
    }
    if after == Some((next.0.as_str(), next.1.as_str())) {
        let reason = "a page of the list leads to itself".to_owned();
        return Err(ClientError::Answer { host, reason });
    }
    Ok(Some(next))
}

fn etag(headers: &HeaderMap) -> String {
    headers.get("etag").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// One small request.
struct Call<'a> {
    method: Method,
    bucket: &'a str,
    key: &'a str,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl<'a> Call<'a> {
    fn new(method: Method, bucket: &'a str, key: &'a str) -> Self {
        Self { method, bucket, key, query: String::new(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    fn query(mut self, query: &Query) -> Self {
        self.query = query.to_raw();
        self
    }

    fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

impl Client {
    /// Sends a small request and reads the whole answer; a status of 300 or more is an error.
    async fn call(&self, upstream: &Upstream, call: Call<'_>, now_us: i64) -> Result<(HeaderMap, Bytes), ClientError> {
        let host = upstream.host(call.bucket);
        let waited = tokio::time::timeout(Duration::from_secs(CALL_SECONDS), self.exchange(upstream, call, now_us));
        let (status, headers, body) =
            waited.await.map_err(|_| ClientError::Timeout { host, seconds: CALL_SECONDS })??;
        if status.is_success() {
            return Ok((headers, body));
        }
        let (code, message) = read_error(&body);
        Err(ClientError::Refused { status: status.as_u16(), code, message })
    }

    async fn exchange(
        &self,
        upstream: &Upstream,
        call: Call<'_>,
        now_us: i64,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ClientError> {
        let host = upstream.host(call.bucket);
        let raw_key = names::encode_key(call.key.as_bytes());
        let payload_hash = names::sha256_hex(&call.body);
        let mut headers = call.headers;
        if matches!(call.method, Method::PUT | Method::POST) {
            headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(call.body.len()));
        }
        let outgoing = Outgoing {
            method: call.method,
            bucket: call.bucket,
            raw_key: &raw_key,
            query: &call.query,
            headers,
            body: if call.body.is_empty() { empty_body() } else { full_body(call.body) },
            payload_hash: &payload_hash,
            now_us,
        };
        let answer = self.send(upstream, outgoing).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| ClientError::Answer { host, reason: error.to_string() })?
            .to_bytes();
        Ok((head.status, head.headers, body))
    }

    async fn call_xml(&self, upstream: &Upstream, call: Call<'_>, now_us: i64) -> Result<Element, ClientError> {
        Ok(self.call_document(upstream, call, now_us).await?.1)
    }

    async fn call_document(
        &self,
        upstream: &Upstream,
        call: Call<'_>,
        now_us: i64,
    ) -> Result<(HeaderMap, Element), ClientError> {
        let host = upstream.host(call.bucket);
        let (headers, body) = self.call(upstream, call, now_us).await?;
        let root = xml::parse(&body).map_err(|error| ClientError::xml(&host, &error))?;
        if root.name != "Error" {
            return Ok((headers, root));
        }
        // Copies and completions may fail after their status went out.
        let (code, message) = (root.text_of("Code").to_owned(), root.text_of("Message").to_owned());
        Err(ClientError::Refused { status: 200, code, message })
    }

    /// Lists the account's buckets; the connection test of an account.
    pub async fn list_buckets(&self, upstream: &Upstream, now_us: i64) -> Result<Vec<String>, ClientError> {
        let root = self.call_xml(upstream, Call::new(Method::GET, "", ""), now_us).await?;
        if root.name != "ListAllMyBucketsResult" {
            let reason = format!("this is no S3 service, it answered with <{}>", root.name);
            return Err(ClientError::Answer { host: upstream.authority.clone(), reason });
        }
        let buckets: Option<Vec<String>> =
            root.child("Buckets").map(|list| list.all("Bucket").map(|one| one.text_of("Name").to_owned()).collect());
        Ok(buckets.unwrap_or_default())
    }

    /// Lists one page of objects.
    pub async fn list_objects_v2(
        &self,
        upstream: &Upstream,
        bucket: &str,
        list: ListQuery<'_>,
        now_us: i64,
    ) -> Result<ListPage, ClientError> {
        let mut query = Query::default();
        query.set("list-type", b"2");
        query.set("encoding-type", b"url");
        query.set("max-keys", list.keys_max.to_string().as_bytes());
        for (name, value) in [("prefix", list.prefix), ("delimiter", list.delimiter), ("start-after", list.start_after)]
        {
            if !value.is_empty() {
                query.set(name, value.as_bytes());
            }
        }
        if let Some(token) = list.token {
            query.set("continuation-token", token.as_bytes());
        }
        let root = self.call_xml(upstream, Call::new(Method::GET, bucket, "").query(&query), now_us).await?;
        let objects = root.all("Contents").map(|one| ListedObject {
            key: decoded(&root, one.text_of("Key")),
            size_bytes: number(one, "Size"),
            etag: one.text_of("ETag").to_owned(),
            last_modified: one.text_of("LastModified").to_owned(),
            storage_class: one.text_of("StorageClass").to_owned(),
        });
        let groups = root.all("CommonPrefixes").map(|one| decoded(&root, one.text_of("Prefix")));
        let next = root.text_of("NextContinuationToken");
        Ok(ListPage {
            objects: objects.collect(),
            common_prefixes: groups.collect(),
            next_token: (truncated(&root) && !next.is_empty()).then(|| next.to_owned()),
        })
    }

    /// Lists one page of the versions and delete markers below a real prefix.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Refused`] with status 501 from a store that knows no versions.
    pub async fn list_object_versions(
        &self,
        upstream: &Upstream,
        bucket: &str,
        (prefix, delimiter): (&str, &str),
        after: Option<(&str, &str)>,
        now_us: i64,
    ) -> Result<VersionsPage, ClientError> {
        let mut query = Query::default();
        query.flag("versions");
        query.set("encoding-type", b"url");
        query.set("max-keys", b"1000");
        let (key, version) = after.unwrap_or_default();
        for (name, value) in
            [("prefix", prefix), ("delimiter", delimiter), ("key-marker", key), ("version-id-marker", version)]
        {
            if !value.is_empty() {
                query.set(name, value.as_bytes());
            }
        }
        let call = Call::new(Method::GET, bucket, "").query(&query);
        let (headers, root) = self.call_document(upstream, call, now_us).await?;
        if root.name != "ListVersionsResult" {
            // It took no notice of the question: what it says are the current objects.
            let message = format!("the store answered with <{}>", root.name);
            return Err(ClientError::Refused { status: 501, code: "NotImplemented".to_owned(), message });
        }
        let rows = root.children.iter().filter(|one| one.name == "Version" || one.name == "DeleteMarker");
        let versions = rows.map(|one| ListedVersion {
            key: decoded(&root, one.text_of("Key")),
            version: one.text_of("VersionId").to_owned(),
            is_marker: one.name == "DeleteMarker",
            size_bytes: number(one, "Size"),
            storage_class: one.text_of("StorageClass").to_owned(),
        });
        let groups = root.all("CommonPrefixes").map(|one| decoded(&root, one.text_of("Prefix")));
        let next = (decoded(&root, root.text_of("NextKeyMarker")), root.text_of("NextVersionIdMarker").to_owned());
        let server = headers.get(http::header::SERVER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(VersionsPage {
            versions: versions.collect(),
            common_prefixes: groups.collect(),
            next: next_page(&root, next, after, upstream.host(bucket))?,
            by_folder: server.starts_with("SeaweedFS"),
        })
    }

    /// Lists one page of unfinished multipart uploads below a real prefix.
    pub async fn list_multipart_uploads(
        &self,
        upstream: &Upstream,
        bucket: &str,
        prefix: &str,
        after: Option<(&str, &str)>,
        now_us: i64,
    ) -> Result<UploadsPage, ClientError> {
        let mut query = Query::default();
        query.flag("uploads");
        // No encoding is asked for: SeaweedFS 4.48 says that it encodes here, and does not. Its pages are in the order
        // of upload ids, so that its marker alone, without a key, leads on.
        let (key, upload_id) = after.unwrap_or_default();
        for (name, value) in [("prefix", prefix), ("key-marker", key), ("upload-id-marker", upload_id)] {
            if !value.is_empty() {
                query.set(name, value.as_bytes());
            }
        }
        let root = self.call_xml(upstream, Call::new(Method::GET, bucket, "").query(&query), now_us).await?;
        let uploads = root.all("Upload").map(|one| ListedUpload {
            key: decoded(&root, one.text_of("Key")),
            upload_id: one.text_of("UploadId").to_owned(),
            initiated: one.text_of("Initiated").to_owned(),
            storage_class: one.text_of("StorageClass").to_owned(),
        });
        let next = (decoded(&root, root.text_of("NextKeyMarker")), root.text_of("NextUploadIdMarker").to_owned());
        Ok(UploadsPage { uploads: uploads.collect(), next: next_page(&root, next, after, upstream.host(bucket))? })
    }

    /// Lists one page of the parts of an upload.
    pub async fn list_parts(
        &self,
        upstream: &Upstream,
        bucket: &str,
        key: &str,
        upload_id: &str,
        after: u32,
        now_us: i64,
    ) -> Result<PartsPage, ClientError> {
        let mut query = Query::default();
        query.set("uploadId", upload_id.as_bytes());
        if after > 0 {
            query.set("part-number-marker", after.to_string().as_bytes());
        }
        let root = self.call_xml(upstream, Call::new(Method::GET, bucket, key).query(&query), now_us).await?;
        let parts: Vec<ListedPart> = root
            .all("Part")
            .map(|one| ListedPart {
                part: u32::try_from(number(one, "PartNumber")).unwrap_or(0),
                size_bytes: number(one, "Size"),
                etag: one.text_of("ETag").to_owned(),
            })
            .collect();
        let next = u32::try_from(number(&root, "NextPartNumberMarker")).ok();
        Ok(PartsPage { parts, next: next.filter(|next| truncated(&root) && *next > after) })
    }

    /// Asks for size, tag and headers of an object.
    pub async fn head_object(
        &self,
        upstream: &Upstream,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        now_us: i64,
    ) -> Result<ObjectHead, ClientError> {
        let mut query = Query::default();
        if let Some(version) = version {
            query.set("versionId", version.as_bytes());
        }
        let (headers, _) = self.call(upstream, Call::new(Method::HEAD, bucket, key).query(&query), now_us).await?;
        let length =
            headers.get("content-length").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        let size_bytes = length.ok_or_else(|| ClientError::Answer {
            host: upstream.host(bucket),
            reason: "HEAD without Content-Length".to_owned(),
        })?;
        Ok(ObjectHead { size_bytes, etag: etag(&headers), headers })
    }

    /// Reads a small object.
    pub async fn get_object(
        &self,
        upstream: &Upstream,
        bucket: &str,
        key: &str,
        now_us: i64,
    ) -> Result<Bytes, ClientError> {
        Ok(self.call(upstream, Call::new(Method::GET, bucket, key), now_us).await?.1)
    }

    /// Writes a small object, giving its entity tag.
    pub async fn put_object(
        &self,
        upstream: &Upstream,
        bucket: &str,
        key: &str,
        body: Bytes,
        now_us: i64,
    ) -> Result<String, ClientError> {
        let (headers, _) = self.call(upstream, Call::new(Method::PUT, bucket, key).body(body), now_us).await?;
        Ok(etag(&headers))
    }

    /// Deletes an object.
    pub async fn delete_object(
        &self,
        upstream: &Upstream,
        bucket: &str,
        key: &str,
        now_us: i64,
    ) -> Result<(), ClientError> {
        self.call(upstream, Call::new(Method::DELETE, bucket, key), now_us).await.map(|_| ())
    }

    /// Makes a bucket, in the region of the account.
    pub async fn create_bucket(&self, upstream: &Upstream, bucket: &str, now_us: i64) -> Result<(), ClientError> {
        let mut body = String::new();
        if upstream.region != "us-east-1" && upstream.region != "auto" {
            body.push_str(&format!("<CreateBucketConfiguration xmlns=\"{}\">", xml::NAMESPACE));
            xml::push_element(&mut body, "LocationConstraint", &upstream.region);
            body.push_str("</CreateBucketConfiguration>");
        }
        self.call(upstream, Call::new(Method::PUT, bucket, "").body(Bytes::from(body)), now_us).await.map(|_| ())
    }

    /// Deletes an empty bucket.
    pub async fn delete_bucket(&self, upstream: &Upstream, bucket: &str, now_us: i64) -> Result<(), ClientError> {
        self.call(upstream, Call::new(Method::DELETE, bucket, ""), now_us).await.map(|_| ())
    }

    /// Starts a multipart upload, giving its id.
    pub async fn create_multipart_upload(
        &self,
        upstream: &Upstream,
        bucket: &str,
        key: &str,
        now_us: i64,
    ) -> Result<String, ClientError> {
        let mut query = Query::default();
        query.flag("uploads");
        let root = self.call_xml(upstream, Call::new(Method::POST, bucket, key).query(&query), now_us).await?;
        Ok(root.text_of("UploadId").to_owned())
    }

    /// Uploads a part, giving its entity tag.
    pub async fn upload_part(
        &self,
        upstream: &Upstream,
        bucket: &str,
        key: &str,
        (upload_id, part): (&str, u32),
        body: Bytes,
        now_us: i64,
    ) -> Result<String, ClientError> {
        let mut query = Query::default();
        query.set("partNumber", part.to_string().as_bytes());
        query.set("uploadId", upload_id.as_bytes());
        let call = Call::new(Method::PUT, bucket, key).query(&query).body(body);
        Ok(etag(&self.call(upstream, call, now_us).await?.0))
    }

    /// Joins the parts of an upload, given as number and entity tag.
    pub async fn complete_multipart_upload(
        &self,
        upstream: &Upstream,
        bucket: &str,
        key: &str,
        upload_id: &str,
        parts: &[(u32, String)],
        now_us: i64,
    ) -> Result<String, ClientError> {
        let mut query = Query::default();
        query.set("uploadId", upload_id.as_bytes());
        let mut body = format!("<CompleteMultipartUpload xmlns=\"{}\">", xml::NAMESPACE);
        for (part, tag) in parts {
            body.push_str("<Part>");
            xml::push_element(&mut body, "PartNumber", &part.to_string());
            xml::push_element(&mut body, "ETag", tag);
            body.push_str("</Part>");
        }
        body.push_str("</CompleteMultipartUpload>");
        let call = Call::new(Method::POST, bucket, key).query(&query).body(Bytes::from(body));
        Ok(self.call_xml(upstream, call, now_us).await?.text_of("ETag").to_owned())
    }

    /// Ends an upload without joining its parts.
    pub async fn abort_multipart_upload(
        &self,
        upstream: &Upstream,
        bucket: &str,
        key: &str,
        upload_id: &str,
        now_us: i64,
    ) -> Result<(), ClientError> {
        let mut query = Query::default();
        query.set("uploadId", upload_id.as_bytes());
        self.call(upstream, Call::new(Method::DELETE, bucket, key).query(&query), now_us).await.map(|_| ())
    }
}
