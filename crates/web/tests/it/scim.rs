//! SCIM over HTTP, with messages as Okta and Entra send them.

use app::realms::{NewRealm, create};
use app::rows::AuditFilter;
use app::sessions::Client;
use app::sign_in::sign_in;
use app::{App, Cx, audit, scim};
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode, header};
use base::{Currency, OrgId, Zone};
use lake::Lake;
use serde_json::{Value, json};
use std::sync::Arc;
use store::Store;
use testkit::{TempFolder, TestWorld};
use tower::ServiceExt as _;
use web::Web;

const PASSWORD: &str = "correct horse battery";
const SCIM: &str = "application/scim+json";

struct Bench {
    router: axum::Router,
    cx: Cx,
    org: OrgId,
    token: String,
    _folder: TempFolder,
}

impl Bench {
    async fn open(name: &str) -> Self {
        let folder = TempFolder::new(name);
        let url = format!("sqlite://{}", folder.path().join("store.db").display());
        let world = Arc::new(TestWorld::at("2026-09-01T00:00:00Z", 11));
        let store = Store::open(&url).await.unwrap();
        let lake = Lake::open(folder.path(), None, world.clone(), lake::Settings::default()).await.unwrap();
        let app = App::new(store, lake, world, app::secrets::Vault::new(&[3; 32]), app::Outside::default()).unwrap();
        let new = NewRealm {
            name: "Provider".into(),
            currency: Currency::EUR,
            zone: Zone::utc(),
            admin_email: "admin@example.com".into(),
            admin_name: "Admin".into(),
            admin_password: PASSWORD.into(),
        };
        create(&app, new).await.unwrap();
        let cx = sign_in(&app, "admin@example.com", PASSWORD, &Client::default()).await.unwrap().1.cx;
        let child = app::orgs::NewOrg { name: "Red".into(), kind: "customer".into(), ..Default::default() };
        let org = app::orgs::create_child(&cx, cx.realm.root(), child).await.unwrap().id;
        let (_, token) = scim::create_token(&cx, org, "Okta", 30).await.unwrap();
        let router = web::router(Web {
            proxies: app::Proxies::default(),
            app,
            s3_url: String::new(),
            https: false,
            console_url: "https://meter.example".to_owned(),
        });
        Self { router, cx, org, token, _folder: folder }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value, Response<()>) {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, 16 << 20).await.unwrap();
        let value = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or_default() };
        (parts.status, value, Response::from_parts(parts, ()))
    }

    fn request(&self, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
        Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("/scim/v2{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, SCIM)
            .body(body.into())
            .unwrap()
    }

    /// Sends one message, wants a status and the media type, and gives the body.
    async fn check(&self, status: u16, method: &str, path: &str, body: Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (got, value, head) = self.send(self.request(method, path, text)).await;
        assert_eq!(got.as_u16(), status, "{method} {path}: {value}");
        if status != 204 {
            assert_eq!(head.headers()[header::CONTENT_TYPE], SCIM, "{method} {path}");
        }
        if status >= 400 {
            assert_eq!(value["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]), "{value}");
            assert_eq!(value["status"], status.to_string());
        }
        value
    }

    async fn alerts(&self) -> usize {
        let filter = AuditFilter { action: "scim.unreadable_deactivation".to_owned(), ..AuditFilter::default() };
        audit::list(&self.cx, self.org, 0, &filter, 100).await.unwrap().len()
    }
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

/// As Okta creates a user.
fn okta_user(name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": name,
        "name": { "givenName": "Test", "familyName": "User" },
        "emails": [{ "primary": true, "value": name, "type": "work" }],
        "displayName": "Test User",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": true,
    })
}

/// As Entra creates a user.
fn entra_user(name: &str) -> Value {
    json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        ],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": name,
        "active": true,
        "emails": [{ "primary": true, "type": "work", "value": name }],
        "meta": { "resourceType": "User" },
        "name": { "formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName" },
        "roles": [],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "Sales" },
    })
}

fn patch(operations: Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
}

