//! The vectors of the protocol reference, V0 to V6.

use crate::{KEY_ID, SECRET, check, decode, headers};
use http::HeaderMap;
use s3::dates::parse_amz;
use s3::sigv4::{self, Signer, SigningKeyCache, derive_key};

const DATE: &str = "20260102T030405Z";
const HOST: &str = "gw.example.test:9000";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn authorization(date: &str, signed: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={KEY_ID}/{date}/us-east-1/s3/aws4_request, SignedHeaders={signed}, Signature={signature}"
    )
}

/// Verifies a request at its own time, and refuses it with one digit of the signature changed.
fn both_ways(method: &str, target: &str, mut lines: HeaderMap, signed: &str, signature: &str) -> s3::Verified {
    let date = lines.get("x-amz-date").unwrap().to_str().unwrap().to_owned();
    let now_us = parse_amz(&date).unwrap();
    let changed = if signature.starts_with('0') { "1" } else { "0" };
    let wrong = format!("{changed}{}", &signature[1..]);
    lines.insert("authorization", authorization(&date[..8], signed, &wrong).parse().unwrap());
    assert_eq!(check(method, target, &lines, now_us).unwrap_err().code, "SignatureDoesNotMatch");
    lines.insert("authorization", authorization(&date[..8], signed, signature).parse().unwrap());
    assert_eq!(check(method, target, &lines, now_us + 901_000_000).unwrap_err().code, "RequestTimeTooSkewed");
    check(method, target, &lines, now_us).unwrap()
}

#[test]
fn v0_signing_key() {
    let key = derive_key(SECRET, "20260102", "us-east-1");
    assert_eq!(key.to_hex(), "49f1b307aab83b5abd326975d5ae2e1919490bb5151384545276f0b32e2c4012");
}

