//! Operations on single objects, and the deletion of many. They never keep an object's bytes in
//! memory and never show one before all its bytes are there and checked.

use super::Shared;
use super::bodies::{self, FileBody, StoreBody, document, empty};
use super::call::{Call, decoded};
use super::conditions::{self, OF_COPY_SOURCE, OF_READ, Span};
use super::files::Spooled;
use super::index::{Object, kept_headers};
use super::refusal::{Answer, Refusal};
use super::times::{http_date, whole_second, xml_time};
use super::xml::{self, Xml};
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED};
use http::{Response, StatusCode};
use hyper::body::Incoming;

const DELETED_MAX: usize = 1000;
const OVERRIDES: [(&str, &str); 6] = [
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-content-type", "content-type"),
    ("response-expires", "expires"),
];

/// `PutObject`.
pub(super) async fn put(shared: &Shared, call: &Call<'_>, body: &mut Incoming) -> Answer {
    shared.index().require_bucket(&call.bucket)?;
    let spooled = bodies::receive(shared, call, body).await?;
    let object = new_object(shared, call, spooled);
    let etag = quoted_value(&object);
    keep(shared, call, object)?;
    let mut response = empty(StatusCode::OK);
    response.headers_mut().insert(ETAG, etag);
    Ok(response)
}

/// `GetObject`, or `HeadObject` when no body is to be sent.
pub(super) async fn get(shared: &Shared, call: &Call<'_>, with_body: bool) -> Answer {
    let object = shared.index().object(&call.bucket, &call.key)?;
    if !conditions::is_news(call, &OF_READ, &object)? {
        let mut response = empty(StatusCode::NOT_MODIFIED);
        write_validators(&mut response, &object);
        return Ok(response);
    }
    let wanted = conditions::wanted_span(call, &object)?;
    let span = wanted.unwrap_or(Span { start: 0, count: object.size_bytes });
    let mut response = empty(StatusCode::OK);
    if with_body && span.count > 0 {
        let cut_after_bytes = shared.faults.take_cut();
        let body = FileBody::open(object.file.clone(), span.start, span.count, cut_after_bytes).await?;
        *response.body_mut() = StoreBody::File(Box::new(body));
    }
    write_headers(&mut response, call, &object, span)?;
    if wanted.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let last = span.start + span.count - 1;
        let range = text_value(&format!("bytes {}-{last}/{}", span.start, object.size_bytes))?;
        response.headers_mut().insert(CONTENT_RANGE, range);
    }
    Ok(response)
}

