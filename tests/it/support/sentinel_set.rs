//! A Sentinel set: one master, two replicas, three Sentinels with a quorum of two, or one with a quorum of one.
//!
//! Invariants: when `start` returns, every Sentinel knows both replicas and both other Sentinels, and both
//! replicas follow the master, so a failover can happen at once. A set behind proxies names each Redis by the address
//! of its proxy, and so do its nodes and its Sentinels: nobody but the test reaches a Redis by another way.
//!
//! Not here: listening to the Sentinels (`switches`).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::node::Node;
use super::ports::free_address;
use super::proxy::Proxy;
use super::redis::{Redis, RedisOptions};
use super::resp::Reply;
use super::switches::Switches;
use super::tls::TlsServer;
use super::wait;

pub(crate) const MASTER: &str = "mymaster";
/// The Sentinels greet each other every two seconds and ask each node for its replicas every ten. If the machine stood
/// still for two seconds they do not act for thirty.
const KNOWN_WITHIN: Duration = Duration::from_secs(45);
const LINKED_WITHIN: Duration = Duration::from_secs(15);
/// Two attempts of the Sentinels: `failover-timeout` is six seconds.
const AGREED_WITHIN: Duration = Duration::from_secs(20);

/// A Sentinel that has just moved to a new master may connect to it a second later only, because it tries each second and
/// counts its attempts at the old one. With no more than that it takes the new one for dead, and moves once more.
const DOWN_AFTER_MS: u32 = 1500;

/// How a set is configured beyond what all have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentinelOptions {
    /// Of every Redis.
    pub(crate) redis_password: Option<String>,
    /// Of every Sentinel.
    pub(crate) sentinel_password: Option<String>,
    /// Further lines of every Redis.
    pub(crate) redis_lines: Vec<String>,
    /// Further lines of every Sentinel, such as `sentinel failover-timeout mymaster 10000`.
    pub(crate) sentinel_lines: Vec<String>,
    /// Whether each Redis is reached through a proxy of its own.
    pub(crate) proxied: bool,
    /// Has every Redis and every Sentinel speak TLS, also among themselves.
    pub(crate) tls: Option<TlsServer>,
    /// Whether there is a single Sentinel.
    pub(crate) alone: bool,
}

/// One Redis of a set.
struct Member {
    redis: Redis,
    proxy: Option<Proxy>,
}

impl Member {
    fn start(options: &SentinelOptions, replica_of: Option<SocketAddr>) -> Self {
        let proxy = options.proxied.then(Proxy::listen);
        let mut lines = options.redis_lines.clone();
        if let Some(proxy) = &proxy {
            lines.push(format!("replica-announce-ip {}", proxy.address().ip()));
            lines.push(format!("replica-announce-port {}", proxy.address().port()));
        }
        let redis = Redis::start(&RedisOptions {
            password: options.redis_password.clone(),
            replica_of,
            tls: options.tls.clone(),
            lines,
        });
        if let Some(proxy) = &proxy {
            proxy.lead_to(redis.address());
        }
        Self { redis, proxy }
    }

    /// Where everybody but the test reaches it.
    fn address(&self) -> SocketAddr {
        let proxied = self.proxy.as_ref().map(Proxy::address);
        let encrypted = proxied.or_else(|| self.redis.tls_address());
        encrypted.unwrap_or_else(|| self.redis.address())
    }
}

/// A running set.
pub(crate) struct SentinelSet {
    sentinels: Vec<Node>,
    /// Where the Sentinels speak TLS.
    encrypted: Vec<SocketAddr>,
    members: Vec<Member>,
}

impl SentinelSet {
    /// Starts one without passwords.
    pub(crate) fn start() -> Self {
        Self::start_with(&SentinelOptions::default())
    }

