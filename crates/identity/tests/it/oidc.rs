//! OpenID Connect: discovery, key sets, requests, and ID tokens bent in every way.

use crate::keys::{ALL, TestKey};
use data_encoding::BASE64URL_NOPAD;
use identity::guard::Allowed;
use identity::oidc::{
    Claims, Client, Expected, Groups, KeySet, Login, OidcError, Pkce, Provider, TokenAnswer, TokenAuthentication,
    TokenRequest, authorisation_url, discovery_url, read_callback, verify_id_token,
};
use serde_json::{Value, json};

const ISSUER: &str = "https://idp.example/realms/one";
const NOW_S: i64 = 1_800_000_000;

fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example/auth",
        "token_endpoint": "https://idp.example/token",
        "jwks_uri": "https://keys.idp.example/jwks",
        "userinfo_endpoint": "https://idp.example/me",
        "code_challenge_methods_supported": ["plain", "S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "scopes_supported": ["openid", "email"],
        "something_new": { "a": 1 },
    })
}

fn read(document: &Value) -> Result<Provider, identity::Rejected> {
    Provider::read(ISSUER, document.to_string().as_bytes(), &Allowed::default())
}

fn provider() -> Provider {
    read(&document()).unwrap()
}

#[test]
fn discovery_documents() {
    let check = |change: fn(&mut Value), want: Option<&str>| {
        let mut document = document();
        change(&mut document);
        match (read(&document), want) {
            (Ok(_), None) => {}
            (Err(error), Some(want)) => assert!(error.to_string().contains(want), "{error} / {want}"),
            (got, want) => panic!("{got:?}, not {want:?}"),
        }
    };
    check(|_| {}, None);
    check(|d| d["issuer"] = json!("https://idp.example/realms/one/"), Some("as configured"));
    check(|d| d["issuer"] = json!("https://evil.example"), Some("as configured"));
    check(|d| d["token_endpoint"] = json!("http://idp.example/token"), Some("token_endpoint"));
    check(|d| d["jwks_uri"] = json!("https://169.254.169.254/"), Some("jwks_uri"));
    check(|d| d["authorization_endpoint"] = json!("javascript:alert(1)"), Some("authorization_endpoint"));
    check(|d| d["userinfo_endpoint"] = json!("https://10.0.0.1/"), Some("userinfo_endpoint"));
    check(|d| d["code_challenge_methods_supported"] = json!(["plain"]), Some("S256"));
    check(|d| d["code_challenge_methods_supported"] = Value::Null, None);
    check(|d| d["token_endpoint_auth_methods_supported"] = json!(["tls_client_auth"]), Some("neither"));
    check(|d| d["token_endpoint_auth_methods_supported"] = Value::Null, None);
    check(|d| d["jwks_uri"] = Value::Null, Some("cannot be read"));
    check(|d| *d = json!([]), Some("cannot be read"));
}

#[test]
fn where_the_document_is() {
    let check = |issuer: &str, want: Option<&str>| {
        assert_eq!(discovery_url(issuer, &Allowed::default()).ok().as_deref(), want, "{issuer}");
    };
    check("https://idp.example", Some("https://idp.example/.well-known/openid-configuration"));
    check("https://idp.example/", Some("https://idp.example/.well-known/openid-configuration"));
    check(ISSUER, Some("https://idp.example/realms/one/.well-known/openid-configuration"));
    check("https://idp.example/?a=b", None);
    check("http://idp.example", None);
    check("https://localhost", None);
}