/// `DeleteObject`: the same answer whether there was one or not.
pub(super) fn delete(shared: &Shared, call: &Call<'_>) -> Answer {
    let mut index = shared.index();
    index.require_bucket(&call.bucket)?;
    index.objects.remove(&(call.bucket.clone(), call.key.clone()));
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `DeleteObjects`, at most a thousand.
pub(super) async fn delete_many(shared: &Shared, call: &Call<'_>, body: &mut Incoming) -> Answer {
    let asked = bodies::receive_document(call, body).await?;
    let asked = xml::elements(&asked)?;
    if asked.iter().any(|(path, _)| path == "Delete/Object/VersionId") {
        return Err(Refusal::not_implemented());
    }
    let quiet = asked.iter().any(|(path, text)| path == "Delete/Quiet" && text == "true");
    let keys = asked.into_iter().filter(|(path, _)| path == "Delete/Object/Key").map(|(_, key)| key);
    let keys: Vec<String> = keys.collect();
    if keys.is_empty() || keys.len() > DELETED_MAX {
        return Err(Refusal::malformed_xml());
    }
    remove_all(shared, &call.bucket, &keys)?;
    let mut xml = Xml::document("DeleteResult");
    for key in keys.iter().filter(|_| !quiet) {
        xml.open("Deleted");
        xml.leaf("Key", key);
        xml.close();
    }
    Ok(document(xml))
}

/// `CopyObject`. The copy shares the file and the entity tag of its source, so it costs nothing.
pub(super) fn copy(shared: &Shared, call: &Call<'_>) -> Answer {
    let (bucket, key) = copy_source(call)?;
    let source = shared.index().object(&bucket, &key)?;
    if !conditions::is_news(call, &OF_COPY_SOURCE, &source)? {
        return Err(Refusal::precondition_failed("x-amz-copy-source-If-None-Match"));
    }
    let headers = match call.header("x-amz-metadata-directive") {
        Some("REPLACE") => kept_headers(call.headers),
        _ if bucket == call.bucket && key == call.key => {
            return Err(Refusal::invalid_request(
                "This copy request is illegal because it is trying to copy an object to itself \
                 without changing the object's metadata.",
            ));
        }
        None | Some("COPY") => source.headers.clone(),
        Some(_) => return Err(Refusal::invalid_argument("Unknown metadata directive.")),
    };
    let object = Object { headers, modified_us: whole_second(shared.world.now_us()), ..source };
    let mut xml = Xml::document("CopyObjectResult");
    xml.leaf("LastModified", &xml_time(object.modified_us));
    xml.leaf("ETag", &object.quoted_etag());
    keep(shared, call, object)?;
    Ok(document(xml))
}

/// Bucket and key of `x-amz-copy-source`.
///
/// # Errors
/// `InvalidArgument`, `NotImplemented` for a version.
pub(super) fn copy_source(call: &Call<'_>) -> Result<(String, String), Refusal> {
    let text = call.header("x-amz-copy-source").unwrap_or_default();
    if text.contains("?versionId=") {
        return Err(Refusal::not_implemented());
    }
    let text = decoded(text)?;
    let text = text.strip_prefix('/').unwrap_or(&text);
    match text.split_once('/') {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => Ok((bucket.to_owned(), key.to_owned())),
        _ => {
            Err(Refusal::invalid_argument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey"))
        }
    }
}

/// Shows an object under the name of the request, replacing what was there if that is allowed.
pub(super) fn keep(shared: &Shared, call: &Call<'_>, object: Object) -> Result<(), Refusal> {
    let name = (call.bucket.clone(), call.key.clone());
    let mut index = shared.index();
    index.require_bucket(&call.bucket)?;
    conditions::may_replace(call, index.objects.get(&name))?;
    index.objects.insert(name, object);
    Ok(())
}

fn new_object(shared: &Shared, call: &Call<'_>, spooled: Spooled) -> Object {
    Object {
        file: spooled.file,
        size_bytes: spooled.size_bytes,
        etag: hex::encode(spooled.md5),
        modified_us: whole_second(shared.world.now_us()),
        headers: kept_headers(call.headers),
    }
}

fn remove_all(shared: &Shared, bucket: &str, keys: &[String]) -> Result<(), Refusal> {
    let mut index = shared.index();
    index.require_bucket(bucket)?;
    for key in keys {
        index.objects.remove(&(bucket.to_owned(), key.clone()));
    }
    Ok(())
}

fn write_headers(
    response: &mut Response<StoreBody>,
    call: &Call<'_>,
    object: &Object,
    span: Span,
) -> Result<(), Refusal> {
    write_validators(response, object);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("binary/octet-stream"));
    for (name, value) in &object.headers {
        headers.insert(name.clone(), value.clone());
    }
    for (parameter, name) in OVERRIDES {
        if let Some(text) = call.parameter(parameter) {
            headers.insert(name, text_value(text)?);
        }
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(span.count));
    Ok(())
}

fn write_validators(response: &mut Response<StoreBody>, object: &Object) {
    let modified = HeaderValue::from_str(&http_date(object.modified_us)).expect("dates are plain ASCII");
    response.headers_mut().insert(ETAG, quoted_value(object));
    response.headers_mut().insert(LAST_MODIFIED, modified);
}

fn quoted_value(object: &Object) -> HeaderValue {
    HeaderValue::from_str(&object.quoted_etag()).expect("entity tags are hex digits")
}

fn text_value(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(text).map_err(|_| Refusal::invalid_argument("A header value cannot hold this text."))
}
