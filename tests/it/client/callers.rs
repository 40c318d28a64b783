//! Many callers of one vedetta at once, in a thread of their own.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use tokio::task::JoinSet;
use tonic::transport::Channel;

/// Has them call, over one channel, until all of them have ended.
pub(crate) fn call(
    api: SocketAddr,
    spawn: impl FnOnce(Channel, &mut JoinSet<()>) + Send + 'static,
) -> JoinHandle<()> {
    in_a_thread(async move {
        let channel = Channel::from_shared(format!("http://{api}"));
        let mut callers = JoinSet::new();
        spawn(channel.expect("address").connect_lazy(), &mut callers);
        callers.join_all().await;
    })
}

/// Runs it in a runtime of its own.
pub(crate) fn in_a_thread(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("runtime").block_on(work);
    })
}
