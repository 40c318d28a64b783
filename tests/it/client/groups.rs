//! Groups, and reads of the master.

use bytes::Bytes;
use vedetta::proto::v1;
use vedetta::proto::v1::put_many_response::item::Result as Done;

use super::{Client, Failure};

impl Client {
    /// Puts a value into groups.
    pub(crate) fn put_in(
        &self,
        cache: &str,
        key: &str,
        value: &str,
        groups: &[&str],
    ) -> Result<(), Failure> {
        let value = Bytes::copy_from_slice(value.as_bytes());
        let request = self.request(v1::PutRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            content: Some(v1::put_request::Content::Value(value)),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..v1::PutRequest::default()
        });
        self.run(self.cache().put(request)).map(|_| ())
    }

    /// Puts many keys into a group, in one batch.
    pub(crate) fn put_many_in(&self, cache: &str, keys: &[String], group: &str) {
        let item = |key: &String| v1::put_many_request::Item {
            key: Bytes::copy_from_slice(key.as_bytes()),
            content: Some(v1::put_many_request::item::Content::Value("v".into())),
            groups: vec![group.to_owned()],
            ..v1::put_many_request::Item::default()
        };
        let request = self.request(v1::PutManyRequest {
            cache: cache.to_owned(),
            items: keys.iter().map(item).collect(),
            ..v1::PutManyRequest::default()
        });
        let answer = self.run(self.cache().put_many(request)).expect("a batch");
        for item in answer.items {
            let stored = matches!(item.result, Some(Done::Stored(_)));
            assert!(stored, "{item:?}");
        }
    }

    /// Tells whether the entry was there.
    pub(crate) fn add_to_groups(
        &self,
        cache: &str,
        key: &str,
        groups: &[&str],
    ) -> Result<bool, Failure> {
        let request = self.request(v1::AddToGroupsRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        });
        let answer = self.run(self.cache().add_to_groups(request))?;
        Ok(answer.applied_to_entry)
    }

    pub(crate) fn flush_groups(&self, cache: &str, groups: &[&str]) -> Result<(), Failure> {
        let request = self.request(v1::FlushGroupsRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..v1::FlushGroupsRequest::default()
        });
        self.run(self.cache().flush_groups(request)).map(|_| ())
    }

    /// The text that the master has.
    pub(crate) fn master_text(&self, cache: &str, key: &str) -> Option<String> {
        let level = v1::consistency::Level::Master(v1::consistency::Master {});
        let request = self.request(v1::GetRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            consistency: Some(v1::Consistency { level: Some(level) }),
            ..v1::GetRequest::default()
        });
        let answer = self.run(self.cache().get(request)).expect("get");
        match answer.result {
            Some(v1::get_response::Result::Hit(hit)) => match hit.content {
                Some(v1::hit::Content::Value(value)) => {
                    Some(String::from_utf8_lossy(&value).into_owned())
                }
                _ => None,
            },
            _ => None,
        }
    }
}
