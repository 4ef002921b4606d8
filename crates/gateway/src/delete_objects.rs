//! DeleteObjects: the keys of one request may lie in several places, so the body is taken apart,
//! sent once for each place, and the answers are joined.

use crate::answer::Reply;
use crate::forward::{SmallRequest, read_answer, safe_message, upstream_headers};
use crate::gateway::{Fault, Gateway};
use crate::inbound::Inbound;
use crate::meter::Meter;
use crate::port::{Mapping, Port, VirtualBucket};
use crate::route::{self, Place};
use crate::stored::{delete_change, object_hash};
use crate::upstream_errors::{Blame, blame};
use base::MappingId;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use hyper::body::Incoming;
use s3::xml::{self, Element};
use s3::{Operation, Query, S3Error, names, payload};
use std::collections::BTreeMap;

/// Most keys of one request, as on AWS.
const KEYS_MAX: usize = 1_000;

/// The keys of one request that lie in one place.
struct Batch {
    mapping: Mapping,
    /// `<Object>` elements with real keys.
    objects: Vec<Element>,
    /// Virtual keys, for the answer when the place fails as a whole.
    keys: Vec<String>,
}

/// A request taken apart.
struct Plan {
    quiet: bool,
    batches: BTreeMap<MappingId, Batch>,
    /// `<Error>` elements of keys that are refused here.
    refused: Vec<Element>,
}

fn leaf(name: &str, text: &str) -> Element {
    Element { name: name.to_owned(), text: text.to_owned(), children: Vec::new() }
}

fn error_element(key: &str, error: &S3Error) -> Element {
    let children = vec![leaf("Key", key), leaf("Code", error.code), leaf("Message", &error.message)];
    Element { name: "Error".to_owned(), text: String::new(), children }
}

fn set_key(element: &mut Element, key: String) {
    for child in element.children.iter_mut().filter(|child| child.name == "Key") {
        child.text.clone_from(&key);
    }
}

fn plan(bucket: &VirtualBucket, body: &[u8]) -> Result<Plan, S3Error> {
    let root = xml::parse(body).map_err(|_| S3Error::malformed_xml())?;
    let count = root.all("Object").count();
    if root.name != "Delete" || count == 0 || count > KEYS_MAX {
        return Err(S3Error::malformed_xml());
    }
    let mut plan = Plan { quiet: root.text_of("Quiet") == "true", batches: BTreeMap::new(), refused: Vec::new() };
    for object in root.all("Object") {
        // Only leaves that are known go on: nothing can hide inside another element.
        let known = ["Key", "VersionId", "ETag", "LastModifiedTime", "Size"];
        let keys = object.children.iter().filter(|child| child.name == "Key").count();
        let plain = |child: &Element| child.children.is_empty() && known.contains(&child.name.as_str());
        if keys != 1 || !object.children.iter().all(plain) {
            return Err(S3Error::malformed_xml());
        }
        let key = object.text_of("Key");
        if key.is_empty() {
            return Err(S3Error::malformed_xml());
        }
        match route::place(bucket, &names::encode_key(key.as_bytes()), Operation::DeleteObject) {
            Err(error) => plan.refused.push(error_element(key, &error)),
            Ok(place) => {
                let mut real = object.clone();
                set_key(&mut real, String::from_utf8_lossy(&place.real_key).into_owned());
                let batch = plan.batches.entry(place.mapping.mapping).or_insert_with(|| Batch {
                    mapping: place.mapping,
                    objects: Vec::new(),
                    keys: Vec::new(),
                });
                batch.objects.push(real);
                batch.keys.push(key.to_owned());
            }
        }
    }
    Ok(plan)
}

fn batch_body(batch: &Batch) -> Bytes {
    let mut out = format!("{}<Delete xmlns=\"{}\">", xml::DECLARATION, xml::NAMESPACE);
    for object in &batch.objects {
        object.write(&mut out);
    }
    // Never quiet: the answer's keys are what is metered.
    out.push_str("<Quiet>false</Quiet></Delete>");
    Bytes::from(out)
}

fn batch_headers(inbound: &Inbound, body: &[u8]) -> HeaderMap {
    let mut headers = upstream_headers(inbound);
    let stale: Vec<http::HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-amz-checksum-") || name.as_str() == "x-amz-sdk-checksum-algorithm")
        .cloned()
        .collect();
    for name in stale {
        headers.remove(&name);
    }
    let digest = HeaderValue::from_str(&payload::content_md5(body)).expect("base64 fits into a header");
    headers.insert("content-md5", digest);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    headers
}

impl<P: Port> Gateway<P> {
    /// Serves DeleteObjects.
    pub(crate) async fn delete_objects(
        &self,
        inbound: &Inbound,
        bucket: &VirtualBucket,
        body: Incoming,
        meter: &mut Meter<P>,
    ) -> Result<Reply, Fault> {
        let body = self.small_body(inbound, body, meter).await?;
        let plan = plan(bucket, &body)?;
        let mut out = format!("{}<DeleteResult xmlns=\"{}\">", xml::DECLARATION, xml::NAMESPACE);
        for batch in plan.batches.values() {
            for element in self.delete_batch(inbound, batch, meter).await? {
                if element.name == "Error" || !plan.quiet {
                    element.write(&mut out);
                }
            }
        }
        for element in &plan.refused {
            element.write(&mut out);
        }
        out.push_str("</DeleteResult>");
        Ok(Reply::xml(out))
    }

