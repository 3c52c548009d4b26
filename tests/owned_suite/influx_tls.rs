//! An InfluxDB behind TLS with an authority of its own, as a stand-in that speaks just enough.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use super::influx::open;

const ANSWER: &str = r#"{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["a"]]}]},{"statement_id":1},{"statement_id":2,"series":[{"name":"system","columns":["currentTime","started"],"values":[["2026-01-02T00:00:00Z","2026-01-01T00:00:00Z"]]}]},{"statement_id":3,"series":[{"name":"build","columns":["Version"],"values":[["1.8.10"]]}]}]}"#;

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let made = made.expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// An authority, another one that signed nothing, and a certificate for this machine.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["ca", "other-ca"] {
        let make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30";
        openssl(folder.path(), &format!("{make} -subj /CN={name} -keyout {name}.key -out {name}.pem"));
    }
    std::fs::write(folder.path().join("ext"), "subjectAltName=IP:127.0.0.1").expect("a file");
    openssl(
        folder.path(),
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=influx -keyout server.key -out server.csr",
    );
    openssl(
        folder.path(),
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out server.pem",
    );
    folder
}

/// Answers every question alike, and hands on what it read.
fn serve(folder: &Path) -> (u16, std::sync::mpsc::Receiver<String>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("a key");
    let config =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let config = Arc::new(config.expect("settings"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut session = rustls::ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut tls = rustls::Stream::new(&mut session, &mut stream);
            let mut question = vec![0; 8192];
            let Ok(length @ 1..) = tls.read(&mut question) else { continue };
            let _ = tell.send(String::from_utf8_lossy(&question[..length]).into_owned());
            let length = ANSWER.len();
            let head = "HTTP/1.1 200 OK\r\nX-Influxdb-Version: 1.8.10\r\nConnection: close";
            let _ = write!(tls, "{head}\r\nContent-Length: {length}\r\n\r\n{ANSWER}");
            let _ = tls.flush();
        }
    });
    (port, told)
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_no_question() {
    let folder = certificates();
    let (port, told) = serve(folder.path());
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "Geheim-1").expect("a file");
    let login = format!("user = \"me\"\npassword = {{ file = {:?} }}", secret.display().to_string());
    let trust =
        |name: &str| format!("{login}\nca_file = {:?}", folder.path().join(name).display().to_string());
    let address = format!("127.0.0.1:{port}");
    // By the wrong authority, by none that this machine knows, and by a name that is not in the certificate.
    for (host, more) in [
        (address.clone(), trust("other-ca.pem")),
        (address.clone(), login.clone()),
        (format!("localhost:{port}"), trust("ca.pem")),
    ] {
        let store = open(&format!("https://{host}"), &more).expect("a store");
        let problem = store.list().await.expect_err("not trusted").to_string();
        assert!(problem.contains("certificate") && !problem.contains("Geheim"), "{problem}");
        assert!(told.try_recv().is_err(), "it was asked by {more}");
    }
    let store = open(&format!("https://{address}"), &trust("ca.pem")).expect("a store");
    assert_eq!(store.list().await.expect("a list").len(), 1);
    let question = told.try_recv().expect("a question");
    assert!(question.starts_with("POST /query HTTP/1.1") && question.contains("authorization: Basic "));
    assert!(!question.contains("Geheim"));
}

#[test]
fn certificates_that_cannot_be_read_are_a_fault_of_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").expect("a file");
    for path in [empty, folder.path().join("missing.pem")] {
        let more = format!("ca_file = {:?}", path.display().to_string());
        let Err(problem) = open("https://127.0.0.1:1", &more) else { panic!("{path:?} was taken") };
        assert!(problem.sentence.contains("certificate"), "{problem}");
    }
}
