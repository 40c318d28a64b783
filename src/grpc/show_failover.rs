//! The past of the master as protobuf: reports, the fence, weaknesses.
//!
//! Not here: what they mean (`failover`).

use std::time::Duration;

use crate::failover::{self, Kind, Report, Weakness};
use crate::proto::v1::get_status_response as answer;
use crate::proto::v1::get_status_response::failover as shown;

use super::convert::{duration, timestamp};

pub(super) fn report(report: &Report) -> answer::Failover {
    let at = |at: Option<Duration>| at.map(duration);
    let address = |master: &Option<crate::model::Master>| {
        let master = master.as_ref();
        master.map_or_else(String::new, |master| master.endpoint.to_string())
    };
    let epoch = |master: &Option<crate::model::Master>| master.as_ref().map_or(0, |m| m.epoch);
    let (found, calls) = (&report.reconciled, report.calls);
    answer::Failover {
        number: report.number,
        kind: match report.kind {
            Kind::Failover => shown::Kind::Failover,
            Kind::Restart => shown::Kind::Restart,
            Kind::LinkLoss => shown::Kind::LinkLoss,
            Kind::FalseAlarm => shown::Kind::FalseAlarm,
        }
        .into(),
        began: Some(timestamp(report.began)),
        detected_by: report.detected_by.name().to_owned(),
        decided_by: report
            .decided
            .map_or_else(String::new, |(_, by)| by.name().to_owned()),
        from_address: address(&report.from),
        from_epoch: epoch(&report.from),
        to_address: address(&report.to),
        to_epoch: epoch(&report.to),
        generation: report.generation.unwrap_or_default(),
        decided: at(report.decided.map(|(at, _)| at)),
        confirmed: at(report.confirmed),
        serving: at(report.serving),
        first_write: at(report.wrote),
        proven: at(report.proven),
        over: at(report.over),
        waited: calls.waited,
        failed: calls.failed,
        unknown: calls.unknown,
        repeated: calls.repeated,
        checked_writes: found.checked as u64,
        removed_values: found.removed as u64,
        lost_writes: found.lost as u64,
        lost_caches: found.caches.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn fence(status: &failover::Status) -> answer::Fence {
    match &status.shut {
        None => answer::Fence {
            open: true,
            ..answer::Fence::default()
        },
        Some((shut, since)) => answer::Fence {
            open: false,
            reason: shut.name().to_owned(),
            detail: shut.to_string(),
            since: Some(timestamp(*since)),
        },
    }
}

pub(super) fn weakness(weakness: &Weakness) -> answer::Weakness {
    answer::Weakness {
        name: weakness.name.to_owned(),
        detail: weakness.detail.clone(),
        remedy: weakness.remedy.to_owned(),
    }
}
