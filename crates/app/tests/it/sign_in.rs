//! Signing in: second factors, passkeys, identity providers, on both engines.

use super::keys_of_tests::{TestKey, cbor};
use super::*;
use access::tree::MfaPolicy;
use access::{Context, decide_job};
use app::domains::{self, record_name};
use app::factors::{self, Added, PasskeyAnswer};
use app::idps::{self, NewIdp};
use app::orgs::OrgChange;
use app::rows::{Holder, Idp, IdpSettings};
use app::sign_in::{
    Begun, Proof, begin, finish_with_code, finish_with_passkey, prove, sign_in_by_passkey, sign_in_with,
};
use app::sso::{self, Finished};
use app::{Operator, Origin, bindings, giving, groups, resets};
use base::GroupId;
use bytes::Bytes;
use ciborium::Value as Cbor;
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use identity::totp::{STEP_US, Secret, step_at};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use tokio::net::TcpListener;

pub(super) const EMAIL: &str = "ann@example.com";
const CONSOLE: &str = "http://localhost:8080";
const MINUTE_US: i64 = 60_000_000;

pub(super) fn nowhere() -> Client {
    Client::default()
}

impl Bench {
    fn wait(&self, us: i64) {
        self.world.set(self.world_now() + us);
    }

    async fn mfa(&self, org: OrgId, policy: MfaPolicy) {
        let change = OrgChange { mfa_policy: Some(policy), ..OrgChange::default() };
        orgs::update(&self.boss().await, org, change).await.unwrap();
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
        let added = factors::confirm_totp(signed_in, secret, waiting.id, &code).await.unwrap();
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

    pub(super) async fn audited(&self, org: OrgId, action: &str) -> usize {
        let filter = AuditFilter { action: action.into(), ..AuditFilter::default() };
        let cx = self.boss().await;
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
    a_link_brings_somebody_back_in,
    a_link_is_made_by_who_could_be_the_person,
    the_operator_brings_everybody_back_in,
    t50_a_provider_gives_nothing_above_itself,
    t51_an_unverified_address_links_nobody,
    t52_a_sync_takes_only_what_came_by_sign_in,
    t53_a_domain_is_claimed_once,
    a_provider_signs_in,
    a_sign_in_belongs_to_its_browser,
    a_provider_takes_over_nobody_from_elsewhere,
    a_provider_opens_nothing_that_was_given_outside_later,
    an_address_that_went_to_somebody_new_opens_nothing,
    who_falls_between_two_providers_has_his_password,
    who_is_removed_while_suspended_keeps_what_he_has_elsewhere,
    a_buried_organisation_frees_its_domains,
    who_waits_is_let_in_and_nothing_else,
    a_trusted_providers_word_is_a_second_factor,
    a_provider_that_is_off_shuts_its_people_out,
    a_sync_keeps_the_last_admin,
    enforced_sign_in_leaves_a_way_back,
    a_proof_at_the_provider_is_fresh,
    who_was_provisioned_and_signs_in_is_one_person,
    who_is_let_in_becomes_whom_the_directory_made,
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
    let code = bench.next_code(&totp);
    let half = bench.half().await;
    for _ in 0..5 {
        let wrong = finish_with_code(&bench.app, &half, "000000", &nowhere()).await.map(drop).unwrap_err();
        assert_eq!(wrong.kind, Kind::Invalid);
    }
    let over = finish_with_code(&bench.app, &half, &code, &nowhere()).await.map(drop).unwrap_err();
    assert_eq!(over.kind, Kind::Unauthenticated, "five tries for one half session");
    // Whoever knows the password waits longer each time; a right password forgives no wrong code.
    let half = bench.half().await;
    let waits = finish_with_code(&bench.app, &half, &code, &nowhere()).await.map(drop).unwrap_err();
    assert_eq!(waits.kind, Kind::TooMany);
    // Who is signed in proves themselves meanwhile: a session has a count of its own.
    assert!(prove(&bench.app, &added.secret, Proof::Code("000000"), &nowhere()).await.is_err());
    let fresh = prove(&bench.app, &added.secret, Proof::Code(&code), &nowhere()).await.unwrap();
    assert!(bench.live(&fresh).await.is_ok());
    bench.wait(i64::from(waits.wait_s.unwrap()) * 1_000_000);
    let code = bench.next_code(&totp);
    assert!(finish_with_code(&bench.app, &half, &code, &nowhere()).await.is_ok());
    // A factory of tries from many addresses gets no further than ten, then one each five minutes.
    let half = bench.half().await;
    let mut looked_at = 0;
    for no in 0..40 {
        let half = if no % 4 == 0 { bench.half().await } else { half.clone() };
        let client = Client { ip: Some(format!("203.0.113.{no}").parse().unwrap()), agent: "test".into() };
        let wrong = finish_with_code(&bench.app, &half, "000000", &client).await.map(drop).unwrap_err();
        looked_at += usize::from(wrong.kind == Kind::Invalid);
    }
    assert!(looked_at <= 10, "{looked_at}");
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

const NEW: &str = "a quite new password";

async fn a_link_brings_somebody_back_in(bench: Bench) {
    let (added, _, ann) = bench.ann_with_app().await;
    let (token, _) = {
        let cx = &bench.live(&added.secret).await.unwrap().cx;
        let (token, secret) = tokens::create(cx, NewToken::whole("laptop", 30)).await.unwrap();
        (secret, token)
    };
    let (first, second) = {
        let admin = bench.admin().await;
        (resets::begin(&admin, ann).await.unwrap(), resets::begin(&admin, ann).await.unwrap())
    };
    assert_eq!((first.email.as_str(), first.expires_us), (EMAIL, bench.world_now() + 86_400_000_000));
    assert_eq!(resets::look(&bench.app, &first.secret).await.unwrap(), EMAIL);
    // A bad password is named and the link is still good; so is the old way in.
    let bad = resets::finish(&bench.app, &first.secret, "short").await.unwrap_err();
    assert_eq!((bad.kind, bad.field.as_str()), (Kind::Invalid, "password"));
    assert!(bench.live(&added.secret).await.is_ok());
    resets::finish(&bench.app, &first.secret, NEW).await.unwrap();
    assert!(bench.live(&added.secret).await.is_err(), "sessions have ended");
    assert!(sign_in(&bench.app, EMAIL, PASSWORD).await.is_err());
    let (_, back) = sign_in(&bench.app, EMAIL, NEW).await.unwrap();
    assert!(factors::mine(&back.cx).await.unwrap().factors.is_empty(), "the lost phone is forgotten");
    assert!(by_token(&bench.app, &token, &nowhere()).await.is_ok(), "tokens stay");
    // Neither it nor one that was made before the new password is good again.
    for secret in [&first.secret, &second.secret, "rlm_1.nonsense", ""] {
        assert_eq!(resets::finish(&bench.app, secret, NEW).await.unwrap_err().kind, Kind::Gone, "{secret}");
        assert_eq!(resets::look(&bench.app, secret).await.unwrap_err().kind, Kind::Gone);
    }
    let late = resets::begin(&bench.admin().await, ann).await.unwrap();
    bench.wait(86_400_000_000);
    assert_eq!(resets::finish(&bench.app, &late.secret, NEW).await.unwrap_err().kind, Kind::Gone);
    assert_eq!(
        (bench.audited(bench.red, "user.reset_link").await, bench.audited(bench.red, "user.reset").await),
        (3, 1)
    );
}

async fn a_link_is_made_by_who_could_be_the_person(bench: Bench) {
    let (head, head_id) = bench.person(bench.red, "head", Builtin::OrganizationAdmin).await;
    let (_, boss) = bench.person(bench.customer, "boss", Builtin::OrganizationAdmin).await;
    let (_, second) = bench.person(bench.red, "second", Builtin::OrganizationAdmin).await;
    let (member, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    people::add_member(&bench.admin().await, bench.red, boss, PolicyRef::Builtin(Builtin::Member)).await.unwrap();
    let kind = async |cx: &Cx, user| resets::begin(cx, user).await.map(drop).unwrap_err().kind;
    assert_eq!(kind(&head, boss).await, Kind::Forbidden, "he belongs to the customer too");
    assert_eq!(kind(&head, bench.cx.user()).await, Kind::NotFound);
    assert_eq!(kind(&member, head_id).await, Kind::NotFound, "who may not see people learns nothing");
    assert_eq!(kind(&head, head_id).await, Kind::Conflict, "one's own is changed on one's own page");
    let service = tokens::create_service(&head, bench.red, "Exporter", "").await.unwrap().id;
    assert_eq!(kind(&head, service).await, Kind::Conflict);
    let link = resets::begin(&head, ann).await.unwrap();
    people::set_suspended(&head, ann, true).await.unwrap();
    assert_eq!(kind(&head, ann).await, Kind::Conflict, "a suspended account is no way in");
    assert_eq!(resets::finish(&bench.app, &link.secret, NEW).await.unwrap_err().kind, Kind::Gone);
    people::set_suspended(&head, ann, false).await.unwrap();
    bench.wait(16 * MINUTE_US);
    assert_eq!(kind(&head, ann).await, Kind::StepUp);
    // Who made the link and is suspended, or admin no more, has made none.
    let link = resets::begin(&bench.fresh(head_id).await, ann).await.unwrap();
    people::set_suspended(&bench.fresh(second).await, head_id, true).await.unwrap();
    assert_eq!(resets::finish(&bench.app, &link.secret, NEW).await.unwrap_err().kind, Kind::Gone);
    people::set_suspended(&bench.fresh(second).await, head_id, false).await.unwrap();
    let link = resets::begin(&bench.fresh(head_id).await, ann).await.unwrap();
    people::remove(&bench.fresh(second).await, bench.red, head_id).await.unwrap();
    assert_eq!(resets::finish(&bench.app, &link.secret, NEW).await.unwrap_err().kind, Kind::Gone);
    // And what the person was given since, the maker must be able to give as well.
    bench.person(bench.red, "third", Builtin::OrganizationAdmin).await;
    let link = resets::begin(&bench.fresh(second).await, ann).await.unwrap();
    let more = people::add_member(&bench.admin().await, bench.customer, ann, PolicyRef::ADMIN).await;
    more.unwrap();
    assert_eq!(resets::finish(&bench.app, &link.secret, NEW).await.unwrap_err().kind, Kind::Gone);
    assert!(sign_in(&bench.app, EMAIL, PASSWORD).await.is_ok(), "nothing has changed");
    // What was read for a change that did not come true is forgotten: the maker's rights end with the next one.
    people::remove(&bench.admin().await, bench.red, second).await.unwrap();
    assert!(orgs::get(&bench.fresh(second).await, bench.red).await.is_err());
}

async fn the_operator_brings_everybody_back_in(bench: Bench) {
    // The only admin of the tree, who has lost everything; the same address is known in another tree.
    let foreign = realm(&bench.app, "admin2@example.com").await;
    people::add(&foreign, foreign.realm.root(), "admin@example.com", "A", PolicyRef::ADMIN, Some(PASSWORD))
        .await
        .unwrap();
    let operator = Operator::at(Store::open(&bench.url).await.unwrap(), bench.world.clone());
    let make = async |email: &str, home| resets::begin_by_operator(&operator, email, home).await;
    let both = make("admin@example.com", None).await.unwrap_err();
    assert!(both.kind == Kind::Conflict && both.text.contains(&bench.cx.realm.root().to_string()), "{both}");
    assert_eq!(make("nobody@example.com", None).await.unwrap_err().kind, Kind::NotFound);
    let link = make("admin@example.com", Some(bench.cx.realm.root())).await.unwrap();
    assert_eq!(resets::finish(&bench.app, &link.secret, NEW).await.unwrap(), bench.cx.realm);
    assert_eq!(sign_in(&bench.app, "admin@example.com", NEW).await.unwrap().1.cx.realm, bench.cx.realm);
    assert_eq!(sign_in(&bench.app, "admin@example.com", PASSWORD).await.unwrap().1.cx.realm, foreign.realm);
    assert!(audit::verify(&bench.admin().await).await.unwrap().is_ok(), "the chain holds");
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

/// What the test provider says: claims of the next sign-in, and the request that it was begun with.
#[derive(Default)]
struct Said {
    claims: Value,
    nonce: String,
    challenge: String,
}

/// An OpenID provider in this process.
pub(super) struct Provider {
    issuer: String,
    said: Arc<Mutex<Said>>,
    now_s: Arc<dyn Fn() -> i64 + Send + Sync>,
}

pub(super) const CALLBACK: &str = "http://localhost:8080/sign-in/callback";
const CLIENT_SECRET: &str = "a secret: of tests";

fn signed(claims: &Value) -> String {
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let body = format!("{}.{}", encode(&json!({ "alg": "ES256", "kid": "ES256" })), encode(claims));
    let signature = TestKey::Es256.sign_fixed(body.as_bytes());
    format!("{body}.{}", BASE64URL_NOPAD.encode(&signature))
}

fn works(issuer: &str, settings: IdpSettings) -> NewIdp {
    NewIdp {
        name: "Works".into(),
        issuer: issuer.into(),
        client_id: "meterhouse".into(),
        client_secret: None,
        settings,
        active: true,
    }
}

/// Begins to sign Ann in from an address.
pub(super) async fn begin_at(app: &Arc<App>, ip: &str) -> Result<(), Failure> {
    let client = Client { ip: Some(ip.parse().unwrap()), agent: "test".into() };
    begin(app, EMAIL, PASSWORD, &client).await.map(drop)
}

impl Provider {
    async fn start(bench: &Bench) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let said = Arc::new(Mutex::new(Said::default()));
        let world = bench.world.clone();
        let now_s: Arc<dyn Fn() -> i64 + Send + Sync> =
            Arc::new(move || base::World::now_us(world.as_ref()) / 1_000_000);
        let made = Self { issuer: issuer.clone(), said: said.clone(), now_s: now_s.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (issuer, said, now_s) = (issuer.clone(), said.clone(), now_s.clone());
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let (issuer, said, now_s) = (issuer.clone(), said.clone(), now_s.clone());
                    async move { Ok::<_, Infallible>(answer(&issuer, &said, now_s(), request).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        made
    }

    /// Signs `claims` in, as a browser would: there and back.
    pub(super) async fn sign_in(&self, bench: &Bench, email: &str, claims: Value) -> Result<Finished, Failure> {
        let route = sso::route(&bench.app, email).await.unwrap().expect("the domain leads here");
        let started = sso::begin(&bench.app, &route, email, CALLBACK).await?;
        let query = self.visit(&started.url, claims);
        sso::finish(&bench.app, &started.secret, &query, &nowhere(), None).await
    }

    /// The person signs in at the provider: the query that the browser comes back with.
    pub(super) fn visit(&self, url: &str, claims: Value) -> String {
        let query: BTreeMap<String, String> = url
            .split_once('?')
            .unwrap()
            .1
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(query["code_challenge_method"], "S256");
        *self.said.lock().unwrap() =
            Said { claims, nonce: query["nonce"].clone(), challenge: query["code_challenge"].clone() };
        format!("code=one&state={}&iss={}", query["state"], self.issuer)
    }
}

async fn answer(issuer: &str, said: &Mutex<Said>, now_s: i64, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let body = String::from_utf8(request.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let said = said.lock().unwrap();
    let json = match path.as_str() {
        "/.well-known/openid-configuration" => json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "scopes_supported": ["openid", "email", "groups"],
        }),
        "/keys" => json!({ "keys": [TestKey::Es256.jwk()] }),
        _ => {
            let verifier = body.split('&').find_map(|pair| pair.strip_prefix("code_verifier=")).unwrap_or_default();
            if BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes())) != said.challenge {
                let refusal = json!({ "error": "invalid_grant" }).to_string();
                return Response::builder().status(400).body(Full::from(refusal)).unwrap();
            }
            let mut claims = json!({ "iss": issuer, "aud": "meterhouse", "iat": now_s, "exp": now_s + 300,
                                     "nonce": said.nonce, "auth_time": now_s });
            for (name, value) in said.claims.as_object().unwrap() {
                claims[name] = value.clone();
            }
            json!({ "id_token": signed(&claims), "token_type": "Bearer" })
        }
    };
    Response::new(Full::from(json.to_string()))
}

impl Bench {
    /// An admin's context with a fresh proof.
    pub(super) async fn fresh(&self, user: UserId) -> Cx {
        let actor = app::sessions::actor_now(&self.app, self.cx.realm, user).await.unwrap();
        let now_us = self.world_now();
        let context = Context { now_us, proved_us: Some(now_us), ..Context::default() };
        Cx {
            app: self.app.clone(),
            actor,
            realm: self.cx.realm,
            context,
            origin: Origin::default(),
            preview: app::Preview::default(),
        }
    }

    pub(super) async fn boss(&self) -> Cx {
        self.fresh(self.cx.user()).await
    }

    /// The customer's provider, whose domain is example.com.
    pub(super) async fn provider(&self, settings: IdpSettings) -> Provider {
        let provider = Provider::start(self).await;
        self.set_idp(&provider, settings, true).await.unwrap();
        self.claim_verified("example.com").await;
        provider
    }

    /// The customer's provider, which has let Bob in and is required since.
    async fn required_provider(&self) -> Provider {
        let provider = self.provider(IdpSettings::default()).await;
        let bob = json!({ "sub": "bob", "email": "bob@example.com", "email_verified": true, "name": "Bob" });
        whole(provider.sign_in(self, "bob@example.com", bob).await);
        self.keep_secret(&provider, IdpSettings { enforced: true, ..IdpSettings::default() }).await.unwrap();
        provider
    }

    pub(super) async fn set_idp(
        &self,
        provider: &Provider,
        settings: IdpSettings,
        active: bool,
    ) -> Result<Idp, Failure> {
        let new = NewIdp { client_secret: Some(CLIENT_SECRET.into()), active, ..works(&provider.issuer, settings) };
        idps::put(&self.boss().await, self.customer, new).await
    }

    /// Other settings, with the secret that is known.
    pub(super) async fn keep_secret(&self, provider: &Provider, settings: IdpSettings) -> Result<Idp, Failure> {
        self.set_issuer(&provider.issuer, settings).await
    }

    pub(super) async fn set_issuer(&self, issuer: &str, settings: IdpSettings) -> Result<Idp, Failure> {
        idps::put(&self.boss().await, self.customer, works(issuer, settings)).await
    }

    async fn claim_verified(&self, domain: &str) {
        let cx = self.boss().await;
        let claim = domains::claim(&cx, self.customer, domain).await.unwrap();
        self.records.lock().unwrap().insert(record_name(domain), vec!["v=spf1".into(), claim.challenge]);
        domains::verify(&cx, self.customer, domain).await.unwrap();
    }

    async fn group(&self, org: OrgId, name: &str, policy: Option<Builtin>) -> GroupId {
        let cx = self.boss().await;
        let group = groups::create(&cx, org, name).await.unwrap().id;
        if let Some(policy) = policy {
            let binding = bindings::NewBinding {
                holder: Holder::Group(group),
                policy: PolicyRef::Builtin(policy),
                propagate: giving::usual_reach(PolicyRef::Builtin(policy)),
                resources: Vec::new(),
                not_before_us: None,
                not_after_us: None,
            };
            bindings::bind(&cx, org, binding).await.unwrap();
        }
        group
    }

    async fn groups_of(&self, user: UserId) -> Vec<(String, String)> {
        let store = Store::open(&self.url).await.unwrap();
        let mut tx = store.read(&decide_job(self.cx.realm, self.red)).await.unwrap();
        let found = store::groups::of_user(&mut tx, user).await.unwrap();
        found.into_iter().map(|(group, source)| (group.name, source)).collect()
    }

    async fn known_as(&self, email: &str) -> Option<store::users::User> {
        let store = Store::open(&self.url).await.unwrap();
        let mut tx = store.read(&decide_job(self.cx.realm, self.red)).await.unwrap();
        store::users::by_email(&mut tx, email).await.unwrap()
    }
}

pub(super) fn ann_says(more: Value) -> Value {
    let mut claims = json!({ "sub": "ann-at-works", "email": EMAIL, "email_verified": true, "name": "Ann" });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

pub(super) fn whole(finished: Result<Finished, Failure>) -> (String, SignedIn) {
    match finished.map_err(|failure| failure.text).unwrap_or_else(|text| panic!("{text}")) {
        Finished::SignIn(Begun::Whole(secret, signed_in)) => (secret, *signed_in),
        Finished::SignIn(Begun::Half(_)) => panic!("a second factor is asked for"),
        Finished::Proved(..) => panic!("a proof"),
    }
}

fn refused(finished: Result<Finished, Failure>) -> Failure {
    finished.map(drop).unwrap_err()
}

fn mapping(claim: &str, pairs: &[(&str, GroupId)]) -> IdpSettings {
    IdpSettings {
        groups_claim: claim.into(),
        group_map: pairs.iter().map(|(name, group)| ((*name).to_owned(), vec![*group])).collect(),
        authoritative: true,
        ..IdpSettings::default()
    }
}

async fn t50_a_provider_gives_nothing_above_itself(bench: Bench) {
    let above = bench.group(bench.cx.realm.root(), "Lords", Some(Builtin::OrganizationAdmin)).await;
    let own = bench.group(bench.customer, "Staff", None).await;
    let provider = bench.provider(mapping("groups", &[("staff", own)])).await;
    let asked = bench.set_idp(&provider, mapping("groups", &[("lords", above), ("staff", own)]), true).await;
    assert_eq!(asked.unwrap_err().field, "group_map", "it cannot be set");
    // Written behind the program's back, it still brings nobody up.
    let settings = serde_json::to_string(&mapping("groups", &[("lords", above), ("staff", own)])).unwrap();
    bench.execute(&format!("update idp set settings_json = '{settings}'"));
    let (_, signed_in) =
        whole(provider.sign_in(&bench, EMAIL, ann_says(json!({ "groups": ["lords", "staff"] }))).await);
    assert_eq!(bench.groups_of(signed_in.user.id).await, [("Staff".to_owned(), "sso".to_owned())]);
    assert!(orgs::get(&signed_in.cx, bench.cx.realm.root()).await.is_err());
    assert_eq!(bench.audited(bench.customer, "idp.group_ignored").await, 1);
}

async fn t51_an_unverified_address_links_nobody(bench: Bench) {
    let (_, _, ann) = bench.ann().await;
    let provider = bench.provider(IdpSettings::default()).await;
    let claims = ann_says(json!({ "email_verified": false }));
    let waits = refused(provider.sign_in(&bench, EMAIL, claims.clone()).await);
    assert_eq!((waits.kind, waits.code), (Kind::Forbidden, Some("pending")));
    assert_eq!(refused(provider.sign_in(&bench, EMAIL, claims.clone()).await).code, Some("pending"), "and again");
    let pending = idps::pending(&bench.boss().await, bench.customer).await.unwrap();
    assert_eq!(pending.len(), 1, "one new person, however often he comes");
    assert_ne!(pending[0].id, ann);
    assert_eq!((pending[0].email.as_str(), pending[0].state.as_str()), ("", "pending"));
    assert!(pending[0].description.contains(EMAIL));
    assert_eq!(bench.audited(bench.customer, "idp.pending_user").await, 1);
    let cx = bench.fresh(pending[0].id).await;
    assert!(orgs::mine(&cx).await.unwrap().is_empty(), "he has no rights");
    // The same for an address whose domain nobody here has shown to be his.
    let foreign = json!({ "sub": "dora", "email": "dora@elsewhere.example", "email_verified": true });
    assert_eq!(refused(provider.sign_in(&bench, EMAIL, foreign).await).code, Some("pending"));
    assert!(bench.known_as("dora@elsewhere.example").await.is_none());
    // An admin lets him in.
    idps::let_in(&bench.boss().await, bench.customer, pending[0].id).await.unwrap();
    let (_, signed_in) = whole(provider.sign_in(&bench, EMAIL, claims).await);
    assert_eq!(signed_in.user.id, pending[0].id);
}

async fn t52_a_sync_takes_only_what_came_by_sign_in(bench: Bench) {
    let (one, two) = (bench.group(bench.customer, "One", None).await, bench.group(bench.customer, "Two", None).await);
    let (three, below) =
        (bench.group(bench.customer, "Three", None).await, bench.group(bench.red, "Below", None).await);
    let provider = bench.provider(mapping("groups", &[("1", one), ("2", two), ("3", three), ("below", below)])).await;
    let said = |groups: &[&str]| ann_says(json!({ "groups": groups }));
    let (_, signed_in) = whole(provider.sign_in(&bench, EMAIL, said(&["1", "below", "unknown"])).await);
    let ann = signed_in.user.id;
    groups::add_member(&bench.boss().await, bench.customer, two, ann).await.unwrap();
    let has = async |want: &[(&str, &str)]| {
        let want: Vec<_> = want.iter().map(|(name, source)| ((*name).to_owned(), (*source).to_owned())).collect();
        assert_eq!(bench.groups_of(ann).await, want);
    };
    has(&[("Below", "sso"), ("One", "sso"), ("Two", "local")]).await;
    assert_eq!(orgs::mine(&bench.fresh(ann).await).await.unwrap().len(), 2, "with the group he belongs to Red");
    whole(provider.sign_in(&bench, EMAIL, said(&["3"])).await);
    has(&[("Three", "sso"), ("Two", "local")]).await;
    assert_eq!(orgs::mine(&bench.fresh(ann).await).await.unwrap().len(), 1, "and left it with it");
    whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await);
    has(&[("Three", "sso"), ("Two", "local")]).await; // Nothing was said of groups.
    whole(provider.sign_in(&bench, EMAIL, said(&[])).await);
    has(&[("Two", "local")]).await;
    // Without authority it only adds.
    let weak = IdpSettings { authoritative: false, ..mapping("groups", &[("1", one)]) };
    bench.set_idp(&provider, weak, true).await.unwrap();
    whole(provider.sign_in(&bench, EMAIL, said(&["1"])).await);
    whole(provider.sign_in(&bench, EMAIL, said(&[])).await);
    has(&[("One", "sso"), ("Two", "local")]).await;
}

async fn t53_a_domain_is_claimed_once(bench: Bench) {
    let cx = bench.boss().await;
    let claim = domains::claim(&cx, bench.customer, "Example.com.").await.unwrap();
    assert_eq!(claim.domain, "example.com");
    for org in [bench.red, bench.customer, bench.cx.realm.root()] {
        let again = domains::claim(&cx, org, "EXAMPLE.com").await.unwrap_err();
        assert_eq!((again.kind, again.code), (Kind::Conflict, Some("domain_taken")));
    }
    let foreign = realm(&bench.app, "other@example.com").await;
    let there = domains::claim(&foreign, foreign.realm.root(), "example.com").await.unwrap();
    assert_ne!(there.challenge, claim.challenge, "another tree, another proof");
    let unseen = domains::verify(&cx, bench.customer, "example.com").await.unwrap_err();
    assert!(unseen.text.contains(&claim.challenge) && unseen.text.contains("nothing"), "{}", unseen.text);
    bench.records.lock().unwrap().insert(record_name("example.com"), vec![there.challenge]);
    assert!(domains::verify(&cx, bench.customer, "example.com").await.is_err(), "another tree's record");
    bench.records.lock().unwrap().insert(record_name("example.com"), vec![claim.challenge]);
    assert!(domains::verify(&cx, bench.customer, "example.com").await.unwrap().verified_us.is_some());
    for bad in ["localhost", "127.0.0.1", "a b.example", "https://example.com", "ex_ample.com", ""] {
        assert_eq!(domains::claim(&cx, bench.customer, bad).await.unwrap_err().field, "domain", "{bad}");
    }
    // Who never shows that a domain is his does not hold it for ever; who did, does.
    domains::claim(&cx, bench.customer, "squat.example").await.unwrap();
    bench.wait(8 * 24 * 60 * MINUTE_US);
    let cx = bench.boss().await;
    assert!(domains::claim(&cx, bench.red, "squat.example").await.is_ok());
    assert!(domains::claim(&cx, bench.red, "example.com").await.is_err());
    // The operator may know better than DNS. Trees do not know each other: he says which one he means.
    let operator = Operator::at(Store::open(&bench.url).await.unwrap(), bench.world.clone());
    let vouch = async |domain: &str, org| domains::verify_by_operator(&operator, domain, org).await;
    assert!(vouch("squat.example", None).await.unwrap().verified_us.is_some());
    assert_eq!(vouch("nobodys.example", None).await.unwrap_err().kind, Kind::NotFound);
    let both = vouch("example.com", None).await.unwrap_err();
    assert!(both.kind == Kind::Conflict && both.text.contains(&foreign.realm.root().to_string()), "{}", both.text);
    assert_eq!(vouch("example.com", Some(OrgId(7))).await.unwrap_err().kind, Kind::NotFound);
    let shown = vouch("example.com", Some(bench.red)).await.unwrap_err();
    assert!(shown.kind == Kind::Conflict && shown.text.contains(&bench.customer.to_string()), "{}", shown.text);
    // A sister that only claims a domain does not keep it from its owner.
    domains::claim(&cx, bench.blue, "reds.example").await.unwrap();
    assert_eq!(domains::claim(&cx, bench.red, "reds.example").await.unwrap_err().code, Some("domain_taken"));
    assert_eq!(vouch("reds.example", Some(bench.red)).await.unwrap().org, bench.red);
    assert!(domains::list(&cx, bench.blue).await.unwrap().is_empty());
    assert_eq!(vouch("example.com", Some(foreign.realm.root())).await.unwrap().org, foreign.realm.root());
    let by_operator = AuditFilter { actor: "operator".into(), ..AuditFilter::default() };
    let entries = audit::list(&cx, bench.red, 0, &by_operator, 10).await.unwrap();
    assert_eq!(
        entries.iter().map(|entry| entry.target.as_str()).collect::<Vec<_>>(),
        ["reds.example", "squat.example"]
    );
    assert!(audit::verify(&cx).await.unwrap().is_ok(), "the chain is whole");
    domains::release(&cx, bench.red, "squat.example").await.unwrap();
}

async fn a_provider_signs_in(bench: Bench) {
    let default = bench.group(bench.customer, "Everybody", None).await;
    let settings = IdpSettings { default_groups: vec![default], ..IdpSettings::default() };
    let provider = bench.provider(settings).await;
    let (secret, signed_in) = whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await);
    assert_eq!((signed_in.user.email.as_str(), signed_in.user.home_org), (EMAIL, bench.customer));
    assert_eq!(bench.groups_of(signed_in.user.id).await, [("Everybody".to_owned(), "sso".to_owned())]);
    assert!(bench.live(&secret).await.is_ok());
    // The subject is the key: the same one under another address is the same person, another one is not.
    let moved = ann_says(json!({ "email": "anna@example.com" }));
    assert_eq!(whole(provider.sign_in(&bench, EMAIL, moved).await).1.user.id, signed_in.user.id);
    let other = ann_says(json!({ "sub": "somebody else", "email": "bob@example.com" }));
    assert_ne!(whole(provider.sign_in(&bench, EMAIL, other).await).1.user.id, signed_in.user.id);
    // A person who was here before keeps his account, and his password.
    let (_, carl) = bench.person(bench.red, "carl", Builtin::Member).await;
    let claims = json!({ "sub": "carl", "email": "CARL@example.com", "email_verified": true });
    assert_eq!(whole(provider.sign_in(&bench, EMAIL, claims).await).1.user.id, carl);
    assert_eq!(bench.audited(bench.customer, "idp.link").await, 1);
    assert!(sign_in(&bench.app, "carl@example.com", PASSWORD).await.is_ok());
    // The secret is sealed and never shown.
    let shown = serde_json::to_string(
        &audit::list(&bench.cx, bench.customer, 0, &AuditFilter::default(), 1_000).await.unwrap(),
    );
    assert!(!shown.unwrap().contains(CLIENT_SECRET));
    let idp = idps::get(&bench.boss().await, bench.customer).await.unwrap().unwrap();
    assert!(!idp.secret_sealed.contains("secret"));
    let tested = idps::test(&bench.boss().await, bench.customer, &provider.issuer).await.unwrap();
    assert_eq!(tested.token_endpoint, format!("{}/token", provider.issuer));
    let failed = idps::test(&bench.boss().await, bench.customer, "http://127.0.0.1:1").await.unwrap_err();
    assert!(failed.kind == Kind::Upstream && failed.text.contains("refused"), "{}", failed.text);
    let guarded = idps::test(&bench.boss().await, bench.customer, "https://169.254.169.254").await.unwrap_err();
    assert!(guarded.text.contains("metadata"), "{}", guarded.text);
    // Whose provider it is decides who comes in as an admin: an editor is none.
    let (_, editor) = bench.person(bench.customer, "editor", Builtin::OrganizationEditor).await;
    let new = NewIdp {
        name: "Mine".into(),
        issuer: provider.issuer.clone(),
        client_id: "meterhouse".into(),
        client_secret: None,
        settings: IdpSettings::default(),
        active: true,
    };
    let by_editor = idps::put(&bench.fresh(editor).await, bench.customer, new).await.unwrap_err();
    assert_eq!(by_editor.kind, Kind::Forbidden, "{}", by_editor.text);
}

async fn a_sign_in_belongs_to_its_browser(bench: Bench) {
    let provider = bench.provider(IdpSettings::default()).await;
    let route = sso::route(&bench.app, "x@EXAMPLE.com").await.unwrap().unwrap();
    assert!(sso::route(&bench.app, "x@elsewhere.example").await.unwrap().is_none());
    let begin = async || sso::begin(&bench.app, &route, EMAIL, CALLBACK).await.unwrap();
    let finish = async |secret: &str, query: &str| sso::finish(&bench.app, secret, query, &nowhere(), None).await;
    // Somebody else's answer in this browser, and this browser's answer in another.
    let (mine, theirs) = (begin().await, begin().await);
    let query = provider.visit(&theirs.url, ann_says(json!({})));
    assert!(refused(finish(&mine.secret, &query).await).text.contains("state"));
    assert_eq!(refused(finish("", &query).await).kind, Kind::Unauthenticated);
    assert_eq!(refused(finish(&mine.secret, &query).await).kind, Kind::Unauthenticated, "an attempt is good once");
    whole(finish(&theirs.secret, &query).await);
    assert_eq!(refused(finish(&theirs.secret, &query).await).kind, Kind::Unauthenticated);
    // A token that was made for another sign-in.
    let (first, second) = (begin().await, begin().await);
    let query = provider.visit(&first.url, ann_says(json!({})));
    let nonce = provider.said.lock().unwrap().nonce.clone();
    let late = provider.visit(&second.url, ann_says(json!({})));
    provider.said.lock().unwrap().nonce = nonce;
    assert!(refused(finish(&second.secret, &late).await).text.contains("nonce"));
    drop(query);
    // Too late; refused there.
    let slow = begin().await;
    let query = provider.visit(&slow.url, ann_says(json!({})));
    bench.wait(10 * MINUTE_US);
    assert_eq!(refused(finish(&slow.secret, &query).await).kind, Kind::Unauthenticated);
    let denied = begin().await;
    let state = provider.visit(&denied.url, json!({})).split('&').nth(1).unwrap().to_owned();
    let said = refused(finish(&denied.secret, &format!("error=access_denied&{state}")).await);
    assert!(said.text.contains("access_denied"), "{}", said.text);
    // A token of another issuer, or of yesterday.
    for claims in
        [json!({ "iss": "https://evil.example" }), json!({ "exp": (provider.now_s)() - 90 }), json!({ "aud": "x" })]
    {
        assert_eq!(refused(provider.sign_in(&bench, EMAIL, ann_says(claims)).await).kind, Kind::Upstream);
    }
}

async fn a_provider_takes_over_nobody_from_elsewhere(bench: Bench) {
    let provider = bench.provider(IdpSettings::default()).await;
    // The provider's own admin has an address in the customer's domain.
    let admin = ann_says(json!({ "sub": "evil", "email": "admin@example.com" }));
    assert_eq!(refused(provider.sign_in(&bench, EMAIL, admin).await).code, Some("pending"));
    // Somebody of Red who was given something above it too.
    let (_, dave) = bench.person(bench.red, "dave", Builtin::Member).await;
    people::add_member(&bench.boss().await, bench.cx.realm.root(), dave, PolicyRef::Builtin(Builtin::Member))
        .await
        .unwrap();
    let dave = json!({ "sub": "dave", "email": "dave@example.com", "email_verified": true });
    assert_eq!(refused(provider.sign_in(&bench, EMAIL, dave).await).code, Some("pending"));
    assert_eq!(bench.audited(bench.customer, "idp.link").await, 0);
}

async fn a_provider_opens_nothing_that_was_given_outside_later(bench: Bench) {
    let (_, _, ann) = bench.ann().await;
    let provider = bench.required_provider().await;
    let (session, _) = whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await);
    assert_eq!(sign_in(&bench.app, EMAIL, PASSWORD).await.map(drop).unwrap_err().code, Some("sso_required"));
    let root = bench.cx.realm.root();
    people::add_member(&bench.boss().await, root, ann, PolicyRef::ADMIN).await.unwrap();
    // Whoever runs the customer's provider could say that he is she, and have said so before: that must not make
    // him the provider's admin.
    assert_eq!(bench.live(&session).await.map(drop).unwrap_err().kind, Kind::Unauthenticated);
    let forged = refused(provider.sign_in(&bench, EMAIL, ann_says(json!({ "amr": ["mfa"] }))).await);
    assert_eq!(forged.code, Some("outside_provider"), "{}", forged.text);
    let (_, by_password) = sign_in(&bench.app, EMAIL, PASSWORD).await.unwrap();
    let route = sso::begin_proof(&by_password, CALLBACK, "/").await.unwrap();
    let query = provider.visit(&route.url, ann_says(json!({})));
    let (secret, _) = sign_in(&bench.app, EMAIL, PASSWORD).await.unwrap();
    let proof = sso::finish(&bench.app, &route.secret, &query, &nowhere(), Some((&by_password, &secret))).await;
    assert_eq!(refused(proof).code, Some("outside_provider"), "nor is it a proof");
    // The same by a policy alone, or by a group; and gone again when that is gone.
    people::remove(&bench.boss().await, root, ann).await.unwrap();
    whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await);
    let group = bench.group(root, "Auditors", Some(Builtin::Auditor)).await;
    people::add_member(&bench.boss().await, root, ann, PolicyRef::Builtin(Builtin::Member)).await.unwrap();
    groups::add_member(&bench.boss().await, root, group, ann).await.unwrap();
    assert_eq!(refused(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await).code, Some("outside_provider"));
}

async fn an_address_that_went_to_somebody_new_opens_nothing(bench: Bench) {
    let (_, _, ann) = bench.ann().await;
    let provider = bench.provider(IdpSettings::default()).await;
    whole(provider.sign_in(&bench, EMAIL, ann_says(json!({ "sub": "1" }))).await);
    let next = refused(provider.sign_in(&bench, EMAIL, ann_says(json!({ "sub": "2" }))).await);
    assert_eq!(next.code, Some("pending"), "{}", next.text);
    assert_eq!(bench.known_as(EMAIL).await.unwrap().id, ann);
    assert_eq!(bench.audited(bench.customer, "idp.pending_user").await, 1);
    // Is it Ann after all, an admin brings her back in: the provider may then say anew who she is.
    let waits = idps::pending(&bench.boss().await, bench.customer).await.unwrap().remove(0).id;
    idps::turn_away(&bench.boss().await, bench.customer, waits).await.unwrap();
    let link = resets::begin(&bench.boss().await, ann).await.unwrap();
    resets::finish(&bench.app, &link.secret, NEW).await.unwrap();
    assert_eq!(whole(provider.sign_in(&bench, EMAIL, ann_says(json!({ "sub": "2" }))).await).1.user.id, ann);
}

async fn who_falls_between_two_providers_has_his_password(bench: Bench) {
    let (_, _, ann) = bench.ann().await;
    bench.required_provider().await;
    let own = NewIdp {
        name: "Red's".into(),
        issuer: "http://127.0.0.1:1".into(),
        client_id: "meterhouse".into(),
        client_secret: None,
        settings: IdpSettings::default(),
        active: true,
    };
    idps::put(&bench.boss().await, bench.red, own).await.unwrap();
    assert_eq!(sign_in(&bench.app, EMAIL, PASSWORD).await.map(drop).unwrap_err().code, Some("sso_required"));
    // Red's may not let her in any more, and the customer's is not where she is sent.
    people::add_member(&bench.boss().await, bench.blue, ann, PolicyRef::Builtin(Builtin::Member)).await.unwrap();
    assert!(sign_in(&bench.app, EMAIL, PASSWORD).await.is_ok());
}

async fn who_is_removed_while_suspended_keeps_what_he_has_elsewhere(bench: Bench) {
    let (secret, signed_in, ann) = bench.ann().await;
    let (_, token) = tokens::create(&signed_in.cx, NewToken::whole("laptop", 30)).await.unwrap();
    drop(secret);
    people::add_member(&bench.boss().await, bench.blue, ann, PolicyRef::Builtin(Builtin::Auditor)).await.unwrap();
    people::set_suspended(&bench.boss().await, ann, true).await.unwrap();
    assert!(by_token(&bench.app, &token, &nowhere()).await.is_err(), "it rests");
    people::remove(&bench.boss().await, bench.red, ann).await.unwrap();
    people::set_suspended(&bench.boss().await, ann, false).await.unwrap();
    let back = by_token(&bench.app, &token, &nowhere()).await.unwrap().cx;
    assert!(orgs::get(&back, bench.blue).await.is_ok(), "and works again where she still belongs");
    assert!(orgs::get(&back, bench.red).await.is_err());
}

async fn a_buried_organisation_frees_its_domains(bench: Bench) {
    let provider = bench.provider(IdpSettings::default()).await;
    whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await);
    let (boss, customer) = (bench.boss().await, bench.customer);
    // While it is suspended or to be deleted nobody new comes in.
    app::org_life::suspend(&boss, customer, access::tree::GatewayRule::Deny).await.unwrap();
    let bob = || json!({ "sub": "bob", "email": "bob@example.com", "email_verified": true });
    let early = refused(provider.sign_in(&bench, EMAIL, bob()).await);
    assert_eq!((early.kind, early.code), (Kind::Forbidden, None), "{}", early.text);
    app::org_life::resume(&boss, customer).await.unwrap();
    let how = app::org_life::Deletion { confirm: "Customer".into(), cascade: true, without_final_invoice: true };
    app::org_life::delete(&boss, customer, &how).await.unwrap();
    assert!(provider.sign_in(&bench, EMAIL, bob()).await.is_err());
    bench.wait(31 * 86_400_000_000);
    app::timers::tend_trees(&bench.app).await.unwrap();
    assert!(sso::route(&bench.app, EMAIL).await.unwrap().is_none(), "its provider is gone");
    let boss = bench.boss().await;
    let next = child(&boss, bench.cx.realm.root(), "Customer again", "customer").await;
    assert!(domains::claim(&boss, next, "example.com").await.is_ok(), "and its domain free");
}

