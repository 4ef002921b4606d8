//! Answers on standard output: a table for eyes, JSON as it came, CSV for spreadsheets.

use super::args::Format;
use crate::Exit;
use serde_json::Value;
use std::io::{ErrorKind, Write};

/// A column: its head and the JSON pointer of its value in a row.
pub(super) type Column = (&'static str, &'static str);

/// Writes to standard output. A reader that went away is no failure.
pub(super) fn write(bytes: &[u8]) -> Result<(), Exit> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Exit::failed(format!("standard output: {error}"))),
        _ => Ok(()),
    }
}

/// Writes an answer: `data` holds the rows, or the answer is the one row.
pub(super) fn show(format: Format, answer: &Value, columns: &[Column]) -> Result<(), Exit> {
    let text = match (format, answer["data"].as_array()) {
        (Format::Json, _) => json(answer),
        (Format::Csv, Some(rows)) => csv(rows, columns),
        (Format::Csv, None) => csv(std::slice::from_ref(answer), columns),
        (Format::Table, Some(rows)) => table(rows, columns),
        (Format::Table, None) => card(answer, columns),
    };
    write(text.as_bytes())
}

/// The named fields of each row, tabs between: `total.amount` is `amount` within `total`.
pub(super) fn fields(answer: &Value, names: &[String]) -> Result<String, Exit> {
    let rows = answer["data"].as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
    let mut out = String::new();
    for row in rows {
        let value = |name: &String| {
            let unknown =
                || Exit::usage(format!("--fields: {name:?} is not a field of the answer; -o json shows them"));
            let found = row.pointer(&format!("/{}", name.replace('.', "/"))).ok_or_else(unknown)?;
            Ok(harmless(&cell(Some(found))))
        };
        let cells = names.iter().map(value).collect::<Result<Vec<String>, Exit>>()?;
        out.push_str(&format!("{}\n", cells.join("\t")));
    }
    Ok(out)
}

/// Indented JSON.
pub(super) fn json(answer: &Value) -> String {
    format!("{answer:#}\n")
}

/// A value as text: lists joined by commas, objects as `name=value`.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", "),
        Some(Value::Object(fields)) => {
            fields.iter().map(|(name, value)| format!("{name}={}", cell(Some(value)))).collect::<Vec<_>>().join(" ")
        }
        Some(other) => other.to_string(),
    }
}

/// A text that cannot steer the terminal.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn is_number(text: &str) -> bool {
    let body = text.strip_prefix('-').unwrap_or(text);
    body.starts_with(|first: char| first.is_ascii_digit())
        && body.chars().all(|c| c.is_ascii_digit() || c == '.')
        && body.matches('.').count() <= 1
}

/// Rows below heads; columns of numbers to the right, empty columns left out.
pub(super) fn table(rows: &[Value], columns: &[Column]) -> String {
    let texts: Vec<Vec<String>> = rows
        .iter()
        .map(|row| columns.iter().map(|(_, pointer)| harmless(&cell(row.pointer(pointer)))).collect())
        .collect();
    let used: Vec<usize> = (0..columns.len()).filter(|at| texts.iter().any(|row| !row[*at].is_empty())).collect();
    let width = |text: &str| text.chars().count();
    let mut lines = vec![String::new(); texts.len() + 1];
    for at in used {
        let head = columns[at].0;
        let wide = texts.iter().map(|row| width(&row[at])).max().unwrap_or(0).max(width(head));
        let right = texts.iter().all(|row| row[at].is_empty() || is_number(&row[at]));
        let cells = std::iter::once(head).chain(texts.iter().map(|row| row[at].as_str()));
        for (line, text) in lines.iter_mut().zip(cells) {
            let gap = " ".repeat(wide - width(text));
            let between = if line.is_empty() { "" } else { "  " };
            let padded = if right { format!("{gap}{text}") } else { format!("{text}{gap}") };
            line.push_str(between);
            line.push_str(&padded);
        }
    }
    lines.iter().filter(|line| !line.is_empty()).map(|line| format!("{}\n", line.trim_end())).collect()
}

/// One row, a line for each column that has a value.
fn card(row: &Value, columns: &[Column]) -> String {
    let wide = columns.iter().map(|(head, _)| head.len()).max().unwrap_or(0);
    columns
        .iter()
        .map(|(head, pointer)| (head, harmless(&cell(row.pointer(pointer)))))
        .filter(|(_, text)| !text.is_empty())
        .map(|(head, text)| format!("{head:wide$}  {text}\n"))
        .collect()
}

/// RFC 4180. A text that a spreadsheet would take for a formula gets a leading apostrophe.
fn csv(rows: &[Value], columns: &[Column]) -> String {
    let heads = columns.iter().map(|(head, _)| head.to_lowercase().replace(' ', "_")).collect::<Vec<_>>().join(",");
    let mut out = format!("{heads}\r\n");
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|(_, pointer)| quoted(&cell(row.pointer(pointer)))).collect();
        out.push_str(&cells.join(","));
        out.push_str("\r\n");
    }
    out
}

fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number(text);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: [Column; 3] = [("NAME", "/name"), ("TOTAL", "/total/amount"), ("NOTE", "/note")];

    fn rows() -> Vec<Value> {
        vec![
            json!({ "name": "Physics", "total": { "amount": "12.50" }, "note": null }),
            json!({ "name": "=1+1", "total": { "amount": "-3" }, "note": null }),
        ]
    }

    #[test]
    fn tables_align_and_leave_empty_columns_out() {
        assert_eq!(table(&rows(), &COLUMNS), "NAME     TOTAL\nPhysics  12.50\n=1+1        -3\n");
        assert_eq!(table(&[], &COLUMNS), "");
        assert!(!table(&[json!({ "name": "a\u{1b}[31m" })], &COLUMNS).contains('\u{1b}'));
    }

    #[test]
    fn csv_holds_no_formula() {
        assert_eq!(csv(&rows(), &COLUMNS), "name,total,note\r\nPhysics,12.50,\r\n'=1+1,-3,\r\n");
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
    }

    #[test]
    fn fields_are_for_scripts() {
        let check = |answer: &Value, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            fields(answer, &names).map_err(|exit| exit.code)
        };
        assert_eq!(check(&rows()[0], &["name"]), Ok("Physics\n".to_owned()));
        let list = json!({ "data": rows() });
        assert_eq!(check(&list, &["total.amount", "name"]), Ok("12.50\tPhysics\n-3\t=1+1\n".to_owned()));
        assert_eq!(check(&list, &["nmae"]), Err(2));
    }

    #[test]
    fn one_row_is_a_card() {
        assert_eq!(card(&rows()[0], &COLUMNS), "NAME   Physics\nTOTAL  12.50\n");
        assert_eq!(cell(Some(&json!({ "bucket": "b", "class": ["A", "B"] }))), "bucket=b class=A, B");
    }
}
