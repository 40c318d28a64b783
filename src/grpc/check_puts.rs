//! The items of a batch of puts.
//!
//! Not here: their parts (`check`, `check_groups`).

use crate::cache::Put;
use crate::config::Encoding;
use crate::model::{CacheId, Value};
use crate::proto::v1;

use super::check::Checker;

impl<Admit: Fn(&CacheId) -> Result<(), String>> Checker<'_, Admit> {
    /// The items of a batch of puts, each named by its place.
    pub(super) fn put_items(
        &mut self,
        items: Vec<v1::put_many_request::Item>,
        encoding: Option<Encoding>,
    ) -> Option<Vec<Put>> {
        let bytes = items
            .iter()
            .map(|item| {
                let groups: usize = item.groups.iter().map(String::len).sum();
                item.key.len() + groups + item.content.as_ref().map_or(0, content_bytes)
            })
            .sum();
        self.batch("items", items.len(), bytes)?;
        let checked: Vec<Option<Put>> = items
            .into_iter()
            .enumerate()
            .map(|(place, item)| self.put_item(place, item, encoding))
            .collect();
        checked.into_iter().collect()
    }

    fn put_item(
        &mut self,
        place: usize,
        item: v1::put_many_request::Item,
        encoding: Option<Encoding>,
    ) -> Option<Put> {
        let path = format!("items[{place}].");
        // Every part is checked before any missing one ends the assembly.
        let key = self.key(&format!("{path}key"), item.key);
        let value = self.value(&path, item.content.map(Value::from));
        let expiry = self.expiry(&path, item.expiry);
        let condition = self.condition(&path, item.condition);
        let groups = self.groups(&format!("{path}groups"), &item.groups, encoding);
        Some(Put {
            key: key?,
            value: value?,
            expiry: expiry?,
            condition: condition?,
            groups: groups?,
            lease: None,
        })
    }
}

fn content_bytes(content: &v1::put_many_request::item::Content) -> usize {
    match content {
        v1::put_many_request::item::Content::Value(value) => value.len(),
        v1::put_many_request::item::Content::Null(_) => 0,
    }
}
