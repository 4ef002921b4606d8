//! Policies: statements that allow or deny actions on resources under conditions, in the JSON form that
//! people edit, with every fault named by field, value and reason.

use crate::action::{Action, Actions, READS, matches};
use crate::condition::{Condition, RawCondition};
use crate::decide::Facts;
use base::PolicyId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Statements of one policy at most.
const STATEMENTS_MAX: usize = 50;
/// Actions, resources and condition values of one statement at most.
const ITEMS_MAX: usize = 100;
/// Characters of one pattern at most.
const PATTERN_MAX: usize = 200;

/// A value of a policy that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {value:?} {reason}")]
pub struct PolicyError {
    /// JSON pointer of the field.
    pub pointer: String,
    /// What stands there.
    pub value: String,
    /// Why it is wrong.
    pub reason: String,
}

impl PolicyError {
    pub(crate) fn new(pointer: impl Into<String>, value: &str, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), value: value.chars().take(PATTERN_MAX).collect(), reason: reason.into() }
    }
}

/// What a policy speaks about. Fixed once it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Everything in an organisation.
    Org,
    /// Named resources; the binding says which.
    Resource,
}

impl Level {
    /// The word stored and sent.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Resource => "resource",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_code(text: &str) -> Option<Self> {
        [Self::Org, Self::Resource].into_iter().find(|level| level.code() == text)
    }
}

/// Allow or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Effect {
    /// Gives a right.
    Allow,
    /// Takes it away, whatever else gives it.
    Deny,
}

/// A statement as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawStatement {
    /// `ALLOW` or `DENY`.
    pub effect: Effect,
    /// Patterns `service:verb` with `*`.
    pub actions: Vec<String>,
    /// Patterns `service:id` with `*`; every resource if left out.
    #[serde(default = "everything")]
    pub resources: Vec<String>,
    /// All of them must hold.
    #[serde(default, skip_serializing_if = "RawCondition::is_empty")]
    pub condition: RawCondition,
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

/// A policy document as it is written: `{"statements": [...]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The statements.
    pub statements: Vec<RawStatement>,
}

/// A checked statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Allow or deny.
    pub effect: Effect,
    /// What.
    pub actions: Actions,
    /// On what; empty for everything.
    pub resources: Vec<String>,
    /// If.
    pub conditions: Vec<Condition>,
}

impl Statement {
    /// Whether it holds wherever it covers, so that it is a few bits.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.resources.is_empty() && self.conditions.is_empty()
    }

    /// Whether it speaks about this act. A condition that cannot be evaluated makes an ALLOW not hold and
    /// a DENY hold: a fault never opens a door.
    #[must_use]
    pub fn holds(&self, action: Action, facts: &Facts<'_>) -> bool {
        if !self.actions.has(action) || !covers(&self.resources, facts.resource) {
            return false;
        }
        let on_fault = self.effect == Effect::Deny;
        let mut held = true;
        for condition in &self.conditions {
            match condition.holds(facts) {
                Some(true) => {}
                Some(false) => return false,
                None => held = on_fault,
            }
        }
        held
    }
}

/// Whether a list of patterns covers a resource. An empty list covers everything; a named pattern never
/// covers an act on no single resource.
#[must_use]
pub fn covers(patterns: &[String], resource: &str) -> bool {
    patterns.is_empty()
        || patterns.iter().any(|pattern| pattern == "*" || (!resource.is_empty() && matches(pattern, resource)))
}

/// A checked policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which.
    pub reference: PolicyRef,
    /// Its name for people.
    pub name: String,
    /// What it speaks about.
    pub level: Level,
    /// What it says.
    pub statements: Vec<Statement>,
}

impl Policy {
    /// What it allows and denies everywhere it covers.
    #[must_use]
    pub fn plain(&self) -> (Actions, Actions) {
        let of = |effect| {
            let plain = self.statements.iter().filter(|statement| statement.effect == effect && statement.is_plain());
            plain.fold(Actions::NONE, |set, statement| set | statement.actions)
        };
        (of(Effect::Allow), of(Effect::Deny))
    }

    /// Everything that it may allow under some condition.
    #[must_use]
    pub fn allows_at_most(&self) -> Actions {
        let allows = self.statements.iter().filter(|statement| statement.effect == Effect::Allow);
        allows.fold(Actions::NONE, |set, statement| set | statement.actions)
    }
}

