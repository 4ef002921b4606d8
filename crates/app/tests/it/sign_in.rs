//! Signing in: second factors, passkeys, identity providers, on both engines.

use super::keys_of_tests::{TestKey, cbor};
use super::*;
use access::tree::MfaPolicy;
use access::{Context, decide_job};
use app::factors::{self, Added, PasskeyAnswer};
use app::orgs::OrgChange;
use app::sign_in::{
    Begun, Proof, begin, finish_with_code, finish_with_passkey, prove, sign_in_by_passkey, sign_in_with,
};
use ciborium::Value as Cbor;
use data_encoding::BASE64URL_NOPAD;
use identity::totp::{STEP_US, Secret, step_at};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const EMAIL: &str = "ann@example.com";
const CONSOLE: &str = "http://localhost:8080";
const MINUTE_US: i64 = 60_000_000;

fn nowhere() -> Client {
    Client::default()
}

impl Bench {
    fn wait(&self, us: i64) {
        self.world.set(self.world_now() + us);
    }

    async fn mfa(&self, org: OrgId, policy: MfaPolicy) {
        let change = OrgChange { mfa_policy: Some(policy), ..OrgChange::default() };
        orgs::update(&Cx::system(self.app.clone(), self.cx.realm), org, change).await.unwrap();
    }

    /// Ann, a member of Red, freshly signed in.
    async fn ann(&self) -> (String, SignedIn, UserId) {
        let (_, user) = self.person(self.red, "ann", Builtin::Member).await;
        let (secret, signed_in) = sign_in(&self.app, EMAIL, PASSWORD).await.unwrap();
        (secret, signed_in, user)
    }

    /// Ann with an authenticator app.
    async fn ann_with_app(&self) -> (Added, Secret, UserId) {
        let (secret, signed_in, user) = self.ann().await;
        let (added, totp) = self.add_app(&secret, &signed_in).await;
        (added, totp, user)
    }

    async fn add_app(&self, secret: &str, signed_in: &SignedIn) -> (Added, Secret) {
        let waiting = factors::begin_totp(&signed_in.cx, "Phone").await.unwrap();
        let totp = Secret::from_base32(&waiting.secret).unwrap();
        let code = totp.code(step_at(self.world_now()));
        let added = factors::confirm_totp(signed_in, secret, waiting.id, &code, &nowhere()).await.unwrap();
        (added, totp)
    }

    /// The code of a step that nobody has used yet.
    fn next_code(&self, totp: &Secret) -> String {
        self.wait(STEP_US);
        totp.code(step_at(self.world_now()))
    }

    async fn half(&self) -> String {
        match begin(&self.app, EMAIL, PASSWORD, &nowhere()).await.unwrap() {
            Begun::Half(half) => half,
            Begun::Whole(..) => panic!("a second factor is asked for"),
        }
    }

    async fn live(&self, secret: &str) -> Result<SignedIn, Failure> {
        by_session(&self.app, secret, &nowhere()).await
    }

    async fn audited(&self, org: OrgId, action: &str) -> usize {
        let filter = AuditFilter { action: action.into(), ..AuditFilter::default() };
        let cx = Cx::system(self.app.clone(), self.cx.realm);
        audit::list(&cx, org, 0, &filter, 100).await.unwrap().len()
    }
}

/// A software passkey.
#[derive(Clone)]
struct Device {
    id: Vec<u8>,
    handle: Vec<u8>,
    sign_count: u32,
    flags: u8,
}

impl Device {
    fn new(id: &str) -> Self {
        Self { id: id.as_bytes().to_vec(), handle: Vec::new(), sign_count: 1, flags: 0x01 | 0x04 }
    }

