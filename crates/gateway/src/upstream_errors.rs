//! Whose fault an upstream's error is. A refusal of our own key or address must never be shown as the
//! tenant's; pure.

use s3::{Operation, S3Error};

/// Whose error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The request's: pass it on with virtual names.
    Tenant,
    /// Ours: 503 and an alarm.
    Operator,
}

/// Codes that tell of our key, our clock or our region.
const OPERATOR_CODES: [&str; 16] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
    "AuthorizationHeaderMalformed",
    "InvalidToken",
    "ExpiredToken",
    "TokenRefreshRequired",
    "AccountProblem",
    "AllAccessDisabled",
    "NotSignedUp",
    "InvalidSecurity",
    "PermanentRedirect",
    "TemporaryRedirect",
    "Redirect",
    "XAmzContentSHA256Mismatch",
    "UnauthorizedAccess",
];

/// Judges an error answer. `code` is empty when the body had none (HEAD).
pub(crate) fn blame(status: u16, code: &str, operation: Operation) -> Blame {
    if OPERATOR_CODES.contains(&code) {
        return Blame::Operator;
    }
    match status {
        301 | 302 | 307 | 308 | 401 => Blame::Operator,
        403 if code == "AccessDenied" && may_be_locked(operation) => Blame::Tenant,
        // An archived object is not a question of rights.
        403 if code == "InvalidObjectState" => Blame::Tenant,
        403 => Blame::Operator,
        _ => Blame::Tenant,
    }
}

/// Object lock answers AccessDenied to the owner of the key as well.
fn may_be_locked(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::DeleteObject
            | Operation::DeleteObjects
            | Operation::ObjectProperty("PutObjectRetention" | "PutObjectLegalHold", _)
    )
}

/// Stands in for an error answer without a body that could be passed on.
pub(crate) fn by_status(status: u16) -> S3Error {
    match status {
        400 => S3Error::invalid_request(),
        404 => S3Error::no_such_key(),
        405 => S3Error::method_not_allowed(),
        409 => S3Error::operation_aborted(),
        411 => S3Error::missing_content_length(),
        412 => S3Error::precondition_failed(),
        416 => S3Error::invalid_range(),
        501 => S3Error::not_implemented(),
        500 => S3Error::internal_error(),
        _ => S3Error::service_unavailable(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_troubles_are_never_the_tenants() {
        for (status, code) in [
            (403, "SignatureDoesNotMatch"),
            (403, ""),
            (403, "AccessDenied"),
            (301, "PermanentRedirect"),
            (400, "AuthorizationHeaderMalformed"),
        ] {
            assert_eq!(blame(status, code, Operation::GetObject), Blame::Operator, "{code}");
        }
        for (status, code) in
            [(404, "NoSuchKey"), (412, "PreconditionFailed"), (403, "InvalidObjectState"), (503, "SlowDown")]
        {
            assert_eq!(blame(status, code, Operation::GetObject), Blame::Tenant, "{code}");
        }
        assert_eq!(blame(403, "AccessDenied", Operation::DeleteObject), Blame::Tenant);
        assert_eq!(blame(403, "InvalidAccessKeyId", Operation::DeleteObject), Blame::Operator);
    }
}
