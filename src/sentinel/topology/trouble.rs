//! Why nobody is elected, in words.
//!
//! Not here: the choice itself.

use crate::model::{Cause, Fault, Master};

use super::Topology;

/// The fault of a choice that is not followed yet.
pub(super) fn doubted(candidate: &Master, reason: &str) -> Fault {
    Fault::not_applied(
        Cause::NoMajority,
        format!(
            "the Sentinels agree on {} at config epoch {}, but {reason}",
            candidate.endpoint, candidate.epoch
        ),
    )
}

impl Topology {
    /// Why there is no majority: first what a person must mend, then what time may mend.
    pub(super) fn trouble(&self) -> Fault {
        let troubles = || {
            self.views
                .iter()
                .filter_map(|view| Some((&view.sentinel, view.answer.as_ref().err()?)))
        };
        let answering = self.voices(|_| true);
        if answering >= self.needed() {
            return Fault::not_applied(
                Cause::NoMajority,
                format!(
                    "{} different Sentinels must agree: {}",
                    self.needed(),
                    self.opinions()
                ),
            );
        }
        let telling = [
            Cause::SentinelAuthFailed,
            Cause::MasterNameUnknown,
            Cause::TlsFailed,
            Cause::AddressNotResolvable,
        ]
        .into_iter()
        .find_map(|cause| troubles().find(|(_, fault)| fault.cause == cause))
        .or_else(|| troubles().next());
        let (cause, example) = match telling {
            Some((sentinel, fault)) => (fault.cause, format!("; {sentinel}: {}", fault.detail)),
            None => (Cause::NoMajority, String::new()),
        };
        let cause = if answering > 0 && cause == Cause::SentinelsUnreachable {
            Cause::NoMajority
        } else {
            cause
        };
        Fault::not_applied(cause, format!("{}{example}", self.census(answering)))
    }

    /// How many answer and how many must. Those that the others still know of count although nobody will ever see them
    /// again, since they could have made up a majority elsewhere.
    fn census(&self, answering: usize) -> String {
        let all = self.sentinels();
        let known = if all > self.listed { "known " } else { "" };
        let remedy = if all > self.listed && answering > 0 {
            "; SENTINEL RESET forgets dead ones"
        } else {
            ""
        };
        format!(
            "{answering} of {all} {known}Sentinels name a master, {} must agree{remedy}",
            self.needed()
        )
    }

    fn opinions(&self) -> String {
        let opinions: Vec<String> = self
            .views
            .iter()
            .filter_map(|view| {
                let master = &view.answer.as_ref().ok()?.master;
                Some(format!(
                    "{} names {} at epoch {}",
                    view.sentinel, master.endpoint, master.epoch
                ))
            })
            .collect();
        opinions.join(", ")
    }
}