async fn who_waits_is_let_in_and_nothing_else(bench: Bench) {
    let provider = bench.provider(IdpSettings::default()).await;
    let carl = json!({ "sub": "carl", "email": "carl@example.com", "email_verified": false });
    assert_eq!(refused(provider.sign_in(&bench, EMAIL, carl).await).code, Some("pending"));
    let boss = bench.boss().await;
    let waits = idps::pending(&boss, bench.customer).await.unwrap().remove(0).id;
    for suspended in [true, false] {
        let account = people::set_suspended(&boss, waits, suspended).await.unwrap_err();
        let membership = people::set_membership_suspended(&boss, bench.customer, waits, suspended).await.unwrap_err();
        assert_eq!((account.kind, membership.kind), (Kind::Conflict, Kind::Conflict), "{account} {membership}");
    }
    assert_eq!(idps::pending(&boss, bench.customer).await.unwrap().len(), 1, "he waits on");
    idps::let_in(&boss, bench.customer, waits).await.unwrap();
}

async fn a_trusted_providers_word_is_a_second_factor(bench: Bench) {
    let provider = bench.provider(IdpSettings::default()).await;
    bench.mfa(bench.customer, MfaPolicy::Required).await;
    let two = json!({ "amr": ["pwd", "otp"] });
    let (_, signed_in) = whole(provider.sign_in(&bench, EMAIL, ann_says(two.clone())).await);
    assert_eq!(signed_in.limited_to, "enrol", "its word does not count yet");
    let trusted = IdpSettings { trusted_for_mfa: true, mfa_contexts: vec!["gold".into()], ..IdpSettings::default() };
    bench.set_idp(&provider, trusted, true).await.unwrap();
    let check = async |claims: Value, want: &str| {
        let (secret, signed_in) = whole(provider.sign_in(&bench, EMAIL, ann_says(claims.clone())).await);
        assert_eq!(signed_in.limited_to, want, "{claims}");
        assert_eq!(bench.live(&secret).await.unwrap().limited_to, want, "{claims}, with the next click");
    };
    check(two, "").await;
    check(json!({ "acr": "gold" }), "").await;
    check(json!({ "acr": "silver", "amr": ["pwd"] }), "enrol").await;
    check(json!({ "amr": ["pwd", "sms"] }), "enrol").await;
    // Whoever has a factor here is asked for it when the provider saw none.
    let (secret, signed_in) = whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await);
    bench.add_app(&secret, &signed_in).await;
    let half = provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await.unwrap();
    assert!(matches!(half, Finished::SignIn(Begun::Half(_))));
    whole(provider.sign_in(&bench, EMAIL, ann_says(json!({ "amr": ["mfa"] }))).await);
}

