//! Ids that a request names beside its place: in bodies, queries, forms, and as a second thing of a path. What belongs to
//! somebody else is as unknown as what never was: a sister's, one of those above, one of another realm.
//!
//! The fields of the API come from its own description, those of the console from its sources and templates. One that
//! nobody has sorted into [`NAMED`] or [`PLAIN`] fails the test, and so does an id that is answered like those of others.

use crate::bench::{Bench, Reply, api};
use crate::planted::{PLACES, Person, Place, Planted};
use crate::routes::{self, Route};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

/// Whose ids are tried. `parent` and `root` stand above.
const OTHERS: [&str; 5] = ["sister", "parent", "root", "other", "unknown"];

/// Fields of bodies, queries and forms that name a thing, and its kind as `planted.rs` calls it.
const NAMED: [(&str, &str); 20] = [
    ("account", "account"),
    ("actor", "user"),
    ("back", "org"),
    ("binding", "binding"),
    ("data.user", "user"),
    ("default_groups", "group"),
    ("group", "group"),
    ("group_map", "group"),
    ("holder", "user"),
    ("org", "org"),
    ("parent", "org"),
    ("policy", "policy"),
    ("resource", "account"),
    ("resources", "account"),
    ("scope", "org"),
    ("scope_org", "org"),
    ("service", "service"),
    ("subject", "org"),
    ("to", "org"),
    ("user", "user"),
];

/// Fields that name nothing of the tree. Each was looked at.
const PLAIN: &str = "\
access access_key act action actions active address admin_mode aggregation again answer authoritative before book bucket \
by cascade chain charge child_cost_default child_products client_id client_secret code column confirm cost_default costs count csrf \
currency days description detach dimensions document domain done draft drop email endpoint enforced exact external_account \
favourite folder format from gateway granted groups_claim issue issuer kind level meter mfa_contexts mfa_policy month more \
more_than name new next not_after not_before old outcome overlap page password prefix preview product products propagate provider q reach \
real_bucket region revoke_tokens save secret secret_key seen since slug sort state style suspended sure token_days token_days_max \
trusted_for_mfa turn unit until username version view visible_costs vouches_for_domains with_products without_final_invoice zone";

/// Named things that this walk does not try, and why.
const ELSEWHERE: [(&str, &str); 5] = [
    ("after", "where a page of a list begins: a look, which the matrix asks"),
    ("factor", "one's own second factor; `app/tests/it/sign_in.rs` tries those of others"),
    ("mark", "only at the highest organisation, whose admins see everybody"),
    ("target", "a filter of the audit log beside `actor`, read in the same way"),
    ("unmark", "as `mark`"),
];

/// What must hold of the answers to ids of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Law {
    /// 404 or 422, the same as for an id that never was, and nothing has changed.
    Unknown,
    /// As [`Law::Unknown`], but what stands above may be used: policies are given downwards.
    AboveMayBeUsed,
    /// It is compared and never looked up (a pattern, an address to go back to): the same for all.
    NotLookedUp,
    /// It narrows what one sees anyway. Those above may have acted here, which one sees; of others there is nothing.
    Filter,
    /// An item of a batch is refused by itself, in the same words for all; none is taken.
    Item,
}

fn law_of(route: &Route, field: &str) -> Law {
    match (route.path.as_str(), field) {
        ("/v1/events" | "/v1/orgs/{org}/events", _) => Law::Item,
        (_, "actor") => Law::Filter,
        (_, "back" | "resource" | "resources") => Law::NotLookedUp,
        (_, "policy") => Law::AboveMayBeUsed,
        _ => Law::Unknown,
    }
}

