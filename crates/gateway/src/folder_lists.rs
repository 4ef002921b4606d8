//! ListObjects of a bucket with mapped folders: segments asked one after the other, merged into one
//! answer of either version.

use crate::answer::Reply;
use crate::gateway::{Fault, Gateway};
use crate::inbound::Inbound;
use crate::listing::{Ask, Collector, Flow, Item, Position, Segment, Walk, segments};
use crate::lists::bad_token;
use crate::meter::Meter;
use crate::port::{Mapping, Port, VirtualBucket};
use crate::tokens;
use s3::{ListPage, ListQuery, Operation, S3Error, names, xml};

/// Most entries of an answer.
const ENTRIES_MAX: usize = 1_000;

/// Most pages read from upstreams for one answer; past it the answer is cut short, with a token.
const PAGES_MAX: u32 = 100;

impl<P: Port> Gateway<P> {
    /// Lists a bucket over all its places.
    pub(crate) async fn list_folders(
        &self,
        inbound: &Inbound,
        bucket: &VirtualBucket,
        meter: &mut Meter<P>,
    ) -> Result<Reply, Fault> {
        let context = format!("folders of {}", bucket.name);
        let walk = self.walk_of(inbound, &context)?;
        let mut collector = Collector::new(walk.clone());
        if walk.entries_max > 0 {
            self.collect_segments(bucket, &walk, &mut collector, meter).await?;
        }
        let token = collector.next().map(|next| tokens::seal(&self.settings.token_key, &context, &next.to_text()));
        Ok(Reply::xml(write_answer(inbound, &walk, &collector, token.as_deref())))
    }

    fn walk_of(&self, inbound: &Inbound, context: &str) -> Result<Walk, S3Error> {
        let text = |name: &str| inbound.query.text(name).unwrap_or_default();
        if inbound.query.text("encoding-type").is_some_and(|encoding| encoding != "url") {
            return Err(S3Error::invalid_argument().saying("Invalid Encoding Method specified in Request"));
        }
        let (prefix, delimiter) = (text("prefix"), text("delimiter"));
        let position = if inbound.operation == Operation::ListObjectsV2 {
            match inbound.query.text("continuation-token") {
                Some(token) => tokens::open(&self.settings.token_key, context, &token)
                    .and_then(|opened| Position::from_text(&opened))
                    .ok_or_else(bad_token)?,
                None => Position::of_marker(&text("start-after"), &prefix, &delimiter),
            }
        } else {
            Position::of_marker(&text("marker"), &prefix, &delimiter)
        };
        Ok(Walk { prefix, delimiter, position, entries_max: entries_max(inbound)? })
    }

    async fn collect_segments(
        &self,
        bucket: &VirtualBucket,
        walk: &Walk,
        collector: &mut Collector,
        meter: &mut Meter<P>,
    ) -> Result<(), Fault> {
        let mut pages_left = PAGES_MAX;
        for segment in segments(bucket) {
            let flow = match segment.ask(bucket, walk) {
                Ask::Skip => continue,
                Ask::Group(group) => collector.offer(&segment, Item::Group(group)),
                Ask::List { prefix, delimiter, start_after } => {
                    let mapping = &bucket.mappings[segment.owner];
                    meter.routed(mapping);
                    let ask = ListQuery {
                        prefix: &prefix,
                        delimiter: &delimiter,
                        start_after: &start_after,
                        token: None,
                        // One more than shown tells whether there is more.
                        keys_max: u32::try_from((walk.entries_max + 1).min(ENTRIES_MAX)).unwrap_or(1_000),
                    };
                    self.collect_segment(mapping, &segment, ask, collector, &mut pages_left, meter).await?
                }
            };
            if flow == Flow::Full {
                break;
            }
        }
        Ok(())
    }

    async fn collect_segment(
        &self,
        mapping: &Mapping,
        segment: &Segment,
        ask: ListQuery<'_>,
        collector: &mut Collector,
        pages_left: &mut u32,
        meter: &Meter<P>,
    ) -> Result<Flow, Fault> {
        let mut token: Option<String> = None;
        loop {
            if *pages_left == 0 {
                collector.give_up();
                return Ok(Flow::Full);
            }
            *pages_left -= 1;
            meter.count_upstream();
            let asked = ListQuery { token: token.as_deref(), ..ask };
            let now_us = self.world.now_us();
            let page = self.client.list_objects_v2(&mapping.upstream, &mapping.real_bucket, asked, now_us).await?;
            let next = page.next_token.clone();
            let flow = collector.page(segment, to_virtual(page, mapping));
            if flow != Flow::More || next.is_none() {
                return Ok(flow);
            }
            token = next;
        }
    }
}