async fn a_provider_that_is_off_shuts_its_people_out(bench: Bench) {
    let provider = bench.provider(IdpSettings::default()).await;
    let (secret, signed_in) = whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await);
    let (_, token) = tokens::create(&signed_in.cx, NewToken::whole("t", 30)).await.unwrap();
    let works = async || (bench.live(&secret).await.is_ok(), by_token(&bench.app, &token, &nowhere()).await.is_ok());
    assert_eq!(works().await, (true, true));
    let started = {
        let route = sso::route(&bench.app, EMAIL).await.unwrap().unwrap();
        sso::begin(&bench.app, &route, EMAIL, CALLBACK).await.unwrap()
    };
    let query = provider.visit(&started.url, ann_says(json!({})));
    bench.set_idp(&provider, IdpSettings::default(), false).await.unwrap();
    assert_eq!(works().await, (false, false));
    assert!(sso::route(&bench.app, EMAIL).await.unwrap().is_none());
    assert!(sso::finish(&bench.app, &started.secret, &query, &nowhere(), None).await.is_err(), "nor who is on his way");
    bench.set_idp(&provider, IdpSettings::default(), true).await.unwrap();
    assert_eq!(works().await, (true, true));
    idps::delete(&bench.boss().await, bench.customer).await.unwrap();
    assert_eq!(works().await, (false, false), "for good");
    assert_eq!(bench.audited(bench.customer, "idp.delete").await, 1);
}

