//! What the other way of tracking would cost: connections in BCAST mode, which are told of every write.
//!
//! Also what the tracking table of the default mode takes in memory. Both are measured with bare connections, because no
//! vedetta tracks in BCAST mode.

use std::net::SocketAddr;

use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::figures::Figures;
use crate::keys::{CACHE, KEYS};
use crate::stage::Stage;
use crate::writes::{Writer, net, write_all};

/// Keys that are tracked to weigh the table, and how many in one command.
const TRACKED: usize = 20_000;
const CHUNK: usize = 500;
/// Clients that track them: the first pays for the key, the others for themselves.
const TRACKERS: usize = 10;

/// Odd, and with ones and zeros in no order: the golden ratio, as hashes use it.
const SCATTER: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// A connection that speaks RESP3 and was told `arguments` about tracking.
async fn tracking(redis: SocketAddr, arguments: &[&str]) -> Result<TcpStream, String> {
    let failed = |error: std::io::Error| format!("a tracking connection: {error}");
    let mut stream = TcpStream::connect(redis).await.map_err(failed)?;
    let mut hello = redis::cmd("HELLO").arg(3).get_packed_command();
    let mut track = redis::cmd("CLIENT");
    track.arg("TRACKING").arg("ON").arg(arguments);
    hello.extend(track.get_packed_command());
    stream.write_all(&hello).await.map_err(failed)?;
    until(&mut stream, b"+OK\r\n").await?;
    Ok(stream)
}

/// Reads until the reply ends so.
async fn until(stream: &mut TcpStream, end: &[u8]) -> Result<(), String> {
    let (mut reply, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    while !reply.ends_with(end) {
        match stream.read(&mut buffer).await {
            Ok(0) => return Err("Redis has closed a tracking connection".to_owned()),
            Ok(length) => reply.extend_from_slice(&buffer[..length]),
            Err(error) => return Err(format!("a tracking connection: {error}")),
        }
    }
    Ok(())
}

/// Measures SETs with so many connections in BCAST mode. The fleet is empty meanwhile.
///
/// # Errors
/// Redis refuses something.
pub(crate) async fn broadcast(
    stage: &mut Stage<'_>,
    figures: &mut Figures,
    connections: usize,
) -> Result<(), String> {
    let (redis, prefix) = (stage.backbone.redis.address, format!("{CACHE}::"));
    let arguments = ["BCAST", "PREFIX", &prefix];
    let opened = (0..connections).map(|_| tracking(redis, &arguments));
    let mut streams = try_join_all(opened).await?;
    // What is told ends with the key; nothing ends with this.
    let listening = try_join_all(streams.iter_mut().map(|stream| until(stream, b"never\r\n")));
    let measuring = async {
        for (writer, name) in [(Writer::Foreign, "alone"), (Writer::Batch, "batch")] {
            let work = write_all(stage, writer).await?;
            let (cpu, output) = net(stage, &work);
            let each = |total: f64| total / KEYS as f64;
            figures.note(connections, format!("broadcast/{name}/cpu_us"), each(cpu));
            figures.note(connections, format!("broadcast/{name}/bytes"), each(output));
        }
        Ok(())
    };
    tokio::select! {
        done = measuring => done,
        ended = listening => ended.map(|_| ()),
    }
}

/// Weighs the tracking table.
///
/// # Errors
/// Redis refuses something.
pub(crate) async fn table(stage: &mut Stage<'_>, figures: &mut Figures) -> Result<(), String> {
    // Scattered, as hashes are: names that only count upwards would share most of their bytes in it.
    let name = |number: usize| {
        let scattered = (number as u128).wrapping_mul(SCATTER);
        format!("scattered::{scattered:032x}")
    };
    let redis = stage.backbone.redis.address;
    let opened = (0..TRACKERS).map(|_| tracking(redis, &[]));
    let mut streams = try_join_all(opened).await?;
    let mut weights = Vec::new();
    for number in 0..=TRACKERS {
        let info = stage.backbone.redis.info().await?;
        weights.push(info.number("used_memory")?);
        let Some(stream) = streams.get_mut(number) else {
            break;
        };
        for first in (0..TRACKED).step_by(CHUNK) {
            let names: Vec<String> = (first..first + CHUNK).map(name).collect();
            let command = redis::cmd("MGET").arg(names).get_packed_command();
            let written = stream.write_all(&command).await;
            written.map_err(|error| format!("a tracking connection: {error}"))?;
            until(stream, &b"_\r\n".repeat(CHUNK)).await?;
        }
    }
    let per_key = |bytes: f64| bytes / TRACKED as f64;
    let first = per_key(weights[1] - weights[0]);
    let further = per_key(weights[TRACKERS] - weights[1]) / (TRACKERS - 1) as f64;
    figures.note(0, "table/key_bytes", first - further);
    figures.note(0, "table/holder_bytes", further);
    Ok(())
}
