//! What links are opened with, and the files it comes from, read again while running.
//!
//! Kubernetes replaces a mounted secret by swapping symbolic links, and other tools by renaming or rewriting: so each
//! file is read once a second and its content is compared. That costs microseconds and misses nothing.
//!
//! Invariants: only what is whole and usable is published: a file that is missing, empty or half written keeps what was
//! read before, and is told once. Whoever opens a link asks for the newest ([`Secrets::now`]).
//!
//! Not here: opening a new link and retiring the old one, which those do who own links (`failover`, `sentinel`).

use std::fs::File;
use std::future::pending;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, counter, describe_counter};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use tokio::sync::{Notify, watch};

use crate::config::{Credentials, Tls, password_in};
use crate::model::Cause;

use super::tls::{Pem, TlsClient};

/// Between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest file that is read. The certificates of all public authorities are a quarter of that.
const LONGEST: u64 = 1 << 20;

/// What a link is opened with.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Who we are.
    pub credentials: Credentials,
    /// Present if the link is encrypted.
    pub tls: Option<TlsClient>,
}

/// The newest access, for whoever opens links.
#[derive(Debug, Clone)]
pub struct Secrets {
    newest: watch::Receiver<Arc<Access>>,
    look: Arc<Notify>,
}

impl Secrets {
    /// One that never changes.
    pub fn fixed(access: Access) -> Self {
        let (_, newest) = watch::channel(Arc::new(access));
        Self {
            newest,
            look: Arc::default(),
        }
    }

    /// What to open a link with at this moment.
    pub fn now(&self) -> Arc<Access> {
        self.newest.borrow().clone()
    }

    /// Whether a link that was opened with that would be opened with the same again.
    pub fn are_still(&self, access: &Arc<Access>) -> bool {
        Arc::ptr_eq(&self.newest.borrow(), access)
    }

    /// Completes when there are newer ones than at the last call.
    pub async fn changed(&mut self) {
        // Nobody can change them any more.
        if self.newest.changed().await.is_err() {
            pending().await
        }
    }

    /// Has the files read at once if a link failed for a reason that newer ones may cure.
    pub fn doubt(&self, cause: Cause) {
        if matches!(
            cause,
            Cause::RedisAuthFailed | Cause::SentinelAuthFailed | Cause::TlsFailed
        ) {
            self.look.notify_one();
        }
    }
}

/// The files, and what was last taken from them.
#[derive(Debug)]
pub struct SecretFiles {
    section: &'static str,
    sources: Arc<Sources>,
    taken: Contents,
    publish: watch::Sender<Arc<Access>>,
    look: Arc<Notify>,
    metrics: Metrics,
    /// What is wrong with them, as it was told.
    trouble: Option<String>,
}

impl SecretFiles {
    /// Reads them for the first time. Have [`Self::run`] run.
    ///
    /// # Errors
    /// One sentence naming the file that cannot be used.
    pub fn open(
        section: &'static str,
        credentials: &Credentials,
        tls: Option<&Tls>,
    ) -> Result<(Secrets, Self), String> {
        let sources = Arc::new(Sources {
            credentials: credentials.clone(),
            tls: tls.cloned(),
        });
        let taken = sources.read()?;
        let (publish, newest) = watch::channel(Arc::new(sources.access(&taken)?));
        let look = Arc::new(Notify::new());
        let secrets = Secrets {
            newest,
            look: look.clone(),
        };
        let files = Self {
            section,
            sources,
            taken,
            publish,
            look,
            metrics: Metrics::register(section),
            trouble: None,
        };
        Ok((secrets, files))
    }

