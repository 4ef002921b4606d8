//! Lists that may be long: a search field and pages, the same on every page of the console.

use super::fields::{Fields, query_value};

/// Rows on a page.
const PAGE: usize = 100;

/// Which part of a list is shown, and the way to the rest. The templates `search.html` and `pager.html` read it.
pub(super) struct Listing {
    /// What was searched for.
    pub(super) search: String,
    /// Rows that fit.
    pub(super) count: usize,
    /// Whether there is so much, or so little left, that a search field helps.
    pub(super) searchable: bool,
    /// The list from its beginning, without a search.
    pub(super) href: String,
    pub(super) first_href: String,
    pub(super) next_href: String,
}

impl Listing {
    /// Cuts the page that `query` asks for out of the rows whose `text` has what it searches for.
    pub(super) fn cut<T>(rows: &mut Vec<T>, query: &Fields, href: &str, text: impl Fn(&T) -> String) -> Self {
        let (all, search) = (rows.len(), query.get("q").trim().to_owned());
        let wanted = search.to_lowercase();
        rows.retain(|row| wanted.is_empty() || text(row).to_lowercase().contains(&wanted));
        let count = rows.len();
        // Behind the last page is the last page: a list that got shorter has no empty one.
        let no = query.get("page").parse().unwrap_or(1_usize).clamp(1, count.div_ceil(PAGE).max(1));
        rows.drain(..count.min((no - 1) * PAGE));
        let is_last = rows.len() <= PAGE;
        rows.truncate(PAGE);
        let at = |no: usize| format!("{href}?q={}&page={no}", query_value(&search));
        Self {
            count,
            searchable: all > PAGE || !search.is_empty(),
            href: href.to_owned(),
            first_href: if no > 1 { at(1) } else { String::new() },
            next_href: if is_last { String::new() } else { at(no + 1) },
            search,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(asked: &str) -> (Vec<u32>, Listing) {
        let query: Fields = serde_json::from_str(asked).unwrap();
        let mut rows: Vec<u32> = (0..250).collect();
        let listing = Listing::cut(&mut rows, &query, "/list", |row| format!("Row {row}"));
        (rows, listing)
    }

    #[test]
    fn a_long_list_has_pages() {
        let (rows, listing) = shown("[]");
        assert_eq!((rows.len(), rows[0], listing.count), (100, 0, 250));
        assert_eq!((listing.first_href.as_str(), listing.next_href.as_str()), ("", "/list?q=&page=2"));
        let (rows, listing) = shown(r#"[["page","3"]]"#);
        assert_eq!((rows.len(), rows[0]), (50, 200));
        assert_eq!((listing.first_href.as_str(), listing.next_href.as_str()), ("/list?q=&page=1", ""));
        assert_eq!(shown(r#"[["page","9"]]"#).0[0], 200, "the last one");
        assert!(shown(r#"[["page","x"]]"#).0.len() == 100 && shown(r#"[["page","0"]]"#).0[0] == 0);
    }

    #[test]
    fn a_search_keeps_what_has_the_text_in_any_case() {
        let (rows, listing) = shown(r#"[["q"," ROW 24 "]]"#);
        assert_eq!(
            (rows, listing.count),
            (vec![24, 240, 241, 242, 243, 244, 245, 246, 247, 248, 249][..].to_vec(), 11)
        );
        let (rows, listing) = shown(r#"[["q","none & such"]]"#);
        assert!(rows.is_empty() && listing.searchable);
    }
}