    fn answer(&self, response: &Value) -> String {
        let id = BASE64URL_NOPAD.encode(&self.id);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response }).to_string()
    }

    fn client_data(kind: &str, options: &str) -> Vec<u8> {
        let options: Value = serde_json::from_str(options).unwrap();
        json!({ "type": kind, "challenge": options["challenge"], "origin": CONSOLE, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }

    fn data(&self, attested: bool) -> Vec<u8> {
        let mut data = Sha256::digest(b"localhost").to_vec();
        data.push(self.flags | if attested { 0x40 } else { 0 });
        data.extend(self.sign_count.to_be_bytes());
        if attested {
            data.extend([0; 16]);
            data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
            data.extend(&self.id);
            data.extend(TestKey::Es256.cose());
        }
        data
    }

    fn create(&mut self, options: &str) -> String {
        let asked: Value = serde_json::from_str(options).unwrap();
        self.handle = BASE64URL_NOPAD.decode(asked["user"]["id"].as_str().unwrap().as_bytes()).unwrap();
        let object = cbor(&Cbor::Map(vec![
            (Cbor::from("fmt"), Cbor::from("none")),
            (Cbor::from("attStmt"), Cbor::Map(Vec::new())),
            (Cbor::from("authData"), Cbor::Bytes(self.data(true))),
        ]));
        self.answer(&json!({
            "clientDataJSON": BASE64URL_NOPAD.encode(&Self::client_data("webauthn.create", options)),
            "attestationObject": BASE64URL_NOPAD.encode(&object),
        }))
    }

    fn get(&mut self, options: &str) -> String {
        self.sign_count += 1;
        let (data, client_data) = (self.data(false), Self::client_data("webauthn.get", options));
        let signature = TestKey::Es256.sign_der(&[&data[..], &Sha256::digest(&client_data)[..]].concat());
        self.answer(&json!({
            "clientDataJSON": BASE64URL_NOPAD.encode(&client_data),
            "authenticatorData": BASE64URL_NOPAD.encode(&data),
            "signature": BASE64URL_NOPAD.encode(&signature),
            "userHandle": BASE64URL_NOPAD.encode(&self.handle),
        }))
    }
}

fn sent<'a>(state: &'a str, answer: &'a str) -> PasskeyAnswer<'a> {
    PasskeyAnswer { console_url: CONSOLE, state, answer }
}

async fn add_passkey(signed_in: &SignedIn, secret: &str, device: &mut Device) -> Result<Added, Failure> {
    let ceremony = factors::begin_passkey(signed_in, CONSOLE).await.unwrap();
    let answer = device.create(&ceremony.options);
    factors::add_passkey(signed_in, secret, "Laptop", &sent(&ceremony.state, &answer)).await
}

on_both_engines!(
    a_code_is_good_once,
    a_second_factor_is_asked_for_everywhere,
    wrong_codes_are_counted,
    recovery_codes_are_good_once,
    who_must_enrol_can_do_nothing_else,
    a_session_changes_its_secret_with_each_proof,
    a_passkey_signs_in,
    a_copied_passkey_is_an_alarm,
    the_last_factor_stays_where_one_is_required,
    switched_off_factors_are_not_offered,
);

async fn a_code_is_good_once(bench: Bench) {
    let (_, totp, user) = bench.ann_with_app().await;
    let first = totp.code(step_at(bench.world_now()));
    let half = bench.half().await;
    let again = finish_with_code(&bench.app, &half, &first, &nowhere()).await.map(drop).unwrap_err();
    assert!(again.text.contains("used already"), "the code that confirmed it: {}", again.text);
    let code = bench.next_code(&totp);
    // Sixteen at once with the same code: one session.
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (app, half, code) = (bench.app.clone(), bench.half().await, code.clone());
        tasks.push(tokio::spawn(async move { finish_with_code(&app, &half, &code, &nowhere()).await.is_ok() }));
    }
    let mut good = 0;
    for task in tasks {
        good += usize::from(task.await.unwrap());
    }
    assert_eq!(good, 1);
    bench.wait(-STEP_US);
    let half = bench.half().await;
    let earlier = totp.code(step_at(bench.world_now()));
    assert!(finish_with_code(&bench.app, &half, &earlier, &nowhere()).await.is_err(), "an earlier step is over too");
    assert_eq!(bench.audited(bench.red, "factor.add").await, 1);
    let store = Store::open(&bench.url).await.unwrap();
    let mut tx = store.read(&decide_job(bench.cx.realm, bench.red)).await.unwrap();
    let stored = &store::factors::of_user(&mut tx, user).await.unwrap()[0];
    assert!(!stored.secret_sealed.contains(&totp.to_base32()), "the secret is sealed");
}