async fn a_sync_keeps_the_last_admin(bench: Bench) {
    let admins = bench.group(bench.customer, "Admins", Some(Builtin::OrganizationAdmin)).await;
    let provider = bench.provider(mapping("groups", &[("admins", admins)])).await;
    let (_, signed_in) = whole(provider.sign_in(&bench, EMAIL, ann_says(json!({ "groups": ["admins"] }))).await);
    let is_admin = async || bench.groups_of(signed_in.user.id).await.len() == 1;
    whole(provider.sign_in(&bench, EMAIL, ann_says(json!({ "groups": [] }))).await);
    assert!(is_admin().await, "the last one stays");
    assert_eq!(bench.audited(bench.customer, "idp.last_admin_held").await, 1);
    let off = bench.set_idp(&provider, IdpSettings::default(), false).await.unwrap_err();
    assert_eq!(off.code, Some("last_organization_admin"), "he could not sign in any more");
    assert_eq!(
        idps::delete(&bench.boss().await, bench.customer).await.unwrap_err().code,
        Some("last_organization_admin")
    );
    bench.person(bench.customer, "second", Builtin::OrganizationAdmin).await;
    whole(provider.sign_in(&bench, EMAIL, ann_says(json!({ "groups": [] }))).await);
    assert!(!is_admin().await, "with another one, he goes");
    idps::delete(&bench.boss().await, bench.customer).await.unwrap();
}

