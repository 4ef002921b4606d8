//! The words for what can be done, `service:verb`, and sets of them as bits.

use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

/// A product that an organisation may have. Switched off it is hidden and refused; its data are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// S3 for many departments: virtual keys and buckets.
    S3,
    /// Billing for `CloudStack`.
    CloudStack,
    /// Bills of clouds in FOCUS form.
    CloudBills,
    /// The store front.
    StoreFront,
}

impl Product {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::S3, Self::CloudStack, Self::CloudBills, Self::StoreFront];

    /// The word stored and sent.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::CloudStack => "cloudstack",
            Self::CloudBills => "cloud_bills",
            Self::StoreFront => "store_front",
        }
    }

    /// The word for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::S3 => "S3 storage",
            Self::CloudStack => "CloudStack",
            Self::CloudBills => "Cloud bills",
            Self::StoreFront => "Store front",
        }
    }

    /// Reads the stored word.
    #[must_use]
    pub fn from_code(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|product| product.code() == text)
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// A set of products.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Products(u8);

impl Products {
    /// No product.
    pub const NONE: Self = Self(0);
    /// Every product.
    pub const ALL: Self = Self(0b1111);

    /// Whether the product is in the set.
    #[must_use]
    pub fn has(self, product: Product) -> bool {
        self.0 & product.bit() != 0
    }

    /// What both sets have: an organisation has a product only if every ancestor has it.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl FromIterator<Product> for Products {
    fn from_iter<I: IntoIterator<Item = Product>>(products: I) -> Self {
        Self(products.into_iter().fold(0, |bits, product| bits | product.bit()))
    }
}

impl fmt::Debug for Products {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Product::ALL.into_iter().filter(|product| self.has(*product))).finish()
    }
}

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $name:ident $code:literal,)+) => {
        /// What can be done. One word for each act that is checked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[doc = $doc])+ $name,)+
            /// Work of a background run. No policy can contain it: its code matches no pattern.
            RunJob,
        }

        impl Action {
            /// Every action that a policy can contain.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// `service:verb`.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                    Self::RunJob => "",
                }
            }

            /// What it means, for people.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                    Self::RunJob => "",
                }
            }
        }
    };
}

