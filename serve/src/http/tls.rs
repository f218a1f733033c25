//! TLS for what this program asks of others: object stores and collectors.

/// Chooses the cryptography, once for the process.
pub(crate) fn install() {
    // It says no where it was chosen before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
