//! Who we are to Redis or to the Sentinels, and whether the link to them is encrypted.
//!
//! Invariants: the text of a password leaves this room only as a `SecretString`; a password is never sent in
//! the clear to somebody whose certificate was meant to be checked.
//!
//! Not here: reading the password file, which the caller's function does.

use std::path::PathBuf;

use secrecy::SecretString;

use super::draft::Draft;
use super::types::{Credentials, Tls};
use super::units;

/// User and password of a section, `redis` or `sentinel`; the file is read only if the section is `used`.
pub(super) fn credentials(
    draft: &mut Draft,
    section: &str,
    used: bool,
    read_secret: &dyn Fn(&str) -> Result<String, String>,
) -> Option<Credentials> {
    let (password, file) = (
        format!("{section}.password"),
        format!("{section}.password_file"),
    );
    let mut broken = false;
    if !draft.text(&password).is_empty() && !draft.text(&file).is_empty() {
        let (one, other) = (draft.origin(&password), draft.origin(&file));
        if one.level() == other.level() {
            broken = true;
            let problem = format!("and {password} ({one}) are both set; remove one of the two");
            draft.mistake(&file, problem);
        } else {
            let file_wins = other.level() > one.level();
            let (loser, from) = if file_wins {
                (&password, one)
            } else {
                (&file, other)
            };
            let winner = if file_wins { &file } else { &password };
            draft.notice(format!(
                "{loser} ({from}) is not used, because {winner} has precedence"
            ));
            let loser = loser.clone();
            draft.clear(&loser);
        }
    }
    let path = draft.text(&file).to_owned();
    if used && !broken && !path.is_empty() {
        let secret = draft.read(&file, |path| secret(read_secret(path)))?;
        let origin = draft.origin(&file);
        draft.set(&password, &secret, origin);
    }
    let username = draft.text(&format!("{section}.username"));
    let password = draft.text(&password);
    let present = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some(Credentials {
        username: present(username),
        password: present(password).map(SecretString::from),
    })
}

fn secret(content: Result<String, String>) -> Result<String, String> {
    let content = content.map_err(|error| {
        format!("cannot be read ({error}); mount the secret or correct the path")
    })?;
    // Editors and `kubectl create secret --from-file` leave a line break that is not part of the password.
    let secret = content.trim_end_matches(['\r', '\n']);
    if secret.trim().is_empty() {
        return Err("names an empty file; put the password into it".to_owned());
    }
    Ok(secret.to_owned())
}

/// Whether and how the links of a section are encrypted, where `address` is the setting whose text may ask for
/// it by `rediss://`.
pub(super) fn tls(
    draft: &mut Draft,
    section: &str,
    used: bool,
    address: &str,
) -> Option<Option<Tls>> {
    let (key, ca_file) = (format!("{section}.tls"), format!("{section}.tls_ca_file"));
    let mut on = draft.read(&key, units::switch)?;
    if !on && draft.text(address).starts_with("rediss://") {
        if draft.is_explicit(&key) {
            let problem = format!("is false, but {address} says rediss://; change one of the two");
            draft.mistake(&key, problem);
            return None;
        }
        let origin = draft.origin(address);
        draft.set(&key, "true", origin);
        on = true;
    }
    let path = draft.text(&ca_file);
    let path = (!path.is_empty()).then(|| PathBuf::from(path));
    if used && !on && path.is_some() {
        draft.mistake(
            &ca_file,
            format!("is set, but {key} is false; set {key} to true"),
        );
        return None;
    }
    Some(on.then_some(Tls { ca_file: path }))
}
