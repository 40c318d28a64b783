//! Loading the configuration for `serve`, and printing it for `check-config`.

use std::fmt::Write;

use crate::config::{self, Loaded, Mistakes, Sources};

use super::arguments::{Configuration, Output};
use super::exit::{Exit, tell};

/// What `main` read from the process's environment.
#[derive(Debug, Clone, Default)]
pub struct Environment(pub Vec<(String, String)>);

impl Environment {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {0}: {1}; check --config and VEDETTA_CONFIG")]
    File(String, std::io::Error),
    /// Something in it, or elsewhere, is wrong.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

/// Reads every source.
///
/// # Errors
/// See [`LoadError`].
pub fn load(arguments: &Configuration, environment: &Environment) -> Result<Loaded, LoadError> {
    let path = arguments
        .config
        .as_ref()
        .map(|path| path.display().to_string())
        .or_else(|| environment.get("VEDETTA_CONFIG").map(str::to_owned));
    let file = match path {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| LoadError::File(path.clone(), error))?;
            Some((path, text))
        }
    };
    let sources = Sources {
        file,
        env: environment.0.clone(),
        flags: arguments.flags.0.clone(),
        read_secret: &|path| std::fs::read_to_string(path).map_err(|error| error.to_string()),
    };
    Ok(config::load(&sources)?)
}

/// `vedetta check-config`.
pub fn check_config(
    arguments: &Configuration,
    environment: &Environment,
    output: Output,
) -> (Exit, String) {
    match load(arguments, environment) {
        Ok(loaded) => {
            for notice in &loaded.notices {
                tell(&format!("note: {notice}"));
            }
            let text = match output {
                Output::Text => text(&loaded),
                Output::Json => json(&loaded),
            };
            (Exit::Done, text)
        }
        Err(error) => {
            tell(&format!("{error}"));
            (Exit::Usage, String::new())
        }
    }
}

fn text(loaded: &Loaded) -> String {
    let width = loaded
        .effective
        .iter()
        .map(|line| line.key.len() + line.value.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for line in &loaded.effective {
        let pad = width - line.key.len() - line.value.len();
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{} = {}{:pad$}  # {}",
            line.key, line.value, "", line.origin
        );
    }
    text
}

fn json(loaded: &Loaded) -> String {
    let settings: serde_json::Map<String, serde_json::Value> = loaded
        .effective
        .iter()
        .map(|line| {
            let value = serde_json::json!({ "value": line.value, "origin": line.origin });
            (line.key.clone(), value)
        })
        .collect();
    format!("{:#}\n", serde_json::Value::Object(settings))
}
