//! An application on SQLite in a folder, and its router.

use access::{Actor, Binding, Builtin, Context, Identity, Propagate, UserKind};
use app::realms::{NewRealm, create};
use app::sessions::{Client, SignedIn};
use app::tokens::{self, NewToken};
use app::{App, Cx};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use base::{Currency, RealmId, UserId, Zone};
use lake::Lake;
use std::path::Path;
use std::sync::Arc;
use store::Store;
use testkit::TestWorld;
use tower::ServiceExt;

/// The password of everybody.
pub const PASSWORD: &str = "correct horse battery";

/// A running installation.
pub struct Bench {
    /// The application.
    pub app: Arc<App>,
    /// Its rows, for what no use case can plant.
    pub store: Store,
    /// Console and API.
    pub router: Router,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Reply {
    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Where it sends the client.
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
    }
}

impl Bench {
    /// Opens what is in the folder, or begins there.
    pub async fn open(folder: &Path, world: &Arc<TestWorld>) -> Self {
        let store = Store::open(&format!("sqlite://{}", folder.join("store.db").display())).await.unwrap();
        let lake = Lake::open(folder, None, world.clone(), lake::Settings::default()).await.unwrap();
        // This machine is open, so that what is tried there answers as an endpoint does that nobody listens at.
        let allowed = app::outside::allowed(&["127.0.0.0/8".to_owned()], &[]).unwrap();
        let outside = app::Outside { allowed, ..app::Outside::default() };
        let app = App::new(store.clone(), lake, world.clone(), app::secrets::Vault::new(&[3; 32]), outside).unwrap();
        let web = web::Web {
            proxies: app::Proxies::default(),
            app: app.clone(),
            s3_url: "http://127.0.0.1:9000".to_owned(),
            https: false,
            console_url: String::new(),
        };
        Self { app, store, router: web::router(web) }
    }

    /// Makes a realm; the context is its admin's, freshly signed in.
    pub async fn realm(&self, name: &str, email: &str) -> Cx {
        let new = NewRealm {
            name: name.to_owned(),
            currency: Currency::EUR,
            zone: Zone::utc(),
            admin_email: email.to_owned(),
            admin_name: "Admin".to_owned(),
            admin_password: PASSWORD.to_owned(),
        };
        create(&self.app, new).await.unwrap();
        self.sign_in(email).await.1.cx
    }

    /// Signs in; the first value is the cookie's secret.
    pub async fn sign_in(&self, email: &str) -> (String, SignedIn) {
        app::sign_in::sign_in(&self.app, email, PASSWORD, &Client::default()).await.unwrap()
    }

    /// A token with all rights of its owner.
    pub async fn token(&self, cx: &Cx) -> String {
        tokens::create(cx, NewToken::whole("test", 30)).await.unwrap().1
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Reply { status: parts.status, headers: parts.headers, text }
    }
}

/// A request to the API.
pub fn api(method: &str, target: &str, token: Option<&str>, body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(target);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

/// Somebody who holds everything at a tree's root: for tests that look at the whole of it.
pub fn as_root(app: &Arc<App>, realm: RealmId) -> Cx {
    let now_us = app.world().now_us();
    let identity = Identity {
        realm,
        user: UserId(1),
        kind: UserKind::Human,
        email: "root@example.com".to_owned(),
        name: "Root".to_owned(),
    };
    let admin = Binding::builtin(Builtin::OrganizationAdmin, realm.root(), Propagate::Subtree);
    let actor = Actor::new(identity, vec![realm.root()], vec![admin]);
    let context = Context { now_us, proved_us: Some(now_us), ..Context::default() };
    Cx {
        app: app.clone(),
        actor: Arc::new(actor),
        realm,
        context,
        origin: app::Origin::default(),
        preview: app::Preview::default(),
    }
}

/// Writes a reviewed file again where that is asked for.
pub fn update_reviewed(file: &str, text: &str) {
    if std::env::var_os("METERHOUSE_UPDATE_MATRIX").is_some() {
        std::fs::write(file, text).unwrap();
    }
}

/// Compares with what was reviewed, line by line.
pub fn check_reviewed(file: &str, text: &str) {
    let reviewed = std::fs::read_to_string(file).unwrap_or_default();
    let differ: Vec<String> = text
        .lines()
        .zip(reviewed.lines().chain(std::iter::repeat("")))
        .filter(|(now, then)| now != then)
        .take(20)
        .map(|(now, then)| format!("is       {now}\nreviewed {then}"))
        .collect();
    assert!(text == reviewed, "{file} says something else:\n{}", differ.join("\n"));
}