/// Checks a document.
///
/// # Errors
/// [`PolicyError`] with pointer, value and reason.
pub fn check(document: &Document) -> Result<Vec<Statement>, PolicyError> {
    let count = document.statements.len();
    if !(1..=STATEMENTS_MAX).contains(&count) {
        return Err(PolicyError::new("/statements", &count.to_string(), "must be 1 to 50 statements"));
    }
    document.statements.iter().enumerate().map(|(index, raw)| check_statement(index, raw)).collect()
}

/// Reads and checks a document from JSON text.
///
/// # Errors
/// [`PolicyError`]; a text that is no such JSON is named with place and reason.
pub fn parse(text: &str) -> Result<(Document, Vec<Statement>), PolicyError> {
    let document: Document =
        serde_json::from_str(text).map_err(|error| PolicyError::new("/", "", error.to_string()))?;
    let statements = check(&document)?;
    Ok((document, statements))
}

fn check_statement(index: usize, raw: &RawStatement) -> Result<Statement, PolicyError> {
    let at = format!("/statements/{index}");
    let actions = check_actions(&at, &raw.actions)?;
    let resources = check_resources(&at, &raw.resources)?;
    let conditions = raw.condition.check(&format!("{at}/condition"))?;
    let on_resource = conditions.iter().find(|condition| condition.key.starts_with("resource:"));
    if let Some(condition) = on_resource
        && let Some(action) = (actions & READS).iter().next()
    {
        let reason = format!("cannot be asked of {}, by which lists are filtered", action.code());
        return Err(PolicyError::new(format!("{at}/condition"), &condition.key, reason));
    }
    Ok(Statement { effect: raw.effect, actions, resources, conditions })
}

fn check_actions(at: &str, patterns: &[String]) -> Result<Actions, PolicyError> {
    if !(1..=ITEMS_MAX).contains(&patterns.len()) {
        let reason = "must be 1 to 100 patterns";
        return Err(PolicyError::new(format!("{at}/actions"), &patterns.len().to_string(), reason));
    }
    let mut found = Actions::NONE;
    for (index, pattern) in patterns.iter().enumerate() {
        let named = Actions::matching(pattern);
        if named.is_empty() || pattern.len() > PATTERN_MAX {
            let reason = "names no action; actions are service:verb, such as invoice:read or invoice:*";
            return Err(PolicyError::new(format!("{at}/actions/{index}"), pattern, reason));
        }
        found = found | named;
    }
    Ok(found)
}

fn check_resources(at: &str, patterns: &[String]) -> Result<Vec<String>, PolicyError> {
    if !(1..=ITEMS_MAX).contains(&patterns.len()) {
        let reason = "must be 1 to 100 patterns";
        return Err(PolicyError::new(format!("{at}/resources"), &patterns.len().to_string(), reason));
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let good = pattern == "*"
            || pattern.split_once(':').is_some_and(|(service, id)| !service.is_empty() && !id.is_empty());
        if !good || pattern.len() > PATTERN_MAX {
            let reason = "is not service:id, such as source:acc_* or *";
            return Err(PolicyError::new(format!("{at}/resources/{index}"), pattern, reason));
        }
    }
    if patterns.iter().any(|pattern| pattern == "*") { Ok(Vec::new()) } else { Ok(patterns.to_vec()) }
}

/// Which policy: a built-in one by its word, a custom one by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyRef {
    /// One that every installation has.
    Builtin(Builtin),
    /// One that an organisation made.
    Custom(PolicyId),
}

impl PolicyRef {
    /// The role that counts as an admin of an organisation.
    pub const ADMIN: Self = Self::Builtin(Builtin::OrganizationAdmin);
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(builtin) => f.write_str(builtin.code()),
            Self::Custom(id) => fmt::Display::fmt(id, f),
        }
    }
}

impl FromStr for PolicyRef {
    type Err = PolicyError;
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        if let Some(builtin) = Builtin::from_code(text) {
            return Ok(Self::Builtin(builtin));
        }
        text.parse().map(Self::Custom).map_err(|_| {
            let words: Vec<_> = Builtin::ALL.iter().map(|builtin| builtin.code()).collect();
            PolicyError::new("policy", text, format!("is not a policy id or one of {}", words.join(", ")))
        })
    }
}

