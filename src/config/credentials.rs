//! Who we are to Redis or to the Sentinels, and whether the link to them is encrypted.
//!
//! Invariants: the text of a password leaves this room only as a `SecretString`; a password is never sent in
//! the clear to somebody whose certificate was meant to be checked. A file that a setting names could be read and
//! holds what it should, as far as its text tells.
//!
//! Not here: reading files, which the caller's function does; reading them again while running (`dial::secrets`).

use std::path::PathBuf;

use secrecy::SecretString;
use tokio_rustls::rustls::pki_types::ServerName;

use super::draft::Draft;
use super::mistake::quoted;
use super::types::{ClientCertificate, Credentials, Tls};
use super::units;

type ReadSecret<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// What a PEM file of certificates holds at least.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// What a PEM file of a private key holds, whatever kind of key it is.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// User and password of a section, `redis` or `sentinel`; the file is read only if the section is `used`.
pub(super) fn credentials(
    draft: &mut Draft,
    section: &str,
    used: bool,
    read_secret: ReadSecret<'_>,
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
    let path = path(draft, &file);
    if used && !broken && path.is_some() {
        let secret = draft.read(&file, |path| {
            password_in(&content(path, read_secret)?).map_err(str::to_owned)
        })?;
        let origin = draft.origin(&file);
        draft.set(&password, &secret, origin);
    }
    let username = draft.text(&format!("{section}.username"));
    let password = draft.text(&password);
    let present = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some(Credentials {
        username: present(username),
        password: present(password).map(SecretString::from),
        password_file: path,
    })
}

fn content(path: &str, read_secret: ReadSecret<'_>) -> Result<String, String> {
    read_secret(path)
        .map_err(|error| format!("cannot be read ({error}); mount the secret or correct the path"))
}

/// The password in the text of a file.
///
/// # Errors
/// There is none, with the remedy.
pub fn password_in(content: &str) -> Result<String, &'static str> {
    // Editors and `kubectl create secret --from-file` leave a line break that is not part of the password.
    let secret = content.trim_end_matches(['\r', '\n']);
    if secret.trim().is_empty() {
        return Err("names an empty file; put the password into it");
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
    read_secret: ReadSecret<'_>,
) -> Option<Option<Tls>> {
    let key = format!("{section}.tls");
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
    let name = |end: &str| format!("{section}.tls_{end}");
    let (ca, cert, key_file) = (name("ca_file"), name("cert_file"), name("key_file"));
    let server_name = name("server_name");
    if !on {
        let idle = [&ca, &cert, &key_file, &server_name].map(|setting| {
            let wrong = used && !draft.text(setting).is_empty();
            if wrong {
                let problem = format!("is set, but {key} is false; set {key} to true");
                draft.mistake(setting, problem);
            }
            wrong
        });
        return (!idle.contains(&true)).then_some(None);
    }
    let certificate = (CERTIFICATE, "a certificate");
    let ca_file = pem(draft, &ca, used, certificate, read_secret);
    let cert_file = pem(draft, &cert, used, certificate, read_secret);
    let private = (PRIVATE_KEY, "a private key");
    let key_file = match pem(draft, &key_file, used, private, read_secret) {
        Some(None) if used && !draft.text(&cert).is_empty() => alone(draft, &cert, &key_file),
        Some(Some(_)) if used && draft.text(&cert).is_empty() => alone(draft, &key_file, &cert),
        path => path,
    };
    let server_name = draft.read_optional(&server_name, certified_name);
    let client = cert_file?.zip(key_file?);
    Some(Some(Tls {
        ca_file: ca_file?,
        client: client.map(|(cert_file, key_file)| ClientCertificate {
            cert_file,
            key_file,
        }),
        server_name: server_name?,
    }))
}

/// The file that a setting names, which is to hold what begins with that mark; read only if it is `used`.
fn pem(
    draft: &mut Draft,
    setting: &str,
    used: bool,
    (mark, what): (&str, &str),
    read_secret: ReadSecret<'_>,
) -> Option<Option<PathBuf>> {
    if used && !draft.text(setting).is_empty() {
        draft.read(setting, |path| {
            let text = content(path, read_secret)?;
            let problem = || format!("names a file without {what}; put it there in PEM");
            text.contains(mark).then_some(()).ok_or_else(problem)
        })?;
    }
    Some(path(draft, setting))
}

/// A certificate without its key, or the other way round.
fn alone<T>(draft: &mut Draft, set: &str, missing: &str) -> Option<T> {
    draft.mistake(
        set,
        format!("is set without {missing}; set both or neither"),
    );
    None
}

fn certified_name(text: &str) -> Result<String, String> {
    ServerName::try_from(text)
        .map(|_| text.to_owned())
        .map_err(|_| {
            let remedy = "write the host name or the IP that the certificate is for, without port";
            format!("is {}; {remedy}", quoted(text))
        })
}

fn path(draft: &Draft, setting: &str) -> Option<PathBuf> {
    let text = draft.text(setting);
    (!text.is_empty()).then(|| PathBuf::from(text))
}
