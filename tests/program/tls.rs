//! The program on a network: monitors over TLS, asked with OpenSSL's client.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::{run, Client, Server};
use crate::page_sessions::blocks;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;

/// Writes a CA, a server's and a client's certificate, under QEMU's names.
fn make_certificates(dir: &Path) {
    let write = |name: &str, text: String| std::fs::write(dir.join(name), text).unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "Example CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().unwrap();
    write("ca-cert.pem", params.self_signed(&key).unwrap().pem());
    let ca = Issuer::new(params, key);
    for (role, usage) in [
        ("server", ExtendedKeyUsagePurpose::ServerAuth),
        ("client", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, role);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        write(&format!("{role}-cert.pem"), certificate.pem());
        write(&format!("{role}-key.pem"), key.serialize_pem());
    }
}

/// A monitor on a port, behind an empty `authz-list`, and a second one on a unix
/// socket.
fn start(dir: &Path) -> (Server, Client, String) {
    let creds = format!(
        "tls-creds-x509,id=tls0,endpoint=server,dir={}",
        dir.display()
    );
    let server = Server::start(&[
        "-object",
        &creds,
        "-object",
        "authz-list,id=auth0",
        "-qmp",
        "tcp:127.0.0.1:0,server=on,wait=off,tls-creds=tls0,tls-authz=auth0",
    ]);
    let mut control = server.qmp();
    let port = port_of(&mut control);
    (server, control, port)
}

/// The port on which a chardev waits for a client.
fn port_of(control: &mut Client) -> String {
    let chardevs = control.ask("query-chardev");
    let of = |c: &serde_json::Value| {
        let name = c["filename"].as_str()?;
        let port = name.strip_prefix("disconnected:tcp:127.0.0.1:")?;
        Some(port.split(',').next()?.to_owned())
    };
    let port = chardevs.as_array().unwrap().iter().find_map(of);
    port.expect("a port")
}

fn s_client(dir: &Path, port: &str) -> Child {
    Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-verify_quiet",
            "-CAfile",
            "ca-cert.pem",
        ])
        .args(["-cert", "client-cert.pem", "-key", "client-key.pem"])
        .args(["-connect", &format!("127.0.0.1:{port}")])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs")
}

#[test]
fn a_session_with_openssl() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: there is no openssl");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    make_certificates(dir.path());
    let (server, mut control, port) = start(dir.path());

    // The list is still empty.
    let mut refused = s_client(dir.path(), &port);
    let mut got = String::new();
    let mut out = BufReader::new(refused.stdout.take().unwrap());
    let _ = out.read_line(&mut got);
    assert_eq!(got, "");
    drop(refused.stdin.take());
    refused.wait().unwrap();

    let rule = json!([{"match": "O=Example,CN=*", "policy": "allow", "format": "glob"}]);
    let set = json!({"path": "/objects/auth0", "property": "rules", "value": rule});
    assert_eq!(control.ask_with("qom-set", set), json!({}));
    let mut client = s_client(dir.path(), &port);
    let mut stdin = client.stdin.take().unwrap();
    let mut out = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut line =
        || -> serde_json::Value { serde_json::from_str(&out.next().unwrap().unwrap()).unwrap() };
    assert_eq!(line()["QMP"]["version"]["qemu"]["major"], 10);
    stdin
        .write_all(b"{\"execute\": \"qmp_capabilities\"}\n")
        .unwrap();
    assert_eq!(line(), json!({"return": {}}));
    stdin
        .write_all(b"{\"execute\": \"query-status\", \"id\": 1}\n")
        .unwrap();
    assert_eq!(line()["return"]["status"], "running");
    // Else it would wait for the server's output.
    client.kill().unwrap();
    client.wait().unwrap();

    control.ask("quit");
    let out = server.finish();
    let err = String::from_utf8(out.stderr).unwrap();
    let [line] = err.lines().collect::<Vec<_>>()[..] else {
        panic!("one line for the one who was refused: {err}");
    };
    let end = "): auth0 does not let 'O=Example,CN=client' in";
    assert!(
        line.contains("TLS failed on character device compat_monitor1 ("),
        "{line}"
    );
    assert!(line.ends_with(end), "{line}");
}