fn v1_headers() -> HeaderMap {
    headers(&[
        ("host", HOST),
        ("content-type", "text/plain"),
        ("x-amz-content-sha256", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        ("x-amz-date", DATE),
        ("x-amz-meta-note", "  two   spaces "),
    ])
}

const V1_TARGET: &str = "/team-a/q1/a%20b%2Bc/%C3%A9t%C3%A9.txt?tagging";
const V1_SIGNED: &str = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-note";
const V1_SIGNATURE: &str = "32fb6d6d3c835a438f79318950ca4abb9dbe7b8d26726fc5aebe1b5f0155d493";

#[test]
fn v1_header_with_signed_payload() {
    let mut lines = v1_headers();
    lines.insert("content-length", "5".parse().unwrap());
    let verified = both_ways("PUT", V1_TARGET, lines.clone(), V1_SIGNED, V1_SIGNATURE);
    assert_eq!(decode(&verified, &lines, b"hello", 2).unwrap(), b"hello");
    assert_eq!(decode(&verified, &lines, b"hallo", 2).unwrap_err().code, "XAmzContentSHA256Mismatch");
}

#[test]
fn v1_our_signer_agrees() {
    let cache = SigningKeyCache::default();
    let now_us = parse_amz(DATE).unwrap();
    let signer = Signer { access_key_id: KEY_ID, secret: SECRET, region: "us-east-1", now_us, cache: &cache };
    let mut lines = v1_headers();
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let signature = sigv4::sign_headers(&signer, "PUT", V1_TARGET, &mut lines, hash).unwrap();
    assert_eq!(signature, V1_SIGNATURE);
}

#[test]
fn v2_header_list() {
    let lines = headers(&[("host", HOST), ("x-amz-content-sha256", EMPTY), ("x-amz-date", DATE)]);
    let target = "/team-a?list-type=2&prefix=a%2Fb%20c&delimiter=%2F&max-keys=2&start-after=Z~";
    let signature = "3aca750d8826750c9d96edf22cb7d361fe44f79f098fbc36e738a2cca3cd4d6e";
    both_ways("GET", target, lines.clone(), "host;x-amz-content-sha256;x-amz-date", signature);
    // The same request with other spellings of the same names.
    let spelt = "/team-a?list-type=2&prefix=a%2fb+c&delimiter=/&max-keys=2&start-after=Z%7E";
    both_ways("GET", spelt, lines, "host;x-amz-content-sha256;x-amz-date", signature);
}

const V3_TARGET: &str = "/team-a/report%202026.pdf?response-content-disposition=attachment%3B%20filename%3D%22r.pdf%22&versionId=3%2FL4kqtJ&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260102%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=90706041fb3ed7a595b7c76eb279409f6310b41314acc6bcb91ff88236abf929";

#[test]
fn v3_presigned() {
    let now_us = parse_amz(DATE).unwrap();
    let lines = headers(&[("host", HOST)]);
    let code = |target: &str, lines: &HeaderMap, at_us: i64| {
        check("GET", target, lines, at_us).map(|_| ()).map_err(|error| error.code)
    };
    assert_eq!(code(V3_TARGET, &lines, now_us + 3_600_000_000), Ok(()));
    assert_eq!(code(V3_TARGET, &lines, now_us + 3_600_000_001), Err("AccessDenied"));
    assert_eq!(code(V3_TARGET, &lines, now_us - 901_000_000), Err("AccessDenied"));
    assert_eq!(code(&V3_TARGET.replace("Expires=3600", "Expires=3601"), &lines, now_us), Err("SignatureDoesNotMatch"));
    assert_eq!(code(&V3_TARGET.replace("Expires=3600", "Expires=0"), &lines, now_us), Err("AccessDenied"));
    for bad in ["604801", "x", "-1", ""] {
        let target = V3_TARGET.replace("Expires=3600", &format!("Expires={bad}"));
        assert_eq!(code(&target, &lines, now_us), Err("AuthorizationQueryParametersError"), "{bad}");
    }
    let added = headers(&[("host", HOST), ("x-amz-copy-source", "/other/key")]);
    assert_eq!(code(V3_TARGET, &added, now_us), Err("AccessDenied"));
}

#[test]
fn v3_our_signer_agrees() {
    let cache = SigningKeyCache::default();
    let now_us = parse_amz(DATE).unwrap();
    let signer = Signer { access_key_id: KEY_ID, secret: SECRET, region: "us-east-1", now_us, cache: &cache };
    let query = "response-content-disposition=attachment%3B%20filename%3D%22r.pdf%22&versionId=3%2FL4kqtJ";
    assert_eq!(sigv4::presign_url(&signer, "GET", HOST, "/team-a/report%202026.pdf", query, 3_600), V3_TARGET);
}

fn v4_wire(signatures: [&str; 3], trailer: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for (size, signature) in [65_536_usize, 1_024, 0].into_iter().zip(signatures) {
        wire.extend_from_slice(format!("{size:x};chunk-signature={signature}\r\n").as_bytes());
        wire.extend(std::iter::repeat_n(b'a', size));
        if size > 0 {
            wire.extend_from_slice(b"\r\n");
        }
    }
    wire.extend_from_slice(trailer.as_bytes());
    wire
}

#[test]
fn v4_signed_chunks() {
    let lines = headers(&[
        ("host", "s3.amazonaws.com"),
        ("content-encoding", "aws-chunked"),
        ("content-length", "66824"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ]);
    let signed = "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class";
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let verified = both_ways("PUT", "/examplebucket/chunkObject.txt", lines.clone(), signed, seed);
    let signatures = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ];
    let wire = v4_wire(signatures, "\r\n");
    assert_eq!(wire.len(), 66_824);
    for frame_bytes in [1_000_usize, 8_192, 100_000] {
        assert_eq!(decode(&verified, &lines, &wire, frame_bytes).unwrap().len(), 66_560);
    }
    let mut tampered = wire.clone();
    tampered[70_000 - 4_000] ^= 1;
    assert_eq!(decode(&verified, &lines, &tampered, 8_192).unwrap_err().code, "SignatureDoesNotMatch");
    for cut in [wire.len() - 2, wire.len() - 90, 66_000, 10] {
        assert_eq!(decode(&verified, &lines, &wire[..cut], 8_192).unwrap_err().code, "IncompleteBody", "{cut}");
    }
}

fn v5_headers() -> HeaderMap {
    headers(&[
        ("host", "s3.amazonaws.com"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("x-amz-trailer", "x-amz-checksum-crc32c"),
    ])
}

#[test]
fn v5_signed_chunks_and_trailer() {
    let lines = v5_headers();
    let signed = "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer";
    let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let verified = both_ways("PUT", "/examplebucket/chunkObject.txt", lines.clone(), signed, seed);
    let signatures = [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ];
    let signature = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";
    let run = |trailer: &str| {
        decode(&verified, &lines, &v4_wire(signatures, trailer), 8_192)
            .map(|body| body.len())
            .map_err(|error| error.code)
    };
    assert_eq!(
        run(&format!("x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{signature}\r\n\r\n")),
        Ok(66_560)
    );
    // As AWS's own example writes it.
    assert_eq!(
        run(&format!("x-amz-checksum-crc32c:sOO8/Q==\n\r\nx-amz-trailer-signature:{signature}\r\n\r\n")),
        Ok(66_560)
    );
    let zeros = "0".repeat(64);
    assert_eq!(
        run(&format!("x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{zeros}\r\n\r\n")),
        Err("SignatureDoesNotMatch")
    );
    assert_eq!(
        run(&format!("x-amz-checksum-crc32c:sOO8/g==\r\nx-amz-trailer-signature:{signature}\r\n\r\n")),
        Err("SignatureDoesNotMatch")
    );
    assert_eq!(run("x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n"), Err("MalformedTrailerError"));
    assert_eq!(run(&format!("x-amz-trailer-signature:{signature}\r\n\r\n")), Err("MalformedTrailerError"));
    assert_eq!(run("x-amz-meta-evil:1\r\n\r\n"), Err("MalformedTrailerError"));
    assert_eq!(
        run(&format!("x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{signature}")),
        Err("IncompleteBody")
    );
}

#[test]
fn v6_unsigned_trailer() {
    let lines = headers(&[
        ("host", HOST),
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-date", DATE),
        ("x-amz-decoded-content-length", "11"),
        ("x-amz-trailer", "x-amz-checksum-crc64nvme"),
    ]);
    let signed = "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-trailer";
    let signature = "8d09a91aaef68bfe4c3c75d58e8696cef47fdf21c42380d9cbef1602b3b6658b";
    let verified = both_ways("PUT", "/team-a/u.bin", lines.clone(), signed, signature);
    let run = |wire: &str| decode(&verified, &lines, wire.as_bytes(), 3).map_err(|error| error.code);
    let tail = "0\r\nx-amz-checksum-crc64nvme:jSnVw/bqjr4=\r\n\r\n";
    assert_eq!(run(&format!("b\r\nhello world\r\n{tail}")).as_deref(), Ok(&b"hello world"[..]));
    assert_eq!(run(&format!("6\r\nhello \r\n5\r\nworld\r\n{tail}")).as_deref(), Ok(&b"hello world"[..]));
    assert_eq!(run(&format!("b\r\nhellO world\r\n{tail}")), Err("BadDigest"));
    assert_eq!(run(&format!("a\r\nhello worl\r\n{tail}")), Err("IncompleteBody"));
    assert_eq!(run(&format!("c\r\nhello world!\r\n{tail}")), Err("IncompleteBody"));
    assert_eq!(run(&format!("zz\r\nhello world\r\n{tail}")), Err("IncompleteBody"));
    assert_eq!(run("b\r\nhello world\r\n0\r\n\r\n"), Err("MalformedTrailerError"));
    assert_eq!(run("b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"), Err("MalformedTrailerError"));
    assert_eq!(run("b\r\nhello wor"), Err("IncompleteBody"));
}
