//! `cargo xtask tidy`: checks the house rules.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => {
            let found = xtask::tidy(&root.canonicalize()?)?;
            for line in &found {
                eprintln!("{line}");
            }
            Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        _ => {
            eprintln!("usage: cargo xtask tidy");
            Ok(ExitCode::from(2))
        }
    }
}
