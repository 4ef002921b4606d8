//! The merge of a list over several places of one bucket. Pure: it says what to ask and which of the
//! answers to show.
//!
//! The virtual keys are cut into ordered, disjoint segments, each owned by the mapping with the longest
//! folder. Keys of an outer mapping below a mapped folder are shadowed, because their segment is owned
//! by the folder.

use crate::lists::has_empty_segment;
use crate::port::VirtualBucket;
use crate::route;
use s3::{ListPage, ListedObject};

/// Sorts after every key that goes on from the same text, but for a handful that are filtered.
const LAST: char = '\u{10FFFD}';

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Position {
    /// At the first key.
    Start,
    /// After this key.
    Key(String),
    /// After every key of this group.
    Group(String),
}

impl Position {
    /// Reads a client's marker: a group when it is one, else a key.
    pub(crate) fn of_marker(marker: &str, prefix: &str, delimiter: &str) -> Self {
        if marker.is_empty() {
            return Self::Start;
        }
        if group_of(marker, prefix, delimiter).as_deref() == Some(marker) {
            Self::Group(marker.to_owned())
        } else {
            Self::Key(marker.to_owned())
        }
    }

    /// Writes the position into a token.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Start => "s".to_owned(),
            Self::Key(key) => format!("k{key}"),
            Self::Group(group) => format!("g{group}"),
        }
    }

    /// Reads it back.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        match (text.get(..1)?, text.get(1..)?) {
            ("s", "") => Some(Self::Start),
            ("k", key) => Some(Self::Key(key.to_owned())),
            ("g", group) => Some(Self::Group(group.to_owned())),
            _ => None,
        }
    }

    fn admits_key(&self, key: &str) -> bool {
        match self {
            Self::Start => true,
            Self::Key(after) => key > after.as_str(),
            Self::Group(group) => key > group.as_str() && !key.starts_with(group.as_str()),
        }
    }

    fn admits_group(&self, group: &str) -> bool {
        match self {
            Self::Start => true,
            // A marker inside a group does not hide the rest of the group.
            Self::Key(after) => group > after.as_str() || after.starts_with(group),
            Self::Group(after) => group > after.as_str(),
        }
    }

    /// Tells whether every key below `end` lies before the position.
    fn is_past(&self, end: Option<&str>) -> bool {
        let Some(end) = end else { return false };
        match self {
            Self::Start => false,
            Self::Key(after) => end <= after.as_str(),
            Self::Group(group) => end <= group.as_str() || end.starts_with(group.as_str()),
        }
    }
}

/// The group of a key: up to the first delimiter after the prefix.
pub(crate) fn group_of(key: &str, prefix: &str, delimiter: &str) -> Option<String> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(prefix)?;
    let end = rest.find(delimiter)? + delimiter.len();
    Some(key[..prefix.len() + end].to_owned())
}

/// What the client asked for.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    /// Virtual prefix.
    pub prefix: String,
    /// Empty when there is none.
    pub delimiter: String,
    /// Where to begin.
    pub position: Position,
    /// Most entries.
    pub entries_max: usize,
}

/// A stretch of virtual keys with one owner: from `start` up to but not including `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Index of the mapping in the bucket.
    pub owner: usize,
    start: String,
    end: Option<String>,
}

/// The first text after every text that starts with `folder`, which ends with `/`.
fn after_folder(folder: &str) -> String {
    // The byte after `/` is `0`.
    format!("{}0", folder.strip_suffix('/').unwrap_or(folder))
}

/// Cuts the virtual keys of a bucket into segments, in order.
pub(crate) fn segments(bucket: &VirtualBucket) -> Vec<Segment> {
    let mut bounds = vec![String::new()];
    for mapping in bucket.mappings.iter().filter(|mapping| !mapping.folder.is_empty()) {
        bounds.push(mapping.folder.clone());
        bounds.push(after_folder(&mapping.folder));
    }
    bounds.sort();
    bounds.dedup();
    let mut segments = Vec::new();
    for (index, start) in bounds.iter().enumerate() {
        let Some(owner) = route::owner(bucket, start.as_bytes()) else { continue };
        let owner = bucket.mappings.iter().position(|mapping| mapping.mapping == owner.mapping);
        let owner = owner.expect("the owner is one of the bucket's mappings");
        segments.push(Segment { owner, start: start.clone(), end: bounds.get(index + 1).cloned() });
    }
    segments
}

