//! TXT records of a domain (RFC 1035): one question to one of the configured resolvers, over UDP, and over TCP
//! when the answer does not fit.
//!
//! The resolver is the operator's own and is believed: what it answers for a domain proves that whoever claims
//! the domain can write its records.

use crate::Rejected;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// For each resolver.
const TIMEOUT: Duration = Duration::from_secs(3);
const SERVERS_MAX: usize = 3;
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
const RECORDS_MAX: usize = 100;
const UDP_BYTES_MAX: usize = 4_096;
const TXT: u16 = 16;
const INTERNET: u16 = 1;

fn wrong(reason: &str) -> Rejected {
    Rejected::silent("the resolver's answer", reason)
}

/// Asks the resolvers one after the other for the TXT records of `name`; one without records has none. `id` is
/// random.
///
/// # Errors
/// What the last resolver said or did not say.
pub async fn txt(name: &str, servers: &[SocketAddr], id: u16) -> Result<Vec<String>, Rejected> {
    let question = question(name, id)?;
    let mut last = Rejected::silent("resolver", "is not configured");
    for server in servers.iter().take(SERVERS_MAX) {
        match tokio::time::timeout(TIMEOUT, ask(&question, *server, id)).await {
            Ok(Ok(records)) => return Ok(records),
            Ok(Err(error)) => last = error,
            Err(_) => last = Rejected::new("resolver", &server.to_string(), "did not answer within 3 s"),
        }
    }
    Err(last)
}

async fn ask(question: &[u8], server: SocketAddr, id: u16) -> Result<Vec<String>, Rejected> {
    let broke = |error: std::io::Error| Rejected::new("resolver", &server.to_string(), error.to_string());
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(broke)?;
    socket.connect(server).await.map_err(broke)?; // Only this server's packets are taken.
    socket.send(question).await.map_err(broke)?;
    let mut answer = vec![0; UDP_BYTES_MAX];
    let length = socket.recv(&mut answer).await.map_err(broke)?;
    if let Some(records) = read(question, id, &answer[..length])? {
        return Ok(records);
    }
    let mut stream = TcpStream::connect(server).await.map_err(broke)?;
    let size = u16::try_from(question.len()).expect("a question has some hundred bytes");
    stream.write_all(&[&size.to_be_bytes()[..], question].concat()).await.map_err(broke)?;
    let mut answer = vec![0; usize::from(stream.read_u16().await.map_err(broke)?)];
    stream.read_exact(&mut answer).await.map_err(broke)?;
    read(question, id, &answer)?.ok_or_else(|| wrong("is cut even over TCP"))
}

/// A query with recursion (RFC 1035 section 4.1).
fn question(name: &str, id: u16) -> Result<Vec<u8>, Rejected> {
    let refused = || Rejected::new("domain", name, "is not a name for the DNS");
    if name.len() > NAME_BYTES_MAX || !name.is_ascii() {
        return Err(refused());
    }
    let mut out = id.to_be_bytes().to_vec();
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length =
            u8::try_from(label.len()).ok().filter(|length| (1..=LABEL_BYTES_MAX).contains(&usize::from(*length)));
        out.push(length.ok_or_else(refused)?);
        out.extend(label.bytes());
    }
    out.push(0);
    out.extend(TXT.to_be_bytes());
    out.extend(INTERNET.to_be_bytes());
    Ok(out)
}

/// Reads from a message; running out of bytes is an error.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Rejected> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.message.len());
        let taken = &self.message[self.at..end.ok_or_else(|| wrong("is cut"))?];
        self.at += length;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u16, Rejected> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Steps over a name. A pointer ends it (section 4.1.4), so that none has to be followed.
    fn skip_name(&mut self) -> Result<(), Rejected> {
        loop {
            match usize::from(self.take(1)?[0]) {
                0 => return Ok(()),
                length if length <= LABEL_BYTES_MAX => drop(self.take(length)?),
                length if length >= 0xc0 => return self.take(1).map(drop),
                _ => return Err(wrong("has a label of an unknown kind")),
            }
        }
    }
}