/// Turns real names into virtual ones; a name outside of the hidden prefix is dropped.
fn to_virtual(mut page: ListPage, mapping: &Mapping) -> ListPage {
    let rename = |name: &mut String| match name.strip_prefix(&mapping.prefix) {
        Some(rest) => {
            *name = format!("{}{rest}", mapping.folder);
            true
        }
        None => {
            tracing::error!(account = %mapping.account, "answer names a key outside of the mapping");
            false
        }
    };
    page.objects.retain_mut(|object| rename(&mut object.key));
    page.common_prefixes.retain_mut(rename);
    page
}

fn entries_max(inbound: &Inbound) -> Result<usize, S3Error> {
    let Some(text) = inbound.query.text("max-keys").filter(|text| !text.is_empty()) else { return Ok(ENTRIES_MAX) };
    let parsed = text.parse::<u32>().ok().and_then(|number| usize::try_from(number).ok());
    let number = parsed.ok_or_else(|| {
        S3Error::invalid_argument()
            .saying("Provided max-keys not an integer or within integer range")
            .with("ArgumentName", "max-keys")
    })?;
    Ok(number.min(ENTRIES_MAX))
}

fn write_answer(inbound: &Inbound, walk: &Walk, collector: &Collector, token: Option<&str>) -> String {
    let encoded = inbound.query.text("encoding-type").is_some();
    let name = |text: &str| if encoded { names::encode_key(text.as_bytes()) } else { text.to_owned() };
    let mut out = format!("{}<ListBucketResult xmlns=\"{}\">", xml::DECLARATION, xml::NAMESPACE);
    xml::push_element(&mut out, "Name", &inbound.target.bucket);
    xml::push_element(&mut out, "Prefix", &name(&walk.prefix));
    write_position(&mut out, inbound, collector, token, &name);
    xml::push_element(&mut out, "MaxKeys", &walk.entries_max.to_string());
    if !walk.delimiter.is_empty() {
        xml::push_element(&mut out, "Delimiter", &name(&walk.delimiter));
    }
    if encoded {
        xml::push_element(&mut out, "EncodingType", "url");
    }
    xml::push_element(&mut out, "IsTruncated", if token.is_some() { "true" } else { "false" });
    for item in &collector.items {
        write_item(&mut out, inbound, item, &name);
    }
    out.push_str("</ListBucketResult>");
    out
}

fn write_position(
    out: &mut String,
    inbound: &Inbound,
    collector: &Collector,
    token: Option<&str>,
    name: &dyn Fn(&str) -> String,
) {
    if inbound.operation == Operation::ListObjectsV2 {
        xml::push_element(out, "KeyCount", &collector.items.len().to_string());
        if let Some(sent) = inbound.query.text("continuation-token") {
            xml::push_element(out, "ContinuationToken", &sent);
        }
        if let Some(start_after) = inbound.query.text("start-after") {
            xml::push_element(out, "StartAfter", &name(&start_after));
        }
        if let Some(token) = token {
            xml::push_element(out, "NextContinuationToken", token);
        }
        return;
    }
    xml::push_element(out, "Marker", &name(&inbound.query.text("marker").unwrap_or_default()));
    if let Some(Position::Key(last) | Position::Group(last)) = collector.next() {
        xml::push_element(out, "NextMarker", &name(last));
    }
}

fn write_item(out: &mut String, inbound: &Inbound, item: &Item, name: &dyn Fn(&str) -> String) {
    match item {
        Item::Group(group) => {
            out.push_str("<CommonPrefixes>");
            xml::push_element(out, "Prefix", &name(group));
            out.push_str("</CommonPrefixes>");
        }
        Item::Key(object) => {
            out.push_str("<Contents>");
            xml::push_element(out, "Key", &name(&object.key));
            xml::push_element(out, "LastModified", &object.last_modified);
            xml::push_element(out, "ETag", &object.etag);
            xml::push_element(out, "Size", &object.size_bytes.to_string());
            if shows_owner(inbound) {
                out.push_str("<Owner>");
                xml::push_element(out, "ID", &inbound.owner_id());
                xml::push_element(out, "DisplayName", &inbound.owner_id());
                out.push_str("</Owner>");
            }
            let class = if object.storage_class.is_empty() { "STANDARD" } else { object.storage_class.as_str() };
            xml::push_element(out, "StorageClass", class);
            out.push_str("</Contents>");
        }
    }
}

/// Version 1 always names the owner, version 2 on demand.
fn shows_owner(inbound: &Inbound) -> bool {
    inbound.operation == Operation::ListObjects || inbound.query.text("fetch-owner").as_deref() == Some("true")
}
