//! The tree keeps its rules, and the rules can be broken.

use std::path::Path;

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let found = xtask::tidy(&root).unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn broken_rules_are_found() {
    let root = std::env::temp_dir().join(format!("meterhouse-tidy-{}", std::process::id()));
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for krate in ["testkit", "xtask", "crates/web"] {
        write(&format!("{krate}/Cargo.toml"), "[package]\nname = \"x\"\n");
    }
    write("crates/base/Cargo.toml", "[package]\nname = \"x\"\n[dependencies]\nstore.workspace = true\nsqlx = \"1\"\n");
    write(
        "crates/base/src/lib.rs",
        "//! Doc.\nuse std::collections::HashMap;\nlet x: f64 = 1.0; // f32 in words is fine\n",
    );
    write("crates/store/Cargo.toml", "[package]\nname = \"x\"\n");
    write("crates/store/src/lib.rs", "let sql = \"select * from org where name like 'a'\";\n");
    write("crates/app/Cargo.toml", "[package]\nname = \"x\"\n");
    write("crates/app/src/tenancy/people.rs", "//! Doc.\nuse crate::{orgs, secrets};\n");
    write("crates/app/src/tenancy/orgs.rs", "//! Doc.\nuse crate::sign_in::begin;\n");
    write("crates/app/src/identity/sign_in.rs", "//! Doc.\nlet names = crate::people::names();\n");
    write("crates/app/src/secrets.rs", "//! Doc.\n#[cfg(test)]\nuse crate::people;\n");
    let found = xtask::tidy(&root).unwrap().join("\n");
    std::fs::remove_dir_all(&root).unwrap();
    let circle = r#"{"orgs", "people", "sign_in"}"#;
    for part in [
        "base must not depend on store",
        "may name sqlx",
        "HashMap",
        "f64",
        "select *",
        " like ",
        "begins with //!",
        circle,
    ] {
        assert!(found.contains(part), "{part:?} is not in\n{found}");
    }
    assert!(!found.contains("f32"), "{found}");
}
