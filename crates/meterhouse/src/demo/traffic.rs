//! Real S3 traffic through the gateway, over a month that passes in seconds.

use super::plan::Person;
use crate::Exit;
use app::{App, MachineWorld};
use base::{Period, World, Zone};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::BodyExt;
use s3::sigv4::{Signer, SigningKeyCache, presign_url};
use s3::{Client, ListQuery, Outgoing, Style, Upstream, empty_body};
use std::net::SocketAddr;
use std::sync::Arc;

/// A small generator: the same month each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What was sent, to say so.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) requests: u64,
    pub(super) refused: u64,
}

struct Session<'a> {
    client: &'a Client,
    upstream: Upstream,
    world: &'a MachineWorld,
    dice: &'a mut Dice,
    sent: &'a mut Sent,
}

fn failed(error: impl std::fmt::Display) -> Exit {
    Exit::failed(format!("the demo's traffic: {error}"))
}

/// Sends the month's traffic; `progress` hears of each day.
pub(super) async fn send_month(
    app: &Arc<App>,
    world: &MachineWorld,
    gateway: SocketAddr,
    people: &[Person],
    (month, zone): (Period, &Zone),
    mut progress: impl FnMut(usize, usize, &Sent),
) -> Result<Sent, Exit> {
    let client = Client::new().map_err(failed)?;
    let mut dice = Dice(42);
    let mut sent = Sent::default();
    let days = month.days(zone).map_err(failed)?;
    for (no, day) in days.iter().enumerate() {
        for (hour, share) in [(8, 0), (13, 1), (20, 2)] {
            world.set(day.start_us + hour * base::period::HOUR_US + (dice.roll(3_000) as i64) * 1_000_000);
            for (index, person) in people.iter().enumerate() {
                // Nobody works always, and weekends are quiet.
                let quiet = no % 7 > 4 && dice.roll(4) > 0;
                if quiet || (index + no + share) % 3 == 2 {
                    continue;
                }
                let upstream = Upstream::new(
                    &format!("http://{gateway}"),
                    "us-east-1",
                    Style::Path,
                    &person.key_id,
                    &person.secret,
                );
                let upstream = upstream.map_err(failed)?;
                let mut session = Session { client: &client, upstream, world, dice: &mut dice, sent: &mut sent };
                session.work(person, no).await?;
            }
        }
        app::timers::settle(app).await?; // The storage hours of the day that has passed.
        progress(no + 1, days.len(), &sent);
    }
    Ok(sent)
}