/// The forms of the console that name something: source file, path, field.
const FORMS: [(&str, &str, &str); 23] = [
    ("buckets", "/o/{org}/buckets", "account"),
    ("buckets", "/o/{org}/buckets", "user"),
    ("cloud", "/o/{org}/cloud/{link}/hand-over", "to"),
    ("groups", "/o/{org}/groups/{group}/add", "user"),
    ("groups", "/o/{org}/groups/{group}/give", "policy"),
    ("groups", "/o/{org}/groups/{group}/take", "user"),
    ("groups", "/o/{org}/groups/{group}/withdraw", "binding"),
    ("identity_provider", "/o/{org}/identity/provider", "default_groups"),
    ("identity_provider", "/o/{org}/identity/provider", "group_map"),
    ("keys", "/keys/{key_id}/revoke", "back"),
    ("keys", "/o/{org}/keys", "user"),
    ("me", "/me/keys", "org"),
    ("me_tokens", "/me/tokens", "scope"),
    ("me_tokens", "/o/{org}/tokens", "scope"),
    ("moving", "/o/{org}/move", "parent"),
    ("people", "/o/{org}/people/invite", "policy"),
    ("person", "/o/{org}/people/{user}/policies", "policy"),
    ("person", "/o/{org}/people/{user}/policies", "resources"),
    ("policies", "/o/{org}/policies/guards", "policy"),
    ("switch", "/switch/favourite", "org"),
    ("tokens", "/o/{org}/tokens", "service"),
    ("who_can", "/o/{org}/access", "holder"),
    ("who_can", "/o/{org}/access", "resource"),
];

/// Fields of the console that only looks read: the matrix asks them.
const LOOKS: [(&str, &str); 1] = [("audit", "actor")];

fn kind_of(field: &str) -> Option<&'static str> {
    NAMED.iter().find(|(name, _)| *name == field).map(|(_, kind)| *kind)
}

fn is_elsewhere(field: &str) -> bool {
    ELSEWHERE.iter().any(|(name, _)| *name == field)
}

/// Refuses a field that nobody has sorted.
fn check_sorted(at: &str, field: &str) {
    let plain = PLAIN.split_whitespace().any(|name| name == field);
    let sorted = [plain, kind_of(field).is_some(), is_elsewhere(field)].into_iter().filter(|is| *is).count();
    assert_eq!(sorted, 1, "{at}: say in named.rs what the field {field:?} names, in one of NAMED, PLAIN, ELSEWHERE");
}

/// The changing routes of the API with the fields of their bodies and queries, from the description.
fn described() -> Vec<(Route, BTreeSet<String>)> {
    let json = serde_json::to_value(web::api::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, item) in json["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "get") {
            let route = Route { path: path.clone(), method: method.to_uppercase() };
            let mut fields = BTreeSet::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter["in"] == "query" {
                    fields.insert(parameter["name"].as_str().unwrap().to_owned());
                }
            }
            if route.path.ends_with("/events") {
                // The form of CloudEvents is not ours to describe.
                fields.extend(["subject".to_owned(), "data.user".to_owned()]);
            } else if !operation["requestBody"].is_null() {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                let schema = match schema["$ref"].as_str() {
                    Some(text) => json.pointer(text.trim_start_matches('#')).expect("a reference leads somewhere"),
                    None => schema,
                };
                let properties = schema["properties"].as_object();
                let properties = properties.unwrap_or_else(|| panic!("{method} {path}: a body has fields"));
                fields.extend(properties.keys().cloned());
            }
            found.push((route, fields));
        }
    }
    assert!(found.len() > 60, "the API has many changes");
    found
}

/// The fields that each page of the console reads, by source file.
fn read_by_pages() -> BTreeMap<String, BTreeSet<String>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let mut fields = BTreeSet::new();
        for call in [".get(\"", ".all(\"", ".has(\"", ".word(\"", ".words(\"", "text(\"", "typed(\"", "cost(\""] {
            let quoted = source.split(call).skip(1).filter_map(|rest| rest.split('"').next());
            fields.extend(quoted.map(str::to_owned));
        }
        for body in source.split("Form {\n").skip(1) {
            let lines = body.split("\n}").next().unwrap_or_default().lines();
            let names = lines.filter_map(|line| line.trim().strip_suffix(": String,"));
            fields.extend(names.map(|name| name.trim_start_matches("pub(super) ").to_owned()));
        }
        fields.retain(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        found.insert(path.file_stem().unwrap().to_string_lossy().into_owned(), fields);
    }
    found
}

