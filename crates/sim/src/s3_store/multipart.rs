//! Multipart uploads: started, filled part by part, completed or aborted.
//!
//! No part is ever visible as an object before the upload is completed. Unlike S3, parts smaller
//! than 5 MiB are accepted, so that tests stay small.

use super::Shared;
use super::bodies::{document, empty, receive, receive_document};
use super::call::Call;
use super::conditions::{self, OF_COPY_SOURCE, Span, span_of};
use super::files::Spooled;
use super::index::{Object, Part, Upload, kept_headers, upload_name};
use super::objects::{copy_source, keep};
use super::refusal::{Answer, Refusal};
use super::times::{whole_second, xml_time};
use super::xml::{self, Xml};
use http::StatusCode;
use http::header::{ETAG, HeaderName, HeaderValue};
use hyper::body::Incoming;
use md5::{Digest, Md5};

const PART_NUMBER_MAX: u32 = 10_000;

type KeptHeaders = Vec<(HeaderName, HeaderValue)>;

/// `CreateMultipartUpload`.
pub(super) fn create(shared: &Shared, call: &Call<'_>) -> Answer {
    let upload_id = format!("{:032x}{:08x}", shared.world.fresh_id(), shared.next_file_number());
    let upload = Upload {
        started_us: whole_second(shared.world.now_us()),
        headers: kept_headers(call.headers),
        parts: std::collections::BTreeMap::new(),
    };
    let mut xml = Xml::document("InitiateMultipartUploadResult");
    xml.leaf("Bucket", &call.bucket);
    xml.leaf("Key", &call.key);
    xml.leaf("UploadId", &upload_id);
    let mut index = shared.index();
    index.require_bucket(&call.bucket)?;
    index.uploads.insert((call.bucket.clone(), call.key.clone(), upload_id), upload);
    Ok(document(xml))
}

/// `UploadPart`.
pub(super) async fn put_part(shared: &Shared, call: &Call<'_>, body: &mut Incoming) -> Answer {
    let number = part_number(call)?;
    shared.index().upload_mut(call)?;
    let spooled = receive(shared, call, body).await?;
    let part = keep_part(shared, call, number, spooled)?;
    let etag = HeaderValue::from_str(&format!("\"{}\"", part.etag()));
    let mut response = empty(StatusCode::OK);
    response.headers_mut().insert(ETAG, etag.expect("entity tags are hex digits"));
    Ok(response)
}

/// `UploadPartCopy`.
pub(super) async fn copy_part(shared: &Shared, call: &Call<'_>) -> Answer {
    let number = part_number(call)?;
    shared.index().upload_mut(call)?;
    let (bucket, key) = copy_source(call)?;
    let source = shared.index().object(&bucket, &key)?;
    if !conditions::is_news(call, &OF_COPY_SOURCE, &source)? {
        return Err(Refusal::precondition_failed("x-amz-copy-source-If-None-Match"));
    }
    let span = copied_span(call, source.size_bytes)?;
    let mut spool = shared.spool().await?;
    spool.append(&source.file, span.start, span.count).await?;
    let part = keep_part(shared, call, number, spool.finish().await?)?;
    let mut xml = Xml::document("CopyPartResult");
    xml.leaf("LastModified", &xml_time(part.modified_us));
    xml.leaf("ETag", &format!("\"{}\"", part.etag()));
    Ok(document(xml))
}

/// `CompleteMultipartUpload`: the parts named, in their order, become the object.
pub(super) async fn complete(shared: &Shared, call: &Call<'_>, body: &mut Incoming) -> Answer {
    shared.index().upload_mut(call)?;
    let asked = receive_document(call, body).await?;
    let asked = named_parts(&asked)?;
    let (headers, parts) = chosen_parts(shared, call, &asked)?;
    let mut spool = shared.spool().await?;
    let mut tags = Md5::new();
    for part in &parts {
        tags.update(part.spooled.md5);
        spool.append(&part.spooled.file, 0, part.spooled.size_bytes).await?;
    }
    let spooled = spool.finish().await?;
    let object = Object {
        file: spooled.file,
        size_bytes: spooled.size_bytes,
        etag: format!("{}-{}", hex::encode(tags.finalize()), parts.len()),
        modified_us: whole_second(shared.world.now_us()),
        headers,
    };
    let mut xml = Xml::document("CompleteMultipartUploadResult");
    let host = call.header("host").unwrap_or_default();
    xml.leaf("Location", &format!("http://{host}/{}/{}", call.bucket, call.key));
    xml.leaf("Bucket", &call.bucket);
    xml.leaf("Key", &call.key);
    xml.leaf("ETag", &object.quoted_etag());
    settle(shared, call, object)?;
    Ok(document(xml))
}

