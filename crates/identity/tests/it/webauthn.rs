//! Passkeys, against a software authenticator whose every part can be bent.

use crate::keys::{ALL, TestKey, cbor};
use ciborium::Value as Cbor;
use data_encoding::BASE64URL_NOPAD;
use identity::webauthn::{
    Account, AuthenticationAnswer, Expected, Passkey, RelyingParty, SignedIn, WebauthnError, creation_options,
    request_options, verify_registration,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const CHALLENGE: [u8; 32] = [7; 32];
const HANDLE: &[u8] = b"a random handle";
const UP: u8 = 0x01;
const UV: u8 = 0x04;
const BE: u8 = 0x08;
const BS: u8 = 0x10;
const AT: u8 = 0x40;
const ED: u8 = 0x80;

/// What an honest device sends; tests change one thing each.
#[derive(Clone)]
struct Device {
    key: TestKey,
    kind: &'static str,
    challenge: Vec<u8>,
    origin: String,
    cross_origin: bool,
    rp_id: String,
    flags: u8,
    sign_count: u32,
    id: Vec<u8>,
    raw_id: Vec<u8>,
    handle: Option<Vec<u8>>,
    key_cose: Vec<u8>,
    behind: Vec<u8>,
    format: &'static str,
    flip_signature: bool,
    answer_kind: &'static str,
}

fn device(key: TestKey) -> Device {
    Device {
        key,
        kind: "webauthn.create",
        challenge: CHALLENGE.to_vec(),
        origin: "https://meter.example:8443".to_owned(),
        cross_origin: false,
        rp_id: "meter.example".to_owned(),
        flags: UP | UV | BE | BS,
        sign_count: 0,
        id: b"credential one".to_vec(),
        raw_id: b"credential one".to_vec(),
        handle: Some(HANDLE.to_vec()),
        key_cose: key.cose(),
        behind: Vec::new(),
        format: "none",
        flip_signature: false,
        answer_kind: "public-key",
    }
}

impl Device {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn client_data(&self) -> Vec<u8> {
        let challenge = BASE64URL_NOPAD.encode(&self.challenge);
        json!({ "type": self.kind, "challenge": challenge, "origin": self.origin, "crossOrigin": self.cross_origin, "other_keys_can_be_added_here": 1 })
            .to_string()
            .into_bytes()
    }

    fn authenticator_data(&self, with_credential: bool) -> Vec<u8> {
        let mut data = Sha256::digest(self.rp_id.as_bytes()).to_vec();
        data.push(self.flags | if with_credential { AT } else { 0 });
        data.extend(self.sign_count.to_be_bytes());
        if with_credential {
            data.extend([0; 16]);
            data.extend((self.id.len() as u16).to_be_bytes());
            data.extend(&self.id);
            data.extend(&self.key_cose);
        }
        data.extend(&self.behind);
        data
    }

    fn answer(&self, response: Value) -> String {
        let id = BASE64URL_NOPAD.encode(&self.raw_id);
        json!({ "id": id, "rawId": id, "type": self.answer_kind, "response": response, "clientExtensionResults": {} })
            .to_string()
    }

    fn created_with(&self, data: &[u8]) -> String {
        let statement = match self.format {
            "none" => vec![],
            _ => vec![(Cbor::from("alg"), Cbor::from(-7)), (Cbor::from("sig"), Cbor::Bytes(vec![1; 70]))],
        };
        let object = cbor(&Cbor::Map(vec![
            (Cbor::from("fmt"), Cbor::from(self.format)),
            (Cbor::from("attStmt"), Cbor::Map(statement)),
            (Cbor::from("authData"), Cbor::Bytes(data.to_vec())),
        ]));
        self.answer(json!({
            "clientDataJSON": BASE64URL_NOPAD.encode(&self.client_data()),
            "attestationObject": BASE64URL_NOPAD.encode(&object),
            "transports": ["internal", "hybrid", "telepathy"],
        }))
    }

    fn created(&self) -> String {
        self.created_with(&self.authenticator_data(true))
    }

    fn asserted(&self) -> String {
        let (data, client_data) = (self.authenticator_data(false), self.client_data());
        let mut signature = self.key.sign_der(&[&data[..], &Sha256::digest(&client_data)[..]].concat());
        if self.flip_signature {
            *signature.last_mut().unwrap() ^= 1;
        }
        let mut response = json!({
            "clientDataJSON": BASE64URL_NOPAD.encode(&client_data),
            "authenticatorData": BASE64URL_NOPAD.encode(&data),
            "signature": BASE64URL_NOPAD.encode(&signature),
            "userHandle": null,
        });
        if let Some(handle) = &self.handle {
            response["userHandle"] = json!(BASE64URL_NOPAD.encode(handle));
        }
        self.answer(response)
    }
}

fn party() -> RelyingParty {
    RelyingParty::new("https://meter.example:8443/console", "Meterhouse").unwrap()
}

fn register_with(answer: &str, verification_required: bool) -> Result<Passkey, WebauthnError> {
    let party = party();
    verify_registration(&Expected { party: &party, challenge: &CHALLENGE, verification_required }, answer)
}

fn register(device: &Device) -> Result<Passkey, WebauthnError> {
    register_with(&device.created(), true)
}

fn sign_in_with(answer: &str, passkey: &Passkey, handle_required: bool) -> Result<SignedIn, WebauthnError> {
    let party = party();
    let expected = Expected { party: &party, challenge: &CHALLENGE, verification_required: true };
    AuthenticationAnswer::read(answer)?.verify(&expected, passkey, HANDLE, handle_required)
}

fn sign_in(device: &Device, passkey: &Passkey) -> Result<SignedIn, WebauthnError> {
    sign_in_with(&device.asserted(), passkey, true)
}

fn refused<T: std::fmt::Debug>(got: Result<T, WebauthnError>, want: &str) {
    let text = got.expect_err(want).to_string();
    assert!(text.contains(want), "{text:?} should say {want:?}");
}

#[test]
fn a_passkey_is_made_and_signs_in() {
    for key in ALL {
        let passkey = register(&device(key)).unwrap();
        assert_eq!(passkey.id, b"credential one");
        assert_eq!(passkey.transports, ["internal", "hybrid"]);
        assert!(passkey.backup_eligible && passkey.backed_up && passkey.user_verified);
        let got = sign_in(&device(key).with(|device| device.kind = "webauthn.get"), &passkey).unwrap();
        assert_eq!(got, SignedIn { sign_count: 0, user_verified: true, backed_up: true });
    }
}

#[test]
fn the_answer_may_come_in_base64url() {
    let answer = BASE64URL_NOPAD.encode(device(TestKey::Es256).created().as_bytes());
    let passkey = register_with(&answer, true).unwrap();
    let get = device(TestKey::Es256).with(|device| device.kind = "webauthn.get");
    assert!(sign_in_with(&BASE64URL_NOPAD.encode(get.asserted().as_bytes()), &passkey, true).is_ok());
}

/// What `passkeys.js` sent from Chromium 156 with its virtual authenticator, first a registration, then a
/// sign-in.
#[test]
fn answers_of_a_real_browser() {
    let mut lines = include_str!("fixtures/chromium.txt").lines();
    let (created, asserted) = (lines.next().unwrap(), lines.next().unwrap());
    let party = RelyingParty::new("http://localhost:40341", "Meterhouse").unwrap();
    let expected = Expected { party: &party, challenge: &CHALLENGE, verification_required: true };
    let passkey = verify_registration(&expected, created).unwrap();
    assert_eq!((passkey.id.len(), passkey.sign_count, passkey.backup_eligible), (32, 1, false));
    let answer = AuthenticationAnswer::read(asserted).unwrap();
    assert_eq!(answer.user_handle(), Some(b"a handle".as_slice()));
    let got = answer.verify(&expected, &passkey, b"a handle", true);
    assert_eq!(got, Ok(SignedIn { sign_count: 2, user_verified: true, backed_up: false }));
}

#[test]
fn registrations_that_are_refused() {
    let check = |change: fn(&mut Device), want: &str| refused(register(&device(TestKey::Es256).with(change)), want);
    check(|device| device.kind = "webauthn.get", "is not webauthn.create");
    check(|device| device.challenge[31] ^= 1, "challenge is not the one");
    check(|device| device.challenge.clear(), "challenge is not the one");
    check(|device| device.origin = "https://evil.example".into(), r#"origin "https://evil.example" is not"#);
    check(|device| device.origin = "https://meter.example".into(), "is not https://meter.example:8443");
    check(|device| device.origin = "http://meter.example:8443".into(), "origin");
    check(|device| device.cross_origin = true, "frame in a foreign page");
    check(|device| device.rp_id = "evil.example".into(), "belongs to another site");
    check(|device| device.flags = UV, "without touching");
    check(|device| device.flags = UP, "fingerprint");
    check(|device| device.flags = UP | UV | BS, "not eligible for backup");
    check(|device| device.raw_id = b"credential two".to_vec(), "differs between");
    check(|device| device.id.clear(), "outside 1 to 1023 bytes");
    check(|device| device.id = vec![1; 1_024], "outside 1 to 1023 bytes");
    check(|device| device.behind = vec![0], "bytes behind its end");
    check(|device| device.flags |= ED, "extensions is broken CBOR");
    check(|device| device.answer_kind = "password", "is not public-key");
    check(|device| device.key_cose = vec![0xa0], "is not one of ES256");
    check(|device| device.key_cose = b"\xa2\x01\x02\x01\x02".to_vec(), "names a label twice");
    check(|device| device.key_cose = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x41\x01\x22\x41\x01".to_vec(), "32 bytes");
    check(|device| device.key_cose = b"\xa4\x01\x03\x03\x39\x01\x00\x20\x41\x01\x21\x41\x03".to_vec(), "2048 to 8192");
    check(|device| device.key_cose = vec![0xff; 10], "broken CBOR");
    check(|device| device.key_cose = b"\xa1\x63abc\x01".to_vec(), "is not one of ES256");
    check(|device| device.key_cose = vec![0x01], "map of a few entries");
    check(|device| device.key_cose = vec![0x81; 5_000], "broken CBOR"); // lists in lists
    check(|device| device.key_cose = b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(), "broken CBOR");
    check(|device| device.key_cose = b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(), "broken CBOR");
}

#[test]
fn registrations_that_are_taken() {
    let check = |change: fn(&mut Device)| register(&device(TestKey::Es256).with(change)).unwrap();
    check(|device| {
        device.id = vec![1; 1_023];
        device.raw_id = vec![1; 1_023];
    });
    check(|device| device.format = "packed"); // the statement is not looked at
    check(|device| {
        device.flags |= ED;
        device.behind = b"\xa1\x6bcredProtect\x02".to_vec();
    });
    let party = party();
    let expected = Expected { party: &party, challenge: &CHALLENGE, verification_required: false };
    let plain = device(TestKey::Es256).with(|device| device.flags = UP).created();
    assert!(!verify_registration(&expected, &plain).unwrap().user_verified);
}

#[test]
fn sign_ins_that_are_refused() {
    for key in ALL {
        let passkey = register(&device(key)).unwrap();
        let check = |change: fn(&mut Device), want: &str| {
            let device = device(key).with(|device| device.kind = "webauthn.get").with(change);
            refused(sign_in(&device, &passkey), want);
        };
        check(|device| device.kind = "webauthn.create", "is not webauthn.get");
        check(|device| device.challenge = vec![8; 32], "challenge is not the one");
        check(|device| device.origin = "https://evil.example".into(), "origin");
        check(|device| device.cross_origin = true, "frame in a foreign page");
        check(|device| device.rp_id = "evil.example".into(), "belongs to another site");
        check(|device| device.flags = UV | BE, "without touching");
        check(|device| device.flags = UP | BE, "fingerprint");
        check(|device| device.flags = UP | UV, "changed whether it may be backed up");
        check(|device| device.flip_signature = true, "signature is not that of the passkey");
        check(|device| device.raw_id = b"credential two".to_vec(), "credential id is not that");
        check(|device| device.handle = Some(b"somebody else".to_vec()), "user handle is not that");
        check(|device| device.handle = None, "user handle is not that");
        check(|device| device.behind = vec![0], "bytes behind its end");
    }
}

#[test]
fn a_signature_of_another_key_is_refused() {
    let passkey = register(&device(TestKey::Es256)).unwrap();
    let get = device(TestKey::EdDsa).with(|device| device.kind = "webauthn.get");
    refused(sign_in(&get, &passkey), "signature");
}

/// Every bit of the signed parts counts.
#[test]
fn tampered_parts_are_refused() {
    let passkey = register(&device(TestKey::EdDsa)).unwrap();
    let good: Value =
        serde_json::from_str(&device(TestKey::EdDsa).with(|device| device.kind = "webauthn.get").asserted()).unwrap();
    for part in ["authenticatorData", "clientDataJSON", "signature"] {
        let bytes = BASE64URL_NOPAD.decode(good["response"][part].as_str().unwrap().as_bytes()).unwrap();
        for at in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[at] ^= 0x10;
            let mut answer = good.clone();
            answer["response"][part] = json!(BASE64URL_NOPAD.encode(&bent));
            assert!(sign_in_with(&answer.to_string(), &passkey, true).is_err(), "{part} at {at}");
        }
    }
    assert!(sign_in_with(&good.to_string(), &passkey, true).is_ok());
}

#[test]
fn a_known_person_needs_no_handle() {
    let passkey = register(&device(TestKey::Es256)).unwrap();
    let get = device(TestKey::Es256).with(|device| device.kind = "webauthn.get").with(|device| device.handle = None);
    assert!(sign_in_with(&get.asserted(), &passkey, false).is_ok());
    let foreign = get.with(|device| device.handle = Some(b"somebody else".to_vec()));
    refused(sign_in_with(&foreign.asserted(), &passkey, false), "user handle");
}

/// Stored counter, sent counter.
#[test]
fn the_counter_must_grow() {
    let check = |stored, sent, good: bool| {
        let passkey = Passkey { sign_count: stored, ..register(&device(TestKey::Es256)).unwrap() };
        let get =
            device(TestKey::Es256).with(|device| device.kind = "webauthn.get").with(|device| device.sign_count = sent);
        let got = sign_in(&get, &passkey);
        match got {
            Ok(got) => assert!(good && got.sign_count == sent, "{stored} {sent}"),
            Err(error) => assert!(!good && error == WebauthnError::CounterFell { stored, sent }, "{stored} {sent}"),
        }
    };
    check(0, 0, true);
    check(0, 1, true);
    check(5, 6, true);
    check(5, 500, true);
    check(5, 5, false);
    check(5, 4, false);
    check(5, 0, false);
    check(u32::MAX, 0, false);
}

/// A forged counter cannot raise the alarm: the signature is looked at first.
#[test]
fn a_forged_counter_is_no_alarm() {
    let passkey = Passkey { sign_count: 9, ..register(&device(TestKey::Es256)).unwrap() };
    let get =
        device(TestKey::Es256).with(|device| device.kind = "webauthn.get").with(|device| device.flip_signature = true);
    refused(sign_in(&get, &passkey), "signature");
}

#[test]
fn cut_answers_are_errors() {
    let device = device(TestKey::Rs256);
    let data = device.authenticator_data(true);
    for length in 0..data.len() {
        assert!(register_with(&device.created_with(&data[..length]), true).is_err(), "{length}");
    }
    for text in ["", "{}", "[]", "null", "%%%", "{\"rawId\":\"AA\",\"type\":\"public-key\"}", &"a".repeat(70_000)] {
        assert!(register_with(text, true).is_err());
        assert!(AuthenticationAnswer::read(text).is_err());
    }
}

#[test]
fn relying_parties() {
    let check = |url: &str, want: Option<(&str, &str)>| {
        let got = RelyingParty::new(url, "x").ok();
        let got = got.as_ref().map(|party| (party.id.as_str(), party.origin.as_str()));
        assert_eq!(got, want, "{url}");
    };
    check("https://Meter.Example/", Some(("meter.example", "https://meter.example")));
    check("https://meter.example:443", Some(("meter.example", "https://meter.example")));
    check("http://localhost:8080", Some(("localhost", "http://localhost:8080")));
    check("http://meter.example", None);
    check("http://127.0.0.1:8080", None);
    check("https://8.8.8.8", None);
}

#[test]
fn options_for_the_browser() {
    let known = [b"one".as_slice()];
    let account = Account { handle: HANDLE, name: "ann@example.com", display_name: "Ann" };
    let options = creation_options(&party(), &CHALLENGE, account, known.into_iter(), true).unwrap();
    assert_eq!(options["rp"], json!({ "id": "meter.example", "name": "Meterhouse" }));
    assert_eq!(options["challenge"], BASE64URL_NOPAD.encode(&CHALLENGE));
    assert_eq!(options["excludeCredentials"], json!([{ "type": "public-key", "id": "b25l" }]));
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    let long = Account { handle: &[0; 65], ..account };
    assert!(creation_options(&party(), &CHALLENGE, long, known.into_iter(), true).is_err());
    let options = request_options(&party(), &CHALLENGE, std::iter::empty(), false);
    assert_eq!((&options["rpId"], &options["userVerification"]), (&json!("meter.example"), &json!("preferred")));
    assert_eq!(options["allowCredentials"], json!([]));
}
