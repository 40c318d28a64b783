//! What this build does, truthfully: the list that GetStatus shows and that refusals go by.
//!
//! Invariants: every rpc of the API is listed (a test compares with the descriptors).

use crate::proto::v1;

/// Rpcs, as `package.Service/Method`, and whether they are served.
const RPCS: [(&str, bool); 37] = [
    ("vedetta.v1.Cache/Get", true),
    ("vedetta.v1.Cache/GetOrLease", true),
    ("vedetta.v1.Cache/ReleaseLease", true),
    ("vedetta.v1.Cache/GetMany", true),
    ("vedetta.v1.Cache/Put", true),
    ("vedetta.v1.Cache/PutMany", true),
    ("vedetta.v1.Cache/PutIfAbsent", true),
    ("vedetta.v1.Cache/Evict", true),
    ("vedetta.v1.Cache/EvictMany", true),
    ("vedetta.v1.Cache/Touch", true),
    ("vedetta.v1.Cache/GetTtl", true),
    ("vedetta.v1.Cache/SetDeadline", true),
    ("vedetta.v1.Cache/Increment", true),
    ("vedetta.v1.Cache/ListEdit", true),
    ("vedetta.v1.Cache/AddToGroups", true),
    ("vedetta.v1.Cache/FlushGroups", true),
    ("vedetta.v1.Cache/Clear", true),
    ("vedetta.v1.Cache/ListCaches", true),
    ("vedetta.v1.Cache/BulkLoad", true),
    ("vedetta.v1.Cache/Scan", true),
    ("vedetta.v1.Cache/Pipeline", true),
    ("vedetta.v1.Watch/Watch", true),
    ("vedetta.v1.Events/Publish", true),
    ("vedetta.v1.Events/Subscribe", true),
    ("vedetta.v1.Sessions/Create", true),
    ("vedetta.v1.Sessions/Load", true),
    ("vedetta.v1.Sessions/Save", true),
    ("vedetta.v1.Sessions/Touch", true),
    ("vedetta.v1.Sessions/ChangeId", true),
    ("vedetta.v1.Sessions/Delete", true),
    ("vedetta.v1.Sessions/FindByPrincipal", true),
    ("vedetta.v1.Status/GetStatus", true),
    ("vedetta.v1.Status/WatchStatus", false),
    ("grpc.health.v1.Health/Check", true),
    ("grpc.health.v1.Health/Watch", true),
    (
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        true,
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        true,
    ),
];

/// Features that are fields of requests.
const FEATURES: [(&str, bool); 7] = [
    ("conditions", true),
    ("near_cache", true),
    ("tokens", true),
    ("groups", true),
    ("leases", true),
    ("durability", true),
    ("operation_ids", true),
];

/// The list, as GetStatus shows it. Sessions may be switched off.
pub(super) fn list(sessions: bool) -> Vec<v1::get_status_response::Capability> {
    RPCS.iter()
        .chain(&FEATURES)
        .chain(&[("sessions", sessions)])
        .map(|(name, available)| v1::get_status_response::Capability {
            name: (*name).to_owned(),
            available: *available,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_rpc_of_the_api_is_listed() {
        let files = FileDescriptorSet::decode(crate::proto::DESCRIPTORS).expect("descriptors");
        let mut rpcs = Vec::new();
        for file in &files.file {
            for service in &file.service {
                for method in &service.method {
                    rpcs.push(format!(
                        "{}.{}/{}",
                        file.package(),
                        service.name(),
                        method.name()
                    ));
                }
            }
        }
        let listed: Vec<&str> = RPCS
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| name.starts_with("vedetta."))
            .collect();
        rpcs.sort();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        assert_eq!(rpcs, sorted);
    }
}
