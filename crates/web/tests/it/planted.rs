//! Two trees with people of every role at one organisation, and a thing of each kind at every place around it.

use crate::bench::{Bench, PASSWORD};
use access::policy::Document;
use access::{Builtin, Level, PolicyRef, Propagate};
use app::bindings::NewBinding;
use app::cloud_links::NewLink;
use app::idps::NewIdp;
use app::orgs::NewOrg;
use app::rows::{Holder, IdpSettings};
use app::tokens::NewToken;
use app::{
    Cx, bills, bindings, cloud_links, domains, events, groups, idps, invitations, keys, orgs, people, policies, prices,
    sessions, tokens,
};
use base::{AccountId, MappingId, OrgId, UserId};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::accounts::{self, Account, Mapping};
use store::former_mappings::{self, Charge};
use store::memberships::{self, Membership};
use store::users::{self, User};
use testkit::{TempFolder, TestWorld};

/// The columns of the matrix.
pub const PLACES: [&str; 6] = ["own", "parent", "child", "sister", "other", "unknown"];
/// Its rows: each was given at `own`; nobody is not signed in.
pub const ROLES: [&str; 8] = [
    "organization_admin",
    "organization_editor",
    "billing_admin",
    "finance_viewer",
    "auditor",
    "department_head",
    "member",
    "nobody",
];

/// An organisation with a thing of each kind.
#[derive(Clone, Default)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Whether the people of the matrix belong here.
    pub is_own: bool,
    /// Somebody of the tree who is not its member.
    pub joiner: String,
    /// Another organisation, which the people of the matrix may reach.
    pub elsewhere: String,
    things: BTreeMap<&'static str, String>,
}

impl Place {
    /// A place whose things have no ids: for what only looks at the form of requests.
    pub fn anywhere() -> Self {
        let kinds = ["org", "user", "account", "policy", "binding", "service"];
        Self { things: kinds.into_iter().map(|kind| (kind, kind.to_owned())).collect(), ..Self::default() }
    }

    /// The id of its thing of a kind, by the name that it has in paths.
    pub fn thing(&self, name: &str) -> String {
        self.things.get(name).cloned().unwrap_or_else(|| panic!("say in planted.rs what {{{name}}} of a route is"))
    }
}

/// Somebody who asks.
#[derive(Clone, Default)]
pub struct Person {
    /// His role.
    pub role: &'static str,
    /// His address.
    pub email: String,
    /// His organisation.
    pub org: String,
    /// Secret of his cookie; empty for nobody.
    pub cookie: String,
    /// What his forms carry.
    pub csrf: String,
    /// His API token; empty for nobody.
    pub token: String,
    /// Things of his own, by the name that they have in paths.
    pub own: BTreeMap<&'static str, String>,
}

impl Person {
    /// The id of one of his own things.
    pub fn own_thing(&self, name: &str) -> String {
        self.own.get(name).cloned().unwrap_or_else(|| panic!("say in planted.rs what one's own {{{name}}} is"))
    }
}

/// The trees, and the folder in which they can be had again and again.
pub struct Planted {
    /// In the order of [`ROLES`].
    pub people: Vec<Person>,
    /// In the order of [`PLACES`].
    pub places: Vec<Place>,
    /// Time and chance.
    pub world: Arc<TestWorld>,
    /// The trees' roots, as their admins.
    pub roots: Vec<base::RealmId>,
    bench: Option<Bench>,
    work: PathBuf,
    template: PathBuf,
    _folder: TempFolder,
}

const ALLOW: &str = r#"{"statements":[{"effect":"ALLOW","actions":["invoice:read"]}]}"#;
const GUARD: &str = r#"{"statements":[{"effect":"DENY","actions":["support:impersonate"]}]}"#;

async fn child(cx: &Cx, parent: OrgId, name: &str, kind: &str) -> OrgId {
    let new = NewOrg { name: name.to_owned(), kind: kind.to_owned(), ..NewOrg::default() };
    orgs::create_child(cx, parent, new).await.unwrap().id
}

