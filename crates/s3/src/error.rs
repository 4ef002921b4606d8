//! Errors as S3 clients read them: a code, a status and an XML body.

use crate::xml;

/// An answer that refuses a request, in the words of S3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct S3Error {
    /// The code that clients branch on, such as `NoSuchKey`.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Text for people.
    pub message: String,
    /// Further elements of the body, in order.
    pub extra: Vec<(&'static str, String)>,
}

impl S3Error {
    /// Makes an error of any code.
    #[must_use]
    pub fn new(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), extra: Vec::new() }
    }

    /// Adds an element to the body.
    #[must_use]
    pub fn with(mut self, element: &'static str, value: impl Into<String>) -> Self {
        self.extra.push((element, value.into()));
        self
    }

    /// Replaces the text for people.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Writes the XML body. `bucket` and `key` are left out when empty.
    #[must_use]
    pub fn to_xml(&self, resource: &str, bucket: &str, key: &str, request_id: &str) -> String {
        let mut out = String::from(xml::DECLARATION);
        out.push_str("<Error>");
        xml::push_element(&mut out, "Code", self.code);
        xml::push_element(&mut out, "Message", &self.message);
        for (element, value) in &self.extra {
            xml::push_element(&mut out, element, value);
        }
        if !key.is_empty() {
            xml::push_element(&mut out, "Key", key);
        }
        if !bucket.is_empty() {
            xml::push_element(&mut out, "BucketName", bucket);
        }
        xml::push_element(&mut out, "Resource", resource);
        xml::push_element(&mut out, "RequestId", request_id);
        xml::push_element(&mut out, "HostId", request_id);
        out.push_str("</Error>");
        out
    }
}

macro_rules! errors {
    ($($name:ident $code:literal $status:literal $message:literal),* $(,)?) => {
        impl S3Error {$(
            #[doc = concat!("Makes `", $code, "`, status ", stringify!($status), ".")]
            #[must_use]
            pub fn $name() -> Self {
                Self::new($code, $status, $message)
            }
        )*}
    };
}

errors! {
    access_denied "AccessDenied" 403 "Access Denied",
    invalid_access_key_id "InvalidAccessKeyId" 403
        "The AWS Access Key Id you provided does not exist in our records.",
    signature_does_not_match "SignatureDoesNotMatch" 403
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    request_time_too_skewed "RequestTimeTooSkewed" 403
        "The difference between the request time and the current time is too large.",
    authorization_header_malformed "AuthorizationHeaderMalformed" 400 "The authorization header that you provided is not valid.",
    authorization_query_malformed "AuthorizationQueryParametersError" 400
        "The authorization query parameters that you provided are not valid.",
    sha256_mismatch "XAmzContentSHA256Mismatch" 400
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    bad_digest "BadDigest" 400 "The Content-MD5 or checksum value that you specified did not match what the server received.",
    invalid_digest "InvalidDigest" 400 "The Content-MD5 you specified is not valid.",
    incomplete_body "IncompleteBody" 400
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    malformed_trailer "MalformedTrailerError" 400 "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    request_timeout "RequestTimeout" 400
        "Your socket connection to the server was not read from or written to within the timeout period.",
    missing_content_length "MissingContentLength" 411 "You must provide the Content-Length HTTP header.",
    entity_too_large "EntityTooLarge" 400 "Your proposed upload exceeds the maximum allowed size.",
    entity_too_small "EntityTooSmall" 400 "Your proposed upload is smaller than the minimum allowed size.",
    key_too_long "KeyTooLongError" 400 "Your key is too long.",
    metadata_too_large "MetadataTooLarge" 400 "Your metadata headers exceed the maximum allowed metadata size.",
    malformed_xml "MalformedXML" 400 "The XML you provided was not well-formed or did not validate against our published schema.",
    malformed_post_request "MalformedPOSTRequest" 400 "The body of your POST request is not well-formed multipart/form-data.",
    invalid_bucket_name "InvalidBucketName" 400 "The specified bucket is not valid.",
    invalid_uri "InvalidURI" 400 "Couldn't parse the specified URI.",
    invalid_argument "InvalidArgument" 400 "Invalid Argument",
    invalid_request "InvalidRequest" 400 "Invalid Request",
    invalid_range "InvalidRange" 416 "The requested range cannot be satisfied.",
    no_such_bucket "NoSuchBucket" 404 "The specified bucket does not exist.",
    no_such_key "NoSuchKey" 404 "The specified key does not exist.",
    no_such_upload "NoSuchUpload" 404
        "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed.",
    no_such_version "NoSuchVersion" 404 "The specified version does not exist.",
    bucket_already_exists "BucketAlreadyExists" 409 "The requested bucket name is not available.",
    bucket_already_owned_by_you "BucketAlreadyOwnedByYou" 409
        "Your previous request to create the named bucket succeeded and you already own it.",
    bucket_not_empty "BucketNotEmpty" 409 "The bucket you tried to delete is not empty.",
    operation_aborted "OperationAborted" 409
        "A conflicting conditional operation is currently in progress against this resource. Try again.",
    conditional_request_conflict "ConditionalRequestConflict" 409
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
    precondition_failed "PreconditionFailed" 412 "At least one of the pre-conditions you specified did not hold.",
    method_not_allowed "MethodNotAllowed" 405 "The specified method is not allowed against this resource.",
    not_implemented "NotImplemented" 501 "A header or query you provided implies functionality that is not implemented.",
    quota_exceeded "QuotaExceeded" 403 "The quota of your organisation is used up.",
    slow_down "SlowDown" 503 "Please reduce your request rate.",
    internal_error "InternalError" 500 "We encountered an internal error. Please try again.",
    service_unavailable "ServiceUnavailable" 503 "The storage behind this bucket is not available at the moment. Please try again.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_the_elements_in_order() {
        let body = S3Error::no_such_key().to_xml("/b/a&b", "b", "a&b", "req_1");
        assert!(body.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>"));
        assert!(body.contains("<Key>a&amp;b</Key><BucketName>b</BucketName><Resource>/b/a&amp;b</Resource>"));
        assert!(body.ends_with("<RequestId>req_1</RequestId><HostId>req_1</HostId></Error>"));
    }
}
