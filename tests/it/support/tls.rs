//! Certificates that are made for one test, and the lines that make a server use them.
//!
//! Invariants: an authority signs what it issues and nothing else; the files go when it is dropped.
//!
//! Not here: speaking TLS. A test asks a server over its plain port, which it has beside the other one.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// Who signs.
pub(crate) struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// How a server speaks TLS, on a port beside its plain one.
#[derive(Debug, Clone)]
pub(crate) struct TlsServer {
    pub(crate) ca: PathBuf,
    pub(crate) pair: Pair,
    /// Whether its clients need a certificate of that authority.
    pub(crate) auth_clients: bool,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory of an authority");
        let key = KeyPair::generate().expect("key");
        let mut params = params("authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).expect("certificate");
        fs::write(directory.path().join("ca.pem"), own.pem()).expect("file");
        let issuer = Issuer::new(params, key);
        Self { directory, issuer }
    }

    /// Its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A new certificate for these names, in files that are called so.
    pub(crate) fn issue(&self, called: &str, names: &[&str]) -> Pair {
        let key = KeyPair::generate().expect("key");
        let signed = params(called, names).signed_by(&key, &self.issuer);
        let file = |end: &str| self.directory.path().join(format!("{called}.{end}.pem"));
        let pair = Pair {
            cert: file("cert"),
            key: file("key"),
        };
        fs::write(&pair.cert, signed.expect("certificate").pem()).expect("file");
        fs::write(&pair.key, key.serialize_pem()).expect("file");
        pair
    }

    /// A server that is called so, whose clients need a certificate of this authority or none.
    pub(crate) fn server(&self, names: &[&str], auth_clients: bool) -> TlsServer {
        TlsServer {
            ca: self.file(),
            pair: self.issue("server", names),
            auth_clients,
        }
    }
}

impl TlsServer {
    /// For `redis-server` and `redis-sentinel`, with that port.
    pub(super) fn lines(&self, port: u16) -> Vec<String> {
        let file = |name: &str, path: &Path| format!("tls-{name}-file {}", path.display());
        let auth = if self.auth_clients { "yes" } else { "no" };
        vec![
            format!("tls-port {port}"),
            file("ca-cert", &self.ca),
            file("cert", &self.pair.cert),
            file("key", &self.pair.key),
            format!("tls-auth-clients {auth}"),
            "tls-replication yes".to_owned(),
        ]
    }
}

fn params(called: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    // Of one name, subject and issuer would be taken for one.
    params.distinguished_name.push(DnType::CommonName, called);
    params
}
