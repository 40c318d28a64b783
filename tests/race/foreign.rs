//! A client that knows nothing of vedetta: a plain connection to the master, made again when it fails.
//!
//! Not here: what it writes (`program`).

use std::net::SocketAddr;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue};

use crate::sidecar::Upstream;
use crate::support::MASTER;

/// For a connection and for an answer: a paused server is soon given up.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The client. Clones have connections of their own.
#[derive(Debug)]
pub(crate) struct Foreign {
    upstream: Upstream,
    connection: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

impl Clone for Foreign {
    fn clone(&self) -> Self {
        Self::new(self.upstream.clone())
    }
}

impl Foreign {
    /// Of that server, or of the master of the moment in which it connects.
    pub(crate) fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            connection: tokio::sync::Mutex::default(),
        }
    }

    /// Looks for the master again before the next command.
    pub(crate) async fn start_over(&self) {
        *self.connection.lock().await = None;
    }

    /// One command.
    pub(crate) async fn call<T: FromRedisValue>(&self, words: &[&[u8]]) -> Result<T, String> {
        let mut held = self.connection.lock().await;
        let connection = match &mut *held {
            Some(connection) => connection,
            none => none.insert(connect(self.find().await?).await?),
        };
        let answer = call(connection, words).await;
        if answer.is_err() {
            *held = None;
        }
        answer
    }

    async fn find(&self) -> Result<SocketAddr, String> {
        let sentinels = match &self.upstream {
            Upstream::Redis(address) => return Ok(*address),
            Upstream::Sentinels(sentinels) => sentinels,
        };
        let mut named = Vec::new();
        for sentinel in sentinels {
            let question: [&[u8]; 3] = [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", MASTER.as_bytes()];
            let Ok(mut connection) = connect(*sentinel).await else {
                continue;
            };
            let answer: Result<(String, u16), String> = call(&mut connection, &question).await;
            let address = answer.ok().map(|(ip, port)| format!("{ip}:{port}"));
            named.extend(address.and_then(|text| text.parse::<SocketAddr>().ok()));
        }
        let majority = |address: &&SocketAddr| {
            let votes = named.iter().filter(|vote| vote == address).count();
            votes > sentinels.len() / 2
        };
        let master = named.iter().find(majority).copied();
        master.ok_or_else(|| format!("the Sentinels name {named:?}"))
    }
}

/// A connection without a cache.
pub(crate) async fn connect(server: SocketAddr) -> Result<MultiplexedConnection, String> {
    let configuration = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    let client = Client::open(format!("redis://{server}")).map_err(|error| error.to_string())?;
    client
        .get_multiplexed_async_connection_with_config(&configuration)
        .await
        .map_err(|error| error.to_string())
}

/// One command on a connection.
pub(crate) async fn call<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    words: &[&[u8]],
) -> Result<T, String> {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    let answer = command.query_async(connection).await;
    answer.map_err(|error| error.to_string())
}
