//! Rewrites the names inside an upstream's XML answer, event by event.
//!
//! Only the listed element paths are touched; everything else is copied byte for byte, because user
//! metadata, tags and policies may contain look-alike text.

use crate::names;
use crate::xml::{self, XmlError};
use quick_xml::Reader;
use quick_xml::escape::partial_escape;
use quick_xml::events::Event;

/// What takes the place of the upstream's names.
pub struct Rewrite<'a> {
    /// Virtual bucket name.
    pub bucket: &'a str,
    /// Hidden prefix that real keys start with.
    pub prefix: &'a str,
    /// Virtual folder put in its place; empty for a mapping of the whole bucket.
    pub folder: &'a str,
    /// Id shown as owner and initiator.
    pub owner_id: &'a str,
    /// Name shown as owner and initiator.
    pub owner_name: &'a str,
    /// Virtual key of the request, shown in single-object answers and errors.
    pub key: &'a str,
    /// Shown as `Location` of a completed upload.
    pub location: &'a str,
    /// Shown as `Resource` of an error.
    pub resource: &'a str,
    /// Shown as `RequestId` and `HostId` of an error.
    pub request_id: &'a str,
    /// What the client itself sent, echoed instead of the mapped value: element name and value.
    pub echoes: &'a [(&'a str, String)],
    /// Wraps the upstream's continuation token.
    pub wrap_token: &'a dyn Fn(&str) -> String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Bucket,
    /// A key of a listing: must start with the hidden prefix.
    ListedKey,
    /// Where the next page starts: un-prefixed if possible, else dropped.
    NextKey,
    /// The key that the client named himself.
    OwnKey,
    OwnerId,
    OwnerName,
    Token,
    Location,
    Resource,
    RequestId,
    Echo(&'static str),
    Empty,
}

fn action(path: &[&str]) -> Option<Action> {
    use Action::{Bucket, Echo, Empty, ListedKey, NextKey, OwnKey, OwnerId, OwnerName, RequestId, Resource, Token};
    Some(match path {
        ["ListBucketResult" | "ListVersionsResult", "Name"] => Bucket,
        [
            "ListMultipartUploadsResult"
            | "ListPartsResult"
            | "InitiateMultipartUploadResult"
            | "CompleteMultipartUploadResult",
            "Bucket",
        ] => Bucket,
        ["ListBucketResult", "Contents", "Key"]
        | ["ListVersionsResult", "Version" | "DeleteMarker", "Key"]
        | ["ListMultipartUploadsResult", "Upload", "Key"]
        | ["ListBucketResult" | "ListVersionsResult" | "ListMultipartUploadsResult", "CommonPrefixes", "Prefix"]
        | ["DeleteResult", "Deleted" | "Error", "Key"] => ListedKey,
        ["ListBucketResult" | "ListVersionsResult" | "ListMultipartUploadsResult", "NextMarker" | "NextKeyMarker"] => {
            NextKey
        }
        ["ListBucketResult" | "ListVersionsResult" | "ListMultipartUploadsResult", "Prefix"] => Echo("Prefix"),
        ["ListBucketResult", "Marker"] => Echo("Marker"),
        ["ListBucketResult", "StartAfter"] => Echo("StartAfter"),
        ["ListBucketResult", "ContinuationToken"] => Echo("ContinuationToken"),
        ["ListVersionsResult" | "ListMultipartUploadsResult", "KeyMarker"] => Echo("KeyMarker"),
        ["ListBucketResult", "NextContinuationToken"] => Token,
        ["ListPartsResult" | "InitiateMultipartUploadResult" | "CompleteMultipartUploadResult", "Key"] => OwnKey,
        ["CompleteMultipartUploadResult", "Location"] => Action::Location,
        [.., "Owner" | "Initiator", "ID"] => OwnerId,
        [.., "Owner" | "Initiator", "DisplayName"] => OwnerName,
        ["AccessControlPolicy", "AccessControlList", "Grant", "Grantee", "ID"] => OwnerId,
        ["AccessControlPolicy", "AccessControlList", "Grant", "Grantee", "DisplayName"] => OwnerName,
        ["Error", "Key"] => OwnKey,
        ["Error", "BucketName" | "Bucket"] => Bucket,
        ["Error", "Resource"] => Resource,
        ["Error", "RequestId" | "HostId"] => RequestId,
        [
            "Error",
            "Endpoint"
            | "Region"
            | "AWSAccessKeyId"
            | "StringToSign"
            | "CanonicalRequest"
            | "StringToSignBytes"
            | "CanonicalRequestBytes"
            | "SignatureProvided",
        ] => Empty,
        _ => return None,
    })
}

impl Rewrite<'_> {
    /// Gives the new text of an element, already encoded as the document wants it.
    fn replace(&self, action: Action, text: &str, encoded: bool) -> Result<String, XmlError> {
        Ok(match action {
            Action::Bucket => self.bucket.to_owned(),
            Action::ListedKey => self.unprefix(text, encoded).ok_or(XmlError::Foreign)?,
            Action::NextKey => self.unprefix(text, encoded).unwrap_or_default(),
            Action::OwnKey => self.key.to_owned(),
            Action::OwnerId => self.owner_id.to_owned(),
            Action::OwnerName => self.owner_name.to_owned(),
            Action::Token => (self.wrap_token)(text),
            Action::Location => self.location.to_owned(),
            Action::Resource => self.resource.to_owned(),
            Action::RequestId => self.request_id.to_owned(),
            Action::Echo(name) => self.echo(name, encoded),
            Action::Empty => String::new(),
        })
    }

    fn unprefix(&self, text: &str, encoded: bool) -> Option<String> {
        if encoded {
            let rest = names::strip_encoded(text, self.prefix.as_bytes())?;
            return Some(format!("{}{rest}", names::encode_key(self.folder.as_bytes())));
        }
        let rest = text.strip_prefix(self.prefix)?;
        Some(format!("{}{rest}", self.folder))
    }

    fn echo(&self, name: &str, encoded: bool) -> String {
        let value = self.echoes.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str());
        if encoded && name != "ContinuationToken" { names::encode_key(value.as_bytes()) } else { value.to_owned() }
    }
}

