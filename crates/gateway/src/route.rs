//! Which mapping a key belongs to, and its real key. Pure.

use crate::port::{Mapping, VirtualBucket};
use s3::{Operation, S3Error, names};

/// A key and the place it maps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The chosen mapping.
    pub mapping: Mapping,
    /// Real key, percent-encoded.
    pub raw_key: String,
    /// Real key, decoded.
    pub real_key: Vec<u8>,
}

/// Finds the mapping with the longest folder that the key lies in.
pub(crate) fn owner<'a>(bucket: &'a VirtualBucket, key: &[u8]) -> Option<&'a Mapping> {
    bucket
        .mappings
        .iter()
        .filter(|mapping| key.starts_with(mapping.folder.as_bytes()))
        .max_by_key(|mapping| mapping.folder.len())
}

/// Maps a percent-encoded virtual key.
///
/// Refuses keys with the NUL character, keys that could climb out of their place at an upstream that resolves dot
/// segments, and the empty real key, which would name the real bucket itself.
pub(crate) fn place(bucket: &VirtualBucket, raw_key: &str, operation: Operation) -> Result<Place, S3Error> {
    let key = names::decode(raw_key);
    if names::has_dot_segment(&key) {
        return Err(S3Error::invalid_uri().saying("Keys with the path segments . and .. are not accepted."));
    }
    // No store of objects keeps such a key the same way: some cut it there, some fail.
    if key.contains(&0) {
        return Err(S3Error::invalid_uri().saying("Keys with the NUL character are not accepted."));
    }
    let absent = || {
        if operation.is_write() {
            S3Error::access_denied().saying("No storage is mapped at this place of the bucket.")
        } else {
            S3Error::no_such_key()
        }
    };
    let mapping = owner(bucket, &key).ok_or_else(absent)?;
    let rest = &key[mapping.folder.len()..];
    let mut real_key = mapping.prefix.as_bytes().to_vec();
    real_key.extend_from_slice(rest);
    if real_key.is_empty() {
        return Err(absent());
    }
    if real_key.len() > names::KEY_BYTES_MAX {
        return Err(S3Error::key_too_long()
            .with("Size", real_key.len().to_string())
            .with("MaxSizeAllowed", names::KEY_BYTES_MAX.to_string()));
    }
    if operation.is_write() && !mapping.writable {
        return Err(S3Error::access_denied().saying("This place of the bucket is read-only."));
    }
    Ok(Place { mapping: mapping.clone(), raw_key: names::encode_key(&real_key), real_key })
}

/// Gives the only mapping of a bucket that is mapped as a whole, in one piece.
pub(crate) fn single(bucket: &VirtualBucket) -> Option<&Mapping> {
    match bucket.mappings.as_slice() {
        [only] if only.folder.is_empty() => Some(only),
        _ => None,
    }
}

/// Gives the mapping when it owns the whole real bucket: what bucket properties need.
pub(crate) fn whole(bucket: &VirtualBucket) -> Option<&Mapping> {
    single(bucket).filter(|mapping| mapping.prefix.is_empty())
}