    /// Starts one.
    pub(crate) fn start_with(options: &SentinelOptions) -> Self {
        let master = Member::start(options, None);
        let first = master.address();
        let replicas = [(); 2].map(|()| Member::start(options, Some(first)));
        for replica in &replicas {
            wait::until("link of a replica", LINKED_WITHIN, || {
                replica.redis.replica_in_step()
            });
        }
        let password = options.sentinel_password.as_deref();
        let encrypted = Cell::new(None);
        let sentinels = (0..if options.alone { 1 } else { 3 }).map(|_| {
            let node = Node::start("redis-sentinel", password, |own| {
                let tls = options.tls.as_ref().map(|tls| (tls, free_address()));
                let announced = tls.map_or(own, |(_, address)| address);
                encrypted.set(tls.map(|(_, address)| address));
                let mut lines = configuration(options, announced, first);
                lines.extend(tls.into_iter().flat_map(|(tls, at)| tls.lines(at.port())));
                lines
            });
            (node, encrypted.get())
        });
        let (sentinels, encrypted): (_, Vec<_>) = sentinels.unzip();
        let set = Self {
            sentinels,
            encrypted: encrypted.into_iter().flatten().collect(),
            members: [master].into_iter().chain(replicas).collect(),
        };
        set.wait_until_known();
        set
    }

    /// Where the Sentinels listen.
    pub(crate) fn sentinel_addresses(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(Node::address).collect()
    }

    /// The same as vedetta takes them: with commas between, and with TLS where they speak it.
    pub(crate) fn sentinel_list(&self) -> String {
        let addresses = if self.encrypted.is_empty() {
            self.sentinel_addresses()
        } else {
            self.encrypted.clone()
        };
        let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        texts.join(",")
    }

    /// The Sentinels, to be killed, paused or asked.
    pub(crate) fn sentinels(&mut self) -> &mut [Node] {
        &mut self.sentinels
    }

    /// The node at an address.
    pub(crate) fn redis(&mut self, address: SocketAddr) -> &mut Redis {
        let mut members = self.members.iter_mut();
        let found = members.find(|member| member.address() == address);
        &mut found
            .unwrap_or_else(|| panic!("no Redis of this set is at {address}"))
            .redis
    }

    /// The way to the node at an address, in a set behind proxies.
    pub(crate) fn proxy(&self, address: SocketAddr) -> &Proxy {
        let mut members = self.members.iter();
        let found = members.find(|member| member.address() == address);
        found
            .and_then(|member| member.proxy.as_ref())
            .unwrap_or_else(|| panic!("no proxy of this set is at {address}"))
    }

    /// Each Redis: where everybody reaches it, and where it listens.
    pub(crate) fn redis_addresses(&self) -> Vec<(SocketAddr, SocketAddr)> {
        let members = self.members.iter();
        members
            .map(|member| (member.address(), member.redis.address()))
            .collect()
    }

    /// The nodes other than the master.
    pub(crate) fn replica_addresses(&self) -> Vec<SocketAddr> {
        let master = self.master_endpoint();
        let all = self.members.iter().map(Member::address);
        all.filter(|address| *address != master).collect()
    }

    /// The master by a majority of the Sentinels; waits while there is none.
    pub(crate) fn master_endpoint(&self) -> SocketAddr {
        wait::until("a majority for one master", AGREED_WITHIN, || {
            self.majority()
        })
    }

    /// Kills the master at once; where it was, and when it was dead.
    pub(crate) fn kill9_master(&mut self) -> (SocketAddr, Instant) {
        let master = self.master_endpoint();
        self.redis(master).kill9();
        (master, Instant::now())
    }

    /// Has the Sentinels move the master role to a replica although the master is well; who was the master, and
    /// when the first Sentinel agreed to act.
    pub(crate) fn sentinel_failover(&self) -> (SocketAddr, Instant) {
        let master = self.master_endpoint();
        for sentinel in &self.sentinels {
            wait::until("a Sentinel that acts", KNOWN_WITHIN, || acts(sentinel));
        }
        // Refused for as long as an earlier failover runs or the last news of the replicas are too old.
        wait::until("SENTINEL FAILOVER", AGREED_WITHIN, || {
            self.sentinels[0].ask(&["SENTINEL", "FAILOVER", MASTER])
        });
        (master, Instant::now())
    }

    /// Waits until the master is another one than `old`, and says which.
    pub(crate) fn wait_for_master_other_than(&self, old: SocketAddr) -> SocketAddr {
        wait::until("another master", AGREED_WITHIN, || {
            let master = self.majority()?;
            if master == old {
                Err(format!("it is still {old}"))
            } else {
                Ok(master)
            }
        })
    }

