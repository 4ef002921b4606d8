//! Which costs people may see: a dimension of its own beside the roles, set by a strict ancestor, that can
//! only narrow on the way down.

use crate::action::Action;
use std::fmt;

/// A kind of cost figure, by FOCUS's words; `charged` is what an organisation owes its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// At public list prices.
    List,
    /// At the agreed prices.
    Contracted,
    /// As billed.
    Billed,
    /// After prepaid and committed amounts are spread.
    Effective,
    /// What the organisation owes its parent.
    Charged,
}

impl Cost {
    /// All of them, in the order of columns.
    pub const ALL: [Self; 5] = [Self::List, Self::Contracted, Self::Billed, Self::Effective, Self::Charged];

    /// The word stored and sent.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Contracted => "contracted",
            Self::Billed => "billed",
            Self::Effective => "effective",
            Self::Charged => "charged",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_code(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cost| cost.code() == text)
    }

    /// The right to see it.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::List => Action::CostReadList,
            Self::Contracted => Action::CostReadContracted,
            Self::Billed => Action::CostReadBilled,
            Self::Effective => Action::CostReadEffective,
            Self::Charged => Action::CostReadCharged,
        }
    }
}

/// A set of kinds of cost.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Costs(u8);

impl Costs {
    /// Every kind.
    pub const ALL: Self = Self(0b1_1111);
    /// Only what is charged: what an organisation may always be shown.
    pub const CHARGED: Self = Self(1 << Cost::Charged as u8);

    /// Whether the kind is in the set.
    #[must_use]
    pub fn has(self, cost: Cost) -> bool {
        self.0 & (1 << cost as u8) != 0
    }

    /// What both sets have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What a child may be allowed at most: its parent's set and what it is itself charged.
    #[must_use]
    pub fn for_children(self) -> Self {
        Self(self.0 | Self::CHARGED.0)
    }

    /// The kinds of `self` that `limit` lacks, if any.
    #[must_use]
    pub fn beyond(self, limit: Self) -> Option<Cost> {
        Cost::ALL.into_iter().find(|cost| self.has(*cost) && !limit.has(*cost))
    }

    /// The kinds, in the order of columns.
    pub fn iter(self) -> impl Iterator<Item = Cost> {
        Cost::ALL.into_iter().filter(move |cost| self.has(*cost))
    }

    /// The stored form: words with commas.
    #[must_use]
    pub fn codes(self) -> String {
        self.iter().map(Cost::code).collect::<Vec<_>>().join(",")
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// The word that is none.
    pub fn from_codes(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(|word| Cost::from_code(word).ok_or_else(|| word.to_owned())).collect()
    }

    /// What is left at the end of a path, given each organisation's own set, root first. A parent that
    /// narrows later narrows everything below it.
    #[must_use]
    pub fn along(path: impl IntoIterator<Item = Self>) -> Self {
        let mut sets = path.into_iter();
        let root = sets.next().unwrap_or(Self::ALL);
        sets.fold(root, |above, own| own.and(above.for_children()))
    }
}

impl FromIterator<Cost> for Costs {
    fn from_iter<I: IntoIterator<Item = Cost>>(costs: I) -> Self {
        Self(costs.into_iter().fold(0, |bits, cost| bits | 1 << cost as u8))
    }
}

impl fmt::Debug for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Cost::code)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_only_narrow_on_the_way_down() {
        let set = |text: &str| Costs::from_codes(text).unwrap();
        for (path, want) in [
            (vec!["list,contracted,billed,effective,charged"], "list,contracted,billed,effective,charged"),
            (vec!["list,billed", "list,charged"], "list,charged"),
            (vec!["list,billed", "charged", "list,charged"], "charged"),
            (vec!["billed", "list,effective"], ""),
        ] {
            assert_eq!(Costs::along(path.iter().map(|text| set(text))).codes(), want, "{path:?}");
        }
    }

    #[test]
    fn words_read_back() {
        assert_eq!(Costs::from_codes("charged, list").unwrap().codes(), "list,charged");
        assert_eq!(Costs::from_codes("charged,net"), Err("net".to_owned()));
    }
}
