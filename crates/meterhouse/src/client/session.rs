//! A server with the flags of one command: asks, pages through lists, shows.

use super::args::{Format, Global, Sure};
use super::context;
use super::http::{Api, Call, Reply, encode};
use super::output::{self, Column};
use crate::Exit;
use crate::init::read_secret;
use bytes::Bytes;
use serde_json::Value;
use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;

/// Rows of a page that is asked for.
const PAGE_ROWS_MAX: usize = 1_000;

/// What a command works with.
pub(super) struct Session {
    api: Api,
    org: Option<String>,
    pub(super) format: Format,
    fields: Vec<String>,
    limit: usize,
    all: bool,
}

impl Session {
    /// Flags before context file.
    pub(super) fn open(global: Global) -> Result<Self, Exit> {
        let file = context::path()?;
        let kept = if global.url.is_some() && global.token_file.is_some() { None } else { context::load(&file)? };
        let given = global.token_file.as_ref().map(|file| read_secret("Token", Some(file))).transpose()?;
        let signed_out = || Exit { code: 4, text: "sign in first: meterhouse login URL --email ADDRESS".to_owned() };
        let url = global.url.clone().or(kept.as_ref().map(|kept| kept.url.clone())).ok_or_else(signed_out)?;
        // A remembered token goes to the server that it came from, and to no other.
        let of_server = kept.filter(|kept| kept.url.trim_end_matches('/') == url.trim_end_matches('/'));
        let token = given.or(of_server.map(|kept| kept.token)).ok_or_else(signed_out)?;
        let api = Api::new(&url, Some(token))?;
        Ok(Self {
            api,
            org: global.org,
            format: global.output,
            fields: global.fields,
            limit: global.limit.max(1),
            all: global.all,
        })
    }

    /// The organisation that was named, or the highest one.
    pub(super) async fn org(&self) -> Result<String, Exit> {
        if let Some(org) = &self.org {
            return Ok(encode(org));
        }
        let mine = self.ask("/v1/orgs?limit=1").await?;
        let none = || Exit { code: 4, text: "you have no role at any organisation".to_owned() };
        mine.pointer("/data/0/id").and_then(Value::as_str).map(encode).ok_or_else(none)
    }

    /// The organisation that must be named here.
    pub(super) fn named_org(&self) -> Result<String, Exit> {
        let missing = || Exit::usage("name the organisation: --org ORG");
        self.org.as_deref().map(encode).ok_or_else(missing)
    }

    /// Asks for JSON.
    pub(super) async fn ask(&self, target: &str) -> Result<Value, Exit> {
        self.api.send(Call::get(target)).await?.json()
    }

    /// Makes a call that must succeed.
    pub(super) async fn send(&self, call: Call) -> Result<Reply, Exit> {
        self.api.send(call).await
    }

    /// Makes a call; any status is an answer.
    pub(super) async fn exchange(&self, call: &Call) -> Result<Reply, Exit> {
        self.api.exchange(call).await
    }

    /// Makes a change and shows what came of it.
    pub(super) async fn change(&self, call: Call, columns: &[Column]) -> Result<u8, Exit> {
        self.once_shown(&self.send(call).await?.json()?, columns)
    }

    /// Shows an answer that may hold a secret.
    pub(super) fn once_shown(&self, answer: &Value, columns: &[Column]) -> Result<u8, Exit> {
        if answer["secret"].is_string() {
            eprintln!("The secret is shown once: keep it now.");
        }
        self.show(answer, columns)
    }

    /// Says what an act does, and whether to go on: never with --dry-run, at once with --yes, else as somebody answers.
    pub(super) fn goes_on(&self, sure: Sure, consequences: &[String]) -> Result<bool, Exit> {
        consequences.iter().for_each(|text| eprintln!("{text}"));
        let goes_on = match (sure.dry_run, sure.yes) {
            (true, _) => false,
            (_, true) => true,
            _ => asked()?,
        };
        if !goes_on {
            eprintln!("Nothing else was done.");
        }
        Ok(goes_on)
    }

