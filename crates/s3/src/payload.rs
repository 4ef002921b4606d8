//! Decodes and verifies a request body while it streams: the chunk framings of S3, body hashes, chunk
//! and trailer signatures, checksums and the announced length.
//!
//! No I/O happens here, and no more than one chunk line is ever buffered: data comes out as slices of
//! the frames that went in. Nothing that comes out is proven before [`PayloadDecoder::finish`] says so;
//! the caller must hold the last bytes back until then.

use crate::checksum::{self, Check};
use crate::error::S3Error;
use crate::names;
use crate::sigv4::{PayloadMode, SigningKey, Verified};
use bytes::Bytes;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use subtle::ConstantTimeEq;

/// Longest line between chunks, and most bytes of trailers.
const LINE_BYTES_MAX: usize = 16 * 1_024;

/// Largest chunk; none is buffered, so this only bounds nonsense.
const CHUNK_BYTES_MAX: u64 = 5 * 1_024 * 1_024 * 1_024;

const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// What the checksum headers of a request describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumsOf {
    /// The body: verify them.
    Body,
    /// Something else, such as the whole object of a CompleteMultipartUpload: leave them alone.
    Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    /// Reading the line before a chunk.
    Line,
    Data {
        left: u64,
    },
    /// Reading the line end after a chunk's data.
    DataEnd,
    /// After the chunk of size zero.
    Trailers,
}

/// The chain of signatures through the chunks.
struct Chain {
    key: SigningKey,
    scope: String,
    amz_date: String,
    previous: String,
    /// Signature that the current chunk claims.
    claimed: String,
    chunk: Sha256,
}

impl Chain {
    /// Checks the chunk that just ended and moves on.
    fn close_chunk(&mut self) -> Result<(), S3Error> {
        let chunk = std::mem::take(&mut self.chunk);
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{}\n{}",
            self.amz_date,
            self.scope,
            self.previous,
            names::sha256_hex(b""),
            hex::encode(chunk.finalize().as_slice())
        );
        let expected = self.key.sign(text.as_bytes());
        if !same(&expected, &self.claimed) {
            return Err(S3Error::signature_does_not_match());
        }
        self.previous = expected;
        Ok(())
    }

    fn check_trailers(&self, trailers: &[(String, String)], claimed: &str) -> Result<(), S3Error> {
        let mut sorted = trailers.to_vec();
        sorted.sort();
        let lines: String = sorted.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}\n{}",
            self.amz_date,
            self.scope,
            self.previous,
            names::sha256_hex(lines.as_bytes())
        );
        if same(&self.key.sign(text.as_bytes()), claimed) { Ok(()) } else { Err(S3Error::signature_does_not_match()) }
    }
}

fn same(left: &str, right: &str) -> bool {
    bool::from(left.as_bytes().ct_eq(right.as_bytes()))
}

/// Verifies one request body.
pub struct PayloadDecoder {
    mode: PayloadMode,
    state: State,
    line: Vec<u8>,
    trailer_bytes: usize,
    chain: Option<Chain>,
    body_sha256: Option<Sha256>,
    checks: Vec<Check>,
    announced: Vec<String>,
    trailers: Vec<(String, String)>,
    trailer_signature: Option<String>,
    ended_by_empty_line: bool,
    declared: Option<u64>,
    decoded_bytes: u64,
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

fn length(headers: &HeaderMap, name: &str) -> Result<Option<u64>, S3Error> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|value| value.trim().parse().ok());
    parsed.map(Some).ok_or_else(|| S3Error::invalid_argument().saying(format!("{name} is not a number")))
}

impl PayloadDecoder {
    /// Starts on a body, given what its headers promise.
    pub fn new(verified: &Verified, headers: &HeaderMap, checksums: ChecksumsOf) -> Result<Self, S3Error> {
        let mode = verified.payload.clone();
        let declared = if mode.is_framed() {
            Some(length(headers, "x-amz-decoded-content-length")?.ok_or_else(S3Error::missing_content_length)?)
        } else {
            length(headers, "content-length")?
        };
        let signed = matches!(mode, PayloadMode::SignedChunks | PayloadMode::SignedChunksTrailer);
        let mut decoder = Self {
            state: if mode.is_framed() { State::Line } else { State::Plain },
            line: Vec::new(),
            trailer_bytes: 0,
            chain: signed.then(|| Chain {
                key: verified.key.clone(),
                scope: verified.scope.clone(),
                amz_date: verified.amz_date.clone(),
                previous: verified.signature.clone(),
                claimed: String::new(),
                chunk: Sha256::new(),
            }),
            body_sha256: matches!(mode, PayloadMode::Sha256(_)).then(Sha256::new),
            checks: Vec::new(),
            announced: announced_trailers(&mode, headers),
            trailers: Vec::new(),
            trailer_signature: None,
            ended_by_empty_line: false,
            declared,
            decoded_bytes: 0,
            mode,
        };
        decoder.start_checks(headers, checksums)?;
        Ok(decoder)
    }

