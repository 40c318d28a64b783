//! What is logged about the Sentinels: each change once.
//!
//! Not here: figures (`metrics`).

use crate::model::{Endpoint, Master};

use super::task::Election;
use super::topology::{Conflict, SentinelView};

/// What was last logged.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The master, or the stable name of the trouble.
    master: Option<Result<Master, &'static str>>,
    disagreeing: Vec<(Endpoint, Master)>,
    tilted: Vec<Endpoint>,
    overruled: Vec<Endpoint>,
    conflict: Option<Conflict>,
}

impl Told {
    /// Logs what is new.
    pub(super) fn tell(&mut self, election: &Election) {
        // While the first answers come in, disagreement is not news.
        if election.master.is_ok() || election.settled {
            self.tell_master(election);
            self.tell_opinions(election);
        }
        let of = |such: fn(&SentinelView) -> bool| -> Vec<Endpoint> {
            let views = election.views.iter().filter(|view| such(view));
            views.map(|view| view.sentinel.clone()).collect()
        };
        for sentinel in changed(&mut self.tilted, of(SentinelView::in_tilt)) {
            tracing::warn!(
                %sentinel,
                "this Sentinel is in TILT, because its clock or its process stood still: it would not notice that the \
                 master is down"
            );
        }
        for sentinel in changed(&mut self.overruled, of(|view| view.overruled)) {
            tracing::warn!(
                %sentinel,
                "this Sentinel alone finds the master objectively down, which is ignored from now on; SENTINEL RESET it"
            );
        }
        self.tell_conflict(election);
    }

    fn tell_master(&mut self, election: &Election) {
        let news = match &election.master {
            Ok(master) => Ok(master.clone()),
            Err(fault) => Err(fault.cause.reason()),
        };
        if self.master.as_ref() == Some(&news) {
            return;
        }
        match &election.master {
            Ok(master) => tracing::info!(
                master = %master.endpoint,
                config_epoch = master.epoch,
                detector = election.detector.name(),
                "the Sentinels name the master"
            ),
            Err(fault) => tracing::warn!(
                reason = fault.cause.reason(),
                "no master elected: {}",
                fault.detail
            ),
        }
        self.master = Some(news);
    }

    fn tell_opinions(&mut self, election: &Election) {
        let Ok(master) = &election.master else {
            return;
        };
        let others = election.views.iter().filter_map(|view| {
            let said = &view.answer.as_ref().ok()?.master;
            (said != master).then(|| (view.sentinel.clone(), said.clone()))
        });
        let others: Vec<(Endpoint, Master)> = others.collect();
        let agree_again = others.is_empty() && !self.disagreeing.is_empty();
        for (sentinel, said) in changed(&mut self.disagreeing, others) {
            tracing::info!(
                %sentinel,
                names = %said.endpoint,
                config_epoch = said.epoch,
                elected = %master.endpoint,
                "this Sentinel disagrees about the master"
            );
        }
        if agree_again {
            tracing::info!("all Sentinels that answer agree about the master");
        }
    }

    fn tell_conflict(&mut self, election: &Election) {
        if self.conflict == election.conflict {
            return;
        }
        if let Some(Conflict { sentinel, master }) = &election.conflict {
            tracing::warn!(
                %sentinel,
                names = %master.endpoint,
                config_epoch = master.epoch,
                "this Sentinel knows of a later master than the majority, and for too long for a failover: it is cut off \
                 with a master of its own, or the others are; writes are held until they agree"
            );
        }
        self.conflict.clone_from(&election.conflict);
    }
}

/// What was not there before; `now` is remembered.
fn changed<T: Clone + PartialEq>(before: &mut Vec<T>, now: Vec<T>) -> Vec<T> {
    let new = now.iter().filter(|item| !before.contains(item));
    let new = new.cloned().collect();
    *before = now;
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_still_is_no_news() {
        let mut before = Vec::new();
        assert_eq!(changed(&mut before, vec![1, 2]), [1, 2]);
        assert!(changed(&mut before, vec![1, 2]).is_empty());
        assert_eq!(changed(&mut before, vec![2, 3]), [3]);
        assert!(changed(&mut before, vec![]).is_empty());
        assert_eq!(changed(&mut before, vec![2]), [2]);
    }
}