/// RFC 7636 appendix B.
#[test]
fn pkce_of_rfc_7636() {
    let random = BASE64URL_NOPAD.decode(b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
    let pkce = Pkce::new(&random.try_into().unwrap());
    assert_eq!(pkce.verifier, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(pkce.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

#[test]
fn the_way_to_the_provider() {
    let login = Login {
        client_id: "meter house",
        redirect_uri: "https://meter.example/sign-in/back?x=1",
        scopes: &["email", "openid", "profile"],
        state: "st&te",
        nonce: "nonce",
        challenge: "challenge",
        login_hint: Some("ann@example.com"),
        max_age_s: Some(600),
    };
    assert_eq!(
        authorisation_url(&provider(), &login),
        "https://idp.example/auth?response_type=code&client_id=meter%20house\
         &redirect_uri=https%3A%2F%2Fmeter.example%2Fsign-in%2Fback%3Fx%3D1&scope=openid%20email%20profile\
         &state=st%26te&nonce=nonce&code_challenge=challenge&code_challenge_method=S256\
         &login_hint=ann%40example.com&max_age=600"
    );
    let with_query = Provider { authorization_endpoint: "https://idp.example/auth?p=1".into(), ..provider() };
    assert!(authorisation_url(&with_query, &login).starts_with("https://idp.example/auth?p=1&response_type=code&"));
}

#[test]
fn the_way_back() {
    let check = |provider: &Provider, query: &str, want: Result<&str, &str>| match (
        read_callback(provider, "s t", query),
        want,
    ) {
        (Ok(code), Ok(want)) => assert_eq!(code, want),
        (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error} / {want}"),
        (got, want) => panic!("{query}: {got:?}, not {want:?}"),
    };
    let quiet = provider();
    check(&quiet, "code=a%2Fb&state=s+t", Ok("a/b"));
    check(&quiet, "code=a&state=s%20t&iss=https%3A%2F%2Fidp.example%2Frealms%2Fone&session_state=1", Ok("a"));
    check(&quiet, "code=a", Err("state"));
    check(&quiet, "code=a&state=", Err("state"));
    check(&quiet, "code=a&state=other", Err("state"));
    check(&quiet, "code=a&state=s+t&iss=https%3A%2F%2Fevil.example", Err("is not the provider that was asked"));
    check(&quiet, "code=&state=s+t", Err("code is missing"));
    check(&quiet, "code=a&code=b&state=s+t", Err("stands twice"));
    check(&quiet, "code=%ff&state=s+t", Err("UTF-8"));
    check(&quiet, "error=access_denied&error_description=no&state=s+t", Err("access_denied no"));
    check(&quiet, "error=access_denied", Err("state"));
    let loud = Provider { sends_issuer: true, ..provider() };
    check(&loud, "code=a&state=s+t", Err("iss is missing"));
    let error = read_callback(&quiet, "", "code=a&state=").unwrap_err();
    assert!(error.to_string().contains("state"));
}

#[test]
fn the_token_request() {
    let client = Client { id: "a:b", secret: "s c", redirect_uri: "https://meter.example/back" };
    let basic = TokenRequest::new(&provider(), &client, "code", "verifier");
    assert_eq!(basic.basic, Some(("a%3Ab".to_owned(), "s%20c".to_owned())));
    assert!(basic.fields.iter().all(|(name, _)| !name.starts_with("client")));
    let post = Provider { token_authentication: TokenAuthentication::Post, ..provider() };
    let post = TokenRequest::new(&post, &client, "code", "verifier");
    assert!(post.basic.is_none() && post.fields.contains(&("client_secret", "s c".to_owned())));
    let public = TokenRequest::new(&provider(), &Client { secret: "", ..client }, "code", "verifier");
    assert!(public.basic.is_none() && public.fields.contains(&("client_id", "a:b".to_owned())));
    assert!(!format!("{client:?}").contains("s c"));
}

#[test]
fn token_answers() {
    let check = |status, body: &str, want: Result<&str, &str>| match (TokenAnswer::read(status, body.as_bytes()), want)
    {
        (Ok(answer), Ok(want)) => assert_eq!(answer.id_token, want),
        (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error} / {want}"),
        (got, want) => panic!("{:?}, not {want:?}", got.map(|answer| answer.id_token)),
    };
    check(200, r#"{"id_token":"a.b.c","access_token":"x","token_type":"Bearer"}"#, Ok("a.b.c"));
    check(200, r#"{"access_token":"x"}"#, Err("scope openid"));
    check(200, r#"{"id_token":5}"#, Err("cannot be read"));
    check(
        400,
        r#"{"error":"invalid_grant","error_description":"grant request is invalid"}"#,
        Err("invalid_grant grant"),
    );
    check(502, "<html>", Err("502"));
}

fn key_set() -> KeySet {
    let keys: Vec<Value> = ALL.into_iter().map(TestKey::jwk).collect();
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

#[test]
fn key_sets() {
    let check = |keys: Value, good: bool| {
        let got = KeySet::read(json!({ "keys": keys }).to_string().as_bytes());
        assert_eq!(got.is_ok(), good, "{got:?}");
    };
    let with = |name: &str, value: Value| {
        let mut key = TestKey::Rs256.jwk();
        key[name] = value;
        key
    };
    check(json!([TestKey::Rs256.jwk()]), true);
    check(json!([{ "kty": "oct", "k": "AAAA" }, 5, TestKey::EdDsa.jwk()]), true);
    check(json!([{ "kty": "oct", "k": "AAAA" }]), false);
    check(json!([with("use", json!("enc"))]), false);
    check(json!([with("key_ops", json!(["wrapKey"]))]), false);
    check(json!([with("alg", json!("RS256"))]), true);
    check(json!([with("alg", json!("RS512"))]), false);
    check(json!([with("n", json!("AQAB"))]), false); // far too short
    check(json!([with("e", json!("AQABAQABAQAB"))]), false);
    check(json!([]), false);
    check(json!(vec![TestKey::EdDsa.jwk(); 101]), false);
    assert!(KeySet::read(b"nonsense").is_err());
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "meterhouse", "sub": "subject-1", "nonce": "nonce",
        "iat": NOW_S - 5, "exp": NOW_S + 3_600, "auth_time": NOW_S - 30,
        "email": "ann@example.com", "email_verified": true, "name": "Ann", "amr": ["pwd", "otp"], "acr": "2",
        "groups": ["staff", "staff", ["admins", ["ops"]]],
        "realm_access": { "roles": ["one"] },
        "https://example.com/teams": "blue",
    })
}

fn signed_with(key: TestKey, head: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let text = format!("{}.{}", part(head), part(claims));
    let signature = BASE64URL_NOPAD.encode(&key.sign_fixed(text.as_bytes()));
    format!("{text}.{signature}")
}

fn signed(key: TestKey, claims: &Value) -> String {
    signed_with(key, &json!({ "alg": key.algorithm(), "kid": key.algorithm(), "typ": "JWT" }), claims)
}

fn expected() -> Expected<'static> {
    Expected {
        issuer: ISSUER,
        client_id: "meterhouse",
        nonce: "nonce",
        now_us: NOW_S * 1_000_000,
        max_age_s: None,
        groups_claim: Some("groups"),
    }
}

fn verify(token: &str) -> Result<Claims, OidcError> {
    verify_id_token(token, &key_set(), &expected())
}

fn outcome(got: Result<Claims, OidcError>, want: Option<&str>) {
    match (got, want) {
        (Ok(_), None) => {}
        (Err(error), Some(want)) => assert!(error.to_string().contains(want), "{error} / {want}"),
        (got, want) => panic!("{got:?}, not {want:?}"),
    }
}

#[test]
fn good_tokens_of_each_algorithm() {
    for key in ALL {
        let got = verify(&signed(key, &claims())).unwrap();
        assert_eq!((got.subject.as_str(), got.email.as_deref()), ("subject-1", Some("ann@example.com")));
        assert_eq!(got.email_verified, Some(true));
        assert_eq!(got.groups, Groups::Named(vec!["staff".into(), "admins".into(), "ops".into()]));
        assert_eq!((got.methods.join(" ").as_str(), got.context.as_deref()), ("pwd otp", Some("2")));
        assert_eq!(got.auth_time_us, Some((NOW_S - 30) * 1_000_000));
    }
}

#[test]
fn claims_that_bind_the_token() {
    let check = |name: &str, value: Value, want: Option<&str>| {
        let mut claims = claims();
        claims[name] = value;
        outcome(verify(&signed(TestKey::EdDsa, &claims)), want);
    };
    check("iss", json!("https://evil.example"), Some("iss"));
    check("iss", json!("https://idp.example/realms/one/"), Some("iss"));
    check("iss", Value::Null, Some("iss"));
    check("aud", json!("another"), Some("aud"));
    check("aud", json!([]), Some("aud"));
    check("aud", json!({}), Some("aud"));
    check("aud", json!(["meterhouse"]), None);
    check("aud", json!(["meterhouse", "another"]), Some("azp"));
    check("azp", json!("another"), Some("azp"));
    check("azp", json!("meterhouse"), None);
    check("nonce", json!("other"), Some("nonce"));
    check("nonce", Value::Null, Some("nonce"));
    check("nonce", json!(""), Some("nonce"));
    check("exp", json!(NOW_S - 60), Some("exp is over"));
    check("exp", json!(NOW_S - 59), None);
    check("exp", Value::Null, Some("exp is missing"));
    check("exp", json!("1900000000"), Some("exp is not a time"));
    check("exp", json!(1_900_000_000.5), None);
    check("exp", json!(1e300), Some("exp is not a time"));
    check("exp", json!(i64::MAX), Some("exp is not a time"));
    check("iat", json!(NOW_S + 60), None);
    check("iat", json!(NOW_S + 61), Some("iat is in the future"));
    check("iat", json!(NOW_S - 600), None);
    check("iat", json!(NOW_S - 601), Some("ten minutes"));
    check("iat", Value::Null, Some("iat is missing"));
    check("nbf", json!(NOW_S + 61), Some("nbf"));
    check("sub", Value::Null, Some("sub is missing"));
    check("sub", json!(""), Some("sub is missing"));
    check("sub", json!(7), Some("sub is not a text"));
    check("sub", json!("x".repeat(256)), Some("255"));
    check("amr", json!("pwd"), None);
    check("amr", json!([1]), Some("amr"));
    check("name", json!({}), Some("name"));
}

#[test]
fn heads_and_signatures() {
    let check = |key: TestKey, head: Value, want: Option<&str>| {
        outcome(verify(&signed_with(key, &head, &claims())), want);
    };
    check(TestKey::EdDsa, json!({ "alg": "EdDSA" }), None); // the only key of its kind
    check(TestKey::EdDsa, json!({ "alg": "Ed25519", "kid": "EdDSA" }), None);
    check(TestKey::EdDsa, json!({ "alg": "EdDSA", "kid": "new" }), Some("no key \"new\" for EdDSA"));
    check(TestKey::Es256, json!({ "alg": "EdDSA", "kid": "ES256" }), Some("no key"));
    check(TestKey::Es256, json!({ "alg": "RS256", "kid": "RS256" }), Some("signature"));
    check(TestKey::EdDsa, json!({ "alg": "none" }), Some("is not one of"));
    check(TestKey::EdDsa, json!({ "alg": "NONE" }), Some("is not one of"));
    check(TestKey::EdDsa, json!({ "alg": "HS256", "kid": "RS256" }), Some("is not one of"));
    check(TestKey::EdDsa, json!({ "alg": "PS256", "kid": "RS256" }), Some("is not one of"));
    check(TestKey::EdDsa, json!({ "alg": "RS1", "kid": "RS256" }), Some("is not one of"));
    check(TestKey::EdDsa, json!({ "kid": "EdDSA" }), Some("unreadable header"));
    check(TestKey::EdDsa, json!({ "alg": "EdDSA", "kid": "EdDSA", "crit": ["b64"] }), Some("critical"));
    check(TestKey::EdDsa, json!({ "alg": "EdDSA", "kid": "EdDSA", "b64": false }), Some("critical"));
    // A key that the token brings along is not looked at.
    check(TestKey::EdDsa, json!({ "alg": "EdDSA", "kid": "x", "jwk": TestKey::EdDsa.jwk() }), Some("no key"));
}

#[test]
fn broken_tokens() {
    let good = signed(TestKey::Rs256, &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let none = BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#);
    for token in [
        String::new(),
        "a.b".into(),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{good}.x.y"),
        format!("{good}="),
        format!(" {good}"),
        format!("{}.{}.{}", parts[0], parts[1].replace('e', "f"), parts[2]),
        "x".repeat(70_000),
    ] {
        assert!(verify(&token).is_err(), "{token:.60}");
    }
}

#[test]
fn an_id_less_token_needs_a_single_key() {
    let mut second = TestKey::EdDsa.jwk();
    second["kid"] = json!("second");
    let keys = KeySet::read(json!({ "keys": [TestKey::EdDsa.jwk(), second] }).to_string().as_bytes()).unwrap();
    let token = signed_with(TestKey::EdDsa, &json!({ "alg": "EdDSA" }), &claims());
    assert!(matches!(verify_id_token(&token, &keys, &expected()), Err(OidcError::UnknownKey { .. })));
}

#[test]
fn a_fresh_proof_may_be_asked_for() {
    let check = |auth_time: Value, want: Option<&str>| {
        let mut claims = claims();
        claims["auth_time"] = auth_time;
        let expected = Expected { max_age_s: Some(600), ..expected() };
        outcome(verify_id_token(&signed(TestKey::EdDsa, &claims), &key_set(), &expected), want);
    };
    check(json!(NOW_S - 660), None);
    check(json!(NOW_S - 661), Some("too long ago"));
    check(json!(NOW_S + 61), Some("too long ago"));
    check(Value::Null, Some("auth_time is missing"));
}

#[test]
fn groups_in_their_many_forms() {
    let named = |names: &[&str]| Groups::Named(names.iter().map(|name| (*name).to_owned()).collect());
    let check = |claim: &str, value: Option<Value>, want: Option<Groups>| {
        let mut claims = claims();
        if let Some(value) = value {
            claims["groups"] = value;
        }
        let expected = Expected { groups_claim: Some(claim), ..expected() };
        let got = verify_id_token(&signed(TestKey::EdDsa, &claims), &key_set(), &expected);
        assert_eq!(got.ok().map(|claims| claims.groups), want, "{claim}");
    };
    check("groups", Some(json!("one group")), Some(named(&["one group"])));
    check("groups", Some(json!([])), Some(named(&[])));
    check("groups", Some(Value::Null), Some(Groups::Absent));
    check("groups", Some(json!([["a"], [["b", "a"]], ""])), Some(named(&["a", "b"])));
    check("groups", Some(json!([[[[["deep"]]]]])), None);
    check("groups", Some(json!([1])), None);
    check("groups", Some(json!([{ "name": "a" }])), None);
    check("groups", Some(json!((0..1_001).map(|no| no.to_string()).collect::<Vec<_>>())), None);
    check("realm_access.roles", None, Some(named(&["one"])));
    check("https://example.com/teams", None, Some(named(&["blue"])));
    check("absent", None, Some(Groups::Absent));
    check("realm_access.absent.deeper", None, Some(Groups::Absent));
    let mut claims = claims();
    claims["groups"] = Value::Null;
    claims["_claim_names"] = json!({ "groups": "src1" });
    assert_eq!(verify(&signed(TestKey::EdDsa, &claims)).unwrap().groups, Groups::Elsewhere);
}

#[test]
fn addresses_are_verified_only_when_said() {
    let check = |value: Value, want: bool| {
        let mut claims = claims();
        claims["email_verified"] = value;
        assert_eq!(verify(&signed(TestKey::EdDsa, &claims)).unwrap().email_verified, Some(want));
    };
    check(json!(true), true);
    check(json!("true"), true);
    check(json!("True"), false);
    check(json!(1), false);
    check(json!(false), false);
    check(json!("false"), false);
    check(Value::Null, false);
}

#[test]
fn userinfo_completes_the_claims() {
    let mut thin = claims();
    for name in ["email", "email_verified", "name", "groups"] {
        thin.as_object_mut().unwrap().remove(name);
    }
    let thin = verify(&signed(TestKey::EdDsa, &thin)).unwrap();
    let more = json!({ "sub": "subject-1", "email": "ann@example.com", "email_verified": true, "groups": ["a"] });
    let full = thin.clone().complete(more.to_string().as_bytes(), Some("groups")).unwrap();
    assert_eq!((full.email.as_deref(), full.email_verified), (Some("ann@example.com"), Some(true)));
    assert_eq!(full.groups, Groups::Named(vec!["a".into()]));
    let foreign = json!({ "sub": "subject-2", "email": "eve@example.com" });
    assert!(thin.complete(foreign.to_string().as_bytes(), None).is_err());
    // The check of one address never covers another.
    let mut own = claims();
    own["email_verified"] = json!(false);
    let own = verify(&signed(TestKey::EdDsa, &own)).unwrap();
    let other = json!({ "sub": "subject-1", "email": "eve@example.com", "email_verified": true });
    let full = own.complete(other.to_string().as_bytes(), None).unwrap();
    assert_eq!((full.email.as_deref(), full.email_verified), (Some("ann@example.com"), Some(false)));
}
