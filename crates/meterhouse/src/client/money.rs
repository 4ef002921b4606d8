//! What each command of usage, prices and papers asks, and what it shows.

use super::args::{BillVerb, CostVerb, Format, PriceVerb, Sure, UsageVerb};
use super::http::{Call, encode};
use super::output::{self, Column};
use super::session::{Session, read_input};
use crate::Exit;
use base::AmountPico;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

const USAGE: [Column; 7] = [
    ("FROM", "/from"),
    ("ORG", "/org"),
    ("USER", "/user"),
    ("METER", "/meter"),
    ("DIMENSIONS", "/dimensions"),
    ("QUANTITY", "/quantity"),
    ("RECORDS", "/records"),
];
const REJECTED: [Column; 5] =
    [("INDEX", "/index"), ("ID", "/record_id"), ("FIELD", "/field"), ("VALUE", "/value"), ("REASON", "/reason")];
const PRICES: [Column; 6] = [
    ("VERSION", "/version"),
    ("FROM", "/effective_from"),
    ("BUYER", "/buyer"),
    ("CURRENCY", "/book/currency"),
    ("CREATED", "/created_at"),
    ("BY", "/created_by"),
];
const PAPERS: [Column; 8] = [
    ("ID", "/id"),
    ("PERIOD", "/period"),
    ("PAYER", "/payer"),
    ("KIND", "/kind"),
    ("STATE", "/state"),
    ("NUMBER", "/number"),
    ("TOTAL", "/total/amount"),
    ("CURRENCY", "/total/currency"),
];
const LINES: [Column; 8] = [
    ("LINE", "/no"),
    ("GROUP", "/group"),
    ("DESCRIPTION", "/description"),
    ("QUANTITY", "/quantity"),
    ("UNIT", "/unit"),
    ("PRICE", "/unit_price"),
    ("AMOUNT", "/amount"),
    ("NOTE", "/note"),
];
const RECORDS: [Column; 7] = [
    ("START", "/start"),
    ("RECORD", "/record_id"),
    ("USER", "/user"),
    ("METER", "/meter"),
    ("RESOURCE", "/resource"),
    ("DIMENSIONS", "/dimensions"),
    ("QUANTITY", "/quantity"),
];

const COSTS: [Column; 7] = [
    ("ORG", "/org_name"),
    ("ITEM", "/item"),
    ("LIST", "/costs/list"),
    ("CONTRACTED", "/costs/contracted"),
    ("BILLED", "/costs/billed"),
    ("EFFECTIVE", "/costs/effective"),
    ("CHARGED", "/costs/charged"),
];
const MARGIN: [Column; 4] = [
    ("CHARGED BELOW", "/charged_below"),
    ("OWED ABOVE", "/owed_above"),
    ("MARGIN", "/margin"),
    ("CURRENCY", "/currency"),
];

/// `usage`.
pub(super) async fn usage(session: Session, verb: UsageVerb) -> Result<u8, Exit> {
    let org = session.org().await?;
    match verb {
        UsageVerb::Show { month, meter, user, by, daily } => {
            let daily = daily.then(|| "true".to_owned());
            let flags = [("month", month), ("meter", meter), ("user", user), ("by", by), ("daily", daily)];
            let query: Vec<(&str, &str)> =
                flags.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
            let answer = session.rows(&format!("/v1/orgs/{org}/usage"), &query).await?;
            let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or("?").to_owned();
            eprintln!("Usage of {} ({}), through {}.", text("/period/label"), text("/period/zone"), text("/through"));
            match text("/scope").as_str() {
                "own" => eprintln!("It is your own usage only: you may not see that of others here."),
                "part" => eprintln!("Some organisations here are not in it: you may not see their usage."),
                _ => {}
            }
            session.show(&answer, &USAGE)
        }
        UsageVerb::Send { file } => send(session, &org, &file).await,
    }
}

async fn send(session: Session, org: &str, file: &Path) -> Result<u8, Exit> {
    let body = read_input(file)?;
    let media = media_of(&body);
    let call = Call::new(Method::POST, format!("/v1/orgs/{org}/events"), media, body);
    let answer = session.send(call).await?.json()?;
    let rejected = answer["rejected"].as_array().cloned().unwrap_or_default();
    eprintln!("{} events taken, {} refused.", answer["accepted"], rejected.len());
    match session.format {
        Format::Json => output::write(output::json(&answer).as_bytes())?,
        format => output::show(format, &json!({ "data": rejected }), &REJECTED)?,
    }
    Ok(if rejected.is_empty() { 0 } else { 7 })
}

