//! Servers with a certificate, as people start them and reach them.

use std::fs;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use crate::util::{Server, scrollback, text};

/// A folder with a certificate that is its own authority, and its key.
fn certified() -> TempDir {
    let folder = TempDir::new().unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(folder.path().join("c.pem"), cert.pem()).unwrap();
    fs::write(folder.path().join("k.pem"), signing_key.serialize_pem()).unwrap();
    folder
}

#[test]
fn a_server_does_not_start_with_half_of_a_certificate_or_none_in_the_file() {
    let folder = certified();
    let (cert, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let none = folder.path().join("none.pem");
    for (cert, key, words) in [
        (Some(&cert), None, "give both --tls-cert and --tls-key"),
        (None, Some(&key), "give both --tls-cert and --tls-key"),
        (Some(&none), Some(&key), "none.pem cannot be read"),
        (Some(&key), Some(&key), "k.pem has no certificate"),
        (Some(&cert), Some(&cert), "c.pem has no private key"),
    ] {
        let mut command = scrollback("serve --listen 127.0.0.1:0");
        command.arg("--data-dir").arg(folder.path().join("data"));
        for (flag, path) in [("--tls-cert", cert), ("--tls-key", key)] {
            if let Some(path) = path {
                command.arg(flag).arg(path);
            }
        }
        let output = command.output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn commands_reach_a_server_whose_authority_they_are_told() {
    let folder = certified();
    let at = folder.path().to_str().unwrap();
    let server = Server::start_with(&format!("--tls-cert {at}/c.pem --tls-key {at}/k.pem"));
    assert!(server.url().starts_with("https://127.0.0.1:"), "{}", server.url());
    let refused = server.command("streams").output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stdout));
    let ca = format!("{at}/c.pem");
    let appended = server.run_with(&format!("append s --ca {ca}"), r#"{"channel":"x"}"#);
    assert!(appended.status.success(), "{}", text(&appended.stderr));
    let listed = server.command("streams").env("SCROLLBACK_CA", &ca).output().unwrap();
    assert!(text(&listed.stdout).contains("sessions/s"), "{}", text(&listed.stderr));
    let missing = server.command("streams --ca /nowhere/c.pem").output().unwrap();
    assert!(text(&missing.stderr).contains("cannot read /nowhere/c.pem"));
    server.stop();
}
