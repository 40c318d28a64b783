//! The calls about leases and groups: each key has a group of its own, which a Put under a lease may be in.
//!
//! Not here: all other calls (`op`).

use bytes::Bytes;
use tonic::Status;
use vedetta::proto::v1;
use vedetta::proto::v1::consistency::{Level, Master};
use vedetta::proto::v1::get_or_lease_response::Result as Answered;
use vedetta::proto::v1::{put_request, put_response};

use super::Client;
use super::op::{Answer, Spot, Until, hit, told};

fn group(spot: &Spot) -> String {
    String::from_utf8_lossy(&spot.key).into_owned()
}

pub(super) async fn ask(client: &mut Client, spot: &Spot) -> Result<Answer, Status> {
    let request = v1::GetOrLeaseRequest {
        cache: spot.cache.clone(),
        key: spot.key.clone(),
        consistency: Some(v1::Consistency {
            level: Some(Level::Master(Master {})),
        }),
        max_wait: Some(prost_types::Duration::default()),
        ..v1::GetOrLeaseRequest::default()
    };
    let answer = client.get_or_lease(request).await?.into_inner();
    Ok(match answer.result {
        Some(Answered::Hit(found)) => hit(found),
        Some(Answered::Lease(lease)) => Answer {
            lease: Some(lease),
            ..told("a lease", None)
        },
        _ => told("a miss", None),
    })
}

pub(super) async fn fill(
    client: &mut Client,
    spot: &Spot,
    value: &Bytes,
    until: Until,
    grouped: bool,
) -> Result<Answer, Status> {
    let request = v1::PutRequest {
        cache: spot.cache.clone(),
        key: spot.key.clone(),
        content: Some(put_request::Content::Value(value.clone())),
        expiry: until.message(),
        groups: grouped.then(|| group(spot)).into_iter().collect(),
        lease: spot.lease.clone(),
        ..v1::PutRequest::default()
    };
    Ok(match client.put(request).await?.into_inner().result {
        Some(put_response::Result::Stored(stored)) => told("stored", Some(stored.version)),
        Some(put_response::Result::NotStored(not)) => told("not stored", Some(not.current_version)),
        None => told("nothing", None),
    })
}

pub(super) async fn flush(client: &mut Client, spot: &Spot) -> Result<Answer, Status> {
    let request = v1::FlushGroupsRequest {
        cache: spot.cache.clone(),
        groups: vec![group(spot)],
        ..v1::FlushGroupsRequest::default()
    };
    client.flush_groups(request).await?;
    Ok(told("flushed", None))
}
