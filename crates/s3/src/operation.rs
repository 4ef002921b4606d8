//! Tells which operation a request is, from method, bucket, key, query and headers: the names of AWS
//! usage reports and the class that providers bill.

use crate::query::Query;
use http::{HeaderMap, Method};

/// What a request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Writes and lists.
    A,
    /// Reads and everything else.
    B,
    /// Deletes and aborts.
    Free,
}

/// An S3 operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names are those of the S3 API.
pub enum Operation {
    ListBuckets,
    CreateBucket,
    DeleteBucket,
    HeadBucket,
    GetBucketLocation,
    ListObjects,
    ListObjectsV2,
    ListObjectVersions,
    ListMultipartUploads,
    DeleteObjects,
    PostObject,
    GetObject,
    HeadObject,
    GetObjectAttributes,
    PutObject,
    CopyObject,
    DeleteObject,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
    SelectObjectContent,
    RestoreObject,
    CorsPreflight,
    /// A property of a bucket, such as its policy; the name is that of the operation.
    BucketProperty(&'static str, Access),
    /// A property of an object, such as its tags.
    ObjectProperty(&'static str, Access),
    /// Nothing that S3 knows.
    Unknown(Access),
}

/// What is done to a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// GET or HEAD.
    Read,
    /// PUT or POST.
    Write,
    /// DELETE.
    Delete,
}

/// Query name, then the operations for GET, PUT and DELETE.
type Property = (&'static str, &'static str, &'static str, &'static str);

const BUCKET_PROPERTIES: &[Property] = &[
    (
        "accelerate",
        "GetBucketAccelerateConfiguration",
        "PutBucketAccelerateConfiguration",
        "DeleteBucketAccelerateConfiguration",
    ),
    ("acl", "GetBucketAcl", "PutBucketAcl", "DeleteBucketAcl"),
    (
        "analytics",
        "GetBucketAnalyticsConfiguration",
        "PutBucketAnalyticsConfiguration",
        "DeleteBucketAnalyticsConfiguration",
    ),
    ("cors", "GetBucketCors", "PutBucketCors", "DeleteBucketCors"),
    ("encryption", "GetBucketEncryption", "PutBucketEncryption", "DeleteBucketEncryption"),
    (
        "intelligent-tiering",
        "GetBucketIntelligentTieringConfiguration",
        "PutBucketIntelligentTieringConfiguration",
        "DeleteBucketIntelligentTieringConfiguration",
    ),
    (
        "inventory",
        "GetBucketInventoryConfiguration",
        "PutBucketInventoryConfiguration",
        "DeleteBucketInventoryConfiguration",
    ),
    ("lifecycle", "GetBucketLifecycle", "PutBucketLifecycle", "DeleteBucketLifecycle"),
    ("logging", "GetBucketLogging", "PutBucketLogging", "DeleteBucketLogging"),
    ("metrics", "GetBucketMetricsConfiguration", "PutBucketMetricsConfiguration", "DeleteBucketMetricsConfiguration"),
    ("notification", "GetBucketNotification", "PutBucketNotification", "DeleteBucketNotification"),
    ("object-lock", "GetObjectLockConfiguration", "PutObjectLockConfiguration", "DeleteObjectLockConfiguration"),
    ("ownershipControls", "GetBucketOwnershipControls", "PutBucketOwnershipControls", "DeleteBucketOwnershipControls"),
    ("policy", "GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"),
    ("policyStatus", "GetBucketPolicyStatus", "PutBucketPolicyStatus", "DeleteBucketPolicyStatus"),
    ("publicAccessBlock", "GetPublicAccessBlock", "PutPublicAccessBlock", "DeletePublicAccessBlock"),
    ("replication", "GetBucketReplication", "PutBucketReplication", "DeleteBucketReplication"),
    ("requestPayment", "GetBucketRequestPayment", "PutBucketRequestPayment", "DeleteBucketRequestPayment"),
    ("tagging", "GetBucketTagging", "PutBucketTagging", "DeleteBucketTagging"),
    ("versioning", "GetBucketVersioning", "PutBucketVersioning", "DeleteBucketVersioning"),
    ("website", "GetBucketWebsite", "PutBucketWebsite", "DeleteBucketWebsite"),
];

const OBJECT_PROPERTIES: &[Property] = &[
    ("acl", "GetObjectAcl", "PutObjectAcl", "DeleteObjectAcl"),
    ("legal-hold", "GetObjectLegalHold", "PutObjectLegalHold", "DeleteObjectLegalHold"),
    ("retention", "GetObjectRetention", "PutObjectRetention", "DeleteObjectRetention"),
    ("tagging", "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging"),
    ("torrent", "GetObjectTorrent", "PutObjectTorrent", "DeleteObjectTorrent"),
];

fn property(table: &[Property], query: &Query, access: Access) -> Option<&'static str> {
    let row = table.iter().find(|row| query.has(row.0))?;
    Some(match access {
        Access::Read => row.1,
        Access::Write => row.2,
        Access::Delete => row.3,
    })
}