/// Gives the one mapping that holds every key starting with `prefix`, if there is one.
pub(crate) fn sole_owner_below<'a>(bucket: &'a VirtualBucket, prefix: &[u8]) -> Option<&'a Mapping> {
    let found = owner(bucket, prefix)?;
    let crossed = bucket
        .mappings
        .iter()
        .any(|other| other.folder.len() > found.folder.len() && other.folder.as_bytes().starts_with(prefix));
    (!crossed).then_some(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use base::{AccountId, MappingId};
    use s3::{Style, Upstream};
    use std::sync::Arc;

    /// A bucket from `folder>prefix` texts; the account's number is the position.
    pub(crate) fn bucket(rows: &[&str]) -> VirtualBucket {
        let upstream = Arc::new(Upstream::new("http://127.0.0.1:1", "r", Style::Path, "k", "s").unwrap());
        let mappings = rows.iter().enumerate().map(|(index, row)| {
            let (folder, prefix) = row.split_once('>').unwrap();
            Mapping {
                mapping: MappingId(index as u128),
                folder: folder.to_owned(),
                account: AccountId(index as u128),
                upstream: Arc::clone(&upstream),
                real_bucket: format!("real{index}"),
                prefix: prefix.to_owned(),
                writable: true,
            }
        });
        VirtualBucket { name: "virtual".to_owned(), created_us: 0, mappings: mappings.collect() }
    }

    fn check(rows: &[&str], raw_key: &str, operation: Operation, expected: Result<(&str, &str), &str>) {
        let found = place(&bucket(rows), raw_key, operation);
        let found = found.as_ref().map(|place| (place.mapping.real_bucket.as_str(), place.raw_key.as_str()));
        assert_eq!(found.map_err(|error| error.code), expected, "{raw_key}");
    }

    #[test]
    fn keys_go_to_the_longest_folder() {
        let rows = [">t/", "p/>", "p/q/>x/y/"];
        check(&rows, "a%20b", Operation::GetObject, Ok(("real0", "t/a%20b")));
        check(&rows, "p/a", Operation::GetObject, Ok(("real1", "a")));
        check(&rows, "p/q/a", Operation::GetObject, Ok(("real2", "x/y/a")));
        check(&rows, "p%2Fq%2Fa", Operation::GetObject, Ok(("real2", "x/y/a")));
        check(&rows, "p", Operation::GetObject, Ok(("real0", "t/p")));
    }

    #[test]
    fn no_key_reaches_the_real_bucket_or_climbs() {
        check(&["p/>"], "p/", Operation::GetObject, Err("NoSuchKey"));
        check(&["p/>"], "p/", Operation::PutObject, Err("AccessDenied"));
        check(&["p/>"], "p/", Operation::DeleteObject, Err("AccessDenied"));
        check(&["p/>"], "other", Operation::PutObject, Err("AccessDenied"));
        check(&["p/>"], "other", Operation::HeadObject, Err("NoSuchKey"));
        check(&[">t/"], "../u/secret", Operation::GetObject, Err("InvalidURI"));
        check(&[">t/"], "%2e%2e/u/secret", Operation::GetObject, Err("InvalidURI"));
        check(&[">t/"], "a/..", Operation::GetObject, Err("InvalidURI"));
        check(&[">t/"], "a%00b", Operation::PutObject, Err("InvalidURI"));
        check(&[">t/"], "a%00b", Operation::CreateMultipartUpload, Err("InvalidURI"));
        check(&[">t/"], &"k".repeat(1_023), Operation::GetObject, Err("KeyTooLongError"));
    }

    #[test]
    fn read_only_places_refuse_writes() {
        let mut read_only = bucket(&[">"]);
        read_only.mappings[0].writable = false;
        assert_eq!(place(&read_only, "k", Operation::PutObject).unwrap_err().code, "AccessDenied");
        assert!(place(&read_only, "k", Operation::GetObject).is_ok());
    }

    #[test]
    fn whole_and_sole_owners() {
        assert!(whole(&bucket(&[">"])).is_some());
        assert!(whole(&bucket(&[">t/"])).is_none());
        assert!(single(&bucket(&[">t/"])).is_some());
        assert!(single(&bucket(&[">", "p/>"])).is_none());
        let rows = bucket(&[">", "p/>", "p/q/>"]);
        let below = |prefix: &str| sole_owner_below(&rows, prefix.as_bytes()).map(|found| found.folder.as_str());
        assert_eq!(below(""), None);
        assert_eq!(below("a"), Some(""));
        assert_eq!(below("p"), None);
        assert_eq!(below("p/"), None);
        assert_eq!(below("p/a"), Some("p/"));
        assert_eq!(below("p/q/"), Some("p/q/"));
    }
}