async fn a_second_factor_is_asked_for_everywhere(bench: Bench) {
    let (_, totp, _) = bench.ann_with_app().await;
    let bare = sign_in(&bench.app, EMAIL, PASSWORD).await.map(drop).unwrap_err();
    assert_eq!((bare.kind, bare.code), (Kind::Unauthenticated, Some("mfa_required")));
    let pair = (EMAIL, PASSWORD);
    let wrong = sign_in_with(&bench.app, pair, "000000", &nowhere()).await.map(drop).unwrap_err();
    assert_eq!((wrong.kind, wrong.code), (Kind::Unauthenticated, None));
    let (secret, signed_in) = sign_in_with(&bench.app, pair, &bench.next_code(&totp), &nowhere()).await.unwrap();
    assert!(signed_in.limited_to.is_empty());
    // To prove himself once more, a password is not enough.
    let by_password = prove(&bench.app, &secret, Proof::Password(PASSWORD), &nowhere()).await.unwrap_err();
    assert_eq!((by_password.kind, by_password.field.as_str()), (Kind::Invalid, "code"));
    let code = bench.next_code(&totp);
    assert!(prove(&bench.app, &secret, Proof::Code(&code), &nowhere()).await.is_ok());
    // A wrong password never says whether there is a factor.
    let unknown = begin(&bench.app, EMAIL, "wrong", &nowhere()).await.map(drop).unwrap_err();
    assert_eq!(unknown.text, "address or password is wrong");
    // A half session is not a session, and ends.
    let half = bench.half().await;
    assert!(bench.live(&half).await.is_err());
    bench.wait(5 * MINUTE_US);
    let late = finish_with_code(&bench.app, &half, &bench.next_code(&totp), &nowhere()).await.map(drop).unwrap_err();
    assert_eq!(late.kind, Kind::Unauthenticated);
}

async fn wrong_codes_are_counted(bench: Bench) {
    let (added, totp, _) = bench.ann_with_app().await;
    let half = bench.half().await;
    for _ in 0..5 {
        let wrong = finish_with_code(&bench.app, &half, "000000", &nowhere()).await.map(drop).unwrap_err();
        assert_eq!(wrong.kind, Kind::Invalid);
    }
    let over = finish_with_code(&bench.app, &half, &bench.next_code(&totp), &nowhere()).await.map(drop).unwrap_err();
    assert_eq!(over.kind, Kind::Unauthenticated, "five tries for one half session");
    // The rest of the ten, with a step-up and another half session; all of one count.
    for _ in 0..3 {
        assert!(prove(&bench.app, &added.secret, Proof::Code("000000"), &nowhere()).await.is_err());
    }
    assert!(begin(&bench.app, EMAIL, "wrong password", &nowhere()).await.is_err());
    let half = bench.half().await;
    assert!(finish_with_code(&bench.app, &half, "no such recovery code", &nowhere()).await.is_err());
    let code = bench.next_code(&totp);
    let shut = finish_with_code(&bench.app, &half, &code, &nowhere()).await.map(drop).unwrap_err();
    assert_eq!(shut.kind, Kind::TooMany);
    assert_eq!(begin(&bench.app, EMAIL, PASSWORD, &nowhere()).await.map(drop).unwrap_err().kind, Kind::TooMany);
    bench.wait(15 * MINUTE_US);
    let half = bench.half().await;
    assert!(finish_with_code(&bench.app, &half, &bench.next_code(&totp), &nowhere()).await.is_ok());
}

async fn recovery_codes_are_good_once(bench: Bench) {
    let (added, _, user) = bench.ann_with_app().await;
    assert_eq!(added.codes.len(), 10);
    let half = bench.half().await;
    assert!(finish_with_code(&bench.app, &half, &added.codes[3].to_uppercase(), &nowhere()).await.is_ok());
    let half = bench.half().await;
    let again = finish_with_code(&bench.app, &half, &added.codes[3], &nowhere()).await.map(drop).unwrap_err();
    assert!(again.text.contains("used already"), "{}", again.text);
    let (secret, signed_in) = finish_with_code(&bench.app, &half, &added.codes[4], &nowhere()).await.unwrap();
    assert_eq!(factors::mine(&signed_in.cx).await.unwrap().codes_left, 8);
    let fresh = factors::new_codes(&bench.live(&secret).await.unwrap().cx).await.unwrap();
    let half = bench.half().await;
    assert!(finish_with_code(&bench.app, &half, &added.codes[5], &nowhere()).await.is_err(), "old ones ended");
    assert!(finish_with_code(&bench.app, &half, &fresh[5], &nowhere()).await.is_ok());
    assert_eq!(bench.audited(bench.red, "recovery_code.use").await, 3);
    let store = Store::open(&bench.url).await.unwrap();
    let mut tx = store.read(&decide_job(bench.cx.realm, bench.red)).await.unwrap();
    let hashes = store::recovery::unused(&mut tx, user).await.unwrap();
    assert!(hashes.iter().all(|hash| hash.starts_with("$argon2id$")), "{hashes:?}");
}