    /// Reads them again and again.
    pub async fn run(mut self) {
        if !self.sources.are_files() {
            // Ends the channel: those who wait for a change need not be woken by it.
            return;
        }
        loop {
            // Early, if somebody asks for it; late otherwise.
            let _ = tokio::time::timeout(INTERVAL, self.look.notified()).await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let sources = self.sources.clone();
        // A mount that hangs must not take a worker of the runtime with it.
        let read = tokio::task::spawn_blocking(move || sources.read()).await;
        match read {
            Ok(Ok(contents)) if contents == self.taken => self.trouble = None,
            Ok(Ok(contents)) => match self.sources.access(&contents) {
                Ok(access) => self.take(contents, access),
                Err(problem) => self.keep(problem),
            },
            Ok(Err(problem)) => self.keep(problem),
            // The runtime is stopping.
            Err(_) => {}
        }
    }

    fn take(&mut self, contents: Contents, access: Access) {
        self.trouble = None;
        self.taken = contents;
        self.publish.send_replace(Arc::new(access));
        self.metrics.taken.increment(1);
        tracing::info!(
            section = self.section,
            "new secrets were read: links are opened anew with them"
        );
    }

    fn keep(&mut self, problem: String) {
        if self.trouble.as_ref() == Some(&problem) {
            return;
        }
        self.metrics.unusable.increment(1);
        tracing::warn!(
            section = self.section,
            "secrets cannot be read, those from before are kept: {problem}"
        );
        self.trouble = Some(problem);
    }
}

/// Where everything comes from.
#[derive(Debug)]
struct Sources {
    credentials: Credentials,
    tls: Option<Tls>,
}

/// What was read.
#[derive(Debug, Default)]
struct Contents {
    password: Option<SecretString>,
    authorities: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<SecretSlice<u8>>,
}

impl PartialEq for Contents {
    fn eq(&self, other: &Self) -> bool {
        let (password, key) = (&self.password, &self.key);
        password.as_ref().map(ExposeSecret::expose_secret)
            == other.password.as_ref().map(ExposeSecret::expose_secret)
            && key.as_ref().map(ExposeSecret::expose_secret)
                == other.key.as_ref().map(ExposeSecret::expose_secret)
            && self.authorities == other.authorities
            && self.certificate == other.certificate
    }
}

impl Sources {
    fn are_files(&self) -> bool {
        let of_tls = |tls: &Tls| tls.ca_file.is_some() || tls.client.is_some();
        self.credentials.password_file.is_some() || self.tls.as_ref().is_some_and(of_tls)
    }

    fn read(&self) -> Result<Contents, String> {
        let password = match &self.credentials.password_file {
            None => self.credentials.password.clone(),
            Some(path) => Some(password(path)?),
        };
        let tls = self.tls.as_ref();
        let client = tls.and_then(|tls| tls.client.as_ref());
        let optional = |path: Option<&PathBuf>| path.map(|path| read(path)).transpose();
        Ok(Contents {
            password,
            authorities: optional(tls.and_then(|tls| tls.ca_file.as_ref()))?,
            certificate: optional(client.map(|client| &client.cert_file))?,
            key: optional(client.map(|client| &client.key_file))?.map(Into::into),
        })
    }

    fn access(&self, contents: &Contents) -> Result<Access, String> {
        let tls = self.tls.as_ref().map(|tls| self.encryption(tls, contents));
        Ok(Access {
            credentials: Credentials {
                password: contents.password.clone(),
                ..self.credentials.clone()
            },
            tls: tls.transpose()?,
        })
    }