    /// Deletes the keys of one place, giving the rows of the answer with virtual keys.
    async fn delete_batch(
        &self,
        inbound: &Inbound,
        batch: &Batch,
        meter: &mut Meter<P>,
    ) -> Result<Vec<Element>, Fault> {
        meter.routed(&batch.mapping);
        let body = batch_body(batch);
        let mut query = Query::default();
        query.flag("delete");
        let request = SmallRequest {
            method: Method::POST,
            raw_key: "",
            query: &query,
            headers: batch_headers(inbound, &body),
            body,
        };
        // Those that name a version are objects of their own, which nobody else writes.
        let unnamed = batch.objects.iter().filter(|object| object.text_of("VersionId").is_empty());
        let places: BTreeMap<String, Place> = unnamed
            .map(|object| place_of(batch, object.text_of("Key")))
            .map(|place| (object_hash(&place), place))
            .collect();
        let running = self.races.begin(places.keys().cloned());
        let response = match self.send_small(&batch.mapping, request, meter).await {
            Ok(response) => response,
            Err(_) => return Ok(all_failed(batch, &S3Error::service_unavailable())),
        };
        let status = response.status();
        let document = read_answer(response.into_body()).await?;
        let root = xml::parse(&document).ok().filter(|root| status.is_success() && root.name == "DeleteResult");
        let Some(root) = root else {
            return Ok(all_failed(batch, &whole_failure(inbound, batch, status.as_u16(), &document)));
        };
        let (mut rows, mut freed) = (Vec::new(), Vec::new());
        for mut row in root.children {
            let real_key = row.text_of("Key").to_owned();
            let Some(rest) = real_key.strip_prefix(&batch.mapping.prefix) else {
                tracing::error!(account = %batch.mapping.account, "answer names a key outside of the mapping");
                continue;
            };
            set_key(&mut row, format!("{}{rest}", batch.mapping.folder));
            for child in row.children.iter_mut().filter(|child| child.name == "Message") {
                child.text = safe_message(&child.text, &batch.mapping, "The object could not be deleted.");
            }
            if row.name == "Deleted" {
                let (asked, told) = (row.text_of("VersionId"), row.text_of("DeleteMarkerVersionId"));
                let is_marker = row.text_of("DeleteMarker") == "true";
                freed.extend(delete_change(&place_of(batch, &real_key), asked, is_marker, told));
            }
            rows.push(row);
        }
        self.settle_all(&places, &running, freed, meter).await;
        Ok(rows)
    }
}

fn place_of(batch: &Batch, real_key: &str) -> Place {
    Place {
        mapping: batch.mapping.clone(),
        raw_key: names::encode_key(real_key.as_bytes()),
        real_key: real_key.as_bytes().to_vec(),
    }
}

fn all_failed(batch: &Batch, error: &S3Error) -> Vec<Element> {
    batch.keys.iter().map(|key| error_element(key, error)).collect()
}

fn whole_failure(inbound: &Inbound, batch: &Batch, status: u16, document: &[u8]) -> S3Error {
    let (code, message) = s3::read_error(document);
    if blame(status, &code, inbound.operation) == Blame::Operator || status < 400 {
        tracing::error!(account = %batch.mapping.account, status, code, message, "the upstream refuses to delete");
        return S3Error::service_unavailable();
    }
    S3Error::internal_error().saying(format!("The storage answered with status {status}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::bucket;

    #[test]
    fn keys_are_grouped_by_place_and_refused_one_by_one() {
        let bucket = bucket(&[">t/", "p/>"]);
        let body = "<Delete><Quiet>true</Quiet><Object><Key>a&amp;b</Key><VersionId>v</VersionId></Object>\
            <Object><Key>p/c</Key></Object><Object><Key>../d</Key></Object></Delete>";
        let plan = plan(&bucket, body.as_bytes()).unwrap();
        assert!(plan.quiet);
        let bodies: Vec<String> =
            plan.batches.values().map(|batch| String::from_utf8(batch_body(batch).to_vec()).unwrap()).collect();
        assert!(
            bodies[0].contains("<Object><Key>t/a&amp;b</Key><VersionId>v</VersionId></Object><Quiet>false</Quiet>")
        );
        assert!(bodies[1].contains("<Object><Key>c</Key></Object>"));
        assert_eq!(plan.refused.len(), 1);
        assert_eq!(plan.refused[0].text_of("Key"), "../d");
    }

    #[test]
    fn nonsense_is_malformed() {
        let bucket = bucket(&[">"]);
        let many = format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(1_001));
        for body in [
            "",
            "<Delete/>",
            "<Other><Object><Key>k</Key></Object></Other>",
            "<Delete><Object/></Delete>",
            many.as_str(),
        ] {
            assert_eq!(plan(&bucket, body.as_bytes()).err().map(|error| error.code), Some("MalformedXML"));
        }
    }
}
