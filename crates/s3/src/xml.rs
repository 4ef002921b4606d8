//! A small XML tree for the bounded documents of S3: lists, delete requests, errors.
//!
//! Namespaces and attributes are read over: no answer that is parsed here carries meaning in them.

use quick_xml::Reader;
use quick_xml::escape::{partial_escape, resolve_predefined_entity};
use quick_xml::events::{BytesRef, Event};

/// The first line of every document written here.
pub const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The name space of S3's documents.
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

const DEPTH_MAX: usize = 32;

/// What can be wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not UTF-8.
    #[error("document is not UTF-8")]
    NotUtf8,
    /// Not well-formed.
    #[error("document is not well-formed: {reason}")]
    Malformed {
        /// What the parser said.
        reason: String,
    },
    /// Nested deeper than any document of S3.
    #[error("document is nested deeper than {DEPTH_MAX} elements")]
    TooDeep,
    /// A key that does not belong to the caller.
    #[error("answer names a key outside of the mapping")]
    Foreign,
}

impl XmlError {
    pub(crate) fn malformed(reason: impl ToString) -> Self {
        Self::Malformed { reason: reason.to_string() }
    }
}

/// An element with its text and its children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Local name, without name-space prefix.
    pub name: String,
    /// Text directly inside, entities resolved.
    pub text: String,
    /// Child elements in order.
    pub children: Vec<Element>,
}

impl Element {
    /// Finds the first child of a name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Gives the text of the first child of a name, or an empty text.
    #[must_use]
    pub fn text_of(&self, name: &str) -> &str {
        self.child(name).map_or("", |child| child.text.as_str())
    }

    /// Iterates over the children of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Writes the element without declaration or name space.
    pub fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        out.push('>');
        if self.children.is_empty() {
            out.push_str(&partial_escape(self.text.as_str()));
        }
        for child in &self.children {
            child.write(out);
        }
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }
}

/// Writes `<name>text</name>`, escaped.
pub fn push_element(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    out.push_str(&partial_escape(text));
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

pub(crate) fn resolve(reference: &BytesRef<'_>) -> Result<String, XmlError> {
    if let Some(character) = reference.resolve_char_ref().map_err(XmlError::malformed)? {
        return Ok(character.to_string());
    }
    resolve_predefined_entity(reference)
        .map(str::to_owned)
        .ok_or_else(|| XmlError::Malformed { reason: "unknown entity".to_owned() })
}

/// Reads a document into its root element. White space before the declaration is accepted, because
/// a CompleteMultipartUpload answer may start with it.
pub fn parse(input: &[u8]) -> Result<Element, XmlError> {
    let text = std::str::from_utf8(input).map_err(|_| XmlError::NotUtf8)?;
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        match reader.read_event().map_err(XmlError::malformed)? {
            Event::Start(start) => {
                if open.len() == DEPTH_MAX {
                    return Err(XmlError::TooDeep);
                }
                open.push(Element { name: start.local_name().into_inner().to_owned(), ..Element::default() });
            }
            Event::Empty(start) => {
                let element = Element { name: start.local_name().into_inner().to_owned(), ..Element::default() };
                close(element, &mut open, &mut root)?;
            }
            Event::End(_) => {
                let element = open.pop().ok_or_else(|| XmlError::malformed("end without start"))?;
                close(element, &mut open, &mut root)?;
            }
            Event::Text(piece) => append(&mut open, &piece.xml10_content()),
            Event::CData(piece) => append(&mut open, &piece.into_inner()),
            Event::GeneralRef(reference) => append(&mut open, &resolve(&reference)?),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    if !open.is_empty() {
        return Err(XmlError::malformed("element is not closed"));
    }
    root.ok_or_else(|| XmlError::malformed("no root element"))
}

fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) -> Result<(), XmlError> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_none() => *root = Some(element),
        None => return Err(XmlError::malformed("two root elements")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_text_entities_and_nesting() {
        let root =
            parse(b" \n<?xml version=\"1.0\"?><s:A xmlns:s='x'><B>a&amp;&#34;b<![CDATA[<c>]]></B><E/></s:A>").unwrap();
        assert_eq!(root.name, "A");
        assert_eq!(root.text_of("B"), "a&\"b<c>");
        assert_eq!(root.text_of("E"), "");
        assert_eq!(root.all("B").count(), 1);
    }

    #[test]
    fn refuses_broken_documents() {
        for text in ["", "<a>", "<a></b>", "<a/><b/>", "<a>&nope;</a>", "just text"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!("{}{}", "<a>".repeat(40), "</a>".repeat(40));
        assert_eq!(parse(deep.as_bytes()), Err(XmlError::TooDeep));
    }
}