impl Session<'_> {
    fn count(&mut self) -> i64 {
        self.sent.requests += 1;
        self.world.now_us()
    }

    /// A body of pseudo-random bytes.
    fn body(&mut self, size: u64) -> Bytes {
        let mut bytes = Vec::with_capacity(size as usize + 8);
        while bytes.len() < size as usize {
            bytes.extend_from_slice(
                &self.dice.roll(u64::from(u32::MAX)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes(),
            );
        }
        bytes.truncate(size as usize);
        Bytes::from(bytes)
    }

    async fn work(&mut self, person: &Person, day: usize) -> Result<(), Exit> {
        let bucket = person.buckets[self.dice.roll(person.buckets.len() as u64) as usize];
        let folder = if bucket == "lab-data" && day.is_multiple_of(3) { "archive/" } else { "" };
        let key = format!(
            "{folder}day-{:02}/{}-{}.bin",
            day + 1,
            person.email.split('@').next().unwrap_or("x"),
            self.dice.roll(4)
        );
        let size = 8_192 + self.dice.roll(180_000);
        let body = self.body(size);
        let now_us = self.count();
        self.client.put_object(&self.upstream, bucket, &key, body, now_us).await.map_err(failed)?;
        match self.dice.roll(8) {
            0 => self.multipart(bucket, day).await?,
            1 => self.copy_and_delete(bucket, &key).await?,
            2 => self.ranged_read(bucket, &key).await?,
            3 => self.presigned_read(bucket, &key).await?,
            4 => self.list(bucket).await?,
            _ => self.read(bucket, &key).await?,
        }
        if let Some(bucket) = person.reads {
            self.list(bucket).await?;
            self.refused_write(bucket).await?;
        }
        Ok(())
    }

    async fn read(&mut self, bucket: &str, key: &str) -> Result<(), Exit> {
        for _ in 0..=self.dice.roll(3) {
            let now_us = self.count();
            self.client.get_object(&self.upstream, bucket, key, now_us).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn list(&mut self, bucket: &str) -> Result<(), Exit> {
        let now_us = self.count();
        let query = ListQuery { delimiter: "/", keys_max: 100, ..ListQuery::default() };
        self.client.list_objects_v2(&self.upstream, bucket, query, now_us).await.map_err(failed)?;
        Ok(())
    }

    async fn multipart(&mut self, bucket: &str, day: usize) -> Result<(), Exit> {
        let key = format!("large/day-{day:02}.bin");
        let now_us = self.count();
        let upload = self.client.create_multipart_upload(&self.upstream, bucket, &key, now_us).await.map_err(failed)?;
        let mut parts = Vec::new();
        for part in 1..=2_u32 {
            let body = self.body(300_000);
            let now_us = self.count();
            let etag = self.client.upload_part(&self.upstream, bucket, &key, (&upload, part), body, now_us).await;
            parts.push((part, etag.map_err(failed)?));
        }
        let now_us = self.count();
        if self.dice.roll(5) == 0 {
            self.client.abort_multipart_upload(&self.upstream, bucket, &key, &upload, now_us).await.map_err(failed)?;
        } else {
            let done =
                self.client.complete_multipart_upload(&self.upstream, bucket, &key, &upload, &parts, now_us).await;
            done.map_err(failed)?;
        }
        Ok(())
    }

    async fn copy_and_delete(&mut self, bucket: &str, key: &str) -> Result<(), Exit> {
        let mut headers = HeaderMap::new();
        let source = HeaderValue::from_str(&format!("/{bucket}/{key}")).map_err(failed)?;
        headers.insert("x-amz-copy-source", source);
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let copy = format!("{key}.copy");
        self.raw(Method::PUT, bucket, &copy, headers).await?;
        let now_us = self.count();
        self.client.delete_object(&self.upstream, bucket, &copy, now_us).await.map_err(failed)
    }

    async fn ranged_read(&mut self, bucket: &str, key: &str) -> Result<(), Exit> {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::RANGE, HeaderValue::from_static("bytes=100-4195"));
        let (status, body) = self.raw(Method::GET, bucket, key, headers).await?;
        if (status, body.len()) == (206, 4_096) { Ok(()) } else { Err(failed(format!("a ranged read gave {status}"))) }
    }

    async fn refused_write(&mut self, bucket: &str) -> Result<(), Exit> {
        let now_us = self.count();
        let tried =
            self.client.put_object(&self.upstream, bucket, "not-allowed.bin", Bytes::from_static(b"x"), now_us).await;
        match tried {
            Err(error) if error.status() == 403 => {
                self.sent.refused += 1;
                Ok(())
            }
            Err(error) => Err(failed(error)),
            Ok(_) => Err(failed("a read-only bucket took a write")),
        }
    }

    async fn raw(&mut self, method: Method, bucket: &str, key: &str, headers: HeaderMap) -> Result<(u16, Bytes), Exit> {
        let now_us = self.count();
        let raw_key = s3::names::encode_key(key.as_bytes());
        let outgoing = Outgoing {
            method,
            bucket,
            raw_key: &raw_key,
            query: "",
            headers,
            body: empty_body(),
            payload_hash: "UNSIGNED-PAYLOAD",
            now_us,
        };
        let answer = self.client.send(&self.upstream, outgoing).await.map_err(failed)?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(failed)?.to_bytes();
        if status >= 300 {
            return Err(failed(format!("{bucket}/{key} answered {status}: {}", String::from_utf8_lossy(&body))));
        }
        Ok((status, body))
    }

    async fn presigned_read(&mut self, bucket: &str, key: &str) -> Result<(), Exit> {
        let cache = SigningKeyCache::default();
        let now_us = self.count();
        let signer = Signer {
            access_key_id: &self.upstream.access_key_id,
            secret: &self.upstream.secret,
            region: "us-east-1",
            now_us,
            cache: &cache,
        };
        let host = self.upstream.authority.clone();
        let path = format!("/{bucket}/{}", s3::names::encode_key(key.as_bytes()));
        let target = presign_url(&signer, "GET", &host, &path, "", 600);
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
        let request = http::Request::get(format!("http://{host}{target}")).body(empty_body()).map_err(failed)?;
        let answer = client.request(request).await.map_err(failed)?;
        let status = answer.status().as_u16();
        answer.into_body().collect().await.map_err(failed)?;
        if status == 200 { Ok(()) } else { Err(failed(format!("a presigned link answered {status}"))) }
    }
}
