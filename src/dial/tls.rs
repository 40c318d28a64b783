//! The client side of TLS: whom we trust, what we show, and which name the other side must have.
//!
//! Invariants: certificates are always checked, against the given authorities or else the system's; a certificate of
//! our own comes with its key or not at all, and the two belong together.
//!
//! Not here: where the PEM texts come from, and when they are read again (`secrets`).

use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::model::Endpoint;

/// How the links of a section are encrypted.
#[derive(Debug, Clone)]
pub struct TlsClient {
    /// Authorities, certificate and key.
    pub config: Arc<ClientConfig>,
    /// What the certificate of the other side must be for, instead of the host that is dialled.
    pub server_name: Option<String>,
}

/// PEM texts, each with what it is called in a problem.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pem<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a [u8],
}

impl TlsClient {
    /// From the texts of the authorities, of our certificate and of its key.
    ///
    /// # Errors
    /// One sentence naming the text that cannot be used.
    pub(super) fn new(
        authorities: Option<Pem<'_>>,
        own: Option<(Pem<'_>, Pem<'_>)>,
        server_name: Option<String>,
    ) -> Result<Self, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots(authorities)?);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let secret = PrivateKeyDer::from_pem_slice(key.text)
                    .map_err(|error| format!("{} holds no usable key: {error}", key.name))?;
                builder
                    .with_client_auth_cert(chain, secret)
                    .map_err(|error| {
                        format!(
                            "{} and {} do not fit together: {error}",
                            certificate.name, key.name
                        )
                    })?
            }
        };
        Ok(Self {
            config: Arc::new(config),
            server_name,
        })
    }

    /// What the certificate of that endpoint must be for.
    pub(super) fn name_of(&self, endpoint: &Endpoint) -> Result<ServerName<'static>, String> {
        let name = self.server_name.as_ref().unwrap_or(&endpoint.host);
        ServerName::try_from(name.clone()).map_err(|error| error.to_string())
    }
}

fn roots(authorities: Option<Pem<'_>>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = authorities else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("this system has no root certificates".to_owned());
        }
        return Ok(roots);
    };
    for certificate in certificates(pem)? {
        roots
            .add(certificate)
            .map_err(|error| format!("{} is not usable: {error}", pem.name))?;
    }
    Ok(roots)
}

fn certificates(pem: Pem<'_>) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem.text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{} is not usable: {error}", pem.name))?;
    if found.is_empty() {
        return Err(format!("{} holds no certificate", pem.name));
    }
    Ok(found)
}