#[tokio::test(flavor = "multi_thread")]
async fn okta_walks_through_a_users_life() {
    let bench = Bench::open("okta_life").await;
    // The connection test, then the look-up before every creation.
    let none = bench.check(200, "GET", "/Users?startIndex=1&count=2", Value::Null).await;
    assert_eq!(none["totalResults"], 0);
    let look_up = "/Users?filter=userName%20eq%20%22test.user%40okta.local.test%22&startIndex=1&count=100";
    assert_eq!(bench.check(200, "GET", look_up, Value::Null).await["totalResults"], 0);
    let made = bench.check(201, "POST", "/Users", okta_user("test.user@okta.local.test")).await;
    let path = format!("/Users/{}", id(&made));
    assert_eq!(made["meta"]["location"], format!("https://meter.example/scim/v2{path}"));
    assert!(made["password"].is_null(), "a password is neither kept nor shown");
    assert_eq!(bench.check(200, "GET", look_up, Value::Null).await["Resources"][0]["id"], made["id"]);
    let again = bench.check(409, "POST", "/Users", okta_user("Test.User@okta.local.test")).await;
    assert_eq!(again["scimType"], "uniqueness");
    let mut changed = okta_user("test.user@okta.local.test");
    changed["name"]["familyName"] = json!("Other");
    changed["id"] = made["id"].clone();
    let put = bench.check(200, "PUT", &path, changed).await;
    assert_eq!((&put["name"]["familyName"], &put["active"]), (&json!("Other"), &json!(true)));
    let off = bench.check(200, "PATCH", &path, patch(json!([{ "op": "replace", "value": { "active": false } }]))).await;
    assert_eq!(off["active"], false);
    let on = bench.check(200, "PATCH", &path, patch(json!([{ "op": "replace", "value": { "active": true } }]))).await;
    assert_eq!(on["active"], true);
    bench.check(204, "DELETE", &path, Value::Null).await;
    bench.check(404, "GET", &path, Value::Null).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entra_walks_through_a_users_life() {
    let bench = Bench::open("entra_life").await;
    let unknown = "/Users?filter=userName+eq+%22non-existent%22";
    assert_eq!(bench.check(200, "GET", unknown, Value::Null).await["totalResults"], 0);
    let made = bench.check(201, "POST", "/Users", entra_user("ann@contoso.test")).await;
    let path = format!("/Users/{}", id(&made));
    let by_id = "/Users?filter=externalId+eq+%220a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef%22";
    assert_eq!(bench.check(200, "GET", by_id, Value::Null).await["totalResults"], 1);
    let changes = patch(json!([
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@contoso.test" },
        { "op": "Replace", "path": "name.familyName", "value": "updatedFamilyName" },
        { "op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", "value": "x" },
    ]));
    let shown = bench.check(200, "PATCH", &path, changes).await;
    assert_eq!(shown["name"]["familyName"], "updatedFamilyName");
    assert_eq!(shown["emails"][0]["value"], "new@contoso.test");
    let off = patch(json!([{ "op": "Replace", "path": "active", "value": "False" }]));
    assert_eq!(bench.check(200, "PATCH", &path, off).await["active"], false);
    bench.check(204, "DELETE", &path, Value::Null).await;
    assert_eq!(bench.check(200, "GET", by_id, Value::Null).await["totalResults"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_pushed() {
    let bench = Bench::open("group_push").await;
    let user = id(&bench.check(201, "POST", "/Users", okta_user("a@okta.local.test")).await);
    let made = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Test SCIMv2",
                       "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159", "members": [] });
    let group = bench.check(201, "POST", "/Groups", made).await;
    let path = format!("/Groups/{}", id(&group));
    // Okta replaces a name with an object that holds the id; Entra adds by path.
    let okta = patch(json!([{ "op": "replace", "value": { "id": id(&group), "displayName": "Renamed" } }]));
    assert_eq!(bench.check(200, "PATCH", &path, okta).await["displayName"], "Renamed");
    let add = patch(json!([{ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": user }] }]));
    assert_eq!(bench.check(200, "PATCH", &path, add).await["members"][0]["value"], user.as_str());
    let short = bench.check(200, "GET", &format!("{path}?excludedAttributes=members"), Value::Null).await;
    assert!(short["members"].is_null());
    let by_name = "/Groups?excludedAttributes=members&filter=displayName+eq+%22renamed%22";
    assert_eq!(bench.check(200, "GET", by_name, Value::Null).await["totalResults"], 1);
    let shown = bench.check(200, "GET", &format!("/Users/{user}"), Value::Null).await;
    assert_eq!(shown["groups"][0]["display"], "Renamed");
    let remove = patch(json!([{ "op": "remove", "path": format!("members[value eq \"{user}\"]") }]));
    assert!(bench.check(200, "PATCH", &path, remove).await["members"].is_null());
    bench.check(204, "DELETE", &path, Value::Null).await;
    bench.check(404, "GET", &path, Value::Null).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_a_deactivation_is_understood_or_refused() {
    let bench = Bench::open("deactivations").await;
    let user = id(&bench.check(201, "POST", "/Users", okta_user("a@okta.local.test")).await);
    let path = format!("/Users/{user}");
    let refused = [
        json!([{ "op": "replace", "path": "active", "value": "" }]),
        json!([{ "op": "replace", "path": "active", "value": 0 }]),
        json!([{ "op": "replace", "path": "active", "value": "Flase" }]),
        json!([{ "op": "replace", "value": { "active": null } }]),
        json!([{ "op": "replace", "path": "$.active", "value": false }]),
        json!([{ "op": "replace", "path": "active[value eq true]", "value": false }]),
    ];
    for (count, operations) in refused.into_iter().enumerate() {
        let said = bench.check(400, "PATCH", &path, patch(operations.clone())).await;
        assert_eq!(said["scimType"], "invalidValue", "{operations}");
        assert_eq!(bench.alerts().await, count + 1, "{operations}");
    }
    assert_eq!(bench.check(200, "GET", &path, Value::Null).await["active"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_frame_is_scims() {
    let bench = Bench::open("scim_frame").await;
    let config = bench.check(200, "GET", "/ServiceProviderConfig", Value::Null).await;
    assert_eq!(config["patch"]["supported"], true);
    assert_eq!(bench.check(200, "GET", "/ResourceTypes", Value::Null).await["totalResults"], 2);
    assert_eq!(bench.check(200, "GET", "/ResourceTypes/User", Value::Null).await["endpoint"], "/Users");
    let schemas = bench.check(200, "GET", "/Schemas", Value::Null).await;
    for schema in schemas["Resources"].as_array().unwrap() {
        bench.check(200, "GET", &format!("/Schemas/{}", id(schema)), Value::Null).await;
    }
    for (status, method, path) in [
        (404, "GET", "/Schemas/none"),
        (404, "GET", "/ResourceTypes/Device"),
        (404, "GET", "/Nothing"),
        (404, "GET", ""),
        (404, "GET", "/Users/none"),
        (404, "DELETE", "/Groups/none"),
        (501, "GET", "/Me"),
        (501, "PATCH", "/Me"),
        (501, "POST", "/Bulk"),
        (501, "POST", "/.search"),
        (405, "POST", "/ServiceProviderConfig"),
        (405, "DELETE", "/Users"),
        (403, "GET", "/Schemas?filter=id+pr"),
        (400, "GET", "/Users?filter=userName+ne+%22x%22"),
        (400, "GET", "/Users?count=many"),
        (400, "POST", "/Users"),
    ] {
        bench.check(status, method, path, Value::Null).await;
    }
    let made = bench.send(bench.request("POST", "/Users", okta_user("a@okta.local.test").to_string())).await;
    assert_eq!(made.2.headers()[header::LOCATION], made.1["meta"]["location"].as_str().unwrap());
    // Media types of the body.
    for (media, status) in [("application/json; charset=utf-8", 409), (SCIM, 409), ("text/plain", 415)] {
        let mut request = bench.request("POST", "/Users", okta_user("a@okta.local.test").to_string());
        request.headers_mut().insert(header::CONTENT_TYPE, media.parse().unwrap());
        assert_eq!(bench.send(request).await.0.as_u16(), status, "{media}");
    }
    let large = bench.send(bench.request("POST", "/Users", vec![b' '; (1 << 20) + 1])).await;
    assert_eq!((large.0.as_u16(), &large.1["status"]), (413, &json!("413")));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_directorys_token_opens_it() {
    let bench = Bench::open("scim_tokens").await;
    let (_, own) = app::tokens::create(&bench.cx, app::tokens::NewToken::whole("t", 30)).await.unwrap();
    for (token, status) in [("", 401), ("Basic YTpi", 401), ("Bearer nonsense", 401), (&*format!("Bearer {own}"), 403)]
    {
        for path in ["/Users", "/ServiceProviderConfig", "/Me", "/Nothing"] {
            let mut request = bench.request("GET", path, "");
            request.headers_mut().remove(header::AUTHORIZATION);
            if !token.is_empty() {
                request.headers_mut().insert(header::AUTHORIZATION, token.parse().unwrap());
            }
            let (got, body, head) = bench.send(request).await;
            assert_eq!(got.as_u16(), status, "{token} {path}");
            assert_eq!(body["status"], status.to_string());
            assert_eq!(head.headers().contains_key(header::WWW_AUTHENTICATE), status == 401);
        }
    }
    // And it opens nothing else.
    for path in ["/v1/me", "/v1/tokens", "/v1/orgs"] {
        let mut request = bench.request("GET", "", "");
        *request.uri_mut() = path.parse().unwrap();
        let (got, body, _) = bench.send(request).await;
        assert_eq!((got.as_u16(), &body["code"]), (403, &json!("token_scope")), "{path}");
    }
}
