//! The name space over a store: what lies over what, and whose charge goes on when a row is removed. On both engines.

use super::*;
use app::buckets::{self, NewMapping, Shown};
use app::rows::{AuditFilter, Charge};
use app::sources::{self, NewAccount};
use app::sweep::sweep;
use app::{audit, timers};
use base::AccountId;
use bytes::Bytes;
use s3::{Client as S3Client, Style, Upstream};
use sim::s3_store::S3Store;

on_both_engines!(
    a_place_of_others_wants_a_yes,
    names_of_strangers_are_not_told,
    a_charge_goes_on_until_the_data_are_gone,
    a_charge_that_was_stopped_ends_with_the_next_sweep,
    what_was_given_up_below_another_row_goes_to_it,
);

/// A store with one bucket, linked at the root.
struct Linked {
    bench: Bench,
    account: AccountId,
    endpoint: String,
    upstream: Upstream,
    _store: S3Store,
}

impl Linked {
    async fn new(bench: Bench) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let credentials = vec![("AK".to_owned(), "SK".to_owned())];
        let folder = bench._folder.path().join("s3");
        let store = S3Store::start(listener, credentials, folder, bench.world.clone());
        let endpoint = format!("http://{}", store.addr());
        let upstream = Upstream::new(&endpoint, "us-east-1", Style::Path, "AK", "SK").unwrap();
        S3Client::new().unwrap().create_bucket(&upstream, "real", bench.world_now()).await.unwrap();
        let account = link(&bench, &endpoint, "Store").await;
        Self { bench, account, endpoint, upstream, _store: store }
    }

    async fn map(&self, org: OrgId, bucket: &str, prefix: &str, overlap: bool) -> Result<Shown, Failure> {
        self.map_on(self.account, org, bucket, prefix, overlap).await
    }

    async fn map_on(
        &self,
        account: AccountId,
        org: OrgId,
        bucket: &str,
        prefix: &str,
        overlap: bool,
    ) -> Result<Shown, Failure> {
        let new = NewMapping {
            user: None,
            virtual_bucket: bucket.into(),
            folder: String::new(),
            account,
            real_bucket: "real".into(),
            prefix: prefix.into(),
            access: "write".into(),
            overlap,
        };
        buckets::map(&self.bench.cx, org, new).await
    }

    /// Writes past the gateway.
    async fn put(&self, key: &str, size: usize) {
        let (client, now_us) = (S3Client::new().unwrap(), self.bench.world_now());
        client.put_object(&self.upstream, "real", key, Bytes::from(vec![b'x'; size]), now_us).await.unwrap();
    }

    async fn delete(&self, key: &str) {
        let (client, now_us) = (S3Client::new().unwrap(), self.bench.world_now());
        client.delete_object(&self.upstream, "real", key, now_us).await.unwrap();
    }

    /// Sweeps; says what was added, removed, moved, and the bytes of it.
    async fn sweep(&self) -> (u64, u64, u64, i64) {
        self.bench.world.advance(1_000_000);
        let drift = sweep(&self.bench.cx, self.account).await.unwrap();
        (drift.added, drift.removed, drift.moved, drift.bytes)
    }

    /// Does the sweep that is due by now, as the server would.
    async fn sweep_by_job(&self) {
        self.bench.world.advance(1_000_000);
        assert!(timers::work_once(&self.bench.app).await.unwrap(), "a sweep is due");
    }

    async fn entries(&self, action: &str) -> usize {
        let filter = AuditFilter { action: action.into(), ..AuditFilter::default() };
        audit::list(&self.bench.cx, self.bench.cx.realm.root(), 0, &filter, 100).await.unwrap().len()
    }
}

async fn link(bench: &Bench, endpoint: &str, name: &str) -> AccountId {
    let new = NewAccount {
        name: name.into(),
        endpoint: endpoint.into(),
        region: "us-east-1".into(),
        style: "path".into(),
        access_key: "AK".into(),
        secret_key: "SK".into(),
    };
    sources::link(&bench.cx, bench.cx.realm.root(), new).await.unwrap().id
}

/// S09: Sales was mapped over Research's objects without a word.
async fn a_place_of_others_wants_a_yes(bench: Bench) {
    let linked = Linked::new(bench).await;
    let (red, blue) = (linked.bench.red, linked.bench.blue);
    linked.map(red, "research", "acme/research/", false).await.unwrap();
    let second = link(&linked.bench, &linked.endpoint, "The same store").await;
    for (account, prefix, is_over) in [
        (linked.account, "acme/", true),
        (linked.account, "", true),
        (linked.account, "acme/research/2026/", true),
        (linked.account, "acme/research/", true),
        (linked.account, "acme/research-2/", false),
        (linked.account, "acme/sales/", false),
        (second, "acme/", true),
    ] {
        let bucket = format!("b-{}", base::World::fresh_id(linked.bench.world.as_ref()) % 1_000_000);
        let done = linked.map_on(account, blue, &bucket, prefix, false).await;
        let code = done.as_ref().map(drop).map_err(|failure| failure.code);
        assert_eq!(code, if is_over { Err(Some("mapping_overlap")) } else { Ok(()) }, "{prefix:?}");
        if let Err(failure) = done {
            assert!(failure.text.contains("\"acme/research/\" as \"research/\""), "{}", failure.text);
            assert_eq!(failure.field, "prefix");
            let yes = linked.map_on(account, blue, &bucket, prefix, true).await.unwrap();
            buckets::unmap(&linked.bench.cx, blue, yes.id, Charge::Stop).await.unwrap();
        }
    }
    // Whose it is, they may have it under another name, too.
    linked.map(red, "again", "acme/research/", false).await.unwrap();
}