#[test]
fn credentials_that_are_no_good_end_the_program_with_a_line() {
    let dir = tempfile::tempdir().unwrap();
    make_certificates(dir.path());
    std::fs::remove_file(dir.path().join("server-key.pem")).unwrap();
    let place = dir.path().display();
    let creds = format!("tls-creds-x509,id=tls0,endpoint=server,dir={place}");
    let out = run(&["-object", &creds]);
    assert_eq!(out.status.code(), Some(1));
    let err = String::from_utf8(out.stderr).unwrap();
    let text = format!(
        "qmonitor: Unable to access credentials {place}/server-key.pem: \
         No such file or directory\n"
    );
    assert_eq!(err, text);
}

#[test]
fn a_screen_is_not_shown_without_the_tls_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    make_certificates(dir.path());
    let place = dir.path().display();
    let vnc = format!("unix:{place}/vnc,tls-creds=tls0");
    for (endpoint, why) in [
        ("client", "Expected TLS credentials for a server endpoint"),
        ("server", "VNC servers do not support 'tls-creds'"),
    ] {
        let creds = format!("tls-creds-x509,id=tls0,endpoint={endpoint},dir={place}");
        let out = run(&["-object", &creds, "-vnc", &vnc]);
        assert_eq!(out.status.code(), Some(1));
        let err = String::from_utf8(out.stderr).unwrap();
        assert!(err.ends_with(&format!("-vnc {vnc}: {why}\n")), "{err}");
        assert!(!dir.path().join("vnc").exists());
    }
}

/// The page's certificates, server and client, as it shows them.
#[test]
fn the_session_of_the_page() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: there is no openssl");
        return;
    }
    let page = "docs/tls.md";
    let dir = tempfile::tempdir().unwrap();
    let in_dir = |script: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-ec", script]).current_dir(dir.path());
        bash
    };
    let made = in_dir(&blocks(page, "sh")[0]).output().unwrap();
    assert!(made.status.success(), "{made:?}");

    let shown = blocks(page, "console");
    let find = |start: &str| shown.iter().find(|block| block.starts_with(start)).unwrap();
    let certificates = dir.path().display().to_string();
    let script = find("$ qmonitor ")
        .trim()
        .replace(
            "$ qmonitor",
            &format!("exec {}", env!("CARGO_BIN_EXE_qmonitor")),
        )
        .replace("/etc/qmonitor/tls", &certificates)
        .replace("0.0.0.0,port=4444", "127.0.0.1,port=0");
    let script = script + " -qmp unix:{dir}/q,server=on,wait=off";
    let server = Server::start_program(Path::new("bash"), &["-c", &script]);
    let mut control = server.qmp();
    let port = port_of(&mut control);

    let (command, session) = find("$ openssl s_client").split_once('\n').unwrap();
    let command = command.trim_start_matches("$ ").replace("4444", &port);
    let mut client = in_dir(&format!("exec {command}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    let mut out = BufReader::new(client.stdout.take().unwrap()).lines();
    for line in session.lines().filter(|line| line.starts_with('{')) {
        if line.starts_with("{\"execute\"") {
            writeln!(stdin, "{line}").unwrap();
        } else {
            assert_eq!(out.next().unwrap().unwrap().trim_end(), line);
        }
    }
    client.kill().unwrap();
    client.wait().unwrap();

    let without_certificate = command.split(" -cert ").next().unwrap();
    let mut refused = in_dir(&format!("exec {without_certificate}"));
    let refused = refused.stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8(refused.stdout).unwrap(), "");
    control.ask("quit");
    let err = String::from_utf8(server.finish().stderr).unwrap();
    let reported = &blocks(page, "text")[0];
    let reason = reported.trim_end().rsplit("): ").next().unwrap();
    let is_reported = |line: &str| {
        line.starts_with("qmonitor: TLS failed on character device mon0 (tcp:127.0.0.1:")
            && line.ends_with(&format!("): {reason}"))
    };
    assert!(err.lines().any(is_reported), "{err}");
}