async fn person(cx: &Cx, org: OrgId, name: &str, role: &str, password: Option<&str>) -> UserId {
    let policy = PolicyRef::Builtin(Builtin::from_code(role).unwrap());
    people::add(cx, org, &format!("{name}@example.com"), name, policy, password).await.unwrap()
}

/// Puts a thing of each kind at an organisation. An S3 account cannot be linked without a server: it is written.
async fn plant(cx: &Cx, bench: &Bench, name: &str, org: OrgId) -> Place {
    let user = person(cx, org, &format!("at-{name}-{}", cx.realm), "member", None).await;
    let joiner = person(cx, cx.realm.root(), &format!("joins-{name}-{}", cx.realm), "member", None).await;
    let document = |text: &str| serde_json::from_str::<Document>(text).unwrap();
    let group = groups::create(cx, org, "Group").await.unwrap().id;
    groups::add_member(cx, org, group, user).await.unwrap();
    let policy = policies::create(cx, org, "Policy", Level::Org, document(ALLOW)).await.unwrap().id;
    let rail = policies::create(cx, org, "Rail", Level::Org, document(GUARD)).await.unwrap().id;
    let guard = policies::lay_guard(cx, org, rail).await.unwrap();
    let binding = NewBinding {
        holder: Holder::User(user),
        policy: PolicyRef::Builtin(Builtin::FinanceViewer),
        propagate: Propagate::Here,
        resources: Vec::new(),
        not_before_us: None,
        not_after_us: None,
    };
    let of_group =
        NewBinding { holder: Holder::Group(group), policy: PolicyRef::Builtin(Builtin::Member), ..binding.clone() };
    let binding = bindings::bind(cx, org, binding).await.unwrap();
    let group_binding = bindings::bind(cx, org, of_group).await.unwrap();
    let service = tokens::create_service(cx, org, "Service", "").await.unwrap().id;
    let (token, _) = tokens::create_programmatic(cx, org, service, NewToken::whole("ci", 30)).await.unwrap();
    let member = PolicyRef::Builtin(Builtin::Member);
    let (invitation, _) = invitations::invite(cx, org, "guest@example.com", member, Propagate::Here).await.unwrap();
    let (key, _) = keys::create(cx, org, user, "key").await.unwrap();
    let link =
        NewLink { provider: "aws".into(), external_account: org.to_string(), name: "Link".into(), from_us: None };
    let link = cloud_links::link(cx, org, link).await.unwrap().id;
    let (account, mapping) = (AccountId(cx.app.world().fresh_id()), MappingId(cx.app.world().fresh_id()));
    let store = &bench.store;
    let mut tx = store.write(&access::decide_job(cx.realm, org)).await.unwrap();
    let row = Account {
        id: account,
        org,
        name: "Account".into(),
        endpoint: "http://127.0.0.1:1".into(),
        region: "us-east-1".into(),
        style: "path".into(),
        access_key: "AK".into(),
        secret_sealed: String::new(),
        created_us: 0,
    };
    accounts::insert(&mut tx, &row).await.unwrap();
    let row = Mapping {
        id: mapping,
        org,
        user: None,
        virtual_bucket: format!("bucket-{}", name.len()),
        folder: String::new(),
        account,
        real_bucket: "real".into(),
        prefix: String::new(),
        access: "write".into(),
        created_us: 0,
    };
    accounts::insert_mapping(&mut tx, &row).await.unwrap();
    let former = MappingId(cx.app.world().fresh_id());
    let row = Mapping { id: former, virtual_bucket: "former".into(), real_bucket: "was".into(), ..row };
    former_mappings::insert(&mut tx, &row, Charge::GoesOn, 0).await.unwrap();
    let waiting = UserId(cx.app.world().fresh_id());
    let row = User::person(waiting, org, "", "Waiting", String::new(), 0);
    users::insert(&mut tx, &User { state: "pending".into(), ..row }).await.unwrap();
    let (state, source) = ("suspended".to_owned(), "sso".to_owned());
    let row = Membership { user: waiting, org, state, source, created_us: 0, created_by: String::new() };
    memberships::insert(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    let provider = NewIdp {
        name: "Works".into(),
        issuer: "http://127.0.0.1:1".into(),
        client_id: "meterhouse".into(),
        client_secret: None,
        settings: IdpSettings::default(),
        active: true,
    };
    idps::put(cx, org, provider).await.unwrap();
    let domain = domains::claim(cx, org, &format!("{name}.example")).await.unwrap().domain;
    let leaf = child(cx, org, &format!("Leaf of {name}"), "project").await;
    let things = [
        ("org", org.to_string()),
        ("child", leaf.to_string()),
        ("user", user.to_string()),
        ("key_id", key.key_id),
        ("account", account.to_string()),
        ("mapping", mapping.to_string()),
        ("former", former.to_string()),
        ("group", group.to_string()),
        ("policy", policy.to_string()),
        ("binding", binding.to_string()),
        ("group_binding", group_binding.to_string()),
        ("guard", guard.to_string()),
        ("service", service.to_string()),
        ("service_token", token.id.to_string()),
        ("a_token", token.id.to_string()),
        ("a_factor", base::FactorId(cx.app.world().fresh_id()).to_string()),
        ("invitation", invitation.id.to_string()),
        ("link", link.to_string()),
        ("domain", domain),
        ("waiting", waiting.to_string()),
    ];
    let name = orgs::get(cx, org).await.unwrap().name;
    Place { name, joiner: joiner.to_string(), things: BTreeMap::from(things), ..Place::default() }
}

/// Bills the usage of August, so that each edge of the tree has a paper.
async fn bill(cx: &Cx, places: &mut [(OrgId, Place)], buyer: OrgId) {
    let meter = metering::Meter {
        code: "vm.hours".into(),
        unit: "hour".into(),
        aggregation: metering::Aggregation::Sum,
        dimensions: Vec::new(),
    };
    events::define_meter(cx, meter).await.unwrap();
    let book = r#"{"currency":"EUR","items":[{"code":"vm","name":"Machines","meter":"vm.hours","price":{"model":"per_unit","rate":"1"}}]}"#;
    prices::set(cx, buyer, "2026-08", prices::parse_book(book).unwrap()).await.unwrap();
    for (org, _) in &*places {
        let event = format!(
            r#"{{"specversion":"1.0","id":"{org}","source":"/t","type":"vm.hours","subject":"{org}","time":"2026-08-02T00:00:00Z","data":{{"quantity":"3"}}}}"#
        );
        assert_eq!(events::ingest(cx, cx.realm.root(), "application/json", &event).await.unwrap().accepted, 1);
    }
    bills::close_month(cx, cx.realm.root(), "2026-08", false).await.unwrap();
    let papers = bills::list(cx, cx.realm.root()).await.unwrap();
    for (org, place) in places {
        let paper = papers.iter().find(|paper| paper.payer == *org).expect("every edge has a paper");
        place.things.insert("id", paper.id.to_string());
    }
}

impl Planted {
    /// Plants both trees and keeps a copy of the folder.
    pub async fn new() -> Self {
        let folder = TempFolder::new("web_matrix");
        let (work, template) = (folder.path().join("work"), folder.path().join("template"));
        fs::create_dir_all(&work).unwrap();
        let world = Arc::new(TestWorld::at("2026-08-01T00:00:00Z", 7));
        let bench = Bench::open(&work, &world).await;
        let own_tree = bench.realm("Provider", "root@example.com").await;
        let other_tree = bench.realm("Elsewhere", "root@example.net").await;
        let root = own_tree.realm.root();
        let parent = child(&own_tree, root, "Parent", "customer").await;
        let own = child(&own_tree, parent, "Own", "department").await;
        let below = child(&own_tree, own, "Child", "project").await;
        let below_too = child(&own_tree, own, "Second child", "project").await;
        let sister = child(&own_tree, parent, "Sister", "department").await;
        let other = child(&other_tree, other_tree.realm.root(), "Other", "customer").await;
        let mut planted = Vec::new();
        for (name, org) in [("own", own), ("parent", parent), ("child", below), ("sister", sister)] {
            let place = plant(&own_tree, &bench, name, org).await;
            planted.push((org, Place { elsewhere: below_too.to_string(), is_own: name == "own", ..place }));
        }
        let place = plant(&other_tree, &bench, "other", other).await;
        let mut planted_other = vec![(other, Place { elsewhere: below_too.to_string(), ..place })];
        world.set(base::period::parse_instant("2026-09-01T00:00:00Z").unwrap());
        bill(&own_tree, &mut planted, parent).await;
        bill(&other_tree, &mut planted_other, other).await;
        let mut places: Vec<Place> = planted.into_iter().chain(planted_other).map(|(_, place)| place).collect();
        for (place, email) in places.iter_mut().zip([
            "root@example.com",
            "root@example.com",
            "root@example.com",
            "root@example.com",
            "root@example.net",
        ]) {
            let cx = bench.sign_in(email).await.1.cx;
            place.things.insert("a_session", sessions::my_sessions(&cx).await.unwrap()[0].id.to_string());
        }
        let unknown = unknown(&places[4], &world);
        places.push(unknown);
        let mut people = Vec::new();
        let admin = bench.sign_in("root@example.com").await.1.cx; // A month has passed: proved once more.
        for role in ROLES.into_iter().filter(|role| *role != "nobody") {
            person(&admin, own, role, role, Some(PASSWORD)).await;
            people.push(come_in(&bench, role, own).await);
        }
        let email = "nobody@example.com".to_owned();
        let mut nobody = people[0].clone();
        nobody = Person { role: "nobody", email, own: nobody.own, org: own.to_string(), ..Person::default() };
        people.push(nobody);
        bench.app.close().await;
        copy(&work, &template);
        let roots = vec![own_tree.realm, other_tree.realm];
        let mut found = Self { people, places, world, roots, bench: None, work, template, _folder: folder };
        found.restore().await;
        found
    }

    /// The running application.
    pub fn bench(&self) -> &Bench {
        self.bench.as_ref().expect("it was opened")
    }

    /// Everything as it was planted.
    pub async fn restore(&mut self) {
        if let Some(bench) = self.bench.take() {
            bench.app.close().await;
        }
        fs::remove_dir_all(&self.work).unwrap();
        copy(&self.template, &self.work);
        self.bench = Some(Bench::open(&self.work, &self.world).await);
    }
}

/// A place that never was: the same kinds of ids, other numbers.
fn unknown(like: &Place, world: &TestWorld) -> Place {
    use base::World;
    let fresh = |text: &String| match text.split_once('_') {
        None if text.contains('.') => "unknown.example".to_owned(),
        Some((prefix, _)) => format!("{prefix}_{}", base::ids::encode_base32(world.fresh_id())),
        None => format!("MH{:018X}", world.fresh_id() >> 56),
    };
    let things = like.things.iter().map(|(name, text)| (*name, fresh(text))).collect();
    Place { things, ..like.clone() }
}

/// Signs somebody in, with things of his own.
async fn come_in(bench: &Bench, role: &'static str, org: OrgId) -> Person {
    let email = format!("{role}@example.com");
    let (_, first) = bench.sign_in(&email).await;
    let spare = first.cx.origin.session.unwrap().to_string();
    let (cookie, signed_in) = bench.sign_in(&email).await;
    let token = bench.token(&signed_in.cx).await;
    let (spare_token, _) = tokens::create(&signed_in.cx, NewToken::whole("spare", 30)).await.unwrap();
    let factor = base::FactorId(bench.app.world().fresh_id());
    let own = [("token", spare_token.id.to_string()), ("session", spare), ("factor", factor.to_string())];
    let own = BTreeMap::from(own);
    Person { role, email, org: org.to_string(), cookie, csrf: signed_in.csrf, token, own }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
