//! Writes the store's documents and takes apart the two it is sent.
//!
//! It never resolves an entity beyond the five of XML.

use super::refusal::Refusal;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const DEPTH_MAX: usize = 8;

/// A document being written.
pub(super) struct Xml {
    text: String,
    open: Vec<&'static str>,
}

impl Xml {
    /// Starts a document of S3's namespace.
    pub(super) fn document(root: &'static str) -> Self {
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{NAMESPACE}\">");
        Self { text, open: vec![root] }
    }

    /// Starts a document without a namespace, as errors are.
    pub(super) fn plain(root: &'static str) -> Self {
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}>");
        Self { text, open: vec![root] }
    }

    /// Opens an element that will hold others.
    pub(super) fn open(&mut self, name: &'static str) {
        self.start(name);
        self.open.push(name);
    }

    /// Closes the element opened last.
    pub(super) fn close(&mut self) {
        let name = self.open.pop().expect("every close follows an open");
        self.end(name);
    }

    /// Writes an element that holds only text.
    pub(super) fn leaf(&mut self, name: &str, text: &str) {
        self.start(name);
        for character in text.chars() {
            self.escaped(character);
        }
        self.end(name);
    }

    /// Closes what is open and gives the document.
    pub(super) fn finish(mut self) -> String {
        while let Some(name) = self.open.pop() {
            self.end(name);
        }
        self.text
    }

    fn start(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    fn end(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    fn escaped(&mut self, character: char) {
        match character {
            '&' => self.text.push_str("&amp;"),
            '<' => self.text.push_str("&lt;"),
            '>' => self.text.push_str("&gt;"),
            '"' => self.text.push_str("&quot;"),
            control if control.is_control() => self.text.push_str(&format!("&#x{:X};", u32::from(control))),
            other => self.text.push(other),
        }
    }
}

/// Gives each element of `document` at its end: its path, such as `Delete/Object/Key`, and its own
/// text. Prefixes and attributes are dropped.
///
/// # Errors
/// `MalformedXML`.
pub(super) fn elements(document: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    let document = std::str::from_utf8(document).map_err(|_| Refusal::malformed_xml())?;
    let mut reader = Reader::from_str(document);
    let mut open: Vec<(String, String)> = Vec::new(); // Path and text so far.
    let mut ended = Vec::new();
    loop {
        match reader.read_event().map_err(|_| Refusal::malformed_xml())? {
            Event::Start(start) if open.len() < DEPTH_MAX => {
                open.push((path_below(&open, start.local_name().into_inner()), String::new()));
            }
            Event::Start(_) => return Err(Refusal::malformed_xml()),
            Event::Empty(start) => ended.push((path_below(&open, start.local_name().into_inner()), String::new())),
            Event::End(_) => ended.push(open.pop().ok_or_else(Refusal::malformed_xml)?),
            Event::Text(text) => add_text(&mut open, &text.xml10_content()),
            Event::CData(text) => add_text(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|_| Refusal::malformed_xml())?;
                match (character, resolve_predefined_entity(&reference)) {
                    (Some(character), _) => add_text(&mut open, character.encode_utf8(&mut [0_u8; 4])),
                    (None, Some(text)) => add_text(&mut open, text),
                    (None, None) => return Err(Refusal::malformed_xml()),
                }
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    if open.is_empty() && !ended.is_empty() { Ok(ended) } else { Err(Refusal::malformed_xml()) }
}

fn path_below(open: &[(String, String)], name: &str) -> String {
    open.last().map_or_else(|| name.to_owned(), |(path, _)| format!("{path}/{name}"))
}

fn add_text(open: &mut [(String, String)], text: &str) {
    if let Some((_, so_far)) = open.last_mut() {
        so_far.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_odd_texts() {
        let mut xml = Xml::document("Delete");
        xml.open("Object");
        xml.leaf("Key", "a & <b> \"c\"\t'\u{e9}'");
        let text = xml.finish();
        assert!(text.ends_with("<Key>a &amp; &lt;b&gt; &quot;c&quot;&#x9;'\u{e9}'</Key></Object></Delete>"), "{text}");
        let found = elements(text.as_bytes()).unwrap();
        assert_eq!(found[0], ("Delete/Object/Key".to_owned(), "a & <b> \"c\"\t'\u{e9}'".to_owned()));
        assert_eq!(found[1].0, "Delete/Object");
        assert_eq!(found[2].0, "Delete");
    }

    #[test]
    fn refuses_broken_documents() {
        for text in ["", "Delete", "<a><b></a>", "<a>", "<a>&nope;</a>", "<a><a><a><a><a><a><a><a><a/>"] {
            assert!(elements(text.as_bytes()).is_err(), "{text}");
        }
    }
}