/// The names of fields in the console's templates. Those of a policy's statements are made in a loop: they are patterns.
fn named_in_templates() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/console");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let names = text.split(" name=\"").skip(1).filter_map(|rest| rest.split('"').next());
        found.extend(names.filter(|name| !name.contains('{')).map(str::to_owned));
    }
    found
}

#[test]
fn every_field_is_sorted() {
    let (person, place) = (Person::default(), Place::anywhere());
    for (route, fields) in described() {
        for field in &fields {
            check_sorted(&format!("{} {}", route.method, route.path), field);
        }
        // By value as well: a body that holds an id in a field of another name.
        let body = routes::body(&route, &person, &place);
        for (field, value) in serde_json::from_str::<Map<String, Value>>(&body).unwrap_or_default() {
            let is_thing = value.as_str().is_some_and(|text| NAMED.iter().any(|(_, kind)| *kind == text));
            let is_word = field == "level"; // `org` is a word there.
            assert!(!is_thing || is_word || kind_of(&field).is_some(), "{}: {field} holds an id", route.path);
        }
    }
    let pages = read_by_pages();
    for (file, fields) in &pages {
        for field in fields {
            check_sorted(&format!("console/{file}.rs"), field);
            let is_tried = FORMS.iter().any(|(form, _, name)| *form == file.as_str() && *name == field.as_str());
            let is_look = LOOKS.contains(&(file.as_str(), field.as_str()));
            let is_named = kind_of(field).is_some();
            assert!(!is_named || is_tried || is_look, "console/{file}.rs reads {field}: add the form to FORMS");
        }
    }
    for field in named_in_templates() {
        check_sorted("templates/console", &field);
    }
    // Nothing in the lists is of yesterday.
    let known: BTreeSet<(String, String)> = routes::all().into_iter().map(|route| (route.method, route.path)).collect();
    for (file, path, field) in FORMS {
        assert!(known.contains(&("POST".to_owned(), path.to_owned())), "there is no form {path}");
        assert!(pages[file].contains(field), "console/{file}.rs does not read {field}");
    }
}

/// An S3 service without anything in it, for accounts that answer. It ends with the process.
pub fn empty_s3() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), mut asked) = (stream, [0; 4_096]) else { continue };
            let length = stream.read(&mut asked).unwrap_or(0);
            let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
            let body = if asked.starts_with("GET / ") || asked.starts_with("GET /?") {
                "<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"
            } else {
                "<ListBucketResult></ListBucketResult>"
            };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes());
        }
    });
    format!("http://{address}")
}

/// An answer without the ids in it: status, where it sends the client, text.
fn blank(reply: &Reply, id: &str) -> (StatusCode, String) {
    let text = format!("{}\n{}", reply.location(), reply.text).replace(id, "#");
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        let is_id = word.len() == 30 && word.as_bytes()[3] == b'_';
        out.push_str(if is_id { "#" } else { &word });
        word.clear();
        out.push(c);
    }
    (reply.status, out)
}

async fn made(bench: &Bench, token: &str, target: &str, body: &str) -> String {
    let reply = bench.send(api("POST", target, Some(token), body)).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{target}: {}", reply.text);
    reply.json()["id"].as_str().unwrap().to_owned()
}

const DOCUMENT: &str = r#"{"statements":[{"effect":"ALLOW","actions":["invoice:read"]}]}"#;

/// The Organization Admin of `own`, on his way through everything that takes an id.
struct Walk {
    planted: Planted,
    admin: Person,
    s3: String,
    /// An account of `own` that answers.
    account: String,
    /// Tokens of the admins of both trees.
    roots: Vec<String>,
    /// Things of the root above, by kind.
    above: BTreeMap<&'static str, String>,
    tries: usize,
    faults: Vec<String>,
}

