//! The sample realm: a provider, two customers, departments, people, accounts, a name space, prices.

use crate::Exit;
use access::{Builtin, PolicyRef};
use app::buckets::{self, NewMapping};
use app::orgs::NewOrg;
use app::realms::{NewRealm, create};
use app::sources::NewAccount;
use app::{App, Cx, keys, orgs, people, prices, secrets, sources};
use base::{AccountId, Currency, OrgId, UserId, Zone};
use sim::s3_store::S3Store;
use std::sync::Arc;

/// Somebody who uses S3.
pub(super) struct Person {
    pub(super) email: String,
    pub(super) key_id: String,
    pub(super) secret: String,
    /// Buckets he may write to.
    pub(super) buckets: Vec<&'static str>,
    /// A bucket he may only read.
    pub(super) reads: Option<&'static str>,
}

/// What was planted.
pub(super) struct Planted {
    pub(super) cx: Cx,
    pub(super) people: Vec<Person>,
    pub(super) admin_email: &'static str,
    pub(super) password: String,
    pub(super) head_email: String,
}

/// A fixed key of the simulated upstream accounts; they listen on loopback only.
pub(super) const UPSTREAM_KEY: (&str, &str) = ("SIMACCOUNT", "simulated-account-secret");

const ADMIN: &str = "admin@northwind.example";

/// What the customers pay. Priced by the MiB, so that a small month gives a bill one can read.
const ACME_BOOK: &str = r#"{ "currency": "EUR", "items": [
  { "code": "s3-storage", "name": "S3 storage", "meter": "s3.storage",
    "unit": { "label": "MiB-month", "size": 1048576, "lasts_period": true },
    "price": { "model": "graduated", "tiers": [ { "up_to": "20", "rate": "0.9" }, { "up_to": null, "rate": "0.65" } ] } },
  { "code": "s3-requests-a", "name": "S3 writes and lists", "meter": "s3.requests",
    "only": { "class": ["A"], "billed": ["yes"] }, "unit": { "label": "1,000 requests", "size": 1000 },
    "price": { "model": "per_unit", "rate": "5.2" } },
  { "code": "s3-requests-b", "name": "S3 reads", "meter": "s3.requests",
    "only": { "class": ["B"], "billed": ["yes"] }, "unit": { "label": "1,000 requests", "size": 1000 },
    "included": "0.1", "price": { "model": "per_unit", "rate": "0.42" } },
  { "code": "s3-egress", "name": "S3 data out", "meter": "s3.bytes_out",
    "unit": { "label": "MiB", "size": 1048576 }, "included": "10",
    "price": { "model": "per_unit", "rate": "0.085" } },
  { "code": "support", "name": "Support plan", "price": { "model": "flat", "amount": "49" } } ] }"#;

const HARBOR_BOOK: &str = r#"{ "currency": "EUR", "items": [
  { "code": "s3-storage", "name": "S3 storage", "meter": "s3.storage",
    "unit": { "label": "MiB-month", "size": 1048576, "lasts_period": true },
    "price": { "model": "volume", "tiers": [ { "up_to": "10", "rate": "1.1" }, { "up_to": null, "rate": "0.8" } ] } },
  { "code": "s3-requests", "name": "S3 requests", "meter": "s3.requests",
    "only": { "class": ["A", "B"], "billed": ["yes"] }, "unit": { "label": "1,000 requests", "size": 1000 },
    "price": { "model": "per_unit", "rate": "3" } },
  { "code": "s3-egress", "name": "S3 data out", "meter": "s3.bytes_out", "window": "hour",
    "unit": { "label": "MiB", "size": 1048576 }, "included": "0.25",
    "price": { "model": "per_unit", "rate": "0.1" } } ] }"#;

/// The research department has prices of its own: Acme sells to it with an internal mark-up.
const RESEARCH_BOOK: &str = r#"{ "currency": "EUR", "items": [
  { "code": "s3-storage", "name": "Lab storage", "meter": "s3.storage",
    "unit": { "label": "MiB-month", "size": 1048576, "lasts_period": true },
    "price": { "model": "per_unit", "rate": "1.05" } },
  { "code": "s3-requests", "name": "Lab requests", "meter": "s3.requests",
    "only": { "class": ["A", "B"], "billed": ["yes"] }, "unit": { "label": "1,000 requests", "size": 1000 },
    "price": { "model": "per_unit", "rate": "4" } },
  { "code": "s3-egress", "name": "Lab data out", "meter": "s3.bytes_out",
    "unit": { "label": "MiB", "size": 1048576 }, "price": { "model": "per_unit", "rate": "0.1" } } ] }"#;

fn child(name: &str, kind: &str, address: &[&str]) -> NewOrg {
    let address = address.iter().map(|line| (*line).to_owned()).collect();
    NewOrg { name: name.to_owned(), kind: kind.to_owned(), address, ..NewOrg::default() }
}

struct Builder {
    cx: Cx,
    people: Vec<Person>,
}

