//! What `login` remembers: address and token, in a file that only its owner can read.
//!
//! `$METERHOUSE_CONTEXT`, else `$XDG_CONFIG_HOME/meterhouse/context.json`, else
//! `~/.config/meterhouse/context.json`.

use crate::Exit;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A remembered sign-in.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Context {
    /// Address of the server.
    pub(super) url: String,
    /// The token's id, to revoke it.
    pub(super) token_id: String,
    /// The token.
    pub(super) token: String,
}

/// Where the context is.
pub(super) fn path() -> Result<PathBuf, Exit> {
    path_from(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn path_from(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Exit> {
    if let Some(file) = variable("METERHOUSE_CONTEXT") {
        return Ok(PathBuf::from(file));
    }
    let home = || variable("HOME").map(|home| Path::new(&home).join(".config"));
    let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    let unknown = || Exit::usage("neither HOME nor METERHOUSE_CONTEXT is set: where should the token be kept?");
    Ok(folder.ok_or_else(unknown)?.join("meterhouse").join("context.json"))
}

fn wrong(path: &Path, error: impl std::fmt::Display) -> Exit {
    Exit::failed(format!("{}: {error}", path.display()))
}

/// Reads the context, if there is one.
pub(super) fn load(path: &Path) -> Result<Option<Context>, Exit> {
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| wrong(path, error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(path, error)),
    }
}

/// Writes the context: beside the file first, so that it is whole or not there.
pub(super) fn save(path: &Path, context: &Context) -> Result<(), Exit> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| wrong(folder, error))?;
    }
    let beside = path.with_extension("new");
    remove(&beside)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside).map_err(|error| wrong(&beside, error))?;
    let text = serde_json::to_string_pretty(context).map_err(|error| wrong(path, error))?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(|error| wrong(&beside, error))?;
    fs::rename(&beside, path).map_err(|error| wrong(path, error))
}

/// Removes the context; says whether there was one.
pub(super) fn remove(path: &Path) -> Result<bool, Exit> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(wrong(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], path: Option<&str>) {
        let found = path_from(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        });
        assert_eq!(found.ok(), path.map(PathBuf::from));
    }

    #[test]
    fn the_context_is_found_by_three_variables() {
        check(&[("HOME", "/h")], Some("/h/.config/meterhouse/context.json"));
        check(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")], Some("/x/meterhouse/context.json"));
        check(&[("METERHOUSE_CONTEXT", "/c.json"), ("XDG_CONFIG_HOME", "/x")], Some("/c.json"));
        check(&[], None);
    }

    #[test]
    fn a_context_is_kept_for_its_owner_only() {
        let folder = std::env::temp_dir().join(format!("meterhouse-context-{}", std::process::id()));
        let path = folder.join("deep").join("context.json");
        let context = Context { url: "http://x".into(), token_id: "tok_1".into(), token: "secret".into() };
        assert_eq!(load(&path).unwrap(), None);
        save(&path, &context).unwrap();
        save(&path, &context).unwrap();
        assert_eq!(load(&path).unwrap(), Some(context));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(remove(&path).unwrap());
        assert!(!remove(&path).unwrap());
        fs::remove_dir_all(&folder).unwrap();
    }
}
