//! Bucket operations: the list of buckets from the table, and the properties of a whole bucket.

use crate::answer::Reply;
use crate::gateway::{Fault, Gateway};
use crate::inbound::Inbound;
use crate::meter::Meter;
use crate::port::{Port, VirtualBucket};
use crate::{route, tokens};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::Incoming;
use s3::{Operation, S3Error, dates, xml};

/// Most buckets of a page.
const PAGE_BUCKETS_MAX: usize = 10_000;

const TOKEN_CONTEXT: &str = "ListBuckets";

impl<P: Port> Gateway<P> {
    /// Lists the caller's buckets; never asks an upstream.
    pub(crate) fn list_buckets(&self, inbound: &Inbound, buckets: &[VirtualBucket]) -> Result<Reply, S3Error> {
        let prefix = inbound.query.text("prefix").unwrap_or_default();
        let page_max = page_size(inbound)?;
        let after = match inbound.query.text("continuation-token") {
            Some(token) => tokens::open(&self.settings.token_key, TOKEN_CONTEXT, &token)
                .ok_or_else(|| S3Error::invalid_argument().saying("The continuation token provided is incorrect"))?,
            None => String::new(),
        };
        let mut sorted: Vec<&VirtualBucket> = buckets
            .iter()
            .filter(|bucket| bucket.name.starts_with(&prefix) && (after.is_empty() || bucket.name > after))
            .collect();
        sorted.sort_by(|left, right| left.name.cmp(&right.name));
        let more = sorted.len() > page_max;
        sorted.truncate(page_max);

        let mut out = format!("{}<ListAllMyBucketsResult xmlns=\"{}\"><Owner>", xml::DECLARATION, xml::NAMESPACE);
        xml::push_element(&mut out, "ID", &inbound.owner_id());
        xml::push_element(&mut out, "DisplayName", &inbound.owner_id());
        out.push_str("</Owner><Buckets>");
        for bucket in &sorted {
            out.push_str("<Bucket>");
            xml::push_element(&mut out, "Name", &bucket.name);
            xml::push_element(&mut out, "CreationDate", &dates::format_iso(bucket.created_us));
            out.push_str("</Bucket>");
        }
        out.push_str("</Buckets>");
        if !prefix.is_empty() {
            xml::push_element(&mut out, "Prefix", &prefix);
        }
        if let Some(last) = sorted.last().filter(|_| more) {
            let token = tokens::seal(&self.settings.token_key, TOKEN_CONTEXT, &last.name);
            xml::push_element(&mut out, "ContinuationToken", &token);
        }
        out.push_str("</ListAllMyBucketsResult>");
        Ok(Reply::xml(out))
    }

    /// Serves an operation on a bucket.
    pub(crate) async fn process_bucket(
        &self,
        inbound: &Inbound,
        bucket: &VirtualBucket,
        body: Incoming,
        meter: &mut Meter<P>,
    ) -> Result<Reply, Fault> {
        if let Some(mapping) = route::single(bucket) {
            meter.routed(mapping);
        }
        match inbound.operation {
            Operation::HeadBucket => Ok(self.head_bucket()),
            Operation::GetBucketLocation => Ok(self.bucket_location()),
            Operation::ListObjects | Operation::ListObjectsV2 => self.list_objects(inbound, bucket, meter).await,
            Operation::ListObjectVersions | Operation::ListMultipartUploads => {
                self.list_below_one_mapping(inbound, bucket, meter).await
            }
            Operation::DeleteObjects => self.delete_objects(inbound, bucket, body, meter).await,
            Operation::DeleteBucket => Err(S3Error::access_denied()
                .saying("Buckets are removed by your administrator, as mappings of the name space.")
                .into()),
            Operation::PostObject => Err(S3Error::not_implemented()
                .saying("Uploads by HTML form (POST policy) are not supported yet; use PUT or a presigned link.")
                .into()),
            Operation::BucketProperty(name, _) => self.bucket_property(inbound, bucket, name, body, meter).await,
            Operation::CorsPreflight => Err(S3Error::access_denied().into()),
            _ => Err(S3Error::method_not_allowed().into()),
        }
    }

    fn region(&self) -> &str {
        self.settings.region.as_deref().unwrap_or("us-east-1")
    }

    fn head_bucket(&self) -> Reply {
        let mut headers = HeaderMap::new();
        if let Ok(region) = HeaderValue::from_str(self.region()) {
            headers.insert("x-amz-bucket-region", region);
        }
        Reply::empty(StatusCode::OK, headers)
    }

    fn bucket_location(&self) -> Reply {
        // us-east-1 is the region without a name.
        let region = if self.region() == "us-east-1" { "" } else { self.region() };
        Reply::xml(format!(
            "{}<LocationConstraint xmlns=\"{}\">{region}</LocationConstraint>",
            xml::DECLARATION,
            xml::NAMESPACE
        ))
    }

    /// Passes a bucket property through, when the mapping owns the whole real bucket.
    async fn bucket_property(
        &self,
        inbound: &Inbound,
        bucket: &VirtualBucket,
        name: &str,
        body: Incoming,
        meter: &mut Meter<P>,
    ) -> Result<Reply, Fault> {
        // The others carry names of real buckets, or open the bucket past the gateway.
        let mapped = ["Versioning", "Tagging", "Cors", "CORS", "Lifecycle", "Encryption", "ObjectLock"];
        if !mapped.iter().any(|part| name.contains(part)) {
            return Err(S3Error::access_denied()
                .saying(format!("{name} is not supported through the gateway."))
                .into());
        }
        let mapping = route::whole(bucket).ok_or_else(|| {
            S3Error::access_denied()
                .saying(format!("{name} needs a bucket that is mapped as a whole, without prefix and folders."))
        })?;
        if inbound.operation.is_write() && !mapping.writable {
            return Err(S3Error::access_denied().saying("This bucket is read-only.").into());
        }
        self.forward_small(inbound, mapping, "", body, meter).await
    }
}

fn page_size(inbound: &Inbound) -> Result<usize, S3Error> {
    let Some(text) = inbound.query.text("max-buckets") else { return Ok(PAGE_BUCKETS_MAX) };
    text.parse::<usize>().ok().filter(|size| (1..=PAGE_BUCKETS_MAX).contains(size)).ok_or_else(|| {
        S3Error::invalid_argument()
            .saying("max-buckets must be between 1 and 10000")
            .with("ArgumentName", "max-buckets")
    })
}
