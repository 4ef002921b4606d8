//! The checksums that S3 clients send: computing them on the way, and checking the value given.

use crate::error::S3Error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A running checksum.
pub(crate) enum Running {
    Crc32(crc_fast::Digest),
    Crc32c(crc_fast::Digest),
    Crc64Nvme(crc_fast::Digest),
    Sha1(Sha1),
    Sha256(Sha256),
    Md5(Md5),
}

impl Running {
    /// Starts the checksum that a header or trailer is named after; none for the ones that are passed
    /// through unverified.
    pub(crate) fn for_header(name: &str) -> Option<Self> {
        Some(match name {
            "x-amz-checksum-crc32" => Self::Crc32(crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc)),
            "x-amz-checksum-crc32c" => Self::Crc32c(crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi)),
            "x-amz-checksum-crc64nvme" => Self::Crc64Nvme(crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme)),
            "x-amz-checksum-sha1" => Self::Sha1(Sha1::new()),
            "x-amz-checksum-sha256" => Self::Sha256(Sha256::new()),
            "content-md5" => Self::Md5(Md5::new()),
            _ => return None,
        })
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(digest) | Self::Crc32c(digest) | Self::Crc64Nvme(digest) => digest.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
        }
    }

    /// The value in big-endian bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc32(digest) | Self::Crc32c(digest) => digest.finalize().to_be_bytes()[4..].to_vec(),
            Self::Crc64Nvme(digest) => digest.finalize().to_be_bytes().to_vec(),
            Self::Sha1(hasher) => hasher.finalize().as_slice().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().as_slice().to_vec(),
            Self::Md5(hasher) => hasher.finalize().as_slice().to_vec(),
        }
    }

    fn size_bytes(&self) -> usize {
        match self {
            Self::Crc32(_) | Self::Crc32c(_) => 4,
            Self::Crc64Nvme(_) => 8,
            Self::Md5(_) => 16,
            Self::Sha1(_) => 20,
            Self::Sha256(_) => 32,
        }
    }
}

/// A checksum whose right value is known beforehand (header) or will be (trailer).
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) running: Running,
    /// Base64 as the client gave it.
    pub(crate) expected: Option<String>,
}

impl Check {
    /// Starts a check against a header; refuses a value that no body can have.
    pub(crate) fn against(name: &str, value: &str) -> Result<Option<Self>, S3Error> {
        let Some(running) = Running::for_header(name) else { return Ok(None) };
        let decoded = STANDARD.decode(value.trim()).ok().filter(|bytes| bytes.len() == running.size_bytes());
        if decoded.is_none() {
            return Err(match running {
                Running::Md5(_) => S3Error::invalid_digest(),
                _ => S3Error::invalid_request().saying(format!("Value for {name} header is invalid.")),
            });
        }
        Ok(Some(Self { name: name.to_owned(), running, expected: Some(value.trim().to_owned()) }))
    }

    /// Compares; a trailer that never came is malformed.
    pub(crate) fn finish(self) -> Result<(), S3Error> {
        let Some(expected) = self.expected else {
            return Err(
                S3Error::malformed_trailer().saying(format!("the announced trailer {} did not arrive", self.name))
            );
        };
        let is_md5 = matches!(self.running, Running::Md5(_));
        let computed = self.running.finish();
        if STANDARD.decode(&expected).ok().as_deref() == Some(computed.as_slice()) {
            return Ok(());
        }
        if is_md5 {
            return Err(S3Error::bad_digest()
                .saying("The Content-MD5 you specified did not match what we received.")
                .with("ExpectedDigest", expected)
                .with("CalculatedDigest", STANDARD.encode(computed)));
        }
        let algorithm = self.name.trim_start_matches("x-amz-checksum-").to_ascii_uppercase();
        Err(S3Error::bad_digest()
            .saying(format!("The {algorithm} you specified did not match the calculated checksum.")))
    }
}

/// Base64 of the MD5 of a body, as `Content-MD5` has it.
#[must_use]
pub(crate) fn content_md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes).as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_123456789() {
        for (name, value) in [
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
            ("x-amz-checksum-crc32c", "4waSgw=="),
            ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
            ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
        ] {
            let mut check = Check::against(name, value).unwrap().unwrap();
            check.running.update(b"12345");
            check.running.update(b"6789");
            assert_eq!(check.finish(), Ok(()), "{name}");
        }
    }

    #[test]
    fn refuses_values_no_body_has() {
        assert_eq!(Check::against("content-md5", "AAAA").err().map(|error| error.code), Some("InvalidDigest"));
        assert_eq!(Check::against("x-amz-checksum-crc32", "!").err().map(|error| error.code), Some("InvalidRequest"));
        assert!(Check::against("x-amz-checksum-xxhash64", "!").unwrap().is_none());
    }
}
