//! Lines of a paper as CSV (RFC 4180), safe to open in a spreadsheet.
//!
//! One row a line; each row carries the paper's head, so that files can be put together. Totals and
//! tax are not rows: the sum of a column counts nothing twice.

use crate::model::{Paper, PaperLine};

const HEAD: &str = "kind,number,period,period_start,period_end,zone,currency,supplier,customer,\
                    line,group,description,quantity,unit,unit_price,amount,note\r\n";

/// Writes the lines of the paper as CSV with a head row and CRLF ends.
///
/// A text that a spreadsheet would take for a formula gets a leading apostrophe; figures stay
/// numbers.
#[must_use]
pub fn csv(paper: &Paper) -> String {
    let head = head_cells(paper);
    let mut out = String::from(HEAD);
    for line in &paper.lines {
        out.push_str(&head);
        out.push(',');
        out.push_str(&line_cells(line).join(","));
        out.push_str("\r\n");
    }
    out
}

fn head_cells(paper: &Paper) -> String {
    let period = &paper.period;
    let texts: [&str; 9] = [
        paper.kind.word(),
        paper.number.as_deref().unwrap_or(""),
        &period.label,
        &period.start,
        &period.end,
        &period.zone,
        &paper.currency,
        &paper.supplier.name,
        &paper.customer.name,
    ];
    texts.map(text_cell).join(",")
}

fn line_cells(line: &PaperLine) -> [String; 8] {
    [
        line.no.to_string(),
        text_cell(&line.group),
        text_cell(&line.description),
        figure_cell(&line.quantity),
        text_cell(&line.unit),
        figure_cell(&line.unit_price),
        figure_cell(&line.amount),
        text_cell(&line.note),
    ]
}

/// A decimal as it is; anything else is a text, whatever its column.
fn figure_cell(figure: &str) -> String {
    if is_decimal(figure) { figure.to_owned() } else { text_cell(figure) }
}

/// Digits with at most one point between them and at most a minus in front.
fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match unsigned.split_once('.') {
        Some((whole, rest)) => digits(whole) && digits(rest),
        None => digits(unsigned),
    }
}

/// A text as one cell: quoted, and never read as a formula by a spreadsheet.
#[must_use]
pub fn text_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let plain = if formula { format!("'{text}") } else { text.to_owned() };
    if plain.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", plain.replace('"', "\"\"")) } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str, expected: &str) {
        assert_eq!(text_cell(text), expected, "{text:?}");
    }

    fn check_figure(figure: &str, expected: &str) {
        assert_eq!(figure_cell(figure), expected, "{figure:?}");
    }

    #[test]
    fn texts_are_quoted_and_never_formulas() {
        check_text("", "");
        check_text("plain text", "plain text");
        check_text("a,b", "\"a,b\"");
        check_text("say \"hi\"", "\"say \"\"hi\"\"\"");
        check_text("two\nlines", "\"two\nlines\"");
        check_text("=1+1", "'=1+1");
        check_text("+49 40", "'+49 40");
        check_text("-5", "'-5");
        check_text("@SUM(A1)", "'@SUM(A1)");
        check_text("\t=1", "'\t=1");
        check_text("\r=1", "\"'\r=1\"");
        check_text("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"");
        check_text("a=b", "a=b");
        check_text("Müller & Söhne", "Müller & Söhne");
    }

    #[test]
    fn figures_stay_numbers() {
        check_figure("0", "0");
        check_figure("-12.50", "-12.50");
        check_figure("0.0000166667", "0.0000166667");
        check_figure("-", "'-");
        check_figure("-1-1", "'-1-1");
        check_figure("1.2.3", "1.2.3");
        check_figure("-.5", "'-.5");
        check_figure("=1", "'=1");
        check_figure("1,5", "\"1,5\"");
        check_figure("", "");
    }

    #[test]
    fn one_row_a_line() {
        let mut paper = Paper::sample(1);
        paper.customer.name = "=cmd|' /C calc'!A0".to_owned();
        let expected = "kind,number,period,period_start,period_end,zone,currency,supplier,customer,\
            line,group,description,quantity,unit,unit_price,amount,note\r\n\
            invoice,2026-000123,2026-10,2026-10-01T00:00:00+02:00,2026-11-01T00:00:00+01:00,Europe/Berlin,EUR,Nordwind GmbH,\
            '=cmd|' /C calc'!A0,1,Genomics,\"Object storage, standard\",1234.5,GB-month,0.0000166667,-200.00,\r\n";
        assert_eq!(csv(&paper), expected);
        assert_eq!(csv(&Paper::sample(0)), HEAD);
    }
}
