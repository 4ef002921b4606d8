//! Double entry: from events of billing to balanced entries. An entry that does not balance cannot be made.

use base::{AmountMinor, Currency, EntryId, OrgId};
use billing::Invoice;
use serde::{Deserialize, Serialize};

/// The accounts in use so far. More join with payments and tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// What customers owe.
    Receivable,
    /// What was sold.
    Revenue,
}

impl Account {
    /// The word stored.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Receivable => "receivable",
            Self::Revenue => "revenue",
        }
    }
}

/// One side of an entry. Debit is positive, credit negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Which account.
    pub account: Account,
    /// With whom.
    pub party: OrgId,
    /// How much.
    pub amount_minor: AmountMinor,
}

/// A balanced entry. Its id equals the id of the event it stands for: posting twice is impossible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    id: EntryId,
    owner: OrgId,
    at_us: i64,
    currency: Currency,
    memo: String,
    postings: Vec<Posting>,
}

/// What cannot be posted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Debits and credits differ.
    #[error("the entry is out of balance by {by_minor} minor units")]
    Unbalanced {
        /// Debits less credits.
        by_minor: i128,
    },
    /// Left 64 bits.
    #[error("an amount does not fit 64 bits")]
    Overflow,
    /// A statement moves no money.
    #[error("a statement has no entry")]
    NoMoney,
}

impl Entry {
    /// Makes an entry if it balances.
    ///
    /// # Errors
    /// [`LedgerError::Unbalanced`].
    pub fn new(
        id: EntryId,
        owner: OrgId,
        at_us: i64,
        currency: Currency,
        memo: String,
        postings: Vec<Posting>,
    ) -> Result<Self, LedgerError> {
        let by_minor: i128 = postings.iter().map(|posting| i128::from(posting.amount_minor.0)).sum();
        if by_minor != 0 {
            return Err(LedgerError::Unbalanced { by_minor });
        }
        Ok(Self { id, owner, at_us, currency, memo, postings })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// In whose books.
    #[must_use]
    pub fn owner(&self) -> OrgId {
        self.owner
    }

    /// When.
    #[must_use]
    pub fn at_us(&self) -> i64 {
        self.at_us
    }

    /// In which money.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// What for.
    #[must_use]
    pub fn memo(&self) -> &str {
        &self.memo
    }

    /// Both sides.
    #[must_use]
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }
}

/// The entry of an issued invoice: the customer owes, the seller has sold.
///
/// # Errors
/// [`LedgerError::NoMoney`] for a statement.
pub fn entry_for_issue(invoice: &Invoice) -> Result<Entry, LedgerError> {
    let profile = &invoice.draft.profile;
    let Some(number) = &invoice.number else {
        return Err(LedgerError::NoMoney);
    };
    let total = invoice.draft.total_minor;
    let credit = total.0.checked_neg().map(AmountMinor).ok_or(LedgerError::Overflow)?;
    let posting = |account, amount_minor| Posting { account, party: profile.payer.org, amount_minor };
    Entry::new(
        EntryId(invoice.id.0),
        profile.seller.org,
        invoice.issued_us,
        profile.currency,
        format!("invoice {number}"),
        vec![posting(Account::Receivable, total), posting(Account::Revenue, credit)],
    )
}