actions! {
    /// See the organisation and what lies below it.
    OrgRead "org:read",
    /// Change name, address and settings.
    OrgUpdate "org:update",
    /// Create a child organisation.
    OrgCreateChild "org:create_child",
    /// List the children with their figures.
    OrgListChildren "org:list_children",
    /// Move the organisation with everything below it.
    OrgMove "org:move",
    /// Suspend and restore a child organisation.
    OrgSuspend "org:suspend",
    /// Delete the organisation.
    OrgDelete "org:delete",
    /// Act inside a child organisation.
    OrgSwitchChild "org:switch_child",
    /// Say which costs a child's people may see.
    OrgSetVisibility "org:set_visibility",
    /// See people, invitations and roles.
    UserRead "user:read",
    /// Invite and add people.
    UserInvite "user:invite",
    /// Change a person's name.
    UserUpdate "user:update",
    /// Suspend and reactivate a person.
    UserSuspend "user:suspend",
    /// Take a person out of the organisation.
    UserRemove "user:remove",
    /// See one's own account, sessions, tokens and keys, and where one belongs.
    SelfRead "self:read",
    /// Change one's own account: name, sessions, second factors.
    SelfUpdate "self:update",
    /// See groups.
    GroupRead "group:read",
    /// Make, change and delete groups.
    GroupWrite "group:write",
    /// See policies.
    PolicyRead "policy:read",
    /// Make, change and delete policies.
    PolicyWrite "policy:write",
    /// Give and take policies.
    PolicyBind "policy:bind",
    /// Lay and lift guard-rails.
    PolicyGuard "policy:guard",
    /// Make and revoke one's own tokens.
    TokenOwn "token:own",
    /// See tokens of other people.
    TokenRead "token:read",
    /// Create service users and their tokens.
    TokenCreateProgrammatic "token:create_programmatic",
    /// Revoke tokens of other people.
    TokenRevoke "token:revoke",
    /// See identity providers and domains.
    IdpRead "idp:read",
    /// Change identity providers and domains.
    IdpWrite "idp:write",
    /// Read the audit log.
    AuditRead "audit:read",
    /// Export the audit log.
    AuditExport "audit:export",
    /// See products.
    ProductRead "product:read",
    /// Grant and withhold products of children.
    ProductWrite "product:write",
    /// See cloud accounts, buckets and rejected usage.
    SourceRead "source:read",
    /// Link cloud accounts and map buckets.
    SourceWrite "source:write",
    /// See usage of the organisation and below.
    UsageRead "usage:read",
    /// See one's own usage.
    UsageReadOwn "usage:read_own",
    /// Send usage events.
    UsageSend "usage:send",
    /// See costs at all.
    CostRead "cost:read",
    /// See list cost.
    CostReadList "cost:read_list",
    /// See contracted cost.
    CostReadContracted "cost:read_contracted",
    /// See billed cost.
    CostReadBilled "cost:read_billed",
    /// See effective cost.
    CostReadEffective "cost:read_effective",
    /// See what the organisation is charged.
    CostReadCharged "cost:read_charged",
    /// See the organisation's own margin.
    MarginRead "margin:read",
    /// See price lists.
    RuleRead "rule:read",
    /// Set prices.
    RuleWrite "rule:write",
    /// See families of accounts.
    FamilyRead "family:read",
    /// Change families of accounts.
    FamilyWrite "family:write",
    /// See statements and invoices.
    InvoiceRead "invoice:read",
    /// Close a month: make and issue papers.
    InvoiceCreate "invoice:create",
    /// Void an invoice.
    InvoiceVoid "invoice:void",
    /// See payments.
    PaymentRead "payment:read",
    /// Record payments and refunds.
    PaymentWrite "payment:write",
    /// See payment methods.
    PaymentMethodRead "payment:method_read",
    /// Change payment methods.
    PaymentMethodWrite "payment:method_write",
    /// See the ledger.
    LedgerRead "ledger:read",
    /// See reports.
    ReportRead "report:read",
    /// Export reports.
    ReportExport "report:export",
    /// Save and schedule reports.
    ReportWrite "report:write",
    /// See the catalogue.
    CatalogRead "catalog:read",
    /// Change the catalogue.
    CatalogWrite "catalog:write",
    /// See what was provisioned.
    ProvisioningRead "provisioning:read",
    /// Provision and remove.
    ProvisioningWrite "provisioning:write",
    /// Make and revoke one's own S3 keys.
    S3OwnKeys "s3:own_keys",
    /// Make and revoke S3 keys of other people.
    S3ManageKeys "s3:manage_keys",
    /// Look at an organisation as one of its people does, without changing anything.
    SupportImpersonate "support:impersonate",
    /// Send people and groups of a directory.
    ScimProvision "scim:provision",
}

impl Action {
    /// The action with this code.
    #[must_use]
    pub fn from_code(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.code() == text)
    }

    /// Whether an act of this kind changes who may do what, or what such a decision looks at. All others leave
    /// what was worked out about rights as it is.
    #[must_use]
    pub fn touches_rights(self) -> bool {
        !QUIET.has(self) && !READS.has(self)
    }

    fn bit(self) -> u128 {
        1 << (self as u32)
    }

    /// The product without which the action is refused.
    #[must_use]
    pub fn product(self) -> Option<Product> {
        match self {
            Self::S3OwnKeys | Self::S3ManageKeys => Some(Product::S3),
            Self::FamilyRead | Self::FamilyWrite => Some(Product::CloudBills),
            Self::CatalogRead | Self::CatalogWrite | Self::ProvisioningRead | Self::ProvisioningWrite => {
                Some(Product::StoreFront)
            }
            _ => None,
        }
    }
}

/// Acts that want a fresh proof of identity.
pub const SENSITIVE: Actions = Actions::of(&[
    Action::TokenCreateProgrammatic,
    Action::PolicyBind,
    Action::PolicyWrite,
    Action::PolicyGuard,
    Action::IdpWrite,
    Action::OrgDelete,
    Action::OrgMove,
]);