async fn enforced_sign_in_leaves_a_way_back(bench: Bench) {
    let (_, _, ann) = bench.ann().await;
    let provider = bench.required_provider().await;
    let shut = sign_in(&bench.app, EMAIL, PASSWORD).await.map(drop).unwrap_err();
    assert_eq!(shut.code, Some("sso_required"));
    assert_eq!(begin(&bench.app, EMAIL, "wrong", &nowhere()).await.map(drop).unwrap_err().code, None);
    // A provider of one's own below, required or not or off, opens no door that is shut above.
    for active in [true, false] {
        let own = NewIdp {
            name: "Red's".into(),
            issuer: "http://127.0.0.1:1".into(),
            client_id: "meterhouse".into(),
            client_secret: None,
            settings: IdpSettings::default(),
            active,
        };
        idps::put(&bench.boss().await, bench.red, own).await.unwrap();
        let shut = sign_in(&bench.app, EMAIL, PASSWORD).await.map(drop).unwrap_err();
        assert_eq!((shut.code, shut.text.contains("Red's")), (Some("sso_required"), active), "{}", shut.text);
    }
    idps::delete(&bench.boss().await, bench.red).await.unwrap();
    whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await);
    assert!(sign_in(&bench.app, "admin@example.com", PASSWORD).await.is_ok(), "above it nothing changes");
    // At the top it wants an account for emergencies first.
    let (boss, root) = (bench.boss().await, bench.cx.realm.root());
    let new = NewIdp {
        name: "Top".into(),
        issuer: provider.issuer.clone(),
        client_id: "meterhouse".into(),
        client_secret: None,
        settings: IdpSettings { enforced: true, ..IdpSettings::default() },
        active: true,
    };
    let free = NewIdp { settings: IdpSettings::default(), ..new.clone() };
    let top = idps::put(&boss, root, free).await.unwrap().id;
    assert_eq!(idps::put(&boss, root, new.clone()).await.unwrap_err().code, Some("sign_in_first"));
    let (_, fay) = bench.person_without_sign_in(root, "fay", Builtin::OrganizationAdmin).await;
    bench.execute(&format!(
        "insert into idp_identity (realm_id, idp_id, subject, user_id, created_us, seen_us)
         select realm_id, '{top}', 'fay', '{fay}', {now}, {now} from user_account where user_id = '{fay}'",
        now = bench.world_now()
    ));
    let asked = idps::put(&boss, root, new.clone()).await.unwrap_err();
    assert_eq!(asked.code, Some("break_glass_required"));
    let below = idps::set_emergency(&boss, bench.customer, ann, true).await.unwrap_err();
    assert_eq!(below.field, "org", "{}", below.text);
    assert_eq!(idps::set_emergency(&boss, root, ann, true).await.unwrap_err().kind, Kind::Conflict, "a member is none");
    let admin = bench.cx.user();
    let bare = idps::set_emergency(&boss, root, admin, true).await.unwrap_err();
    assert!(bare.text.contains("a second factor"), "{}", bare.text);
    let (secret, signed_in) = sign_in(&bench.app, "admin@example.com", PASSWORD).await.unwrap();
    let (_, totp) = bench.add_app(&secret, &signed_in).await;
    // Somebody who holds less than an admin marks nobody.
    let (_, editor) = bench.person_without_sign_in(root, "editor", Builtin::OrganizationEditor).await;
    let by_editor = idps::set_emergency(&bench.fresh(editor).await, root, admin, true).await.unwrap_err();
    assert_eq!(by_editor.kind, Kind::Forbidden, "{}", by_editor.text);
    let boss = bench.boss().await;
    idps::set_emergency(&boss, root, admin, true).await.unwrap();
    assert_eq!(bench.audited(root, "break_glass.set").await, 1);
    idps::put(&boss, root, new).await.unwrap();
    let code = bench.next_code(&totp);
    assert!(sign_in_with(&bench.app, ("admin@example.com", PASSWORD), &code, &nowhere()).await.is_ok());
    assert_eq!(bench.audited(root, "break_glass.use").await, 1, "and each use is an alarm");
    let boss = bench.boss().await;
    // The last such account stays one, in whatever way it would be lost.
    let (_, second) = bench.person_without_sign_in(root, "second", Builtin::OrganizationAdmin).await;
    assert_eq!(idps::set_emergency(&boss, root, admin, false).await.unwrap_err().code, Some("break_glass_required"));
    let gone = people::set_suspended(&bench.fresh(second).await, admin, true).await.unwrap_err();
    assert_eq!(gone.code, Some("break_glass_required"));
    let all = idps::emergencies(&boss, root).await.unwrap();
    let marked: Vec<_> = all.iter().filter(|found| found.is_marked).map(|found| found.user).collect();
    assert_eq!((all.len(), marked), (3, vec![admin]));
    assert_eq!(all.iter().find(|found| found.user == second).unwrap().lacks, "a second factor");
    for (at, name) in ["b", "c", "d"].into_iter().enumerate() {
        let (_, user) = bench.person_without_sign_in(root, name, Builtin::OrganizationAdmin).await;
        bench.execute(&format!(
            "insert into second_factor (realm_id, user_id, factor_id, kind, name, secret_sealed, public_json,
                                        credential_hash, confirmed, counter, created_us)
             select realm_id, '{user}', '{}', kind, name, secret_sealed, public_json, credential_hash, 1, 0, 1
               from second_factor where user_id = '{admin}'",
            base::FactorId(at as u128)
        ));
        let done = idps::set_emergency(&bench.boss().await, root, user, true).await;
        assert_eq!(done.is_ok(), at < 2, "three at most: {done:?}");
    }
}