fn access_of(method: &Method) -> Access {
    match *method {
        Method::PUT | Method::POST | Method::PATCH => Access::Write,
        Method::DELETE => Access::Delete,
        _ => Access::Read,
    }
}

impl Operation {
    /// Classifies a request. `query` and `headers` are the effective ones, after headers hoisted into
    /// a presigned query were turned back.
    #[must_use]
    pub fn classify(method: &Method, has_bucket: bool, has_key: bool, query: &Query, headers: &HeaderMap) -> Self {
        if *method == Method::OPTIONS {
            return Self::CorsPreflight;
        }
        match (has_bucket, has_key) {
            (false, _) if *method == Method::GET => Self::ListBuckets,
            (false, _) => Self::Unknown(access_of(method)),
            (true, false) => Self::of_bucket(method, query),
            (true, true) => Self::of_object(method, query, headers.contains_key("x-amz-copy-source")),
        }
    }

    fn of_bucket(method: &Method, query: &Query) -> Self {
        let access = access_of(method);
        if let Some(name) = property(BUCKET_PROPERTIES, query, access) {
            return Self::BucketProperty(name, access);
        }
        match *method {
            Method::GET if query.has("location") => Self::GetBucketLocation,
            Method::GET if query.has("uploads") => Self::ListMultipartUploads,
            Method::GET if query.has("versions") => Self::ListObjectVersions,
            Method::GET if query.text("list-type").as_deref() == Some("2") => Self::ListObjectsV2,
            Method::GET => Self::ListObjects,
            Method::HEAD => Self::HeadBucket,
            Method::PUT => Self::CreateBucket,
            Method::DELETE => Self::DeleteBucket,
            Method::POST if query.has("delete") => Self::DeleteObjects,
            Method::POST => Self::PostObject,
            _ => Self::Unknown(access),
        }
    }

    fn of_object(method: &Method, query: &Query, copies: bool) -> Self {
        let access = access_of(method);
        let part = query.has("partNumber") && query.has("uploadId");
        match *method {
            Method::PUT if part && copies => return Self::UploadPartCopy,
            Method::PUT if part => return Self::UploadPart,
            Method::POST if query.has("uploads") => return Self::CreateMultipartUpload,
            Method::POST if query.has("uploadId") => return Self::CompleteMultipartUpload,
            Method::POST if query.has("select") => return Self::SelectObjectContent,
            Method::POST if query.has("restore") => return Self::RestoreObject,
            Method::GET if query.has("uploadId") => return Self::ListParts,
            Method::DELETE if query.has("uploadId") => return Self::AbortMultipartUpload,
            Method::GET if query.has("attributes") => return Self::GetObjectAttributes,
            Method::HEAD => return Self::HeadObject,
            _ => {}
        }
        if let Some(name) = property(OBJECT_PROPERTIES, query, access) {
            return Self::ObjectProperty(name, access);
        }
        match *method {
            Method::GET => Self::GetObject,
            Method::PUT if copies => Self::CopyObject,
            Method::PUT => Self::PutObject,
            Method::DELETE => Self::DeleteObject,
            _ => Self::Unknown(access),
        }
    }

