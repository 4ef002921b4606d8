//! The listings of unfinished uploads and of their parts. They never change anything.

use super::Shared;
use super::bodies::document;
use super::buckets::write_owner;
use super::call::{Call, PAGE_MAX};
use super::index::{Index, Upload, UploadName};
use super::list::{View, truth};
use super::refusal::{Answer, Refusal};
use super::times::xml_time;
use super::xml::Xml;
use std::ops::Bound;

/// `ListMultipartUploads`.
pub(super) fn list_uploads(shared: &Shared, call: &Call<'_>) -> Answer {
    let key_marker = call.parameter("key-marker").unwrap_or_default();
    let id_marker = call.parameter("upload-id-marker").unwrap_or_default();
    let view = View::of(call, key_marker.to_owned(), "max-uploads")?;
    let index = shared.index();
    let page = page_of(&index, &call.bucket, &view, id_marker)?;
    let mut xml = Xml::document("ListMultipartUploadsResult");
    xml.leaf("Bucket", &call.bucket);
    view.write_head(&mut xml, "MaxUploads");
    xml.leaf("KeyMarker", &view.spelt(key_marker));
    xml.leaf("UploadIdMarker", id_marker);
    xml.leaf("IsTruncated", truth(page.is_truncated));
    if page.is_truncated {
        xml.leaf("NextKeyMarker", &view.spelt(&page.last_key));
        xml.leaf("NextUploadIdMarker", &page.last_id);
    }
    for ((_, key, upload_id), upload) in &page.uploads {
        write_upload(&mut xml, &view.spelt(key), upload_id, upload);
    }
    for folder in &page.folders {
        view.write_folder(&mut xml, folder);
    }
    Ok(document(xml))
}

/// `ListParts`.
pub(super) fn list_parts(shared: &Shared, call: &Call<'_>) -> Answer {
    let count_max = call.count("max-parts", PAGE_MAX)?;
    let marker = call.parameter("part-number-marker").unwrap_or("0");
    let after = marker.parse::<u32>().map_err(|_| Refusal::invalid_argument("Invalid part number marker"))?;
    let mut index = shared.index();
    let upload = index.upload_mut(call)?;
    let mut later = upload.parts.range::<u32, _>((Bound::Excluded(after), Bound::Unbounded));
    let page: Vec<_> = later.by_ref().take(count_max).collect();
    let is_truncated = count_max > 0 && later.next().is_some();
    let mut xml = Xml::document("ListPartsResult");
    xml.leaf("Bucket", &call.bucket);
    xml.leaf("Key", &call.key);
    xml.leaf("UploadId", call.parameter("uploadId").unwrap_or_default());
    write_owner(&mut xml, "Initiator");
    write_owner(&mut xml, "Owner");
    xml.leaf("StorageClass", upload.storage_class());
    xml.leaf("PartNumberMarker", &after.to_string());
    xml.leaf("NextPartNumberMarker", &page.last().map_or(after, |(number, _)| **number).to_string());
    xml.leaf("MaxParts", &count_max.to_string());
    xml.leaf("IsTruncated", truth(is_truncated));
    for (number, part) in page {
        xml.open("Part");
        xml.leaf("PartNumber", &number.to_string());
        xml.leaf("LastModified", &xml_time(part.modified_us));
        xml.leaf("ETag", &format!("\"{}\"", part.etag()));
        xml.leaf("Size", &part.spooled.size_bytes.to_string());
        xml.close();
    }
    Ok(document(xml))
}

struct Page<'a> {
    uploads: Vec<(&'a UploadName, &'a Upload)>,
    folders: Vec<String>,
    last_key: String,
    last_id: String,
    is_truncated: bool,
}

/// Uploads after `view.after`; with `id_marker` also the later uploads of that key itself.
fn page_of<'a>(index: &'a Index, bucket: &str, view: &View, id_marker: &str) -> Result<Page<'a>, Refusal> {
    index.require_bucket(bucket)?;
    let mut page = Page {
        uploads: Vec::new(),
        folders: Vec::new(),
        last_key: String::new(),
        last_id: String::new(),
        is_truncated: false,
    };
    let from = Bound::Included((bucket.to_owned(), view.prefix.clone(), String::new()));
    for (name, upload) in index.uploads.range::<UploadName, _>((from, Bound::Unbounded)) {
        let (found, key, upload_id) = name;
        if found != bucket || !key.starts_with(&view.prefix) || view.count_max == 0 {
            break;
        }
        if is_before(key, upload_id, &view.after, id_marker) {
            continue;
        }
        let folder = view.folder_of(key);
        if folder.is_some_and(|folder| folder <= view.after.as_str() || folder == page.last_key) {
            continue; // Shown on an earlier page, or just now.
        }
        if page.uploads.len() + page.folders.len() == view.count_max {
            page.is_truncated = true;
            break;
        }
        match folder {
            Some(folder) => page.folders.push(folder.to_owned()),
            None => page.uploads.push((name, upload)),
        }
        page.last_key = folder.unwrap_or(key).to_owned();
        page.last_id = if folder.is_some() { String::new() } else { upload_id.clone() };
    }
    Ok(page)
}

/// Whether an upload lies at or before the markers.
fn is_before(key: &str, upload_id: &str, key_marker: &str, id_marker: &str) -> bool {
    if key_marker.is_empty() || key > key_marker {
        return false;
    }
    key < key_marker || id_marker.is_empty() || upload_id <= id_marker
}

fn write_upload(xml: &mut Xml, key: &str, upload_id: &str, upload: &Upload) {
    xml.open("Upload");
    xml.leaf("Key", key);
    xml.leaf("UploadId", upload_id);
    write_owner(xml, "Initiator");
    write_owner(xml, "Owner");
    xml.leaf("StorageClass", upload.storage_class());
    xml.leaf("Initiated", &xml_time(upload.started_us));
    xml.close();
}
