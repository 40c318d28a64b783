//! The parts of requests that only events have: channels, messages, points to resume from.
//!
//! Not here: what all requests have (`check`).

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use crate::config::EventsConfig;
use crate::events::{Begin, Point};
use crate::model::{CacheId, ChannelId, ChannelName};

use super::check::Checker;

impl<Admit: Fn(&CacheId) -> Result<(), String>> Checker<'_, Admit> {
    pub(super) fn channel(&mut self, tenant: &str, name: &str) -> Option<ChannelId> {
        let tenant = self.tenant(tenant);
        let name = self.channel_name("channel", name);
        Some(ChannelId {
            tenant: tenant?,
            name: name?,
        })
    }

    fn channel_name(&mut self, field: &str, name: &str) -> Option<ChannelName> {
        match ChannelName::new(name) {
            Ok(name) => Some(name),
            Err(error) => self.refuse(field, error.to_string()),
        }
    }

    pub(super) fn payload(&mut self, payload: Bytes, config: &EventsConfig) -> Option<Bytes> {
        let most = config.message;
        if payload.len() as u64 > most {
            let problem = format!(
                "is {} bytes long; at most {most} are allowed (events.message)",
                payload.len()
            );
            return self.refuse("payload", problem);
        }
        Some(payload)
    }

    /// The channels of a subscriber, and where it begins in each.
    pub(super) fn subscription(
        &mut self,
        names: &[String],
        mut resume_after: HashMap<String, String>,
    ) -> Option<Vec<(ChannelName, Begin)>> {
        if names.is_empty() {
            return self.refuse("channels", "is empty; name at least one channel");
        }
        self.places("channels", names.len())?;
        let mut seen = BTreeSet::new();
        let mut checked = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let field = format!("channels[{place}]");
            if !seen.insert(name) {
                self.refuse::<()>(&field, "is named twice; name each channel once");
            }
            let channel = self.channel_name(&field, name);
            let begin = match resume_after.remove(name) {
                None => Some(Begin::Now),
                Some(id) => self.resume(name, &id),
            };
            checked.push(channel.zip(begin));
        }
        if !resume_after.is_empty() {
            let problem = "has a channel that is not in `channels`; name it there too";
            self.refuse::<()>("resume_after", problem);
        }
        checked.into_iter().collect()
    }

    fn resume(&mut self, name: &str, id: &str) -> Option<Begin> {
        match Point::from_caller(id) {
            Some(point) => Some(Begin::After(point)),
            None => self.refuse(
                &format!("resume_after[{name}]"),
                "is not an id; send back the last one received for this channel, unchanged",
            ),
        }
    }
}
