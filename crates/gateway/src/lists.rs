//! Lists of one mapping: asked of the upstream with mapped positions, answered with virtual names.

use crate::answer::Reply;
use crate::forward::{SmallRequest, upstream_headers};
use crate::gateway::{Fault, Gateway};
use crate::inbound::Inbound;
use crate::meter::Meter;
use crate::port::{Mapping, Port, VirtualBucket};
use crate::{route, tokens};
use bytes::Bytes;
use http::Method;
use s3::{Query, S3Error, names};

/// Query parameters that name a position in the keys, and what the answer calls them.
const POSITIONS: [(&str, &str); 3] = [("marker", "Marker"), ("start-after", "StartAfter"), ("key-marker", "KeyMarker")];

/// Refuses positions that an upstream might resolve to another directory.
pub(crate) fn check_positions(query: &Query) -> Result<(), S3Error> {
    for name in ["prefix", "marker", "start-after", "key-marker"] {
        if query.bytes(name).is_some_and(names::prefix_has_dot_segment) {
            return Err(S3Error::invalid_argument()
                .saying("The path segments . and .. are not accepted.")
                .with("ArgumentName", name));
        }
    }
    Ok(())
}

pub(crate) fn bad_token() -> S3Error {
    S3Error::invalid_argument()
        .saying("The continuation token provided is incorrect")
        .with("ArgumentName", "continuation-token")
}

/// Whether a store may take the keys apart in another way than S3 does, and show more of a hidden prefix than was asked
/// for: an empty segment, which SeaweedFS leaves out, or a delimiter that is not its own.
pub(crate) fn needs_own_grouping(query: &Query) -> bool {
    let prefix = query.bytes("prefix").unwrap_or_default();
    let delimiter = query.bytes("delimiter").unwrap_or_default();
    has_empty_segment(prefix) || !(delimiter.is_empty() || delimiter == b"/")
}

/// Whether a prefix begins with a slash or has two in a row.
pub(crate) fn has_empty_segment(prefix: &[u8]) -> bool {
    prefix.starts_with(b"/") || prefix.windows(2).any(|pair| pair == b"//")
}

/// What a list may be asked. Anything else could be a sub-resource that this gateway does not know.
const LIST_PARAMETERS: [&str; 16] = [
    "list-type",
    "prefix",
    "delimiter",
    "marker",
    "start-after",
    "key-marker",
    "version-id-marker",
    "upload-id-marker",
    "max-keys",
    "max-uploads",
    "encoding-type",
    "fetch-owner",
    "continuation-token",
    "versions",
    "uploads",
    "x-id",
];

/// Maps the positions of a list into the real key space.
fn map_query(query: &Query, mapping: &Mapping) -> Result<Query, S3Error> {
    let known = |name: &[u8]| LIST_PARAMETERS.iter().any(|known| known.as_bytes() == name);
    if let Some((name, _)) = query.iter().find(|(name, _)| !known(name)) {
        let name = String::from_utf8_lossy(name).into_owned();
        return Err(S3Error::not_implemented().saying(format!("The list parameter {name} is not supported.")));
    }
    let folder = mapping.folder.as_bytes();
    let real =
        |virtual_key: &[u8]| virtual_key.strip_prefix(folder).map(|rest| [mapping.prefix.as_bytes(), rest].concat());
    let mut mapped = query.clone();
    let prefix = query.bytes("prefix").unwrap_or_default();
    let real_prefix = real(prefix).ok_or_else(S3Error::invalid_argument)?;
    if real_prefix.is_empty() {
        mapped.remove("prefix");
    } else {
        mapped.set("prefix", &real_prefix);
    }
    for (name, _) in POSITIONS {
        let Some(position) = query.bytes(name) else { continue };
        match real(position) {
            Some(real_position) if !position.is_empty() => mapped.set(name, &real_position),
            _ if position < folder || position.is_empty() => {
                // Before the first key of the mapping: the same as no position.
                mapped.remove(name);
                mapped.remove("version-id-marker");
                mapped.remove("upload-id-marker");
            }
            _ => return Err(S3Error::invalid_argument().with("ArgumentName", name)),
        }
    }
    Ok(mapped)
}