/// What to do for a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Nothing of it is shown.
    Skip,
    /// All of it is one group: no upstream is asked.
    Group(String),
    /// Ask the upstream, in real names.
    List {
        /// Real prefix.
        prefix: String,
        /// Delimiter to send; empty when the grouping is done here.
        delimiter: String,
        /// Real key to start after; empty for the beginning.
        start_after: String,
    },
}

impl Segment {
    /// Decides what to do for this segment.
    pub(crate) fn ask(&self, bucket: &VirtualBucket, walk: &Walk) -> Ask {
        if !self.meets(&walk.prefix) || walk.position.is_past(self.end.as_deref()) {
            return Ask::Skip;
        }
        let mapping = &bucket.mappings[self.owner];
        let folder = mapping.folder.as_str();
        if folder.len() > walk.prefix.len()
            && let Some(group) = group_of(folder, &walk.prefix, &walk.delimiter)
        {
            return Ask::Group(group);
        }
        let inner = walk.prefix.strip_prefix(folder);
        // A store groups what S3 groups only by its own delimiter, and not below an empty segment.
        let groups = inner.is_some() && walk.delimiter == "/" && !has_empty_segment(walk.prefix.as_bytes());
        let after = [self.position_of_start(folder), position_after(&walk.position)].into_iter().flatten().max();
        let start_after = after.as_deref().and_then(|after| after.strip_prefix(folder)).filter(|rest| !rest.is_empty());
        Ask::List {
            prefix: format!("{}{}", mapping.prefix, inner.unwrap_or("")),
            delimiter: if groups { walk.delimiter.clone() } else { String::new() },
            start_after: start_after.map(|rest| format!("{}{rest}", mapping.prefix)).unwrap_or_default(),
        }
    }

    /// Tells whether a key with this prefix can lie in the segment.
    fn meets(&self, prefix: &str) -> bool {
        if self.start.as_str() <= prefix {
            self.end.as_deref().is_none_or(|end| prefix < end)
        } else {
            self.start.starts_with(prefix)
        }
    }

    /// A segment that goes on after an inner folder starts after the last key of that folder.
    fn position_of_start(&self, folder: &str) -> Option<String> {
        let inner = self.start.strip_suffix('0').filter(|_| self.start != folder)?;
        Some(format!("{inner}/{LAST}"))
    }

    /// Tells whether a text lies behind the segment, so that the rest of the page need not be read.
    fn is_behind(&self, text: &str) -> bool {
        self.end.as_deref().is_some_and(|end| text >= end)
    }

    fn holds_key(&self, key: &str) -> bool {
        key >= self.start.as_str() && !self.is_behind(key)
    }

    /// A group may begin before the segment and reach into it.
    fn holds_group(&self, group: &str) -> bool {
        (group >= self.start.as_str() || self.start.starts_with(group)) && !self.is_behind(group)
    }
}

fn position_after(position: &Position) -> Option<String> {
    match position {
        Position::Start => None,
        Position::Key(key) => Some(key.clone()),
        Position::Group(group) => Some(format!("{group}{LAST}")),
    }
}

/// An entry of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// An object with its virtual key.
    Key(ListedObject),
    /// A common prefix.
    Group(String),
}

impl Item {
    fn name(&self) -> &str {
        match self {
            Self::Key(object) => &object.key,
            Self::Group(group) => group,
        }
    }

    fn position(&self) -> Position {
        match self {
            Self::Key(object) => Position::Key(object.key.clone()),
            Self::Group(group) => Position::Group(group.clone()),
        }
    }
}

/// Whether to go on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Read on.
    More,
    /// Nothing more of this segment.
    SegmentDone,
    /// The answer is full, and there is more.
    Full,
}

/// Collects the entries of an answer.
pub(crate) struct Collector {
    walk: Walk,
    /// The entries so far, in order.
    pub items: Vec<Item>,
    seen: Position,
    full: bool,
}

impl Collector {
    /// Starts an answer.
    pub(crate) fn new(walk: Walk) -> Self {
        let seen = walk.position.clone();
        Self { walk, items: Vec::new(), seen, full: false }
    }