    /// One command to one of the Redis nodes or Sentinels, as `redis-cli` would print the answer.
    pub(crate) fn redis_cli(&self, endpoint: SocketAddr, arguments: &[&str]) -> String {
        let members = self.members.iter();
        let redises =
            members.map(|member| -> (SocketAddr, &Node) { (member.address(), &member.redis) });
        let sentinels = self.sentinels.iter().map(|node| (node.address(), node));
        let found = redises.chain(sentinels).find(|(at, _)| *at == endpoint);
        found
            .unwrap_or_else(|| panic!("no node of this set is at {endpoint}"))
            .1
            .cli(arguments)
    }

    /// Listens to every Sentinel for `+switch-master` from now on.
    pub(crate) fn watch_switches(&self) -> Switches {
        Switches::subscribe(self.sentinels.iter(), MASTER)
    }

    /// Waits until all Sentinels know all nodes and find them well.
    pub(crate) fn wait_until_known(&self) {
        for sentinel in &self.sentinels {
            let what = format!("Sentinel {} knows the set", sentinel.address());
            let others = self.sentinels.len() - 1;
            wait::until(&what, KNOWN_WITHIN, || knows_the_set(sentinel, others));
        }
    }

    fn majority(&self) -> Result<SocketAddr, String> {
        let mut votes: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        for sentinel in &self.sentinels {
            let asked = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
            let answer = asked.map(|reply| reply.to_string().replace('\n', ":"));
            if let Some(address) = answer.ok().and_then(|text| text.parse().ok()) {
                *votes.entry(address).or_default() += 1;
            }
        }
        let majority = self.sentinels.len() / 2 + 1;
        let winner = votes.iter().find(|(_, count)| **count >= majority);
        winner
            .map(|(address, _)| *address)
            .ok_or_else(|| format!("the Sentinels say {votes:?}"))
    }
}

fn configuration(options: &SentinelOptions, own: SocketAddr, master: SocketAddr) -> Vec<String> {
    let mut lines = vec![
        format!("sentinel announce-ip {}", own.ip()),
        format!("sentinel announce-port {}", own.port()),
        format!(
            "sentinel monitor {MASTER} {} {} {}",
            master.ip(),
            master.port(),
            if options.alone { 1 } else { 2 }
        ),
        format!("sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}"),
        format!("sentinel failover-timeout {MASTER} 6000"),
        format!("sentinel parallel-syncs {MASTER} 1"),
    ];
    if let Some(password) = &options.redis_password {
        lines.push(format!("sentinel auth-pass {MASTER} {password}"));
    }
    if let Some(password) = &options.sentinel_password {
        lines.push(format!("requirepass {password}"));
        lines.push(format!("sentinel sentinel-pass {password}"));
    }
    lines.extend(options.sentinel_lines.iter().cloned());
    lines
}

/// Whether a Sentinel takes part in failovers, which it does not for a while after it noticed a jump of its clock.
fn acts(sentinel: &Node) -> Result<(), String> {
    let info = sentinel.ask(&["INFO", "sentinel"])?.to_string();
    if info.contains("sentinel_tilt:0") {
        return Ok(());
    }
    Err(format!("{} is in TILT", sentinel.address()))
}

fn knows_the_set(sentinel: &Node, others: usize) -> Result<(), String> {
    acts(sentinel)?;
    let master = sentinel.ask(&["SENTINEL", "MASTER", MASTER])?;
    for (name, wanted) in [
        ("flags", "master"),
        ("num-slaves", "2"),
        ("num-other-sentinels", others.to_string().as_str()),
    ] {
        let got = master.field(name).unwrap_or_default();
        if got != wanted {
            return Err(format!("{name} is {got}"));
        }
    }
    each_is(
        &sentinel.ask(&["SENTINEL", "REPLICAS", MASTER])?,
        "flags",
        "slave",
    )?;
    each_is(
        &sentinel.ask(&["SENTINEL", "REPLICAS", MASTER])?,
        "master-link-status",
        "ok",
    )?;
    each_is(
        &sentinel.ask(&["SENTINEL", "SENTINELS", MASTER])?,
        "flags",
        "sentinel",
    )
}

fn each_is(list: &Reply, name: &str, wanted: &str) -> Result<(), String> {
    let Reply::Many(items) = list else {
        return Err(format!("not a list: {list}"));
    };
    match items
        .iter()
        .find(|item| item.field(name).as_deref() != Some(wanted))
    {
        Some(item) => Err(format!("{name} of one is {:?}", item.field(name))),
        None => Ok(()),
    }
}
