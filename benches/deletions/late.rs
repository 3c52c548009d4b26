//! A way to the broker on which nobody gets through before it is opened.

use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;

pub struct Late {
    listener: TcpListener,
    pub port: u16,
}

impl Late {
    /// From now on somebody may connect, and waits for the first answer.
    pub async fn new() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    pub fn open(self, to: (String, u16)) {
        tokio::spawn(async move {
            while let Ok((mut client, _)) = self.listener.accept().await {
                let to = to.clone();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(to).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
    }
}