    /// Takes a page of a segment, already in virtual names.
    pub(crate) fn page(&mut self, segment: &Segment, page: ListPage) -> Flow {
        let objects = page.objects.into_iter().map(Item::Key);
        let mut items: Vec<Item> = objects.chain(page.common_prefixes.into_iter().map(Item::Group)).collect();
        items.sort_by(|left, right| left.name().cmp(right.name()));
        for item in items {
            if segment.is_behind(item.name()) {
                return Flow::SegmentDone;
            }
            if self.offer(segment, item) == Flow::Full {
                return Flow::Full;
            }
        }
        Flow::More
    }

    /// Takes one entry, if it belongs to the answer.
    pub(crate) fn offer(&mut self, segment: &Segment, item: Item) -> Flow {
        let item = match item {
            Item::Key(object) if !object.key.starts_with(&self.walk.prefix) || !segment.holds_key(&object.key) => {
                return Flow::More;
            }
            Item::Key(object) => match group_of(&object.key, &self.walk.prefix, &self.walk.delimiter) {
                Some(group) => Item::Group(group),
                None => Item::Key(object),
            },
            Item::Group(group) if !group.starts_with(&self.walk.prefix) || !segment.holds_group(&group) => {
                return Flow::More;
            }
            group @ Item::Group(_) => group,
        };
        let admitted = match &item {
            Item::Key(object) => self.walk.position.admits_key(&object.key),
            Item::Group(group) => self.walk.position.admits_group(group),
        };
        let repeated = self.items.last().is_some_and(|last| *last == item);
        if !admitted || repeated {
            return Flow::More;
        }
        if self.items.len() >= self.walk.entries_max {
            self.full = true;
            return Flow::Full;
        }
        self.seen = item.position();
        self.items.push(item);
        Flow::More
    }

    /// Stops before the end, because enough pages were read.
    pub(crate) fn give_up(&mut self) {
        self.full = true;
    }