async fn who_must_enrol_can_do_nothing_else(bench: Bench) {
    let (_, before, user) = bench.ann().await;
    let (_, token) = tokens::create(&before.cx, NewToken::whole("t", 30)).await.unwrap();
    let (old, _) = sign_in(&bench.app, EMAIL, PASSWORD).await.unwrap();
    bench.mfa(bench.customer, MfaPolicy::Required).await;
    assert_eq!(bench.live(&old).await.unwrap().limited_to, "enrol", "sessions from before are bound too");
    let refused = by_token(&bench.app, &token, &nowhere()).await.map(drop).unwrap_err();
    assert_eq!((refused.kind, refused.code), (Kind::Forbidden, Some("mfa_required")));
    let (secret, signed_in) = sign_in(&bench.app, EMAIL, PASSWORD).await.unwrap();
    assert_eq!(signed_in.limited_to, "enrol", "the stricter rule of the parent counts");
    let (added, _) = bench.add_app(&secret, &signed_in).await;
    assert!(bench.live(&secret).await.is_err(), "the enrolment's secret is over");
    assert!(bench.live(&added.secret).await.unwrap().limited_to.is_empty());
    assert!(by_token(&bench.app, &token, &nowhere()).await.is_ok(), "and the token works again");
    people::remove(&bench.cx, bench.red, user).await.unwrap();
}

async fn a_session_changes_its_secret_with_each_proof(bench: Bench) {
    let (first, signed_in, _) = bench.ann().await;
    let second = prove(&bench.app, &first, Proof::Password(PASSWORD), &nowhere()).await.unwrap();
    assert!(bench.live(&first).await.is_err() && bench.live(&second).await.is_ok());
    let (added, totp) = bench.add_app(&second, &bench.live(&second).await.unwrap()).await;
    assert!(bench.live(&second).await.is_err() && bench.live(&added.secret).await.is_ok());
    let code = bench.next_code(&totp);
    let third = prove(&bench.app, &added.secret, Proof::Code(&code), &nowhere()).await.unwrap();
    assert!(bench.live(&added.secret).await.is_err() && bench.live(&third).await.is_ok());
    // What was proved long ago is not enough for factors.
    bench.wait(16 * MINUTE_US);
    let stale = factors::new_codes(&bench.live(&third).await.unwrap().cx).await.unwrap_err();
    assert_eq!(stale.kind, Kind::StepUp);
    let pair = (PASSWORD, "another long phrase");
    let change = app::sign_in::change_password(&bench.app, &third, pair, false, &nowhere()).await.unwrap_err();
    assert_eq!(change.kind, Kind::StepUp, "a password is not changed with the old one alone");
    drop(signed_in);
}

async fn a_passkey_signs_in(bench: Bench) {
    let (secret, signed_in, user) = bench.ann().await;
    let mut device = Device::new("one");
    let added = add_passkey(&signed_in, &secret, &mut device).await.unwrap();
    assert_eq!(added.codes.len(), 10);
    let signed_in = bench.live(&added.secret).await.unwrap();
    let same = add_passkey(&signed_in, &added.secret, &mut device.clone()).await.map(drop).unwrap_err();
    assert_eq!(same.kind, Kind::Conflict, "no credential stands twice");
    // As a second step.
    let half = bench.half().await;
    let ceremony = factors::ask_half(&bench.app, &half, CONSOLE).await.unwrap();
    let answer = device.get(&ceremony.options);
    assert!(finish_with_passkey(&bench.app, &half, &sent(&ceremony.state, &answer), &nowhere()).await.is_ok());
    // Alone, once.
    let ceremony = factors::ask_anybody(&bench.app, CONSOLE).unwrap();
    let answer = device.get(&ceremony.options);
    let whole = sign_in_by_passkey(&bench.app, &sent(&ceremony.state, &answer), &nowhere()).await.unwrap();
    assert_eq!(whole.1.user.id, user);
    let again = sign_in_by_passkey(&bench.app, &sent(&ceremony.state, &answer), &nowhere()).await;
    assert!(again.is_err(), "an answer is good once");
    // Not with a challenge of another purpose, not after five minutes, not without a check of the person.
    let half = bench.half().await;
    let other = factors::ask_half(&bench.app, &half, CONSOLE).await.unwrap();
    let answer = device.get(&other.options);
    assert!(sign_in_by_passkey(&bench.app, &sent(&other.state, &answer), &nowhere()).await.is_err());
    let ceremony = factors::ask_anybody(&bench.app, CONSOLE).unwrap();
    device.flags = 0x01;
    let answer = device.get(&ceremony.options);
    assert!(sign_in_by_passkey(&bench.app, &sent(&ceremony.state, &answer), &nowhere()).await.is_err());
    device.flags = 0x05;
    let answer = device.get(&ceremony.options);
    bench.wait(5 * MINUTE_US);
    assert!(sign_in_by_passkey(&bench.app, &sent(&ceremony.state, &answer), &nowhere()).await.is_err());
    // Of somebody who is suspended.
    people::set_suspended(&bench.cx, user, true).await.unwrap();
    let ceremony = factors::ask_anybody(&bench.app, CONSOLE).unwrap();
    let answer = device.get(&ceremony.options);
    assert!(sign_in_by_passkey(&bench.app, &sent(&ceremony.state, &answer), &nowhere()).await.is_err());
}

