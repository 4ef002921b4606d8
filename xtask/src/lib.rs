//! The house rules that a machine can keep: who may depend on whom, and which words may stand where.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The pure crates: no async, no I/O, no clock, no `HashMap`.
const PURE: [&str; 6] = ["base", "access", "metering", "pricing", "billing", "ledger"];
/// One crate for each kind of outside.
const EDGES: [&str; 6] = ["store", "lake", "sources", "s3", "identity", "papers"];

/// Of our own crates, what each may name. `s3` is protocol without state, so faces and `sim` may name it.
fn allowed(name: &str) -> &'static [&'static str] {
    match name {
        "base" => &[],
        "access" | "metering" | "pricing" => &["base"],
        "billing" => &["base", "pricing"],
        "ledger" => &["base", "billing"],
        "store" | "lake" | "sources" | "s3" | "papers" => &PURE,
        // Foreign formats, clocks and chance come in as values: nothing but ids and numbers is needed.
        "identity" => &["base"],
        "app" => &[
            "base", "access", "metering", "pricing", "billing", "ledger", "store", "lake", "sources", "s3", "identity",
            "papers",
        ],
        // Sockets and bodies: it knows nothing of what is served.
        "serving" => &[],
        "web" => &["base", "access", "metering", "pricing", "billing", "app", "papers", "serving"],
        "gateway" => &["base", "metering", "app", "s3", "serving"],
        "sim" => &["base", "s3"],
        "testkit" => &["base"],
        "xtask" => &[],
        // The binary wires everything.
        _ => &[
            "base", "access", "metering", "pricing", "billing", "ledger", "store", "lake", "sources", "s3", "identity",
            "papers", "app", "web", "gateway", "serving", "sim",
        ],
    }
}

/// Crates from outside that only some of ours may name.
const FENCED: [(&str, &[&str]); 10] = [
    ("sqlx", &["store", "lake"]),
    ("parquet", &["lake"]),
    ("arrow-array", &["lake"]),
    ("axum", &["web"]),
    ("askama", &["web"]),
    ("typst", &["papers"]),
    ("getrandom", &["app"]),
    ("argon2", &["app"]),
    ("chacha20poly1305", &["app"]),
    ("qrcode", &["identity"]),
];

/// Words that may not stand in the sources, where, and what stands for them.
const WORDS: [(&str, Where, &str); 25] = [
    ("HashMap", Where::Pure, "BTreeMap: order must not hang on a hash seed"),
    ("HashSet", Where::Pure, "BTreeSet"),
    ("SystemTime", Where::Pure, "`now_us` as a value"),
    ("Instant::now", Where::Pure, "`now_us` as a value"),
    ("tokio", Where::Pure, "nothing: pure crates do not wait"),
    ("async fn", Where::Pure, "nothing: pure crates do not wait"),
    ("f64", Where::Pure, "scaled integers"),
    ("f32", Where::Pure, "scaled integers"),
    ("todo!(", Where::All, "code"),
    ("unimplemented!(", Where::All, "code"),
    ("dbg!(", Where::All, "tracing"),
    ("#[ignore", Where::All, "a test that runs"),
    (".unwrap()", Where::Code, "expect(\"why it cannot fail\"), or an error"),
    ("select *", Where::Sql, "named columns"),
    (" like ", Where::Sql, "equality or ranges: `like` differs between the engines"),
    ("now()", Where::Sql, "a parameter"),
    ("random()", Where::Sql, "a parameter"),
    ("for update", Where::Sql, "the lock row of the organisation"),
    ("AssertSqlSafe", Where::Store, "literals"),
    (".inspect(\"", Where::Product, "nothing: it is for tests"),
    ("decide_job(", Where::Faces, "cx.allow"),
    ("decide_job(", Where::UseCases, "cx.read, cx.change; Door or SystemCx where nobody is signed in"),
    (".store.write(", Where::UseCases, "cx.change"),
    (".store.read(", Where::UseCases, "cx.read"),
    ("Actor::new(", Where::Faces, "the actor of a session or token"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    All,
    Pure,
    Sql,
    Store,
    Code,
    Product,
    Faces,
    /// `app` outside of its module `authority`, the one door to the store.
    UseCases,
}

impl Where {
    fn covers(self, krate: &str, is_test: bool) -> bool {
        match self {
            Self::All => krate != "xtask",
            Self::Pure => PURE.contains(&krate) && !is_test,
            Self::Sql => ["store", "lake"].contains(&krate) && !is_test,
            Self::Store => krate == "store" && !is_test,
            Self::Code => !is_test && krate != "xtask" && krate != "testkit",
            Self::Product => !is_test && krate != "xtask" && krate != "store",
            Self::Faces => ["web", "gateway", "meterhouse"].contains(&krate) && !is_test,
            Self::UseCases => krate == "app" && !is_test,
        }
    }
}

/// Looks the whole tree over and gives one line for each rule that is broken.
///
/// # Errors
/// When a file cannot be read.
pub fn tidy(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (krate, folder) in crates(root)? {
        dependencies(&krate, &folder, &mut found)?;
        let files = sources(&folder)?;
        let test_modules = test_modules(&files)?;
        for file in files {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            words(&krate, root, &file, test_modules.contains(&stem), &mut found)?;
        }
    }
    circles(&root.join("crates/app/src"), &mut found)?;
    Ok(found)
}

/// Use cases do not lean on each other in a circle, and `authority` on none of them: each file can be read after those
/// that it names.
fn circles(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources(folder)? {
        let text = std::fs::read_to_string(&file)?;
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let named = code.split("crate::").skip(1).flat_map(|after| match after.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').map(first_word).collect(),
            None => vec![first_word(after)],
        });
        names.entry(use_case(folder, &file)).or_default().extend(named.map(str::to_owned));
    }
    // What names nothing that is still here is read; what is left in the end stands in a circle.
    let mut left: BTreeSet<String> = names.keys().cloned().collect();
    loop {
        let read: Vec<String> = left
            .iter()
            .filter(|name| names[*name].iter().all(|other| other == *name || !left.contains(other)))
            .cloned()
            .collect();
        if read.is_empty() {
            break;
        }
        left.retain(|name| !read.contains(name));
    }
    if !left.is_empty() {
        found.push(format!("crates/app/src: these lean on each other in a circle, or on one: {left:?}"));
    }
    Ok(())
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    &text[..text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len())]
}

