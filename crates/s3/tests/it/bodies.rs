//! Plain bodies: right, tampered, truncated, and with header checksums.

use crate::{check, decode, headers};
use http::HeaderMap;
use s3::dates::parse_amz;
use s3::sigv4::{Signer, SigningKeyCache, UNSIGNED_PAYLOAD, sign_headers};

const NOW: &str = "20260102T030405Z";

/// Signs a PUT with these headers and runs `body` through the decoder; gives the error code.
fn run(payload_hash: &str, lines: &[(&str, &str)], body: &str) -> Result<(), &'static str> {
    let now_us = parse_amz(NOW).unwrap();
    let cache = SigningKeyCache::default();
    let signer = Signer { access_key_id: crate::KEY_ID, secret: crate::SECRET, region: "r", now_us, cache: &cache };
    let mut all: HeaderMap = headers(lines);
    all.insert("host", "gw".parse().unwrap());
    sign_headers(&signer, "PUT", "/b/k", &mut all, payload_hash).unwrap();
    let verified = check("PUT", "/b/k", &all, now_us).unwrap();
    decode(&verified, &all, body.as_bytes(), 4).map(|_| ()).map_err(|error| error.code)
}

#[test]
fn plain_bodies() {
    let length = ("content-length", "9");
    assert_eq!(run(UNSIGNED_PAYLOAD, &[length], "123456789"), Ok(()));
    assert_eq!(run(UNSIGNED_PAYLOAD, &[length], "12345678"), Err("IncompleteBody"));
    assert_eq!(run(UNSIGNED_PAYLOAD, &[length], "1234567890"), Err("IncompleteBody"));
    let hash = s3::names::sha256_hex(b"123456789");
    assert_eq!(run(&hash, &[length], "123456789"), Ok(()));
    assert_eq!(run(&hash.to_ascii_uppercase(), &[length], "123456789"), Ok(()));
    assert_eq!(run(&hash, &[length], "123456780"), Err("XAmzContentSHA256Mismatch"));
}

#[test]
fn header_checksums() {
    let length = ("content-length", "9");
    for (name, value) in [
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ("x-amz-checksum-crc32c", "4waSgw=="),
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
        ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
    ] {
        assert_eq!(run(UNSIGNED_PAYLOAD, &[length, (name, value)], "123456780"), Err("BadDigest"), "{name}");
    }
    assert_eq!(run(UNSIGNED_PAYLOAD, &[length, ("x-amz-checksum-crc32", "y/Q5Jg==")], "123456789"), Ok(()));
    assert_eq!(
        run(UNSIGNED_PAYLOAD, &[length, ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE=")], "123456789"),
        Ok(())
    );
    assert_eq!(run(UNSIGNED_PAYLOAD, &[length, ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")], "123456789"), Ok(()));
    assert_eq!(run(UNSIGNED_PAYLOAD, &[length, ("content-md5", "YWJj")], "123456789"), Err("InvalidDigest"));
    assert_eq!(run(UNSIGNED_PAYLOAD, &[length, ("x-amz-checksum-crc32", "AA")], "123456789"), Err("InvalidRequest"));
}

#[test]
fn framed_bodies_need_a_decoded_length() {
    assert_eq!(run("STREAMING-UNSIGNED-PAYLOAD-TRAILER", &[], "0\r\n\r\n"), Err("MissingContentLength"));
    assert_eq!(
        run("STREAMING-UNSIGNED-PAYLOAD-TRAILER", &[("x-amz-decoded-content-length", "0")], "0\r\n\r\n"),
        Ok(())
    );
    assert_eq!(
        run("STREAMING-UNSIGNED-PAYLOAD-TRAILER", &[("x-amz-decoded-content-length", "x")], "0\r\n\r\n"),
        Err("InvalidArgument")
    );
}
