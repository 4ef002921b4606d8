//! What a write left in the store: which version, how many bytes, in which class; what a delete freed.

use crate::forward::SmallRequest;
use crate::gateway::Gateway;
use crate::meter::Meter;
use crate::port::{Mapping, Port};
use crate::races::Running;
use crate::route::Place;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use metering::s3::{OBJECT_BYTES_MAX, ObjectChange, STANDARD, storage_class};
use s3::{Query, names};
use std::collections::{BTreeMap, BTreeSet};

/// A version as an answer names it.
const VERSION: &str = "x-amz-version-id";
const CLASS: &str = "x-amz-storage-class";

/// The text of a header, or nothing.
fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The version that an answer names; the null version when it names none.
pub(crate) fn version_of(headers: &HeaderMap) -> &str {
    text_of(headers, VERSION)
}

/// The storage class that a request asks for.
pub(crate) fn class_of(headers: &HeaderMap) -> String {
    storage_class(text_of(headers, CLASS))
}

/// With versions each write makes an object of its own, and no other writer takes it away.
fn is_own_version(version: &str) -> bool {
    !version.is_empty() && version != "null"
}

/// How an object is named in the index, whatever its versions.
pub(crate) fn object_hash(place: &Place) -> String {
    names::object_hash(place.mapping.account, &place.mapping.real_bucket, &place.real_key)
}

/// The version now exists.
pub(crate) fn put_change(place: &Place, version: &str, stored: Stored) -> ObjectChange {
    let object = names::version_hash(&object_hash(place), version);
    ObjectChange::Put { object, size_bytes: stored.size_bytes, class: stored.class }
}

/// What a delete freed, if anything. `asked` is the version that the request names, `told` the one that the answer
/// names; `is_marker` says that it was a delete marker that came or went.
pub(crate) fn delete_change(place: &Place, asked: &str, is_marker: bool, told: &str) -> Option<ObjectChange> {
    let freed = match (asked.is_empty(), is_marker) {
        (false, false) => asked,
        // A marker that went: it had no bytes.
        (false, true) => return None,
        // A marker that came hides what is there; only a null marker takes the null version's place.
        (true, true) if is_own_version(told) => return None,
        (true, _) => "",
    };
    Some(ObjectChange::Delete { object: names::version_hash(&object_hash(place), freed) })
}

/// A part now exists. Its upload's class is not in the request: the sweep says it.
pub(crate) fn part_change(mapping: &Mapping, upload_id: &str, part: u32, size_bytes: u64) -> ObjectChange {
    let upload = names::upload_hash(mapping.account, upload_id);
    ObjectChange::PutPart { upload, part, size_bytes, class: STANDARD.to_owned() }
}

/// The upload is over.
pub(crate) fn end_change(mapping: &Mapping, upload_id: &str) -> ObjectChange {
    ObjectChange::EndUpload { upload: names::upload_hash(mapping.account, upload_id) }
}

/// What the store keeps of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Bytes.
    pub size_bytes: u64,
    /// Storage class.
    pub class: String,
}

/// What a look at an object told.
enum Found {
    There(Stored),
    Gone,
    /// It could not be asked: the sweep will.
    Unknown,
}