/// `AbortMultipartUpload`.
pub(super) fn abort(shared: &Shared, call: &Call<'_>) -> Answer {
    let mut index = shared.index();
    index.upload_mut(call)?;
    index.uploads.remove(&upload_name(call));
    Ok(empty(StatusCode::NO_CONTENT))
}

fn part_number(call: &Call<'_>) -> Result<u32, Refusal> {
    let number = call.parameter("partNumber").and_then(|text| text.parse::<u32>().ok());
    number
        .filter(|number| (1..=PART_NUMBER_MAX).contains(number))
        .ok_or_else(|| Refusal::invalid_argument("Part number must be an integer between 1 and 10000, inclusive"))
}

fn copied_span(call: &Call<'_>, size_bytes: u64) -> Result<Span, Refusal> {
    let Some(range) = call.header("x-amz-copy-source-range") else {
        return Ok(Span { start: 0, count: size_bytes });
    };
    span_of(range, size_bytes)?.ok_or_else(|| {
        Refusal::invalid_argument("The x-amz-copy-source-range value must be of the form bytes=first-last")
    })
}

fn keep_part(shared: &Shared, call: &Call<'_>, number: u32, spooled: Spooled) -> Result<Part, Refusal> {
    let part = Part { spooled, modified_us: whole_second(shared.world.now_us()) };
    let mut index = shared.index();
    index.upload_mut(call)?.parts.insert(number, part.clone());
    Ok(part)
}

/// The numbers and entity tags of a `CompleteMultipartUpload` document.
fn named_parts(document: &[u8]) -> Result<Vec<(u32, String)>, Refusal> {
    let mut named = Vec::new();
    let (mut number, mut etag) = (None, None);
    for (path, text) in xml::elements(document)? {
        match path.as_str() {
            "CompleteMultipartUpload/Part/PartNumber" => number = text.trim().parse::<u32>().ok(),
            "CompleteMultipartUpload/Part/ETag" => etag = Some(text.trim().trim_matches('"').to_owned()),
            "CompleteMultipartUpload/Part" => match (number.take(), etag.take()) {
                (Some(number), Some(etag)) => named.push((number, etag)),
                _ => return Err(Refusal::malformed_xml()),
            },
            _ => {}
        }
    }
    if named.is_empty() { Err(Refusal::malformed_xml()) } else { Ok(named) }
}

/// The parts asked for, with the headers of the object to be.
fn chosen_parts(
    shared: &Shared,
    call: &Call<'_>,
    asked: &[(u32, String)],
) -> Result<(KeptHeaders, Vec<Part>), Refusal> {
    if !asked.is_sorted_by(|before, after| before.0 < after.0) {
        let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidPartOrder", message));
    }
    let mut index = shared.index();
    let upload = index.upload_mut(call)?;
    let mut parts = Vec::with_capacity(asked.len());
    for (number, etag) in asked {
        let part = upload.parts.get(number).filter(|part| part.etag() == *etag);
        let message = "One or more of the specified parts could not be found, or their entity tags do not fit.";
        let refusal =
            || Refusal::new(StatusCode::BAD_REQUEST, "InvalidPart", message).with("PartNumber", &number.to_string());
        parts.push(part.cloned().ok_or_else(refusal)?);
    }
    Ok((upload.headers.clone(), parts))
}

/// Puts the object in the place of the upload, unless that was aborted or completed meanwhile.
fn settle(shared: &Shared, call: &Call<'_>, object: Object) -> Result<(), Refusal> {
    shared.index().upload_mut(call)?;
    keep(shared, call, object)?;
    shared.index().uploads.remove(&upload_name(call));
    Ok(())
}
