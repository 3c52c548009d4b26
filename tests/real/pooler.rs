//! A transaction pooler: between two transactions a client has no session of the server, and the one that was freed
//! last is handed out first.

use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::support::TestDatabase;

/// It lives as long as the test's process.
pub struct Pooler {
    pub url: String,
    pub port: u16,
}

#[derive(Default)]
struct Pool {
    free: Mutex<Vec<TcpStream>>,
    freed: Condvar,
}

/// With its tag and its length in front.
struct Message(Vec<u8>);

/// What ends a request: a simple query, or the synchronization behind an extended one.
const ENDS_REQUEST: [u8; 2] = *b"QS";
const READY: u8 = b'Z';
const OUTSIDE_TRANSACTION: u8 = b'I';
const GOODBYE: u8 = b'X';
const AUTHENTICATION: u8 = b'R';
/// Kinds of authentication that the client answers.
const ASKS: [u8; 4] = [3, 5, 10, 11];
/// Requests for encryption in place of a beginning.
const ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];

impl Pooler {
    pub fn before(database: &TestDatabase) -> Self {
        let (role, place) = database.url.rsplit_once('@').expect("a role in the url");
        let (server, name) = place.split_once('/').expect("a database in the url");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (server, pool) = (server.to_owned(), Arc::<Pool>::default());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, pool) = (server.clone(), Arc::clone(&pool));
                thread::spawn(move || serve(client, &server, &pool));
            }
        });
        Self { url: format!("{role}@127.0.0.1:{port}/{name}"), port }
    }
}

/// Until the client goes.
fn serve(mut client: TcpStream, server: &str, pool: &Pool) -> Result<()> {
    let mut server = TcpStream::connect(server)?;
    log_in(&mut client, &mut server)?;
    pool.give_back(server);
    let mut held = None;
    loop {
        let message = Message::read(&mut client)?;
        if message.tag() == GOODBYE {
            return Ok(());
        }
        let mut server = held.take().unwrap_or_else(|| pool.take());
        server.write_all(&message.0)?;
        if ENDS_REQUEST.contains(&message.tag()) && answer(&mut server, &mut client)? == OUTSIDE_TRANSACTION {
            pool.give_back(server);
        } else {
            held = Some(server);
        }
    }
}

fn log_in(client: &mut TcpStream, server: &mut TcpStream) -> Result<()> {
    let mut head = [0; 8];
    client.read_exact(&mut head)?;
    while ENCRYPTION.contains(&number(&head[4..])) {
        client.write_all(b"N")?;
        client.read_exact(&mut head)?;
    }
    let mut rest = vec![0; number(&head) as usize - head.len()];
    client.read_exact(&mut rest)?;
    server.write_all(&[&head[..], &rest].concat())?;
    loop {
        let message = Message::read(server)?;
        client.write_all(&message.0)?;
        if message.tag() == READY {
            return Ok(());
        }
        if message.tag() == AUTHENTICATION && ASKS.contains(&message.0[8]) {
            server.write_all(&Message::read(client)?.0)?;
        }
    }
}

/// Says whether the session is in a transaction.
fn answer(server: &mut TcpStream, client: &mut TcpStream) -> Result<u8> {
    loop {
        let message = Message::read(server)?;
        client.write_all(&message.0)?;
        if message.tag() == READY {
            return Ok(message.0[5]);
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

impl Message {
    fn read(from: &mut TcpStream) -> Result<Self> {
        let mut message = vec![0; 5];
        from.read_exact(&mut message)?;
        message.resize(1 + number(&message[1..]) as usize, 0);
        from.read_exact(&mut message[5..])?;
        Ok(Self(message))
    }

    fn tag(&self) -> u8 {
        self.0[0]
    }
}

impl Pool {
    fn take(&self) -> TcpStream {
        let free = self.free.lock().expect("the sessions");
        let mut free = self.freed.wait_while(free, |free| free.is_empty()).expect("the sessions");
        free.pop().expect("a session")
    }

    fn give_back(&self, session: TcpStream) {
        self.free.lock().expect("the sessions").push(session);
        self.freed.notify_one();
    }
}
