//! Tests of whole loads by value; the tests of single parsers stand beside them.
//!
//! Not here: reading the environment and files, which `main` does.

// Said of each again, so that `tests/tidy.rs` does not take the names in them for settings.
#[cfg(test)]
mod aliases;
#[cfg(test)]
mod caches;
#[cfg(test)]
mod quotas;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod store;

use super::{Config, Loaded, Mistakes, Sources, load};

/// What a test configures.
#[derive(Default, Clone)]
struct Given {
    file: Option<String>,
    env: Vec<(String, String)>,
    flags: Vec<(String, String)>,
}

fn given() -> Given {
    Given::default()
}

impl Given {
    fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.flags.push((key.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Result<Loaded, Mistakes> {
        load(&Sources {
            file: self
                .file
                .clone()
                .map(|text| ("vedetta.toml".to_owned(), text)),
            env: self.env.clone(),
            flags: self.flags.clone(),
            read_secret: &|path| match path {
                "/secret" => Ok("from-file\n".to_owned()),
                "/crlf" => Ok(" spaced \r\n".to_owned()),
                "/empty" => Ok("\n".to_owned()),
                "/ca.pem" | "/cert.pem" => Ok("-----BEGIN CERTIFICATE-----\n".to_owned()),
                "/key.pem" => Ok("-----BEGIN PRIVATE KEY-----\n".to_owned()),
                _ => Err("no such file".to_owned()),
            },
        })
    }

    fn loaded(&self) -> Loaded {
        self.load()
            .unwrap_or_else(|mistakes| panic!("refused:\n{mistakes}"))
    }

    fn config(&self) -> Config {
        self.loaded().config
    }

    /// The notices of a load that succeeds, one a line.
    fn notices(&self) -> String {
        self.loaded().notices.join("\n")
    }

    /// Value and origin of a setting in a load that succeeds.
    fn effective(&self, key: &str) -> (String, String) {
        let lines = self.loaded().effective;
        let line = lines.into_iter().find(|line| line.key == key).expect(key);
        (line.value, line.origin)
    }

    /// The mistakes of a load that fails, one a line.
    fn mistakes(&self) -> String {
        match self.load() {
            Ok(_) => panic!("accepted"),
            Err(mistakes) => {
                for mistake in &mistakes.0 {
                    assert!(!mistake.problem.ends_with('.'), "full stop: {mistake}");
                    assert!(mistake.problem.contains("; "), "no remedy: {mistake}");
                }
                mistakes.to_string()
            }
        }
    }

    /// The single mistake of a load that fails.
    fn mistake(&self) -> String {
        let mistakes = self.mistakes();
        assert_eq!(mistakes.lines().count(), 1, "{mistakes}");
        mistakes
    }
}