async fn names_of_strangers_are_not_told(bench: Bench) {
    let linked = Linked::new(bench).await;
    let bench = &linked.bench;
    // Red's admin has an account of their own, in which Blue has a place by the provider's hand.
    let (red, _) = bench.person(bench.red, "red", Builtin::OrganizationAdmin).await;
    linked.map(bench.blue, "secret-name", "acme/", false).await.unwrap();
    let new = NewAccount {
        name: "Red's".into(),
        endpoint: linked.endpoint.clone(),
        region: "us-east-1".into(),
        style: "path".into(),
        access_key: "AK".into(),
        secret_key: "SK".into(),
    };
    let account = sources::link(&red, bench.red, new).await.unwrap().id;
    let new = NewMapping {
        user: None,
        virtual_bucket: "mine".into(),
        folder: String::new(),
        account,
        real_bucket: "real".into(),
        prefix: String::new(),
        access: "write".into(),
        overlap: false,
    };
    let refused = buckets::map(&red, bench.red, new).await.unwrap_err();
    assert_eq!(refused.code, Some("mapping_overlap"));
    assert!(refused.text.contains("another organisation has mapped"), "{}", refused.text);
    assert!(!refused.text.contains("secret") && !refused.text.contains(&bench.blue.to_string()), "{}", refused.text);
}

/// S07: the storage of what stayed was charged to nobody.
async fn a_charge_goes_on_until_the_data_are_gone(bench: Bench) {
    let linked = Linked::new(bench).await;
    let (cx, red) = (&linked.bench.cx, linked.bench.red);
    let row = linked.map(red, "data", "red/", false).await.unwrap();
    linked.put("red/a", 1_000).await;
    linked.put("elsewhere", 7).await;
    assert_eq!(linked.sweep().await, (1, 0, 0, 1_000));
    buckets::unmap(cx, red, row.id, Charge::GoesOn).await.unwrap();
    assert_eq!(linked.sweep().await, (0, 0, 0, 0), "it is still Red's");
    let former = buckets::former(cx, linked.bench.customer).await.unwrap();
    assert_eq!((former.len(), former[0].charge, former[0].row.virtual_bucket.as_str()), (1, Charge::GoesOn, "data"));
    // What is found there later is theirs as well; what is deleted there is not charged.
    linked.put("red/b", 50).await;
    linked.delete("red/a").await;
    assert_eq!(linked.sweep().await, (1, 1, 0, 50 - 1_000));
    linked.delete("red/b").await;
    timers::look_around(&linked.bench.app).await.unwrap();
    linked.bench.world.advance(2 * 86_400_000_000);
    timers::look_around(&linked.bench.app).await.unwrap();
    assert!(buckets::former(cx, linked.bench.customer).await.unwrap().is_empty(), "nothing is left there");
    assert_eq!(linked.entries("account.sweep").await, 3, "what was found is in the log");
    assert_eq!(linked.entries("bucket.unmap").await, 1);
}

async fn a_charge_that_was_stopped_ends_with_the_next_sweep(bench: Bench) {
    let linked = Linked::new(bench).await;
    let (cx, red) = (&linked.bench.cx, linked.bench.red);
    let (one, other) = ("one/", "other/");
    let first = linked.map(red, "one", one, false).await.unwrap();
    let second = linked.map(red, "other", other, false).await.unwrap();
    linked.put("one/a", 100).await;
    linked.put("other/a", 7).await;
    linked.sweep().await;
    // At once, or later.
    buckets::unmap(cx, red, first.id, Charge::Stop).await.unwrap();
    buckets::unmap(cx, red, second.id, Charge::GoesOn).await.unwrap();
    linked.sweep_by_job().await;
    assert_eq!(linked.sweep().await, (0, 0, 0, 0), "the job did it");
    let blue = linked.bench.blue;
    assert_eq!(buckets::stop(cx, blue, second.id).await.unwrap_err().kind, Kind::NotFound, "not at another's");
    buckets::stop(cx, red, second.id).await.unwrap();
    assert_eq!(buckets::stop(cx, red, second.id).await.unwrap_err().kind, Kind::NotFound, "once");
    assert_eq!(linked.sweep().await, (0, 1, 0, -7));
    assert_eq!(linked.entries("bucket.stop_charge").await, 1);
    // Mapped again, it is charged again.
    linked.map(red, "one", one, false).await.unwrap();
    assert_eq!(linked.sweep().await, (1, 0, 0, 100));
}

async fn what_was_given_up_below_another_row_goes_to_it(bench: Bench) {
    let linked = Linked::new(bench).await;
    let (cx, red, blue) = (&linked.bench.cx, linked.bench.red, linked.bench.blue);
    let inner = linked.map(red, "research", "acme/research/", false).await.unwrap();
    linked.put("acme/research/a", 100).await;
    linked.sweep().await;
    linked.map(blue, "sales", "acme/", true).await.unwrap();
    buckets::unmap(cx, red, inner.id, Charge::GoesOn).await.unwrap();
    assert_eq!(linked.sweep().await, (0, 0, 0, 0), "it stays whose it was");
    buckets::stop(cx, red, inner.id).await.unwrap();
    assert_eq!(linked.sweep().await, (0, 0, 1, 0), "Blue has it");
    assert_eq!(linked.sweep().await, (0, 0, 0, 0));
}