impl<P: Port> Gateway<P> {
    /// Serves ListObjects in both versions.
    pub(crate) async fn list_objects(
        &self,
        inbound: &Inbound,
        bucket: &VirtualBucket,
        meter: &mut Meter<P>,
    ) -> Result<Reply, Fault> {
        check_positions(&inbound.query)?;
        match route::single(bucket) {
            Some(mapping) if mapping.prefix.is_empty() || !needs_own_grouping(&inbound.query) => {
                self.list_one_mapping(inbound, mapping, meter).await
            }
            _ => self.list_folders(inbound, bucket, meter).await,
        }
    }

    /// Serves the lists of versions and of uploads, which are not merged over several places.
    pub(crate) async fn list_below_one_mapping(
        &self,
        inbound: &Inbound,
        bucket: &VirtualBucket,
        meter: &mut Meter<P>,
    ) -> Result<Reply, Fault> {
        check_positions(&inbound.query)?;
        let prefix = inbound.query.bytes("prefix").unwrap_or_default();
        let mapping = route::sole_owner_below(bucket, prefix).ok_or_else(|| {
            S3Error::not_implemented().saying(
                "This bucket has mapped folders: versions and uploads are listed with a prefix inside one of them.",
            )
        })?;
        if !mapping.prefix.is_empty() && needs_own_grouping(&inbound.query) {
            let text = "Versions and uploads of this bucket are listed with the delimiter / only, and not below an empty segment.";
            return Err(S3Error::not_implemented().saying(text).into());
        }
        meter.routed(mapping);
        self.list_one_mapping(inbound, mapping, meter).await
    }

    async fn list_one_mapping(&self, inbound: &Inbound, mapping: &Mapping, meter: &Meter<P>) -> Result<Reply, Fault> {
        let mut query = map_query(&inbound.query, mapping)?;
        let mut echoes = vec![("Prefix", inbound.query.text("prefix").unwrap_or_default())];
        for (name, element) in POSITIONS {
            echoes.push((element, inbound.query.text(name).unwrap_or_default()));
        }
        if let Some(token) = inbound.query.text("continuation-token") {
            let context = mapping.mapping.to_string();
            let opened = tokens::open(&self.settings.token_key, &context, &token).ok_or_else(bad_token)?;
            query.set("continuation-token", opened.as_bytes());
            echoes.push(("ContinuationToken", token));
        }
        let request = SmallRequest {
            method: Method::GET,
            raw_key: "",
            query: &query,
            headers: upstream_headers(inbound),
            body: Bytes::new(),
        };
        let response = self.send_small(mapping, request, meter).await?;
        self.pass(inbound, mapping, response, &echoes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::bucket;

    fn check(row: &str, query: &str, expected: &str) {
        let mapped = map_query(&Query::parse(query), &bucket(&[row]).mappings[0]);
        assert_eq!(mapped.map(|query| query.to_raw()).map_err(|error| error.code), Ok(expected.to_owned()), "{query}");
    }

    #[test]
    fn positions_are_mapped() {
        check(">", "list-type=2&delimiter=/", "list-type=2&delimiter=%2F");
        check(">t/", "list-type=2", "list-type=2&prefix=t%2F");
        check(">t/", "prefix=a&marker=a%20b", "prefix=t%2Fa&marker=t%2Fa%20b");
        check(">t/", "marker=&prefix=", "prefix=t%2F");
        check("p/>x/", "prefix=p/a&key-marker=a&version-id-marker=1", "prefix=x%2Fa");
        check("p/>", "prefix=p/", "");
    }

    #[test]
    fn positions_do_not_climb() {
        for query in ["prefix=../", "prefix=a/./b", "marker=..%2Fx", "start-after=a/../b"] {
            assert!(check_positions(&Query::parse(query)).is_err(), "{query}");
        }
        assert!(check_positions(&Query::parse("prefix=.hidden/..")).is_ok());
    }
}
