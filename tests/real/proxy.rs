//! Between the program and its server: passes everything on until it is told to hang.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use super::support::TestDatabase;

/// Connections through it stay open for ever once it hangs, and nothing comes through any more.
pub struct Proxy {
    pub url: String,
    line: Arc<Line>,
}

#[derive(Default)]
struct Line {
    hangs: AtomicBool,
    hangs_at: OnceLock<Vec<u8>>,
    swallowed: AtomicUsize,
    /// Connections until now, and how many of them, from the first on, are forgotten.
    connections: AtomicUsize,
    forgotten: AtomicUsize,
}

impl Proxy {
    pub fn before(database: &TestDatabase) -> Self {
        let (role, place) = database.url.rsplit_once('@').expect("a role in the url");
        let (server, name) = place.split_once('/').expect("a database in the url");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let line = Arc::new(Line::default());
        let (server, shared) = (server.to_owned(), Arc::clone(&line));
        thread::spawn(move || accept(&listener, &server, &shared));
        Self { url: format!("{role}@127.0.0.1:{port}/{name}"), line }
    }

    pub fn hang(&self) {
        self.line.hangs.store(true, Ordering::SeqCst);
    }

    /// Like a firewall that has forgotten every connection of now; new ones work.
    pub fn forget(&self) {
        self.line.forgotten.store(self.line.connections.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Hangs as soon as this text is sent.
    pub fn hang_at(&self, text: &str) {
        self.line.hangs_at.set(text.into()).expect("one text");
    }

    /// True when something was sent that will never arrive.
    pub fn has_swallowed(&self) -> bool {
        self.line.swallowed.load(Ordering::SeqCst) > 0
    }
}

impl Line {
    fn swallows(&self, connection: usize, bytes: &[u8]) -> bool {
        let is_here = |text: &Vec<u8>| bytes.windows(text.len()).any(|window| window == text);
        if self.hangs_at.get().is_some_and(is_here) {
            self.hangs.store(true, Ordering::SeqCst);
        }
        self.hangs.load(Ordering::SeqCst) || connection < self.forgotten.load(Ordering::SeqCst)
    }
}

fn accept(listener: &TcpListener, server: &str, line: &Arc<Line>) {
    for client in listener.incoming() {
        let client = client.expect("a connection");
        let server = TcpStream::connect(server).expect("the test server answers");
        let copy = |stream: &TcpStream| stream.try_clone().expect("a second handle");
        let number = line.connections.fetch_add(1, Ordering::SeqCst);
        pass_on(copy(&client), copy(&server), number, Arc::clone(line));
        pass_on(server, client, number, Arc::clone(line));
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, connection: usize, line: Arc<Line>) {
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if line.swallows(connection, &buffer[..length]) {
                line.swallowed.fetch_add(length, Ordering::SeqCst);
            } else if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
