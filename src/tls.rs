//! Which implementation of TLS the process uses. Both sides of it that go out ask for it here.

use rustls::crypto::{CryptoProvider, ring};

/// Chooses ring for the process, unless something else was chosen before.
pub fn choose() {
    if CryptoProvider::get_default().is_none() {
        // Somebody may be first in this moment, and has chosen then.
        drop(ring::default_provider().install_default());
    }
}
