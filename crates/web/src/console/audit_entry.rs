//! One entry of the audit log in the words of people.

use app::rows::AuditEvent;
use app::{Cx, audit};
use base::{OrgId, UserId, Zone};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An entry as the page shows it.
pub(super) struct Entry {
    pub(super) seq: i64,
    pub(super) at: String,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) target: String,
    pub(super) place: String,
    pub(super) done: bool,
    pub(super) reason: String,
    pub(super) context: Vec<(&'static str, String)>,
    pub(super) detail: Vec<String>,
}

/// Knows the names of people and places, as far as the viewer may know them.
pub(super) struct Namer {
    org: OrgId,
    users: BTreeMap<String, String>,
    places: BTreeMap<String, String>,
}

impl Namer {
    pub(super) fn new(org: OrgId, users: BTreeMap<String, String>, places: BTreeMap<OrgId, String>) -> Self {
        let places = places.into_iter().map(|(org, name)| (org.to_string(), name)).collect();
        Self { org, users, places }
    }

    /// Who did it. Somebody who stands above is not named.
    pub(super) async fn actor(&mut self, cx: &Cx, id: &str) -> String {
        if id == "system" {
            return "system".to_owned();
        }
        if let Some(name) = self.users.get(id) {
            return name.clone();
        }
        let above = match id.parse::<UserId>() {
            Ok(user) => audit::stands_above(cx, self.org, user).await.unwrap_or_default(),
            Err(_) => false,
        };
        let words = if above { "an organisation above".to_owned() } else { format!("{id}, not here any more") };
        self.users.insert(id.to_owned(), words.clone());
        words
    }

    /// The names on the way down, from the organisation of the page on.
    fn place(&self, event: &AuditEvent) -> String {
        let path = shown_path(&event.path, self.org);
        let own = event.org.to_string();
        let ids: Vec<&str> = path.split('/').filter(|id| !id.is_empty()).collect();
        let ids = if ids.is_empty() { vec![own.as_str()] } else { ids };
        let name = |id: &&str| self.places.get(*id).cloned().unwrap_or_else(|| (*id).to_owned());
        ids.iter().map(name).collect::<Vec<_>>().join(" / ")
    }

    fn target(&self, target: &str) -> String {
        let name = self.users.get(target).or_else(|| self.places.get(target));
        name.map_or_else(|| target.to_owned(), |name| format!("{name} ({target})"))
    }
}

/// The part of a path from `org` on: what lies above is not told. Empty when `org` is not on it.
pub(super) fn shown_path(path: &str, org: OrgId) -> &str {
    let own = format!("/{org}/");
    path.find(&own).map_or("", |at| &path[at..])
}

/// The entry of an event.
pub(super) fn entry(event: &AuditEvent, actor: String, namer: &Namer, zone: &Zone) -> Entry {
    Entry {
        seq: event.seq,
        at: zone.time_of(event.at_us),
        actor,
        action: event.action.clone(),
        target: namer.target(&event.target),
        place: namer.place(event),
        done: event.outcome == "allow",
        reason: event.reason.clone(),
        context: context(&event.context_json),
        detail: detail(&event.detail_json),
    }
}

fn context(json: &str) -> Vec<(&'static str, String)> {
    let read: BTreeMap<String, String> = serde_json::from_str(json).unwrap_or_default();
    let names = [("ip", "Address"), ("agent", "Client"), ("session", "Session"), ("token", "Token")];
    names.iter().filter_map(|(name, words)| read.get(*name).map(|value| (*words, value.clone()))).collect()
}

/// What changed, a line each; what stayed the same is left out.
fn detail(json: &str) -> Vec<String> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str::<Value>(json) else { return vec![json.to_owned()] };
    let mut lines = Vec::new();
    if let (Some(before), Some(after)) = (fields.remove("before"), fields.remove("after")) {
        let (before, after) = (flat(&before), flat(&after));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let text = |side: &BTreeMap<String, String>, name: &str| {
            side.get(name).cloned().unwrap_or_else(|| "nothing".to_owned())
        };
        for name in names.into_iter().filter(|name| before.get(*name) != after.get(*name)) {
            let label = if name.is_empty() { String::new() } else { format!("{name}: ") };
            lines.push(format!("{label}{} → {}", text(&before, name), text(&after, name)));
        }
        if lines.is_empty() {
            lines.push("nothing changed".to_owned());
        }
    }
    lines.extend(
        flat(&Value::Object(fields))
            .into_iter()
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, text)| format!("{name}: {text}")),
    );
    lines
}

/// A value as names and texts; fields of fields with dots between.
fn flat(value: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), value)];
    while let Some((name, value)) = open.pop() {
        match value {
            Value::Object(fields) => open.extend(fields.iter().map(|(field, value)| {
                (if name.is_empty() { field.clone() } else { format!("{name}.{field}") }, value)
            })),
            Value::String(text) => {
                found.insert(name, text.clone());
            }
            Value::Null => {
                found.insert(name, "nothing".to_owned());
            }
            other => {
                found.insert(name, other.to_string());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_say_what_changed() {
        let check = |json: &str, want: &[&str]| assert_eq!(detail(json), want, "{json}");
        check(
            r#"{"before":{"name":"a","settings":{"x":1,"y":2}},"after":{"name":"b","settings":{"x":1,"y":3}}}"#,
            &["name: a → b", "settings.y: 2 → 3"],
        );
        check(r#"{"before":"active","after":"suspended"}"#, &["active → suspended"]);
        check(r#"{"email":"a@x.org","policy":"member"}"#, &["email: a@x.org", "policy: member"]);
        check("{}", &[]);
    }

    #[test]
    fn paths_begin_where_one_stands() {
        let path = format!("/{}/{}/{}/", OrgId(1), OrgId(2), OrgId(3));
        assert_eq!(shown_path(&path, OrgId(2)), format!("/{}/{}/", OrgId(2), OrgId(3)));
        assert_eq!(shown_path(&path, OrgId(9)), "");
    }
}