    /// The name in AWS usage reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ListBuckets => "ListBuckets",
            Self::CreateBucket => "CreateBucket",
            Self::DeleteBucket => "DeleteBucket",
            Self::HeadBucket => "HeadBucket",
            Self::GetBucketLocation => "GetBucketLocation",
            Self::ListObjects => "ListObjects",
            Self::ListObjectsV2 => "ListObjectsV2",
            Self::ListObjectVersions => "ListObjectVersions",
            Self::ListMultipartUploads => "ListMultipartUploads",
            Self::DeleteObjects => "DeleteObjects",
            Self::PostObject => "PostObject",
            Self::GetObject => "GetObject",
            Self::HeadObject => "HeadObject",
            Self::GetObjectAttributes => "GetObjectAttributes",
            Self::PutObject => "PutObject",
            Self::CopyObject => "CopyObject",
            Self::DeleteObject => "DeleteObject",
            Self::CreateMultipartUpload => "CreateMultipartUpload",
            Self::UploadPart => "UploadPart",
            Self::UploadPartCopy => "UploadPartCopy",
            Self::CompleteMultipartUpload => "CompleteMultipartUpload",
            Self::AbortMultipartUpload => "AbortMultipartUpload",
            Self::ListParts => "ListParts",
            Self::SelectObjectContent => "SelectObjectContent",
            Self::RestoreObject => "RestoreObject",
            Self::CorsPreflight => "CorsPreflight",
            Self::BucketProperty(name, _) | Self::ObjectProperty(name, _) => name,
            Self::Unknown(_) => "Unknown",
        }
    }

    /// The class that the operation is billed in.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::GetObject | Self::HeadObject | Self::GetObjectAttributes | Self::HeadBucket => Class::B,
            Self::GetBucketLocation | Self::CorsPreflight | Self::SelectObjectContent => Class::B,
            Self::DeleteObject | Self::DeleteObjects | Self::DeleteBucket | Self::AbortMultipartUpload => Class::Free,
            Self::BucketProperty(_, access) | Self::ObjectProperty(_, access) | Self::Unknown(access) => match access {
                Access::Read => Class::B,
                Access::Write => Class::A,
                Access::Delete => Class::Free,
            },
            _ => Class::A,
        }
    }

    /// Tells whether the operation may change something, and so must not be retried or lost.
    #[must_use]
    pub fn is_write(self) -> bool {
        match self {
            Self::BucketProperty(_, access) | Self::ObjectProperty(_, access) | Self::Unknown(access) => {
                access != Access::Read
            }
            Self::ListBuckets
            | Self::HeadBucket
            | Self::GetBucketLocation
            | Self::ListObjects
            | Self::ListObjectsV2
            | Self::ListObjectVersions
            | Self::ListMultipartUploads
            | Self::ListParts
            | Self::GetObject
            | Self::HeadObject
            | Self::GetObjectAttributes
            | Self::SelectObjectContent
            | Self::CorsPreflight => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `METHOD target [copy] -> name class`.
    fn check(line: &str) {
        let (left, right) = line.split_once(" -> ").unwrap();
        let mut words = left.split(' ');
        let method: Method = words.next().unwrap().parse().unwrap();
        let target = words.next().unwrap();
        let mut headers = HeaderMap::new();
        if words.next() == Some("copy") {
            headers.insert("x-amz-copy-source", "/b/k".parse().unwrap());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        let operation =
            Operation::classify(&method, !bucket.is_empty(), !key.is_empty(), &Query::parse(query), &headers);
        assert_eq!(format!("{} {:?}", operation.name(), operation.class()), right, "{line}");
    }

    #[test]
    fn operations() {
        check("GET / -> ListBuckets A");
        check("GET /b -> ListObjects A");
        check("GET /b?list-type=2&prefix=x -> ListObjectsV2 A");
        check("GET /b?versions -> ListObjectVersions A");
        check("GET /b?uploads -> ListMultipartUploads A");
        check("GET /b?location -> GetBucketLocation B");
        check("HEAD /b -> HeadBucket B");
        check("PUT /b -> CreateBucket A");
        check("PUT /b?policy -> PutBucketPolicy A");
        check("DELETE /b?cors -> DeleteBucketCors Free");
        check("POST /b?delete -> DeleteObjects Free");
        check("POST /b -> PostObject A");
        check("PUT /b/k -> PutObject A");
        check("PUT /b/k copy -> CopyObject A");
        check("PUT /b/k?partNumber=1&uploadId=u -> UploadPart A");
        check("PUT /b/k?partNumber=1&uploadId=u copy -> UploadPartCopy A");
        check("POST /b/k?uploads -> CreateMultipartUpload A");
        check("POST /b/k?uploadId=u -> CompleteMultipartUpload A");
        check("DELETE /b/k?uploadId=u -> AbortMultipartUpload Free");
        check("GET /b/k?uploadId=u -> ListParts A");
        check("GET /b/k -> GetObject B");
        check("GET /b/k?partNumber=1 -> GetObject B");
        check("HEAD /b/k -> HeadObject B");
        check("GET /b/k?attributes -> GetObjectAttributes B");
        check("GET /b/k?tagging -> GetObjectTagging B");
        check("PUT /b/k?tagging -> PutObjectTagging A");
        check("DELETE /b/k?tagging -> DeleteObjectTagging Free");
        check("DELETE /b/k -> DeleteObject Free");
        check("POST /b/k?select&select-type=2 -> SelectObjectContent B");
        check("POST /b/k?restore -> RestoreObject A");
        check("OPTIONS /b/k -> CorsPreflight B");
    }
}
