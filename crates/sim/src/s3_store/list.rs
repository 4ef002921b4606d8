//! `ListObjects` in both versions. It never shows more than a thousand entries a page.

use super::Shared;
use super::bodies::document;
use super::buckets::write_owner;
use super::call::{Call, PAGE_MAX};
use super::index::{Index, Object, ObjectName};
use super::refusal::{Answer, Refusal};
use super::times::xml_time;
use super::xml::Xml;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::ops::Bound;

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What part of a bucket a listing asks for, and how to spell names.
pub(super) struct View {
    /// Only names that begin so.
    pub(super) prefix: String,
    /// What ends a folder; nothing for a flat listing.
    pub(super) delimiter: String,
    /// Only names, and folders, that sort after this.
    pub(super) after: String,
    /// Entries of the page.
    pub(super) count_max: usize,
    /// Whether names are URL-encoded.
    pub(super) url_encoded: bool,
}

struct Page {
    objects: Vec<(String, Object)>,
    folders: Vec<String>,
    last: String,
    is_truncated: bool,
}

/// `ListObjects` or, with `list-type=2`, `ListObjectsV2`.
pub(super) fn objects(shared: &Shared, call: &Call<'_>) -> Answer {
    let is_v2 = match call.parameter("list-type") {
        None => false,
        Some("2") => true,
        Some(_) => return Err(Refusal::invalid_argument("Invalid list type")),
    };
    let after = if is_v2 { after_v2(call)? } else { call.parameter("marker").unwrap_or_default().to_owned() };
    let view = View::of(call, after, "max-keys")?;
    let page = page_of(&shared.index(), &call.bucket, &view)?;
    let mut xml = Xml::document("ListBucketResult");
    xml.leaf("Name", &call.bucket);
    view.write_head(&mut xml, "MaxKeys");
    if is_v2 {
        write_v2(&mut xml, call, &view, &page)
    } else {
        write_v1(&mut xml, call, &view, &page)
    }
    let with_owner = !is_v2 || call.parameter("fetch-owner") == Some("true");
    for (key, object) in &page.objects {
        write_object(&mut xml, &view.spelt(key), object, with_owner);
    }
    for folder in &page.folders {
        view.write_folder(&mut xml, folder);
    }
    Ok(document(xml))
}

impl View {
    /// Reads what all listings share; `count_name` is the parameter that limits the page.
    pub(super) fn of(call: &Call<'_>, after: String, count_name: &str) -> Result<Self, Refusal> {
        Ok(Self {
            prefix: call.parameter("prefix").unwrap_or_default().to_owned(),
            delimiter: call.parameter("delimiter").unwrap_or_default().to_owned(),
            after,
            count_max: call.count(count_name, PAGE_MAX)?,
            url_encoded: call.wants_url_encoding()?,
        })
    }

    /// The folder a name lies in below the prefix, its delimiter included.
    pub(super) fn folder_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let below = name.get(self.prefix.len()..)?;
        let length = below.find(&self.delimiter)? + self.delimiter.len();
        Some(&name[..self.prefix.len() + length])
    }

    /// A name as this listing spells it.
    pub(super) fn spelt(&self, name: &str) -> String {
        if self.url_encoded { utf8_percent_encode(name, ESCAPED).to_string() } else { name.to_owned() }
    }

    /// Writes what all listings begin with.
    pub(super) fn write_head(&self, xml: &mut Xml, count_name: &str) {
        xml.leaf("Prefix", &self.spelt(&self.prefix));
        if !self.delimiter.is_empty() {
            xml.leaf("Delimiter", &self.spelt(&self.delimiter));
        }
        xml.leaf(count_name, &self.count_max.to_string());
        if self.url_encoded {
            xml.leaf("EncodingType", "url");
        }
    }

    /// Writes a common prefix.
    pub(super) fn write_folder(&self, xml: &mut Xml, folder: &str) {
        xml.open("CommonPrefixes");
        xml.leaf("Prefix", &self.spelt(folder));
        xml.close();
    }
}

/// The token is the last name shown, in hex; only this module knows.
fn after_v2(call: &Call<'_>) -> Result<String, Refusal> {
    let Some(token) = call.parameter("continuation-token") else {
        return Ok(call.parameter("start-after").unwrap_or_default().to_owned());
    };
    let name = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| Refusal::invalid_argument("The continuation token provided is incorrect"))
}

fn page_of(index: &Index, bucket: &str, view: &View) -> Result<Page, Refusal> {
    index.require_bucket(bucket)?;
    let mut page = Page { objects: Vec::new(), folders: Vec::new(), last: String::new(), is_truncated: false };
    if view.count_max == 0 {
        return Ok(page);
    }
    let from = if view.after < view.prefix {
        Bound::Included((bucket.to_owned(), view.prefix.clone()))
    } else {
        Bound::Excluded((bucket.to_owned(), view.after.clone()))
    };
    for ((found, key), object) in index.objects.range::<ObjectName, _>((from, Bound::Unbounded)) {
        if found != bucket || !key.starts_with(&view.prefix) {
            break;
        }
        let folder = view.folder_of(key);
        if folder.is_some_and(|folder| folder <= view.after.as_str() || folder == page.last) {
            continue; // Shown on an earlier page, or just now.
        }
        if page.objects.len() + page.folders.len() == view.count_max {
            page.is_truncated = true;
            break;
        }
        page.last = folder.unwrap_or(key).to_owned();
        match folder {
            Some(folder) => page.folders.push(folder.to_owned()),
            None => page.objects.push((key.clone(), object.clone())),
        }
    }
    Ok(page)
}

fn write_v1(xml: &mut Xml, call: &Call<'_>, view: &View, page: &Page) {
    xml.leaf("Marker", &view.spelt(call.parameter("marker").unwrap_or_default()));
    xml.leaf("IsTruncated", truth(page.is_truncated));
    if page.is_truncated && !view.delimiter.is_empty() {
        xml.leaf("NextMarker", &view.spelt(&page.last));
    }
}

fn write_v2(xml: &mut Xml, call: &Call<'_>, view: &View, page: &Page) {
    if let Some(start_after) = call.parameter("start-after") {
        xml.leaf("StartAfter", &view.spelt(start_after));
    }
    if let Some(token) = call.parameter("continuation-token") {
        xml.leaf("ContinuationToken", token);
    }
    xml.leaf("KeyCount", &(page.objects.len() + page.folders.len()).to_string());
    xml.leaf("IsTruncated", truth(page.is_truncated));
    if page.is_truncated {
        xml.leaf("NextContinuationToken", &hex::encode(&page.last));
    }
}

fn write_object(xml: &mut Xml, key: &str, object: &Object, with_owner: bool) {
    xml.open("Contents");
    xml.leaf("Key", key);
    xml.leaf("LastModified", &xml_time(object.modified_us));
    xml.leaf("ETag", &object.quoted_etag());
    xml.leaf("Size", &object.size_bytes.to_string());
    if with_owner {
        write_owner(xml, "Owner");
    }
    xml.leaf("StorageClass", object.storage_class());
    xml.close();
}

/// `true` or `false` as documents write it.
pub(super) fn truth(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}
