//! The field in which an organisation is named: by name, short name or id. A select of a wide tree would be a page of its own.

use app::Failure;
use app::rows::Org;
use base::OrgId;

/// Organisations that the browser suggests while one types.
const SUGGESTED: usize = 100;

/// An organisation that is suggested.
pub(super) struct OrgSuggestion {
    /// What stands in the field: the name, or the id where another one has the same.
    pub(super) value: String,
    pub(super) label: String,
}

/// The first of the organisations that may be meant.
pub(super) fn suggestions(offered: &[Org]) -> Vec<OrgSuggestion> {
    let is_alone = |org: &Org| offered.iter().filter(|other| other.name == org.name).count() == 1;
    let suggestion = |org: &Org| OrgSuggestion {
        value: if is_alone(org) { org.name.clone() } else { org.id.to_string() },
        label: format!("{} ({})", org.name, org.kind),
    };
    offered.iter().take(SUGGESTED).map(suggestion).collect()
}

/// Which of the organisations a text means.
pub(super) fn org(offered: &[Org], field: &str, text: &str) -> Result<OrgId, Failure> {
    let text = text.trim();
    if let Ok(org) = text.parse() {
        return Ok(org); // Whoever uses it looks it up with the visitor's eyes.
    }
    let wanted = text.to_lowercase();
    let found: Vec<&Org> =
        offered.iter().filter(|org| org.name.to_lowercase() == wanted || org.slug == wanted).collect();
    match found.as_slice() {
        [org] => Ok(org.id),
        [] => Err(Failure::invalid(field, text, "is neither name, short name nor id of an organisation here")),
        _ => Err(Failure::invalid(field, text, "is the name of several; give the id")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Currency, Zone};

    #[test]
    fn an_organisation_is_named_by_name_short_name_or_id() {
        let make = |id: u128, name: &str, slug: &str| Org {
            slug: slug.to_owned(),
            ..Org::new(OrgId(id), None, "customer", name, Currency::EUR, Zone::utc())
        };
        let all = [make(1, "Acme", "acme"), make(2, "Twin", "twin"), make(3, "Twin", "twin-2")];
        let mut meant = Vec::new();
        for text in [" acme ", "Acme", "twin-2", "org_00000000000000000000000002"] {
            meant.push(org(&all, "to", text).unwrap().0);
        }
        assert_eq!(meant, [1, 1, 3, 2]);
        // "twin" is the name of two, and of one the short name: which one is meant cannot be known.
        assert!(org(&all, "to", "twin").is_err() && org(&all, "to", "nobody").is_err() && org(&all, "to", "").is_err());
        assert_eq!(suggestions(&all)[1].value, "org_00000000000000000000000002");
    }
}