    /// Where the next page begins; none when this is the last.
    pub(crate) fn next(&self) -> Option<&Position> {
        self.full.then_some(&self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::bucket;
    use std::collections::BTreeSet;

    fn object(key: &str) -> ListedObject {
        ListedObject {
            key: key.to_owned(),
            size_bytes: 1,
            etag: String::new(),
            last_modified: String::new(),
            storage_class: String::new(),
        }
    }

    /// What an upstream with these real keys answers, at most `page` entries.
    fn upstream(keys: &BTreeSet<String>, ask: (&str, &str, &str), page_max: usize) -> (ListPage, bool) {
        let (prefix, delimiter, start_after) = ask;
        let mut page = ListPage::default();
        for key in keys.iter().filter(|key| key.starts_with(prefix) && key.as_str() > start_after) {
            let group = group_of(key, prefix, delimiter);
            if group.is_some() && group.as_deref() == page.common_prefixes.last().map(String::as_str) {
                continue;
            }
            if page.objects.len() + page.common_prefixes.len() == page_max {
                return (page, true);
            }
            match group {
                Some(group) => page.common_prefixes.push(group),
                None => page.objects.push(object(key)),
            }
        }
        (page, false)
    }

    /// Runs a whole walk, page by page of the client, against upstreams given as `n:key` texts.
    fn list(rows: &[&str], keys: &[&str], prefix: &str, delimiter: &str, entries_max: usize) -> Vec<String> {
        let bucket = bucket(rows);
        let mut stores = vec![BTreeSet::new(); rows.len()];
        for key in keys {
            let (store, key) = key.split_once(':').unwrap();
            stores[store.parse::<usize>().unwrap()].insert(key.to_owned());
        }
        let mut shown = Vec::new();
        let mut position = Position::Start;
        for _ in 0..100 {
            let walk = Walk { prefix: prefix.to_owned(), delimiter: delimiter.to_owned(), position, entries_max };
            let mut collector = Collector::new(walk.clone());
            'segments: for segment in segments(&bucket) {
                let flow = match segment.ask(&bucket, &walk) {
                    Ask::Skip => continue,
                    Ask::Group(group) => collector.offer(&segment, Item::Group(group)),
                    Ask::List { prefix, delimiter, mut start_after } => loop {
                        let store = &stores[segment.owner];
                        let (page, more) =
                            upstream(store, (prefix.as_str(), delimiter.as_str(), start_after.as_str()), 2);
                        let last = page.objects.iter().map(|one| one.key.clone());
                        let groups = page.common_prefixes.iter().map(|one| format!("{one}{LAST}"));
                        start_after = last.chain(groups).max().unwrap_or_default();
                        let mapping = &bucket.mappings[segment.owner];
                        let page = to_virtual(page, &mapping.prefix, &mapping.folder);
                        let flow = collector.page(&segment, page);
                        if flow != Flow::More || !more {
                            break flow;
                        }
                    },
                };
                if flow == Flow::Full {
                    break 'segments;
                }
            }
            shown.extend(collector.items.iter().map(|item| item.name().to_owned()));
            let Some(next) = collector.next() else { return shown };
            position = Position::from_text(&next.to_text()).unwrap();
        }
        panic!("the list does not end");
    }

    fn to_virtual(mut page: ListPage, prefix: &str, folder: &str) -> ListPage {
        for one in &mut page.objects {
            one.key = format!("{folder}{}", one.key.strip_prefix(prefix).unwrap());
        }
        for one in &mut page.common_prefixes {
            *one = format!("{folder}{}", one.strip_prefix(prefix).unwrap());
        }
        page
    }

    const ROWS: [&str; 3] = [">t/", "p/>", "p/q/>x/y/"];
    const KEYS: [&str; 14] = [
        "0:t/a",
        "0:t/d/1",
        "0:t/p",
        "0:t/p/shadowed",
        "0:t/p0",
        "0:t/z/1",
        "0:other/secret",
        "1:b",
        "1:c/1",
        "1:q/shadowed",
        "1:r",
        "2:x/y/k",
        "2:x/y/l/m",
        "2:x/secret",
    ];

    fn check(prefix: &str, delimiter: &str, expected: &[&str]) {
        for entries_max in [1, 2, 3, 1_000] {
            assert_eq!(
                list(&ROWS, &KEYS, prefix, delimiter, entries_max),
                expected,
                "{prefix} {delimiter} {entries_max}"
            );
        }
    }

    #[test]
    fn all_keys_in_order_without_the_shadowed() {
        check("", "", &["a", "d/1", "p", "p/b", "p/c/1", "p/q/k", "p/q/l/m", "p/r", "p0", "z/1"]);
        check("p", "", &["p", "p/b", "p/c/1", "p/q/k", "p/q/l/m", "p/r", "p0"]);
        check("p/q/", "", &["p/q/k", "p/q/l/m"]);
        check("nothing", "", &[]);
    }

    #[test]
    fn folders_show_as_groups() {
        check("", "/", &["a", "d/", "p", "p/", "p0", "z/"]);
        check("p/", "/", &["p/b", "p/c/", "p/q/", "p/r"]);
        check("p/q/", "/", &["p/q/k", "p/q/l/"]);
        check("p/q", "/", &["p/q/"]);
    }

    #[test]
    fn odd_delimiters_are_grouped_here() {
        check("", "/q", &["a", "d/1", "p", "p/b", "p/c/1", "p/q", "p/r", "p0", "z/1"]);
    }

    #[test]
    fn markers() {
        assert_eq!(Position::of_marker("p/", "", "/"), Position::Group("p/".to_owned()));
        assert_eq!(Position::of_marker("p/a", "", "/"), Position::Key("p/a".to_owned()));
        assert_eq!(Position::of_marker("p/", "", ""), Position::Key("p/".to_owned()));
        assert_eq!(Position::of_marker("", "", "/"), Position::Start);
        assert_eq!(Position::from_text("x"), None);
    }

    #[test]
    fn buckets_of_folders_only() {
        let rows = ["a/>", "c/>"];
        assert_eq!(list(&rows, &["0:1", "1:2"], "", "", 1), ["a/1", "c/2"]);
        assert_eq!(list(&rows, &["0:1", "1:2"], "", "/", 1), ["a/", "c/"]);
        assert_eq!(list(&rows, &["0:1", "1:2"], "b", "", 1), [""; 0]);
    }
}
