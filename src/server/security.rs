//! What a server does about its certificates before it starts.

use crate::{
    cluster::ServerId,
    config::{Config, TlsFiles},
    tls::{Expiry, Files, Holder, Identity, Keeper, check as check_files},
};

use super::ServerError;

/// Whoever keeps this server's certificates; `None` if it does not encrypt.
pub(super) fn keeper(config: &Config, id: ServerId) -> Result<Option<Keeper>, ServerError> {
    let Some((files, holder)) = of(config, id)? else { return Ok(None) };
    Ok(Some(Keeper::open(files, holder)?))
}

/// Whether this server could start with its certificates now, and when those end; `None` if it does not
/// encrypt.
///
/// # Errors
/// What is wrong with which file.
pub fn check_certificates(
    config: &Config,
    id: ServerId,
) -> Result<Option<Vec<Expiry>>, ServerError> {
    let Some((files, holder)) = of(config, id)? else { return Ok(None) };
    Ok(Some(check_files(&files, &holder, jiff::Timestamp::now())?))
}

fn of(config: &Config, id: ServerId) -> Result<Option<(Files, Holder)>, ServerError> {
    let host = config.server(id)?.address.host().to_owned();
    let Some(TlsFiles { certificate, key, ca, client_ca }) = config.tls_files(id)? else {
        return Ok(None);
    };
    let identity = Identity { cluster: config.cluster.name.clone(), server: id };
    let files = Files { certificate, key, ca, client_ca };
    Ok(Some((files, Holder { host, identity })))
}

/// What an operator should know of how this server is guarded.
pub(super) fn tell(config: &Config) {
    if config.is_loopback() && !config.cluster.has_secret() && config.tls.client_ca.is_none() {
        tracing::info!(
            "no cluster secret is set: this machine's users can speak to the servers' own service"
        );
    }
    if !config.is_loopback() && config.tls.certificate.is_none() {
        tracing::warn!(
            "nothing is encrypted (tls.insecure): this network can read every message and password"
        );
    }
}