    fn encryption(&self, tls: &Tls, contents: &Contents) -> Result<TlsClient, String> {
        let shown = |path: Option<&PathBuf>| path.map(|path| path.display().to_string());
        let client = tls.client.as_ref();
        let authorities = shown(tls.ca_file.as_ref()).unwrap_or_default();
        let certificate = shown(client.map(|client| &client.cert_file)).unwrap_or_default();
        let key = shown(client.map(|client| &client.key_file)).unwrap_or_default();
        let own = contents.certificate.as_ref().zip(contents.key.as_ref());
        let own = own.map(|(text, secret)| {
            let certificate = Pem {
                name: &certificate,
                text,
            };
            let key = Pem {
                name: &key,
                text: secret.expose_secret(),
            };
            (certificate, key)
        });
        let authorities = contents.authorities.as_ref().map(|text| Pem {
            name: &authorities,
            text,
        });
        TlsClient::new(authorities, own, tls.server_name.clone())
    }
}

fn password(path: &Path) -> Result<SecretString, String> {
    let text = String::from_utf8(read(path)?)
        .map_err(|_| format!("{} is not text in UTF-8", path.display()))?;
    password_in(&text)
        .map(SecretString::from)
        .map_err(|_| format!("{} is empty", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let problem = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut content = Vec::new();
    let file = File::open(path).map_err(problem)?;
    file.take(LONGEST + 1)
        .read_to_end(&mut content)
        .map_err(problem)?;
    match content.len() as u64 {
        0 => Err(format!("{} is empty", path.display())),
        length if length > LONGEST => {
            Err(format!("{} is longer than {LONGEST} bytes", path.display()))
        }
        _ => Ok(content),
    }
}

/// Handles, resolved once.
#[derive(Debug)]
struct Metrics {
    taken: Counter,
    unusable: Counter,
}

impl Metrics {
    fn register(section: &'static str) -> Self {
        describe_counter!(
            "vedetta_secret_reloads_total",
            "How often new secrets were read from their files, and how often they began to be unusable"
        );
        let series = |result: &'static str| counter!("vedetta_secret_reloads_total", "section" => section, "result" => result);
        Self {
            taken: series("taken"),
            unusable: series("unusable"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::Instant;

    use super::*;
    use crate::config::ClientCertificate;

    fn text(secrets: &Secrets) -> Option<String> {
        let access = secrets.now();
        let password = access.credentials.password.as_ref()?;
        Some(password.expose_secret().to_owned())
    }

    fn from_file(path: &Path) -> (Secrets, SecretFiles) {
        fs::write(path, "first\n").expect("file");
        let credentials = Credentials {
            password_file: Some(path.to_owned()),
            ..Credentials::default()
        };
        SecretFiles::open("redis", &credentials, None).expect("usable")
    }

    #[tokio::test]
    async fn a_file_that_is_not_whole_keeps_what_was_read_before() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("password");
        let (secrets, mut files) = from_file(&path);
        let first = secrets.now();
        for broken in [Some(""), Some("\n"), None] {
            match broken {
                Some(text) => fs::write(&path, text).expect("file"),
                None => fs::remove_file(&path).expect("file"),
            }
            files.look().await;
            assert!(files.trouble.is_some(), "{broken:?} is not told");
            assert!(secrets.are_still(&first), "{broken:?} was taken");
        }
        // The same as before is no news.
        fs::write(&path, "first").expect("file");
        files.look().await;
        assert!(secrets.are_still(&first) && files.trouble.is_none());
        fs::write(&path, "second\n").expect("file");
        files.look().await;
        assert_eq!(text(&secrets).as_deref(), Some("second"));
        assert!(!secrets.are_still(&first));
    }

    /// As Kubernetes does it.
    #[tokio::test]
    async fn a_swapped_link_is_another_content() {
        let directory = tempfile::tempdir().expect("directory");
        let at = |name: &str| directory.path().join(name);
        let (secrets, mut files) = from_file(&at("1"));
        fs::rename(at("1"), at("real")).expect("rename");
        std::os::unix::fs::symlink(at("real"), at("1")).expect("link");
        files.look().await;
        assert_eq!(text(&secrets).as_deref(), Some("first"));
        fs::write(at("2"), "second").expect("file");
        std::os::unix::fs::symlink(at("2"), at("swap")).expect("link");
        fs::rename(at("swap"), at("1")).expect("rename");
        files.look().await;
        assert_eq!(text(&secrets).as_deref(), Some("second"));
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_read_once_a_second_and_at_once_when_in_doubt() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("password");
        let (mut secrets, files) = from_file(&path);
        let doubting = secrets.clone();
        let began = Instant::now();
        let changes = async {
            fs::write(&path, "second").expect("file");
            secrets.changed().await;
            assert!(began.elapsed() >= INTERVAL);
            fs::write(&path, "third").expect("file");
            doubting.doubt(Cause::RedisUnreachable);
            doubting.doubt(Cause::RedisAuthFailed);
            let doubted = Instant::now();
            secrets.changed().await;
            assert!(doubted.elapsed() < INTERVAL);
        };
        tokio::select! {
            () = files.run() => panic!("it looks no longer"),
            () = changes => {}
        }
        assert_eq!(text(&secrets).as_deref(), Some("third"));
    }

    #[tokio::test]
    async fn a_certificate_is_taken_with_the_key_that_belongs_to_it() {
        let directory = tempfile::tempdir().expect("directory");
        let at = |name: &str| directory.path().join(name);
        let write = |certificate: bool, key: bool| {
            let pair = rcgen::generate_simple_self_signed(["a".to_owned()]).expect("pair");
            if certificate {
                fs::write(at("cert"), pair.cert.pem()).expect("file");
            }
            if key {
                fs::write(at("key"), pair.signing_key.serialize_pem()).expect("file");
            }
        };
        write(true, true);
        let tls = Tls {
            ca_file: Some(at("cert")),
            client: Some(ClientCertificate {
                cert_file: at("cert"),
                key_file: at("key"),
            }),
            server_name: None,
        };
        let open = || SecretFiles::open("redis", &Credentials::default(), Some(&tls));
        let (secrets, mut files) = open().expect("usable");
        let first = secrets.now();
        write(true, false);
        files.look().await;
        assert!(secrets.are_still(&first), "half of a pair was taken");
        let problem = open().expect_err("half of a pair");
        assert!(problem.contains("do not fit together"), "{problem}");
        write(true, true);
        files.look().await;
        assert!(!secrets.are_still(&first), "the pair was not taken");
        fs::write(at("key"), "-----BEGIN PRIVATE KEY-----\n").expect("file");
        let problem = open().expect_err("no key");
        assert!(problem.contains("/key"), "{problem}");
    }
}