    /// Makes a change that has no answer.
    pub(super) async fn quietly(&self, call: Call, done: &str) -> Result<u8, Exit> {
        self.send(call).await?;
        eprintln!("{done}");
        Ok(0)
    }

    /// Shows an answer.
    pub(super) fn show(&self, answer: &Value, columns: &[Column]) -> Result<u8, Exit> {
        if self.fields.is_empty() {
            output::show(self.format, answer, columns)?;
        } else {
            output::write(output::fields(answer, &self.fields)?.as_bytes())?;
        }
        Ok(0)
    }

    /// Asks for a list, page by page, until there are enough rows.
    pub(super) async fn rows(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Exit> {
        let wanted = if self.all { usize::MAX } else { self.limit };
        self.first_rows(path, query, wanted).await
    }

    /// The whole list, whatever the flags say.
    pub(super) async fn all_rows(&self, path: &str) -> Result<Value, Exit> {
        self.first_rows(path, &[], usize::MAX).await
    }

    async fn first_rows(&self, path: &str, query: &[(&str, &str)], wanted: usize) -> Result<Value, Exit> {
        let fixed: String = query.iter().map(|(name, value)| format!("&{name}={}", encode(value))).collect();
        let mut rows: Vec<Value> = Vec::new();
        let mut from = String::new();
        loop {
            let part = (wanted - rows.len()).min(PAGE_ROWS_MAX);
            let mut page = self.ask(&format!("{path}?limit={part}{fixed}{from}")).await?;
            let before = rows.len();
            if let Some(data) = page.get_mut("data").and_then(Value::as_array_mut) {
                rows.append(data);
            }
            let next = next_part(&page);
            if let (Some(next), true) = (next, rows.len() > before && rows.len() < wanted) {
                from = next;
                continue;
            }
            if page["has_more"] == Value::Bool(true) {
                eprintln!("There are more rows: --all shows them.");
            }
            if let Some(fields) = page.as_object_mut() {
                fields.insert("data".to_owned(), Value::Array(rows));
            }
            return Ok(page);
        }
    }

    /// Shows a list.
    pub(super) async fn list(&self, path: &str, query: &[(&str, &str)], columns: &[Column]) -> Result<u8, Exit> {
        let answer = self.rows(path, query).await?;
        self.show(&answer, columns)
    }
}

/// Where the next page begins, as a piece of a query.
fn next_part(page: &Value) -> Option<String> {
    if let Some(cursor) = page["next_cursor"].as_str() {
        return Some(format!("&cursor={}", encode(cursor)));
    }
    let (after_us, after_id) = (page["next"]["after_us"].as_i64()?, page["next"]["after_id"].as_str()?);
    Some(format!("&after_us={after_us}&after_id={}", encode(after_id)))
}

/// What somebody at a terminal answers.
fn asked() -> Result<bool, Exit> {
    if !std::io::stdin().is_terminal() {
        return Err(Exit::usage("nobody can be asked here: look with --dry-run, then give --yes"));
    }
    eprint!("Go on? [y/N] ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| Exit::failed(error.to_string()))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// Reads a file, or standard input for `-`.
pub(super) fn read_input(file: &Path) -> Result<Bytes, Exit> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(file).map(|found| bytes = found)
    };
    read.map_err(|error| Exit::usage(format!("{}: {error}", file.display())))?;
    Ok(Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pages_say_where_the_next_one_begins() {
        assert_eq!(next_part(&json!({ "next_cursor": "a b" })).as_deref(), Some("&cursor=a%20b"));
        let after = json!({ "next": { "after_us": 5, "after_id": "req_1.in" } });
        assert_eq!(next_part(&after).as_deref(), Some("&after_us=5&after_id=req_1.in"));
        assert_eq!(next_part(&json!({ "next_cursor": null, "next": null })), None);
    }
}