impl Builder {
    async fn person(
        &mut self,
        org: OrgId,
        name: &str,
        role: Builtin,
        password: Option<&str>,
        buckets: &[&'static str],
        reads: Option<&'static str>,
    ) -> Result<UserId, Exit> {
        let email = format!("{}@acme.example", name.to_lowercase());
        let user = people::add(&self.cx, org, &email, name, PolicyRef::Builtin(role), password).await?;
        let (key, secret) = keys::create(&self.cx, org, user, "demo").await?;
        let buckets = buckets.to_vec();
        self.people.push(Person { email, key_id: key.key_id, secret, buckets, reads });
        Ok(user)
    }

    async fn account(&self, name: &str, store: &S3Store) -> Result<AccountId, Exit> {
        let (access_key, secret_key) = UPSTREAM_KEY;
        let new = NewAccount {
            name: name.to_owned(),
            endpoint: format!("http://{}", store.addr()),
            region: "us-east-1".to_owned(),
            style: "path".to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
        };
        Ok(sources::link(&self.cx, self.cx.realm.root(), new).await?.id)
    }

    async fn map(
        &self,
        org: OrgId,
        user: Option<UserId>,
        (bucket, folder): (&str, &str),
        (account, real_bucket, prefix): (AccountId, &str, &str),
        access: &str,
    ) -> Result<(), Exit> {
        let new = NewMapping {
            user,
            virtual_bucket: bucket.to_owned(),
            folder: folder.to_owned(),
            account,
            real_bucket: real_bucket.to_owned(),
            prefix: prefix.to_owned(),
            access: access.to_owned(),
            // Finance reads what Imaging writes: that is meant.
            overlap: access == "read",
        };
        buckets::map(&self.cx, org, new).await?;
        Ok(())
    }
}

/// Plants everything, at the world's present time.
pub(super) async fn plant(app: &Arc<App>, stores: [&S3Store; 2], month: &str) -> Result<Planted, Exit> {
    let mut random = [0_u8; 9];
    app.world().fill_random(&mut random);
    let password = format!("demo-{}", &secrets::hash(&format!("{random:?}"))[..16]);
    let new = NewRealm {
        name: "Northwind Cloud".to_owned(),
        currency: Currency::EUR,
        zone: "Europe/Berlin".parse::<Zone>().map_err(|error| Exit::failed(error.to_string()))?,
        admin_email: ADMIN.to_owned(),
        admin_name: "Nora North".to_owned(),
        admin_password: password.clone(),
    };
    create(app, new).await?;
    let client = app::sessions::Client::default();
    let (_, admin) = app::sign_in::sign_in(app, ADMIN, &password, &client).await?;
    let cx = admin.cx;
    let root = cx.realm.root();
    let mut builder = Builder { cx: cx.clone(), people: Vec::new() };
    let acme =
        orgs::create_child(&cx, root, child("Acme Biotech", "customer", &["Labstrasse 7", "10115 Berlin"])).await?.id;
    let harbor =
        orgs::create_child(&cx, root, child("Blue Harbor Media", "customer", &["Pier 3", "20457 Hamburg"])).await?.id;
    let research = orgs::create_child(&cx, acme, child("Research", "department", &[])).await?.id;
    let imaging = orgs::create_child(&cx, acme, child("Imaging", "department", &[])).await?.id;
    let finance = orgs::create_child(&cx, acme, child("Finance", "department", &[])).await?.id;
    for (buyer, book) in [(acme, ACME_BOOK), (harbor, HARBOR_BOOK), (research, RESEARCH_BOOK)] {
        prices::set(&cx, buyer, month, prices::parse_book(book)?).await?;
    }
    let (member, head) = (Builtin::Member, Builtin::DepartmentHead);
    let ada = builder.person(research, "Ada", head, Some(&password), &["lab-data", "ada-private"], None).await?;
    builder.person(research, "Ben", member, None, &["lab-data"], None).await?;
    builder.person(research, "Chloe", member, None, &["lab-data", "shared"], None).await?;
    builder.person(imaging, "Dev", head, None, &["scans"], None).await?;
    builder.person(imaging, "Eva", member, None, &["scans", "shared"], None).await?;
    builder.person(imaging, "Finn", member, None, &["scans"], None).await?;
    builder.person(finance, "Gus", head, None, &["ledgers"], Some("scans-archive")).await?;
    builder.person(finance, "Hana", member, None, &["ledgers"], Some("scans-archive")).await?;
    builder.person(harbor, "Milo", Builtin::OrganizationAdmin, None, &["media"], None).await?;
    let fast = builder.account("Fast store", stores[0]).await?;
    let archive = builder.account("Archive store", stores[1]).await?;
    builder.map(acme, None, ("shared", ""), (fast, "nw-fast", "acme/shared/"), "write").await?;
    builder.map(research, None, ("lab-data", ""), (fast, "nw-fast", "acme/research/"), "write").await?;
    builder.map(research, None, ("lab-data", "archive/"), (archive, "nw-archive", "acme/research/"), "write").await?;
    builder.map(research, Some(ada), ("ada-private", ""), (fast, "nw-fast", "acme/people/ada/"), "write").await?;
    builder.map(imaging, None, ("scans", ""), (archive, "nw-archive", "acme/imaging/"), "write").await?;
    builder.map(finance, None, ("ledgers", ""), (fast, "nw-fast", "acme/finance/"), "write").await?;
    builder.map(finance, None, ("scans-archive", ""), (archive, "nw-archive", "acme/imaging/"), "read").await?;
    builder.map(harbor, None, ("media", ""), (fast, "harbor-media", ""), "write").await?;
    Ok(Planted {
        head_email: builder.people[0].email.clone(),
        cx,
        people: builder.people,
        admin_email: ADMIN,
        password,
    })
}
