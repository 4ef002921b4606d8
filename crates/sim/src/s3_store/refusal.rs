//! The store's refusals, as S3 words them.
//!
//! A refusal never names a secret or a path of the machine.

use super::bodies::{self, StoreBody};
use super::xml::Xml;
use http::{Response, StatusCode};

/// An error answer.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    details: Vec<(&'static str, String)>,
}

/// What a handler comes to.
pub(super) type Answer = Result<Response<StoreBody>, Refusal>;

impl Refusal {
    /// A refusal without further elements.
    pub(super) fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self { status, code, message, details: Vec::new() }
    }

    /// Adds an element to the error document.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.details.push((name, value.to_owned()));
        self
    }

    /// The S3 error code.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The answer on the wire; `resource` is the path of the request.
    pub(super) fn response(&self, resource: &str, request_id: &str) -> Response<StoreBody> {
        let mut xml = Xml::plain("Error");
        xml.leaf("Code", self.code);
        xml.leaf("Message", self.message);
        for (name, value) in &self.details {
            xml.leaf(name, value);
        }
        xml.leaf("Resource", resource);
        xml.leaf("RequestId", request_id);
        let mut response = bodies::document(xml);
        *response.status_mut() = self.status;
        response
    }

    /// 404 for a bucket.
    pub(super) fn no_such_bucket(bucket: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchBucket", "The specified bucket does not exist")
            .with("BucketName", bucket)
    }

    /// 404 for an object.
    pub(super) fn no_such_key(key: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.").with("Key", key)
    }

    /// 404 for a multipart upload.
    pub(super) fn no_such_upload(upload_id: &str) -> Self {
        let message = "The specified upload does not exist. \
            The upload ID may be invalid, or the upload may have been aborted or completed.";
        Self::new(StatusCode::NOT_FOUND, "NoSuchUpload", message).with("UploadId", upload_id)
    }

    /// 501.
    pub(super) fn not_implemented() -> Self {
        let message = "A header or parameter you provided implies functionality that is not implemented.";
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    /// 400 for a parameter.
    pub(super) fn invalid_argument(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
    }

    /// 400 for a request as a whole.
    pub(super) fn invalid_request(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequest", message)
    }

    /// 400 for a body that is not the expected document.
    pub(super) fn malformed_xml() -> Self {
        let message = "The XML you provided was not well-formed or did not validate against our published schema";
        Self::new(StatusCode::BAD_REQUEST, "MalformedXML", message)
    }

    /// 400 for a body that ended early.
    pub(super) fn incomplete_body() -> Self {
        let message = "You did not provide the number of bytes specified by the Content-Length HTTP header";
        Self::new(StatusCode::BAD_REQUEST, "IncompleteBody", message)
    }

    /// 412, naming the header that did not hold.
    pub(super) fn precondition_failed(condition: &str) -> Self {
        let message = "At least one of the pre-conditions you specified did not hold";
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message).with("Condition", condition)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "s3 store cannot use its directory");
        let message = "We encountered an internal error. Please try again.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }
}