impl Serialize for PolicyRef {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

macro_rules! builtins {
    ($($(#[doc = $doc:literal])+ $name:ident $code:literal $words:literal $level:ident $reach:ident [$($allow:literal),*] minus [$($deny:literal),*],)+) => {
        /// The policies that every installation has. They cannot be changed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Builtin {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Builtin {
            /// All of them, strongest first.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word stored and sent.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The word for people.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)+ }
            }

            /// What it is for, in a sentence.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// What it speaks about.
            #[must_use]
            pub fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)+ }
            }

            /// Where it may reach; the first one is what it does if nobody says.
            #[must_use]
            pub fn reaches(self) -> &'static [Propagate] {
                match self { $(Self::$name => Propagate::$reach,)+ }
            }

            /// The actions that it allows.
            #[must_use]
            pub fn actions(self) -> Actions {
                let (allow, minus): (&[&str], &[&str]) = match self {
                    $(Self::$name => (&[$($allow),*], &[$($deny),*]),)+
                };
                let set = |patterns: &[&str]| {
                    patterns.iter().fold(Actions::NONE, |set, pattern| set | Actions::matching(pattern))
                };
                set(allow) & !set(minus)
            }
        }
    };
}

builtins! {
    /// Everything at the organisation and below it.
    OrganizationAdmin "organization_admin" "Organization Admin" Org EITHER
        ["*"] minus ["scim:*", "support:*"],
    /// Everything at the organisation itself, and nothing below it.
    OrganizationEditor "organization_editor" "Organization Editor" Org HERE
        ["*"] minus ["scim:*", "support:*", "margin:*", "org:create_child", "org:list_children", "org:move", "org:delete", "org:switch_child", "org:suspend", "org:set_visibility"],
    /// Prices, costs, invoices and payments.
    BillingAdmin "billing_admin" "Billing Admin" Org EITHER
        ["org:read", "usage:read*", "cost:*", "rule:*", "family:*", "invoice:*", "payment:*", "report:*", "margin:read", "ledger:read"] minus [],
    /// Reads costs, invoices, payments and reports, and the usage behind them.
    FinanceViewer "finance_viewer" "Finance Viewer" Org EITHER
        ["org:read", "usage:read", "cost:read*", "invoice:read", "report:read", "report:export", "payment:read", "ledger:read"] minus [],
    /// Reads everything, changes nothing.
    Auditor "auditor" "Auditor" Org EITHER
        ["*:read*", "audit:*", "org:list_children", "report:export", "payment:method_read"] minus [],
    /// Reads everything and may look as one of the people.
    SupportAgent "support_agent" "Support Agent" Org EITHER
        ["*:read*", "org:list_children", "support:impersonate"] minus ["margin:*"],
    /// The people, usage, charges and S3 keys of a department.
    DepartmentHead "department_head" "Department Head" Org BELOW
        ["org:read", "user:read", "user:invite", "user:remove", "group:read", "usage:read", "usage:read_own", "cost:read", "cost:read_charged", "invoice:read", "rule:read", "s3:*", "token:own"] minus [],
    /// The catalogue of the store front.
    CatalogueManager "catalogue_manager" "Catalogue Manager" Org EITHER
        ["org:read", "catalog:*", "provisioning:read"] minus [],
    /// Payment methods.
    PaymentEditor "payment_editor" "Payment Editor" Org HERE
        ["payment:method_*"] minus [],
    /// Reads and changes the named cloud accounts and reads their usage.
    AccountEditor "account_editor" "Account Editor" Resource EITHER
        ["source:*", "usage:read", "cost:read", "cost:read_charged"] minus [],
    /// Reads the named cloud accounts and their usage.
    AccountViewer "account_viewer" "Account Viewer" Resource EITHER
        ["source:read", "usage:read", "cost:read", "cost:read_charged"] minus [],
    /// One's own profile, tokens, keys and usage. Comes with every membership.
    Member "member" "Member" Org HERE
        ["token:own", "s3:own_keys", "usage:read_own"] minus [],
}