impl Bench {
    async fn person_without_sign_in(&self, org: OrgId, name: &str, policy: Builtin) -> (String, UserId) {
        let email = format!("{name}@example.com");
        let policy = PolicyRef::Builtin(policy);
        let user = people::add(&self.boss().await, org, &email, name, policy, Some(PASSWORD)).await.unwrap();
        (email, user)
    }
}

async fn a_proof_at_the_provider_is_fresh(bench: Bench) {
    let provider = bench.provider(IdpSettings::default()).await;
    let (secret, _) = whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await);
    bench.wait(20 * MINUTE_US);
    let signed_in = bench.live(&secret).await.unwrap();
    let prove = async |claims: Value| {
        let started = sso::begin_proof(&signed_in, CALLBACK, "/me/factors").await.unwrap();
        assert!(started.url.contains("max_age=0"), "{}", started.url);
        let query = provider.visit(&started.url, claims);
        sso::finish(&bench.app, &started.secret, &query, &nowhere(), Some((&signed_in, &secret))).await
    };
    let old = ann_says(json!({ "auth_time": (provider.now_s)() - 1_000 }));
    assert!(refused(prove(old).await).text.contains("auth_time"));
    assert_eq!(refused(prove(ann_says(json!({ "sub": "bob" }))).await).kind, Kind::Forbidden);
    match prove(ann_says(json!({}))).await.unwrap() {
        Finished::Proved(fresh, next) => {
            assert_eq!(next, "/me/factors");
            assert!(bench.live(&secret).await.is_err() && bench.live(&fresh).await.is_ok());
        }
        Finished::SignIn(_) => panic!("no sign-in was begun"),
    }
}

