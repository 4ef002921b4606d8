//! A text as a QR code (ISO/IEC 18004) in SVG markup without style, for pages with a strict content policy.
//!
//! The code brings its own white ground and quiet zone, so that it can be read on a dark page too.

use crate::Rejected;
use qrcode::{Color, EcLevel, QrCode};
use std::fmt::Write;

/// Longer texts make codes that a phone cannot read from a screen.
const TEXT_BYTES_MAX: usize = 600;
/// ISO/IEC 18004 asks for four light modules on each side.
const QUIET_MODULES: usize = 4;

/// Draws `text` as one `<svg>` element. `label` is read out by screen readers.
///
/// # Errors
/// When the text has more than 600 bytes.
pub fn svg(text: &str, label: &str) -> Result<String, Rejected> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Rejected::silent("text", format!("has more than {TEXT_BYTES_MAX} bytes, too many for a QR code")));
    }
    let code = QrCode::with_error_correction_level(text, EcLevel::M)
        .map_err(|error| Rejected::silent("text", format!("does not fit a QR code: {error}")))?;
    let side = code.width() + 2 * QUIET_MODULES;
    let label = escape(label);
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" width="{size}" height="{size}" role="img" aria-label="{label}" shape-rendering="crispEdges"><rect width="{side}" height="{side}" fill="#fff"/><path fill="#000" d="{path}"/></svg>"##,
        size = side * 5,
        path = dark_runs(&code),
    ))
}

/// One rectangle for each run of dark modules in a row.
fn dark_runs(code: &QrCode) -> String {
    let mut path = String::new();
    let modules = code.to_colors();
    for (y, row) in modules.chunks(code.width()).enumerate() {
        let mut x = 0;
        while x < row.len() {
            let run = row[x..].iter().take_while(|module| **module == Color::Dark).count();
            if run > 0 {
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET_MODULES, y + QUIET_MODULES);
            }
            x += run.max(1);
        }
    }
    path
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