/// One event, an array of them, or one a line.
fn media_of(body: &[u8]) -> &'static str {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        return "application/cloudevents-batch+json";
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Ok(_) => "application/cloudevents+json",
        Err(_) => "application/x-ndjson",
    }
}

/// `price`.
pub(super) async fn price(session: Session, verb: PriceVerb) -> Result<u8, Exit> {
    let path = format!("/v1/orgs/{}/prices", session.named_org()?);
    match verb {
        PriceVerb::Get => session.list(&path, &[], &PRICES).await,
        PriceVerb::Set { file, month } => {
            let text = read_input(&file)?;
            let unfit = |error| Exit::usage(format!("{}: {error}", file.display()));
            let book: Value = serde_json::from_slice(&text).map_err(unfit)?;
            session.change(Call::put(path, &json!({ "month": month, "book": book })), &PRICES).await
        }
    }
}

/// `bill`.
pub(super) async fn bill(session: Session, verb: BillVerb) -> Result<u8, Exit> {
    match verb {
        BillVerb::Close { month, issue, sure } => close(session, &month, issue, sure).await,
        BillVerb::List => session.list(&format!("/v1/orgs/{}/papers", session.org().await?), &[], &PAPERS).await,
        BillVerb::Get { paper } => get(session, &encode(&paper)).await,
        BillVerb::Pdf { paper, file } => save_paper(session, &paper, "pdf", file).await,
        BillVerb::Csv { paper, file } => save_paper(session, &paper, "csv", file).await,
        BillVerb::Records { paper, line } => {
            let path = format!("/v1/papers/{}/lines/{line}/records", encode(&paper));
            session.list(&path, &[], &RECORDS).await
        }
    }
}