/// The use case that a file is, or is a part of: `tenancy/people.rs` and `identity/scim/users.rs` are `people` and `scim`.
fn use_case(folder: &Path, file: &Path) -> String {
    let parts: Vec<_> = file.strip_prefix(folder).unwrap_or(file).components().collect();
    let is_area = parts.len() > 1 && parts[0].as_os_str() != "authority";
    let part = Path::new(parts[usize::from(is_area)].as_os_str());
    part.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn crates(root: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found =
        BTreeMap::from([("testkit".to_owned(), root.join("testkit")), ("xtask".to_owned(), root.join("xtask"))]);
    for entry in std::fs::read_dir(root.join("crates"))? {
        let path = entry?.path();
        let name = path.file_name().context("a folder has a name")?.to_string_lossy().into_owned();
        found.insert(name, path);
    }
    Ok(found)
}

fn dependencies(krate: &str, folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let path = folder.join("Cargo.toml");
    let manifest: toml::Table = toml::from_str(&std::fs::read_to_string(&path)?)?;
    let Some(named) = manifest.get("dependencies").and_then(toml::Value::as_table) else { return Ok(()) };
    let ours: Vec<&str> =
        PURE.into_iter().chain(EDGES).chain(["app", "web", "gateway", "serving", "sim", "testkit"]).collect();
    for name in named.keys() {
        if ours.contains(&name.as_str()) && !allowed(krate).contains(&name.as_str()) {
            found.push(format!("crates/{krate}/Cargo.toml: {krate} must not depend on {name}"));
        }
        if let Some((_, may)) = FENCED.iter().find(|(fenced, _)| fenced == name)
            && !may.contains(&krate)
        {
            found.push(format!("crates/{krate}/Cargo.toml: only {may:?} may name {name}"));
        }
    }
    Ok(())
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Names of modules that are declared under `#[cfg(test)]`.
fn test_modules(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)?;
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line == "#[cfg(test)]" {
                let declared = lines.next().and_then(|next| next.strip_prefix("mod ")?.strip_suffix(';'));
                names.extend(declared.map(str::to_owned));
            }
        }
    }
    Ok(names)
}

fn words(krate: &str, root: &Path, file: &Path, test_module: bool, found: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(file)?;
    let shown = file.strip_prefix(root).unwrap_or(file).display();
    let in_tests = test_module
        || file.components().any(|part| ["tests", "examples", "benches"].iter().any(|name| part.as_os_str() == *name));
    let tests_from = text.find("#[cfg(test)]").unwrap_or(text.len());
    let mut place = 0;
    for (no, line) in text.lines().enumerate() {
        let is_test = in_tests || place >= tests_from;
        place += line.len() + 1;
        let code = line.split("//").next().unwrap_or_default();
        for (word, rule, instead) in WORDS {
            let is_door = rule == Where::UseCases && shown.to_string().contains("/authority");
            if code.contains(word) && rule.covers(krate, is_test) && !is_door {
                found.push(format!("{shown}:{}: {word:?} may not stand here; instead: {instead}", no + 1));
            }
        }
    }
    if !in_tests && !text.starts_with("//!") {
        found.push(format!("{shown}: a module begins with //! and says what it is"));
    }
    Ok(())
}
