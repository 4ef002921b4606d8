//! One-time codes: the vectors of RFC 6238, use once only, provisioning.

use identity::totp::{self, Secret, TotpError};

const S: i64 = 1_000_000;

fn secret() -> Secret {
    Secret::new(*b"12345678901234567890")
}

/// RFC 6238 appendix B, the rows of SHA-1, last six of the eight digits.
#[test]
fn vectors_of_rfc_6238() {
    let check = |time_s: i64, code: &str| {
        assert_eq!(secret().code(totp::step_at(time_s * S)), code);
        assert_eq!(totp::verify(&secret(), code, time_s * S, None), Ok(time_s / 30));
    };
    check(59, "287082");
    check(1_111_111_109, "081804");
    check(1_111_111_111, "050471");
    check(1_234_567_890, "005924");
    check(2_000_000_000, "279037");
    check(20_000_000_000, "353130");
}

/// Second of the code, second of the check, last used step; what comes out.
#[test]
fn window_and_use_once() {
    let check = |made_s: i64, now_s: i64, last: Option<i64>, want: Result<i64, TotpError>| {
        let code = secret().code(totp::step_at(made_s * S));
        assert_eq!(totp::verify(&secret(), &code, now_s * S, last), want, "{made_s} {now_s} {last:?}");
    };
    check(3000, 3000, None, Ok(100));
    check(2970, 3000, None, Ok(99));
    check(3030, 3000, None, Ok(101));
    check(2940, 3000, None, Err(TotpError::Wrong));
    check(3060, 3000, None, Err(TotpError::Wrong));
    check(3000, 3029, Some(99), Ok(100));
    check(3000, 3029, Some(100), Err(TotpError::Used));
    check(2970, 3000, Some(100), Err(TotpError::Used)); // an older step after a newer one
    check(3030, 3000, Some(100), Ok(101));
}

#[test]
fn spellings() {
    let check = |typed: &str, want| assert_eq!(totp::verify(&secret(), typed, 59 * S, None), want, "{typed:?}");
    check("287 082", Ok(1));
    check(" 287-082 ", Ok(1));
    check("28708", Err(TotpError::Malformed));
    check("2870820", Err(TotpError::Malformed));
    check("28708a", Err(TotpError::Malformed));
    check("２８７０８２", Err(TotpError::Malformed));
    check("", Err(TotpError::Malformed));
    check("000000", Err(TotpError::Wrong));
}

#[test]
fn base32_goes_both_ways() {
    assert_eq!(secret().to_base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    assert_eq!(Secret::from_base32("gezd gnbv gy3t qojq gezd gnbv gy3t qojq").unwrap(), secret());
    for wrong in ["", "GEZDGNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQA="] {
        assert!(Secret::from_base32(wrong).is_err(), "{wrong:?}");
    }
    assert_eq!(format!("{:?}", secret()), "Secret(..)");
}

#[test]
fn provisioning_and_its_picture() {
    let uri = secret().provisioning_uri("Meter: house", "ann+1@example.com");
    assert_eq!(
        uri,
        "otpauth://totp/Meter%20%20house:ann%2B1%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
         &issuer=Meter%20%20house&algorithm=SHA1&digits=6&period=30"
    );
    let svg = identity::qr::svg(&uri, "Code for \"Ann\" & <co>").unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
    assert!(svg.contains(r#"aria-label="Code for &quot;Ann&quot; &amp; &lt;co&gt;""#));
    assert!(!svg.contains("style") && svg.len() < 40_000);
    assert!(identity::qr::svg(&"a".repeat(601), "x").is_err());
}