/// Rewrites the listed element paths of `input` and copies everything else byte for byte.
///
/// A listed key outside the hidden prefix is an error: showing it would show another tenant's name.
pub fn rewrite_xml(input: &[u8], rewrite: &Rewrite<'_>) -> Result<Vec<u8>, XmlError> {
    let source = std::str::from_utf8(input).map_err(|_| XmlError::NotUtf8)?;
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    // Text cannot hold a raw `<`, so this cannot be forged by a key.
    let encoded = source.contains("<EncodingType>url</EncodingType>");
    let mut reader = Reader::from_str(source);
    let mut out = String::with_capacity(source.len());
    let mut path: Vec<&str> = Vec::new();
    let mut pending: Option<(Action, String)> = None;
    let mut done = 0;
    loop {
        let event = reader.read_event().map_err(XmlError::malformed)?;
        let at = usize::try_from(reader.buffer_position()).map_err(XmlError::malformed)?;
        let piece = source.get(done..at).ok_or_else(|| XmlError::malformed("position out of range"))?;
        done = at;
        match event {
            Event::Start(_) => {
                if pending.is_some() {
                    return Err(XmlError::malformed("element inside a name"));
                }
                path.push(local_name(piece));
                out.push_str(piece);
                pending = action(&path).map(|found| (found, String::new()));
            }
            Event::End(_) => {
                if let Some((found, text)) = pending.take() {
                    let value = rewrite.replace(found, &text, encoded)?;
                    out.push_str(&partial_escape(value.as_str()));
                }
                path.pop();
                out.push_str(piece);
            }
            Event::Text(text) if pending.is_some() => collect(&mut pending, &text.xml10_content()),
            Event::CData(text) if pending.is_some() => collect(&mut pending, &text.into_inner()),
            Event::GeneralRef(reference) if pending.is_some() => collect(&mut pending, &xml::resolve(&reference)?),
            Event::Eof => break,
            _ => out.push_str(piece),
        }
    }
    if !path.is_empty() {
        return Err(XmlError::malformed("element is not closed"));
    }
    Ok(out.into_bytes())
}

fn collect(pending: &mut Option<(Action, String)>, text: &str) {
    if let Some((_, collected)) = pending {
        collected.push_str(text);
    }
}

/// The local name inside the raw start tag `<s:Name attr="...">`.
fn local_name(tag: &str) -> &str {
    let inner = tag.trim_start_matches('<');
    let end = inner.find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/').unwrap_or(inner.len());
    let qualified = &inner[..end];
    qualified.rsplit_once(':').map_or(qualified, |(_, local)| local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(input: &str) -> Result<String, XmlError> {
        let echoes = [("Prefix", "q/".to_owned())];
        let wrap = |token: &str| format!("[{token}]");
        let rewrite = Rewrite {
            bucket: "virtual",
            prefix: "hidden/",
            folder: "",
            owner_id: "org_1",
            owner_name: "Org",
            key: "k&1",
            location: "http://gw/virtual/k",
            resource: "/virtual/k",
            request_id: "req_1",
            echoes: &echoes,
            wrap_token: &wrap,
        };
        rewrite_xml(input.as_bytes(), &rewrite).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn changes_the_listed_paths_only() {
        let input = "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"><Name>real</Name><Prefix>hidden/q/</Prefix>\
            <Contents><Key>hidden/q/a&amp;b</Key><ETag>&#34;e&#34;</ETag><Owner><ID>up</ID></Owner></Contents>\
            <CommonPrefixes><Prefix>hidden/q/c/</Prefix></CommonPrefixes><Other><Key>hidden/x</Key></Other>\
            <NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
        let expected = "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"><Name>virtual</Name><Prefix>q/</Prefix>\
            <Contents><Key>q/a&amp;b</Key><ETag>&#34;e&#34;</ETag><Owner><ID>org_1</ID></Owner></Contents>\
            <CommonPrefixes><Prefix>q/c/</Prefix></CommonPrefixes><Other><Key>hidden/x</Key></Other>\
            <NextContinuationToken>[t]</NextContinuationToken></ListBucketResult>";
        assert_eq!(rewrite(input).as_deref(), Ok(expected));
    }

    #[test]
    fn url_encoded_keys_keep_their_rest() {
        let input = "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>hidden%2Fa+%2B</Key></Contents></ListBucketResult>";
        let expected = "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a+%2B</Key></Contents></ListBucketResult>";
        assert_eq!(rewrite(input).as_deref(), Ok(expected));
    }

    #[test]
    fn a_foreign_key_is_never_shown() {
        let input = "<ListBucketResult><Contents><Key>other/secret</Key></Contents></ListBucketResult>";
        assert_eq!(rewrite(input), Err(XmlError::Foreign));
    }

    #[test]
    fn errors_carry_virtual_names() {
        let input = "\n <Error><Code>NoSuchKey</Code><Key>hidden/k</Key><Resource>/real/hidden/k</Resource><RequestId>u</RequestId></Error>";
        let expected = "\n <Error><Code>NoSuchKey</Code><Key>k&amp;1</Key><Resource>/virtual/k</Resource><RequestId>req_1</RequestId></Error>";
        assert_eq!(rewrite(input).as_deref(), Ok(expected));
    }
}