async fn a_copied_passkey_is_an_alarm(bench: Bench) {
    let (secret, signed_in, _) = bench.ann().await;
    let mut device = Device::new("one");
    add_passkey(&signed_in, &secret, &mut device).await.unwrap();
    let mut copy = device.clone();
    let answer_of = async |device: &mut Device| {
        let ceremony = factors::ask_anybody(&bench.app, CONSOLE).unwrap();
        let answer = device.get(&ceremony.options);
        sign_in_by_passkey(&bench.app, &sent(&ceremony.state, &answer), &nowhere()).await.map(drop)
    };
    answer_of(&mut device).await.unwrap();
    answer_of(&mut device).await.unwrap();
    let fell = answer_of(&mut copy).await.unwrap_err();
    assert!(fell.text.contains("counter fell"), "{}", fell.text);
    assert_eq!(bench.audited(bench.red, "passkey.counter_fell").await, 1);
}

async fn the_last_factor_stays_where_one_is_required(bench: Bench) {
    let (secret, signed_in, _) = bench.ann().await;
    let (added, _) = bench.add_app(&secret, &signed_in).await;
    bench.mfa(bench.red, MfaPolicy::Required).await;
    let signed_in = bench.live(&added.secret).await.unwrap();
    let app = factors::mine(&signed_in.cx).await.unwrap().factors[0].id;
    let last = factors::remove(&signed_in.cx, app).await.unwrap_err();
    assert_eq!((last.kind, last.code), (Kind::Conflict, Some("mfa_required")));
    let mut device = Device::new("two");
    let added = add_passkey(&signed_in, &added.secret, &mut device).await.unwrap();
    assert!(added.codes.is_empty(), "only the first factor brings codes");
    let signed_in = bench.live(&added.secret).await.unwrap();
    factors::remove(&signed_in.cx, app).await.unwrap();
    assert_eq!(bench.audited(bench.red, "factor.remove").await, 1);
}

async fn switched_off_factors_are_not_offered(bench: Bench) {
    let (secret, signed_in, _) = bench.ann().await;
    let (added, totp) = bench.add_app(&secret, &signed_in).await;
    for org in [bench.cx.realm.root(), bench.customer, bench.red] {
        bench.mfa(org, MfaPolicy::Off).await;
    }
    let signed_in = bench.live(&added.secret).await.unwrap();
    assert_eq!(factors::begin_totp(&signed_in.cx, "Tablet").await.map(drop).unwrap_err().kind, Kind::Forbidden);
    let half = bench.half().await;
    assert!(
        finish_with_code(&bench.app, &half, &bench.next_code(&totp), &nowhere()).await.is_ok(),
        "what is there works"
    );
    // A token never touches factors.
    let mut context = Context { proved_us: Some(bench.world_now()), ..signed_in.cx.context.clone() };
    let (_, text) = tokens::create(&signed_in.cx, NewToken::whole("t", 30)).await.unwrap();
    context.token = by_token(&bench.app, &text, &nowhere()).await.unwrap().cx.context.token;
    let cx = Cx { context, ..signed_in.cx.clone() };
    assert_eq!(factors::new_codes(&cx).await.unwrap_err().kind, Kind::Forbidden);
}