/// A user of Red's or the customer's directory, as the directory tells him.
fn provisioned(email: &str) -> Vec<u8> {
    json!({ "userName": email, "displayName": "Ann Example", "active": true,
            "emails": [{ "value": email, "type": "work", "primary": true }] })
    .to_string()
    .into_bytes()
}

fn parse_id(value: &Value) -> UserId {
    value["id"].as_str().unwrap().parse().unwrap()
}

impl Bench {
    async fn people_of_tree(&self) -> usize {
        people::names(&self.boss().await, self.cx.realm.root()).await.unwrap().len()
    }
}

async fn who_was_provisioned_and_signs_in_is_one_person(bench: Bench) {
    let provider = Provider::start(&bench).await;
    bench.set_idp(&provider, IdpSettings::default(), true).await.unwrap();
    let (directory, below) = (bench.directory(bench.customer).await, bench.directory(bench.red).await);
    // Before the domain is anybody's, a directory gets accounts that wait, without address.
    let ann = parse_id(&directory.create_user(&provisioned(EMAIL)).await.unwrap());
    let staff = directory.create_group(br#"{"displayName":"Staff"}"#).await.unwrap();
    let add = json!({ "Operations": [{ "op": "add", "path": "members", "value": [{ "value": ann }] }] }).to_string();
    directory.patch_group(staff["id"].as_str().unwrap(), add.as_bytes()).await.unwrap();
    let twin = parse_id(&below.create_user(&provisioned("ANN@example.com")).await.unwrap());
    let off = parse_id(&directory.create_user(&provisioned("off@example.com")).await.unwrap());
    let inactive = json!({ "Operations": [{ "op": "replace", "path": "active", "value": false }] }).to_string();
    directory.patch_user(&off.to_string(), inactive.as_bytes()).await.unwrap();
    assert!(bench.known_as(EMAIL).await.is_none());
    bench.claim_verified("example.com").await;
    let (_, signed_in) = whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await);
    assert!([ann, twin].contains(&signed_in.user.id), "nobody is made anew");
    assert_eq!(signed_in.user.email, EMAIL);
    assert_eq!(bench.groups_of(signed_in.user.id).await, [("Staff".to_owned(), "scim".to_owned())]);
    assert_eq!(orgs::mine(&bench.fresh(signed_in.user.id).await).await.unwrap().len(), 2, "both memberships are his");
    // Both directories go on speaking of him by the ids they know.
    for (directory, id) in [(&directory, ann), (&below, twin)] {
        let said = directory.user(&id.to_string(), &app::scim::Asked::default()).await.unwrap();
        assert_eq!(said["active"], true);
    }
    let again = whole(provider.sign_in(&bench, EMAIL, ann_says(json!({}))).await).1.user.id;
    assert_eq!(again, signed_in.user.id);
    // Provisioned with the address, as the domain is shown to be the organisation's.
    let bob = parse_id(&directory.create_user(&provisioned("bob@example.com")).await.unwrap());
    let bob_says = json!({ "sub": "bob", "email": "bob@example.com", "email_verified": true });
    assert_eq!(whole(provider.sign_in(&bench, EMAIL, bob_says.clone()).await).1.user.id, bob);
    // Whom the directory switched off stays out, and does not begin anew as somebody who waits.
    let off_says = json!({ "sub": "off", "email": "off@example.com", "email_verified": true });
    let refusal = refused(provider.sign_in(&bench, EMAIL, off_says.clone()).await);
    assert_eq!((refusal.kind, refusal.code), (Kind::Unauthenticated, None), "{}", refusal.text);
    directory.patch_user(&bob.to_string(), inactive.as_bytes()).await.unwrap();
    assert_eq!(refused(provider.sign_in(&bench, EMAIL, bob_says).await).kind, Kind::Unauthenticated);
    assert!(idps::pending(&bench.boss().await, bench.customer).await.unwrap().is_empty());
    directory.patch_user(&off.to_string(), inactive.replace("false", "true").as_bytes()).await.unwrap();
    assert_eq!(whole(provider.sign_in(&bench, EMAIL, off_says).await).1.user.id, off);
}