/// Makes the request in which an id is named.
type Make<'a> = &'a dyn Fn(&Walk, &str) -> Request<Body>;

impl Walk {
    async fn new() -> Self {
        let planted = Planted::new().await;
        let admin = planted.people.iter().find(|person| person.role == "organization_admin").unwrap().clone();
        let mut walk = Self {
            planted,
            admin,
            s3: empty_s3(),
            account: String::new(),
            roots: Vec::new(),
            above: BTreeMap::new(),
            tries: 0,
            faults: Vec::new(),
        };
        walk.settle().await;
        walk
    }

    /// What the planted trees lack: an account that answers, and a thing of each kind at the very top.
    async fn settle(&mut self) {
        let bench = self.planted.bench();
        let mut roots = Vec::new();
        for email in ["root@example.com", "root@example.net"] {
            let (_, signed_in) = bench.sign_in(email).await;
            roots.push(bench.token(&signed_in.cx).await);
        }
        let (root, token) = (self.planted.roots[0].root().to_string(), roots[0].as_str());
        let account =
            |name: &str| format!(r#"{{"name":"{name}","endpoint":"{}","access_key":"AK","secret_key":"SK"}}"#, self.s3);
        let policy = format!(r#"{{"name":"Policy of the root","level":"org","document":{DOCUMENT}}}"#);
        let me = bench.send(api("GET", "/v1/me", Some(token), "")).await.json();
        let at = |what: &str| format!("/v1/orgs/{root}/{what}");
        let above = BTreeMap::from([
            ("org", root.clone()),
            ("user", me["id"].as_str().unwrap().to_owned()),
            ("group", made(bench, token, &at("groups"), r#"{"name":"Group of the root"}"#).await),
            ("policy", made(bench, token, &at("policies"), &policy).await),
            ("service", made(bench, token, &at("services"), r#"{"name":"Service of the root"}"#).await),
            ("account", made(bench, token, &at("s3-accounts"), &account("Account of the root")).await),
        ]);
        let own = format!("/v1/orgs/{}/s3-accounts", self.admin.org);
        let own = made(bench, &self.admin.token, &own, &account("Account that answers")).await;
        (self.account, self.roots, self.above) = (own, roots, above);
    }

    async fn restore(&mut self) {
        self.planted.restore().await;
        self.settle().await;
    }

    fn place(&self, name: &str) -> &Place {
        &self.planted.places[PLACES.iter().position(|place| *place == name).unwrap()]
    }

    /// The id of somebody else's thing.
    fn other(&self, at: &str, kind: &'static str) -> String {
        match self.above.get(kind).filter(|_| at == "root") {
            Some(id) => id.clone(),
            None => self.place(if at == "root" { "parent" } else { at }).thing(kind),
        }
    }

    /// The id of a thing that the admin may name there.
    fn own(&self, route: &Route, field: &str, kind: &'static str) -> String {
        match (route.path.as_str(), field) {
            // He sees the people below; they can become members here too.
            ("/v1/orgs/{org}/members", "user") => self.place("child").thing("user"),
            (_, "parent" | "to") | ("/v1/cloud-links/{link}/hand-over", "org") => self.place("own").elsewhere.clone(),
            ("/o/{org}/groups/{group}/withdraw", "binding") => self.place("own").thing("group_binding"),
            (_, "account" | "resource" | "resources") => self.account.clone(),
            _ => self.place("own").thing(kind),
        }
    }

    async fn look(&self, at: usize, target: &str) -> Value {
        self.planted.bench().send(api("GET", target, Some(&self.roots[at]), "")).await.json()
    }

    /// The newest acts in both trees. That somebody signed in is none: making a token does so for a moment.
    async fn marks(&self) -> Vec<Value> {
        let mut found = Vec::new();
        for at in 0..self.roots.len() {
            let root = self.planted.roots[at].root();
            let listed = self.look(at, &format!("/v1/orgs/{root}/audit?outcome=allow&limit=200")).await;
            let rows = listed["data"].as_array().cloned().unwrap_or_default();
            let is_act = |row: &&Value| !row["action"].as_str().unwrap_or_default().starts_with("session.");
            found.push(rows.iter().find(is_act).map_or(Value::Null, |row| row["seq"].clone()));
        }
        found
    }

    /// All that both admins see, row by row, without ids.
    async fn state(&self) -> Vec<String> {
        const OF_TREES: [&str; 11] = [
            "tree?limit=1000",
            "users?limit=1000",
            "keys?limit=1000",
            "buckets?limit=1000",
            "former-buckets?limit=1000",
            "s3-accounts?limit=1000",
            "papers?limit=1000",
            "quarantine?limit=1000",
            "usage?month=2026-09&by=org,user&limit=1000",
            "cloud-links",
            "tokens",
        ];
        const OF_ORGS: [&str; 9] = [
            "groups",
            "policies",
            "guard-rails",
            "products",
            "prices?limit=1000",
            "invitations?limit=1000",
            "domains?limit=1000",
            "waiting?limit=1000",
            "idp",
        ];
        let mut rows = Vec::new();
        for at in 0..self.roots.len() {
            let root = self.planted.roots[at].root();
            let tree = self.look(at, &format!("/v1/orgs/{root}/tree?limit=1000")).await;
            let orgs = tree["data"].as_array().unwrap().iter().map(|org| org["id"].as_str().unwrap().to_owned());
            let of_orgs = orgs.flat_map(|org| OF_ORGS.map(|what| format!("/v1/orgs/{org}/{what}")));
            let targets = OF_TREES.map(|what| format!("/v1/orgs/{root}/{what}")).into_iter().chain(of_orgs);
            for target in targets.collect::<Vec<_>>() {
                let found = self.look(at, &target).await;
                let what = target.rsplit('/').next().unwrap_or_default();
                let listed = found["data"].as_array().cloned().unwrap_or_else(|| vec![found.clone()]);
                rows.extend(listed.iter().map(|row| format!("{what} {}", without_ids(&row.to_string()))));
            }
        }
        rows.sort();
        rows
    }

    fn fault(&mut self, text: String) {
        self.faults.push(text);
    }

    /// Tries ids of others in one place of a request, then one of the admin's own: that it is answered in another way
    /// is what makes the rest mean something.
    async fn check(&mut self, name: &str, law: Law, kind: &'static str, own: &dyn Fn(&Self) -> String, make: Make<'_>) {
        let mut answers: BTreeMap<&str, (StatusCode, String)> = BTreeMap::new();
        for at in OTHERS {
            let (id, before) = (self.other(at, kind), self.marks().await);
            let reply = self.planted.bench().send(make(self, &id)).await;
            self.tries += 1;
            let looks_up = !matches!(law, Law::NotLookedUp | Law::Filter);
            if looks_up && self.marks().await != before {
                let is_used = law == Law::AboveMayBeUsed && ["parent", "root"].contains(&at);
                if !is_used {
                    self.fault(format!("{name}: an id of {at} changed something, {}", reply.status));
                }
            }
            answers.insert(at, blank(&reply, &id));
            self.undo(name, &reply).await;
        }
        let unknown = answers["unknown"].clone();
        for (at, answer) in &answers {
            if matches!(law, Law::AboveMayBeUsed | Law::Filter) && ["parent", "root"].contains(at) {
                continue;
            }
            if *answer != unknown {
                let (is, was) =
                    (format!("{} {:.160}", answer.0, answer.1), format!("{} {:.160}", unknown.0, unknown.1));
                self.fault(format!("{name}: {at} can be told from an id that never was: {is} | {was}"));
            }
            let holds = match law {
                Law::Unknown | Law::AboveMayBeUsed => [404, 422].contains(&answer.0.as_u16()),
                Law::Item => answer.0 == StatusCode::ACCEPTED && answer.1.contains(r#""accepted":0"#),
                Law::NotLookedUp | Law::Filter => true,
            };
            if !holds {
                self.fault(format!("{name}: an id of {at} is answered with {} {:.160}", answer.0, answer.1));
            }
        }
        let id = own(self);
        let reply = self.planted.bench().send(make(self, &id)).await;
        if !matches!(law, Law::NotLookedUp | Law::Filter) && blank(&reply, &id) == unknown {
            let text = format!("{} {:.160}", reply.status, reply.text);
            self.fault(format!("{name}: one's own is answered like those of others, so nothing is proved: {text}"));
        }
        self.undo(name, &reply).await;
    }

    /// Everything as it was planted, if the request did something.
    async fn undo(&mut self, name: &str, reply: &Reply) {
        if reply.status.as_u16() < 400 && !name.starts_with("GET ") {
            self.restore().await;
        }
    }

    fn end(self, what: &str) {
        println!("{what}: {} ids of others, {} faults", self.tries, self.faults.len());
        assert!(self.faults.is_empty(), "{what}:\n{}", self.faults.join("\n"));
        assert!(self.tries > 50, "{what}: {} tries", self.tries);
    }

    /// A change of the API with an id in one of its fields.
    fn change(&self, route: &Route, field: &str, id: &str) -> Request<Body> {
        let own = self.place("own");
        let mut body: Map<String, Value> = serde_json::from_str(&routes::body(route, &self.admin, own)).unwrap();
        match (route.path.as_str(), field) {
            ("/v1/orgs/{org}/bindings", "group") => {
                body.remove("user");
            }
            ("/v1/orgs/{org}/who-can", "user") => {
                body.insert("draft".to_owned(), serde_json::from_str(DOCUMENT).unwrap());
            }
            ("/v1/orgs/{org}/members", _) => {
                body.insert("user".to_owned(), json!(self.place("child").thing("user")));
            }
            ("/v1/orgs/{org}/buckets", _) => {
                body.insert("account".to_owned(), json!(self.account));
            }
            _ => {}
        }
        let value = match field {
            "default_groups" => json!([id]),
            "group_map" => json!({ "value": [id] }),
            "resource" => json!(format!("source:{id}")),
            "resources" => json!([format!("source:{id}")]),
            _ => json!(id),
        };
        match field.strip_prefix("data.") {
            Some(inner) => body["data"][inner] = value,
            None => {
                body.insert(field.to_owned(), value);
            }
        }
        let mut request = routes::request(route, &self.admin, own);
        *request.body_mut() = Body::from(Value::Object(body).to_string());
        request
    }

    /// A form of the console with an id in one of its fields.
    fn form(&self, route: &Route, field: &str, id: &str) -> Request<Body> {
        let own = self.place("own");
        let mut set: Vec<(&str, String)> = match (route.path.as_str(), field) {
            ("/o/{org}/buckets", _) => vec![("account", self.account.clone())],
            ("/o/{org}/access", "holder") => vec![("draft", DOCUMENT.to_owned())],
            _ => Vec::new(),
        };
        let value = match field {
            "group_map" => format!("value = {id}"),
            "resource" | "resources" => format!("source:{id}"),
            _ => id.to_owned(),
        };
        set.retain(|(name, _)| *name != field);
        set.push((field, value));
        let mut request = routes::request(route, &self.admin, own);
        let usual = routes::form(route, &self.admin, own, &self.admin.csrf);
        *request.body_mut() = Body::from(with_fields(&usual, &set));
        request
    }

    /// A request with another id at one place of its path.
    fn at(&self, route: &Route, index: usize, id: &str) -> Request<Body> {
        let own = self.place("own");
        let target = routes::target(route, &self.admin, own);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut parts: Vec<&str> = path.split('/').collect();
        parts[index] = id;
        let path = parts.join("/");
        let mut request = routes::request(route, &self.admin, own);
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        *request.uri_mut() = target.parse().unwrap();
        request
    }
}

/// A text in which every id is blank.
fn without_ids(text: &str) -> String {
    let reply = Reply { status: StatusCode::OK, headers: Default::default(), text: text.to_owned() };
    blank(&reply, "\0").1.trim().to_owned()
}

/// A form with some fields set to other values.
fn with_fields(form: &str, set: &[(&str, String)]) -> String {
    let encoded =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let name_of = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let kept = form.split('&').filter(|pair| !set.iter().any(|(name, _)| *name == name_of(pair))).map(str::to_owned);
    let added = set.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
    kept.chain(added).collect::<Vec<_>>().join("&")
}

fn route(method: &str, path: &str) -> Route {
    let found = routes::all().into_iter().find(|route| route.method == method && route.path == path);
    found.unwrap_or_else(|| panic!("there is no {method} {path}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_reach_nobody_elses_things() {
    let mut walk = Walk::new().await;
    let before = walk.state().await;
    for (route, fields) in described() {
        for field in &fields {
            let Some(kind) = kind_of(field).filter(|_| !is_elsewhere(field)) else { continue };
            let name = format!("{} {} {field}", route.method, route.path);
            let law = law_of(&route, field);
            let own = |walk: &Walk| walk.own(&route, field, kind);
            walk.check(&name, law, kind, &own, &|walk, id| walk.change(&route, field, id)).await;
        }
    }
    walk.restore().await;
    assert_eq!(walk.state().await, before, "something was left of it");
    walk.end("bodies of the API");
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_reach_nobody_elses_things() {
    let mut walk = Walk::new().await;
    let before = walk.state().await;
    for (_, path, field) in FORMS {
        let (route, kind) = (route("POST", path), kind_of(field).expect("FORMS holds named fields"));
        let name = format!("POST {path} {field}");
        let law = law_of(&route, field);
        let own = |walk: &Walk| walk.own(&route, field, kind);
        walk.check(&name, law, kind, &own, &|walk, id| walk.form(&route, field, id)).await;
    }
    walk.restore().await;
    assert_eq!(walk.state().await, before, "something was left of it");
    walk.end("forms of the console");
}

/// The matrix asks each route with all ids of one place. Here the organisation is the admin's own, and one other part of
/// the path is not.
#[tokio::test(flavor = "multi_thread")]
async fn paths_reach_nobody_elses_things() {
    let mut walk = Walk::new().await;
    let before = walk.state().await;
    for route in routes::all() {
        let has_org = route.path.contains("{org}");
        if route.is_public() || route.path.contains("break-glass") || route.path.contains("unattached") {
            continue; // Accounts for emergencies, and people without an organisation: at the highest organisation only.
        }
        for (index, part) in route.path.split('/').enumerate() {
            let kind = match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                None | Some("org" | "product" | "no" | "form") => continue,
                Some("token" | "session" | "factor") if !has_org => continue, // One's own: the matrix tries others'.
                Some("token") => "service_token",
                Some(name) => *PARTS
                    .iter()
                    .find(|known| **known == name)
                    .unwrap_or_else(|| panic!("{}: say in named.rs what {{{name}}} names", route.path)),
            };
            let name = format!("{} {} {part}", route.method, route.path);
            // What was made above can be given below, so that it can be read below.
            let law = if kind == "policy" && route.is_get() { Law::AboveMayBeUsed } else { Law::Unknown };
            let own = |walk: &Walk| walk.place("own").thing(kind);
            walk.check(&name, law, kind, &own, &|walk, id| walk.at(&route, index, id)).await;
        }
    }
    walk.restore().await;
    assert_eq!(walk.state().await, before, "something was left of it");
    walk.end("parts of paths");
}

/// Parts of paths that are ids.
const PARTS: [&str; 15] = [
    "account",
    "binding",
    "domain",
    "former",
    "group",
    "guard",
    "id",
    "invitation",
    "key_id",
    "link",
    "mapping",
    "policy",
    "service",
    "user",
    "waiting",
];

/// R02: a key is a way in for whoever holds it.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_for_those_below_only_and_freshly_proved() {
    let walk = Walk::new().await;
    let keys = format!("/v1/orgs/{}/keys", walk.admin.org);
    let ask = |user: String| api("POST", &keys, Some(&walk.admin.token), &format!(r#"{{"name":"k","user":"{user}"}}"#));
    let bench = walk.planted.bench();
    for at in OTHERS {
        let reply = bench.send(ask(walk.other(at, "user"))).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{at}: {}", reply.text);
        assert!(!reply.text.contains("secret"), "{at}: {}", reply.text);
    }
    // Who stands above is not told from a stranger, whatever may be given to them here.
    let own = walk.place("own").thing("user");
    let reply = bench.send(ask(own.clone())).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    walk.planted.world.advance(16 * 60_000_000);
    let reply = bench.send(ask(own)).await;
    assert_eq!(reply.json()["code"], "step_up_required", "a key of somebody else wants a fresh proof: {}", reply.text);
    // One's own wants none.
    let reply = bench.send(api("POST", &keys, Some(&walk.admin.token), r#"{"name":"mine"}"#)).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
}

/// A token whose actions are named needs no further proof: so making it wants one.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_session_makes_no_token_for_sensitive_acts() {
    let walk = Walk::new().await;
    walk.planted.world.advance(16 * 60_000_000);
    let tokens = route("POST", "/me/tokens");
    for (actions, wants) in
        [("policy:bind", true), ("org:delete,usage:read", true), ("*", false), ("usage:read", false)]
    {
        let own = walk.place("own");
        let mut request = routes::request(&tokens, &walk.admin, own);
        let usual = routes::form(&tokens, &walk.admin, own, &walk.admin.csrf);
        *request.body_mut() = Body::from(with_fields(&usual, &[("actions", actions.to_owned())]));
        let reply = walk.planted.bench().send(request).await;
        // With `*` nothing is named: each sensitive act asks by itself, of the time of this session's proof.
        assert_eq!(reply.location().starts_with("/prove"), wants, "{actions}: {} {:.200}", reply.status, reply.text);
    }
}

/// A refused try at somebody else's id is nothing that they read of in their log (T-U).
#[tokio::test(flavor = "multi_thread")]
async fn strangers_leave_no_trace_in_other_logs() {
    let walk = Walk::new().await;
    let sister = walk.place("sister").thing("org");
    let log = format!("/v1/orgs/{sister}/audit?limit=1000");
    let before = walk.look(0, &log).await;
    let bench = walk.planted.bench();
    for (method, target, body) in [
        ("GET", format!("/v1/orgs/{sister}"), ""),
        ("GET", format!("/v1/orgs/{sister}/users"), ""),
        ("POST", format!("/v1/orgs/{sister}/groups"), r#"{"name":"x"}"#),
        ("DELETE", format!("/v1/users/{}", walk.place("sister").thing("user")), ""),
        ("DELETE", format!("/v1/keys/{}", walk.place("sister").thing("key_id")), ""),
    ] {
        let reply = bench.send(api(method, &target, Some(&walk.admin.token), body)).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{method} {target}: {}", reply.text);
    }
    assert_eq!(walk.look(0, &log).await, before, "the sister reads of a stranger");
    // It is not lost either: their own organisation reads it.
    let own = format!("/v1/orgs/{}/audit?outcome=deny&limit=1000", walk.admin.org);
    let rows = walk.look(0, &own).await;
    assert!(rows["data"].as_array().is_some_and(|rows| rows.len() >= 4), "{rows}");
}