impl Builtin {
    /// Reads the word.
    #[must_use]
    pub fn from_code(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|builtin| builtin.code() == text)
    }

    /// As a policy.
    #[must_use]
    pub fn policy(self) -> Policy {
        Policy {
            reference: PolicyRef::Builtin(self),
            name: self.words().to_owned(),
            level: self.level(),
            statements: vec![Statement {
                effect: Effect::Allow,
                actions: self.actions(),
                resources: Vec::new(),
                conditions: Vec::new(),
            }],
        }
    }
}

/// How far a binding reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Propagate {
    /// The organisation itself.
    #[serde(rename = "self")]
    Here,
    /// It and everything below it.
    #[serde(rename = "subtree")]
    Subtree,
}

impl Propagate {
    const EITHER: &'static [Self] = &[Self::Subtree, Self::Here];
    const HERE: &'static [Self] = &[Self::Here];
    const BELOW: &'static [Self] = &[Self::Subtree];

    /// The word stored and sent.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Here => "self",
            Self::Subtree => "subtree",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_code(text: &str) -> Option<Self> {
        [Self::Here, Self::Subtree].into_iter().find(|reach| reach.code() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn faults_name_field_value_and_reason() {
        for (text, want) in [
            (r#"{"statements":[]}"#, "/statements: \"0\" must be 1 to 50"),
            (
                r#"{"statements":[{"effect":"ALLOW","actions":["invoice:viod"]}]}"#,
                "/statements/0/actions/0: \"invoice:viod\" names no action",
            ),
            (r#"{"statements":[{"effect":"ALLOW","actions":[]}]}"#, "/statements/0/actions: \"0\" must be 1 to 100"),
            (
                r#"{"statements":[{"effect":"ALLOW","actions":["*"],"resources":["acc_1"]}]}"#,
                "/statements/0/resources/0: \"acc_1\" is not service:id",
            ),
            (r#"{"statements":[{"effect":"MAYBE","actions":["*"]}]}"#, "unknown variant `MAYBE`"),
            (r#"{"statements":[{"effect":"ALLOW","actions":["*"],"efect":1}]}"#, "unknown field `efect`"),
            (
                r#"{"statements":[{"effect":"ALLOW","actions":["source:read"],"condition":{"StringEquals":{"resource:id":["a"]}}}]}"#,
                "cannot be asked of source:read",
            ),
            (
                r#"{"statements":[{"effect":"ALLOW","actions":["*"],"condition":{"StringLike":{"user:email":["a"]}}}]}"#,
                "unknown field `StringLike`",
            ),
            (
                r#"{"statements":[{"effect":"ALLOW","actions":["*"],"condition":{"StringEquals":{"user:mail":["a"]}}}]}"#,
                "user:mail",
            ),
        ] {
            assert!(fault(text).contains(want), "{}", fault(text));
        }
    }

    #[test]
    fn policies_read_back() {
        let text = r#"{"statements":[{"effect":"DENY","actions":["invoice:void"],"resources":["*"]}]}"#;
        let (document, statements) = parse(text).unwrap();
        assert!(statements[0].is_plain());
        assert_eq!(serde_json::to_string(&document).unwrap(), text);
    }

    #[test]
    fn built_in_policies_hold_what_their_names_say() {
        let has = |builtin: Builtin, code: &str| builtin.actions().has(Action::from_code(code).unwrap());
        assert!(
            has(Builtin::OrganizationAdmin, "org:delete") && !has(Builtin::OrganizationAdmin, "support:impersonate")
        );
        assert!(
            has(Builtin::OrganizationEditor, "org:update") && !has(Builtin::OrganizationEditor, "org:list_children")
        );
        assert!(!has(Builtin::OrganizationEditor, "margin:read"));
        assert!(has(Builtin::Auditor, "audit:export"));
        assert!((Builtin::Auditor.actions() & !READS).is_empty(), "{:?}", Builtin::Auditor.actions() & !READS);
        assert!((Builtin::FinanceViewer.actions() & !READS).is_empty());
        assert!(!has(Builtin::AccountViewer, "source:write") && has(Builtin::AccountEditor, "source:write"));
        for builtin in Builtin::ALL {
            assert_eq!(builtin.code().parse::<PolicyRef>().unwrap(), PolicyRef::Builtin(*builtin));
            assert!(!builtin.actions().is_empty());
        }
    }
}