/// What the people of a suspended organisation may still do: see, pay, and read what happened.
pub const SUSPEND_ALLOWED: Actions = Actions::of(&[
    Action::OrgRead,
    Action::CostRead,
    Action::CostReadList,
    Action::CostReadContracted,
    Action::CostReadBilled,
    Action::CostReadEffective,
    Action::CostReadCharged,
    Action::InvoiceRead,
    Action::PaymentRead,
    Action::PaymentWrite,
    Action::PaymentMethodRead,
    Action::PaymentMethodWrite,
    Action::AuditRead,
    Action::AuditExport,
]);

/// Acts that change something, but nobody's rights.
const QUIET: Actions = Actions::of(&[
    Action::TokenOwn,
    Action::UsageSend,
    Action::RuleWrite,
    Action::InvoiceCreate,
    Action::InvoiceVoid,
    Action::PaymentWrite,
    Action::PaymentMethodWrite,
    Action::ReportWrite,
    Action::CatalogWrite,
    Action::ProvisioningWrite,
]);

/// Acts that only look.
pub const READS: Actions = Actions::of(&[
    Action::OrgRead,
    Action::OrgListChildren,
    Action::UserRead,
    Action::SelfRead,
    Action::GroupRead,
    Action::PolicyRead,
    Action::TokenRead,
    Action::IdpRead,
    Action::AuditRead,
    Action::AuditExport,
    Action::ProductRead,
    Action::SourceRead,
    Action::UsageRead,
    Action::UsageReadOwn,
    Action::CostRead,
    Action::CostReadList,
    Action::CostReadContracted,
    Action::CostReadBilled,
    Action::CostReadEffective,
    Action::CostReadCharged,
    Action::MarginRead,
    Action::RuleRead,
    Action::FamilyRead,
    Action::InvoiceRead,
    Action::PaymentRead,
    Action::PaymentMethodRead,
    Action::LedgerRead,
    Action::ReportRead,
    Action::ReportExport,
    Action::CatalogRead,
    Action::ProvisioningRead,
]);

/// A set of actions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions(u128);

impl Actions {
    /// No action.
    pub const NONE: Self = Self(0);

    /// The set of these actions.
    #[must_use]
    pub const fn of(list: &[Action]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < list.len() {
            bits |= 1 << (list[index] as u32);
            index += 1;
        }
        Self(bits)
    }

    /// Whether the action is in the set.
    #[must_use]
    pub fn has(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The actions, in order.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.iter().copied().filter(move |action| self.has(*action))
    }

    /// The actions that a pattern names: `invoice:read`, `invoice:*`, `*:read*`, `*`.
    #[must_use]
    pub fn matching(pattern: &str) -> Self {
        let fits = |action: &&Action| matches(pattern, action.code());
        Self(Action::ALL.iter().filter(fits).fold(0, |bits, action| bits | action.bit()))
    }
}

impl BitOr for Actions {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Actions {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Actions {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0 & ((1 << Action::ALL.len()) - 1))
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Action::code)).finish()
    }
}

/// Whether `text` fits a pattern, in which `*` stands for any run of characters. Linear for each `*`.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match() {
        for (pattern, text, want) in [
            ("invoice:read", "invoice:read", true),
            ("invoice:*", "invoice:read", true),
            ("invoice:*", "invoices:read", false),
            ("*:read*", "cost:read_list", true),
            ("*", "anything", true),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn codes_are_unique_and_fit_the_bits() {
        let codes: std::collections::BTreeSet<_> = Action::ALL.iter().map(|action| action.code()).collect();
        assert_eq!(codes.len(), Action::ALL.len());
        assert!(Action::ALL.len() < 127);
        assert!(Action::ALL.iter().all(|action| Action::from_code(action.code()) == Some(*action)));
    }

    #[test]
    fn no_pattern_contains_the_right_of_a_run() {
        assert!(!Actions::matching("*").has(Action::RunJob));
        assert!(!(!Actions::NONE).has(Action::RunJob));
        assert_eq!(Actions::matching("*"), !Actions::NONE);
    }
}