    fn start_checks(&mut self, headers: &HeaderMap, checksums: ChecksumsOf) -> Result<(), S3Error> {
        if let Some(value) = headers.get("content-md5") {
            let value = value.to_str().map_err(|_| S3Error::invalid_digest())?;
            self.checks.extend(Check::against("content-md5", value)?);
        }
        if checksums == ChecksumsOf::Object {
            return Ok(());
        }
        for name in headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-checksum-")) {
            let value = text(headers, name).unwrap_or("");
            self.checks.extend(Check::against(name, value)?);
        }
        for name in &self.announced {
            if let Some(running) = checksum::Running::for_header(name) {
                self.checks.push(Check { name: name.clone(), running, expected: None });
            }
        }
        Ok(())
    }

    /// Gives the number of bytes that the object will have, if the client told it.
    #[must_use]
    pub fn declared_length(&self) -> Option<u64> {
        self.declared
    }

    /// Gives the number of object bytes seen so far.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        self.decoded_bytes
    }

    /// Takes a frame from the wire and appends the object bytes inside it to `out`.
    pub fn feed(&mut self, mut wire: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), S3Error> {
        while !wire.is_empty() {
            match self.state {
                State::Plain => self.emit(wire.split_to(wire.len()), out)?,
                State::Data { left } => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(wire.len());
                    let piece = wire.split_to(take);
                    self.emit(piece, out)?;
                    self.advance_chunk(left - take as u64)?;
                }
                State::Line | State::DataEnd | State::Trailers => {
                    if let Some(line) = self.take_line(&mut wire)? {
                        self.end_line(&line)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn emit(&mut self, piece: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), S3Error> {
        if piece.is_empty() {
            return Ok(());
        }
        self.decoded_bytes += piece.len() as u64;
        if self.declared.is_some_and(|declared| self.decoded_bytes > declared) {
            return Err(S3Error::incomplete_body().saying("The body is longer than the length that was declared."));
        }
        if let Some(hasher) = &mut self.body_sha256 {
            hasher.update(&piece);
        }
        if let Some(chain) = &mut self.chain {
            chain.chunk.update(&piece);
        }
        for check in &mut self.checks {
            check.running.update(&piece);
        }
        out.push_back(piece);
        Ok(())
    }

    fn advance_chunk(&mut self, left: u64) -> Result<(), S3Error> {
        if left > 0 {
            self.state = State::Data { left };
            return Ok(());
        }
        if let Some(chain) = &mut self.chain {
            chain.close_chunk()?;
        }
        self.state = State::DataEnd;
        Ok(())
    }

    /// Collects bytes up to a line feed; gives the line without its end once it is whole.
    fn take_line(&mut self, wire: &mut Bytes) -> Result<Option<Vec<u8>>, S3Error> {
        let end = wire.iter().position(|byte| *byte == b'\n');
        let piece = wire.split_to(end.map_or(wire.len(), |index| index + 1));
        if self.line.len() + piece.len() > LINE_BYTES_MAX {
            return Err(S3Error::invalid_request().saying("A line of the chunk framing is too long."));
        }
        self.line.extend_from_slice(&piece);
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    fn end_line(&mut self, line: &[u8]) -> Result<(), S3Error> {
        match self.state {
            State::DataEnd if line.is_empty() => {
                self.state = State::Line;
                Ok(())
            }
            State::DataEnd => Err(bad_framing()),
            State::Trailers => self.trailer(line),
            State::Line => self.chunk_line(line),
            State::Plain | State::Data { .. } => unreachable!("lines are read only between chunks"),
        }
    }

    /// Reads `hex[;chunk-signature=...]`.
    fn chunk_line(&mut self, line: &[u8]) -> Result<(), S3Error> {
        let line = std::str::from_utf8(line).map_err(|_| bad_framing())?;
        let (size_text, extension) = line.split_once(';').unwrap_or((line, ""));
        let digits = size_text.trim();
        if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad_framing());
        }
        let size = u64::from_str_radix(digits, 16).map_err(|_| bad_framing())?;
        if size > CHUNK_BYTES_MAX {
            return Err(S3Error::entity_too_large());
        }
        if let Some(chain) = &mut self.chain {
            let signature = extension.trim().strip_prefix("chunk-signature=").ok_or_else(bad_framing)?;
            chain.claimed = signature.trim().to_owned();
        }
        if size > 0 {
            self.state = State::Data { left: size };
            return Ok(());
        }
        if let Some(chain) = &mut self.chain {
            chain.close_chunk()?;
        }
        self.state = State::Trailers;
        Ok(())
    }

    /// Reads `name:value`. Empty lines between trailers are accepted, because AWS's own example has
    /// one before the trailer signature.
    fn trailer(&mut self, line: &[u8]) -> Result<(), S3Error> {
        self.trailer_bytes += line.len() + 2;
        if self.trailer_bytes > LINE_BYTES_MAX {
            return Err(S3Error::malformed_trailer().saying("The trailers are too long."));
        }
        if line.is_empty() {
            self.ended_by_empty_line = true;
            return Ok(());
        }
        let line = std::str::from_utf8(line).map_err(|_| S3Error::malformed_trailer())?;
        let (name, value) = line.split_once(':').ok_or_else(S3Error::malformed_trailer)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        self.ended_by_empty_line = false;
        if name == TRAILER_SIGNATURE && self.mode == PayloadMode::SignedChunksTrailer {
            self.trailer_signature = Some(value);
            return Ok(());
        }
        let seen = self.trailers.iter().any(|(known, _)| *known == name);
        if self.mode == PayloadMode::SignedChunks || seen || !self.announced.contains(&name) {
            return Err(S3Error::malformed_trailer().saying(format!("The trailer {name} was not announced.")));
        }
        for check in self.checks.iter_mut().filter(|check| check.name == name && check.expected.is_none()) {
            check.expected = Some(value.clone());
        }
        self.trailers.push((name, value));
        Ok(())
    }

    /// Ends the body: every hash, signature, trailer, checksum and length is checked. Gives the
    /// trailers.
    pub fn finish(&mut self) -> Result<Vec<(String, String)>, S3Error> {
        let framing_ended = match self.state {
            State::Plain => true,
            State::Trailers => self.ended_by_empty_line && self.line.is_empty(),
            State::Line | State::Data { .. } | State::DataEnd => false,
        };
        if !framing_ended || self.declared.is_some_and(|declared| declared != self.decoded_bytes) {
            return Err(S3Error::incomplete_body());
        }
        if let (PayloadMode::Sha256(declared), Some(hasher)) = (&self.mode, self.body_sha256.take()) {
            let computed = hex::encode(hasher.finalize().as_slice());
            if computed != *declared {
                return Err(S3Error::sha256_mismatch()
                    .with("ClientComputedContentSHA256", declared.clone())
                    .with("S3ComputedContentSHA256", computed));
            }
        }
        self.finish_trailers()?;
        for check in std::mem::take(&mut self.checks) {
            check.finish()?;
        }
        Ok(std::mem::take(&mut self.trailers))
    }

    fn finish_trailers(&self) -> Result<(), S3Error> {
        let missing = self.announced.iter().find(|name| !self.trailers.iter().any(|(known, _)| known == *name));
        if let Some(name) = missing {
            return Err(S3Error::malformed_trailer().saying(format!("the announced trailer {name} did not arrive")));
        }
        if self.mode != PayloadMode::SignedChunksTrailer {
            return Ok(());
        }
        let claimed = self.trailer_signature.as_deref().ok_or_else(S3Error::malformed_trailer)?;
        let chain = self.chain.as_ref().expect("signed modes have a chain");
        chain.check_trailers(&self.trailers, claimed)
    }
}

fn announced_trailers(mode: &PayloadMode, headers: &HeaderMap) -> Vec<String> {
    if !matches!(mode, PayloadMode::SignedChunksTrailer | PayloadMode::UnsignedTrailer) {
        return Vec::new(); // No place on the wire where they could come.
    }
    headers
        .get_all("x-amz-trailer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}

fn bad_framing() -> S3Error {
    S3Error::incomplete_body().saying("The chunk framing of the body is broken.")
}

/// Gives the `Content-MD5` value of a body: base64 of its MD5.
#[must_use]
pub fn content_md5(bytes: &[u8]) -> String {
    checksum::content_md5(bytes)
}
