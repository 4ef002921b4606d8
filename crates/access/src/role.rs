//! Built-in roles and the actions they contain.

use serde::{Deserialize, Serialize};

/// What can be done. One word for each act that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// See the organisation, its children and its people.
    ReadOrg,
    /// Create, rename, suspend child organisations.
    ManageOrg,
    /// Invite and remove people, give roles.
    ManagePeople,
    /// See usage of the organisation and everything below it.
    ReadUsage,
    /// See one's own usage.
    ReadOwnUsage,
    /// See what the organisation is charged: statements, invoices, its price list.
    ReadCharges,
    /// Set the prices of an edge below the organisation.
    ManagePrices,
    /// Close a month: draft and issue papers to the organisation's children.
    CloseBooks,
    /// Link S3 accounts and map buckets.
    ManageSources,
    /// Send usage events.
    SendEvents,
    /// Make and revoke access keys of other people.
    ManageKeys,
    /// Make and revoke one's own access keys and tokens.
    ManageOwnKeys,
    /// Read the audit log.
    ReadAudit,
    /// Work of a background run.
    RunJob,
}

impl Action {
    /// All actions, for matrices.
    pub const ALL: [Self; 14] = [
        Self::ReadOrg,
        Self::ManageOrg,
        Self::ManagePeople,
        Self::ReadUsage,
        Self::ReadOwnUsage,
        Self::ReadCharges,
        Self::ManagePrices,
        Self::CloseBooks,
        Self::ManageSources,
        Self::SendEvents,
        Self::ManageKeys,
        Self::ManageOwnKeys,
        Self::ReadAudit,
        Self::RunJob,
    ];

    fn bit(self) -> u64 {
        1 << (self as u64)
    }
}

/// A built-in role. Custom policies join it later; both compile to the same bit set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything at the organisation and below.
    Admin,
    /// Head of a department: its people, usage and charges, keys of its people; no prices, no sources.
    DepartmentHead,
    /// Own profile, keys and usage.
    Member,
}

impl Role {
    /// All roles, for matrices.
    pub const ALL: [Self; 3] = [Self::Admin, Self::DepartmentHead, Self::Member];

    /// The word stored and shown.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::DepartmentHead => "department_head",
            Self::Member => "member",
        }
    }

    /// Reads the stored word.
    #[must_use]
    pub fn from_code(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.code() == text)
    }

    /// Whether the role holds at everything below the organisation it is given at.
    #[must_use]
    pub fn reaches_below(self) -> bool {
        self != Self::Member
    }

    /// The actions of the role, as bits.
    #[must_use]
    pub fn bits(self) -> u64 {
        let list: &[Action] = match self {
            Self::Admin => &Action::ALL[..13],
            Self::DepartmentHead => &[
                Action::ReadOrg,
                Action::ManagePeople,
                Action::ReadUsage,
                Action::ReadOwnUsage,
                Action::ReadCharges,
                Action::ManageKeys,
                Action::ManageOwnKeys,
            ],
            Self::Member => &[Action::ReadOwnUsage, Action::ManageOwnKeys],
        };
        list.iter().fold(0, |bits, action| bits | action.bit())
    }

    /// Whether the role contains the action.
    #[must_use]
    pub fn allows(self, action: Action) -> bool {
        self.bits() & action.bit() != 0
    }
}