impl<P: Port> Gateway<P> {
    /// Asks the store about an object. A failure is logged and left to the daily sweep, because the write itself has
    /// already happened.
    async fn look(&self, place: &Place, version: &str, meter: &Meter<P>) -> Found {
        let mut query = Query::default();
        if !version.is_empty() {
            query.set("versionId", version.as_bytes());
        }
        let request = SmallRequest {
            method: Method::HEAD,
            raw_key: &place.raw_key,
            query: &query,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        let Ok(response) = self.send_small(&place.mapping, request, meter).await else { return Found::Unknown };
        let (status, headers) = (response.status(), response.headers());
        let length = text_of(headers, header::CONTENT_LENGTH.as_str()).parse();
        match length {
            Ok(size_bytes) if status.is_success() && size_bytes <= OBJECT_BYTES_MAX => {
                Found::There(Stored { size_bytes, class: class_of(headers) })
            }
            _ if status == StatusCode::NOT_FOUND => Found::Gone,
            _ => {
                let account = place.mapping.account;
                tracing::error!(%account, status = status.as_u16(), "size of a written object is not known");
                Found::Unknown
            }
        }
    }

    /// What the store keeps of a version; an empty one is what a read gets.
    pub(crate) async fn stored(&self, place: &Place, version: &str, meter: &Meter<P>) -> Option<Stored> {
        match self.look(place, version, meter).await {
            Found::There(stored) => Some(stored),
            Found::Gone | Found::Unknown => None,
        }
    }

    /// Notes what a write of one object left behind: `own`, unless others wrote it meanwhile.
    pub(crate) async fn settle(
        &self,
        place: &Place,
        running: &Running,
        version: &str,
        own: Option<ObjectChange>,
        meter: &mut Meter<P>,
    ) {
        if is_own_version(version) {
            own.into_iter().for_each(|change| meter.change(change));
            return;
        }
        let places = BTreeMap::from([(object_hash(place), place.clone())]);
        self.settle_all(&places, running, own.into_iter().collect(), meter).await;
    }

    /// Notes what a write of several objects left behind.
    pub(crate) async fn settle_all(
        &self,
        places: &BTreeMap<String, Place>,
        running: &Running,
        own: Vec<ObjectChange>,
        meter: &mut Meter<P>,
    ) {
        let mut changes: BTreeMap<String, ObjectChange> =
            own.into_iter().map(|change| (name_of(&change).to_owned(), change)).collect();
        let (mut asked, mut held, mut last_us) = (BTreeSet::new(), Vec::new(), i64::MIN);
        let stamp_us = loop {
            let left = match running.stamp(&asked, last_us.saturating_add(1), || self.world.now_us()) {
                Ok(stamp_us) => break stamp_us,
                Err(left) => left,
            };
            // In the order of names, so that nobody waits in a circle: when more turn up, all are let go and asked about anew.
            asked.extend(left);
            held.clear();
            for object in &asked {
                let order = running.order(object).lock_owned().await;
                last_us = last_us.max(*order);
                if let Some(place) = places.get(object) {
                    match self.look(place, "", meter).await {
                        Found::There(stored) => drop(changes.insert(object.clone(), put_change(place, "", stored))),
                        Found::Gone => {
                            changes.insert(object.clone(), ObjectChange::Delete { object: object.clone() });
                        }
                        Found::Unknown => {}
                    }
                }
                held.push(order);
            }
        };
        for order in &mut held {
            **order = stamp_us;
        }
        meter.stamp(stamp_us);
        changes.into_values().for_each(|change| meter.change(change));
    }
}

fn name_of(change: &ObjectChange) -> &str {
    match change {
        ObjectChange::Put { object, .. } | ObjectChange::Delete { object } => object,
        ObjectChange::PutPart { upload, .. } | ObjectChange::EndUpload { upload } => upload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::bucket;
    use s3::Operation;

    /// What SeaweedFS and S3 answer to deletes, and which object of the index each frees.
    #[test]
    fn a_delete_frees_what_the_store_says() {
        let place = crate::route::place(&bucket(&[">t/"]), "k", Operation::DeleteObject).unwrap();
        let name = object_hash(&place);
        let freed = |asked: &str, is_marker: bool, told: &str| match delete_change(&place, asked, is_marker, told) {
            Some(ObjectChange::Delete { object }) => object,
            Some(other) => panic!("{other:?}"),
            None => String::new(),
        };
        let of = |version: &str| names::version_hash(&name, version);
        for (asked, is_marker, told, want) in [
            ("", false, "", of("")),             // without versions
            ("", true, "v9", String::new()),     // a marker came
            ("", true, "null", of("")),          // suspended: the null marker takes the null version's place
            ("", true, "", of("")),              // the same, of a store that does not name it
            ("v1", false, "v1", of("v1")),       // a version went
            ("v1", true, "v1", String::new()),   // a marker went
            ("null", false, "null", of("null")), // the null version went
            ("null", false, "", of("")),
            ("null", true, "null", String::new()), // the null marker went
        ] {
            assert_eq!(freed(asked, is_marker, told), want, "{asked:?} {is_marker} {told:?}");
        }
        assert_eq!(of("null"), name, "the null version is the object");
        assert_ne!(of("v1"), of("v2"));
        assert!(of("v1").starts_with(&format!("{name}.")));
    }
}