/// What issuing would freeze: from drafts made at this moment.
fn issued(drafts: &Value) -> Vec<String> {
    let papers = drafts["papers"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let mut sums: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for paper in papers.iter().filter(|paper| paper["kind"] == "invoice") {
        let text = |pointer: &str| paper.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
        sums.entry(text("/total/currency")).or_default().push(text("/total/amount"));
    }
    let invoices: usize = sums.values().map(Vec::len).sum();
    let sum = |amounts: &[&str]| {
        let exact = amounts.iter().filter_map(|amount| amount.parse::<AmountPico>().ok());
        exact.fold(0_i128, |sum, amount| sum.saturating_add(amount.0))
    };
    let mut said = vec![
        "The drafts were made anew to look at them; a draft of before has another id.".to_owned(),
        format!("{invoices} invoices and {} statements would be issued.", papers.len() - invoices),
    ];
    said.extend(
        sums.iter().map(|(currency, amounts)| format!("Invoices over {} {currency}.", AmountPico(sum(amounts)))),
    );
    said.push("Issued papers never change again, and each invoice takes a number.".to_owned());
    if let Some(ends) = drafts["ends_at"].as_str() {
        said.push(format!("They can be issued from {ends} on."));
    }
    said
}

async fn close(session: Session, month: &str, issue: bool, sure: Sure) -> Result<u8, Exit> {
    let path = format!("/v1/orgs/{}/close", session.org().await?);
    let call = |issue: bool| Call::post(path.clone(), &json!({ "month": month, "issue": issue })).slow();
    if issue {
        let drafts = session.send(call(false)).await?.json()?;
        if !session.goes_on(sure, &issued(&drafts))? {
            return Ok(0);
        }
    }
    let answer = session.send(call(issue)).await?.json()?;
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let (made, kept, unrated, failed) = (list("papers"), list("kept"), list("unrated"), list("failed"));
    match session.format {
        Format::Json => output::write(output::json(&answer).as_bytes())?,
        format => {
            let both: Vec<Value> = made.iter().chain(&kept).cloned().collect();
            output::show(format, &json!({ "data": both }), &PAPERS)?;
        }
    }
    let word = if issue { "issued" } else { "drafted" };
    eprintln!("{} papers {word}, {} were issued before and stay.", made.len(), kept.len());
    for text in unrated.iter().filter_map(Value::as_str) {
        eprintln!("without a price: {text}");
    }
    for edge in &failed {
        let text = |name: &str| edge[name].as_str().unwrap_or("-");
        eprintln!("failed, not billed: {} ({}): {}", text("name"), text("org"), text("reason"));
    }
    Ok(if unrated.is_empty() && failed.is_empty() { 0 } else { 7 })
}

async fn get(session: Session, paper: &str) -> Result<u8, Exit> {
    if session.format == Format::Csv {
        let reply = session.send(Call::get(format!("/v1/papers/{paper}/csv"))).await?;
        output::write(&reply.bytes)?;
        return Ok(0);
    }
    let answer = session.ask(&format!("/v1/papers/{paper}")).await?;
    if session.format == Format::Json {
        output::write(output::json(&answer).as_bytes())?;
        return Ok(0);
    }
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
    let lines = answer["lines"].as_array().cloned().unwrap_or_default();
    let page = format!(
        "{} {} of {} ({})\n{} to {}\n\n{}\nTotal {} {}\n",
        text("/title"),
        text("/number"),
        text("/period/label"),
        text("/status"),
        text("/supplier/name"),
        text("/customer/name"),
        output::table(&lines, &LINES),
        text("/total"),
        text("/currency"),
    );
    output::write(page.as_bytes())?;
    Ok(0)
}

async fn save_paper(session: Session, paper: &str, kind: &str, file: Option<PathBuf>) -> Result<u8, Exit> {
    let reply = session.send(Call::get(format!("/v1/papers/{}/{kind}", encode(paper))).slow()).await?;
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{}.{kind}", encode(paper))));
    save(&file, &reply.bytes)
}

/// `cost`.
pub(super) async fn cost(session: Session, verb: CostVerb) -> Result<u8, Exit> {
    let org = session.org().await?;
    match verb {
        CostVerb::Show { month, sort, filter } => {
            let query = format!("month={}&sort={}&filter={}", encode(&month), encode(&sort), encode(&filter));
            if session.format == Format::Csv {
                let reply = session.send(Call::get(format!("/v1/orgs/{org}/costs/csv?{query}"))).await?;
                output::write(&reply.bytes)?;
                return Ok(0);
            }
            let answer = session.ask(&format!("/v1/orgs/{org}/costs?{query}")).await?;
            if session.format == Format::Json {
                return session.show(&answer, &COSTS);
            }
            session.show(&json!({ "data": with_total(&answer) }), &COSTS)
        }
        CostVerb::Margin { month } => {
            let found = session.ask(&format!("/v1/orgs/{org}/margin?month={}", encode(&month))).await?;
            session.show(&found, &MARGIN)
        }
    }
}

/// The rows of a table of costs, with the sums as the last one.
fn with_total(answer: &Value) -> Vec<Value> {
    let mut rows = answer["rows"].as_array().cloned().unwrap_or_default();
    rows.push(json!({ "org_name": "Total", "item": answer["currency"], "costs": answer["totals"] }));
    rows
}

/// Writes a file, or to standard output for `-`.
pub(super) fn save(file: &Path, bytes: &[u8]) -> Result<u8, Exit> {
    if file == Path::new("-") {
        output::write(bytes)?;
        return Ok(0);
    }
    let wrong = |error| Exit::failed(format!("{}: {error}", file.display()));
    File::create(file).and_then(|mut out| out.write_all(bytes)).map_err(wrong)?;
    eprintln!("Saved as {}.", file.display());
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuing_says_what_it_freezes() {
        let paper =
            |kind: &str, amount: &str| json!({ "kind": kind, "total": { "amount": amount, "currency": "EUR" } });
        let papers = [paper("invoice", "80.72"), paper("invoice", "76.57"), paper("statement", "9.00")];
        let said = issued(&json!({ "papers": papers, "ends_at": "2026-10-31T23:00:00Z" }));
        assert!(said[0].contains("made anew"), "{}", said[0]);
        assert_eq!(said[1], "2 invoices and 1 statements would be issued.");
        assert_eq!(said[2], "Invoices over 157.29 EUR.");
        assert_eq!(said[4], "They can be issued from 2026-10-31T23:00:00Z on.");
    }

    #[test]
    fn bodies_of_events_say_what_they_are() {
        assert_eq!(media_of(b" [{}]"), "application/cloudevents-batch+json");
        assert_eq!(media_of(b"{\"id\":1}\n"), "application/cloudevents+json");
        assert_eq!(media_of(b"{\"id\":1}\n{\"id\":2}\n"), "application/x-ndjson");
    }
}