/// The texts of an answer; `None` when it was cut to fit UDP.
fn read(question: &[u8], id: u16, message: &[u8]) -> Result<Option<Vec<String>>, Rejected> {
    let mut reader = Reader { message, at: 0 };
    let (answered, flags) = (reader.number()?, reader.number()?);
    let (questions, answers) = (reader.number()?, reader.number()?);
    reader.take(4)?;
    if answered != id || flags & 0x8000 == 0 || questions != 1 {
        return Err(wrong("belongs to another question"));
    }
    if flags & 0x0200 != 0 {
        return Ok(None);
    }
    match flags & 0x000f {
        0 => {}
        3 => return Ok(Some(Vec::new())),
        code => return Err(wrong(&format!("is a failure with code {code}"))),
    }
    if !reader.take(question.len() - 12)?.eq_ignore_ascii_case(&question[12..]) {
        return Err(wrong("belongs to another question"));
    }
    let mut texts = Vec::new();
    for _ in 0..usize::from(answers).min(RECORDS_MAX) {
        reader.skip_name()?;
        let (kind, class) = (reader.number()?, reader.number()?);
        reader.take(4)?;
        let length = usize::from(reader.number()?);
        let data = reader.take(length)?;
        if (kind, class) == (TXT, INTERNET) {
            texts.push(text(data)?);
        }
    }
    Ok(Some(texts))
}

/// Character strings of one record, joined (RFC 7208 section 3.3 does so too).
fn text(data: &[u8]) -> Result<String, Rejected> {
    let (mut reader, mut out) = (Reader { message: data, at: 0 }, Vec::new());
    while reader.at < data.len() {
        let length = usize::from(reader.take(1)?[0]);
        out.extend(reader.take(length)?);
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(question: &[u8], flags: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = question[..2].to_vec();
        out.extend(flags.to_be_bytes());
        out.extend([0, 1]);
        out.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
        out.extend([0; 4]);
        out.extend(&question[12..]);
        for (kind, data) in records {
            out.extend([0xc0, 12]);
            out.extend(kind.to_be_bytes());
            out.extend([0, 1, 0, 0, 0, 60]);
            out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend(*data);
        }
        out
    }

    #[test]
    fn answers() {
        let asked = question("_meterhouse.Example.com", 7).unwrap();
        let got = |message: &[u8]| read(&asked, 7, message);
        let two = answer(&asked, 0x8180, &[(5, b"\x01a\0"), (16, b"\x03abc\x02de"), (16, b"\x01x")]);
        assert_eq!(got(&two).unwrap().unwrap(), ["abcde", "x"]);
        assert_eq!(got(&answer(&asked, 0x8183, &[])).unwrap().unwrap(), Vec::<String>::new(), "no such name");
        assert_eq!(got(&answer(&asked, 0x8380, &[])).unwrap(), None, "cut");
        assert!(got(&answer(&asked, 0x8182, &[])).is_err(), "the server failed");
        assert!(got(&answer(&asked, 0x0100, &[])).is_err(), "a question");
        assert!(read(&asked, 8, &two).is_err(), "another id");
        let other = question("_meterhouse.example.net", 7).unwrap();
        assert!(read(&other, 7, &two).is_err(), "another name");
        assert!(got(&answer(&asked, 0x8180, &[(16, b"\x09abc")])).is_err(), "a text longer than its record");
        for length in 0..two.len() {
            assert!(got(&two[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn names_that_are_none() {
        for name in ["", "a..b", ".a", &"a".repeat(64), &"a.".repeat(200), "bücher.example"] {
            assert!(question(name, 1).is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn a_cut_answer_is_asked_for_over_tcp() {
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(server).await.unwrap();
        let served = tokio::spawn(async move {
            let mut asked = vec![0; 512];
            let (length, from) = udp.recv_from(&mut asked).await.unwrap();
            udp.send_to(&answer(&asked[..length], 0x8380, &[]), from).await.unwrap();
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut asked = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut asked).await.unwrap();
            let whole = answer(&asked, 0x8180, &[(16, b"\x04long")]);
            stream.write_all(&u16::try_from(whole.len()).unwrap().to_be_bytes()).await.unwrap();
            stream.write_all(&whole).await.unwrap();
        });
        assert_eq!(txt("example.com", &[server], 9).await.unwrap(), ["long"]);
        served.await.unwrap();
    }
}