async fn who_is_let_in_becomes_whom_the_directory_made(bench: Bench) {
    let provider = bench.provider(IdpSettings::default()).await;
    let directory = bench.directory(bench.customer).await;
    let unverified = |name: &str| json!({ "sub": name, "email": format!("{name}@example.com"), "name": name });
    let ann = parse_id(&directory.create_user(&provisioned(EMAIL)).await.unwrap());
    let ann_says = unverified("ann");
    assert_eq!(refused(provider.sign_in(&bench, EMAIL, ann_says.clone()).await).code, Some("pending"));
    let waits = idps::pending(&bench.boss().await, bench.customer).await.unwrap();
    assert_eq!((waits.len(), waits[0].description.as_str()), (1, EMAIL));
    let people = bench.people_of_tree().await;
    assert_eq!(idps::let_in(&bench.boss().await, bench.customer, waits[0].id).await.unwrap(), ann);
    assert_eq!(whole(provider.sign_in(&bench, EMAIL, ann_says).await).1.user.id, ann);
    assert_eq!(bench.people_of_tree().await, people - 1, "one person where two were listed");
    // Nobody lets somebody into more than he could give himself.
    let head = parse_id(&directory.create_user(&provisioned("head@example.com")).await.unwrap());
    let admins = bench.group(bench.customer, "Heads", Some(Builtin::OrganizationAdmin)).await;
    groups::add_member(&bench.boss().await, bench.customer, admins, head).await.unwrap();
    let (_, clerk) = bench.person(bench.customer, "clerk", Builtin::OrganizationEditor).await;
    assert_eq!(refused(provider.sign_in(&bench, EMAIL, unverified("head")).await).code, Some("pending"));
    let waits = idps::pending(&bench.boss().await, bench.customer).await.unwrap();
    assert_eq!(waits.len(), 1);
    let clerk = bench.fresh(clerk).await;
    assert_eq!(idps::let_in(&clerk, bench.customer, waits[0].id).await.unwrap_err().kind, Kind::Forbidden);
    // Somebody who is turned away may ask again; somebody who waits elsewhere is unknown here.
    assert_eq!(idps::turn_away(&bench.boss().await, bench.red, waits[0].id).await.unwrap_err().kind, Kind::NotFound);
    idps::turn_away(&bench.boss().await, bench.customer, waits[0].id).await.unwrap();
    assert!(idps::pending(&bench.boss().await, bench.customer).await.unwrap().is_empty());
    assert_eq!(refused(provider.sign_in(&bench, EMAIL, unverified("head")).await).code, Some("pending"));
    let again = idps::pending(&bench.boss().await, bench.customer).await.unwrap();
    assert!(again.len() == 1 && again[0].id != waits[0].id);
    assert_eq!(idps::let_in(&bench.boss().await, bench.customer, again[0].id).await.unwrap(), head);
}
