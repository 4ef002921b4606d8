//! A policy as a form: the same document as its JSON, statement by statement.

use super::fields::{Fields, items};
use super::frame::{Choice, choices};
use access::policy::{Document, Effect, RawStatement, parse};
use app::Failure;
use std::collections::BTreeMap;

/// Operators of conditions and their words.
const OPERATORS: [(&str, &str); 5] = [
    ("StringEquals", "equals one of"),
    ("StringNotEquals", "equals none of"),
    ("StringContains", "contains one of"),
    ("StringEqualsIgnoreCase", "equals one of, any case"),
    ("StringPatternMatch", "fits one of the patterns"),
];

/// The facts that a condition can ask; empty for no condition.
const KEYS: [(&str, &str); 9] = [
    ("", "no condition"),
    ("user:id", "user:id"),
    ("user:email", "user:email"),
    ("org:id", "org:id"),
    ("resource:id", "resource:id"),
    ("resource:type", "resource:type"),
    ("request:ip", "request:ip"),
    ("token:kind", "token:kind"),
    ("mfa:fresh", "mfa:fresh"),
];

const EFFECTS: [(&str, &str); 2] =
    [("ALLOW", "ALLOW: gives a right"), ("DENY", "DENY: takes it away, whatever gives it")];

/// Statements of a form at most: as many as a policy may have.
const STATEMENTS_MAX: usize = 50;
/// Conditions of one statement in a form at most.
const CONDITIONS_MAX: usize = 50;

/// One condition as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ConditionEntry {
    operator: String,
    key: String,
    values: String,
}

/// One statement as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StatementEntry {
    effect: String,
    actions: String,
    resources: String,
    conditions: Vec<ConditionEntry>,
}

/// A condition as the page shows it.
pub(super) struct ConditionRow {
    pub(super) operators: Vec<Choice>,
    pub(super) keys: Vec<Choice>,
    pub(super) values: String,
}

/// A statement as the page shows it.
pub(super) struct StatementRow {
    pub(super) effects: Vec<Choice>,
    pub(super) actions: String,
    pub(super) resources: String,
    pub(super) conditions: Vec<ConditionRow>,
    /// Whether the fault that was found stands in it.
    pub(super) faulty: bool,
}

impl StatementEntry {
    /// The row of the page, with one more line for a condition.
    pub(super) fn row(&self, faulty: bool) -> StatementRow {
        let more = [ConditionEntry::default()];
        let lines = self.conditions.iter().chain(&more).map(|entry| ConditionRow {
            operators: choices(&OPERATORS, &entry.operator),
            keys: choices(&KEYS, &entry.key),
            values: entry.values.clone(),
        });
        StatementRow {
            effects: choices(&EFFECTS, &self.effect),
            actions: self.actions.clone(),
            resources: self.resources.clone(),
            conditions: lines.collect(),
            faulty,
        }
    }
}

/// The statements of a form, in order.
pub(super) fn entries(fields: &Fields) -> Vec<StatementEntry> {
    let count: usize = fields.get("count").parse().unwrap_or_default();
    (0..count.min(STATEMENTS_MAX)).map(|at| entry(fields, at)).collect()
}

fn entry(fields: &Fields, at: usize) -> StatementEntry {
    let field = |name: &str| fields.get(&format!("s{at}_{name}")).to_owned();
    let line = |no: usize| ConditionEntry {
        operator: field(&format!("c{no}_operator")),
        key: field(&format!("c{no}_key")),
        values: field(&format!("c{no}_values")),
    };
    let lines = (0..CONDITIONS_MAX).map(line).take_while(|line| !line.operator.is_empty());
    StatementEntry {
        effect: field("effect"),
        actions: field("actions"),
        resources: field("resources"),
        conditions: lines.filter(|line| !line.key.is_empty()).collect(),
    }
}

/// The document that the statements of a form say. What is wrong with it is found when it is saved.
pub(super) fn document(entries: &[StatementEntry]) -> Document {
    Document { statements: entries.iter().map(statement).collect() }
}

fn statement(entry: &StatementEntry) -> RawStatement {
    let mut statement = RawStatement {
        effect: if entry.effect == "DENY" { Effect::Deny } else { Effect::Allow },
        actions: items(&entry.actions),
        resources: items(&entry.resources),
        condition: Default::default(),
    };
    if statement.resources.is_empty() {
        statement.resources.push("*".to_owned());
    }
    let condition = &mut statement.condition;
    for line in &entry.conditions {
        let group: &mut BTreeMap<String, Vec<String>> = match line.operator.as_str() {
            "StringNotEquals" => &mut condition.StringNotEquals,
            "StringContains" => &mut condition.StringContains,
            "StringEqualsIgnoreCase" => &mut condition.StringEqualsIgnoreCase,
            "StringPatternMatch" => &mut condition.StringPatternMatch,
            _ => &mut condition.StringEquals,
        };
        group.entry(line.key.clone()).or_default().extend(items(&line.values));
    }
    statement
}

/// The entries of a form for a document.
pub(super) fn entries_of(document: &Document) -> Vec<StatementEntry> {
    document.statements.iter().map(entry_of).collect()
}

fn entry_of(statement: &RawStatement) -> StatementEntry {
    let condition = &statement.condition;
    let groups = [
        &condition.StringEquals,
        &condition.StringNotEquals,
        &condition.StringContains,
        &condition.StringEqualsIgnoreCase,
        &condition.StringPatternMatch,
    ];
    let lines = OPERATORS.iter().zip(groups).flat_map(|((operator, _), values)| {
        values.iter().map(|(key, values)| ConditionEntry {
            operator: (*operator).to_owned(),
            key: key.clone(),
            values: values.join("\n"),
        })
    });
    StatementEntry {
        effect: if statement.effect == Effect::Deny { "DENY" } else { "ALLOW" }.to_owned(),
        actions: statement.actions.join("\n"),
        resources: statement.resources.join("\n"),
        conditions: lines.collect(),
    }
}

/// A document as people read it.
pub(super) fn json(document: &Document) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default()
}

/// Reads a document that was typed as JSON. A fault names pointer, value and reason.
pub(super) fn read_json(text: &str) -> Result<Document, Failure> {
    Ok(parse(text)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_and_json_are_the_same_document() {
        let text = r#"{"statements":[{"effect":"ALLOW","actions":["org:read","user:*"],"resources":["*"]},
            {"effect":"DENY","actions":["invoice:void"],"resources":["invoice:inv_*"],
             "condition":{"StringNotEquals":{"user:email":["a@x.org","b@x.org"]},"StringPatternMatch":{"request:ip":["10.*"]}}}]}"#;
        let document_read = read_json(text).ok().unwrap();
        assert_eq!(document(&entries_of(&document_read)), document_read);
    }

    #[test]
    fn faults_name_their_statement() {
        let failure = read_json(r#"{"statements":[{"effect":"ALLOW","actions":["invoice:viod"]}]}"#).err().unwrap();
        assert_eq!(failure.field, "/statements/0/actions/0");
    }
}
