//! Operations on buckets. They never touch objects.

use super::Shared;
use super::bodies::{StoreBody, document, empty, receive_document};
use super::call::Call;
use super::refusal::{Answer, Refusal};
use super::times::{whole_second, xml_time};
use super::xml::Xml;
use http::header::{CONTENT_LENGTH, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use hyper::body::Incoming;

const BUCKETS_MAX: usize = 1000;
const REGION: &str = "us-east-1";
const OWNER: &str = "meterhouse-sim";

/// `ListBuckets`: all of them, without pages.
pub(super) fn list(shared: &Shared) -> Response<StoreBody> {
    let mut xml = Xml::document("ListAllMyBucketsResult");
    write_owner(&mut xml, "Owner");
    xml.open("Buckets");
    for (bucket, made_us) in &shared.index().buckets {
        xml.open("Bucket");
        xml.leaf("Name", bucket);
        xml.leaf("CreationDate", &xml_time(*made_us));
        xml.close();
    }
    document(xml)
}

/// `CreateBucket`. The location asked for is ignored.
pub(super) async fn create(shared: &Shared, call: &Call<'_>, body: &mut Incoming) -> Answer {
    if call.headers.contains_key(CONTENT_LENGTH) {
        receive_document(call, body).await?;
    }
    if !is_bucket_name(&call.bucket) {
        let message = "The specified bucket is not valid.";
        return Err(
            Refusal::new(StatusCode::BAD_REQUEST, "InvalidBucketName", message).with("BucketName", &call.bucket)
        );
    }
    make(shared, &call.bucket)?;
    let location = HeaderValue::from_str(&format!("/{}", call.bucket));
    let mut response = empty(StatusCode::OK);
    response.headers_mut().insert(LOCATION, location.expect("bucket names are plain ASCII"));
    Ok(response)
}

/// `HeadBucket`.
pub(super) fn head(shared: &Shared, call: &Call<'_>) -> Answer {
    shared.index().require_bucket(&call.bucket)?;
    let mut response = empty(StatusCode::OK);
    response.headers_mut().insert("x-amz-bucket-region", HeaderValue::from_static(REGION));
    Ok(response)
}

/// `GetBucketLocation`: always the first region, which S3 writes as nothing.
pub(super) fn location(shared: &Shared, call: &Call<'_>) -> Answer {
    shared.index().require_bucket(&call.bucket)?;
    Ok(document(Xml::document("LocationConstraint")))
}

/// `DeleteBucket`; unfinished uploads go with it.
pub(super) fn delete(shared: &Shared, call: &Call<'_>) -> Answer {
    let mut index = shared.index();
    index.require_bucket(&call.bucket)?;
    if !index.is_empty_bucket(&call.bucket) {
        let message = "The bucket you tried to delete is not empty";
        return Err(Refusal::new(StatusCode::CONFLICT, "BucketNotEmpty", message).with("BucketName", &call.bucket));
    }
    index.buckets.remove(&call.bucket);
    index.uploads.retain(|(bucket, _, _), _| *bucket != call.bucket);
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Writes an owner element called `name`.
pub(super) fn write_owner(xml: &mut Xml, name: &'static str) {
    xml.open(name);
    xml.leaf("ID", OWNER);
    xml.leaf("DisplayName", OWNER);
    xml.close();
}

fn make(shared: &Shared, bucket: &str) -> Result<(), Refusal> {
    let made_us = whole_second(shared.world.now_us());
    let mut index = shared.index();
    if index.buckets.contains_key(bucket) {
        let message = "Your previous request to create the named bucket succeeded and you already own it.";
        return Err(Refusal::new(StatusCode::CONFLICT, "BucketAlreadyOwnedByYou", message).with("BucketName", bucket));
    }
    if index.buckets.len() >= BUCKETS_MAX {
        let message = "You have attempted to create more buckets than allowed";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "TooManyBuckets", message));
    }
    index.buckets.insert(bucket.to_owned(), made_us);
    Ok(())
}

fn is_bucket_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| plain(*byte) || *byte == b'-' || *byte == b'.')
        && plain(bytes[0])
        && plain(bytes[bytes.len() - 1])
        && !name.contains("..")
}
